package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBenchServe: an engine here and one on simulated devices give the same report of the same
// workload, with its exports.
func TestBenchServe(t *testing.T) {
	newHome(t)
	for _, c := range []struct {
		target string
		more   []string
		says   string
	}{
		{"pretrained:recsys-student", []string{"--rate", "200", "--cache-bytes", "4MiB"}, "an engine in this process"},
		{"hw:h100x4/2.1b", []string{"--rate", "2", "--replicas", "2", "--router", "cache-aware"}, "2 replicas behind a router (cache-aware)"},
	} {
		dir := t.TempDir()
		file := func(name string) string { return filepath.Join(dir, name) }
		args := append([]string{
			"bench-serve", c.target, "--workload", "shared-prefix", "--groups", "3", "--requests", "30", "--prefix-tokens", "64", "--input-tokens", "8", "--output-tokens", "4",
			"--goodput", "ttft:10s", "--definitions", "--export", "json=" + file("a.json"), "--export", "jsonl=" + file("a.jsonl"), "--export", "html=" + file("a.html"),
		}, c.more...)
		stdout, stderr, code := slimlab(t, args...)
		if code != exitHeld {
			t.Fatalf("%s: exit %d\n%s", c.target, code, stderr)
		}
		for _, want := range []string{c.says, "requests 30: 30 answered", "TTFT", "P99", "few-for-p99", "goodput", "cached share", "(E2E − TTFT) / (output tokens − 1)"} {
			if !strings.Contains(stdout, want) {
				t.Errorf("%s: no %q in\n%s", c.target, want, stdout)
			}
		}
		var figures map[string]any
		text, err := os.ReadFile(file("a.json"))
		if err == nil {
			err = json.Unmarshal(text, &figures)
		}
		if err != nil || figures["completed"] != 30.0 || figures["total_input_tokens"] != 30.0*72 || figures["total_output_tokens"] != 30.0*4 {
			t.Errorf("%s: %v, JSON\n%s", c.target, err, text)
		}
		if text, err = os.ReadFile(file("a.jsonl")); err != nil || strings.Count(string(text), "\n") != 30 {
			t.Errorf("%s: %v, requests\n%s", c.target, err, text)
		}
		if text, err = os.ReadFile(file("a.html")); err != nil || !strings.Contains(string(text), "<svg") {
			t.Errorf("%s: %v, a page of %d bytes", c.target, err, len(text))
		}
	}
}

func TestBenchServeErrors(t *testing.T) {
	newHome(t)
	for _, c := range []struct{ args, says string }{
		{"hw:h100x4", "expected hw:DEVICES/SHAPE, such as hw:h100x4/8b"},
		{"hw:h101/8b", `device "h101"`},
		{"hw:h100/9b", `model shape "9b"`},
		{"hw:h100x4/8b --calibration sglang", `calibration "sglang"`},
		{"hw:a100/8b", "has no products in fp8"},
		{"hw:h100/8b --dtype float32", "--dtype belongs to an engine in this process, and hw:h100/8b is simulated devices"},
		{"hw:h100/8b --vocabulary 3", "--vocabulary belongs to a server"},
		{"http://127.0.0.1:1 --replicas 2", "--replicas belongs to simulated devices"},
		{"http://127.0.0.1:1 --policy lpm", "--policy belongs to an engine"},
		{"http://127.0.0.1:1 --requests 1", "connection refused"},
		{"hw:h100/8b --workload rank", `--workload "rank"`},
		{"hw:h100/8b --arrivals uniform", `--arrivals "uniform"`},
		{"hw:h100/8b --workload mooncake", "have a file"},
		{"hw:h100/8b --file x", "have a file"},
		{"hw:h100/8b --workload mooncake --file nothing.jsonl", "nothing.jsonl"},
		{"hw:h100/8b --turns 3", "--turns belongs to workload chat"},
		{"hw:h100/8b --burstiness 3", "--burstiness belongs to arrivals gamma"},
		{"hw:h100/8b --arrivals closed --rate 3", "--rate belongs to arrivals over time"},
		{"hw:h100/8b --router cache-aware", "--router belongs to several --replicas"},
		{"hw:h100/8b --rate 0", "rate of 0"},
		{"hw:h100/8b --requests 0", "--requests 0"},
		{"hw:h100/8b --in-flight 0", "--in-flight 0"},
		{"hw:h100/8b --warm-up -1", "--warm-up -1"},
		{"hw:h100/8b --range 2", "--range 2"},
		{"hw:h100/8b --length -1s", "--length -1s"},
		{"hw:h100/8b --goodput fast", `found "fast"`},
		{"hw:h100/8b --replicas 0", "--replicas 0: expected at least 1"},
		{"hw:h100/8b --cache-tokens -5", "--cache-tokens -5: expected at least 1"},
		{"hw:h100/8b --arrivals ramp", "--arrivals ramp: expected --rate-to"},
		{"hw:h100/8b --export csv=x", "format"},
		{"hw:h100/8b --export json", "expected FORMAT=FILE"},
		{"hw:h100/8b --labels a", "--labels belongs to workload ranking"},
		{"hw:h100/8b --workload ranking --labels a", `found "a"`},
		{"hw:h100/8b --workload ranking --output-tokens 4", "an answer of workload ranking is one token"},
		{"hw:h100/8b --input-tokens 9999999", "the target takes"},
		{"http://127.0.0.1:1 --workload ranking --score", "found no --labels"},
		{"nothing/here", "no such folder"},
	} {
		if _, stderr, code := slimlab(t, append([]string{"bench-serve"}, strings.Fields(c.args)...)...); code != exitUsage || !strings.Contains(stderr, c.says) {
			t.Errorf("bench-serve %s: exit %d\n%s\nexpected %q", c.args, code, stderr, c.says)
		}
	}
}

