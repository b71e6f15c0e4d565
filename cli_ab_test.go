package main

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slimlab/lab/abtest"
	"slimlab/lab/endpoint"
	"slimlab/lab/home"
)

// abReport runs an experiment and reads its JSON.
func abReport(t *testing.T, args ...string) (r abtest.Report, stderr string) {
	t.Helper()
	stdout, stderr, code := slimlab(t, append([]string{"ab", "--format", "json"}, args...)...)
	if code != exitHeld {
		t.Fatalf("%v: exit %d\n%s%s", args, code, stdout, stderr)
	}
	var document struct {
		Schema string `json:"schema"`
		abtest.Report
	}
	if err := json.Unmarshal([]byte(stdout), &document); err != nil || document.Schema != "slimlab.ab/1" {
		t.Fatalf("%v of %s", err, stdout)
	}
	return document.Report, stderr
}

// row is the metric of a key.
func row(t *testing.T, r abtest.Report, key string) abtest.Row {
	t.Helper()
	for _, m := range r.Metrics {
		if m.Key == key {
			return m
		}
	}
	t.Fatalf("no metric %s in %+v", key, r.Metrics)
	return abtest.Row{}
}

// promptsFile writes records that a model of the task can answer.
func promptsFile(t *testing.T, line string, n int) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "prompts.jsonl")
	if err := os.WriteFile(name, []byte(strings.Repeat(line+"\n", n)), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestAB: two models of this process, of texts and of token ids, and a model with itself.
func TestAB(t *testing.T) {
	newHome(t)
	texts := promptsFile(t, `{"prompt":"user likes drama ; item","response":" is a comedy ?","max_tokens":4}`, 12)
	r, stderr := abReport(t, "pretrained:recsys-student", "pretrained:recsys-fm", "--file", texts)
	if r.Pairs != 12 || !r.Paired || r.Arms[1].Tokens != 48 || r.Arms[0].Failed+r.Arms[1].Failed > 0 {
		t.Errorf("%+v\n%s", r, stderr)
	}
	for _, key := range []string{abtest.TTFT, abtest.TPOT, abtest.E2E, abtest.LogP} {
		m := row(t, r, key)
		if m.N != 12 || m.Verdict != abtest.Undecided || m.Decided != 0 || m.Warning == "" { // too few for a look
			t.Errorf("%s: %+v", key, m)
		}
		if key != abtest.LogP && !(m.A > 0 && m.B > 0) || key == abtest.LogP && !(m.A < 0 && m.B < 0 && m.A != m.B) {
			t.Errorf("%s: %+v", key, m)
		}
	}
	if m := row(t, r, abtest.Exact); m.N != 12 || m.A != 0 {
		t.Errorf("%+v", m)
	}

	ids := promptsFile(t, `{"prompt":[5,6,7,8],"max_tokens":3}`, 30)
	r, _ = abReport(t, "pretrained:recsys-student", "pretrained:recsys-student", "--dtype-b", "float32", "--file", ids, "--requests", "0")
	if m := row(t, r, abtest.Agree); m.Change != 1 || m.N != 30 || m.Verdict != abtest.NoJudge || r.Pairs != 30 {
		t.Errorf("%+v: a model agrees with itself", m)
	}
	if m := row(t, r, abtest.TTFT); m.Low >= m.High || m.N != 30 {
		t.Errorf("%+v", m)
	}
	if notes := strings.Join(r.Notes, ";"); !strings.Contains(notes, "no references") {
		t.Errorf("notes %q", notes)
	}
}

// TestABOfServer: a model here and behind HTTP has the same quality, of a text's reference too.
func TestABOfServer(t *testing.T) {
	newHome(t)
	e, err := endpoint.Open(t.Context(), home.Open(filepath.Join(t.TempDir(), "home"), "test"), "pretrained:recsys-student", endpoint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- e.Serve(ctx, l, endpoint.ServerOptions{}) }()
	defer func() {
		cancel()
		<-served
	}()
	texts := promptsFile(t, `{"prompt":"user likes drama ; item","response":"post post","max_tokens":2}`, 40)
	r, stderr := abReport(t, "pretrained:recsys-student", "http://"+l.Addr().String(), "--file", texts)
	if m := row(t, r, abtest.LogP); m.N != 40 || m.A != m.B && (m.A-m.B)*(m.A-m.B) > 1e-9 {
		t.Errorf("%+v\n%s", m, stderr)
	}
	if m := row(t, r, abtest.F1); m.N != 40 || m.A != m.B || m.Verdict != abtest.Undecided {
		t.Errorf("%+v\n%s", m, stderr)
	}
	if m := row(t, r, abtest.E2E); m.Verdict == abtest.Better {
		t.Errorf("%+v: HTTP costs time", m)
	}
}

// TestABOfSimulated: a smaller model on the same devices is faster, which ends the test and can
// fail a script.
func TestABOfSimulated(t *testing.T) {
	newHome(t)
	args := []string{"hw:h100x4/6.4b", "hw:h100x4/8b", "--requests", "60", "--input-tokens", "4000", "--output-tokens", "8"}
	r, stderr := abReport(t, append(args, "--stop", "all")...)
	if m := row(t, r, abtest.TTFT); m.Verdict != abtest.Worse || m.Decided != 20 || m.Low <= 0 || !r.Stopped || r.Asked != 20 {
		t.Errorf("%+v, %d asked\n%s", m, r.Asked, stderr)
	}
	if len(r.Metrics) != 3 || !strings.Contains(strings.Join(r.Notes, ";"), "quality is left out") {
		t.Errorf("%+v", r)
	}
	stdout, stderr, code := slimlab(t, append(append([]string{"ab"}, args...), "--fail-if-worse")...)
	if code != exitRegression || !strings.Contains(stderr, "B is worse: TTFT, TPOT, E2E") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	for _, want := range []string{"metric", "change of B", "worse", "share of traffic", "50%", "60 pairs of 60 prompts", "with probability 0.95"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	args[0], args[1] = args[1], args[0]
	if stdout, stderr, code = slimlab(t, append(append([]string{"ab"}, args...), "--fail-if-worse")...); code != exitHeld {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	r, _ = abReport(t, "hw:h100/8b", "hw:h100/8b", "--weights-b", "bf16", "--requests", "600", "--split", "0.3", "--output-tokens", "4")
	if m := row(t, r, abtest.TPOT); r.Paired || r.Share != 0.3 || r.Pairs != 0 || m.Verdict != abtest.Worse || m.Change < 0.3 {
		t.Errorf("%+v", r)
	}
}

func TestABRefuses(t *testing.T) {
	newHome(t)
	texts := promptsFile(t, `{"prompt":"a"}`, 2)
	models := []string{"pretrained:recsys-student", "pretrained:recsys-fm"}
	simulated := []string{"hw:h100/8b", "hw:h100/3b"}
	servers := []string{"http://127.0.0.1:1", "http://127.0.0.1:2"}
	for _, c := range []struct {
		targets, flags []string
		want           string
	}{
		{models[:1], nil, "expected ab A B"},
		{[]string{models[0], simulated[0]}, nil, "expected two simulated targets or none"},
		{models, []string{"--weights", "fp8"}, "--weights belongs to simulated devices"},
		{models, []string{"--model-b", "x"}, "--model-b belongs to a server"},
		{models, []string{"--token-ids"}, "--token-ids belongs to a server"},
		{[]string{models[0], servers[0]}, []string{"--dtype-b", "float32"}, "--dtype-b belongs to an engine in this process"},
		{servers, []string{"--kv", "int8"}, "--kv belongs to an engine"},
		{servers, []string{"--policy-b", "fcfs"}, "--policy-b belongs to an engine"},
		{servers, nil, "http://127.0.0.1:1: "},
		{models, []string{"--dtype-b", "float17"}, "--dtype-b"},
		{models, []string{"--policy", "fifo"}, "--policy"},
		{models, []string{"--stop", "now"}, "--stop"},
		{models, nil, "the target takes 512: expected fewer input, prefix or output tokens"},
		{models, []string{"--workload", "chat"}, "--workload"},
		{models, []string{"--format", "yaml"}, "--format"},
		{models, []string{"--requests", "0"}, "--requests 0: expected at least 1"},
		{models, []string{"--output-tokens", "0"}, "--output-tokens 0: expected at least 1"},
		{models, []string{"--workload", "ranking", "--output-tokens", "2"}, "an answer of workload ranking is one token"},
		{models, []string{"--range", "2"}, "--range 2: expected 0 to 1"},
		{models, []string{"--warm-up", "-1"}, "--warm-up -1"},
		{models, []string{"--level", "1"}, "--level 1: expected a number between 0 and 1"},
		{models, []string{"--margin", "-1%"}, "--margin -1%: expected a share"},
		{models, []string{"--margin", "x"}, "--margin x: expected a share"},
		{models, []string{"--quality-margin", "-1"}, "--quality-margin -1"},
		{models, []string{"--split", "0"}, "--split 0: expected more than 0%"},
		{models, []string{"--split", "100%"}, "--split 100%: expected more than 0%"},
		{models, []string{"--split", "1 %"}, "--split 1 %: expected a share"},
		{models, []string{"--split", "1%", "--together"}, "--together asks both arms"},
		{simulated, []string{"--together"}, "--together: simulated targets"},
		{simulated, []string{"--file", texts}, "prompt 1 is a text"},
		{models, []string{"--file", texts, "--range", "0"}, "--range belongs to generated prompts"},
		{models, []string{"--file", "absent.jsonl"}, "absent.jsonl"},
		{models, []string{"--input-tokens", "600"}, "the target takes 512"},
	} {
		stdout, stderr, code := slimlab(t, append(append([]string{"ab"}, c.targets...), c.flags...)...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("%v %v: exit %d, %s, expected %q", c.targets, c.flags, code, stderr, c.want)
		}
	}
}
