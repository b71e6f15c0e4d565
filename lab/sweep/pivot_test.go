package sweep

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"slimlab/lab"
)

// TestCellsAreThoseOfAllRows compares each cell with the rows found by their values.
func TestCellsAreThoseOfAllRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := drawn(t)
		if rapid.Bool().Draw(t, "folded") {
			table = Of(table.View)
		}
		axes := rapid.Permutation(table.PivotAxes()).Draw(t, "axes")
		q := Question{Down: axes[0], Across: axes[1], Metric: metric(t, "auc"), Aggregate: rapid.SampledFrom([]Aggregate{Mean, Best}).Draw(t, "aggregate"), Step: rapid.SampledFrom([]string{"", "base", "cut"}).Draw(t, "step")}
		p, err := table.Pivot(nil, q)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[int]bool{}
		for y, down := range p.Rows {
			for x, across := range p.Columns {
				c := p.Cells[y][x]
				var want []int
				for i := range table.Rows {
					r := &table.Rows[i]
					if p.Step != "" && r.Name != p.Step {
						continue
					}
					whole := p.Step == "" && q.Down != StepAxis && q.Across != StepAxis
					if stands(table, r, q.Down, down, whole) && stands(table, r, q.Across, across, whole) {
						want = append(want, i)
						seen[i] = true
					}
				}
				if !slices.Equal(c.Rows, want) {
					t.Fatalf("%s %s: rows %v, expected %v", down, across, c.Rows, want)
				}
				agrees(t, table, &c, &q)
			}
		}
		if p.Step == "" && len(seen)+p.Apart != len(table.Rows) {
			t.Fatalf("%d rows in cells and %d apart, of %d", len(seen), p.Apart, len(table.Rows))
		}
	})
}

func stands(t *Table, r *Row, key, value string, whole bool) bool {
	if key == StepAxis {
		return r.Name == value
	}
	has := t.Value(r, t.Axis(key))
	return has == value || has == "" && !whole
}

func agrees(t *rapid.T, table *Table, c *PivotCell, q *Question) {
	var values []float64
	for _, i := range c.Rows {
		if s, ok := table.Rows[i].Values["auc"]; ok {
			values = append(values, s.Value)
		}
	}
	if len(values) != c.N || c.Has() != (len(values) > 0) {
		t.Fatalf("%d values, expected %d", c.N, len(values))
	}
	if len(values) == 0 {
		return
	}
	want := slices.Max(values)
	if q.Aggregate != Best {
		want = 0
		for _, v := range values {
			want += v / float64(len(values))
		}
	}
	if math.Abs(c.Value-want) > 1e-12 || c.Low > c.Value || c.High < c.Value {
		t.Fatalf("value %g [%g, %g], expected %g of %v", c.Value, c.Low, c.High, want, values)
	}
}

// TestAxesOfAPivot: numbers ascend, what is asked wrongly is an error, the defaults are the two
// longest axes and the last step that depends on them.
func TestAxesOfAPivot(t *testing.T) {
	table := Of(lab.Fold(measured(begin(true))).Snapshot())
	auc := metric(t, "auc")
	q, ok := table.PivotOf(auc)
	if !ok || q.Down != "scheme" || q.Across != "ratio" || q.Step != "quantized" {
		t.Errorf("default %+v %t", q, ok)
	}
	for _, c := range []struct {
		q  Question
		ok bool
	}{
		{Question{Down: "ratio", Across: "step", Metric: auc}, true},
		{Question{Down: "ratio", Across: "ratio", Metric: auc}, false},
		{Question{Down: "ratio", Across: "rato", Metric: auc}, false},
		{Question{Down: "ratio", Across: "scheme", Metric: auc, Step: "w8a8"}, false},
		{Question{Down: "ratio", Across: "scheme", Metric: lab.Metric{Key: "odd"}, Aggregate: Best}, false},
	} {
		if _, err := table.Pivot(nil, c.q); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.q, err)
		}
	}
	p, _ := table.Pivot(nil, Question{Down: "step", Across: "ratio", Metric: auc})
	if len(p.Cells) != 3 || !slices.Equal(p.Columns, []string{"0.25", "50%"}) || len(p.Cells[0][0].Rows) != 1 || len(p.Cells[0][1].Rows) != 1 {
		t.Errorf("base does not stand at each ratio: %+v", p)
	}
	if p.Aggregated() != 3 {
		t.Errorf("%d rows share a cell, expected 3 schemes", p.Aggregated())
	}
}

