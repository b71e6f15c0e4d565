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
	// lanes is the number of outputs whose weights of one input are rounded together. Their errors
	// of a block of 128 inputs fill the first cache.
	lanes = 32

	// outputsOfTask is the number of outputs that a thread takes at once, at most.
	outputsOfTask = 512
)

// round chooses the codes and returns Σe² with them. Outputs do not depend on each other: a thread
// takes some through all inputs, block inputs at a time.
func (f *factor) round(ctx context.Context, w *weight.Dense, g Grid, block int) (codes []byte, loss float64) {
	codes = make([]byte, len(w.Data))
	losses := make([]float64, w.Out)
	columns := f.columns(block)
	tasks := (w.Out + outputsOfTask - 1) / outputsOfTask
	threads := parallel.Threads()
	tasks = (tasks + threads - 1) / threads * threads
	size := ((w.Out+tasks-1)/tasks + lanes - 1) / lanes * lanes
	var begun atomic.Int64 // outputs
	parallel.For(min(threads, tasks), func(int) {
		r := outputRounder{factor: f, w: w, grid: g, block: block, columns: columns, codes: codes, losses: losses}
		for ctx.Err() == nil {
			end := int(begun.Add(int64(size)))
			if end-size >= w.Out {
				return
			}
			r.round(ctx, end-size, min(end, w.Out))
		}
	})
	for _, l := range losses {
		loss += l
	}
	return codes, loss
}

// columns has in row a what compensation within a block needs: column a of U from the block's first
// input to the one before a.
func (f *factor) columns(block int) matrix.Dense {
	n := len(f.order)
	c := matrix.NewDense(n, min(block, n), nil)
	parallel.Range(n, block, func(lo, hi int) {
		for k := lo; k < hi; k++ {
			for a, v := range f.upper.Row(k)[k+1 : hi] {
				c.Data[(k+1+a)*c.RowStride+k-lo] = v
			}
		}
	})
	return c
}

// outputRounder chooses the codes of some outputs after each other, with one thread's memory. Its
// matrices have a column for each output, so that registers hold several outputs.
type outputRounder struct {
	*factor
	w       *weight.Dense
	grid    Grid
	block   int
	columns matrix.Dense
	codes   []byte    // of all outputs
	losses  []float64 // of all outputs: Σe²

	work matrix.Dense // [in, outputs]: compensated weights in the order of the factor
	errs matrix.Dense // [block, outputs]

	laneCodes []byte // [block, lanes]
	squares   []float64
	scales    laneScales
}

// round chooses the codes of outputs first…end-1.
func (r *outputRounder) round(ctx context.Context, first, end int) {
	n := end - first
	if r.work.Cols < n {
		r.work, r.errs = columnsOf(r.w.In, n), columnsOf(min(r.block, r.w.In), n)
		r.laneCodes, r.squares = make([]byte, r.errs.Rows*lanes), make([]float64, lanes)
	}
	r.load(first, end)
	for a := 0; a < r.w.In && ctx.Err() == nil; a += r.block {
		b := min(r.w.In, a+r.block)
		for lane := 0; lane < n; lane += lanes {
			r.roundBlock(first, lane, min(lanes, n-lane), a, b)
		}
		rest := r.w.In - b
		matrix.AddProduct(ctx, r.work.Block(b, 0, rest, n), r.upper.Block(a, b, b-a, rest).T(), r.errs.Block(0, 0, b-a, n), -1)
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

// load copies the weights of outputs first…end-1, some of an output at a time into a tile that fits
// the first cache.
func (r *outputRounder) load(first, end int) {
	const inputs = 32
	var tile [inputs][lanes]float64
	for o := first; o < end; o += lanes {
		n := min(lanes, end-o)
		for a := 0; a < r.w.In; a += inputs {
			order := r.order[a:min(a+inputs, r.w.In)]
			row := func(l int) []float32 { return r.w.Data[(o+l)*r.w.In:][:r.w.In] }
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
				copy(r.work.Row(a + k)[o-first:], tile[k][:n])
			}
		}
	}
}

// roundBlock chooses the codes of the ordered inputs start…end-1 of n outputs from first+lane on,
// and writes their errors to errs. A weight is compensated just before it is rounded, in the order
// of the inputs before it: the bits are those of one input at a time.
func (r *outputRounder) roundBlock(first, lane, n, start, end int) {
	squares := r.squares[:n]
	clear(squares)
	r.scales.valid = false
	for a := start; a < end; a++ {
		y, before := r.work.Row(a)[lane:lane+n], a-start
		matrix.Subtract(y, r.columns.Row(a)[:before], r.errs.Block(0, lane, before, n))
		e := r.errs.Row(before)[lane : lane+n]
		r.encode(r.laneCodes[before*lanes:][:n], e, y, first+lane, a)
		for l, v := range e {
			squares[l] += float64(v * v)
		}
	}
	for l, s := range squares {
		r.losses[first+lane+l] += s
	}
	r.store(first+lane, n, start, end)
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
// and sets e to their errors.
func (r *outputRounder) encode(codes []byte, e, y []float64, o, a int) {
	i, d := r.order[a], r.upper.Row(a)[a]
	if g, ok := r.grid.(*intGrid); ok {
		r.scales.load(g, o, i, len(codes))
		matrix.RoundNearest(codes, e, y, r.scales.scale[:len(codes)], r.scales.zero[:len(codes)], g.lowest, g.highest, d)
		return
	}
	for l, v := range y {
		code, value := r.grid.Encode(v, o+l, i)
		codes[l], e[l] = code, (v-value)/d
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
	for l := range n {
		group := g.groupOf(o+l, i)
		s.scale[l], s.zero[l] = float64(g.scale[group]), g.zeroOf(group)
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
