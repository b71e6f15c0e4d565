package kd

import (
	"bytes"
	"context"
	"math"
	"strings"
	"testing"
)

// stateConfig trains in ten steps, whose best is kept.
func stateConfig(t testing.TB) TrainConfig {
	return TrainConfig{
		Student: tinyModel(t, tinyConfig(13, 8), 1), Teacher: inMemory(tinyModel(t, tinyConfig(13, 12), 2)), Objective: Objective{Divergence: ForwardKL, CE: 0.1},
		Next: Shuffle(tinyExamples(9, 13, 3), 4, 1), Steps: 10, LearningRate: 1e-2, WarmUp: 2, WeightDecay: 0.01,
		Validation: tinyExamples(3, 13, 8), EvalEvery: 2, KeepBest: true,
	}
}

func stateTrainer(t testing.TB, steps int) *Trainer {
	t.Helper()
	tr, err := NewTrainer(stateConfig(t))
	if err != nil {
		t.Fatal(err)
	}
	advance(t, tr, steps)
	return tr
}

func advance(t testing.TB, tr *Trainer, steps int) {
	t.Helper()
	for range steps {
		if _, err := tr.Step(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

func saved(t testing.TB, tr *Trainer) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := tr.Save(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestRestoredTrainingHasTheSameBits: a training that is saved after any step and restored in a new
// trainer ends with the weights, the moments, the best and the report of one that was not.
func TestRestoredTrainingHasTheSameBits(t *testing.T) {
	whole := stateTrainer(t, 10)
	want := saved(t, whole)
	for at := range 11 {
		tr := stateTrainer(t, 0)
		if err := tr.Restore(bytes.NewReader(saved(t, stateTrainer(t, at)))); err != nil {
			t.Fatalf("after step %d: %v", at, err)
		}
		advance(t, tr, 10-at)
		if !bytes.Equal(saved(t, tr), want) {
			t.Errorf("restored after step %d the training ends otherwise", at)
		}
		whole.RestoreBest()
		tr.RestoreBest()
		if !sameBits(tr.flat, whole.flat) || tr.Result().BestStep != whole.Result().BestStep {
			t.Errorf("restored after step %d the best is another", at)
		}
	}
}

// TestDamagedStateChangesNothing: a state that is cut short, changed at any byte, or of another
// training is refused, and the trainer stays as it was.
func TestDamagedStateChangesNothing(t *testing.T) {
	state := saved(t, stateTrainer(t, 4))
	tr := stateTrainer(t, 2)
	before := saved(t, tr)
	refused := func(what string, state []byte, want string) {
		t.Helper()
		err := tr.Restore(bytes.NewReader(state))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", what, err, want)
		}
		if !bytes.Equal(saved(t, tr), before) {
			t.Fatalf("%s: the trainer is changed", what)
		}
	}
	for n := 0; n < len(state); n += 1 + len(state)/97 {
		refused("cut short", state[:n], "cut short")
		damaged := bytes.Clone(state)
		damaged[n] ^= 0x10
		refused("changed", damaged, "training state")
	}
	other := stateConfig(t)
	other.Steps = 9
	of, err := NewTrainer(other)
	if err != nil {
		t.Fatal(err)
	}
	advance(t, of, 3)
	refused("of 9 steps", saved(t, of), "after step 3 of 9, expected one of 10 steps")
	other = stateConfig(t)
	other.Student = tinyModel(t, tinyConfig(13, 16), 1)
	if of, err = NewTrainer(other); err != nil {
		t.Fatal(err)
	}
	refused("of another model", saved(t, of), "expected 0 to")
}

func FuzzRestore(f *testing.F) {
	state := saved(f, stateTrainer(f, 4))
	f.Add(state)
	f.Add(state[:200])
	f.Add([]byte(stateMark))
	tr := stateTrainer(f, 0)
	f.Fuzz(func(t *testing.T, state []byte) {
		if err := tr.Restore(bytes.NewReader(state)); err == nil && tr.Result().Last.Step > 10 {
			t.Errorf("restored to step %d of 10", tr.Result().Last.Step)
		}
	})
}

// TestPatience: a training without a lower validation loss ends after as many evaluations, one that
// improves does not, and the last step is no early end.
func TestPatience(t *testing.T) {
	run := func(rate float64, patience int) Result {
		c := stateConfig(t)
		c.LearningRate, c.Patience, c.Steps, c.WarmUp, c.Schedule = rate, patience, 40, 0, Constant
		result, err := Train(t.Context(), c, nil)
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	for _, patience := range []int{1, 3} {
		if r := run(0.3, patience); !r.Stopped || r.Last.Step-r.BestStep != 2*patience || r.Last.Step >= 40 {
			t.Errorf("a rate that spoils the student, patience %d: best after %d, ended after %d, stopped %t", patience, r.BestStep, r.Last.Step, r.Stopped)
		}
	}
	if r := run(0.3, 0); r.Stopped || r.Last.Step != 40 {
		t.Errorf("without patience: ended after %d, stopped %t", r.Last.Step, r.Stopped)
	}
	if r := run(1e-4, 2); r.Stopped || r.Last.Step != 40 || math.IsNaN(r.BestValidation) {
		t.Errorf("a student that improves: %+v", r)
	}
}
