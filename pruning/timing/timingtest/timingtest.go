// Package timingtest gives tests the times of products.
package timingtest

import (
	"context"
	"time"

	"slimlab/model"
	"slimlab/pruning"
)

// Timer is a pruning.Timer whose products take so many nanoseconds a unit, and a pass of a model
// what Whole says of its neurons.
type Timer struct {
	Name   string
	Unit   int64
	Whole  func(neurons int) time.Duration
	Tables *int // counts the tables that were measured
}

// Machine implements pruning.Timer.
func (t Timer) Machine() string { return t.Name }

// Table implements pruning.Timer.
func (t Timer) Table(_ context.Context, of pruning.Timing) (*pruning.Times, error) {
	*t.Tables++
	times := &pruning.Times{Machine: t.Name, Format: "float32", Rows: of.Rows}
	for _, h := range of.Halves {
		one := pruning.HalfTimes{Part: h.Part, Queries: h.Queries, Widths: h.Widths}
		for _, kept := range h.Widths {
			one.Nanoseconds = append(one.Nanoseconds, t.Unit*int64(kept))
		}
		times.Halves = append(times.Halves, one)
	}
	return times, nil
}

// Pass implements pruning.Timer.
func (t Timer) Pass(_ context.Context, _ pruning.Timing, models ...[]model.LayerConfig) ([]time.Duration, error) {
	var all []time.Duration
	for _, layers := range models {
		neurons := 0
		for _, l := range layers {
			neurons += l.MLP
		}
		all = append(all, t.Whole(neurons))
	}
	return all, nil
}
