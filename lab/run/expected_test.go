package run

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"slimlab/kd"
	"slimlab/lab"
	"slimlab/lab/scenario"
	"slimlab/lab/task"
	"slimlab/model/checkpoint"
)

// TestExpectedLabelsAreTheTasks: the divergence that a training by expected labels begins with is
// the mean KL from the task's probabilities to the model's, computed here from its
// log-probabilities in float64.
func TestExpectedLabelsAreTheTasks(t *testing.T) {
	folder := fixedModel(t)
	tok, err := newHome(t).Tokenizer(folder)
	if err != nil {
		t.Fatal(err)
	}
	cfg := task.DefaultRecsys()
	cfg.Members, cfg.Candidates = 6, 1
	rec, err := task.NewRecsys(cfg, tok)
	if err != nil {
		t.Fatal(err)
	}
	file, err := checkpoint.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	m, err := file.Model(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	examples := []kd.Example{trainable(rec.Train(1, 0)), trainable(rec.Train(1, 1)), trainable(rec.Train(1, 2))}
	d := &dataset{Task: rec, recsys: rec, tokenizer: tok}
	teacher, err := d.expected()
	if err != nil {
		t.Fatal(err)
	}
	trainer, err := kd.NewTrainer(kd.TrainConfig{
		Student: m.Clone(), Teacher: teacher, Objective: kd.Objective{Divergence: kd.ForwardKL, Sequence: 0.1},
		Next: kd.Shuffle(examples, 3, 1), Steps: 1, LearningRate: 1e-3,
	})
	if err != nil {
		t.Fatal(err)
	}
	signal, err := trainer.Signal(t.Context(), -1)
	if err != nil {
		t.Fatal(err)
	}
	// the loss of an outcome is −log q of the one that was drawn, and with the other drawn of the
	// other
	var want, n float64
	for _, e := range examples {
		expected, err := rec.Expected(e.Tokens)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range expected {
			for i, p := range x.P {
				one := kd.Example{Tokens: append([]int32(nil), e.Tokens[:x.At+1]...), Answer: make([]bool, x.At+1)}
				one.Tokens[x.At], one.Answer[x.At] = x.Tokens[i], true
				minusLogQ, _, err := kd.Loss(t.Context(), m, []kd.Example{one})
				if err != nil {
					t.Fatal(err)
				}
				want += p * (math.Log(p) + minusLogQ)
			}
			n++
		}
	}
	if want /= n; math.Abs(signal.Divergence-want) > 1e-5*want || signal.Answers != int(n) {
		t.Errorf("divergence %v nats over %d answers, expected %v over %.0f", signal.Divergence, signal.Answers, want, n)
	}
}

// TestExpectedLabelsTeachMore: with the same prompts, steps and seed, expected labels leave a model
// nearer to the world's probabilities than drawn ones, which are noise about them.
func TestExpectedLabelsTeachMore(t *testing.T) {
	const text = `
name: labels
task: { kind: recsys, members: 40, candidates: 1 }
models: { small: { layers: 1, hidden: 32, heads: 2, kv_heads: 2, head_dim: 16, mlp: 64 } }
pipeline:
  - train: { name: drawn, into: small, steps: 40, batch: 4, learning_rate: 4e-3, data: 40 }
  - train: { name: expected, into: small, steps: 40, batch: 4, learning_rate: 4e-3, data: 40, labels: expected }
evaluate: { validation: 60 }
tokenizer: { vocab: 600 }
columns: [loss]
`
	h := newHome(t)
	r, err := Start(t.Context(), h, parse(t, text, scenario.Options{}), Options{Now: clock()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Work(t.Context()); err != nil {
		t.Fatal(err)
	}
	board := r.Board.Snapshot()
	said := ""
	for _, n := range board.Notes {
		if n.Level == lab.Info {
			said += n.Text + "\n"
		}
	}
	for _, text := range []string{"drawn minimises 0.95·mean_A[CE]", "expected minimises 0.95·mean_A[KL(p‖q)] + 0.05·mean_S[CE]", "expected: first batch: 4 examples"} {
		if !strings.Contains(said, text) {
			t.Errorf("notes lack %q:\n%s", text, said)
		}
	}
	loss := map[string]float64{}
	for i := range board.Rows {
		of, _ := board.Rows[i].Metric("loss")
		loss[board.Rows[i].Label()] = of.Seeds[0].Value
	}
	if !(loss["expected"] < loss["drawn"]) {
		t.Errorf("losses on validation labels: %v, expected a lower one by expected labels", loss)
	}
}

// TestExpectedLabelsNeedAWorld: a task whose answers have no known probabilities is refused before
// anything is trained.
func TestExpectedLabelsNeedAWorld(t *testing.T) {
	text := fmt.Sprintf(onRecords, writeJSONL(t, ""))
	text = strings.Replace(text, "steps: 3, batch: 4", "steps: 3, batch: 4, labels: expected", 1)
	_, err := scenario.Parse("test.yaml", []byte(text), scenario.Options{Vocabulary: Vocabulary()})
	if err == nil || !strings.Contains(err.Error(), "labels is expected, and the probabilities of the answers of task jsonl are not known") {
		t.Errorf("error %v", err)
	}
}
