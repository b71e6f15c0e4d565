package tui

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"

	"slimlab/lab"
	"slimlab/lab/report"
)

// With colours, what is better, worse or to be looked at is no dim text; what is the same is.
func TestColoursOfJudgements(t *testing.T) {
	r := lipgloss.NewRenderer(io.Discard)
	r.SetColorProfile(termenv.ANSI256)
	c := &compareScreen{workbench: &workbench{theme: themeNamed(r, "dark", "", false)}}
	paints := map[string][]report.Judgement{}
	for j := report.Same; j <= report.Unknown; j++ {
		paints[c.judgementPaint(j).Open] = append(paints[c.judgementPaint(j).Open], j)
	}
	if got := fmt.Sprint(paints[c.theme.dim.Open]); got != fmt.Sprint([]report.Judgement{report.Same, report.Within}) || len(paints) != 4 {
		t.Errorf("judgements by colour: %v", paints)
	}
}

// Notes take a third of the height at most, so that the table is seen.
func TestNotesLeaveRoomForTheTable(t *testing.T) {
	c := newScript(t, 120, 40, Options{}).keys("jjjj<space><space>c").compareScreen()
	c.result.Notes = strings.Split(strings.Repeat("a note\n", 40), "\n")
	for height := 9; height < 60; height++ {
		lines := c.View(120, height)
		notes := 0
		for _, line := range lines {
			if strings.HasPrefix(line, " ⚠ ") {
				notes++
			}
		}
		if len(lines) > height || notes == 0 || 2+notes > max(3, height/3) {
			t.Errorf("%d lines of %d, %d of them notes", len(lines), height, notes)
		}
	}
}

// b pins the run of the column under the cursor, else the baseline's; i shows intervals of three
// sides; o turns two sides again and again.
func TestKeysOfAComparison(t *testing.T) {
	for keys, want := range map[string]string{"b": oldest, ">>>b": older, ">>>o<<<b": older} {
		s := newScript(t, 200, 60, Options{}).keys("jjjj<space><space><space>c" + keys)
		if got := s.m.baseline.run; got != want {
			t.Errorf("%q pins %s, expected %s", keys, got, want)
		}
	}
	newScript(t, 200, 60, Options{}).keys("jjjj<space><space><space>c").expectNot("±").keys("i").expect("±").keys("i").expectNot("±")
	two := newScript(t, 200, 60, Options{}).keys("jjjj<space><space>c")
	first := two.compareScreen().result.Baseline
	for n := range 4 {
		if got := two.keys("o").compareScreen().result.Baseline; (got == first) != (n%2 == 1) {
			t.Errorf("turned %d times, the baseline is %d of 2", n+1, got)
		}
	}
}

// A change from nothing has no share of it: the cell has the value and the judgement alone.
func TestChangeFromNothing(t *testing.T) {
	var views []*lab.View
	for i, x := range []float64{0, 5e6} {
		begin := &lab.Begin{Run: fmt.Sprint(i), Scenario: "s", Hash: "h", Rows: []string{"a"}, Columns: []string{"bytes"}, Cells: []lab.Cell{{ID: "c", Seed: 1}}}
		views = append(views, lab.Fold([]lab.Event{{Kind: lab.KindBegin, Begin: begin}, {Kind: lab.KindRow, Cell: "c", Row: "a", Values: map[string]lab.Measure{"bytes": {Value: x}}}}).Snapshot())
	}
	s := newScript(t, 120, 40, Options{})
	s.run(s.m.compare([]side{{run: "0", row: wholeRun, view: views[0]}, {run: "1", row: wholeRun, view: views[1]}}, 0))
	c := s.compareScreen()
	cell := c.metricCell(&c.result.Lines[0], 3).Text
	if judged := c.result.Lines[0].Changes[1].Judgement; strings.Join(strings.Fields(cell), " ") != "5.00MB "+judged.Sign() {
		t.Errorf("the cell is %q", cell)
	}
}
