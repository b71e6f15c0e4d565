package quant

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"gonum.org/v1/gonum/mat"

	"slimlab/kernels/matrix"
	"slimlab/kernels/parallel"
	"slimlab/model/calibrate"
)

// statistics are the second moments of a linear layer's input, as GPTQ needs them.
type statistics struct {
	raw     *mat.SymDense // [in, in], mean x·xᵀ
	shift   float64       // that damping adds to the diagonal
	order   []int         // the order in which inputs are quantized
	factor  matrix.Dense  // U in the upper triangle, with (damped in that order)⁻¹ = UᵀU
	damping float64       // relative to the mean of the diagonal, as it was used in the end
	note    string        // says that damping had to be raised
}

// dampingLimit ends the search for a damping that makes the statistics positive definite.
const dampingLimit = 10

var errNotPositive = errors.New("the input statistics are not positive definite even with damping 10: are they finite?")

// newStatistics factorises the mean Gram matrix of an input, which it keeps. A channel that was
// never active has a one put on its diagonal: its weights, which nothing depends on, are then
// rounded to nearest. When the factorisation fails the damping is multiplied by ten (from 0: set to
// 0.001) and a note is left.
func newStatistics(raw *mat.SymDense, damping float64, actOrder bool) (*statistics, error) {
	n := raw.SymmetricDim()
	s := &statistics{raw: raw, order: make([]int, n), damping: damping}
	mean := 0.0
	for i := range n {
		s.order[i] = i
		mean += s.diagonal(i) / float64(n)
	}
	if actOrder {
		slices.SortStableFunc(s.order, func(a, b int) int { return cmp.Compare(s.diagonal(b), s.diagonal(a)) })
	}
	s.factor = matrix.NewDense(n, n, nil)
	for ; s.damping <= dampingLimit; s.damping = max(0.001, 10*s.damping) {
		s.shift = s.damping * mean
		if s.factorise() {
			if s.damping != damping {
				s.note = fmt.Sprintf("the input statistics were singular: damping raised from %g to %g", damping, s.damping)
			}
			return s, nil
		}
	}
	return nil, errNotPositive
}

// diagonal is an element of the diagonal before damping, one for a channel that was never active.
func (s *statistics) diagonal(i int) float64 {
	if v := s.raw.At(i, i); v != 0 {
		return v
	}
	return 1
}

// factorise computes U and reports whether it could. In the reverse order of inputs the matrix is
// VᵀV; reversed again that is LᵀL with a lower triangle L, whose inverse transposed is U: one
// factorisation and one inverse of a triangle, where the way by H⁻¹ takes two and a whole inverse.
func (s *statistics) factorise() bool {
	n, h := len(s.order), s.factor
	parallel.Range(n, 64, func(lo, hi int) {
		for a := lo; a < hi; a++ {
			row, i := h.Row(a), s.order[n-1-a]
			for b := a; b < n; b++ {
				row[b] = s.raw.At(i, s.order[n-1-b])
			}
			row[a] = s.diagonal(i) + s.shift
		}
	})
	if !matrix.Cholesky(h) {
		return false
	}
	matrix.InvertUpper(h)
	// U(a, b) = V⁻¹(n-1-b, n-1-a): elements change places across the other diagonal.
	parallel.Range(n, 64, func(lo, hi int) {
		for a := lo; a < hi; a++ {
			row := h.Row(a)
			for b := a; a+b < n-1; b++ {
				mirror := &h.Data[(n-1-b)*h.RowStride+n-1-a]
				row[b], *mirror = *mirror, row[b]
			}
		}
	})
	return true
}

// gptq chooses codes for w [out, in] on a grid that was fixed before (static groups): input by
// input in the order of s, the error of each is passed on to the inputs not yet quantized (Frantar
// et al., 2022, algorithm 1). Updates beyond `block` inputs are done a block at a time. It returns
// the codes and Σe², which equals tr((W−Ŵ)·H·(W−Ŵ)ᵀ) with the damped H.
func (g *grid) gptq(w []float32, s *statistics, block int) (q []int8, loss float64) {
	q = make([]int8, len(w))
	const rows = 16 // of a task: they do not depend on each other
	losses := make([]float64, g.out)
	work, errs := matrix.NewDense(g.out, g.in, nil), matrix.NewDense(g.out, block, nil)
	parallel.Range(g.out, rows, func(lo, hi int) {
		for o := lo; o < hi; o++ {
			row := work.Row(o)
			for a, i := range s.order {
				row[a] = float64(w[o*g.in+i])
			}
		}
	})
	for start := 0; start < g.in; start += block {
		end := min(g.in, start+block)
		parallel.Range(g.out, rows, func(lo, hi int) {
			for o := lo; o < hi; o++ {
				losses[o] += g.gptqBlock(q, work.Row(o), errs.Row(o), o, start, end, s)
			}
		})
		rest := g.in - end
		matrix.AddProduct(work.Block(0, end, g.out, rest), errs.Block(0, 0, g.out, end-start), s.factor.Block(start, end, end-start, rest), -1)
	}
	for _, l := range losses {
		loss += l
	}
	return q, loss
}

// gptqBlock quantizes the ordered inputs start…end-1 of one output channel o, whose compensated
// weights are row, and writes their errors to errs. It returns Σe².
func (g *grid) gptqBlock(q []int8, row, errs []float64, o, start, end int, s *statistics) (loss float64) {
	u := s.factor
	for a := start; a < end; a++ {
		i := s.order[a]
		code := g.nearest(row[a], o, i)
		q[o*g.in+i] = code
		e := (row[a] - g.value(code)*g.scaleAt(o, i)) / u.Row(a)[a]
		errs[a-start] = e
		loss += e * e
		for b, v := range u.Row(a)[a+1 : end] {
			row[a+1+b] -= e * v
		}
	}
	return loss
}

// squaredError is tr((W−Ŵ)·h·(W−Ŵ)ᵀ) for w and q of g's shape.
func (g *grid) squaredError(w []float32, q []int8, h *mat.SymDense) float64 {
	return energy(g.out, g.in, h, func(row []float64, o int) {
		for i := range row {
			row[i] = float64(w[o*g.in+i]) - g.value(q[o*g.in+i])*g.scaleAt(o, i)
		}
	})
}

// energy is tr(W·h·Wᵀ) for W [out, in], whose rows it asks for.
func energy(out, in int, h *mat.SymDense, row func(row []float64, o int)) float64 {
	const strip = 512 // rows at a time, so that memory stays small
	full, parts := calibrate.Matrix(h), make([]float64, out)
	for first := 0; first < out; first += strip {
		n := min(strip, out-first)
		w, wh := matrix.NewDense(n, in, nil), matrix.NewDense(n, in, nil)
		parallel.Range(n, 16, func(lo, hi int) {
			for r := lo; r < hi; r++ {
				row(w.Row(r), first+r)
			}
		})
		matrix.AddProduct(wh, w, full, 1)
		parallel.Range(n, 16, func(lo, hi int) {
			for r := lo; r < hi; r++ {
				for i, v := range w.Row(r) {
					parts[first+r] += v * wh.Row(r)[i]
				}
			}
		})
	}
	sum := 0.0
	for _, v := range parts {
		sum += v
	}
	return sum
}
