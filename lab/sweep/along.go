package sweep

import (
	"cmp"
	"slices"

	"slimlab/lab"
)

// Line is a metric along an axis of numbers, of the rows with one value of another axis or step.
type Line struct {
	Value  int // of the other axis, as it was grouped by; Any: of rows that do not depend on it
	Points []LinePoint
}

// LinePoint is what rows at one value of the axis come to.
type LinePoint struct {
	At   int     // the value's place in Axis.Values
	X    float64 // the value as a number
	Rows []int   // of Table.Rows, those with the metric
	Total
}

// Along arranges rows, of Table.Rows (nil: all), along an axis of numbers, a line for each value of
// of. Rows that do not depend on the axis are counted as apart, others without the metric as lack.
// Lines are in order of their value, points in that of the axis's numbers.
func (t *Table) Along(rows []int, axis int, m lab.Metric, a Aggregate, of func(r *Row) int) (lines []Line, apart, lack int) {
	type place struct{ value, at int }
	points, measured := map[place]*LinePoint{}, t.values(m.Key)
	for _, i := range t.all(rows) {
		r := &t.Rows[i]
		if r.At[axis] == Any {
			apart++
			continue
		}
		if _, ok := measured.finite(i); !ok {
			lack++
			continue
		}
		at := place{of(r), r.At[axis]}
		if points[at] == nil {
			points[at] = &LinePoint{At: at.at, X: t.Axes[axis].Numbers[at.at]}
		}
		points[at].Rows = append(points[at].Rows, i)
	}
	byValue := map[int][]LinePoint{}
	for at, p := range points {
		byValue[at.value] = append(byValue[at.value], *p)
	}
	for value, of := range byValue {
		for i := range of {
			of[i].Total = t.Total(of[i].Rows, m, a)
		}
		slices.SortFunc(of, func(a, b LinePoint) int { return cmp.Or(cmp.Compare(a.X, b.X), cmp.Compare(a.At, b.At)) })
		lines = append(lines, Line{value, of})
	}
	slices.SortFunc(lines, func(a, b Line) int { return cmp.Compare(a.Value, b.Value) })
	return lines, apart, lack
}
