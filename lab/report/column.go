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
	values := make([]float64, 0, len(t.Rows))
	var shared []string // warnings that all of two or more values have
	t.Measured(m.Key, func(_ int, s *lab.Summary) {
		switch {
		case len(values) == 0:
			shared = slices.Clone(s.Warnings)
		case len(shared) > 0:
			shared = slices.DeleteFunc(shared, func(w string) bool { return !slices.Contains(s.Warnings, w) })
		}
		values = append(values, s.Value)
	})
	if len(values) < 2 {
		shared = nil
	}
	return Column{Metric: m, Scale: ScaleOf(m.Unit, values...), Warnings: shared, best: bestOf(m.Better, values)}
}

// Cell returns the column's cell of a row.
func (c *Column) Cell(r *lab.TableRow) TableCell {
	s, ok := r.Metric(c.Metric.Key)
	if !ok {
		return TableCell{Value: Missing}
	}
	cell := TableCell{Value: c.Scale.Format(s.Value), Best: s.Value == c.best, Warnings: s.Warnings}
	cell.Interval = c.Scale.beside(&s)
	return cell
}

// bestOf returns the best value, or NaN where there is none: no direction, or all values equal.
func bestOf(better lab.Direction, values []float64) float64 {
	low, high, n := math.Inf(1), math.Inf(-1), 0
	for _, x := range values {
		if !math.IsNaN(x) {
			low, high, n = min(low, x), max(high, x), n+1
		}
	}
	switch {
	case better == lab.Neither || n < 2 || low == high:
		return math.NaN()
	case better == lab.Lower:
		return low
	}
	return high
}
