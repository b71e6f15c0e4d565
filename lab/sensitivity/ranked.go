package sensitivity

import (
	"container/heap"
	"context"
	"math"
)

// mostTried bounds the beginnings of allocations that Ranked looks at.
const mostTried = 200_000

// Ranked lists the allocations of at most some bytes by ascending cost, at most n that keep takes;
// nil takes all. It is a best-first search from the last layer to the first, and exact: what the
// layers before cost at least is known from a dynamic program whose bytes are rounded down, and an
// allocation counts with its own bytes. Where very many cost nearly the same it ends early.
func Ranked(ctx context.Context, layers [][]Option, budget int64, n int, keep func(Allocation) bool) ([]Allocation, error) {
	if _, err := smallestOf(layers); err != nil || budget < 0 {
		return nil, err
	}
	unit := max(1, (budget+lattice-1)/lattice)
	units := func(bytes int64) int { return int(bytes / unit) }
	// by layer and units of bytes at most: the least cost of the layers before
	least := [][]float64{make([]float64, units(budget)+1)}
	for _, options := range layers {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		before, after := least[len(least)-1], make([]float64, units(budget)+1)
		for at := range after {
			after[at] = math.Inf(1)
			for _, o := range options {
				if u := units(o.Bytes); u <= at {
					after[at] = min(after[at], before[at-u]+o.Cost)
				}
			}
		}
		least = append(least, after)
	}
	var found []Allocation
	open := &partials{{bound: least[len(layers)][units(budget)]}}
	for tried := 0; open.Len() > 0 && len(found) < n && tried < mostTried; tried++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p := heap.Pop(open).(partial)
		layer := len(layers) - 1 - len(p.choice)
		if layer < 0 {
			a := Allocation{Choice: make([]int, len(layers)), Bytes: p.bytes, Cost: p.cost}
			for i, at := range p.choice {
				a.Choice[len(layers)-1-i] = at
			}
			if keep == nil || keep(a) {
				found = append(found, a)
			}
			continue
		}
		for i, o := range layers[layer] {
			next := partial{bytes: p.bytes + o.Bytes, cost: p.cost + o.Cost}
			if next.bytes > budget {
				continue
			}
			next.bound = next.cost + least[layer][units(budget-next.bytes)]
			if !math.IsInf(next.bound, 1) {
				next.choice = append(p.choice[:len(p.choice):len(p.choice)], i)
				heap.Push(open, next)
			}
		}
	}
	return found, nil
}

// partial is what is chosen for the last layers, and the least that a whole with it costs.
type partial struct {
	choice      []int // from the last layer on
	bytes       int64
	cost, bound float64
}

// partials is a heap by bound.
type partials []partial

func (p partials) Len() int           { return len(p) }
func (p partials) Less(i, j int) bool { return p[i].bound < p[j].bound }
func (p partials) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }

// Push implements heap.Interface.
func (p *partials) Push(x any) { *p = append(*p, x.(partial)) }

// Pop implements heap.Interface.
func (p *partials) Pop() any {
	last := len(*p) - 1
	x := (*p)[last]
	*p = (*p)[:last]
	return x
}
