package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

func TestDoctorErrors(t *testing.T) {
	newHome(t)
	for _, c := range []struct {
		args []string
		want string // in stderr
	}{
		{[]string{"--format", "jsn"}, `expected one of table, json, did you mean "json"?`},
		{[]string{"--model", "qwen2.5-0.6b"}, `did you mean "qwen2.5-0.5b"?`},
		{[]string{"--model", "stories15m", "--dtype", "float16"}, `did you mean "bfloat16"?`},
		{[]string{"--model", "stories15m", "--kv", "int9"}, `did you mean "int8"?`},
		{[]string{"--model", ""}, "expected one of qwen2.5-0.5b, llama-3.2-1b, stories15m"},
		{[]string{"--model", "stories15m", "--repeat", "0"}, "--repeat 0: expected at least 1"},
		{[]string{"--model", "stories15m", "--prefill", "0"}, "a prefill of 0 tokens: expected 1 to 8191"},
		{[]string{"--prefill", "512"}, "--prefill needs --model"},
		{[]string{"--threads", "0"}, fmt.Sprintf("--threads 0: expected 1 to %d", runtime.NumCPU())},
		{[]string{"--threads", "100000"}, "--threads 100000: expected 1 to"},
		{[]string{"--thread", "1"}, "did you mean --threads?"},
		{[]string{"here"}, `found "here", expected doctor alone`},
	} {
		stdout, stderr, code := slimlab(t, append([]string{"doctor"}, c.args...)...)
		if code != exitUsage || !strings.Contains(stderr, c.want) || stdout != "" {
			t.Errorf("slimlab doctor %s: exit %d, printed %q, said %q, want %q in it", strings.Join(c.args, " "), code, stdout, stderr, c.want)
		}
	}
}

// TestDoctorInterrupted: nothing is printed of a measurement that was ended.
func TestDoctorInterrupted(t *testing.T) {
	newHome(t)
	ctx, cancel := context.WithCancel(context.Background())
	var out strings.Builder
	if code := execute(ctx, []string{"doctor", "--quick", "--threads", "1"}, &out, cancelAt{"square weights", cancel}); code != exitInterrupted || out.Len() > 0 {
		t.Errorf("exit %d, printed %q", code, out.String())
	}
}

// cancelAt cancels when a text is written to it.
type cancelAt struct {
	text   string
	cancel func()
}

func (c cancelAt) Write(b []byte) (int, error) {
	if strings.Contains(string(b), c.text) {
		c.cancel()
	}
	return io.Discard.Write(b)
}
