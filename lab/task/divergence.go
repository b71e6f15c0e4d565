package task

import (
	"cmp"
	"fmt"
	"slices"

	"slimlab/lab/stat"
)

// fewTokens is how many values a 99th percentile needs, to have one above it.
const fewTokens = 100

// Divergence sums up the divergence of each token of a test set, whose units are of a kind, in the
// plural: the mean, and the 99th percentile by linear interpolation (stat.Percentile), each with a
// 95% interval by resampling units. Only the mean has influences.
func Divergence(values []float64, group []int, units int, unit string) (mean, p99 Figure) {
	order, sizes, sums := make([]int, len(values)), make([]float64, units), make([]float64, units)
	for i, x := range values {
		order[i] = i
		sizes[group[i]]++
		sums[group[i]] += x
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(values[b], values[a]) }) // the largest first
	measures := measuresOf(stat.Resample(units, replicates, stream(splitBootstrap), func(count []float64) []float64 {
		var sum, n float64
		for u, c := range count {
			sum, n = sum+c*sums[u], n+c*sizes[u]
		}
		return []float64{sum / n, percentileOf(values, order, func(i int) float64 { return count[group[i]] }, n)}
	}), unit)
	mean, p99 = Figure{Measure: measures[0]}, Figure{Measure: measures[1]}
	n := float64(len(values))
	for u := range sums {
		mean.Influence = append(mean.Influence, (sums[u]-mean.Value*sizes[u])/n)
	}
	mean.N, p99.N = len(values), len(values)
	if len(values) < fewTokens {
		p99.Warning = fmt.Sprintf("P99 of %d tokens", len(values))
	}
	return mean, p99
}

// percentileOf is the 99th percentile of values that occur weight(i) times each, n in all; order
// has their places from the largest down. It looks at no more than the largest of them.
func percentileOf(values []float64, order []int, weight func(i int) float64, n float64) float64 {
	below := (n - 1) * (1 - 0.99) // of the largest, from 0
	first := float64(int(below))
	share, seen, upper := below-first, 0.0, values[order[0]]
	found := false
	for _, i := range order {
		if weight(i) == 0 {
			continue
		}
		seen += weight(i)
		if !found && seen > first {
			upper, found = values[i], true
		}
		if found && (seen > first+1 || share == 0) {
			return upper + share*(values[i]-upper)
		}
	}
	return upper
}
