package run

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slimlab/lab"
	"slimlab/lab/scenario"
)

// onFiles is a scenario of all that a run reads from outside: a loaded model, with its tokenizer,
// and a file of records.
const onFiles = `
name: files
task: { kind: jsonl, path: %q, max_tokens: 48 }
models:
  given: { load: %q }
  little: { layers: 1, hidden: 16, heads: 2, kv_heads: 1, head_dim: 8, mlp: 32 }
pipeline:
  - baseline: { name: given, model: given }
  - distil:   { name: student, into: little, teacher: given, steps: 4, batch: 4, learning_rate: 5e-3 }
  - prune:    { name: pruned, mlp: 0.5, calibration: { samples: 4 } }
  - quantize: { name: small, scheme: w4a16, group: 8, calibration: { samples: 4 } }
evaluate: { validation: 16 }
`

// TestNothingIsMixed: a run that is interrupted in its middle, and whose files or scenario change
// then, ends with the figures of a run that has seen the changed ones alone.
func TestNothingIsMixed(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 9))
	for _, c := range []struct {
		input  string
		change func(content []byte) []byte
	}{
		{"config.json", func(b []byte) []byte { return append(b, ' ') }},
		{"tokenizer.json", func(b []byte) []byte { return append(b, '\n') }},
		{"tokenizer_config.json", func(b []byte) []byte { return append(b, ' ') }},
		{"model.safetensors", func(b []byte) []byte { b[len(b)-2*(1+random.IntN(500))] ^= 0x40; return b }},
		{"data", func(b []byte) []byte {
			return []byte(strings.Replace(string(b), "after 7 comes", "after 7 follows", 1))
		}},
		{"data", func(b []byte) []byte { return append(b, []byte(`{"prompt": "one more", "response": "line"}`+"\n")...) }},
		{"scenario", func(b []byte) []byte { return []byte(strings.Replace(string(b), "5e-3", "6e-3", 1)) }},
		{"scenario", func(b []byte) []byte { return []byte(strings.Replace(string(b), "mlp: 0.5", "mlp: 0.25", 1)) }},
	} {
		t.Run(c.input, func(t *testing.T) {
			folder, data := savedTeacher(t), writeJSONL(t, "")
			text := fmt.Sprintf(onFiles, data, folder)
			h := newHome(t)
			if _, err := workUntil(t, h, parse(t, text, scenario.Options{}), Options{Now: clock()}, func(e lab.Event) bool { return place(e) == "pruned/evaluate/0" }); err == nil {
				t.Fatal("the run was not interrupted")
			}
			switch c.input {
			case "scenario":
				text = string(c.change([]byte(text)))
			default:
				path := filepath.Join(folder, c.input)
				if c.input == "data" {
					path = data
				}
				content, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				changed := c.change(append([]byte(nil), content...))
				if string(changed) == string(content) {
					t.Fatal("the case changes nothing")
				}
				if err := os.WriteFile(path, changed, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			alone := mustWork(t, newHome(t), parse(t, text, scenario.Options{}), Options{})
			resumed := mustWork(t, h, parse(t, text, scenario.Options{}), Options{})
			sameFigures(t, resumed.Board, alone.Board, 1)
		})
	}
}

// TestModelThatChangesInARun: what is made of a loaded model has the name of its content, so a
// model that is written after the run began is an error, and nothing is kept of it.
func TestModelThatChangesInARun(t *testing.T) {
	folder := savedTeacher(t)
	text := fmt.Sprintf(`
name: loaded
task: { kind: recsys, members: 40, candidates: 2 }
models: { given: { load: %q }, little: { layers: 1, hidden: 16, heads: 2 } }
pipeline:
  - train: { name: first, into: little, steps: 3 }
  - quantize: { name: small, from: given, scheme: w8a8 }
evaluate: { validation: 4 }
`, folder)
	h := newHome(t)
	plan := parse(t, text, scenario.Options{})
	_, err := work(t, h, plan, Options{Now: clock(), Sink: func(e lab.Event) {
		if place(e) == "first//2" {
			path := filepath.Join(folder, "model.safetensors")
			content, err := os.ReadFile(path)
			if err != nil {
				t.Error(err)
			}
			content[len(content)-2] ^= 1
			if err := os.WriteFile(path, content, 0o644); err != nil {
				t.Error(err)
			}
			later := time.Now().Add(time.Hour)
			if err := os.Chtimes(path, later, later); err != nil {
				t.Error(err)
			}
		}
	}})
	if err == nil || !strings.Contains(err.Error(), "step small: model "+folder) || !strings.Contains(err.Error(), "model.safetensors changed while it was read") {
		t.Fatalf("got %v", err)
	}
	if n := len(artifactDirs(t, h, func(title string) bool { return title == "quantize small" })); n != 0 {
		t.Error("a model was made of the changed weights under the name of the first")
	}
	mustWork(t, h, plan, Options{})
}
