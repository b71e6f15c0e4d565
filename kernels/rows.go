package kernels

import (
	"fmt"
	"slices"

	"slimlab/kernels/memory"
)

// blockElements is the number of float32 that one unit of parallel work handles: 64 KiB, large
// against the cost of handing it to a thread. Partitions depend on sizes alone, never on the number
// of threads.
const blockElements = 1 << 14

// reduceRows is the number of rows whose contribution to a column sum is added up before the blocks
// are added in order.
const reduceRows = 64

// rowGrain is the number of rows of dim elements that make blockElements.
func rowGrain(dim int) int { return max(1, blockElements/max(1, dim)) }

// columnSums is the memory of a sum over rows: parts of reduceRows rows each are summed from zero
// and then added in ascending order, so that the bits do not depend on threads.
type columnSums struct {
	memory *memory.Scratch
	all    []float32 // [parts, dim]
	rows   int
	dim    int
}

func newColumnSums(rows, dim int) columnSums {
	n := (rows + reduceRows - 1) / reduceRows * dim
	s := memory.NewScratch(n)
	return columnSums{s, s.Take(n), rows, dim}
}

// grid returns the number of parts and how many of them one task takes: all where the whole is
// small.
func (c *columnSums) grid() (parts, grain int) {
	parts = (c.rows + reduceRows - 1) / reduceRows
	if c.rows*c.dim <= blockElements {
		return parts, parts
	}
	return parts, 1
}

// part returns the cleared memory of a part and its rows from…to−1.
func (c *columnSums) part(i int) (sum []float32, from, to int) {
	sum = c.all[i*c.dim : (i+1)*c.dim]
	clear(sum)
	return sum, i * reduceRows, min((i+1)*reduceRows, c.rows)
}

// addTo adds all parts to sum and gives the memory back.
func (c *columnSums) addTo(sum []float32, rk *rowKernels) {
	for at := 0; at < len(c.all); at += c.dim {
		rk.axpy(sum, c.all[at:at+c.dim], 1)
	}
	c.memory.Free()
}

type swigluCall struct {
	rk          *rowKernels
	h, gate, up []float32
}

var swigluCalls = newCalls(func(a *swigluCall, lo, hi int) { a.rk.swiglu(a.h[lo:hi], a.gate[lo:hi], a.up[lo:hi]) })

// SwiGLU computes h = silu(gate)∘up, element by element (Shazeer, 2020). h may be gate or up.
func SwiGLU(h, gate, up []float32) {
	n := len(gate)
	checkLen("SwiGLU h", h, n)
	checkLen("SwiGLU up", up, n)
	swigluCalls.run(n, blockElements, swigluCall{&active.Load().rows, h, gate, up})
}

type swigluBackwardCall struct {
	rk                       *rowKernels
	dgate, dup, dh, gate, up []float32
}

var swigluBackwardCalls = newCalls(func(a *swigluBackwardCall, lo, hi int) {
	a.rk.swigluBackward(a.dgate[lo:hi], a.dup[lo:hi], a.dh[lo:hi], a.gate[lo:hi], a.up[lo:hi])
})

// SwiGLUBackward computes dgate and dup from dh and the forward pass's inputs, and replaces dh by
// h, which so need not be kept: it recomputes silu, and h may differ from SwiGLU's in the last
// place. dgate may be gate and dup may be up.
func SwiGLUBackward(dgate, dup, dh, gate, up []float32) {
	n := len(gate)
	checkLen("SwiGLUBackward dgate", dgate, n)
	checkLen("SwiGLUBackward dup", dup, n)
	checkLen("SwiGLUBackward dh", dh, n)
	checkLen("SwiGLUBackward up", up, n)
	swigluBackwardCalls.run(n, blockElements, swigluBackwardCall{&active.Load().rows, dgate, dup, dh, gate, up})
}

type addCall struct {
	rk   *rowKernels
	y, x []float32
}

var addCalls = newCalls(func(a *addCall, lo, hi int) { a.rk.axpy(a.y[lo:hi], a.x[lo:hi], 1) })

// Add computes y += x.
func Add(y, x []float32) {
	n := len(x)
	checkLen("Add y", y, n)
	addCalls.run(n, blockElements, addCall{&active.Load().rows, y, x})
}

type scatterCall struct {
	rk    *rowKernels
	y, x  []float32
	index []int32
	dim   int
}

var scatterCalls = newCalls(func(a *scatterCall, lo, hi int) {
	for i, at := range a.index {
		a.rk.axpy(a.y[int(at)*a.dim+lo:int(at)*a.dim+hi], a.x[i*a.dim+lo:i*a.dim+hi], 1)
	}
})

