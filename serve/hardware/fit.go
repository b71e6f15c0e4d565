package hardware

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
)

// Spread is relative errors of a formula on measurements: half of them are below P50, nine of ten
// below P90.
type Spread struct {
	P50, P90 float64
	Samples  int
}

func (s Spread) String() string {
	return fmt.Sprintf("P50 %.1f%%, P90 %.1f%% of %d", 100*s.P50, 100*s.P90, s.Samples)
}

// spread compares the formula's seconds of each sample with the measured ones.
func spread(n int, predicted, measured func(i int) float64) Spread {
	errors := make([]float64, n)
	for i := range errors {
		errors[i] = math.Abs(predicted(i)/measured(i) - 1)
	}
	if n == 0 {
		return Spread{}
	}
	slices.Sort(errors)
	return Spread{errors[(n-1)/2], errors[(n-1)*9/10], n}
}

// search finds positive constants with a small loss by a pattern search on their logarithms (Hooke
// and Jeeves, "Direct search solution of numerical and statistical problems", 1961): the losses of
// medians have no gradient. It starts at x and steps by a factor of e^step.
func search(x []float64, step float64, loss func(x []float64) float64) []float64 {
	const smallest = 0.002
	scale := make([]float64, len(x))
	at := func(logs []float64) float64 {
		for i, l := range logs {
			scale[i] = math.Exp(l)
		}
		return loss(scale)
	}
	logs := make([]float64, len(x))
	for i, v := range x {
		logs[i] = math.Log(v)
	}
	best := at(logs)
	before, jump := make([]float64, len(x)), make([]float64, len(x))
	for step > smallest {
		copy(before, logs)
		improved := false
		for i := range logs {
			for _, move := range []float64{step, -step} {
				logs[i] += move
				if l := at(logs); l < best {
					best, improved = l, true
					break
				}
				logs[i] -= move
			}
		}
		if !improved {
			step /= 2
			continue
		}
		for i := range jump {
			jump[i] = 2*logs[i] - before[i]
		}
		if l := at(jump); l < best {
			best = l
			copy(logs, jump)
		}
	}
	found := make([]float64, len(x))
	for i, l := range logs {
		found[i] = math.Exp(l)
	}
	return found
}

// coarse is the most samples of the first, wide search.
const coarse = 3000

// fitSamples finds the constants under which the mean of the absolute log errors is least: first
// on some of the samples from far away, then on all from there.
func fitSamples(start []float64, n int, ratio func(x []float64, i int) float64) []float64 {
	loss := func(stride int) func(x []float64) float64 {
		return func(x []float64) float64 {
			sum := 0.0
			for i := 0; i < n; i += stride {
				sum += math.Abs(math.Log(ratio(x, i)))
			}
			return sum
		}
	}
	stride := (n + coarse - 1) / coarse
	x := search(start, 0.5, loss(stride))
	if stride > 1 {
		x = search(x, 0.05, loss(1))
	}
	// A logarithm never reaches 0: a constant that may as well be 0 is.
	exact := loss(1)
	least := exact(x)
	for i, v := range x {
		if x[i] = 0; !(exact(x) <= least*(1+1e-6)) {
			x[i] = v
		}
	}
	return x
}

// maxUnknowns bounds the subsets that nonNegative tries.
const maxUnknowns = 8

// nonNegative solves min |a x - b| over x >= 0. With few unknowns the best subset of them that
// solves freely to positive values is the answer, so that it tries them all.
func nonNegative(a *mat.Dense, b *mat.VecDense) ([]float64, error) {
	rows, unknowns := a.Dims()
	if unknowns > maxUnknowns {
		return nil, fmt.Errorf("fit: found %d unknowns, expected at most %d", unknowns, maxUnknowns)
	}
	best, least := make([]float64, unknowns), mat.Norm(b, 2)
	for subset := 1; subset < 1<<unknowns; subset++ {
		var columns []int
		for j := range unknowns {
			if subset>>j&1 == 1 {
				columns = append(columns, j)
			}
		}
		if len(columns) > rows {
			continue
		}
		part := mat.NewDense(rows, len(columns), nil)
		for c, j := range columns {
			part.SetCol(c, mat.Col(nil, j, a))
		}
		var x, residual mat.VecDense
		if err := x.SolveVec(part, b); err != nil {
			continue // columns that depend on each other: a smaller subset says the same
		}
		if mat.Min(&x) < 0 {
			continue
		}
		residual.MulVec(part, &x)
		residual.SubVec(&residual, b)
		// a larger subset must be better by more than rounding
		if norm := mat.Norm(&residual, 2); norm < least*(1-1e-12) {
			least = norm
			clear(best)
			for c, j := range columns {
				best[j] = x.AtVec(c)
			}
		}
	}
	return best, nil
}
