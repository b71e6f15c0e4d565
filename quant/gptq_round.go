package quant

import (
	"context"
	"encoding/binary"
	"sync/atomic"

	"slimlab/kernels/matrix"
	"slimlab/kernels/parallel"
	"slimlab/model/weight"
)

const (
	// lanes is the number of outputs whose weights of one input are rounded together. Those of
	// a block of 128 inputs fill the first cache.
	lanes = 32

	// outputsOfTask is the number of outputs that a thread takes at once, at most.
	outputsOfTask = 512
)

// round chooses the codes and returns the loss with them, and what the damped diagonal added to it:
// Σ (damped H − H)_ii·Δ_i². Outputs do not depend on each other: a thread takes some through all
// inputs, block inputs at a time.
func (f *factor) round(ctx context.Context, w *weight.Dense, g Grid, block int) (codes []byte, loss, added float64) {
	codes = make([]byte, len(w.Data))
	losses := make([]lossOfOutput, w.Out)
	diagonal := make([]float64, w.In)
	for a, i := range f.order {
		diagonal[a] = f.diagonal(i) + f.shift - f.gram.Row(i)[i]
	}
	tasks := (w.Out + outputsOfTask - 1) / outputsOfTask
	threads := parallel.Threads()
	tasks = (tasks + threads - 1) / threads * threads
	size := ((w.Out+tasks-1)/tasks + lanes - 1) / lanes * lanes
	var begun atomic.Int64 // outputs
	parallel.For(min(threads, tasks), func(int) {
		r := outputRounder{factor: f, w: w, grid: g, block: block, added: diagonal, codes: codes, losses: losses}
		for ctx.Err() == nil {
			end := int(begun.Add(int64(size)))
			if end-size >= w.Out {
				return
			}
			r.round(ctx, end-size, min(end, w.Out))
		}
	})
	for _, l := range losses {
		loss += l.damped
		added += l.added
	}
	return codes, loss, added
}

// lossOfOutput is that with the damped matrix, and what of it damping has added.
type lossOfOutput struct{ damped, added float64 }

// outputRounder chooses the codes of some outputs after each other, with one thread's memory. Its
// matrices have a column for each output, so that registers hold several outputs. With Δ = W−Ŵ the
// loss is the sum of (V(r, r)·Δ_r − s_r)², s_r = −Σ V(r, s)·Δ_s over s > r: from the last input to
// the first, each weight is rounded at w_r − s_r/V(r, r), and Δ_r is its plain error.
type outputRounder struct {
	*factor
	w      *weight.Dense
	grid   Grid
	block  int
	added  []float64      // to the diagonal, by ordered input
	codes  []byte         // of all outputs
	losses []lossOfOutput // of all outputs

	sums matrix.Dense // s, [in, outputs], in the order of the factor
	// W of a block's inputs, and Δ of those that have their codes, [block, outputs]
	left matrix.Dense

	laneCodes []byte // [block, lanes]
	scales    laneScales
}

// round chooses the codes of outputs first…end-1.
func (r *outputRounder) round(ctx context.Context, first, end int) {
	n := end - first
	if r.sums.Cols < n {
		r.sums, r.left = columnsOf(r.w.In, n), columnsOf(min(r.block, r.w.In), n)
		r.laneCodes = make([]byte, r.left.Rows*lanes)
	} else {
		clear(r.sums.Data)
	}
	for hi := r.w.In; hi > 0 && ctx.Err() == nil; hi -= r.block {
		lo := max(0, hi-r.block)
		for lane := 0; lane < n; lane += lanes {
			r.roundBlock(first, lane, min(lanes, n-lane), lo, hi)
		}
		matrix.AddProduct(ctx, r.sums.Block(0, 0, lo, n), r.upper.Block(0, lo, lo, hi-lo), r.left.Block(0, 0, hi-lo, n), -1)
	}
}

// columnsOf is a matrix whose rows are an odd number of cache lines apart: powers of two would
// share few places of the first cache.
func columnsOf(rows, cols int) matrix.Dense {
	stride := ((cols+7)/8 | 1) * 8
	m := matrix.NewDense(rows, stride, nil)
	m.Cols = cols
	return m
}

// load copies the weights of the ordered inputs lo…hi-1 of n outputs from first+lane on to left, by
// way of a tile that fits the first cache.
func (r *outputRounder) load(first, lane, n, lo, hi int) {
	const inputs = 32
	var tile [inputs][lanes]float64
	row := func(l int) []float32 { return r.w.Data[(first+lane+l)*r.w.In:][:r.w.In] }
	for a := lo; a < hi; a += inputs {
		order := r.order[a:min(a+inputs, hi)]
		l := 0
		for ; l+4 <= n; l += 4 {
			r0, r1, r2, r3 := row(l), row(l+1), row(l+2), row(l+3)
			for k, i := range order {
				to := tile[k][l:][:4]
				to[0], to[1], to[2], to[3] = float64(r0[i]), float64(r1[i]), float64(r2[i]), float64(r3[i])
			}
		}
		for ; l < n; l++ {
			for k, i := range order {
				tile[k][l] = float64(row(l)[i])
			}
		}
		for k := range order {
			copy(r.left.Row(a - lo + k)[lane:], tile[k][:n])
		}
	}
}

