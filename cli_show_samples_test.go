package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestShowSamples: the samples of an on-policy step are shown as text and as JSON; a run without
// such a step says that it has none.
func TestShowSamples(t *testing.T) {
	file := newHome(t)
	var records strings.Builder
	for i := range 40 {
		fmt.Fprintf(&records, `{"prompt": "add %d and %d: ", "response": "%d+%d=%d"}`+"\n", i%9, i%7, i%9, i%7, i%9+i%7)
	}
	data := filepath.Join(filepath.Dir(file), "sums.jsonl")
	if err := os.WriteFile(data, []byte(records.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`name: written
task: { kind: jsonl, path: %q, max_tokens: 64 }
tokenizer: { vocab: 270 }
models: { shape: { hidden: 16, head_dim: 8, layers: 1, heads: 2, kv_heads: 1, mlp: 16 } }
pipeline:
  - train: { name: teacher, into: shape, steps: 2, batch: 2 }
  - distil: { name: student, into: shape, teacher: teacher, samples: { fraction: 1, tokens: 5 }, steps: 3, batch: 2 }
evaluate: { validation: 2 }
columns: [loss]
`, data)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	_, _ = output(t, exitHeld, "run", file)
	if out, _ := output(t, exitHeld, "show", "last", "--samples"); !strings.HasPrefix(out, "student\n  step 1, student, ") || strings.Count(out, "    prompt  add ") != 6 {
		t.Errorf("text is\n%s", out)
	}
	out, _ := output(t, exitHeld, "show", "last", "--samples", "--format", "json")
	var doc struct {
		Schema  string
		Samples []struct{ Stage, By string }
	}
	if err := json.Unmarshal([]byte(out), &doc); err != nil || doc.Schema != "slimlab.samples/1" || len(doc.Samples) != 6 || doc.Samples[0].Stage != "student" || doc.Samples[0].By != "student" {
		t.Errorf("%v: JSON is %s", err, out)
	}
	if out, _ := output(t, exitHeld, "show", "demo", "--samples"); !strings.Contains(out, "has no sample: none of its steps learns from sampled answers") {
		t.Errorf("the demo has %q", out)
	}
	for want, args := range map[string][]string{"not both": {"--where", "x"}, "expected --samples or --tokens": {"--tokens", "student"}, "expected one of table, json": {"--format", "csv"}} {
		if _, errs := output(t, exitUsage, append([]string{"show", "last", "--samples"}, args...)...); !strings.Contains(errs, want) {
			t.Errorf("%q: %s", args, errs)
		}
	}
}
