package stat

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Estimate is a value with what independent sources of error leave open, such as the seeds of
// training and the units of a test set.
type Estimate struct {
	Value  float64
	Errors []Error
}

// Error is a standard error and the degrees of freedom with which it is known; +Inf is the normal
// law.
type Error struct{ Size, Freedom float64 }

// MeanError is the standard error of the mean of a sample, with n − 1 degrees of freedom; NaN below
// two values.
func MeanError(x []float64) Error {
	n := float64(len(x))
	return Error{math.Sqrt(variance(x) / n), n - 1}
}

// SumError is the standard error of a value on which the units of a sample have the influences x,
// which sum to 0: √(n/(n−1) Σx²), the jackknife's to first order (Efron 1982), with n − 1 degrees
// of freedom; NaN below two units. For an AUC it is DeLong's, for units with several cases
// Obuchowski's (1997).
func SumError(x []float64) Error {
	n := float64(len(x))
	var square float64
	for _, v := range x {
		square += v * v
	}
	return Error{math.Sqrt(square * n / (n - 1)), n - 1}
}

// ErrorOf is the error whose 95% interval has a half-width, over so many seeds; with one seed it is
// normal.
func ErrorOf(half float64, seeds int) Error {
	freedom := math.Inf(1)
	if seeds > 1 {
		freedom = float64(seeds - 1)
	}
	return Error{half / quantile(0.975, freedom), freedom}
}

// Interval is the 95% interval by Student's t with Welch and Satterthwaite's degrees of freedom.
// NaN where an error is not a number.
func (e Estimate) Interval() Interval {
	half := e.Half()
	return Interval{Value: e.Value, Low: e.Value - half, High: e.Value + half}
}

// Half is half the width of Interval.
func (e Estimate) Half() float64 {
	size, freedom := e.error()
	if size == 0 {
		return 0
	}
	return -size * quantile(0.025, freedom)
}

// error is the combined error. Satterthwaite's freedom (1946) takes an error that came out small by
// chance for one that does not count: with 2 seeds whose noise is 3 to 5 times that of the units
// the intervals cover 87%. So an error with ν degrees of freedom counts 1 + 5/ν² times in it, 6
// times with 2 seeds and 2.25 times with 3: then they cover at least 93%, whatever dominates.
func (e Estimate) error() (size, freedom float64) {
	var variance, weight, parts float64
	for _, x := range e.Errors {
		if x.Size == 0 {
			continue
		}
		if !(x.Freedom >= 1) {
			return math.NaN(), math.NaN()
		}
		square := x.Size * x.Size
		variance += square
		square *= 1 + 5/(x.Freedom*x.Freedom)
		weight += square
		parts += square * square / x.Freedom
	}
	if parts == 0 {
		return math.Sqrt(variance), math.Inf(1)
	}
	return math.Sqrt(variance), max(1, weight*weight/parts)
}

// quantile of Student's t, or of the normal law where freedom is infinite; NaN below one degree of
// freedom.
func quantile(p, freedom float64) float64 {
	switch {
	case math.IsInf(freedom, 1):
		return distuv.UnitNormal.Quantile(p)
	case !(freedom >= 1):
		return math.NaN()
	}
	return distuv.StudentsT{Sigma: 1, Nu: freedom}.Quantile(p)
}

// P is the two-sided p-value that the truth is 0: with it as level the interval would end at 0. An
// error without size gives 0 for a value that is not 0. It is NaN where an error is not a number.
func (e Estimate) P() float64 {
	size, freedom := e.error()
	switch {
	case math.IsNaN(size) || math.IsNaN(e.Value):
		return math.NaN()
	case e.Value == 0:
		return 1
	case size == 0:
		return 0
	case math.IsInf(freedom, 1):
		return 2 * distuv.UnitNormal.CDF(-math.Abs(e.Value)/size)
	}
	return 2 * distuv.StudentsT{Sigma: 1, Nu: freedom}.CDF(-math.Abs(e.Value)/size)
}

// FalseDiscovery returns p-values adjusted for being many (Benjamini and Hochberg 1995): of those
// at most q an expected share of at most q is false, and where none of them is true at all, one is
// at most q with probability q. That holds for independent and for positively dependent p-values.
// NaN stays NaN and does not count.
func FalseDiscovery(p []float64) []float64 {
	order := make([]int, 0, len(p))
	for i, x := range p {
		if !math.IsNaN(x) {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(p[j], p[i]) })
	adjusted, n := slices.Clone(p), float64(len(order))
	least := 1.0
	for k, i := range order { // from the largest down
		least = min(least, p[i]*(n/(n-float64(k))))
		adjusted[i] = least
	}
	return adjusted
}
