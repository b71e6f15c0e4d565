package kernels

import (
	"fmt"
	"math"
)

// blockElements is the number of float32 that one unit of parallel work handles: 64 KiB, large against the
// cost of handing it to a thread. Partitions depend on sizes alone, never on the number of threads.
const blockElements = 1 << 14

// reduceRows is the number of rows whose contribution to a column sum is added up before the blocks are added in order.
const reduceRows = 64

// rowGrain is the number of rows of dim elements that make blockElements.
func rowGrain(dim int) int { return max(1, blockElements/max(1, dim)) }

// sumColumns adds Σ_rows of what f contributes to sum [dim]: f adds rows from…to to a part that starts from zero. Parts
// are of reduceRows rows and are added in ascending order, so the bits do not depend on threads.
func sumColumns(sum []float32, rows, dim int, f func(part []float32, from, to int)) {
	parts := (rows + reduceRows - 1) / reduceRows
	s := newScratch(parts * dim)
	defer s.free()
	all := s.take(parts * dim)
	clear(all)
	work := func(i int) { f(all[i*dim:(i+1)*dim], i*reduceRows, min((i+1)*reduceRows, rows)) }
	if rows*dim <= blockElements {
		for i := range parts {
			work(i)
		}
	} else {
		Parallel(parts, work)
	}
	rk := &active.Load().rows
	for i := range parts {
		rk.axpy(sum, all[i*dim:(i+1)*dim], 1)
	}
}

// RMSNorm computes y = x·r∘w for each row, r = (mean x² + eps)^-½, and stores r in rstd (which may be
// nil). x and y are [rows, dim] and may be the same slice; w is [dim] (Zhang and Sennrich, 2019).
func RMSNorm(y, rstd, x, w []float32, rows, dim int, eps float32) {
	checkLen("RMSNorm y", y, rows*dim)
	checkLen("RMSNorm x", x, rows*dim)
	checkLen("RMSNorm w", w, dim)
	if rstd != nil {
		checkLen("RMSNorm rstd", rstd, rows)
	}
	rk := &active.Load().rows
	ParallelRange(rows, rowGrain(dim), func(from, to int) {
		for i := from; i < to; i++ {
			xr := x[i*dim : (i+1)*dim]
			r := float32(1 / math.Sqrt(float64(rk.dot(xr, xr)/float32(dim)+eps)))
			if rstd != nil {
				rstd[i] = r
			}
			rk.normScale(y[i*dim:(i+1)*dim], xr, w[:dim], r)
		}
	})
}

// RMSNormBackward adds the gradient of the input to dx [rows, dim] and that of the weight to dw
// [dim], from dy [rows, dim], the forward pass's input x and its rstd [rows]:
// m = dy∘w, dx += r·(m − x·r²·mean(m∘x)), dw += Σ_rows dy∘x·r.
func RMSNormBackward(dx, dw, dy, x, w, rstd []float32, rows, dim int) {
	checkLen("RMSNormBackward dx", dx, rows*dim)
	checkLen("RMSNormBackward dw", dw, dim)
	checkLen("RMSNormBackward dy", dy, rows*dim)
	checkLen("RMSNormBackward x", x, rows*dim)
	checkLen("RMSNormBackward w", w, dim)
	checkLen("RMSNormBackward rstd", rstd, rows)
	rk := &active.Load().rows
	w = w[:dim]
	sumColumns(dw[:dim], rows, dim, func(part []float32, from, to int) {
		for i := from; i < to; i++ {
			xr, dyr, r := x[i*dim:(i+1)*dim], dy[i*dim:(i+1)*dim], rstd[i]
			c := rk.dot3(dyr, w, xr) * r * r / float32(dim)
			rk.normBackward(dx[i*dim:(i+1)*dim], part, dyr, xr, w, r, c)
		}
	})
}

// RopeTable holds cos and sin of position·frequency, [positions, headDim/2] each.
type RopeTable struct {
	HeadDim  int
	Cos, Sin []float32
}

// NewRopeTable computes the table in float64: frequency_i = theta^(-2i/headDim) (Su et al., 2021).
func NewRopeTable(positions, headDim int, theta float64) *RopeTable {
	half := headDim / 2
	t := &RopeTable{headDim, make([]float32, positions*half), make([]float32, positions*half)}
	for i := range half {
		frequency := math.Pow(theta, -2*float64(i)/float64(headDim))
		for p := range positions {
			sin, cos := math.Sincos(float64(p) * frequency)
			t.Cos[p*half+i], t.Sin[p*half+i] = float32(cos), float32(sin)
		}
	}
	return t
}

