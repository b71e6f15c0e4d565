package report

import (
	"slices"
	"testing"

	"slimlab/lab"
)

// Rows of one run are compared as runs are: a row with itself is the same, other rows are judged,
// and the run itself is left as it was.
func TestRowsAsSides(t *testing.T) {
	v := run("r1", 3, nil).Snapshot()
	before := v.Rows[0].Label()
	for i := range v.Rows {
		for j := range v.Rows {
			c := Compare(RowOf(v, i), RowOf(v, j))
			if !c.Comparable || !c.Timings || len(c.Missing) > 0 {
				t.Fatalf("%s with %s: comparable %v, timings %v, missing %q, %q", SideName(v, i), SideName(v, j), c.Comparable, c.Timings, c.Missing, c.Reasons)
			}
			for _, one := range c.Changes {
				base, had := v.Rows[i].Metric(one.Metric.Key)
				next, has := v.Rows[j].Metric(one.Metric.Key)
				if had && base.Value != one.Base.Value || has && next.Value != one.New.Value {
					t.Errorf("%s of %s and %s: %v to %v, the rows have %v and %v", one.Metric.Key, SideName(v, i), SideName(v, j), one.Base.Value, one.New.Value, base.Value, next.Value)
				}
				if i == j && one.Judgement != Same && one.Judgement != Within {
					t.Errorf("%s of %s with itself is %s", one.Metric.Key, SideName(v, i), one.Judgement)
				}
				if i != j && one.Judgement == Same && base.Value != next.Value {
					t.Errorf("%s of %s and %s is %s: %v and %v", one.Metric.Key, SideName(v, i), SideName(v, j), one.Judgement, base.Value, next.Value)
				}
			}
		}
	}
	if v.Rows[0].Label() != before || len(v.Rows) == 1 {
		t.Errorf("the view has changed: %s", v.Rows[0].Label())
	}
}

// A row of a sweep differs from another of its run by its step and by its axes.
func TestSettingsOfSides(t *testing.T) {
	v := &lab.View{Begin: lab.Begin{Run: "r"}, Rows: []lab.TableRow{
		{Name: "q", Params: []lab.Param{{Key: "ratio", Value: "0.2"}, {Key: "scheme", Value: "w8a8"}}},
		{Name: "q", Params: []lab.Param{{Key: "ratio", Value: "0.2"}, {Key: "scheme", Value: "w4a16"}}},
	}}
	names := map[string]int{}
	for i := range v.Rows {
		names[RowOf(v, i).Begin.Run] = i
	}
	var runs []lab.Begin
	for i := range v.Rows {
		runs = append(runs, RowOf(v, i).Begin)
	}
	got, notes := Differences(runs, func(b lab.Begin) ([]Setting, error) { return SideSettings(v, names[b.Run]), nil })
	want := []Difference{{"scheme", []string{"w8a8", "w4a16"}}}
	if !slices.EqualFunc(got, want, func(a, b Difference) bool { return a.Key == b.Key && slices.Equal(a.Values, b.Values) }) || len(notes) > 0 {
		t.Errorf("found %v, %q, expected %v", got, notes, want)
	}
	if len(names) != 2 {
		t.Errorf("%d names of 2 sides", len(names))
	}
}
