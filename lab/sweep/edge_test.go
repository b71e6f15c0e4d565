package sweep

import (
	"testing"

	"slimlab/lab"
)

// TestBoundsHoldTheValue: an interval that leaves out its value, as one of resamples may, is
// widened to it.
func TestBoundsHoldTheValue(t *testing.T) {
	for _, s := range []lab.Summary{{Value: 5, Low: 1, High: 4, Interval: true}, {Value: 0, Low: 1, High: 4, Interval: true}, {Value: 2, Low: 9, High: 9}} {
		for _, direction := range []lab.Direction{lab.Lower, lab.Higher} {
			m := lab.Metric{Better: direction}
			best, worst := bounds(m, &s)
			if c := cost(m, s.Value); best > c || worst < c || s.Interval && best == worst {
				t.Errorf("%+v, %s is better: %v to %v, the value is %v", s, direction, best, worst, c)
			}
		}
	}
}

// TestMeanIsWithinItsRows: rounding takes no mean out of the range of what it is of.
func TestMeanIsWithinItsRows(t *testing.T) {
	for _, x := range []float64{0.1, 0.7, 1.1} {
		table := &Table{}
		var rows []int
		for i := range 6 {
			table.Rows = append(table.Rows, Row{TableRow: &lab.TableRow{Values: map[string]lab.Summary{"k": {Value: x}}}})
			table.metrics, rows = nil, append(rows, i)
			if p := table.Total(rows, lab.Metric{Key: "k"}, Mean); p.Value != x || p.Low != x || p.High != x || p.Spreads() {
				t.Errorf("%d rows of %v: %+v", i+1, x, p)
			}
		}
	}
}
