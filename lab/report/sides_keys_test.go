package report

import (
	"slices"
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/sweep"
)

// The side of a row keeps the names of what its seeds used; where a log names nothing, it is
// another model than the other rows of its run, and the same as itself.
func TestModelsOfSides(t *testing.T) {
	for _, names := range []bool{true, false} {
		begin := &lab.Begin{Run: "r", Rows: []string{"a", "b"}, Depends: [][]string{{}, {"ratio"}}}
		events := []lab.Event{{Kind: lab.KindBegin, Begin: begin}}
		for seed := 1; seed <= 2; seed++ {
			id := string(rune('0' + seed))
			begin.Cells = append(begin.Cells, lab.Cell{ID: id, Seed: seed, Params: []lab.Param{{Key: "ratio", Value: "0.5"}}})
			for _, row := range begin.Rows {
				e := lab.Event{Kind: lab.KindRow, Cell: id, Row: row, Values: map[string]lab.Measure{"auc": {Value: 0.5}}}
				if names {
					e.Key, e.Test = row+id, "t"
				}
				events = append(events, e)
			}
		}
		v := lab.Fold(events).Snapshot()
		var keys [][]string
		for i := range v.Rows {
			side := RowOf(v, i)
			keys = append(keys, side.Rows[0].Keys)
			if names && !slices.Equal(keys[i], v.Rows[i].Keys) {
				t.Errorf("row %d has the models %q, expected %q", i, keys[i], v.Rows[i].Keys)
			}
			if again := RowOf(v, i).Rows[0].Keys; !slices.Equal(keys[i], again) || len(again) != 2 || slices.Contains(again, "") {
				t.Errorf("row %d has the models %q, then %q", i, keys[i], again)
			}
			if rows := sweep.Of(side).Rows; len(rows) != 1 || slices.ContainsFunc(rows[0].At, func(at int) bool { return at != sweep.Any }) || len(side.Begin.Depends) > 1 {
				t.Errorf("row %d as a side has %d rows, %+v", i, len(rows), side.Begin.Depends)
			}
		}
		if slices.Equal(keys[0], keys[1]) {
			t.Errorf("named %v: two rows have the models %q", names, keys[0])
		}
	}
}

// A line has a value of a run where the run measured it, and a scale that suits all of them.
func TestValuesOfALine(t *testing.T) {
	views := threeRuns()
	views[2].Rows[1].Values["bytes"] = lab.Summary{Value: 5e9, Seeds: views[2].Rows[1].Values["bytes"].Seeds}
	lacks := 0
	for baseline := range views {
		c := CompareRuns(views, baseline, nil)
		for i := range c.Lines {
			l := &c.Lines[i]
			var all []float64
			for run, v := range views {
				var want lab.Summary
				had := false
				for k := range v.Rows {
					if v.Rows[k].Label() == l.Row {
						want, had = v.Rows[k].Metric(l.Metric.Key)
					}
				}
				got, ok := l.Value(run, baseline)
				if ok != had || ok && got.Value != want.Value {
					t.Errorf("baseline %d: %s of %s in run %d is %v, %v, expected %v, %v", baseline, l.Metric.Key, l.Row, run, got.Value, ok, want.Value, had)
				}
				if had {
					all = append(all, want.Value)
				} else {
					lacks++
				}
			}
			if got, want := l.Scale().Format(1234567), ScaleOf(l.Metric.Unit, all...).Format(1234567); got != want {
				t.Errorf("baseline %d: %s of %s, values %v: a million is written %s, expected %s", baseline, l.Metric.Key, l.Row, all, got, want)
			}
		}
	}
	if lacks == 0 {
		t.Error("no run lacks a metric")
	}
}

// A side has the cells of its row alone.
func TestCellsOfASide(t *testing.T) {
	v := live()
	for i := range v.Rows {
		var ids []string
		for _, c := range RowOf(v, i).Begin.Cells {
			ids = append(ids, c.ID)
		}
		if !slices.Equal(ids, v.Rows[i].Cells) {
			t.Errorf("row %d has the cells %q, expected %q", i, ids, v.Rows[i].Cells)
		}
	}
}

// A reason that several runs share is said once, with the runs that it is of.
func TestNotesAreSaidOnce(t *testing.T) {
	base := run("base", 3, nil).Snapshot()
	views := []*lab.View{base}
	for _, id := range []string{"a", "b", "c"} {
		v := run(id, 3, nil).Snapshot()
		if v.Begin.Version = "v2"; id == "b" {
			v.Begin.Version = "v1"
		}
		views = append(views, v)
	}
	c := CompareRuns(views, 0, nil)
	seen := map[string]bool{}
	for _, note := range c.Notes {
		of, text, _ := strings.Cut(note, ": ")
		if seen[text] || of != "#2 #4" {
			t.Errorf("%q of %q", text, c.Notes)
		}
		seen[text] = true
	}
	if len(seen) == 0 {
		t.Error("nothing is said of other versions")
	}
}
