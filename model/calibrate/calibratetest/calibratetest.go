// Package calibratetest helps the tests of methods that compress a model layer by layer.
package calibratetest

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync/atomic"

	"slimlab/model"
	"slimlab/model/calibrate"
)

// Sequences draws n sequences of 20 to 49 tokens.
func Sequences(n, vocab int) []calibrate.Sequence {
	rng := rand.New(rand.NewPCG(3, 4))
	var list []calibrate.Sequence
	for range n {
		s := make(calibrate.Sequence, 20+rng.IntN(30))
		for i := range s {
			s[i] = rng.Int32N(int32(vocab))
		}
		list = append(list, s)
	}
	return list
}

// Logits are those of m for some tokens.
func Logits(m *model.Model) []float32 {
	b := model.Batch{Starts: []int{0}}
	for _, s := range Sequences(4, m.Vocab) {
		b.Tokens = append(b.Tokens, s...)
		b.Starts = append(b.Starts, len(b.Tokens))
	}
	out := make([]float32, len(b.Tokens)*m.Vocab)
	m.Logits(out, m.Forward(b, nil), len(b.Tokens))
	return out
}

// ErrBroken ends a pass over Interrupted.
var ErrBroken = errors.New("broken off")

// Interrupted is the layers of a pass that broke off, or goes on after it did.
type Interrupted struct {
	*calibrate.InMemory
	Whole    *model.Model // what an uninterrupted pass makes of the model
	Finished int          // layers that come as they are in Whole
	Broken   int          // the layer that cannot be loaded; 0 is none
}

// Load implements calibrate.Layers.
func (l *Interrupted) Load(ctx context.Context, layer int) (finished bool, err error) {
	if l.Broken > 0 && layer == l.Broken {
		return false, ErrBroken
	}
	if layer < l.Finished {
		m := l.Model()
		m.Blocks[layer], m.Layers[layer] = l.Whole.Blocks[layer], l.Whole.Layers[layer]
		return true, nil
	}
	return l.InMemory.Load(ctx, layer)
}

// CountedContext is done when its error was asked for some number of times: a cancellation at a
// place that does not depend on time. It is safe for concurrent use, as every context is.
type CountedContext struct {
	context.Context
	left atomic.Int64
}

// Counted returns a context that is done after a number of looks at its error.
func Counted(looks int) *CountedContext {
	c := &CountedContext{Context: context.Background()}
	c.left.Store(int64(looks))
	return c
}

// Left is how many looks are left.
func (c *CountedContext) Left() int { return int(c.left.Load()) }

// Err implements context.Context.
func (c *CountedContext) Err() error {
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

// Recomputing is a method that is not known to be a calibrate.Keeper: a pass computes the inputs of
// the last site of a half once more for the move through it.
type Recomputing[R any] struct{ calibrate.Method[R] }

// SameKept reports whether inputs that are kept from their gathering to the move through their half
// give the logits and reports of those that are computed again. begin makes the method of a model's
// copy with its settings.
func SameKept[R any](ctx context.Context, m *model.Model, list []calibrate.Sequence, begin func(*model.Model) (calibrate.Method[R], calibrate.Settings, error)) (bool, error) {
	var before []float32
	var reported []R
	for _, again := range []bool{false, true} {
		layers, err := calibrate.NewInMemory(m)
		if err != nil {
			return false, err
		}
		method, settings, err := begin(layers.Model())
		if err != nil {
			return false, err
		}
		if again {
			method = Recomputing[R]{Method: method}
		}
		reports, err := calibrate.Run(ctx, layers, list, calibrate.Options[R]{Settings: settings}, method)
		if err != nil {
			return false, err
		}
		got := Logits(layers.Compressed())
		if again {
			return slices.Equal(before, got) && reflect.DeepEqual(reported, reports), nil
		}
		before, reported = got, reports
	}
	return false, nil
}
