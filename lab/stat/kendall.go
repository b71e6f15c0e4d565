package stat

import (
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// Kendall counts orders, instead of using the normal law, of so many items without ties, and of so
// many with.
const exactRanks, exactTies = 60, 8

// Kendall returns the rank correlation τ-b of two measures of the same items (Kendall 1945), from
// −1 to 1, and the two-sided p-value that their orders have nothing to do with each other. τ-b is
// the excess of pairs of items in the same order over those in the opposite one, divided by the
// geometric mean of the pairs that each measure tells apart: without ties, by all pairs.
//
// The 95% interval is that of Fieller, Hartley and Pearson (1957): artanh τ has a standard error of
// √(0.437/(n−4)). It is for items that are a sample of many; below 5 of them it is all of −1 to 1.
// A τ of ±1 counts as half a pair short of it, else its interval would have no width.
//
// Up to 60 items without ties, and up to 8 with, p is exact; else it is of the normal law with the
// correction for ties. A measure that tells no items apart has no order: τ and p are NaN then, as
// for a NaN among the values. It panics when the lengths differ.
func Kendall(x, y []float64) (tau Interval, p float64) {
	if len(x) != len(y) {
		panic(fmt.Sprintf("stat: Kendall of %d and %d values", len(x), len(y)))
	}
	n := len(x)
	tau = Interval{Value: math.NaN(), Low: math.NaN(), High: math.NaN(), N: n}
	if slices.ContainsFunc(x, math.IsNaN) || slices.ContainsFunc(y, math.IsNaN) {
		return tau, math.NaN()
	}
	excess, apartX, apartY := 0, 0, 0
	for i := range x {
		for j := range i {
			a, b := sign(x[i]-x[j]), sign(y[i]-y[j])
			excess += a * b
			apartX += a * a
			apartY += b * b
		}
	}
	if apartX == 0 || apartY == 0 {
		return tau, math.NaN()
	}
	pairs := n * (n - 1) / 2
	tau.Value = float64(excess) / math.Sqrt(float64(apartX)*float64(apartY))
	tau.Low, tau.High = -1, 1
	if n < 5 {
		tau.Warning = fmt.Sprintf("n=%d: no interval", n)
	} else {
		most := 1 - 1/float64(pairs)
		centre := math.Atanh(max(-most, min(most, tau.Value)))
		half := distuv.UnitNormal.Quantile(0.975) * math.Sqrt(0.437/float64(n-4))
		tau.Low, tau.High = min(tau.Value, math.Tanh(centre-half)), max(tau.Value, math.Tanh(centre+half))
	}
	if apartX == pairs && apartY == pairs && n <= exactRanks {
		return tau, exactKendall(n, excess)
	}
	if n <= exactTies {
		return tau, permutedKendall(x, y, excess)
	}
	return tau, normalKendall(x, y, excess)
}

// sign of a difference; of infinities of one sign it is 0.
func sign(x float64) int {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return 0
}

// exactKendall returns the share of the n! orders whose excess is at least as far from 0. The n-th
// item adds 0 to n−1 inversions, each in as many orders (MacMahon).
func exactKendall(n, excess int) float64 {
	pairs := n * (n - 1) / 2
	share := make([]float64, pairs+1) // of the orders, by inversions
	share[0] = 1
	for m := 2; m <= n; m++ {
		next, sum := make([]float64, pairs+1), 0.0 // the sum of the last m shares
		for i, s := range share {
			if sum += s; i >= m {
				sum -= share[i-m]
			}
			next[i] = sum / float64(m)
		}
		share = next
	}
	far := max(excess, -excess)
	var tail float64
	for inversions, s := range share {
		if of := pairs - 2*inversions; of >= far || -of >= far {
			tail += s
		}
	}
	return min(1, tail)
}

// permutedKendall returns that share by going through all orders, ties and all.
func permutedKendall(x, y []float64, excess int) float64 {
	far, all, order := 0, 0, slices.Clone(y)
	var place func(at, sum int)
	place = func(at, sum int) { // the items before at have their places, and this excess
		if at == len(order) {
			if all++; max(sum, -sum) >= max(excess, -excess) {
				far++
			}
			return
		}
		for i := at; i < len(order); i++ {
			order[at], order[i] = order[i], order[at]
			more := 0
			for j := range at {
				more += sign(x[at]-x[j]) * sign(order[at]-order[j])
			}
			place(at+1, sum+more)
			order[at], order[i] = order[i], order[at]
		}
	}
	place(0, 0)
	return float64(far) / float64(all)
}

// normalKendall is the p-value of the normal law, with Kendall's variance of the excess under ties.
func normalKendall(x, y []float64, excess int) float64 {
	n := float64(len(x))
	tx, ty := tiesOf(x), tiesOf(y)
	variance := (n*(n-1)*(2*n+5)-tx.cubic-ty.cubic)/18 + tx.pairs*ty.pairs/(2*n*(n-1))
	if n > 2 {
		variance += tx.triples * ty.triples / (9 * n * (n - 1) * (n - 2))
	}
	if variance <= 0 {
		return 1
	}
	return min(1, 2*distuv.UnitNormal.Survival(math.Abs(float64(excess))/math.Sqrt(variance)))
}

// ties are sums over groups of t equal values.
type ties struct{ pairs, triples, cubic float64 } // t(t−1), t(t−1)(t−2), t(t−1)(2t+5)

func tiesOf(x []float64) (sum ties) {
	sorted := slices.Sorted(slices.Values(x))
	for from := 0; from < len(sorted); {
		to := from + 1
		for to < len(sorted) && sorted[to] == sorted[from] {
			to++
		}
		t := float64(to - from)
		sum.pairs += t * (t - 1)
		sum.triples += t * (t - 1) * (t - 2)
		sum.cubic += t * (t - 1) * (2*t + 5)
		from = to
	}
	return sum
}
