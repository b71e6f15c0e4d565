package kd

import (
	"context"
	"fmt"
)

// Group joins the ranks that train one student together, each on its own part of every batch. All
// ranks call the same methods in the same order with slices of the same length. A call that fails
// on one rank fails on all, and so does every later one. Each sum is taken in the order of the
// ranks, so that all ranks get the same bits.
//
// A vector of parameters or gradients is cut into one shard per rank: bounds, of Size()+1 elements,
// gives rank r the elements from bounds[r] up to bounds[r+1].
type Group interface {
	Rank() int // from 0
	Size() int
	// AllReduce replaces x by its sum over the ranks.
	AllReduce(ctx context.Context, x []float64) error
	// ReduceScatter replaces this rank's shard of x by its sum over the ranks. It leaves the other
	// shards with any content.
	ReduceScatter(ctx context.Context, x []float32, bounds []int) error
	// AllGather replaces each shard of x by that of the rank which owns it.
	AllGather(ctx context.Context, x []float32, bounds []int) error
}

// Alone is the group of one rank: a sum over it is what is there.
type Alone struct{}

// Rank returns 0.
func (Alone) Rank() int { return 0 }

// Size returns 1.
func (Alone) Size() int { return 1 }

// AllReduce leaves x as it is.
func (Alone) AllReduce(context.Context, []float64) error { return nil }

// ReduceScatter leaves x as it is.
func (Alone) ReduceScatter(context.Context, []float32, []int) error { return nil }

// AllGather leaves x as it is.
func (Alone) AllGather(context.Context, []float32, []int) error { return nil }

// shardBounds cuts n elements into as many nearly equal shards, at cache lines.
func shardBounds(n, shards int) []int {
	const line = 16 // float32 in 64 bytes
	bounds := make([]int, shards+1)
	for i := range shards {
		bounds[i] = n / line * i / shards * line
	}
	bounds[shards] = n
	return bounds
}

// sumOverRanks replaces values by their sums over the ranks. When this rank or another has failed
// it returns an error on all ranks, so that none waits for one that has stopped: failed is this
// rank's error, or nil.
func (t *Trainer) sumOverRanks(ctx context.Context, failed error, values ...*float64) error {
	x := t.reduced[:len(values)+1]
	for i, v := range values {
		x[i] = *v
	}
	x[len(values)] = 0
	if failed != nil {
		x[len(values)] = 1
	}
	if err := t.group.AllReduce(ctx, x); err != nil {
		if failed != nil {
			return failed
		}
		return err
	}
	switch failures := x[len(values)]; {
	case failed != nil:
		return failed
	case failures > 0:
		return fmt.Errorf("%.0f of the other %d ranks failed, see their errors", failures, t.group.Size()-1)
	}
	for i, v := range values {
		*v = x[i]
	}
	return nil
}
