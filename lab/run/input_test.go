package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/scenario"
	"slimlab/model"
	"slimlab/model/checkpoint"
	"slimlab/model/tokenizer"
)

const baseline = `
name: baseline
task: { kind: recsys, members: 40, candidates: 2 }
models: { FM: { load: %q } }
pipeline: [ baseline: { name: FM, model: FM } ]
evaluate: { validation: 4 }
columns: [params, bytes, auc]
`

const ownData = `
name: own
task: { kind: jsonl, path: %q, max_tokens: 48 }
tokenizer: { vocab: 300 }
models:
  big: { layers: 1, hidden: 24, heads: 2, kv_heads: 1, head_dim: 8, mlp: 32 }
  little: { layers: 1, hidden: 16, heads: 2, kv_heads: 1, head_dim: 8, mlp: 16 }
pipeline:
  - train:  { name: teacher, into: big, steps: 30, batch: 4, learning_rate: 5e-3, every: 10 }
  - distil: { name: student, into: little, teacher: teacher, steps: 4, batch: 4 }
evaluate: { validation: 16 }
`

func writeJSONL(t *testing.T, bad string) string {
	t.Helper()
	var text bytes.Buffer
	for i := range 80 {
		fmt.Fprintf(&text, "{\"prompt\": \"what comes after %d?\", \"response\": \"after %d comes %d\"}\n", i, i, i+1)
		if i == 40 && bad != "" {
			text.WriteString(bad + "\n")
		}
	}
	file := filepath.Join(t.TempDir(), "own.jsonl")
	if err := os.WriteFile(file, text.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// savedTeacher is a folder with the reference's teacher.
func savedTeacher(t *testing.T) string {
	t.Helper()
	ref := theReference(t)
	folder := t.TempDir()
	if err := openHome(t, ref.home).SaveRow(ref.run, "teacher", folder); err != nil {
		t.Fatal(err)
	}
	return folder
}

// damaged is a folder with the reference's teacher in which a file is another one.
func damaged(t *testing.T, file string, change func(text []byte) []byte) string {
	t.Helper()
	folder := savedTeacher(t)
	path := filepath.Join(folder, file)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return folder
}

// without is a folder with the reference's teacher that lacks a file.
func without(t *testing.T, file string) string {
	t.Helper()
	folder := savedTeacher(t)
	if err := os.Remove(filepath.Join(folder, file)); err != nil {
		t.Fatal(err)
	}
	return folder
}

// otherTokenizer is a folder with the reference's teacher and a tokenizer that was trained on
// something else.
func otherTokenizer(t *testing.T, folder string) string {
	t.Helper()
	tok, err := tokenizer.Train(func(yield func(string) bool) { yield("yes no yes no yes no") }, 260, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := tok.Save(folder); err != nil {
		t.Fatal(err)
	}
	return folder
}

// smallModel is a folder with a model whose embedding is smaller than its tokenizer.
func smallModel(t *testing.T) string {
	t.Helper()
	folder := savedTeacher(t)
	saveRandom(t, folder, model.Config{
		Architecture: "LlamaForCausalLM", Vocab: 300, Hidden: 16, HeadDim: 8, Layers: model.Uniform(1, 2, 1, 16),
		MaxPositions: 256, RopeTheta: 1e4, NormEps: 1e-5, TiedHead: true, BOS: -1, EOS: -1,
	})
	return folder
}

// saveRandom replaces the model in a folder.
func saveRandom(t *testing.T, folder string, c model.Config) {
	t.Helper()
	m, err := model.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := checkpoint.Save(context.Background(), folder, m, nil, checkpoint.SaveOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestBadInput(t *testing.T) {
	ref := theReference(t)
	h := copyHome(t, everything)
	copyRuns(t, h)
	file := writeJSONL(t, "")
	cut := func(text []byte) []byte { return text[:len(text)-7] }
	load := func(folder string) string { return fmt.Sprintf(baseline, folder) }
	own := func(file, more string) string { return fmt.Sprintf(ownData, file) + more }
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"no folder", load("/no/such/model"), []string{"model /no/such/model: no such folder", "expected a Hugging Face folder, pretrained:NAME or run:ID/ROW"}},
		{"a file", load(file), []string{"own.jsonl: found a file", "expected a Hugging Face folder"}},
		{"an empty folder", load(t.TempDir()), []string{"model ", "expected a Hugging Face folder with config.json and model.safetensors: found no config.json"}},
		{"no tensors", load(without(t, "model.safetensors")), []string{"model ", "found neither model.safetensors nor"}},
		{"truncated tensors", load(damaged(t, "model.safetensors", cut)), []string{"model ", "model.safetensors", "truncated"}},
		{"truncated config", load(damaged(t, "config.json", cut)), []string{"model ", "config.json"}},
		{"truncated tokenizer", load(damaged(t, "tokenizer.json", cut)), []string{"model ", "tokenizer.json"}},
		{"tokenizer does not fit", load(smallModel(t)), []string{"model ", "the tokenizer does not fit: the data have token", "expected ids below 300"}},
		{"tokenizer of another world", load(otherTokenizer(t, savedTeacher(t))), []string{`recsys: tokenizer: label " yes" is`, "expected 1"}},
		{"two tokenizers", strings.Replace(load(savedTeacher(t)), "} }\npipeline: [", fmt.Sprintf("}, other: { load: %q } }\npipeline: [ baseline: { name: other, model: other },", otherTokenizer(t, savedTeacher(t))), 1),
			[]string{"models ", " have different tokenizers, expected the same"}},
		{"unknown run", load("run:nothing/FM"), []string{`model run:nothing/FM: run "nothing": not found`, "expected an id"}},
		{"unknown row", load("run:" + ref.run + "/nothing"), []string{"model run:" + ref.run + "/nothing", `row "nothing": expected one of teacher; student; pruned; healed; w8a8; w4a16`}},
		{"the last run", load("run:last/teacher"), []string{"model run:last/teacher", "expected its id"}},
		{"a bad line", own(writeJSONL(t, `{"prompt": "x", "response": 3}`), ""), []string{`own.jsonl:42: field "response" is a number, expected a string`}},
		{"half a line", own(writeJSONL(t, `{"prompt": "x", `), ""), []string{"own.jsonl:42: column 15: not JSON"}},
		{"no file", own("/no/such.jsonl", ""), []string{"open /no/such.jsonl: no such file"}},
		{"no file named", own("", ""), []string{"jsonl: no file is named, expected"}},
		{"calibration of a file", strings.Replace(own(file, ""), "evaluate:", "  - prune: { mlp: 0.5, calibration: { source: generic } }\nevaluate:", 1),
			[]string{`step prune: jsonl: calibration source "generic"`, `only "in-domain"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, err := h.Logs.List()
			if err != nil {
				t.Fatal(err)
			}
			plan := parse(t, c.text, scenario.Options{})
			_, err = Start(t.Context(), h, plan, Options{})
			var input InputError
			if !errors.As(err, &input) {
				t.Fatalf("error %v, expected an InputError", err)
			}
			t.Log(err)
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, expected %q in it", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q has more than one line", err)
			}
			if _, _, again := Check(t.Context(), h, plan); again == nil || again.Error() != err.Error() {
				t.Errorf("Check says %v, Start %v", again, err)
			}
			if after, _ := h.Logs.List(); len(after) != len(before) {
				t.Error("a run was begun")
			}
		})
	}
}

// TestOwnData: an engineer's file, in any folder.
func TestOwnData(t *testing.T) {
	h := newHome(t)
	file := writeJSONL(t, "")
	out := mustWork(t, h, parse(t, fmt.Sprintf(ownData, file), scenario.Options{}), Options{})
	view := out.Board.Snapshot()
	for _, row := range view.Rows {
		for _, key := range []string{"params", "bytes", "loss", "loss_delta", "agreement"} {
			if _, ok := row.Metric(key); !ok {
				t.Errorf("row %s lacks %s", row.Name, key)
			}
		}
	}
	for _, s := range view.Cells[0].Series {
		if s.Name != "teacher.validation" {
			continue
		}
		points := s.Points()
		if first, last := points[0].Value, points[len(points)-1].Value; len(points) != 3 || !(last < first) {
			t.Errorf("validation loss went from %v to %v in %d points", first, last, len(points))
		}
	}
	moved := filepath.Join(t.TempDir(), "moved.jsonl")
	if err := os.Rename(file, moved); err != nil {
		t.Fatal(err)
	}
	again := mustWork(t, h, parse(t, fmt.Sprintf(ownData, moved), scenario.Options{}), Options{Sink: func(e lab.Event) {
		if e.Kind == lab.KindCell && e.Total > 0 {
			t.Errorf("stage %s was trained again because its file was moved", e.Stage)
		}
	}})
	sameFigures(t, again.Board, out.Board, 1)
}
