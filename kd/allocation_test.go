//go:build !race

package kd

import (
	"context"
	"testing"

	"slimlab/kernels/parallel"
)

// The race detector makes a sync.Pool drop what it holds at random, so allocations are counted
// without it.

// TestStepAllocatesNothing: once the buffers have their size, on one thread and on more, with every
// objective.
func TestStepAllocatesNothing(t *testing.T) {
	examples := tinyExamples(40, 61, 3)
	for _, o := range append(objectives(), Objective{CE: 1}, Objective{Divergence: ForwardKL, Hidden: HiddenLoss{Weight: 0.5, Even: true}}) {
		for _, recompute := range []bool{false, true} {
			for _, threads := range []int{1, 2} {
				restore := parallel.SetThreads(threads)
				tr, err := NewTrainer(TrainConfig{
					Student: tinyModel(t, tinyConfig(61, 16), 1), Teacher: inMemory(tinyModel(t, tinyConfig(61, 24), 2)), Objective: o, Recompute: recompute,
					Next: fixed(examples...), Steps: 100, LearningRate: 1e-4, passTokens: 200, chunkRows: 64,
				})
				if err != nil {
					t.Fatal(err)
				}
				step := func() {
					if _, err := tr.Step(context.Background()); err != nil {
						t.Fatal(err)
					}
				}
				n := testing.AllocsPerRun(4, step)
				for try := 0; n > 0 && try < 2; try++ { // the runtime of a busy machine allocates beside it
					n = testing.AllocsPerRun(4, step)
				}
				if n > 0 {
					t.Errorf("%s, recompute %t, %d threads: %v allocations a step", o.Formula(), recompute, threads, n)
				}
				restore()
			}
		}
	}
}