func TestCapacity(t *testing.T) {
	newHome(t)
	stdout, stderr, code := slimlab(t, "capacity", "hw:h100/8b", "hw:h100x4/8b", "hw:l40s/8b", "--slo", "ttft:p99:300ms", "--requests", "100", "--input-tokens", "2000", "--seeds", "2", "--format", "json")
	if code != exitHeld {
		t.Fatalf("exit %d\n%s", code, stderr)
	}
	var out struct {
		Capacity []found `json:"capacity"`
	}
	if err := json.Unmarshal([]byte(stdout), &out); err != nil || len(out.Capacity) != 3 {
		t.Fatalf("%v\n%s", err, stdout)
	}
	one, four := out.Capacity[0], out.Capacity[1]
	if !(one.Rate > 0 && one.Low <= one.Rate && one.Rate <= one.High && four.Rate > 2*one.Rate) || float64(one.TTFT99) > 0.3 || one.Joules == nil {
		t.Errorf("capacities\n%s", stdout)
	}
	stdout, stderr, code = slimlab(t, "capacity", "hw:h100/8b", "hw:h100x3/8b", "--slo", "ttft:p99:300ms", "--requests", "100", "--input-tokens", "2000")
	if code != exitUsage || !strings.Contains(stdout, "hw:h100/8b") || !strings.Contains(stderr, "expected a multiple of 3") {
		t.Errorf("a second target that cannot be: exit %d\n%s\n%s\nexpected the first one's capacity", code, stdout, stderr)
	}
	for _, c := range []struct{ args, says string }{
		{"hw:h100/8b", "--slo: found none"},
		{"hw:h100/8b --slo ttft", "--slo: found"},
		{"hw:h100/8b --slo ttft:p99:1s --seeds 0", "--seeds 0"},
		{"hw:h100/8b --slo ttft:p99:1s --arrivals closed", "have no rate"},
		{"hw:h100/8b --slo ttft:p99:1s --format csv", "--format"},
		{"hw:h100/8b --slo ttft:p99:1s --goodput ttft:1s", "--goodput belongs to bench-serve"},
		{"hw:h100/9b --slo ttft:p99:1s", "hw:h100/9b: "},
	} {
		if _, stderr, code := slimlab(t, append([]string{"capacity"}, strings.Fields(c.args)...)...); code != exitUsage || !strings.Contains(stderr, c.says) {
			t.Errorf("capacity %s: exit %d\n%s\nexpected %q", c.args, code, stderr, c.says)
		}
	}
}