// Rope rotates x [rows, heads, headDim] in place, half-split as Hugging Face checkpoints need it:
// [x1·c − x2·s, x2·c + x1·s]. positions [rows] selects the table's rows. inverse turns the other way: the
// backward pass.
func Rope(x []float32, positions []int32, heads int, t *RopeTable, inverse bool) {
	half, dim := t.HeadDim/2, heads*t.HeadDim
	checkLen("Rope x", x, len(positions)*dim)
	sign := float32(1)
	if inverse {
		sign = -1
	}
	rk := &active.Load().rows
	ParallelRange(len(positions), rowGrain(dim), func(from, to int) {
		for r := from; r < to; r++ {
			at := int(positions[r]) * half
			if at < 0 || at+half > len(t.Cos) {
				panic(fmt.Sprintf("kernels: Rope position %d is outside the table of %d positions", positions[r], len(t.Cos)/max(1, half)))
			}
			rk.rotate(x[r*dim:(r+1)*dim], t.Cos[at:at+half], t.Sin[at:at+half], heads, sign)
		}
	})
}

// SwiGLU computes h = silu(gate)∘up, element by element (Shazeer, 2020). h may be gate or up.
func SwiGLU(h, gate, up []float32) {
	n := len(gate)
	checkLen("SwiGLU h", h, n)
	checkLen("SwiGLU up", up, n)
	rk := &active.Load().rows
	ParallelRange(n, blockElements, func(a, b int) { rk.swiglu(h[a:b], gate[a:b], up[a:b]) })
}

// SwiGLUBackward computes dgate and dup from dh and the forward pass's inputs; it recomputes silu. dgate may
// be gate and dup may be up.
func SwiGLUBackward(dgate, dup, dh, gate, up []float32) {
	n := len(gate)
	checkLen("SwiGLUBackward dgate", dgate, n)
	checkLen("SwiGLUBackward dup", dup, n)
	checkLen("SwiGLUBackward dh", dh, n)
	checkLen("SwiGLUBackward up", up, n)
	rk := &active.Load().rows
	ParallelRange(n, blockElements, func(a, b int) { rk.swigluBackward(dgate[a:b], dup[a:b], dh[a:b], gate[a:b], up[a:b]) })
}

// Add computes y += x.
func Add(y, x []float32) {
	n := len(x)
	checkLen("Add y", y, n)
	rk := &active.Load().rows
	ParallelRange(n, blockElements, func(a, b int) { rk.axpy(y[a:b], x[a:b], 1) })
}

// AddRow adds bias [dim] to each row of y [rows, dim].
func AddRow(y, bias []float32, rows, dim int) {
	checkLen("AddRow y", y, rows*dim)
	checkLen("AddRow bias", bias, dim)
	rk := &active.Load().rows
	ParallelRange(rows, rowGrain(dim), func(from, to int) {
		for r := from; r < to; r++ {
			rk.axpy(y[r*dim:(r+1)*dim], bias[:dim], 1)
		}
	})
}

// SumRows adds the sum over rows of x [rows, dim] to y [dim]: the gradient of a bias.
func SumRows(y, x []float32, rows, dim int) {
	checkLen("SumRows y", y, dim)
	checkLen("SumRows x", x, rows*dim)
	rk := &active.Load().rows
	sumColumns(y[:dim], rows, dim, func(part []float32, from, to int) {
		for r := from; r < to; r++ {
			rk.axpy(part, x[r*dim:(r+1)*dim], 1)
		}
	})
}

// SumSquares returns Σx² in float64, in one fixed order.
func SumSquares(x []float32) float64 {
	rk := &active.Load().rows
	blocks := (len(x) + blockElements - 1) / blockElements
	if blocks <= 1 {
		return rk.sumSquares(x)
	}
	parts := make([]float64, blocks)
	Parallel(blocks, func(i int) { parts[i] = rk.sumSquares(x[i*blockElements : min((i+1)*blockElements, len(x))]) })
	var sum float64
	for _, p := range parts {
		sum += p
	}
	return sum
}

// Exp computes y = eˣ, element by element, on the calling goroutine alone. y may be x. The error is below 2 ulp; results
// overflow to +Inf above 88.72, pass through the subnormals and reach 0 below -103.97; NaN stays NaN.
func Exp(y, x []float32) {
	checkLen("Exp y", y, len(x))
	active.Load().rows.exp(y[:len(x)], x)
}

// Softmax replaces each row of x [rows, n] by its softmax.
func Softmax(x []float32, rows, n int) { SoftmaxLSE(x, x, rows, n, nil) }

// SoftmaxLSE computes the softmax p of each row of x, both [rows, n], n ≥ 1, and stores the log-sum-exp of each row in lse [rows] (which
// may be nil). p may be x. A row that holds NaN or +Inf, or nothing above -Inf, gives NaN.
func SoftmaxLSE(p, x []float32, rows, n int, lse []float32) {
	checkLen("SoftmaxLSE p", p, rows*n)
	checkLen("SoftmaxLSE x", x, rows*n)
	if lse != nil {
		checkLen("SoftmaxLSE lse", lse, rows)
	}
	rk := &active.Load().rows
	ParallelRange(rows, rowGrain(n), func(from, to int) {
		for r := from; r < to; r++ {
			row := p[r*n : (r+1)*n]
			m := rk.maximum(x[r*n : (r+1)*n])
			sum := rk.expSum(row, x[r*n:(r+1)*n], 1, m)
			rk.scale(row, row, 1/sum)
			if lse != nil {
				lse[r] = m + float32(math.Log(float64(sum)))
			}
		}
	})
}
