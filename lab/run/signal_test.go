package run

import (
	"fmt"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/scenario"
)

// TestTrainingSaysWhatItDoes: before its first step a distillation says what it minimises and what
// its teacher tells; a teacher that is the student is warned of, and a training that stops early
// says when and why.
func TestTrainingSaysWhatItDoes(t *testing.T) {
	const text = `
name: signal
task: { kind: recsys, members: 6, candidates: 1 }
models: { fixed: { load: %q } }
pipeline:
  - baseline: { name: base, model: fixed }
  - distil: { name: self, from: base, teacher: fixed, loss: jsd:0.001, steps: 1, batch: 2 }
  - train: { name: spoilt, from: base, steps: 40, batch: 2, learning_rate: 1, schedule: constant, every: 2, patience: 3 }
evaluate: { validation: 4 }
columns: [loss]
`
	r, err := Start(t.Context(), newHome(t), parse(t, fmt.Sprintf(text, fixedModel(t)), scenario.Options{}), Options{Now: clock()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Work(t.Context()); err != nil {
		t.Fatal(err)
	}
	said := map[lab.Level]string{}
	for _, n := range r.Board.Snapshot().Notes {
		said[n.Level] += n.Text + "\n"
	}
	for level, texts := range map[lab.Level][]string{
		lab.Info: {
			"self minimises 0.95·mean_A[0.9·(0.001·KL(p‖m)", "self: first batch: 2 examples of ", "divergence 0 nats an answer token",
			"spoilt minimises 0.95·mean_A[CE] + 0.05·mean_S[CE]", "spoilt: stopped after step ", " of 40: no lower validation loss than ", "in 3 evaluations",
		},
		lab.Warning: {"self: the teacher is the student, weight for weight", "self: jsd with β 0.001 is at most"},
	} {
		for _, text := range texts {
			if !strings.Contains(said[level], text) {
				t.Errorf("%v notes lack %q:\n%s", level, text, said[level])
			}
		}
	}
}
