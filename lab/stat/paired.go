package stat

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/stat/distuv"
)

// Wilson returns the share of successes in n trials with Wilson's 95% score interval (1927), which
// has correct coverage near 0 and 1 and for few trials. No trial gives NaN.
func Wilson(successes, n int) Interval {
	if n == 0 {
		return Interval{Value: math.NaN(), Low: math.NaN(), High: math.NaN(), Warning: "no samples"}
	}
	out := wilson(float64(successes)/float64(n), float64(n))
	out.N = n
	return out
}

// wilson is the interval of a share of so many trials, which need be no whole number.
func wilson(p, size float64) Interval {
	z := distuv.UnitNormal.Quantile(0.975)
	centre := (p + z*z/(2*size)) / (1 + z*z/size)
	half := z / (1 + z*z/size) * math.Sqrt(p*(1-p)/size+z*z/(4*size*size))
	return Interval{Value: p, Low: min(p, max(0, centre-half)), High: max(p, min(1, centre+half))}
}

// ClusteredWilson is Wilson's interval of a share of n trials that are drawn in units, such as the
// tokens of texts: n is divided by how many times larger the share's variance is than that of
// independent trials (Korn and Graubard 1998), by the influences of the units on it, which sum to 0
// (SumError). It is never narrower than Wilson's. Of trials that all came out alike nothing is
// known of that, and it is Wilson's.
func ClusteredWilson(successes, n int, influence []float64) Interval {
	out := Wilson(successes, n)
	e := SumError(influence)
	p := out.Value
	if n == 0 || !(e.Size > 0) || successes == 0 || successes == n {
		return out
	}
	z, t := distuv.UnitNormal.Quantile(0.975), quantile(0.975, e.Freedom)
	size := min(float64(n), p*(1-p)/(e.Size*e.Size)*(z*z)/(t*t))
	out = wilson(p, size)
	out.N = n
	return out
}

// McNemar returns in how many pairs only the first is true and in how many only the second, and the
// exact two-sided p-value that neither of the two is more likely (McNemar, 1947): a binomial test
// of those pairs. No such pair gives p = 1. It panics when the lengths differ.
func McNemar(x, y []bool) (onlyX, onlyY int, p float64) {
	if len(x) != len(y) {
		panic(fmt.Sprintf("stat: McNemar of %d and %d values", len(x), len(y)))
	}
	for i := range x {
		switch {
		case x[i] && !y[i]:
			onlyX++
		case y[i] && !x[i]:
			onlyY++
		}
	}
	return onlyX, onlyY, McNemarP(onlyX, onlyY)
}

// McNemarP is the p-value of so many pairs in which only the first is true, and in which only the
// second.
func McNemarP(onlyX, onlyY int) float64 {
	n, fewer := onlyX+onlyY, min(onlyX, onlyY)
	if n == 0 {
		return 1
	}
	return min(1, 2*distuv.Binomial{N: float64(n), P: 0.5}.CDF(float64(fewer)))
}

// PairedShares returns the difference of two shares over the same n pairs, of which only the first
// is true in onlyX and only the second in onlyY, second less first, with Bonett and Price's
// adjusted 95% interval (2012). Unlike a bootstrap, it has correct coverage where few pairs differ.
func PairedShares(onlyX, onlyY, n int) Interval {
	if n == 0 {
		return Interval{Value: math.NaN(), Low: math.NaN(), High: math.NaN(), Warning: "no samples"}
	}
	z, size := distuv.UnitNormal.Quantile(0.975), float64(n+2)
	x, y := float64(onlyX+1)/size, float64(onlyY+1)/size
	half := z * math.Sqrt((x+y-(x-y)*(x-y))/size)
	value := float64(onlyY-onlyX) / float64(n)
	return Interval{Value: value, Low: min(value, max(-1, y-x-half)), High: max(value, min(1, y-x+half)), N: n}
}

// fewUnits is the number of units below which a resampled interval carries a warning.
const fewUnits = 20

// Resample returns figures of a sample of n units with their 95% percentile intervals over
// resamples drawn with replacement from rng (Efron, Tibshirani 1993). statistic gets how often each
// unit occurs in a sample [n] and returns the figures, always as many. All figures are computed on
// the same draws, so the difference of two of them is a paired difference. Draws on which a figure
// is NaN are left out of its interval and counted in Lost.
func Resample(n, resamples int, rng *rand.Rand, statistic func(count []float64) []float64) []Interval {
	count := make([]float64, n)
	for i := range count {
		count[i] = 1
	}
	whole := statistic(count)
	draws := make([][]float64, len(whole)) // [figures][defined draws]
	for i := range draws {
		draws[i] = make([]float64, 0, resamples)
	}
	for range resamples {
		clear(count)
		for range n {
			count[rng.IntN(n)]++
		}
		for i, v := range statistic(count) {
			if !math.IsNaN(v) {
				draws[i] = append(draws[i], v)
			}
		}
	}
	out := make([]Interval, len(whole))
	for i, v := range whole {
		out[i] = Interval{Value: v, Low: Percentile(draws[i], 2.5), High: Percentile(draws[i], 97.5), N: n, Lost: resamples - len(draws[i])}
		if n < fewUnits {
			out[i].Warning = fmt.Sprintf("bootstrap of n=%d", n)
		}
	}
	return out
}
