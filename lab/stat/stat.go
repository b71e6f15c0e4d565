// Package stat computes the statistics of a lab: location, confidence intervals, bootstraps, tests
// of two samples, rank correlation, and the Pareto front.
//
// Every function states its definition (which percentile, which interval). None fails because a
// sample is small: an interval carries a warning instead. The package has only what a comparison of
// compressed models needs. No function changes its arguments. An empty sample gives NaN.
package stat

import (
	"math"
	"slices"
)

// Mean returns the arithmetic mean. Equal values give that value exactly. Infinite values of one
// sign give that infinity, of both signs NaN.
func Mean(x []float64) float64 {
	if len(x) == 0 {
		return math.NaN()
	}
	n := float64(len(x))
	var sum float64
	for _, v := range x {
		sum += v - x[0]
	}
	mean := x[0] + sum/n
	if !finite(mean) { // a difference has overflowed, or is that of infinities
		mean = 0
		for _, v := range x {
			mean += v / n
		}
	}
	return mean
}

// Deviation returns the sample standard deviation (n − 1), NaN below two values.
func Deviation(x []float64) float64 { return math.Sqrt(variance(x)) }

// variance is the sample variance (n − 1), NaN below two values.
func variance(x []float64) float64 {
	if len(x) < 2 {
		return math.NaN()
	}
	mean := Mean(x)
	var square float64
	for _, v := range x {
		square += (v - mean) * (v - mean)
	}
	return square / float64(len(x)-1)
}

// Median returns the middle value, or the mean of the middle two.
func Median(x []float64) float64 { return Percentile(x, 50) }

// Percentile returns the p-th percentile, p in [0, 100], by linear interpolation between the order
// statistics at rank p/100·(n−1): the definition that numpy calls "linear" and Hyndman and Fan type
// 7. It is NaN for an empty sample, a sample with a NaN, a p outside of its range, or between −∞
// and +∞.
func Percentile(x []float64, p float64) float64 {
	if len(x) == 0 || slices.ContainsFunc(x, math.IsNaN) {
		return math.NaN()
	}
	sorted := slices.Clone(x)
	slices.Sort(sorted)
	return percentileSorted(sorted, p)
}

// percentileSorted is Percentile of a sample in ascending order.
func percentileSorted(x []float64, p float64) float64 {
	if len(x) == 0 || !(p >= 0 && p <= 100) {
		return math.NaN()
	}
	rank := p / 100 * float64(len(x)-1)
	low := int(rank)
	if low == len(x)-1 {
		return x[low]
	}
	share := rank - float64(low)
	if share == 0 || x[low] == x[low+1] { // an infinite value has no distance to itself
		return x[low]
	}
	distance := x[low+1] - x[low]
	if math.IsInf(distance, 0) { // of an infinite value, or it has overflowed
		return (1-share)*x[low] + share*x[low+1]
	}
	return x[low] + share*distance
}
