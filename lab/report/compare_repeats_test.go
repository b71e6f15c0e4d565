package report

import (
	"strings"
	"testing"

	"slimlab/lab"
)

// TestRepeatedRowsAreComparedOnce: a step that does not depend on an axis is one row of a
// comparison of runs that both fold it, whatever other runs stand beside them; a run whose log does
// not say so has all rows.
func TestRepeatedRowsAreComparedOnce(t *testing.T) {
	a, b, old := sweepRun("a", "1", lab.Done), sweepRun("b", "2", lab.Done), sweepRun("old", "3", lab.Done)
	old.Begin.Depends = nil // of an earlier version; nor are its artifacts equal
	for i := range old.Rows {
		old.Rows[i].Keys = []string{"", "", "", "", ""}
	}
	count := func(c *Comparison, row string) (n int) {
		for _, one := range c.Changes {
			if one.Row == row {
				n++
			}
		}
		return n
	}
	c := Compare(a, b)
	if count(c, "FM ratio=0.2") != 2 || count(c, "FM ratio=0.4") != 0 || count(c, "pruned ratio=0.4") != 2 || len(c.Missing) > 0 {
		t.Errorf("compared %+v, missing %q", c.Changes, c.Missing)
	}
	if reasons := strings.Join(c.Reasons, "; "); !strings.Contains(reasons, "1 repeated row folded") {
		t.Errorf("reasons %q", reasons)
	}
	if c := Compare(a, old); count(c, "FM ratio=0.4") != 2 {
		t.Errorf("of a run that does not fold: %+v", c.Changes)
	}
	for _, views := range [][]*lab.View{{a, b, a}, {a, b, old}} {
		rows := map[string]int{}
		c := CompareRuns(views, 0, nil)
		for i := range c.Lines {
			rows[c.Lines[i].Row]++
			for run := range views {
				if _, ok := c.Lines[i].Value(run, 0); !ok {
					t.Errorf("run %d has no %s of %s", run, c.Lines[i].Metric.Key, c.Lines[i].Row)
				}
			}
		}
		want := 0
		if views[2] == old {
			want = 2
		}
		if rows["FM ratio=0.2"] != 2 || rows["FM ratio=0.4"] != want || rows["pruned ratio=0.4"] != 2 {
			t.Errorf("lines of rows: %v", rows)
		}
	}
	unmeasured := sweepRun("b", "2", lab.Done)
	unmeasured.Rows[0].Done, unmeasured.Rows[0].Values = 0, nil
	if c := Compare(a, unmeasured); count(c, "FM ratio=0.4") != 2 {
		t.Errorf("a row is folded into one that was not measured: %+v", c.Changes)
	}
}
