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
		lines, apart, lack := table.Along(nil, table.Axis("ratio"), "auc", func(r *Row) int { return r.At[scheme] })
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
				if math.Abs(p.Y-sum/float64(len(p.Rows))) > 1e-12 || p.Low > p.Y || p.High < p.Y {
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

// TestPointOfOneRow has the row's interval, or none.
func TestPointOfOneRow(t *testing.T) {
	for _, s := range []lab.Summary{{Value: 2, Low: 1, High: 4, Interval: true}, {Value: 2, Low: 1, High: 4}} {
		table := &Table{Rows: []Row{{TableRow: &lab.TableRow{Values: map[string]lab.Summary{"k": s}}}}}
		p, want := LinePoint{Rows: []int{0}}, [3]float64{2, 2, 2}
		if s.Interval {
			want = [3]float64{2, 1, 4}
		}
		if table.settle(&p, "k"); [3]float64{p.Y, p.Low, p.High} != want {
			t.Errorf("%+v: %v, %v to %v", s, p.Y, p.Low, p.High)
		}
	}
}
