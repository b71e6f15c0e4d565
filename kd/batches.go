package kd

import (
	"context"
	"math/rand/v2"
)

// Batches returns the batch of a step, which counts from 1: given examples, or samples that are
// drawn from a model for that step. With a Group it returns the part of its own rank, which may be
// empty on some. The trainer reads a batch until it asks for the next. A step that failed is asked
// for again if the caller tries again. A source that takes time returns soon after ctx is
// cancelled.
type Batches func(ctx context.Context, step int) ([]Example, error)

// Shuffle returns batches of given examples: step after step the next size of an order that is
// drawn anew for each epoch. It depends on seed and step alone, so a step may be asked for in any
// order. A batch may span two epochs; it is valid until the next call.
func Shuffle(examples []Example, size int, seed uint64) Batches {
	if size <= 0 || len(examples) == 0 {
		return func(context.Context, int) ([]Example, error) { return nil, nil }
	}
	order, drawn := make([]int, len(examples)), -1
	batch := make([]Example, size)
	return func(_ context.Context, step int) ([]Example, error) {
		for i := range batch {
			at := (step-1)*size + i
			if epoch := at / len(examples); epoch != drawn {
				drawn = epoch
				permute(order, rand.New(rand.NewPCG(seed, uint64(epoch))))
			}
			batch[i] = examples[order[at%len(examples)]]
		}
		return batch, nil
	}
}

// permute sets order to a random permutation of 0 … len−1.
func permute(order []int, rng *rand.Rand) {
	for i := range order {
		order[i] = i
	}
	rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
}
