package stat

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// exactLimit is the product of the sizes up to which MannWhitney counts arrangements instead of
// using the normal law.
const exactLimit = 400

// MannWhitney returns U, the number of pairs in which y exceeds x (ties count half), and the
// two-sided p-value that neither of the two independent samples tends to be larger. Small samples
// without ties are counted exactly; else the normal approximation with tie and continuity
// correction. An empty sample gives p = 1. A NaN has no rank: then both are NaN.
func MannWhitney(x, y []float64) (u, p float64) {
	n, m := len(x), len(y)
	if n == 0 || m == 0 {
		return 0, 1
	}
	if slices.ContainsFunc(x, math.IsNaN) || slices.ContainsFunc(y, math.IsNaN) {
		return math.NaN(), math.NaN()
	}
	rankSum, ties := rankSum(x, y)
	u = rankSum - float64(m*(m+1))/2
	if ties == 0 && n*m <= exactLimit {
		return u, exactU(n, m, int(u))
	}
	total := float64(n + m)
	mean := float64(n*m) / 2
	variance := float64(n*m) / 12 * (total + 1 - ties/(total*(total-1)))
	if variance <= 0 {
		return u, 1
	}
	z := math.Max(math.Abs(u-mean)-0.5, 0) / math.Sqrt(variance)
	return u, 2 * distuv.UnitNormal.Survival(z)
}

// rankSum returns the sum of y's ranks in the pooled sample, tied values at their mean rank, and Σ
// t³−t over groups of ties.
func rankSum(x, y []float64) (sum, ties float64) {
	type ranked struct {
		value float64
		ofY   bool
	}
	all := make([]ranked, 0, len(x)+len(y))
	for _, v := range x {
		all = append(all, ranked{v, false})
	}
	for _, v := range y {
		all = append(all, ranked{v, true})
	}
	slices.SortFunc(all, func(a, b ranked) int { return cmp.Compare(a.value, b.value) })
	for from := 0; from < len(all); {
		to := from + 1
		for to < len(all) && all[to].value == all[from].value {
			to++
		}
		rank := float64(from+1+to) / 2
		for _, r := range all[from:to] {
			if r.ofY {
				sum += rank
			}
		}
		t := float64(to - from)
		ties += t*t*t - t
		from = to
	}
	return sum, ties
}

// exactU returns the two-sided p-value of u: the share of the (n+m choose n) arrangements that are
// at least as far from the mean. counts[i][u] follows Mann and Whitney's recurrence f(n, m, u) =
// f(n−1, m, u−m) + f(n, m−1, u).
func exactU(n, m, u int) float64 {
	row := make([][]float64, n+1) // row[i][u] for the current j
	for i := range row {
		row[i] = make([]float64, n*m+1)
		row[i][0] = 1 // j = 0: one arrangement, U = 0
	}
	for j := 1; j <= m; j++ {
		for i := 1; i <= n; i++ {
			for k := n * m; k >= 0; k-- {
				if k >= j {
					row[i][k] += row[i-1][k-j]
				}
			}
		}
	}
	far := min(u, n*m-u)
	var total, tail float64
	for k, c := range row[n] {
		total += c
		if k <= far {
			tail += c
		}
	}
	return math.Min(1, 2*tail/total)
}