// ScatterAdd adds row i of x [len(index), dim] to row index[i] of y [any, dim], in ascending order
// of i: the gradient of an embedding.
func ScatterAdd(y, x []float32, index []int32, dim int) {
	checkLen("ScatterAdd x", x, len(index)*dim)
	for i, at := range index {
		if at < 0 || (int(at)+1)*dim > len(y) {
			panic(fmt.Sprintf("kernels: ScatterAdd index %d is %d, y has %d rows", i, at, len(y)/max(1, dim)))
		}
	}
	// Threads share columns, since two rows of x may go to one of y.
	const columns = 64
	scatterCalls.run(dim, columns, scatterCall{&active.Load().rows, y, x, index, dim})
}

type addRowCall struct {
	rk      *rowKernels
	y, bias []float32
}

var addRowCalls = newCalls(func(a *addRowCall, lo, hi int) {
	dim := len(a.bias)
	for r := lo; r < hi; r++ {
		a.rk.axpy(a.y[r*dim:(r+1)*dim], a.bias, 1)
	}
})

// AddRow adds bias [dim] to each row of y [rows, dim].
func AddRow(y, bias []float32, rows, dim int) {
	checkLen("AddRow y", y, rows*dim)
	checkLen("AddRow bias", bias, dim)
	addRowCalls.run(rows, rowGrain(dim), addRowCall{&active.Load().rows, y, bias[:dim]})
}

type sumRowsCall struct {
	rk   *rowKernels
	sums columnSums
	x    []float32
}

var sumRowsCalls = newCalls(func(a *sumRowsCall, lo, hi int) {
	dim := a.sums.dim
	for p := lo; p < hi; p++ {
		sum, from, to := a.sums.part(p)
		for r := from; r < to; r++ {
			a.rk.axpy(sum, a.x[r*dim:(r+1)*dim], 1)
		}
	}
})

// SumRows adds the sum over rows of x [rows, dim] to y [dim]: the gradient of a bias.
func SumRows(y, x []float32, rows, dim int) {
	checkLen("SumRows y", y, dim)
	checkLen("SumRows x", x, rows*dim)
	rk := &active.Load().rows
	sums := newColumnSums(rows, dim)
	parts, grain := sums.grid()
	sumRowsCalls.run(parts, grain, sumRowsCall{rk, sums, x})
	sums.addTo(y[:dim], rk)
}

type squaresCall struct {
	rk    *rowKernels
	x     []float32
	parts []float64 // one for each blockElements of x
}

var (
	squaresCalls = newCalls(func(a *squaresCall, lo, hi int) { a.parts[lo/blockElements] = a.rk.sumSquares(a.x[lo:hi]) })
	freeSquares  = memory.NewFreeList(16, func() *[]float64 { return new([]float64) })
)

// SumSquares returns Σx² in float64, in one fixed order.
func SumSquares(x []float32) float64 {
	rk := &active.Load().rows
	if len(x) <= blockElements {
		return rk.sumSquares(x)
	}
	parts := freeSquares.Get()
	blocks := (len(x) + blockElements - 1) / blockElements
	*parts = slices.Grow((*parts)[:0], blocks)[:blocks]
	squaresCalls.run(len(x), blockElements, squaresCall{rk, x, *parts})
	var sum float64
	for _, p := range *parts {
		sum += p
	}
	freeSquares.Put(parts)
	return sum
}

type momentsCall struct {
	rk          *rowKernels
	sum, sumAbs []float64
	largest, x  []float32
	rows        int
}

var momentsCalls = newCalls(func(a *momentsCall, lo, hi int) {
	dim := len(a.sum)
	for r := range a.rows {
		a.rk.addMoments(a.sum[lo:hi], a.sumAbs[lo:hi], a.largest[lo:hi], a.x[r*dim+lo:r*dim+hi])
	}
})

// AddMoments adds the columns of x [rows, len(sum)] and their magnitudes to sums in float64, in the
// order of the rows, and raises largest to the largest magnitude of each, or NaN. All
// implementations have the same bits.
func AddMoments(sum, sumAbs []float64, largest, x []float32, rows int) {
	dim := len(sum)
	checkLen("AddMoments x", x, rows*dim)
	if len(sumAbs) < dim || len(largest) < dim {
		panic(fmt.Sprintf("kernels: AddMoments of %d columns, with sums of %d magnitudes and the largest of %d", dim, len(sumAbs), len(largest)))
	}
	const columns = 128 // a thread's, whose sums the nearest cache holds
	momentsCalls.run(dim, columns, momentsCall{&active.Load().rows, sum, sumAbs, largest, x, rows})
}