// roundBlock chooses the codes of the ordered inputs lo…hi-1, the last first, of n outputs from
// first+lane on, and leaves Δ. The sum of an input gets the part of its block just before its
// weight is rounded, in the order of inputs: with one block the bits are those of one input at a
// time.
func (r *outputRounder) roundBlock(first, lane, n, lo, hi int) {
	r.load(first, lane, n, lo, hi)
	losses := r.losses[first+lane:][:n]
	r.scales.valid = false
	for a := hi - 1; a >= lo; a-- {
		sums, left, factors := r.sums.Block(a, lane, 1, n), r.left.Row(a - lo)[lane:lane+n], r.upper.Row(a)[a:hi]
		d, added := factors[0], r.added[a]
		inverse := 1 / d
		matrix.Subtract(sums.Data[:n], factors[1:], r.left.Block(a-lo+1, lane, hi-a-1, n))
		matrix.Subtract(left, []float64{inverse}, sums)
		r.encode(r.laneCodes[(a-lo)*lanes:][:n], left, first+lane, a)
		for l, sum := range sums.Data[:n] {
			e := d * left[l]
			losses[l].damped += float64(e * e)
			left[l] += float64(inverse * sum)
			losses[l].added += float64(float64(added*left[l]) * left[l])
		}
	}
	r.store(first+lane, n, lo, hi)
}

// store copies the codes of the ordered inputs start…end-1 of n outputs from first on to their
// places.
func (r *outputRounder) store(first, n, start, end int) {
	for l := 0; l < n; l += 8 {
		for a := start; a < end; a += 8 {
			var bytes [8]uint64
			for k := range bytes[:min(8, end-a)] {
				bytes[k] = binary.LittleEndian.Uint64(r.laneCodes[(a-start+k)*lanes+l:])
			}
			transpose(&bytes)
			order := r.order[a:min(a+8, end)]
			for j, v := range bytes[:min(8, n-l)] {
				row := r.codes[(first+l+j)*r.w.In:][:r.w.In]
				for _, i := range order {
					row[i] = byte(v)
					v >>= 8
				}
			}
		}
	}
}

// transpose exchanges byte j of word i and byte i of word j.
func transpose(x *[8]uint64) {
	for _, s := range [...]struct {
		distance int
		low      uint64
	}{{1, 0x00ff00ff00ff00ff}, {2, 0x0000ffff0000ffff}, {4, 0x00000000ffffffff}} {
		for i := range x {
			if i&s.distance == 0 {
				a, b, shift := x[i], x[i+s.distance], 8*s.distance
				x[i] = a&s.low | b&s.low<<shift
				x[i+s.distance] = a>>shift&s.low | b&^s.low
			}
		}
	}
}

// encode chooses the codes of the ordered input a of outputs o, o+1, … with compensated weights y,
// of which it leaves what is not on the grid.
func (r *outputRounder) encode(codes []byte, y []float64, o, a int) {
	i := r.order[a]
	if g, ok := r.grid.(*intGrid); ok {
		r.scales.load(g, o, i, len(codes))
		matrix.RoundNearest(codes, y, r.scales.scale[:len(codes)], r.scales.zero[:len(codes)], g.lowest, g.highest)
		return
	}
	for l, v := range y {
		code, value := r.grid.Encode(v, o+l, i)
		codes[l], y[l] = code, v-value
	}
}

// laneScales are the scales and zero points of some outputs for one group of inputs.
type laneScales struct {
	valid       bool
	group       int
	scale, zero [lanes]float64
}

// load reads those of n outputs from o on for the group of input i, unless they are there.
func (s *laneScales) load(g *intGrid, o, i, n int) {
	if s.valid && s.group == i/g.group {
		return
	}
	s.valid, s.group = true, i/g.group
	group := g.groupOf(o, i)
	for l := range n {
		s.scale[l], s.zero[l] = float64(g.scale[group]), g.zeroOf(group)
		group += g.in / g.group
	}
}

// loadOf is load of outputs that are listed.
func (s *laneScales) loadOf(g *intGrid, outputs []int, i int) {
	if s.valid && s.group == i/g.group {
		return
	}
	s.valid, s.group = true, i/g.group
	for l, o := range outputs {
		group := g.groupOf(o, i)
		s.scale[l], s.zero[l] = float64(g.scale[group]), g.zeroOf(group)
	}
}
