package kernels

import (
	"fmt"
	"math"
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

// normCall is one RMSNorm; with delta the row is first summed, into sum.
type normCall struct {
	rk                        *rowKernels
	y, rstd, x, w, delta, sum []float32
	dim                       int
	eps                       float32
}

var normCalls = newCalls(func(a *normCall, lo, hi int) {
	for i := lo; i < hi; i++ {
		from, to := i*a.dim, (i+1)*a.dim
		x := a.x[from:to]
		var squares float32
		if a.delta == nil {
			squares = a.rk.dot(x, x)
		} else {
			squares = a.rk.addDot(a.sum[from:to], x, a.delta[from:to])
			x = a.sum[from:to]
		}
		r := float32(1 / math.Sqrt(float64(squares/float32(a.dim)+a.eps)))
		if a.rstd != nil {
			a.rstd[i] = r
		}
		a.rk.normScale(a.y[from:to], x, a.w, r)
	}
})

// RMSNorm computes y = x·r∘w for each row, r = (mean x² + eps)^-½, and stores r in rstd (which may
// be nil). x and y are [rows, dim] and may be the same slice; w is [dim] (Zhang and Sennrich,
// 2019).
func RMSNorm(y, rstd, x, w []float32, rows, dim int, eps float32) {
	checkLen("RMSNorm y", y, rows*dim)
	checkLen("RMSNorm x", x, rows*dim)
	checkLen("RMSNorm w", w, dim)
	if rstd != nil {
		checkLen("RMSNorm rstd", rstd, rows)
	}
	normCalls.run(rows, rowGrain(dim), normCall{rk: &active.Load().rows, y: y, rstd: rstd, x: x, w: w[:dim], dim: dim, eps: eps})
}

// AddRMSNorm computes sum = x + delta and y = RMSNorm(sum) row by row, bit for bit what Add and
// RMSNorm compute one after the other: the residual stream is summed and normed while a row is in
// the nearest cache. sum, x, delta and y are [rows, dim]; sum may be x or delta, y may be any of
// the three.
func AddRMSNorm(y, rstd, sum, x, delta, w []float32, rows, dim int, eps float32) {
	checkLen("AddRMSNorm y", y, rows*dim)
	checkLen("AddRMSNorm x", x, rows*dim)
	checkLen("AddRMSNorm w", w, dim)
	if rstd != nil {
		checkLen("AddRMSNorm rstd", rstd, rows)
	}
	checkLen("AddRMSNorm sum", sum, rows*dim)
	checkLen("AddRMSNorm delta", delta, rows*dim)
	normCalls.run(rows, rowGrain(dim), normCall{&active.Load().rows, y, rstd, x, w[:dim], delta[: rows*dim : rows*dim], sum, dim, eps})
}

type normAgainCall struct {
	rk            *rowKernels
	y, rstd, x, w []float32
}

var normAgainCalls = newCalls(func(a *normAgainCall, lo, hi int) {
	dim := len(a.w)
	for i := lo; i < hi; i++ {
		a.rk.normScale(a.y[i*dim:(i+1)*dim], a.x[i*dim:(i+1)*dim], a.w, a.rstd[i])
	}
})

// RMSNormAgain computes y = x·rstd∘w, the output of an earlier RMSNorm with its bits, from what
// that one stored in rstd [rows].
func RMSNormAgain(y, rstd, x, w []float32, rows, dim int) {
	checkLen("RMSNormAgain y", y, rows*dim)
	checkLen("RMSNormAgain x", x, rows*dim)
	checkLen("RMSNormAgain w", w, dim)
	checkLen("RMSNormAgain rstd", rstd, rows)
	normAgainCalls.run(rows, rowGrain(dim), normAgainCall{&active.Load().rows, y, rstd, x, w[:dim]})
}

type normBackwardCall struct {
	rk                 *rowKernels
	sums               columnSums
	dx, dy, x, w, rstd []float32
}

var normBackwardCalls = newCalls(func(a *normBackwardCall, lo, hi int) {
	dim := a.sums.dim
	for p := lo; p < hi; p++ {
		dw, from, to := a.sums.part(p)
		for i := from; i < to; i++ {
			x, dy, r := a.x[i*dim:(i+1)*dim], a.dy[i*dim:(i+1)*dim], a.rstd[i]
			c := a.rk.dot3(dy, a.w, x) * r * r / float32(dim)
			a.rk.normBackward(a.dx[i*dim:(i+1)*dim], dw, dy, x, a.w, r, c)
		}
	}
})

// RMSNormBackward adds the gradient of the input to dx [rows, dim] and that of the weight to dw
// [dim], from dy [rows, dim], the forward pass's input x and its rstd [rows]: m = dy∘w, dx += r·(m
// − x·r²·mean(m∘x)), dw += Σ_rows dy∘x·r. As dx is added to, it may hold what comes down the
// residual stream.
func RMSNormBackward(dx, dw, dy, x, w, rstd []float32, rows, dim int) {
	checkLen("RMSNormBackward dx", dx, rows*dim)
	checkLen("RMSNormBackward dw", dw, dim)
	checkLen("RMSNormBackward dy", dy, rows*dim)
	checkLen("RMSNormBackward x", x, rows*dim)
	checkLen("RMSNormBackward w", w, dim)
	checkLen("RMSNormBackward rstd", rstd, rows)
	rk := &active.Load().rows
	sums := newColumnSums(rows, dim)
	parts, grain := sums.grid()
	normBackwardCalls.run(parts, grain, normBackwardCall{rk, sums, dx, dy, x, w[:dim], rstd})
	sums.addTo(dw[:dim], rk)
}

// RopeTable holds cos and sin of position·frequency, [positions, headDim/2] each.
type RopeTable struct {
	HeadDim  int
	Cos, Sin []float32
}

// NewRopeTable computes the table in float64 for frequencies in radians a position, one for each
// pair of a head's elements. Cos and Sin are multiplied by gain, and so is what they rotate; 1
// leaves lengths as they are.
func NewRopeTable(positions int, frequencies []float64, gain float64) *RopeTable {
	half := len(frequencies)
	t := &RopeTable{2 * half, make([]float32, positions*half), make([]float32, positions*half)}
	for i, frequency := range frequencies {
		for p := range positions {
			sin, cos := math.Sincos(float64(p) * frequency)
			t.Cos[p*half+i], t.Sin[p*half+i] = float32(gain*cos), float32(gain*sin)
		}
	}
	return t
}

// RopeFrequencies are those of rotary positions as they were published: frequency_i =
// theta^(-2i/headDim) (Su et al., 2021).
func RopeFrequencies(headDim int, theta float64) []float64 {
	f := make([]float64, headDim/2)
	for i := range f {
		f[i] = math.Pow(theta, -2*float64(i)/float64(headDim))
	}
	return f
}

type ropeCall struct {
	rk        *rowKernels
	x         []float32
	positions []int32
	heads     int
	table     *RopeTable
	sign      float32
}

var ropeCalls = newCalls(func(a *ropeCall, lo, hi int) {
	t := a.table
	half, dim := t.HeadDim/2, a.heads*t.HeadDim
	for r := lo; r < hi; r++ {
		at := int(a.positions[r]) * half
		if at < 0 || at+half > len(t.Cos) {
			panic(fmt.Sprintf("kernels: Rope position %d is outside the table of %d positions", a.positions[r], len(t.Cos)/max(1, half)))
		}
		a.rk.rotate(a.x[r*dim:(r+1)*dim], t.Cos[at:at+half], t.Sin[at:at+half], a.heads, a.sign)
	}
})

// Rope rotates x [rows, heads, headDim] in place, half-split as Hugging Face checkpoints need it:
// [x1·c − x2·s, x2·c + x1·s]. positions [rows] selects the table's rows. inverse turns the other
// way: the backward pass.
func Rope(x []float32, positions []int32, heads int, t *RopeTable, inverse bool) {
	dim := heads * t.HeadDim
	checkLen("Rope x", x, len(positions)*dim)
	sign := float32(1)
	if inverse {
		sign = -1
	}
	ropeCalls.run(len(positions), rowGrain(dim), ropeCall{&active.Load().rows, x, positions, heads, t, sign})
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

// Exp computes y = eˣ, element by element, on the calling goroutine alone. y may be x. The error is
// below 2 ulp; results overflow to +Inf above 88.72, pass through the subnormals and reach 0 below
// -103.97; NaN stays NaN.
func Exp(y, x []float32) {
	checkLen("Exp y", y, len(x))
	active.Load().rows.exp(y[:len(x)], x)
}

// Softmax replaces each row of x [rows, n] by its softmax.
func Softmax(x []float32, rows, n int) { SoftmaxLSE(x, x, rows, n, nil) }

type softmaxCall struct {
	rk        *rowKernels
	p, x, lse []float32
	n         int
}

var softmaxCalls = newCalls(func(a *softmaxCall, lo, hi int) {
	n := a.n
	for r := lo; r < hi; r++ {
		row := a.p[r*n : (r+1)*n]
		m := a.rk.maximum(a.x[r*n : (r+1)*n])
		sum := a.rk.expSum(row, a.x[r*n:(r+1)*n], 1, m)
		a.rk.scale(row, row, 1/sum)
		if a.lse != nil {
			a.lse[r] = m + float32(math.Log(float64(sum)))
		}
	}
})

// SoftmaxLSE computes the softmax p of each row of x, both [rows, n], n ≥ 1, and stores the
// log-sum-exp of each row in lse [rows] (which may be nil). p may be x. A row that holds NaN or
// +Inf, or nothing above -Inf, gives NaN.
func SoftmaxLSE(p, x []float32, rows, n int, lse []float32) {
	checkLen("SoftmaxLSE p", p, rows*n)
	checkLen("SoftmaxLSE x", x, rows*n)
	if lse != nil {
		checkLen("SoftmaxLSE lse", lse, rows)
	}
	softmaxCalls.run(rows, rowGrain(n), softmaxCall{&active.Load().rows, p, x, lse, n})
}
