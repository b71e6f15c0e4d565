package stat

import (
	"cmp"
	"math"
	"slices"
)

// Costs are the two costs of a choice, both to be small.
type Costs struct{ X, Y float64 }

// Pareto returns the indices of the points that no other point dominates (at most as large in both
// costs, smaller in one), in order of X, then Y, then index; equal points are all kept. Points with
// a NaN are never on the front. O(n log n). Negate a cost that should be large.
func Pareto(points []Costs) []int {
	order := make([]int, 0, len(points))
	for i, p := range points {
		if !math.IsNaN(p.X) && !math.IsNaN(p.Y) {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := points[i], points[j]
		if a.X != b.X {
			return cmp.Compare(a.X, b.X)
		}
		return cmp.Or(cmp.Compare(a.Y, b.Y), cmp.Compare(i, j))
	})
	front := order[:0]
	for _, i := range order {
		if len(front) > 0 {
			last := points[front[len(front)-1]]
			if points[i] != last && points[i].Y >= last.Y {
				continue
			}
		}
		front = append(front, i)
	}
	return front
}
