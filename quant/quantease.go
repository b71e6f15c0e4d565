package quant

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"slimlab/kernels/matrix"
	"slimlab/kernels/parallel"
	"slimlab/model/weight"
)

// Start is what coordinate descent starts from.
type Start string

// The starts of QuantEase.
const (
	FromBoth   Start = ""     // from each, and for each output the better end
	FromWeight Start = "w"    // the weight itself, with relaxed sweeps
	FromGPTQ   Start = "gptq" // the codes of GPTQ
)

// QuantEase chooses codes by cyclic coordinate descent (Behdin et al., 2023): each input in turn
// gets the value on the grid that makes the output error tr(ΔHΔᵀ), Δ = W−Ŵ, least while all others
// stay. H is as it was measured, not damped. The zero value has the defaults.
//
// From GPTQ's codes each step lowers the error, so that the end is never above the start. From the
// weight itself the second of every three sweeps, up to the 26th and never the last, is relaxed:
// values are not rounded, which leaves bad places. The best codes that an output had after any
// sweep are kept.
type QuantEase struct {
	Sweeps   int     // through all inputs, from each start; 0 is 30
	Start    Start   // both by default
	Damping  float64 // of GPTQ
	ActOrder bool    // inputs with the largest second moment first, also in GPTQ
	// inputs between two updates of all residuals; 0 is 128
	Block int
}

const (
	defaultSweeps = 30
	lastRelaxed   = 25 // counted from 0
)

// Calibrated implements Rounder.
func (QuantEase) Calibrated() bool { return true }

func (q QuantEase) check() error {
	if q.Sweeps < 0 || q.Block < 0 || q.Damping < 0 {
		return fmt.Errorf("sweeps %d, damping %g, block %d: found a negative value", q.Sweeps, q.Damping, q.Block)
	}
	return nil
}

// Round implements Rounder.
func (q QuantEase) Round(ctx context.Context, w *weight.Dense, g Grid, m *Moments) (Rounding, error) {
	if err := q.check(); err != nil {
		return Rounding{}, err
	}
	var start Rounding
	if q.Start != FromWeight {
		var err error
		if start, err = (GPTQ{Damping: q.Damping, ActOrder: q.ActOrder, Block: q.Block}).Round(ctx, w, g, m); err != nil {
			return start, err
		}
	}
	start.DampedLoss, start.loss = 0, nil
	d := newDescent(ctx, q, w, g, m.Gram, start.Codes)
	start.Codes = d.run(ctx)
	return start, ctx.Err()
}

// descent is the coordinate descent of one linear layer.
type descent struct {
	w     *weight.Dense
	grid  Grid
	gptq  []byte       // the codes to start from; nil without that start
	order []int        // in which inputs are gone through
	gram  matrix.Dense // H in that order
	// from the weight itself too
	weightToo bool
	sweeps    int
	block     int
	kept      []byte // the best codes of each output
}

func newDescent(ctx context.Context, q QuantEase, w *weight.Dense, g Grid, gram matrix.Dense, gptq []byte) *descent {
	d := &descent{w: w, grid: g, gptq: gptq, order: make([]int, w.In), gram: gram, weightToo: q.Start != FromGPTQ,
		sweeps: cmp.Or(q.Sweeps, defaultSweeps), block: cmp.Or(q.Block, 128), kept: make([]byte, len(w.Data))}
	for i := range d.order {
		d.order[i] = i
	}
	if !q.ActOrder {
		return d
	}
	orderByMoment(d.order, func(i int) float64 { return gram.Row(i)[i] })
	d.gram = matrix.NewDense(w.In, w.In, nil)
	parallel.Range(w.In, 64, func(lo, hi int) {
		for a := lo; a < hi && ctx.Err() == nil; a++ {
			to, from := d.gram.Row(a), gram.Row(d.order[a])
			for b, i := range d.order {
				to[b] = from[i]
			}
		}
	})
	return d
}

// orderByMoment sorts inputs by their second moments, the largest first.
func orderByMoment(order []int, moment func(i int) float64) {
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(moment(b), moment(a)) })
}

