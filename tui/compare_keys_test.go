package tui

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"slimlab/lab"
)

// Enter opens the run of the column under the cursor, and without one the baseline's.
func TestEnterOpensASide(t *testing.T) {
	for keys, want := range map[string]string{"": oldest, ">>": oldest, ">>>": older, ">>>>": newest, ">>>o": older, ">>>o<<<": older, ">>>>o<<<<": newest} {
		s := newScript(t, 200, 60, Options{}).keys("jjjj<space><space><space>c" + keys + "<enter>").expect("[2 Run]")
		if got := s.m.session.id; got != want {
			t.Errorf("%q opens %s, expected %s", keys, got, want)
		}
	}
}

// However low the window: every side is named, or counted among those that are not.
func TestSidesAreNamedOrCounted(t *testing.T) {
	c := newScript(t, 120, 40, Options{}).keys("jjjj<space><space><space>c").compareScreen()
	c.sides, c.result.Against = slices.Repeat(c.sides, 3), slices.Repeat(c.result.Against, 3)
	for height := 2; height < 14; height++ {
		lines, more := c.sideLines(120, height), 0
		named := len(lines)
		if last := lines[len(lines)-1]; strings.Contains(last, "more") {
			named--
			fmt.Sscanf(strings.TrimSpace(last), "… and %d more", &more)
		}
		if len(lines) > height || named+more != len(c.sides) || more == 1 {
			t.Errorf("%d lines high: %d sides are named and %d counted:\n%s", height, named, more, strings.Join(lines, "\n"))
		}
	}
}

// A run whose replay is open is compared as it ended, not as far as the replay is.
func TestReplayIsNotCompared(t *testing.T) {
	c := newScript(t, 120, 40, Options{}).keys("jjjjp1<space><space>c").compareScreen()
	if len(c.sides) != 2 {
		t.Fatalf("sides %v", c.sides)
	}
	for i := range c.sides {
		if s := &c.sides[i]; s.view.State != lab.Done {
			t.Errorf("%s is compared while it is %s", s.run, s.view.State)
		}
	}
}

// Curves are offered in order of the number of sides that have them, then of appearance.
func TestCurvesOfMostSidesComeFirst(t *testing.T) {
	c := &compareScreen{}
	for _, names := range []string{"a b", "d b c", "c b"} {
		events := []lab.Event{{Kind: lab.KindBegin, Begin: &lab.Begin{Run: names, Cells: []lab.Cell{{ID: "1"}, {ID: "2"}}}}}
		for _, name := range strings.Fields(names) {
			for _, cell := range []string{"1", "2"} {
				events = append(events, lab.Event{Kind: lab.KindPoint, Cell: cell, Name: name, Step: 1, Value: 1})
			}
		}
		c.sides = append(c.sides, side{run: names, row: wholeRun, view: lab.Fold(events).Snapshot()})
	}
	names, sides := c.seriesNames()
	if got := fmt.Sprint(names, sides); got != "[b c a d] map[a:1 b:3 c:2 d:1]" {
		t.Errorf("found %s", got)
	}
}

// Curves beyond what a chart can hold are counted.
func TestCurvesThatAreHiddenAreCounted(t *testing.T) {
	s := newScript(t, 200, 60, Options{})
	view := lab.Fold(fakeLog("many", 30, 0)).Snapshot()
	s.run(s.m.compare([]side{{run: "many", row: wholeRun, view: view}, {run: "again", row: wholeRun, view: view}}, 0))
	s.keys("T").expect(fmt.Sprintf("%d more hidden", 60-maxGrouped))
}

// A run that was read after another one was pinned is not the baseline.
func TestRunThatIsNoLongerPinned(t *testing.T) {
	s := newScript(t, 120, 40, Options{}).keys("jjjjb")
	s.send(pinnedMsg{run: older, view: lab.Fold(fakeLog(older, 1, 0)).Snapshot()})
	if b := &s.m.baseline; b.run != newest || b.view == nil || b.view.Begin.Run != newest {
		t.Errorf("the baseline %s is read from %v", b.run, b.view.Begin.Run)
	}
}

// What a live run has not measured yet is no difference; the table of the baseline itself has
// values.
func TestDifferencesOfALiveRun(t *testing.T) {
	s := newScript(t, 120, 40, Options{Baseline: newest}).keys("r<enter>B")
	r, states := s.runScreen(), map[lab.State]bool{}
	r.look(func(tb *table) {
		for i := range tb.sweep.Rows {
			row := &tb.sweep.Rows[i]
			shown, why := r.delta(row, metricOf("bytes"))
			states[row.State] = true
			if _, has := row.Metric("bytes"); has == (shown == "·" && why == "not measured yet") {
				t.Errorf("%s, %s: %q, %q", row.Name, row.State, shown, why)
			}
		}
	})
	if !states[lab.Running] || !states[lab.Waiting] {
		t.Errorf("rows are only in the states %v", states)
	}
	base := newScript(t, 120, 40, Options{Baseline: newest}).keys("jjjjj<enter>B1k<enter>")
	if got, want := base.line("w8a8"), newScript(t, 120, 40, Options{}).keys("jjjj<enter>").line("w8a8"); got != want {
		t.Errorf("the baseline's own table:\n%s\nexpected\n%s", got, want)
	}
}

// c never does nothing: without two sides it says how they are chosen, on both screens.
func TestCompareSaysWhatItNeeds(t *testing.T) {
	for keys, want := range map[string]string{
		"c":                           "mark two runs with space, or pin one with b",
		"jjjjc":                       "mark two runs with space, or pin one with b",
		"jjjj<space>c":                "one run is marked: mark another with space",
		"jjjjbc":                      "this run is the baseline itself",
		"jjjjb<space>c":               "the marked run is the baseline itself",
		"jjjj<enter>c":                "mark two rows or more with space",
		"jjjj<enter><space>c":         "mark two rows or more with space",
		"jjjjb<enter>c":               "this run is the baseline itself: mark two rows",
		"jjjj<enter>/nothing<enter>c": "no row is shown here",
	} {
		newScript(t, 160, 40, Options{}).keys(keys).expect(want)
	}
}

// Where runs share no row, the line of the side says so at every width from 80, one line says how
// many notes there are beside those that fit, n shows them all, and s leaves the settings out.
func TestNotesOfAComparison(t *testing.T) {
	s := newScript(t, 80, 24, Options{}).keys("jjjj<space><space><space>c")
	c := s.compareScreen()
	c.result.Notes = nil
	for i := range 9 {
		c.result.Notes = append(c.result.Notes, fmt.Sprintf("#2: note %d", i))
	}
	none := "no row is in both runs: of a test"
	c.result.Against[1].Comparable, c.result.Against[1].Nothing = false, none
	c.result.Notes = append(c.result.Notes, "#2: "+none)
	s.keys("j").expect("shares no row with the base").expect("notes: n shows all")
	if notes := c.noteLines(80, 4); len(notes) != 4 || !strings.Contains(notes[3], "6 more notes") {
		t.Errorf("notes %q", notes)
	}
	if notes := c.noteLines(80, 1); len(notes) != 1 || !strings.Contains(notes[0], "9 notes: n shows all") {
		t.Errorf("notes %q", notes)
	}
	s.keys("n").expect(none).keys("<esc>s")
	if len(c.settings) != 0 || c.grid.Rows != len(c.shown) {
		t.Errorf("settings are shown: %d of %d lines", len(c.settings), c.grid.Rows)
	}
	s.keys("s").expect("setting")
}
