package tui

import (
	"slices"
	"strings"
	"testing"

	"slimlab/lab/report"
)

const (
	newest = "20261124-1130-figure1-a1"
	older  = "20261123-1822-figure1-b2"
	oldest = "20261123-1801-smoke-c3"
)

func (s *script) compareScreen() *compareScreen { return s.m.screens[2].(*compareScreen) }

// A run that is pinned is the baseline of what c compares, is named on every screen, and is kept.
func TestPinnedRunIsTheBaseline(t *testing.T) {
	s := newScript(t, 120, 40, Options{}).keys("jjjjb")
	for _, screen := range []string{"1", "2", "3"} {
		s.keys(screen).expect("◆ base " + newest)
	}
	c := s.keys("1jc").compareScreen()
	if c.result == nil || len(c.sides) != 2 || c.sides[c.result.Baseline].run != newest {
		t.Fatalf("compared are %v", c.sides)
	}
	s.keys("1kb").expectNot("◆ base ")
	if !slices.Equal(s.bench.pinned, []string{newest, ""}) {
		t.Errorf("kept were %q", s.bench.pinned)
	}
}

// A pinned run that another program deletes is unpinned and said, once.
func TestPinnedRunThatIsGone(t *testing.T) {
	s := newScript(t, 120, 40, Options{Baseline: newest})
	if s.m.baseline.view == nil {
		t.Fatal("the baseline was not read")
	}
	for range 2 {
		s.send(runsMsg{list: []RunInfo{{ID: "another"}}})
		s.expectNot("◆ base ")
		if n := len(s.m.problems); n != 1 || !strings.Contains(s.m.problems[0].text, newest+" is not there any more") {
			t.Errorf("said %d times: %v", n, s.m.problems)
		}
	}
}

// Whatever side is the baseline, the values of the sides stay, and its column says so.
func TestBaselineOfAComparison(t *testing.T) {
	s := newScript(t, 200, 60, Options{}).keys("jjjj<space><space><space>c")
	of := func() (runs []string, values []float64) {
		c := s.compareScreen()
		for i := range c.sides {
			runs = append(runs, c.sides[i].run)
			v, _ := c.result.Lines[3].Value(i, c.result.Baseline)
			values = append(values, v.Value)
		}
		return runs, values
	}
	runs, values := of()
	if !slices.Equal(runs, []string{oldest, older, newest}) {
		t.Fatalf("sides %q, expected the oldest first", runs)
	}
	for at, keys := range []string{">>o", ">o", "<o"} { // from the column of steps: #1, #2, #1
		s.keys(keys)
		c := s.compareScreen()
		if want := []int{0, 1, 0}[at]; c.result.Baseline != want && at > 0 {
			t.Errorf("%q: baseline %d, expected %d", keys, c.result.Baseline, want)
		}
		if got, v := of(); !slices.Equal(got, runs) || !slices.Equal(v, values) {
			t.Errorf("baseline %d: sides %v have %v, expected %v with %v", c.result.Baseline, got, v, runs, values)
		}
		for i := range c.sides {
			if base := strings.HasSuffix(c.grid.Columns[2+i].Title, " base"); base != (i == c.result.Baseline) {
				t.Errorf("column %d is called %q, the baseline is %d", i, c.grid.Columns[2+i].Title, c.result.Baseline)
			}
		}
	}
}

// Only settings that differ are shown, as = where they are the baseline's.
func TestOnlySettingsThatDiffer(t *testing.T) {
	c := newScript(t, 200, 60, Options{}).keys("jjjj<space><space><space>c").compareScreen()
	var keys []string
	for i := range c.settings {
		d := &c.settings[i]
		keys = append(keys, d.Key)
		for side := range c.sides {
			cell, equal := c.settingCell(d, 2+side).Text, d.Values[side] == d.Values[c.result.Baseline]
			if side != c.result.Baseline && (cell == "=") != equal {
				t.Errorf("%s of side %d is %q, equal: %v", d.Key, side, cell, equal)
			}
		}
	}
	if !slices.Equal(keys, []string{"scenario", "seeds", "distilled.temperature"}) {
		t.Errorf("settings %q", keys)
	}
}

// A table of differences shows that of each value, and says why there is none.
func TestDifferencesFromThePinnedRun(t *testing.T) {
	s := newScript(t, 200, 60, Options{Baseline: oldest}).keys("jjjj<enter>B")
	r := s.m.screens[1].(*runScreen)
	base, seen := r.baseline.view, map[string]bool{}
	for i := range r.last.view.Rows {
		row := r.last.row(i)
		for _, column := range r.last.columns {
			m := column.Metric
			shown, why := r.delta(row, m)
			old, had := base.Rows[i].Metric(m.Key)
			value, has := row.Metric(m.Key)
			kind, want := "other", ""
			switch {
			case !had || !has:
				kind, want = "none", report.Missing
			case old.Value == value.Value:
				kind, want = "equal", "="
			default:
				want = report.DeltaText(m, old.Value, value.Value)
			}
			seen[kind] = true
			if shown != want || (why == "") != (kind != "none") {
				t.Errorf("%s of %s is %q (%s), expected %q", m.Key, row.Name, shown, why, want)
			}
		}
	}
	if !seen["equal"] || !seen["other"] || !seen["none"] {
		t.Errorf("seen is only %v", seen)
	}
	newScript(t, 120, 40, Options{}).keys("jjjj<enter>B").expect("no run is pinned as baseline")
	newScript(t, 120, 40, Options{Baseline: newest}).keys("jjjj<enter>B").expect("this run is the baseline")
}

// Rows of a run are sides: their curves have one name whatever their steps are called.
func TestCurvesOfRows(t *testing.T) {
	c := newScript(t, 120, 40, Options{}).keys("jjjj<enter>j<space>jj<space>c").compareScreen()
	if len(c.sides) != 2 || c.sides[0].row == wholeRun {
		t.Fatalf("sides %v", c.sides)
	}
	for i := range c.sides {
		s := &c.sides[i]
		step := s.view.Rows[s.row].Name
		found := s.curvesNamed("loss")
		for _, series := range found {
			if series.Name != step+".loss" {
				t.Errorf("side %d, %s, has the curve %s", i, step, series.Name)
			}
		}
		if trained := step == "distilled"; trained != (len(found) == 3) {
			t.Errorf("side %d, %s, has %d curves", i, step, len(found))
		}
	}
}