// run chooses the codes. Outputs do not depend on each other: a thread takes some through all
// sweeps.
func (d *descent) run(ctx context.Context) []byte {
	tasks := (d.w.Out + outputsOfTask - 1) / outputsOfTask
	threads := parallel.Threads()
	tasks = (tasks + threads - 1) / threads * threads
	size := ((d.w.Out+tasks-1)/tasks + lanes - 1) / lanes * lanes
	var begun atomic.Int64 // outputs
	parallel.For(min(threads, tasks), func(int) {
		for ctx.Err() == nil {
			end := int(begun.Add(int64(size)))
			if end-size >= d.w.Out {
				return
			}
			d.some(ctx, end-size, min(end, d.w.Out))
		}
	})
	return d.kept
}

// some chooses the codes of outputs first…end-1.
func (d *descent) some(ctx context.Context, first, end int) {
	least := make([]float64, end-first) // errors of the codes that are kept
	for i := range least {
		least[i] = -1
	}
	if d.gptq != nil {
		p := newPath(d, first, end)
		p.startAt(ctx, d.gptq)
		p.keep(least)
		for s := 0; s < d.sweeps && p.columns() > 0 && ctx.Err() == nil; s++ {
			p.sweep(ctx, true)
			p.keep(least)
			p.dropSettled()
		}
	}
	if d.weightToo {
		p := newPath(d, first, end)
		for s := 0; s < d.sweeps && p.columns() > 0 && ctx.Err() == nil; s++ {
			if d.relaxed(s) {
				p.sweep(ctx, false)
				continue
			}
			p.sweep(ctx, true)
			p.keep(least)
			if d.settles(s) {
				p.dropSettled()
			}
		}
	}
}

// relaxed reports whether sweep s from the weight, counted from 0, leaves values as they come.
func (d *descent) relaxed(s int) bool { return s%3 == 1 && s <= lastRelaxed && s < d.sweeps-1 }

// settles reports whether an output that sweep s from the weight does not change has come to its
// end: no sweep after it is relaxed.
func (d *descent) settles(s int) bool {
	for s++; s <= lastRelaxed; s++ {
		if d.relaxed(s) {
			return false
		}
	}
	return true
}

// path is where some outputs are on their way. Its matrices are [in, outputs], so that registers
// hold several outputs; inputs are in the order of the descent.
type path struct {
	*descent
	outputs  []int        // of each column
	first    int          // of the task
	dense    matrix.Dense // W
	values   matrix.Dense // Ŵ
	residual matrix.Dense // H·(W−Ŵ)ᵀ
	changes  matrix.Dense // [block, outputs], of the values in a block
	changed  []bool       // in this sweep, by column
	codes    []byte       // [in, outputs] with the stride of values
	scales   laneScales
	line     []float64 // of lanes
}

func newPath(d *descent, first, end int) *path {
	n := end - first
	p := &path{descent: d, first: first, dense: columnsOf(d.w.In, n), values: columnsOf(d.w.In, n), residual: columnsOf(d.w.In, n),
		changes: columnsOf(min(d.block, d.w.In), n), changed: make([]bool, n), line: make([]float64, lanes)}
	p.codes = make([]byte, len(p.values.Data))
	for o := first; o < end; o++ {
		p.outputs = append(p.outputs, o)
	}
	for a, i := range d.order {
		to := p.dense.Row(a)
		for l, o := range p.outputs {
			to[l] = float64(d.w.Data[o*d.w.In+i])
		}
		copy(p.values.Row(a), to)
	}
	return p
}

// columns is the number of outputs that are still on their way.
func (p *path) columns() int { return len(p.outputs) }

// startAt begins at some codes [out, in].
func (p *path) startAt(ctx context.Context, codes []byte) {
	difference := columnsOf(p.w.In, p.columns())
	for a, i := range p.order {
		to, row, diff := p.values.Row(a), p.dense.Row(a), difference.Row(a)
		for l, o := range p.outputs {
			code := codes[o*p.w.In+i]
			p.codes[a*p.values.RowStride+l] = code
			to[l] = p.grid.Decode(code, o, i)
			diff[l] = row[l] - to[l]
		}
	}
	matrix.AddProduct(ctx, p.residual, p.gram, difference, 1)
}

