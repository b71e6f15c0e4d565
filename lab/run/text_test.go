package run

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/scenario"
)

// story writes a text that a tiny model can learn something of.
func story(t *testing.T, lines int) string {
	t.Helper()
	var b strings.Builder
	who, what := []string{"the cat", "the dog", "a small bird"}, []string{"sleeps", "sings to the moon", "eats"}
	for i := range lines {
		fmt.Fprintf(&b, "%s %s and then %s %s.\n", who[i%3], what[i*i%3], who[(i+i/7)%3], what[i/3%3])
	}
	path := filepath.Join(t.TempDir(), "story.txt")
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const onText = `
name: text
task: { kind: text, path: %q, length: 32, test: 0.1 }
tokenizer: { vocab: 280 }
models: { little: { layers: 1, hidden: 16, heads: 2, kv_heads: 1, head_dim: 8, mlp: 32 } }
pipeline:
  - train:    { name: whole, into: little, steps: 20, batch: 4, learning_rate: 1e-2 }
  - prune:    { name: half, mlp: 0.5, calibration: { samples: 16 } }
  - quantize: { name: small, from: whole, scheme: w4a16-gptq, group: 8, calibration: { samples: 16 } }
evaluate: { validation: 1000 }
`

// TestText: a file of text is enough to train, prune, quantize and judge by; its figures are those
// of the windows, and a run that finds them has the same.
func TestText(t *testing.T) {
	h := newHome(t)
	file := story(t, 120)
	out := mustWork(t, h, parse(t, fmt.Sprintf(onText, file), scenario.Options{}), Options{})
	view := out.Board.Snapshot()
	for _, row := range view.Rows {
		of := map[string]lab.SeedMeasure{}
		for _, m := range lab.Metrics() {
			if s, ok := row.Metric(m.Key); ok {
				of[m.Key] = s.Seeds[0]
			}
		}
		for _, key := range []string{"loss", "loss_test", "loss_delta", "perplexity", "kl", "kl_p99", "agreement", "flips", "flips_lost", "flips_won", "mcnemar", "effective_bits"} {
			if _, ok := of[key]; !ok {
				t.Errorf("row %s lacks %s", row.Name, key)
			}
		}
		if of["loss"].N%31 != 0 || math.Abs(math.Log(of["perplexity"].Value)-of["loss"].Value) > 1e-9 {
			t.Errorf("row %s: a loss of %+v, perplexity %+v", row.Name, of["loss"], of["perplexity"])
		}
		if row.Name == "half" && !(of["flips"].Value > 0 && of["kl"].Value > 0 && of["kl"].Low < of["kl"].Value && of["loss_test"].N%31 == 0) {
			t.Errorf("a pruned model is the same: %+v, %+v", of["flips"], of["kl"])
		}
	}
	moved := filepath.Join(t.TempDir(), "moved.txt")
	if err := os.Rename(file, moved); err != nil {
		t.Fatal(err)
	}
	again := mustWork(t, h, parse(t, fmt.Sprintf(onText, moved), scenario.Options{}), Options{Sink: func(e lab.Event) {
		if e.Kind == lab.KindCell && e.Total > 0 {
			t.Errorf("stage %s was trained again because its file was moved", e.Stage)
		}
	}})
	sameFigures(t, again.Board, out.Board, 1)
}

// TestTextOfALoadedModel: windows are no longer than the model's positions, which is said, and are
// of its tokens.
func TestTextOfALoadedModel(t *testing.T) {
	text := fmt.Sprintf(`
name: loaded
task: { kind: text, path: %q, length: 4096 }
models: { fixed: { load: %q } }
pipeline: [ baseline: { name: base, model: fixed } ]
columns: [perplexity]
`, story(t, 600), fixedModel(t))
	r, err := Start(t.Context(), newHome(t), parse(t, text, scenario.Options{}), Options{Jobs: 1, Now: clock()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Work(t.Context()); err != nil {
		t.Fatal(err)
	}
	view := r.Board.Snapshot()
	if s, ok := view.Rows[0].Metric("perplexity"); !ok || s.Seeds[0].N%511 != 0 {
		t.Errorf("%+v", s)
	}
	said := false
	for _, n := range view.Notes {
		said = said || strings.Contains(n.Text, "length is 4096, and the loaded models have 512 positions: windows have 512 tokens")
	}
	if !said {
		t.Errorf("notes are %v", view.Notes)
	}
}

// TestTextsThatCannotBe are refused before anything is computed, with the place in the scenario.
func TestTextsThatCannotBe(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.txt")
	if err := os.WriteFile(empty, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, old, new, want string }{
		{empty, "", "", "empty.txt"},
		{filepath.Join(t.TempDir(), "none.txt"), "", "", "none.txt"},
		{story(t, 4), "", "", "windows of 32, expected at least 3 windows"},
		{"", "", "", "no file is named"},
	} {
		_, _, err := Check(t.Context(), newHome(t), parse(t, fmt.Sprintf(onText, c.path), scenario.Options{}))
		if err == nil || !strings.HasPrefix(err.Error(), "test.yaml:3:") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, expected %q", c.path, err, c.want)
		}
	}
}
