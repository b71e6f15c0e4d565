// Package timing measures how long the products of a half of a layer take on this machine, by its
// width: the table that a budget of time chooses widths by.
//
// What is timed is what the model runs: weights packed in its format, begun together where they
// read one input, multiplied by kernels.Run on all threads. As many weights lie side by side as the
// model has layers, and are read in turn, so that caches hold of them what they hold of the
// model's; of more than four times the last cache no more are made, since none is left of the one
// before last. Their numbers are drawn: the time of a product does not depend on them.
//
// Each width is warmed and then sampled in five rounds over all widths, so that what slows the
// machine for a while slows all of them. Of a round the least sample counts, since other work only
// adds, and a width's time is the median of its rounds: the least of many would favour the widths
// that were lucky. How much rounds differ is kept with the times. It leaves out what is no product:
// norms, attention, the head.
package timing

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"slimlab/kernels"
	"slimlab/kernels/machine"
	"slimlab/model"
	"slimlab/model/weight"
	"slimlab/pruning"
)

// Clock measures products on this machine. It is a pruning.Timer.
type Clock struct {
	machine string
	now     func() time.Duration // since some moment
	cache   int64                // bytes of the last cache
}

// New measures on this machine, which it names so.
func New(name string) *Clock {
	start := time.Now()
	c := machine.ThisCPU()
	return &Clock{machine: name, now: func() time.Duration { return time.Since(start) }, cache: max(c.L2, c.L3, leastCache)}
}

const (
	leastCache = 16 << 20 // where the system says none
	mostCache  = 64 << 20 // of one: weights of four caches are made
	rounds     = 5
	samples    = 7                      // of a width in a round
	least      = 300 * time.Microsecond // that a sample takes
	long       = 20 * time.Millisecond  // a sample that a round has one of
)

// Machine implements pruning.Timer.
func (c *Clock) Machine() string { return c.machine }

// half are the weights of a half of a layer, in the order of its products: those that read its
// input, and the one that reads what they made.
type half struct {
	first []weight.Weight
	last  weight.Weight
	width int // of the last one's input
	bytes int64
}

// draw fills the memory that weights are packed from, of no more than n numbers.
func draw(n int) []float32 {
	rng := rand.New(rand.NewPCG(1, 2))
	w := make([]float32, n)
	for i := range w {
		w[i] = rng.Float32()/16 - 1.0/32
	}
	return w
}

// shapes lists the outputs and inputs of a half's weights; the last is that of the last product.
func shapes(of pruning.Timing, part pruning.Part, queries, kept int) [][2]int {
	if part == pruning.MLP {
		return [][2]int{{kept, of.Hidden}, {kept, of.Hidden}, {of.Hidden, kept}}
	}
	heads, groups := queries*kept*of.HeadDim, kept*of.HeadDim
	return [][2]int{{heads, of.Hidden}, {groups, of.Hidden}, {groups, of.Hidden}, {of.Hidden, heads}}
}

func newHalf(numbers []float32, list [][2]int) *half {
	h := &half{}
	for i, s := range list {
		w := weight.NewDense(numbers[:s[0]*s[1]], s[0], s[1])
		h.bytes += w.Bytes()
		if i < len(list)-1 {
			h.first = append(h.first, w)
		} else {
			h.last, h.width = w, s[1]
		}
	}
	return h
}

// most is the most numbers of one weight of the halves.
func most(of pruning.Timing) int {
	n := 0
	for _, h := range of.Halves {
		for _, s := range shapes(of, h.Part, h.Queries, slices.Max(h.Widths)) {
			n = max(n, s[0]*s[1])
		}
	}
	return n
}

// rowsOf is the memory of inputs and outputs.
type rowsOf struct {
	x, y   []float32
	middle [3][]float32 // of the first products
}

func newRows(of pruning.Timing) *rowsOf {
	widest := 0
	for _, h := range of.Halves {
		for _, s := range shapes(of, h.Part, h.Queries, slices.Max(h.Widths)) {
			widest = max(widest, s[0], s[1])
		}
	}
	r := &rowsOf{x: draw(of.Rows * of.Hidden), y: make([]float32, of.Rows*of.Hidden)}
	for i := range r.middle {
		r.middle[i] = make([]float32, of.Rows*widest)
	}
	return r
}

// run computes a half's products.
func (h *half) run(r *rowsOf, rows int) {
	var pending [3]kernels.Pending
	for i, w := range h.first {
		out, _ := w.Shape()
		pending[i] = w.Begin(r.middle[i][:rows*out], r.x, rows)
	}
	kernels.Run(pending[:len(h.first)]...)
	kernels.Run(h.last.Begin(r.y, r.middle[0][:rows*h.width], rows))
}

// sample measures what one of so many calls of f takes: so many that they take least at least.
func (c *Clock) sample(times int, f func()) float64 {
	start := c.now()
	for range times {
		f()
	}
	return float64(c.now()-start) / float64(times)
}

// round is the least of a round's samples, each of so many calls of f.
func (c *Clock) round(times int, f func()) float64 {
	best := c.sample(times, f)
	for range samples - 1 {
		if best*float64(times) >= float64(long) {
			break
		}
		best = min(best, c.sample(times, f))
	}
	return best
}