// sweep goes through all inputs once, with values on the grid or not.
func (p *path) sweep(ctx context.Context, rounded bool) {
	clear(p.changed)
	n := p.columns()
	for a := 0; a < p.w.In && ctx.Err() == nil; a += p.block {
		b := min(p.w.In, a+p.block)
		for lane := 0; lane < n; lane += lanes {
			p.sweepBlock(lane, min(lanes, n-lane), a, b, rounded)
		}
		matrix.AddProduct(ctx, p.residual, p.gram.Block(0, a, p.w.In, b-a), p.changes.Block(0, 0, b-a, n), -1)
	}
}

// sweepBlock moves the inputs start…end-1 of n outputs from column lane on. Residuals are those
// before the block, less what the inputs before in the block have changed.
func (p *path) sweepBlock(lane, n, start, end int, rounded bool) {
	p.scales.valid = false
	line := p.line[:n]
	for a := start; a < end; a++ {
		before := a - start
		gram, value, change := p.gram.Row(a), p.values.Row(a)[lane:lane+n], p.changes.Row(before)[lane:lane+n]
		copy(line, p.residual.Row(a)[lane:lane+n])
		matrix.Subtract(line, gram[start:a], p.changes.Block(0, lane, before, n))
		inverse := 0.0
		if gram[a] > 0 { // else the input was never active, and its weight is rounded to nearest
			inverse = 1 / gram[a]
		}
		for l, r := range line {
			line[l] = value[l] + r*inverse
		}
		if rounded {
			p.encode(p.codes[a*p.values.RowStride+lane:][:n], line, lane, a)
		}
		for l, v := range line {
			if change[l] = v - value[l]; change[l] != 0 {
				p.changed[lane+l] = true
			}
			value[l] = v
		}
	}
}

// encode moves values of the ordered input a, of the outputs of columns lane, lane+1, …, to the
// nearest on the grid and sets their codes.
func (p *path) encode(codes []byte, values []float64, lane, a int) {
	i := p.order[a]
	g, ok := p.grid.(*intGrid)
	if !ok {
		for l, v := range values {
			codes[l], values[l] = p.grid.Encode(v, p.outputs[lane+l], i)
		}
		return
	}
	p.scales.loadOf(g, p.outputs[lane:lane+len(codes)], i)
	scale, zero := p.scales.scale[:len(codes)], p.scales.zero[:len(codes)]
	matrix.RoundNearest(codes, values, scale, zero, g.lowest, g.highest)
	for l, c := range codes {
		values[l] = (float64(int8(c)) - zero[l]) * scale[l]
	}
}

// rounding is the share of an error that may come from the rounding of float64.
const rounding = 1e-9

// keep takes the codes of the outputs whose error is below the least so far, by output of the task;
// a negative one is none. All values are on the grid.
func (p *path) keep(least []float64) {
	errors := make([]float64, p.columns())
	for a := range p.order {
		dense, value, residual := p.dense.Row(a), p.values.Row(a), p.residual.Row(a)
		for l := range errors {
			errors[l] += (dense[l] - value[l]) * residual[l]
		}
	}
	for l, o := range p.outputs {
		if at := &least[o-p.first]; *at < 0 || errors[l] < *at*(1-rounding) {
			*at = max(0, errors[l])
			for a, i := range p.order {
				p.kept[o*p.w.In+i] = p.codes[a*p.values.RowStride+l]
			}
		}
	}
}

// dropSettled leaves out the outputs that the last sweep did not change, which no later one will
// change: when they are half of all.
func (p *path) dropSettled() {
	var stay []int
	for l, moved := range p.changed[:p.columns()] {
		if moved {
			stay = append(stay, l)
		}
	}
	if 2*len(stay) > p.columns() {
		return
	}
	for _, m := range []*matrix.Dense{&p.dense, &p.values, &p.residual} {
		for a := range p.w.In {
			row := m.Row(a)
			for to, l := range stay {
				row[to] = row[l]
			}
		}
		m.Cols = len(stay)
	}
	for to, l := range stay { // their codes are set again before they are read
		p.outputs[to] = p.outputs[l]
	}
	p.outputs, p.changed, p.changes.Cols = p.outputs[:len(stay)], p.changed[:len(stay)], len(stay)
}
