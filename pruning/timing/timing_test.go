package timing

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"slimlab/model"
	"slimlab/pruning"
)

// question is of halves of both parts.
func question() pruning.Timing {
	return pruning.Timing{Hidden: 32, HeadDim: 8, Rows: 3, Halves: []pruning.TimedHalf{
		{Part: pruning.Heads, Queries: 2, Layers: 2, Widths: []int{4, 3, 2, 1}},
		{Part: pruning.MLP, Layers: 2, Widths: []int{64, 56, 9, 8}},
	}}
}

// A table has a time of each width in the order that was asked for, the median of what the clock
// said of the least sample of each round: here each sample takes longer than the one before.
func TestTableIsOfMedians(t *testing.T) {
	of := question()
	ticks := time.Duration(0)
	calls := 0
	c := &Clock{machine: "m", cache: 1 << 20, now: func() time.Duration {
		calls++
		// two calls a sample, which is of one product: the k-th takes k ns more
		if calls%2 == 0 {
			ticks += least + time.Duration(calls/2)
		}
		return ticks
	}}
	table, err := c.Table(t.Context(), of)
	if err != nil {
		t.Fatal(err)
	}
	if table.Machine != "m" || table.Rows != 3 || table.Format != "float32" || len(table.Halves) != 2 {
		t.Fatalf("table %+v", table)
	}
	widths := 0
	const perWidth = 1 + samples // the first says how many calls a sample has
	for i, h := range table.Halves {
		if h.Part != of.Halves[i].Part || h.Queries != of.Halves[i].Queries || !slices.Equal(h.Widths, of.Halves[i].Widths) {
			t.Errorf("half %d: %+v, asked for %+v", i, h, of.Halves[i])
		}
		for j, got := range h.Nanoseconds {
			// the first sample of the third of five rounds
			if want := int64(2*8*perWidth+widths*perWidth+2) + int64(least); got != want {
				t.Errorf("%s of %d: %d ns, expected %d", h.Part, h.Widths[j], got, want)
			}
			widths++
		}
	}
	if want := float64(4*8*perWidth) / float64(table.Halves[1].Nanoseconds[0]); table.Spread < want*0.9 || table.Spread > want*1.1 {
		t.Errorf("rounds differ by %g, expected about %g", table.Spread, want)
	}
	if calls != 2*perWidth*widths*rounds {
		t.Errorf("%d looks at the clock for %d widths", calls, widths)
	}
}

// Weights lie side by side for as many layers as the model has, no more than four caches hold, and
// layers of one width share them beyond that.
func TestWeightsOfAPass(t *testing.T) {
	of := question()
	layers := slices.Repeat([]model.LayerConfig{{Heads: 8, KVHeads: 4, MLP: 64}, {Heads: 4, KVHeads: 2, MLP: 8}}, 50)
	for _, cache := range []struct {
		bytes    int64
		distinct int
	}{{1 << 30, 200}, {10 << 10, 6}} {
		c := &Clock{cache: cache.bytes}
		list, err := c.halves(of, layers, draw(most(of)))
		if err != nil {
			t.Fatal(err)
		}
		distinct := map[*half]bool{}
		for i, h := range list {
			distinct[h] = true
			if want := []int{64, 64, 32, 8}[i%4]; h.width != want {
				t.Fatalf("half %d reads %d inputs, expected %d", i, h.width, want)
			}
		}
		if len(list) != 200 || len(distinct) > 200 || cache.distinct == 200 && len(distinct) != 200 || cache.distinct < 200 && len(distinct) > cache.distinct {
			t.Errorf("cache of %d: %d halves of %d weights, expected %d", cache.bytes, len(list), len(distinct), cache.distinct)
		}
	}
	c := &Clock{cache: 1 << 20}
	if _, err := c.halves(of, []model.LayerConfig{{Heads: 8, KVHeads: 4, MLP: 65}}, draw(most(of))); err == nil {
		t.Error("a layer that is wider than what was asked for is no error")
	}
}

// A pass measures each model, the models in turn; the end of the context ends it, and a table.
func TestPasses(t *testing.T) {
	of := question()
	now := time.Duration(0)
	c := &Clock{cache: 1 << 20, now: func() time.Duration { now += least; return now }}
	layers := model.Uniform(2, 8, 4, 64)
	got, err := c.Pass(t.Context(), of, layers, layers[:1])
	if err != nil || !slices.Equal(got, []time.Duration{least, least}) {
		t.Errorf("passes %v, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Pass(ctx, of, layers); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended pass: %v", err)
	}
	if _, err := c.Table(ctx, of); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended table: %v", err)
	}
	// by the clock of this machine, products of 1,000 times the work take longer
	real := New("this")
	wide := pruning.Timing{Hidden: 256, HeadDim: 8, Rows: 16, Halves: []pruning.TimedHalf{{Part: pruning.MLP, Layers: 1, Widths: []int{1024, 1}}}}
	table, err := real.Table(t.Context(), wide)
	if err != nil || table.Halves[0].Nanoseconds[0] <= table.Halves[0].Nanoseconds[1] {
		t.Errorf("%+v, %v", table, err)
	}
}

// The weights of a width are read in turn, so that caches hold of them what they hold of a model's:
// as many as layers have the half, one at least, and none beyond four caches.
func TestCopiesAreReadInTurn(t *testing.T) {
	of := question()
	list := shapes(of, pruning.MLP, 0, 64)
	one := newHalf(draw(most(of)), list).bytes
	for _, c := range []struct {
		layers int
		cache  int64
		want   int
	}{{0, 1 << 20, 1}, {3, 1 << 20, 3}, {50, one, 5}, {50, one / 8, 1}} {
		clock := &Clock{cache: c.cache}
		copies := clock.copies(pruning.TimedHalf{Part: pruning.MLP, Layers: c.layers}, list, draw(most(of)))
		if len(copies) != c.want {
			t.Errorf("%d layers, a cache of %d bytes: %d copies of %d bytes, expected %d", c.layers, c.cache, len(copies), one, c.want)
		}
		var read []*half
		next := inTurn(copies, func(h *half) { read = append(read, h) })
		for range 2 * len(copies) {
			next()
		}
		if !slices.Equal(read, slices.Repeat(copies, 2)) {
			t.Errorf("%d copies are not read one after another, twice", len(copies))
		}
	}
}
