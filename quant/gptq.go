package quant

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas64"
	"gonum.org/v1/gonum/mat"

	"slimlab/kernels"
	"slimlab/model/calibrate"
)

// statistics are the second moments of a linear layer's input, as GPTQ needs them.
type statistics struct {
	raw     *mat.SymDense // [in, in], mean x·xᵀ
	damped  *mat.SymDense // raw with ones for channels that were never active, and damping on the diagonal
	order   []int         // the order in which inputs are quantized
	factor  *mat.TriDense // U, upper, with (damped in that order)⁻¹ = UᵀU
	damping float64       // relative to the mean of the diagonal, as it was used in the end
	note    string        // says that damping had to be raised
}

// dampingLimit ends the search for a damping that makes the statistics positive definite.
const dampingLimit = 10

var errNotPositive = errors.New("the input statistics are not positive definite even with damping 10: are they finite?")

// newStatistics factorises the mean Gram matrix of an input. A channel that was never active has a one put on its
// diagonal: its weights, which nothing depends on, are then rounded to nearest. When the factorisation fails the
// damping is multiplied by ten (from 0: set to 0.001) and a note is left.
func newStatistics(raw *mat.SymDense, damping float64, actOrder bool) (*statistics, error) {
	n := raw.SymmetricDim()
	s := &statistics{raw: raw, order: make([]int, n), damping: damping}
	base := mat.NewSymDense(n, nil)
	base.CopySym(raw)
	for i := range n {
		s.order[i] = i
		if base.At(i, i) == 0 {
			base.SetSym(i, i, 1)
		}
	}
	if actOrder {
		slices.SortStableFunc(s.order, func(a, b int) int { return cmp.Compare(base.At(b, b), base.At(a, a)) })
	}
	mean := mat.Trace(base) / float64(n)
	for ; s.damping <= dampingLimit; s.damping = max(0.001, 10*s.damping) {
		s.damped = mat.NewSymDense(n, nil)
		s.damped.CopySym(base)
		for i := range n {
			s.damped.SetSym(i, i, base.At(i, i)+s.damping*mean)
		}
		if s.factorise() {
			if s.damping != damping {
				s.note = fmt.Sprintf("the input statistics were singular: damping raised from %g to %g", damping, s.damping)
			}
			return s, nil
		}
	}
	return nil, errNotPositive
}

// factorise computes U and reports whether it could.
func (s *statistics) factorise() bool {
	n := len(s.order)
	h := mat.NewSymDense(n, nil)
	for a, i := range s.order {
		for b := a; b < n; b++ {
			h.SetSym(a, b, s.damped.At(i, s.order[b]))
		}
	}
	var chol mat.Cholesky
	if !chol.Factorize(h) {
		return false
	}
	if err := chol.InverseTo(h); err != nil {
		var condition mat.Condition
		if !errors.As(err, &condition) || math.IsInf(float64(condition), 1) {
			return false
		}
	}
	if !chol.Factorize(h) {
		return false
	}
	s.factor = mat.NewTriDense(n, mat.Upper, nil)
	chol.UTo(s.factor)
	return true
}

// gptq chooses codes for w [out, in] on a grid that was fixed before (static groups): input by input in the order of
// s, the error of each is passed on to the inputs not yet quantized (Frantar et al., 2022, algorithm 1). Updates
// beyond `block` inputs are done a block at a time. It returns the codes and Σe², which equals tr((W−Ŵ)·H·(W−Ŵ)ᵀ)
// with the damped H.
func (g *grid) gptq(w []float32, s *statistics, block int) (q []int8, loss float64) {
	q = make([]int8, len(w))
	const rows = 16 // rows of a task: they do not depend on each other
	tasks := (g.out + rows - 1) / rows
	losses := make([]float64, g.out)
	kernels.Parallel(tasks, func(task int) {
		first := task * rows
		n := min(rows, g.out-first)
		work, errs := mat.NewDense(n, g.in, nil), mat.NewDense(n, block, nil)
		for r := range n {
			row := work.RawRowView(r)
			for a, i := range s.order {
				row[a] = float64(w[(first+r)*g.in+i])
			}
		}
		for start := 0; start < g.in; start += block {
			end := min(g.in, start+block)
			for r := range n {
				losses[first+r] += g.gptqBlock(q, work.RawRowView(r), errs.RawRowView(r), first+r, start, end, s)
			}
			if end < g.in {
				u := s.factor.RawTriangular()
				blas64.Gemm(blas.NoTrans, blas.NoTrans, -1,
					blas64.General{Rows: n, Cols: end - start, Stride: block, Data: errs.RawMatrix().Data},
					blas64.General{Rows: end - start, Cols: g.in - end, Stride: u.Stride, Data: u.Data[start*u.Stride+end:]},
					1, blas64.General{Rows: n, Cols: g.in - end, Stride: g.in, Data: work.RawMatrix().Data[end:]})
			}
		}
	})
	for _, l := range losses {
		loss += l
	}
	return q, loss
}

// gptqBlock quantizes the ordered inputs start…end-1 of one output channel o, whose compensated weights are row, and
// writes their errors to errs. It returns Σe².
func (g *grid) gptqBlock(q []int8, row, errs []float64, o, start, end int, s *statistics) (loss float64) {
	u := s.factor.RawTriangular()
	for a := start; a < end; a++ {
		i := s.order[a]
		code := g.nearest(row[a], o, i)
		q[o*g.in+i] = code
		e := (row[a] - g.value(code)*g.scaleAt(o, i)) / u.Data[a*u.Stride+a]
		errs[a-start] = e
		loss += e * e
		for b, v := range u.Data[a*u.Stride+a+1 : a*u.Stride+end] {
			row[a+1+b] -= e * v
		}
	}
	return loss
}

// squaredError is tr((W−Ŵ)·h·(W−Ŵ)ᵀ) for w and q of g's shape.
func (g *grid) squaredError(w []float32, q []int8, h *mat.SymDense) float64 {
	delta := mat.NewDense(g.out, g.in, nil)
	for o := range g.out {
		row := delta.RawRowView(o)
		for i := range row {
			row[i] = float64(w[o*g.in+i]) - g.value(q[o*g.in+i])*g.scaleAt(o, i)
		}
	}
	return energy(delta, h)
}

// energy is tr(W·h·Wᵀ) for W [out, in].
func energy(w *mat.Dense, h *mat.SymDense) float64 {
	out, in := w.Dims()
	wh := mat.NewDense(out, in, nil)
	wh.Mul(w, calibrate.Full(h))
	sum := 0.0
	for o := range out {
		sum += blas64.Dot(blas64.Vector{N: in, Data: w.RawRowView(o), Inc: 1}, blas64.Vector{N: in, Data: wh.RawRowView(o), Inc: 1})
	}
	return sum
}
