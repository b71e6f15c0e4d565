package sweep

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"slimlab/lab"
)

// drawn is a table of rows with few different values, so that equal ones and gaps are frequent.
func drawn(t *rapid.T) *Table {
	b := lab.Begin{Run: "r", Scenario: "s", Rows: []string{"base", "cut"}, Depends: [][]string{{"ratio"}, {"ratio", "scheme"}}}
	for r := range rapid.IntRange(1, 5).Draw(t, "ratios") {
		for s := range rapid.IntRange(1, 5).Draw(t, "schemes") {
			b.Cells = append(b.Cells, lab.Cell{ID: fmt.Sprint(r, s), Seed: 1, Params: []lab.Param{{Key: "ratio", Value: fmt.Sprint(9 - r)}, {Key: "scheme", Value: fmt.Sprint("s", s)}}})
		}
	}
	events := []lab.Event{{Kind: lab.KindBegin, Begin: &b}}
	level := rapid.IntRange(1, 6)
	for _, c := range b.Cells {
		for _, row := range b.Rows {
			values := map[string]lab.Measure{}
			for _, key := range []string{"bytes", "auc"} {
				if rapid.IntRange(0, 5).Draw(t, "has") == 0 {
					continue
				}
				x := float64(level.Draw(t, key))
				m := lab.Measure{Value: x}
				if half := rapid.SampledFrom([]float64{0, 0.5, 1}).Draw(t, "half"); half > 0 {
					m.Low, m.High = x-half, x+half
				}
				values[key] = m
			}
			events = append(events, lab.Event{Kind: lab.KindRow, Cell: c.ID, Row: row, Values: values})
		}
	}
	return All(lab.Fold(events).Snapshot())
}

func metric(t interface{ Fatalf(string, ...any) }, key string) lab.Metric {
	m, ok := lab.MetricByKey(key)
	if !ok {
		t.Fatalf("no metric %s", key)
	}
	return m
}

// betters says that a is at least as good as b in both costs and better in one.
func betters(ax, ay, bx, by float64) bool { return ax <= bx && ay <= by && (ax < bx || ay < by) }

// TestFrontIsThatOfAllPairs compares the front with one found by comparing every two rows.
func TestFrontIsThatOfAllPairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := drawn(t)
		x, y := metric(t, "bytes"), metric(t, "auc")
		if rapid.Bool().Draw(t, "turned") {
			x, y = y, x
		}
		f, err := table.Front(nil, x, y)
		if err != nil {
			t.Fatal(err)
		}
		different := map[[2]float64]bool{} // values of both, and whether they are on the front
		for i, p := range f.Points {
			same := slices.IndexFunc(f.Points, func(q Point) bool { return q.X.Value == p.X.Value && q.Y.Value == p.Y.Value })
			if different[[2]float64{p.X.Value, p.Y.Value}] = p.Best; same == i && p.Equal != -1 || same < i && p.Equal != same {
				t.Fatalf("point %d of %+v equals %d, expected %d", i, f.Points, p.Equal, same)
			}
			if n := len(f.Equals(i)); slices.Contains(f.Equals(i), i) || n != f.count(func(q *Point) bool { return q.X.Value == p.X.Value && q.Y.Value == p.Y.Value })-1 {
				t.Fatalf("point %d of %+v has %d equals", i, f.Points, n)
			}
			best, sure := true, false
			_, ok := table.Rows[p.Row].Values[x.Key]
			if !ok {
				t.Fatalf("row %d lacks %s and is a point", p.Row, x.Key)
			}
			px, _ := bounds(x, p.X)
			py, _ := bounds(y, p.Y)
			for j, q := range f.Points {
				if betters(cost(x, q.X.Value), cost(y, q.Y.Value), cost(x, p.X.Value), cost(y, p.Y.Value)) {
					best = false
				}
				_, qx := bounds(x, q.X)
				_, qy := bounds(y, q.Y)
				sure = sure || i != j && betters(qx, qy, px, py)
			}
			if p.Best != best || p.Unsure != (!best && !sure) {
				t.Fatalf("point %d of %+v: best %t, unsure %t; of all pairs best %t, surely worse %t", i, f.Points, p.Best, p.Unsure, best, sure)
			}
			if p.Best != (p.By < 0) {
				t.Fatalf("best %t by %d", p.Best, p.By)
			}
			if q := p.By; q >= 0 && (!f.Points[q].Best || !betters(cost(x, f.Points[q].X.Value), cost(y, f.Points[q].Y.Value), cost(x, p.X.Value), cost(y, p.Y.Value))) {
				t.Fatalf("point %d is not bettered by %d", i, q)
			}
		}
		onFront := 0
		for _, best := range different {
			if best {
				onFront++
			}
		}
		if all, _ := f.Dominated(); f.Best() != onFront || all != len(different)-onFront || f.Repeated() != len(f.Points)-len(different) {
			t.Fatalf("%+v: %d on the front, %d dominated, %d repeated", f.Points, f.Best(), all, f.Repeated())
		}
		lackX, lackY, both := 0, 0, 0
		for i := range table.Rows {
			_, hasX := table.Rows[i].Values[x.Key]
			_, hasY := table.Rows[i].Values[y.Key]
			if !hasX {
				lackX++
			}
			if !hasY {
				lackY++
			}
			if hasX && hasY {
				both++
			}
		}
		if f.LackX != lackX || f.LackY != lackY || len(f.Points) != both {
			t.Fatalf("%d points, %d and %d lack a metric; expected %d, %d, %d", len(f.Points), f.LackX, f.LackY, both, lackX, lackY)
		}
	})
}

// TestFrontNeedsDirections: nothing dominates in a metric of which neither more nor less is better.
func TestFrontNeedsDirections(t *testing.T) {
	table := Of(lab.Fold(measured(begin(true))).Snapshot())
	if _, err := table.Front(nil, metric(t, "bytes"), lab.Metric{Key: "odd"}); err == nil {
		t.Error("no error")
	}
}

func TestDecades(t *testing.T) {
	b := begin(true)
	events := []lab.Event{{Kind: lab.KindBegin, Begin: &b}}
	for i, x := range []float64{2, 200} {
		events = append(events, lab.Event{Kind: lab.KindRow, Cell: b.Cells[12*0+i*2].ID, Row: "quantized", Values: map[string]lab.Measure{"bytes": {Value: x}, "auc": {Value: x - 2}}})
	}
	table := Of(lab.Fold(events).Snapshot())
	for key, want := range map[string]float64{"bytes": 2, "auc": 0, "loss": 0} {
		if got := table.Decades(nil, key); got != want {
			t.Errorf("%s spans %g decades, expected %g", key, got, want)
		}
	}
}
