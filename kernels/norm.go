package kernels

import "math"

// RMSNorm is a root-mean-square norm (Zhang and Sennrich, 2019): y = x·r∘Weight for each row, with
// r = (mean x² + Epsilon)^-½. Rows have as many elements as Weight, called dim below. The rstd of a
// call holds the r of each row.
type RMSNorm struct {
	Weight  []float32
	Epsilon float32
}

// Forward computes y and stores r in rstd [rows], which may be nil. x and y are [rows, dim] and may
// be the same slice.
func (n RMSNorm) Forward(y, rstd, x []float32, rows int) {
	dim := len(n.Weight)
	checkLen("RMSNorm.Forward y", y, rows*dim)
	checkLen("RMSNorm.Forward x", x, rows*dim)
	if rstd != nil {
		checkLen("RMSNorm.Forward rstd", rstd, rows)
	}
	normCalls.run(rows, rowGrain(dim), normCall{RMSNorm: n, rk: &active.Load().rows, y: y, rstd: rstd, x: x})
}

// AddForward computes sum = x + delta and y from sum, row by row, bit for bit what Add and Forward
// compute one after the other: the residual stream is summed and normed while a row is in the first
// cache. sum, x, delta and y are [rows, dim]; sum may be x or delta, y may be any of the three.
func (n RMSNorm) AddForward(y, rstd, sum, x, delta []float32, rows int) {
	dim := len(n.Weight)
	checkLen("RMSNorm.AddForward y", y, rows*dim)
	checkLen("RMSNorm.AddForward sum", sum, rows*dim)
	checkLen("RMSNorm.AddForward x", x, rows*dim)
	checkLen("RMSNorm.AddForward delta", delta, rows*dim)
	if rstd != nil {
		checkLen("RMSNorm.AddForward rstd", rstd, rows)
	}
	normCalls.run(rows, rowGrain(dim), normCall{n, &active.Load().rows, y, rstd, x, delta[: rows*dim : rows*dim], sum})
}

// normCall is one call of Forward, or with delta of AddForward.
type normCall struct {
	RMSNorm
	rk                     *rowKernels
	y, rstd, x, delta, sum []float32
}

var normCalls = newCalls(func(a *normCall, lo, hi int) {
	dim := len(a.Weight)
	for i := lo; i < hi; i++ {
		from, to := i*dim, (i+1)*dim
		x := a.x[from:to]
		var squares float32
		if a.delta == nil {
			squares = a.rk.dot(x, x)
		} else {
			squares = a.rk.addDot(a.sum[from:to], x, a.delta[from:to])
			x = a.sum[from:to]
		}
		r := float32(1 / math.Sqrt(float64(squares/float32(dim)+a.Epsilon)))
		if a.rstd != nil {
			a.rstd[i] = r
		}
		a.rk.normScale(a.y[from:to], x, a.Weight, r)
	}
})

// Again computes the y of an earlier Forward with its bits from the rstd [rows] that Forward
// stored.
func (n RMSNorm) Again(y, rstd, x []float32, rows int) {
	dim := len(n.Weight)
	checkLen("RMSNorm.Again y", y, rows*dim)
	checkLen("RMSNorm.Again x", x, rows*dim)
	checkLen("RMSNorm.Again rstd", rstd, rows)
	normAgainCalls.run(rows, rowGrain(dim), normAgainCall{&active.Load().rows, y, rstd, x, n.Weight})
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

// Backward adds the gradient of the input to dx [rows, dim] and that of the weight to dw [dim],
// from dy [rows, dim], the forward pass's input x and its rstd [rows]: m = dy∘Weight, dx += r·(m −
// x·r²·mean(m∘x)), dw += Σ_rows dy∘x·r. As Backward adds to dx, dx may hold the gradient of the
// residual stream.
func (n RMSNorm) Backward(dx, dw, dy, x, rstd []float32, rows int) {
	dim := len(n.Weight)
	checkLen("RMSNorm.Backward dx", dx, rows*dim)
	checkLen("RMSNorm.Backward dw", dw, dim)
	checkLen("RMSNorm.Backward dy", dy, rows*dim)
	checkLen("RMSNorm.Backward x", x, rows*dim)
	checkLen("RMSNorm.Backward rstd", rstd, rows)
	rk := &active.Load().rows
	sums := newColumnSums(rows, dim)
	parts, grain := sums.grid()
	normBackwardCalls.run(parts, grain, normBackwardCall{rk, sums, dx, dy, x, n.Weight, rstd})
	sums.addTo(dw[:dim], rk)
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
