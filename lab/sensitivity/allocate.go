package sensitivity

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
)

// Option is a way for a layer: the bytes that it takes and the loss that it costs.
type Option struct {
	Bytes int64
	Cost  float64
}

// Allocation is an option for each layer.
type Allocation struct {
	Choice []int // the index of each layer's option
	Bytes  int64 // in all
	Cost   float64
}

// The sums of bytes that are told apart at most: under one budget, and under all those of a front,
// of which the smallest are a small part of the largest.
const (
	lattice      = 1 << 14
	frontLattice = 1 << 16
)

// plan is the least cost of the layers so far for each number of units of bytes at most.
type plan struct {
	unit   int64
	cost   []float64 // by units
	choice [][]int16 // by layer and units
}

// newPlan solves the budget most and all below it. Bytes are counted in units, rounded up for each
// layer where there are more of them than so many points, so that no allocation takes more than it
// says.
func newPlan(ctx context.Context, layers [][]Option, most int64, points int64) (*plan, error) {
	p := &plan{}
	for _, options := range layers {
		for _, o := range options {
			p.unit = gcd(p.unit, o.Bytes)
		}
	}
	p.unit = max(1, p.unit)
	if most/p.unit >= points {
		p.unit = (most + points - 1) / points
	}
	n := int(most/p.unit) + 1
	p.cost = make([]float64, n)
	next := make([]float64, n)
	for _, options := range layers {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		choice := make([]int16, n)
		for at := range next {
			next[at], choice[at] = math.Inf(1), -1
			for i, o := range options {
				units := int((o.Bytes + p.unit - 1) / p.unit)
				if units > at {
					continue
				}
				if c := p.cost[at-units] + o.Cost; c < next[at] {
					next[at], choice[at] = c, int16(i)
				}
			}
		}
		p.cost, next = next, p.cost
		p.choice = append(p.choice, choice)
	}
	return p, nil
}

// gcd is the greatest divisor of both; that of 0 and b is b.
func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// best reads the best allocation of a budget up to the plan's; ok is false where none fits.
func (p *plan) best(layers [][]Option, budget int64) (a Allocation, ok bool) {
	a.Choice = make([]int, len(layers))
	units := min(int(budget/p.unit), len(p.cost)-1)
	for layer := len(layers) - 1; layer >= 0; layer-- {
		i := p.choice[layer][units]
		if i < 0 {
			return Allocation{}, false
		}
		o := layers[layer][i]
		a.Choice[layer] = int(i)
		a.Bytes += o.Bytes
		a.Cost += o.Cost
		units -= int((o.Bytes + p.unit - 1) / p.unit)
	}
	return a, true
}

// Allocate chooses an option for each layer so that the bytes are at most a budget and the sum of
// the costs is least, by dynamic programming over the bytes: exact where the bytes have a common
// divisor of a 16,384th of the budget, else for bytes of each layer rounded up to that. A budget
// below what the smallest options take is an error that says what they take.
func Allocate(ctx context.Context, layers [][]Option, budget int64) (Allocation, error) {
	smallest, err := smallestOf(layers)
	if err != nil {
		return Allocation{}, err
	}
	if budget < smallest.Bytes {
		return Allocation{}, fmt.Errorf("a budget of %d bytes, expected at least the %d that the smallest choice of each layer takes", budget, smallest.Bytes)
	}
	p, err := newPlan(ctx, layers, budget, lattice)
	if err != nil {
		return Allocation{}, err
	}
	if a, ok := p.best(layers, budget); ok {
		return a, nil
	}
	return smallest, nil // the rounding up took what was left
}

// smallestOf has the smallest option of each layer.
func smallestOf(layers [][]Option) (smallest Allocation, err error) {
	for i, options := range layers {
		if len(options) == 0 {
			return Allocation{}, fmt.Errorf("layer %d has no option", i)
		}
		o := slices.MinFunc(options, func(a, b Option) int { return cmp.Compare(a.Bytes, b.Bytes) })
		smallest.Choice = append(smallest.Choice, slices.Index(options, o))
		smallest.Bytes += o.Bytes
		smallest.Cost += o.Cost
	}
	return smallest, nil
}

// Plan has the best allocations of all budgets up to the largest that the layers can take.
type Plan struct {
	layers   [][]Option
	smallest Allocation
	largest  int64
	of       *plan
}

// NewPlan solves all budgets at once, so that their number costs little.
func NewPlan(ctx context.Context, layers [][]Option) (*Plan, error) {
	smallest, err := smallestOf(layers)
	if err != nil {
		return nil, err
	}
	p := &Plan{layers: layers, smallest: smallest}
	for _, options := range layers {
		p.largest += slices.MaxFunc(options, func(a, b Option) int { return cmp.Compare(a.Bytes, b.Bytes) }).Bytes
	}
	p.of, err = newPlan(ctx, layers, p.largest, frontLattice)
	return p, err
}

// Smallest and Largest are the bytes that the layers take at least and at most.
func (p *Plan) Smallest() int64 { return p.smallest.Bytes }
func (p *Plan) Largest() int64  { return p.largest }

// Best is the allocation of least cost within a budget; ok is false where none is.
func (p *Plan) Best(budget int64) (a Allocation, ok bool) {
	if budget < p.smallest.Bytes {
		return a, false
	}
	if a, ok = p.of.best(p.layers, budget); !ok {
		a = p.smallest // the rounding up took what was left
	}
	return a, true
}

// Front lists allocations of ascending bytes and descending cost, of at most n budgets that lie
// evenly between the smallest and the largest.
func Front(ctx context.Context, layers [][]Option, n int) ([]Allocation, error) {
	if n < 1 {
		return nil, nil
	}
	p, err := NewPlan(ctx, layers)
	if err != nil {
		return nil, err
	}
	var front []Allocation
	for _, budget := range Budgets(p.Smallest(), p.Largest(), n) {
		a, _ := p.Best(budget)
		if k := len(front); k > 0 && a.Cost >= front[k-1].Cost {
			continue
		}
		front = append(front, a)
	}
	return front, nil
}

// Budgets are n that lie evenly from the smallest to the largest; the largest where n is 1.
func Budgets(smallest, largest int64, n int) []int64 {
	if n == 1 {
		return []int64{largest}
	}
	var list []int64
	for i := range n {
		list = append(list, smallest+(largest-smallest)*int64(i)/int64(n-1))
	}
	return list
}
