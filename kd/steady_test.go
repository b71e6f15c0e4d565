package kd

import (
	"context"
	"testing"

	"slimlab/kernels"
	"slimlab/kernels/parallel"
	"slimlab/model"
)

// trained returns the weights after some steps of a distillation of 30 examples by the larger of
// two tiny models.
func trained(t *testing.T, change func(*TrainConfig)) []float32 {
	t.Helper()
	c := TrainConfig{
		Student: tinyModel(t, tinyConfig(61, 16), 1), Teacher: inMemory(tinyModel(t, tinyConfig(61, 24), 2)), Objective: Objective{Divergence: ForwardKL, CE: 0.1},
		Next: Shuffle(tinyExamples(30, 61, 3), 12, 1), Steps: 4, LearningRate: 1e-3, passTokens: 150, chunkRows: 20,
	}
	change(&c)
	trainTiny(t, c)
	return c.Student.Flat()
}

// TestTrainingBits: what must not change a bit, in either precision; and that the precision does.
func TestTrainingBits(t *testing.T) {
	var plain [2][]float32
	for i, precision := range []kernels.Precision{kernels.Float32, kernels.BFloat16} {
		plain[i] = trained(t, func(c *TrainConfig) { c.Precision = precision })
		if !sameBits(plain[i], trained(t, func(c *TrainConfig) { c.Precision, c.Recompute = precision, true })) {
			t.Errorf("%v: Recompute changes the weights", precision)
		}
		for _, threads := range []int{1, 2, 5} {
			restore := parallel.SetThreads(threads)
			if !sameBits(plain[i], trained(t, func(c *TrainConfig) { c.Precision = precision })) {
				t.Errorf("%v: %d threads change the weights", precision, threads)
			}
			restore()
		}
	}
	if sameBits(plain[0], plain[1]) {
		t.Error("bfloat16 products change nothing")
	}
}

// TestTeacherPass: the states of a teacher do not depend on how many of the sequences it reads at
// once.
func TestTeacherPass(t *testing.T) {
	m := tinyModel(t, tinyConfig(61, 16), 1)
	var b model.Batch
	b.Starts = []int{0}
	for i := range 2000 { // longer than teacherTokens together, and an empty sequence among them
		b.Tokens = append(b.Tokens, int32(i%61))
		if i%37 == 36 || i == 1999 {
			b.Starts = append(b.Starts, i+1)
		}
		if i == 500 {
			b.Starts = append(b.Starts, i+1, i+1)
		}
	}
	var p teacherPass
	if got, want := p.forward(context.Background(), m, b, nil), m.Forward(b, nil); !sameBits(got, want) {
		t.Error("the teacher's states differ from those of the whole batch at once")
	}
}
