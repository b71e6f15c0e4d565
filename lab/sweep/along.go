package sweep

import (
	"cmp"
	"math"
	"slices"
)

// Line is a metric along an axis of numbers, of the rows with one value of another axis or step.
type Line struct {
	Value  int // of the other axis, as it was grouped by; Any: of rows that do not depend on it
	Points []LinePoint
}

// LinePoint is what rows at one value of the axis come to.
type LinePoint struct {
	At        int     // the value's place in Axis.Values
	X, Y      float64 // the value as a number, and the mean of the rows
	Low, High float64 // the interval of the only row, else the range of several; Y without one
	Rows      []int   // of Table.Rows
}

// Along arranges rows, of Table.Rows (nil: all), along an axis of numbers, a line for each value of
// of. Rows that do not depend on the axis are counted as apart, others without the metric as lack.
// Lines are in order of their value, points in that of the axis's numbers.
func (t *Table) Along(rows []int, axis int, key string, of func(r *Row) int) (lines []Line, apart, lack int) {
	type place struct{ value, at int }
	points, measured := map[place]*LinePoint{}, t.values(key)
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
			t.settle(&of[i], key)
		}
		slices.SortFunc(of, func(a, b LinePoint) int { return cmp.Or(cmp.Compare(a.X, b.X), cmp.Compare(a.At, b.At)) })
		lines = append(lines, Line{value, of})
	}
	slices.SortFunc(lines, func(a, b Line) int { return cmp.Compare(a.Value, b.Value) })
	return lines, apart, lack
}

// settle computes what the rows of a point come to.
func (t *Table) settle(p *LinePoint, key string) {
	if len(p.Rows) == 1 {
		s := t.Rows[p.Rows[0]].Values[key]
		p.Y, p.Low, p.High = s.Value, s.Value, s.Value
		if s.Interval {
			p.Low, p.High = s.Low, s.High
		}
		return
	}
	sum := 0.0
	p.Low, p.High = math.Inf(1), math.Inf(-1)
	for _, i := range p.Rows {
		x := t.Rows[i].Values[key].Value
		sum, p.Low, p.High = sum+x, min(p.Low, x), max(p.High, x)
	}
	p.Y = min(max(sum/float64(len(p.Rows)), p.Low), p.High)
}
