package quant

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"slimlab/kernels/matrix"
	"slimlab/kernels/memory"
	"slimlab/kernels/parallel"
	"slimlab/model/weight"
)

// GPTQ chooses codes input by input and passes the error of each on to the inputs that are not
// quantized yet (Frantar et al., 2022, algorithm 1), on a grid that was fixed before (static
// groups). The zero value has the defaults.
type GPTQ struct {
	// added to the diagonal of the mean Gram matrix, relative to the diagonal's mean; 0 is 0.01
	Damping  float64
	ActOrder bool // inputs with the largest second moment first, instead of in their order
	// inputs between two updates of all the rest; 0 is 128. It does not change the codes
	Block int
}

const defaultDamping = 0.01

// Calibrated implements Rounder.
func (GPTQ) Calibrated() bool { return true }

func (q GPTQ) check() error {
	if q.Damping < 0 || q.Block < 0 {
		return fmt.Errorf("damping %g, block %d: found a negative value", q.Damping, q.Block)
	}
	return nil
}

// Round implements Rounder. Its loss is tr((W−Ŵ)·H·(W−Ŵ)ᵀ) with the damped H, a sum of a square for
// each weight.
func (q GPTQ) Round(ctx context.Context, w *weight.Dense, g Grid, m *Moments) (Rounding, error) {
	if err := q.check(); err != nil {
		return Rounding{}, err
	}
	f, err := m.factor(ctx, factorKey{cmp.Or(q.Damping, defaultDamping), q.ActOrder})
	if err != nil {
		return Rounding{}, err
	}
	r := Rounding{Damping: f.damping, Note: f.note}
	var added float64
	r.Codes, r.DampedLoss, added = f.round(ctx, w, g, cmp.Or(q.Block, 128))
	loss := max(0, r.DampedLoss-added)
	r.loss = &loss
	return r, ctx.Err()
}

// factorKey is what a factor depends on beside the statistics.
type factorKey struct {
	damping  float64
	actOrder bool
}

// factor is the Cholesky factor of a damped Gram matrix.
type factor struct {
	gram    matrix.Dense
	shift   float64      // that damping adds to the diagonal
	order   []int        // inputs, the one that is quantized first at the end
	upper   matrix.Dense // V in the upper triangle, with VᵀV the damped matrix in that order
	damping float64      // relative to the mean of the diagonal, as it was used in the end
	note    string       // says that damping had to be raised
}

// dampingLimit ends the search for a damping that makes the statistics positive definite.
const dampingLimit = 10

// ErrNotPositive is the error of statistics that no damping makes positive definite.
var ErrNotPositive = errors.New("the input statistics are not positive definite even with damping 10: are they finite?")

// factor returns the factor for a key, which it computes once.
func (m *Moments) factor(ctx context.Context, key factorKey) (*factor, error) {
	if f := m.factors[key]; f != nil {
		return f, nil
	}
	f, err := newFactor(ctx, m.Gram, m.memoryOfFactor(), key)
	if err != nil {
		return nil, err
	}
	if m.factors == nil {
		m.factors = map[factorKey]*factor{}
	}
	m.factors[key] = f
	return f, nil
}

// memoryOfFactor is new memory, or for the first factor that of the moments before, of any content.
func (m *Moments) memoryOfFactor() matrix.Dense {
	n := m.Gram.Rows
	if m.room == nil || len(m.factors) > 0 {
		return matrix.NewDense(n, n, nil)
	}
	*m.room = memory.Grown(*m.room, n*n)
	return matrix.NewDense(n, n, *m.room)
}

// newFactor factorises the mean Gram matrix of an input, to the memory of upper. A channel that was
// never active has a one put on its diagonal: its weights, which nothing depends on, are then
// rounded to nearest. When the factorisation fails the damping is multiplied by ten (from 0: set to
// 0.001) and a note is left.
func newFactor(ctx context.Context, gram, upper matrix.Dense, key factorKey) (*factor, error) {
	n := gram.Rows
	f := &factor{gram: gram, order: make([]int, n), upper: upper, damping: key.damping}
	mean := 0.0
	for i := range n {
		f.order[i] = i
		mean += f.diagonal(i) / float64(n)
	}
	if key.actOrder {
		orderByMoment(f.order, f.diagonal)
	}
	slices.Reverse(f.order)
	for ; f.damping <= dampingLimit; f.damping = max(0.001, 10*f.damping) {
		f.shift = f.damping * mean
		found := f.factorise(ctx)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !found {
			continue
		}
		if f.damping != key.damping {
			f.note = fmt.Sprintf("the input statistics were singular: damping raised from %g to %g", key.damping, f.damping)
		}
		return f, nil
	}
	return nil, ErrNotPositive
}

// diagonal is an element of the diagonal before damping, one for a channel that was never active.
func (f *factor) diagonal(i int) float64 {
	if v := f.gram.Row(i)[i]; v != 0 {
		return v
	}
	return 1
}

// factorise computes V and reports whether it could. The loss of an output, whose weights differ
// by Δ, is |VΔ|²: row r of it is V(r, r)·Δ_r and a sum over the inputs behind r, which have their
// codes before. No inverse is needed.
func (f *factor) factorise(ctx context.Context) bool {
	n, h := len(f.order), f.upper
	parallel.Range(n, 64, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			order := f.order[r:]
			row, gram := h.Row(r)[r:][:len(order)], f.gram.Row(order[0])
			for s, i := range order {
				row[s] = gram[i]
			}
			row[0] = f.diagonal(order[0]) + f.shift
		}
	})
	return matrix.Cholesky(ctx, h)
}