// enough is how many calls of f a sample has.
func (c *Clock) enough(f func()) int {
	took := c.sample(1, f)
	return int(min(max(float64(least)/max(took, 1), 1), 1<<20))
}

// Table implements pruning.Timer.
func (c *Clock) Table(ctx context.Context, of pruning.Timing) (*pruning.Times, error) {
	numbers, rows := draw(most(of)), newRows(of)
	t := &pruning.Times{Machine: c.machine, Format: weight.NewDense(nil, 0, 0).Format(), Rows: of.Rows}
	all := make([][][]float64, len(of.Halves))
	for i, h := range of.Halves {
		all[i] = make([][]float64, len(h.Widths))
		t.Halves = append(t.Halves, pruning.HalfTimes{Part: h.Part, Queries: h.Queries, Widths: h.Widths})
	}
	for range rounds {
		for i, h := range of.Halves {
			for j, kept := range h.Widths {
				if err := ctx.Err(); err != nil {
					return nil, err
				}
				all[i][j] = append(all[i][j], c.width(of, h, kept, numbers, rows))
			}
		}
	}
	var spreads []float64
	for i := range all {
		for _, list := range all[i] {
			spreads = append(spreads, (slices.Max(list)-slices.Min(list))/max(1, median(list)))
			t.Halves[i].Nanoseconds = append(t.Halves[i].Nanoseconds, max(1, int64(median(list))))
		}
	}
	t.Spread = median(spreads)
	return t, nil
}

// width measures a half of one width in one round.
func (c *Clock) width(of pruning.Timing, h pruning.TimedHalf, kept int, numbers []float32, rows *rowsOf) float64 {
	copies := c.copies(h, shapes(of, h.Part, h.Queries, kept), numbers)
	next := inTurn(copies, func(h *half) { h.run(rows, of.Rows) })
	for range copies { // packs
		next()
	}
	return c.round(c.enough(next), next)
}

// copies are weights of a half side by side in memory: as many as layers have it, or as make what
// caches hold of one be gone at its next turn.
func (c *Clock) copies(h pruning.TimedHalf, list [][2]int, numbers []float32) (copies []*half) {
	for bytes := int64(0); len(copies) < max(1, h.Layers) && bytes <= c.enoughBytes(); bytes += copies[len(copies)-1].bytes {
		copies = append(copies, newHalf(numbers, list))
	}
	return copies
}

// inTurn returns a function that calls f for one of the copies after another, and for the first one
// after the last.
func inTurn(copies []*half, f func(*half)) func() {
	at := 0
	return func() {
		f(copies[at])
		at = (at + 1) % len(copies)
	}
}

// enoughBytes is the memory of weights of which caches hold nothing from one turn to the next.
func (c *Clock) enoughBytes() int64 { return 4 * min(c.cache, mostCache) }

// Pass implements pruning.Timer.
func (c *Clock) Pass(ctx context.Context, of pruning.Timing, models ...[]model.LayerConfig) ([]time.Duration, error) {
	numbers, rows := draw(most(of)), newRows(of)
	passes := make([]func(), len(models))
	times := make([]int, len(models))
	for i, layers := range models {
		list, err := c.halves(of, layers, numbers)
		if err != nil {
			return nil, err
		}
		passes[i] = func() {
			for _, h := range list {
				h.run(rows, of.Rows)
			}
		}
		passes[i]() // packs
		times[i] = c.enough(passes[i])
	}
	taken := make([][]float64, len(models))
	for range rounds {
		for i, pass := range passes {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			taken[i] = append(taken[i], c.round(times[i], pass))
		}
	}
	medians := make([]time.Duration, len(models))
	for i := range taken {
		medians[i] = time.Duration(median(taken[i]))
	}
	return medians, nil
}

// halves are the weights of a model's halves in their order. Beyond what caches could hold, layers
// of one width share them.
func (c *Clock) halves(of pruning.Timing, layers []model.LayerConfig, numbers []float32) ([]*half, error) {
	var list []*half
	made := map[[2]int][]*half{} // by queries and width
	shared := map[[2]int]int{}
	bytes := int64(0)
	for i, l := range layers {
		for _, kind := range of.Halves {
			queries, kept := 0, l.MLP
			if kind.Part != pruning.MLP {
				if queries, kept = l.Heads/l.KVHeads, l.KVHeads; queries != kind.Queries {
					continue
				}
			}
			if kept > slices.Max(kind.Widths) {
				return nil, fmt.Errorf("layer %d has %d units of %s, expected at most the %d that times are measured of", i, kept, kind.Part, slices.Max(kind.Widths))
			}
			key := [2]int{queries, kept} // neurons have no queries
			if n := len(made[key]); n > 0 && bytes > c.enoughBytes() {
				list = append(list, made[key][shared[key]%n])
				shared[key]++
				continue
			}
			h := newHalf(numbers, shapes(of, kind.Part, queries, kept))
			bytes += h.bytes
			made[key] = append(made[key], h)
			list = append(list, h)
		}
	}
	return list, nil
}

// median is the upper one of an even number of values.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
