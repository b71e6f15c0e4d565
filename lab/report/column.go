package report

import (
	"math"
	"slices"

	"slimlab/lab"
	"slimlab/lab/sweep"
)

// Column is a metric of a run's table: the scale of its values, the best of them, and the warnings
// that all of them share.
type Column struct {
	Metric   lab.Metric
	Scale    Scale
	Warnings []string // of every measured value, where there are two or more
	best     float64  // NaN where there is none
}

// TableCell is one value of a column as text.
type TableCell struct {
	Value    string   // "12.3ms", or Missing
	Interval string   // "±0.4", empty without one
	Best     bool     // the best value of its column
	Warnings []string // of this value, those of the column among them
}

// ColumnOf returns a metric's column of a table, ready to be written.
func ColumnOf(m lab.Metric, t *sweep.Table) Column {
	var measured []lab.Summary
	for i := range t.Rows {
		if s, ok := t.Rows[i].Metric(m.Key); ok {
			measured = append(measured, s)
		}
	}
	return newColumn(m, measured)
}

func newColumn(m lab.Metric, measured []lab.Summary) Column {
	values := make([]float64, len(measured))
	for i, s := range measured {
		values[i] = s.Value
	}
	return Column{Metric: m, Scale: ScaleOf(m.Unit, values...), Warnings: shared(measured), best: bestOf(m.Better, values)}
}

// Cell returns the column's cell of a row.
func (c *Column) Cell(r *lab.TableRow) TableCell {
	s, ok := r.Metric(c.Metric.Key)
	if !ok {
		return TableCell{Value: Missing}
	}
	cell := TableCell{Value: c.Scale.Format(s.Value), Best: s.Value == c.best, Warnings: s.Warnings}
	if half := s.HalfWidth(); half > 0 {
		cell.Interval = c.Scale.Width(half)
	}
	return cell
}

// shared returns the warnings that all of two or more summaries have.
func shared(measured []lab.Summary) []string {
	if len(measured) < 2 {
		return nil
	}
	all := slices.Clone(measured[0].Warnings)
	for _, s := range measured[1:] {
		all = slices.DeleteFunc(all, func(w string) bool { return !slices.Contains(s.Warnings, w) })
	}
	return all
}

// bestOf returns the best value, or NaN where there is none: no direction, or all values equal.
func bestOf(better lab.Direction, values []float64) float64 {
	values = slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	if better == lab.Neither || len(values) < 2 {
		return math.NaN()
	}
	low, high := slices.Min(values), slices.Max(values)
	switch {
	case low == high:
		return math.NaN()
	case better == lab.Lower:
		return low
	}
	return high
}
