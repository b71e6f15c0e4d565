package run

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/scenario"
)

// TestRowsWithKVCaches: rows of the same weights are measured with the KV cache that their step
// names, in all that reads the model; the model is built once, and the baseline, which is one of
// them, keeps its own.
func TestRowsWithKVCaches(t *testing.T) {
	const caches = `
name: caches
task: { kind: recsys, members: 20, candidates: 2 }
models: { FM: { load: "pretrained:recsys-fm" } }
pipeline:
  - baseline: { name: FM, model: FM }
  - quantize: { name: plain, from: FM, scheme: none }
  - quantize: { name: whole, from: FM, scheme: none, kv: float32 }
  - quantize: { name: kv4, from: FM, scheme: none, kv: int4 }
  - quantize: { name: k8v4, from: FM, scheme: none, kv: k8v4 }
  - quantize: { name: after, from: kv4, scheme: none }
evaluate: { validation: 16, choice: %q }
serve: { members: 2, candidates: 2 }
baseline: plain
columns: [kv_bytes_per_token, choice_accuracy, auc_soft, kl, agreement, loss, ttft_hot_p50]
`
	file := filepath.Join(t.TempDir(), "questions.jsonl")
	var lines []byte
	for i := range 40 {
		lines = fmt.Appendf(lines, `{"query":"member %d likes","choices":["item %d of the set","no item at all %d"],"gold":%d}`+"\n", i, 3*i, i*i, i%2)
	}
	if err := os.WriteFile(file, lines, 0o644); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(caches, file)
	h := newHome(t)
	board := mustWork(t, h, parse(t, text, scenario.Options{}), Options{}).Board
	view := board.Snapshot()
	values := map[string]map[string]lab.Summary{}
	for _, row := range view.Rows {
		values[row.Name] = row.Values
	}
	for row, want := range map[string]float64{"FM": 2048, "plain": 2048, "whole": 4096, "kv4": 4 * 4 * 2 * (16 + 2), "k8v4": 4 * 4 * (32 + 4 + 16 + 2), "after": 2048} {
		if got := values[row]["kv_bytes_per_token"].Value; got != want {
			t.Errorf("%s: %v bytes a token, expected %v", row, got, want)
		}
	}
	for _, key := range []string{"kl", "loss", "auc_soft"} {
		if a, b := values["kv4"][key].Value, values["plain"][key].Value; a == b {
			t.Errorf("%s is %v with the cache in int4 and without", key, a)
		}
		if a, b := values["kv4"][key].Value, values["k8v4"][key].Value; a == b {
			t.Errorf("%s is %v with the cache in int4 and with keys in int8", key, a)
		}
	}
	for _, key := range []string{"kl", "loss", "auc_soft"} {
		if a, b := values["after"][key].Value, values["plain"][key].Value; a != b {
			t.Errorf("a step after the cache in int4 has %s %v, the model %v", key, a, b)
		}
	}
	if kl := values["kv4"]["kl"].Value; kl < values["k8v4"]["kl"].Value || kl > 0.01 || values["plain"]["kl"].Value != 0 {
		t.Errorf("KL is %v with int4, %v with keys in int8, %v with the cache of the baseline", kl, values["k8v4"]["kl"].Value, values["plain"]["kl"].Value)
	}
	entries, err := h.Artifacts.Entries()
	if err != nil {
		t.Fatal(err)
	}
	built := map[string]int{}
	for _, e := range entries {
		built[e.Stage]++
	}
	if built["choices"] != 6 { // of FM, of its copy with four caches, and of the copy's copy
		t.Errorf("artifacts %v, expected 6 of choices", built)
	}
	if built["quantize"] != 2 { // of FM and of its copy
		t.Errorf("artifacts %v, expected 2 of quantize", built)
	}
	// Beside a run of the same models with another cache, figures that differ are no riddle.
	other := mustWork(t, h, parse(t, strings.Replace(text, "scheme: none, kv: int4", "scheme: none, kv: int4-plain", 1), scenario.Options{}), Options{}).Board.Snapshot()
	judged := 0
	for _, one := range report.Compare(view, other).Changes {
		if one.Row == "kv4" && one.Metric.Key == "loss" {
			judged++
			if one.Base.Value == one.New.Value || strings.Contains(strings.Join(one.Warnings, "; "), "yet other bits") {
				t.Errorf("loss from %v to %v with another cache: %v", one.Base.Value, one.New.Value, one.Warnings)
			}
		}
	}
	if judged != 1 {
		t.Errorf("the loss of kv4 was compared %d times", judged)
	}
	said := 0
	for _, n := range view.Notes {
		if strings.Contains(n.Text, "KV cache of int4: keys and values in int4, heads rotated; it is a setting of slimlab's engine") {
			said++
		}
	}
	if said != 1 {
		t.Errorf("the cache is said %d times in %v", said, view.Notes)
	}
}

// TestKVCacheThatDoesNotFit: the key is checked against the heads before anything runs.
func TestKVCacheThatDoesNotFit(t *testing.T) {
	const text = `
name: caches
task: { kind: recsys, members: 20, candidates: 2 }
tokenizer: { vocab: 600 }
models: { odd: { layers: 1, hidden: 12, heads: 2, head_dim: 6, mlp: 8 } }
pipeline:
  - train: { name: first, into: odd, steps: 1, batch: 2 }
  - quantize: { name: q, from: first, scheme: none, kv: int4 }
`
	_, _, err := Check(t.Context(), newHome(t), parse(t, text, scenario.Options{}))
	if err == nil || !strings.Contains(err.Error(), "step q's kv is int4: head dim is 6") {
		t.Errorf("found %v", err)
	}
	if _, err := scenario.Parse("x.yaml", []byte(strings.Replace(text, "kv: int4", "kv: k8v44", 1)), scenario.Options{Vocabulary: Vocabulary()}); err == nil || !strings.Contains(err.Error(), "k8v4") {
		t.Errorf("k8v44: %v", err)
	}
}
