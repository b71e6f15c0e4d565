package calibrate

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"slimlab/kernels/matrix"
	"slimlab/kernels/parallel"
	"slimlab/model/weight"
)

// ErrSingular is the error of statistics that nothing can be solved with.
var ErrSingular = errors.New("the input statistics are singular: too few calibration tokens for the width, or damping too small")

// ParseTarget reads the share of the dense model's outputs in what a linear layer is to reproduce:
// own for none, dense for all, or a share such as 50% or 0.5.
func ParseTarget(text string) (float64, error) {
	switch text {
	case "", "own":
		return 0, nil
	case "dense":
		return 1, nil
	}
	digits, percent := strings.CutSuffix(text, "%")
	share, err := strconv.ParseFloat(digits, 64)
	if percent {
		share /= 100
	}
	if err != nil || !(share >= 0 && share <= 1) {
		return 0, fmt.Errorf("expected own, dense, or a share of the dense model's outputs from 0 to 1, such as 50%% or 0.5")
	}
	return share, nil
}

// Targeted reports whether the statistics have another target than the linear layer's own outputs.
func (s *Stats) Targeted() bool { return s.Blend > 0 && s.Cross.Data != nil }

// Target returns the weight W* [out, in] that a method is to approximate in the place of w, which
// it returns itself where the statistics have no other target.
//
// With inputs x of a token, d the same in the dense model, and outputs y = α·w·d + (1−α)·w·x, α the
// Blend, W* minimises the mean of ‖W*·x − y‖² + λ‖W* − w‖², λ = damping·mean(diagonal of H): with
// G = α·C + (1−α)·H it solves (H+λI)·W*ᵀ = (G+λI)·wᵀ. For every Ŵ the mean of ‖Ŵ·x − y‖² +
// λ‖Ŵ − w‖² is then tr((Ŵ−W*)(H+λI)(Ŵ−W*)ᵀ) and a constant, so that what approximates W* by the
// damped H meets the target.
func (s *Stats) Target(ctx context.Context, w *weight.Dense, damping float64) (*weight.Dense, error) {
	if !s.Targeted() {
		return w, nil
	}
	n, mean := s.Width, 0.0
	for i := range n {
		mean += s.Gram.Row(i)[i] / float64(n)
	}
	shift := damping * mean
	// In the difference W* − w the right-hand side is (G − H)·wᵀ = α·(C − H)·wᵀ, which keeps the
	// digits that the difference has.
	h, change := matrix.NewDense(n, n, nil), matrix.NewDense(n, n, nil)
	parallel.Range(n, 64, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			row, gram, cross, to := h.Row(i), s.Gram.Row(i), s.Cross.Row(i), change.Row(i)
			copy(row, gram)
			row[i] += shift
			if gram[i] == 0 {
				row[i] = 1 // was never active: its row on the right is zero
			}
			for j := range to {
				to[j] = s.Blend * (cross[j] - gram[j])
			}
		}
	})
	wt, x := matrix.NewDense(n, w.Out, nil), matrix.NewDense(n, w.Out, nil)
	parallel.Range(n, 64, func(lo, hi int) {
		for o := range w.Out {
			for i := lo; i < hi; i++ {
				wt.Row(i)[o] = float64(w.Data[o*n+i])
			}
		}
	})
	matrix.AddProduct(ctx, x, change, wt, 1)
	found := matrix.Cholesky(ctx, h)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !found {
		return nil, ErrSingular
	}
	matrix.SolveUpperTransposed(ctx, h, x)
	matrix.SolveUpper(ctx, h, x)
	data := make([]float32, len(w.Data))
	parallel.Range(w.Out, 16, func(lo, hi int) {
		for o := lo; o < hi; o++ {
			for i := range n {
				data[o*n+i] = float32(wt.Row(i)[o] + x.Row(i)[o])
			}
		}
	})
	return weight.NewDense(data, w.Out, n), ctx.Err()
}
