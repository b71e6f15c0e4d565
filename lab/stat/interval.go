package stat

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Interval is a value with its 95% confidence interval. Warning says why to take it with care; it
// is empty where there is no reason.
type Interval struct {
	Value, Low, High float64
	N                int
	Lost             int // resamples of a bootstrap on which the value is undefined
	Warning          string
}

// Bounded reports whether both bounds are finite numbers.
func (i Interval) Bounded() bool { return finite(i.Low) && finite(i.High) }

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// fewSeeds is the sample size below which an interval over seeds carries the warning "n=…".
const fewSeeds = 5

// MeanInterval returns the mean with Student's t 95% interval, which is exact for normal values.
// Equal values give an interval of width 0. One value has infinite bounds; of values that are not
// all finite the bounds are NaN.
func MeanInterval(x []float64) Interval {
	out := Interval{Value: Mean(x), N: len(x)}
	if len(x) < 2 {
		out.Low, out.High, out.Warning = math.Inf(-1), math.Inf(1), fmt.Sprintf("n=%d: no interval", len(x))
		return out
	}
	n := float64(len(x))
	half := distuv.StudentsT{Sigma: 1, Nu: n - 1}.Quantile(0.975) * math.Sqrt(variance(x)/n)
	out.Low, out.High = out.Value-half, out.Value+half
	if len(x) < fewSeeds {
		out.Warning = fmt.Sprintf("n=%d", len(x))
	}
	return out
}

// AddVariance widens an interval by an independent error of the same value, whose own 95% interval
// is low to high: the squares of the half-widths add on each side, as variances do. An interval
// over seeds misses what the test sample leaves open, which is the same for all seeds; the wider of
// the two covers too little where both count (91% at 5 seeds where both are equal).
func AddVariance(i Interval, low, high float64) Interval {
	i.Low = i.Value - math.Hypot(i.Value-i.Low, max(0, i.Value-low))
	i.High = i.Value + math.Hypot(i.High-i.Value, max(0, high-i.Value))
	return i
}

// Bootstrap returns statistic(x) with its 95% percentile interval over resamples drawn with
// replacement from rng (Efron, Tibshirani 1993). Its coverage is about right from twenty values on;
// prefer MeanInterval below. Equal states of rng give equal intervals.
func Bootstrap(x []float64, statistic func([]float64) float64, resamples int, rng *rand.Rand) Interval {
	out := Interval{Value: math.NaN(), Low: math.NaN(), High: math.NaN(), N: len(x)}
	if len(x) == 0 || resamples < 1 {
		out.Warning = "no samples"
		return out
	}
	out.Value = statistic(slices.Clone(x))
	drawn, results := make([]float64, len(x)), make([]float64, resamples)
	for i := range results {
		for j := range drawn {
			drawn[j] = x[rng.IntN(len(x))]
		}
		results[i] = statistic(drawn)
	}
	out.Low, out.High = Percentile(results, 2.5), Percentile(results, 97.5)
	if len(x) < 20 {
		out.Warning = fmt.Sprintf("bootstrap of n=%d", len(x))
	}
	return out
}