func TestPivotSortsNumbers(t *testing.T) {
	b := begin(true)
	slices.Reverse(b.Cells)
	p, err := Of(lab.Fold(measured(b)).Snapshot()).Pivot(nil, Question{Down: "ratio", Across: "scheme", Metric: metric(t, "auc")})
	if err != nil || !slices.Equal(p.Rows, []string{"0.25", "50%"}) || p.Columns[0] != "fp8" {
		t.Errorf("%v: down %q, across %q", err, p.Rows, p.Columns)
	}
}

// TestPivotKnowsItsIntervals: the median over the rows that have one.
func TestPivotKnowsItsIntervals(t *testing.T) {
	b := begin(true)
	events := []lab.Event{{Kind: lab.KindBegin, Begin: &b}}
	for i, half := range []float64{0, 0.1, 0.3, 0.2} {
		m := lab.Measure{Value: 0.5}
		if half > 0 {
			m.Low, m.High = 0.5-half, 0.5+half
		}
		events = append(events, lab.Event{Kind: lab.KindRow, Cell: b.Cells[2*i].ID, Row: "quantized", Values: map[string]lab.Measure{"auc": m}})
	}
	q := Question{Down: "ratio", Across: "scheme", Metric: metric(t, "auc"), Step: "quantized"}
	p, err := Of(lab.Fold(events).Snapshot()).Pivot(nil, q)
	if err != nil || math.Abs(p.HalfWidth-0.2) > 1e-12 {
		t.Errorf("%v: half width %g, expected 0.2", err, p.HalfWidth)
	}
}

// TestAxisThatIsCalledStep: an axis of the sweep comes before the step of the pipeline.
func TestAxisThatIsCalledStep(t *testing.T) {
	b := begin(true)
	for i := range b.Cells {
		b.Cells[i].Params[1].Key = StepAxis
	}
	for _, axes := range b.Depends {
		for i := range axes {
			if axes[i] == "scheme" {
				axes[i] = StepAxis
			}
		}
	}
	table := Of(lab.Fold(measured(b)).Snapshot())
	p, err := table.Pivot(nil, Question{Down: "ratio", Across: StepAxis, Metric: metric(t, "auc"), Step: "quantized"})
	if err != nil || p.Step != "quantized" || !slices.Equal(p.Columns, []string{"w8a8", "w4a16", "fp8"}) || p.Aggregated() != 1 {
		t.Errorf("%v: step %q, across %q, up to %d rows a cell", err, p.Step, p.Columns, p.Aggregated())
	}
}

// TestStepIsAnAxisOfSeveral: two steps are an axis, one is none.
func TestStepIsAnAxisOfSeveral(t *testing.T) {
	for n, want := range map[int]string{1: "[ratio scheme]", 2: "[ratio scheme step]", 3: "[ratio scheme step]"} {
		b := begin(false)
		b.Rows = b.Rows[:n]
		table := Of(lab.Fold([]lab.Event{{Kind: lab.KindBegin, Begin: &b}}).Snapshot())
		if got := fmt.Sprint(table.PivotAxes()); got != want {
			t.Errorf("%d steps: axes %s, expected %s", n, got, want)
		}
	}
}

// TestRowThatACellShows: the only one or the best; of the mean of several none.
func TestRowThatACellShows(t *testing.T) {
	table := groupTable(t)
	for _, best := range []Aggregate{Best, Mean} {
		p, err := table.Pivot(nil, Question{Down: "ratio", Across: StepAxis, Metric: metric(t, "auc"), Aggregate: best})
		if err != nil {
			t.Fatal(err)
		}
		for y := range p.Rows {
			for x, step := range p.Columns {
				want := map[string]int{"FM": 0, "q": -1}[step]
				c := &p.Cells[y][x]
				if best == Best && step == "q" {
					want = c.Rows[1] // w4
				}
				if c.Row != want {
					t.Errorf("%v: %s, %s shows row %d of %v, expected %d", best, p.Rows[y], step, c.Row, c.Rows, want)
				}
			}
		}
	}
}
