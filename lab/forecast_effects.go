package lab

import "math"

// effects are what settings do to the time of a row's step, as factors: their logarithms, and that
// of the mean.
type effects struct {
	mean float64
	of   []float64 // of each value of an axis; 0 where it is not known
}

// effectRounds is enough for the fit to settle where each value was seen with several others.
const effectRounds = 8

// effects fits a factor to each value of an axis, each in turn to what the others leave over: the
// backfitting of an additive model (Buja, Hastie and Tibshirani 1989) in logarithms.
func (r *rowForecast) effects(t *taken) *effects {
	fit := &effects{of: make([]float64, r.numbers)}
	logs := make([]float64, len(t.known))
	for i, g := range t.known {
		logs[i] = math.Log(max(t.groups[g].mean(), 1e-3))
		fit.mean += logs[i] / float64(len(logs))
	}
	sums, counts := make([]float64, r.numbers), make([]float64, r.numbers)
	for range effectRounds {
		for axis := range len(r.values[t.known[0]]) {
			clear(sums)
			clear(counts)
			for i, g := range t.known {
				if axis >= len(r.values[g]) { // a damaged plan
					continue
				}
				x := r.values[g][axis]
				sums[x] += logs[i] - fit.log(r.values[g]) + fit.of[x]
				counts[x]++
			}
			for x, n := range counts {
				if n > 0 {
					fit.of[x] = sums[x] / n
				}
			}
		}
	}
	return fit
}

func (f *effects) log(values []int) float64 {
	sum := f.mean
	for _, x := range values {
		sum += f.of[x]
	}
	return sum
}

func (f *effects) predict(values []int) float64 { return math.Exp(f.log(values)) }
