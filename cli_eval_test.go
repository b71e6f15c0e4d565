package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// evalFiles are a text and questions for tests.
func evalFiles(t *testing.T) (text, choice string) {
	t.Helper()
	dir := t.TempDir()
	text, choice = filepath.Join(dir, "text.txt"), filepath.Join(dir, "choice.jsonl")
	for path, content := range map[string]string{
		text:   strings.Repeat("member likes item and clicks it twice.\n", 60),
		choice: strings.Repeat(`{"query":"Question: What comes?","choices":["an item","nothing","a member of the set"],"gold":1}`+"\n", 8),
	} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return text, choice
}

func TestEval(t *testing.T) {
	file := newHome(t)
	text, choice := evalFiles(t)
	saved := filepath.Join(t.TempDir(), "teacher")
	if _, stderr, code := slimlab(t, "run", file, "--save", "teacher="+saved); code != exitHeld {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	stdout, stderr, code := slimlab(t, "eval", "run:last/w8a8", "--against", saved, "--text", text, "--choice", choice, "--generate", "member", "--tokens", "5", "--window", "32")
	if code != exitHeld {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	for _, want := range []string{
		"before " + saved, "after run:last/w8a8", "w8a8 and float32", "text.txt · ", "choice.jsonl · 8 questions", "token perplexity", "bits per byte", "acc_norm",
		"generation · after", "32 tokens without overlap", "difference", "lm-evaluation-harness", "McNemar", "after beside before", "mean KL", "KL P99", "right to wrong",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the table lacks %q:\n%s", want, stdout)
		}
	}
	if !strings.Contains(stderr, "loading") {
		t.Errorf("no progress on stderr: %q", stderr)
	}
	again, stderr, code := slimlab(t, "eval", "run:last/w8a8", "--against", saved, "--text", text, "--choice", choice, "--window", "32")
	if code != exitHeld || strings.Contains(stderr, "loading") || !strings.HasPrefix(stdout, again[:strings.Index(again, "- ")]) {
		t.Errorf("exit %d: measured again: %s\n%s", code, stderr, again)
	}
	stdout, _, code = slimlab(t, "eval", saved, "--choice", choice, "--limit", "3", "--dtype", "bfloat16", "--format", "json")
	var r struct {
		Models  []struct{ Cache string }
		Results []struct {
			Metric string
			Values []struct{ N int }
		}
	}
	if err := json.Unmarshal([]byte(stdout), &r); code != exitHeld || err != nil || len(r.Models) != 1 || r.Models[0].Cache != "bfloat16" || len(r.Results) != 3 || r.Results[0].Values[0].N != 3 {
		t.Errorf("exit %d, %v: %s", code, err, stdout)
	}
	// The same model with two caches: the figures differ, and each is kept by itself.
	for range 2 {
		stdout, _, code = slimlab(t, "eval", saved, "--against", saved, "--kv", "int4", "--text", text, "--window", "32")
		if code != exitHeld || !strings.Contains(stdout, "keys and values in float32 (") || !strings.Contains(stdout, "keys and values in int4 (") || strings.Contains(stdout, "+0.00%  ") {
			t.Errorf("exit %d: %s", code, stdout)
		}
	}
	stdout, _, code = slimlab(t, "eval", saved, "--text", text, "--perplexity", "llama.cpp", "--window", "16", "--format", "markdown")
	if code != exitHeld || !strings.Contains(stdout, "| text.txt | token perplexity |") || !strings.Contains(stdout, "over the windows of llama.cpp's llama-perplexity: 16 tokens") {
		t.Errorf("exit %d: %s", code, stdout)
	}
}

func TestEvalErrors(t *testing.T) {
	newHome(t)
	text, choice := evalFiles(t)
	bad := filepath.Join(t.TempDir(), "bad.jsonl")
	if err := os.WriteFile(bad, []byte(`{"query":"q","choices":["a","b"],"gold":0}`+"\n"+`{"query":"q","choices":["a","b"],"gold":7}`), 0o644); err != nil {
		t.Fatal(err)
	}
	const m = "pretrained:recsys-fm"
	for _, c := range []struct {
		args []string
		want string // in stderr
	}{
		{[]string{}, "expected eval MODEL"},
		{[]string{m}, "nothing to measure, expected --text FILE"},
		{[]string{m, "--tokens", "3", "--text", text}, "--tokens needs --generate"},
		{[]string{m, "--generate", "x", "--tokens", "0"}, "--tokens 0: expected at least 1"},
		{[]string{m, "--text", text, "--limit", "0"}, "--limit 0: expected at least 1"},
		{[]string{m, "--text", text, "--window", "2"}, "--window 2: expected at least 4"},
		{[]string{m, "--text", text, "--window", "100000000"}, "--window 100000000: expected 4 to"},
		{[]string{m, "--text", text, "--dtype", "float16"}, `did you mean "bfloat16"?`},
		{[]string{m, "--text", text, "--format", "csv"}, "expected one of table, json, markdown"},
		{[]string{m, "--text", text, "--perplexity", "lama.cpp"}, `did you mean "llama.cpp"?`},
		{[]string{m, "--text", text, "--kv", "int5"}, `did you mean "int8"?`},
		{[]string{m, "--text", text, "--bos", "nver"}, `did you mean "never"?`},
		{[]string{m, "--text", text + ".none"}, "text.txt.none: no such file"},
		{[]string{m, "--choice", bad}, "bad.jsonl:2: field \"gold\" is 7, expected 0 to 1"},
		{[]string{"nowhere", "--choice", choice}, "model nowhere: no such folder"},
		{[]string{m, "--against", "", "--choice", choice}, "model : no such folder"},
		{[]string{"pretrained:none", "--choice", choice}, "none"},
		{[]string{"run:last/x", "--choice", choice}, "run:last/x"},
		{[]string{filepath.Dir(bad), "--choice", choice}, "found no config.json"},
	} {
		stdout, stderr, code := slimlab(t, append([]string{"eval"}, c.args...)...)
		if code != exitUsage || !strings.Contains(stderr, c.want) || stdout != "" {
			t.Errorf("slimlab eval %s: exit %d, printed %q, said %q, want %q in it", strings.Join(c.args, " "), code, stdout, stderr, c.want)
		}
	}
}

// TestEvalWithoutAHome: where the home cannot be written, the figures are printed, and it is said
// once that they are not kept.
func TestEvalWithoutAHome(t *testing.T) {
	home := filepath.Join(newHome(t), "home") // below a file
	t.Setenv("SLIMLAB_HOME", home)
	stdout, stderr, code := slimlab(t, "eval", "pretrained:recsys-fm", "--generate", "member", "--tokens", "2")
	if code != exitHeld || stdout == "" {
		t.Errorf("exit %d, printed %q, said %q", code, stdout, stderr)
	}
	if strings.Count(stderr, "not kept") != 1 || !strings.Contains(stderr, home) || !strings.Contains(stderr, "SLIMLAB_HOME names another folder") {
		t.Errorf("said %q, expected once that nothing is kept, where and what chooses another folder", stderr)
	}
}

// TestEvalInterrupted: nothing is printed of an evaluation that was ended.
func TestEvalInterrupted(t *testing.T) {
	newHome(t)
	text, _ := evalFiles(t)
	ctx, cancel := context.WithCancel(context.Background())
	var out strings.Builder
	if code := execute(ctx, []string{"eval", "pretrained:recsys-fm", "--text", text}, &out, cancelAt{"loading", cancel}); code != exitInterrupted || out.Len() > 0 {
		t.Errorf("exit %d, printed %q", code, out.String())
	}
}
