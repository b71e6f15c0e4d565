package run

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/eval"
	"slimlab/lab/scenario"
	"slimlab/lab/task"
)

// asked writes questions of two choices each.
func asked(t *testing.T, n int) string {
	t.Helper()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"query": "add %d and %d", "choices": ["%d+%d=%d", "%d+%d=%d"], "gold": %d}`+"\n", i%9+1, i%7+1, i%9+1, i%7+1, i%9+i%7+2, i%7+1, i%9+2, i, i%2)
	}
	path := filepath.Join(t.TempDir(), "questions.jsonl")
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

const onQuestions = `
name: questions
task: { kind: jsonl, path: %q, max_tokens: 48, validation: 0.25 }
tokenizer: { vocab: 280 }
models: { little: { layers: 1, hidden: 16, heads: 2, kv_heads: 1, head_dim: 8, mlp: 32 } }
pipeline:
  - train: { name: whole, into: little, steps: 20, batch: 4, learning_rate: 1e-2 }
  - prune: { name: half, method: magnitude, mlp: 0.5 }
evaluate: { validation: 16, choice: %q, choice_limit: 40 }
columns: [%s]
`

// TestQuestions: the accuracy is that of slimlab eval's acc_norm on the same model, a guess's is
// marked, flips are counted from answer to answer, and an answer is not asked for twice.
func TestQuestions(t *testing.T) {
	h, data, file := newHome(t), sums(t), asked(t, 60)
	text := fmt.Sprintf(onQuestions, data, file, "choice_accuracy, choice_flips")
	out := mustWork(t, h, parse(t, text, scenario.Options{}), Options{})
	view := out.Board.Snapshot()
	value := func(row int, key string) lab.SeedMeasure {
		s, ok := view.Rows[row].Metric(key)
		if !ok {
			t.Fatalf("%s has no %s", view.Rows[row].Name, key)
		}
		return s.Seeds[0]
	}
	of := make([]float64, 2)
	for row, name := range []string{"whole", "half"} {
		source, err := eval.NewSource(h, "run:"+out.Run+"/"+name, "float32", "", "")
		if err != nil {
			t.Fatal(err)
		}
		e, err := eval.Run(t.Context(), []eval.Source{source}, eval.Options{Choices: []string{file}, Limit: 40, Cue: task.DefaultCue})
		if err != nil {
			t.Fatal(err)
		}
		for _, figure := range e.Results {
			if figure.Metric == "acc_norm" {
				of[row] = figure.Values[0].Value
			}
		}
		m := value(row, "choice_accuracy")
		if m.Value != of[row] || m.N != 40 || !(m.Low < m.Value && m.Value < m.High) || m.Influence == nil || m.Influence.Units != 40 {
			t.Errorf("%s: %+v, slimlab eval has %v", name, m, of[row])
		}
		if chance := m.Low <= 0.5 && 0.5 <= m.High; chance != strings.Contains(m.Warning, "at chance: a guess has 0.5000") {
			t.Errorf("%s: [%v, %v], warning %q", name, m.Low, m.High, m.Warning)
		}
	}
	if f := value(0, "choice_flips"); f.Value != 0 || f.Low != f.High {
		t.Errorf("the baseline flips %+v", f)
	}
	if f := value(1, "choice_flips"); f.Value < math.Abs(of[1]-of[0]) || f.N != 40 {
		t.Errorf("%+v flips between accuracies of %v", f, of)
	}
	again := mustWork(t, h, parse(t, text, scenario.Options{}), Options{Sink: func(e lab.Event) {
		if e.Kind == lab.KindCell && e.Text == "choices" {
			t.Error("questions are asked again")
		}
	}})
	sameFigures(t, again.Board, out.Board, 1)
}

// TestQuestionsThatCannotBe: a file of none is refused before anything is computed; questions that
// no column asks for are not asked.
func TestQuestionsThatCannotBe(t *testing.T) {
	for path, want := range map[string]string{filepath.Join(t.TempDir(), "none.jsonl"): "none.jsonl", sums(t): "sums.jsonl:1: "} {
		_, _, err := Check(t.Context(), newHome(t), parse(t, fmt.Sprintf(onQuestions, sums(t), path, "loss"), scenario.Options{}))
		if err == nil || !strings.HasPrefix(err.Error(), "test.yaml:9:") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	view := mustWork(t, newHome(t), parse(t, fmt.Sprintf(onQuestions, sums(t), asked(t, 8), "loss"), scenario.Options{}), Options{}).Board.Snapshot()
	if _, ok := view.Rows[0].Metric("choice_accuracy"); ok {
		t.Error("questions are asked that no column shows")
	}
}
