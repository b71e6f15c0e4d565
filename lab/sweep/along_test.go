package sweep

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"slimlab/lab"
)

// TestLinesAreThoseOfAllRows: every row is in one point, is apart, or lacks the metric, and a point
// is the mean of its rows.
func TestLinesAreThoseOfAllRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := drawn(t)
		if rapid.Bool().Draw(t, "folded") {
			table = Of(table.View)
		}
		scheme := table.Axis("scheme")
		lines, apart, lack := table.Along(nil, table.Axis("ratio"), lab.Metric{Key: "auc"}, Mean, func(r *Row) int { return r.At[scheme] })
		seen := 0
		for n, line := range lines {
			if n > 0 && line.Value <= lines[n-1].Value {
				t.Fatalf("line %d has value %d after %d", n, line.Value, lines[n-1].Value)
			}
			for m, p := range line.Points {
				seen += len(p.Rows)
				if m > 0 && p.X < line.Points[m-1].X {
					t.Fatalf("points of %d do not ascend", line.Value)
				}
				sum, values := 0.0, []float64{}
				for _, i := range p.Rows {
					r := &table.Rows[i]
					if r.At[0] != p.At || r.At[scheme] != line.Value {
						t.Fatalf("row %v is in a point of %d on line %d", r.At, p.At, line.Value)
					}
					sum, values = sum+r.Values["auc"].Value, append(values, r.Values["auc"].Value)
				}
				if math.Abs(p.Value-sum/float64(len(p.Rows))) > 1e-12 || p.Low > p.Value || p.High < p.Value {
					t.Fatalf("point %+v of values %v", p, values)
				}
				if len(values) > 1 && (p.Low != slices.Min(values) || p.High != slices.Max(values)) {
					t.Fatalf("point %+v of values %v", p, values)
				}
			}
		}
		if seen+apart+lack != len(table.Rows) {
			t.Fatalf("%d rows in points, %d apart, %d without the metric; expected %d", seen, apart, lack, len(table.Rows))
		}
	})
}

// TestOneRowKeepsItsInterval: the value of one row has the row's interval, or none; that of several
// has no interval, but their lowest and highest.
func TestOneRowKeepsItsInterval(t *testing.T) {
	table := &Table{}
	for _, s := range []lab.Summary{{Value: 2, Low: 1, High: 4, Interval: true}, {Value: 3, Low: 1, High: 4}} {
		table.Rows = append(table.Rows, Row{TableRow: &lab.TableRow{Values: map[string]lab.Summary{"k": s}}})
	}
	m := lab.Metric{Key: "k", Better: lab.Lower}
	for _, c := range []struct {
		rows      []int
		a         Aggregate
		low, high float64 // of the interval
		own       bool
		spread    bool
	}{
		{[]int{0}, Mean, 1, 4, true, false},
		{[]int{1}, Mean, 0, 0, false, false},
		{[]int{0, 1}, Mean, 0, 0, false, true},
		{[]int{0, 1}, Median, 0, 0, false, true},
		{[]int{0, 1}, Best, 1, 4, true, false},
		{[]int{0, 1}, Max, 0, 0, false, false},
	} {
		total := table.Total(c.rows, m, c.a)
		low, high, own := table.Own(&total, "k")
		if own != c.own || own && (low != c.low || high != c.high) || total.Spreads() != c.spread {
			t.Errorf("%s of %v: %+v with %v to %v, %v", c.a, c.rows, total, low, high, own)
		}
	}
}
