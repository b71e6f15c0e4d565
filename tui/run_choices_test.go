package tui

import (
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"

	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/sweep"
)

// Where the row under the cursor is no point of the chart, the cursor is on the first of the front.
func TestParetoCursorWithoutItsRow(t *testing.T) {
	r := newScript(t, 124, 40, Options{}).openSweep().keys("P").runScreen()
	// the front begins at the first point, or is the last one
	for _, x := range []string{"bytes", "smaller"} {
		r.pareto.x, r.pareto.y = x, "tokens_per_s"
		r.look(func(tb *table) {
			r.row = -1
			c := r.paretoOf(tb)
			shown := r.shownPoints(c)
			at := r.cursorAt(tb, c, shown)
			if at < 0 || !c.front.Points[shown[at]].Best {
				t.Fatalf("against %s: the cursor is at %d", x, at)
			}
			for _, i := range shown[:at] {
				if c.front.Points[i].Best {
					t.Errorf("against %s: point %d is of the front, and before the cursor", x, i)
				}
			}
		})
	}
}

// What has no place on a logarithmic axis is counted: zero, and less.
func TestPointsOffALogAxis(t *testing.T) {
	var points []sweep.Point
	for _, xy := range [][2]float64{{0, 1}, {-1, 1}, {1, 0}, {1, 1}} {
		points = append(points, sweep.Point{Equal: -1, X: &lab.Summary{Value: xy[0]}, Y: &lab.Summary{Value: xy[1]}})
	}
	c := &paretoChart{front: &sweep.Front{Points: points}}
	for scale, want := range map[scaleChoice]int{scaleAuto: 0, scaleLinear: 0, scaleLogX: 2, scaleLogY: 1, scaleLogLog: 3} {
		r := &runScreen{}
		if r.pareto.scale = scale; r.offAxis(c) != want {
			t.Errorf("scale %d: %d points have no place, expected %d", scale, r.offAxis(c), want)
		}
	}
}

// The legend says which intervals are drawn: all of few rows, of many those of the front.
func TestLegendOfIntervals(t *testing.T) {
	s := newScript(t, 200, 60, Options{}).openSweep().keys("Pyauc<enter>").expect("33 rows", "bars: intervals (i hides)")
	s.keys("i").expect("intervals hidden (i)")
	s.send(watchMsg{&session{id: sweepRun, board: lab.Fold(sweepLog(4, 4, 2))}})
	s.keys("Pyauc<enter>").expect("43 rows", "bars: intervals of the front and the cursor")
}

// pivotScript shows the heat map of bytes over two axes with these values.
func pivotScript(t *testing.T, values ...float64) *runScreen {
	begin := &lab.Begin{Run: "r", Scenario: "s", Rows: []string{"q"}, Columns: []string{"bytes"}}
	events := []lab.Event{{Kind: lab.KindBegin, Begin: begin}}
	for i, x := range values {
		id := string(rune('a' + i))
		begin.Cells = append(begin.Cells, lab.Cell{ID: id, Seed: 1, Params: []lab.Param{{Key: "down", Value: string(rune('a' + i/2))}, {Key: "across", Value: string(rune('x' + i%2))}}})
		events = append(events, lab.Event{Kind: lab.KindRow, Cell: id, Row: "q", Values: map[string]lab.Measure{"bytes": {Value: x}}})
	}
	s := newScript(t, 100, 30, Options{})
	s.send(watchMsg{&session{id: "r", board: lab.Fold(events)}})
	return s.keys("H").runScreen()
}

// Shades of a heat map go by the logarithm where its cells span a decade and are positive.
func TestShadesOverADecade(t *testing.T) {
	for _, c := range []struct {
		values []float64
		log    bool
	}{{[]float64{1, 2, 3, 9.9}, false}, {[]float64{1, 2, 3, 10}, true}, {[]float64{1, 1e3, 1e6, 1e9}, true}, {[]float64{0, 1, 3, 100}, false}, {[]float64{-1, 1, 3, 100}, false}} {
		r := pivotScript(t, c.values...)
		r.look(func(tb *table) {
			if p := r.pivotOf(tb); p.err != nil || p.log != c.log {
				t.Errorf("%v: by the logarithm %v, %v", c.values, p.log, p.err)
			}
		})
	}
}

// The best of several rows is shown where a metric has a better direction, else their mean.
func TestBestOfACell(t *testing.T) {
	r := pivotScript(t, 1, 2, 3, 4)
	r.pivot.aggregate = sweep.Best
	seen := map[sweep.Aggregate]bool{}
	for _, m := range lab.Metrics() {
		r.pivot.metric = m.Key
		r.look(func(tb *table) {
			q, err := r.question(tb)
			if seen[q.Aggregate] = true; err != nil || (q.Aggregate == sweep.Best) == (m.Better == lab.Neither) {
				t.Errorf("%s: %v, %v", m.Key, q.Aggregate, err)
			}
		})
	}
	if len(seen) != 2 {
		t.Errorf("seen are only %v", seen)
	}
}

// A group that is opened has the rows that are equal in all that is grouped by, the cursor on its
// first one.
func TestGroupIsOpened(t *testing.T) {
	s := newScript(t, 124, 40, Options{}).openSweep().keys("<end>")
	r := s.runScreen()
	r.by = []columnID{{sweep.Value, "ratio"}, {sweep.Value, "scheme"}}
	s.send(nil)
	groups := len(r.means.Groups)
	for i := range groups {
		r.groups.Row = i
		values := r.means.Groups[i].Values
		want := len(r.means.Groups[i].Rows)
		s.keys("<enter>")
		labels := s.rowLabels()
		if len(labels) != want || r.grid.Row != 0 {
			t.Errorf("group %q has %d rows, expected %d, the cursor on row %d", values, len(labels), want, r.grid.Row)
		}
		for _, label := range labels {
			for _, v := range values {
				if !strings.Contains(label, v) {
					t.Errorf("%q is in the group %q", label, values)
				}
			}
		}
		s.keys("<end><esc>")
	}
	if groups < 13 {
		t.Errorf("%d groups", groups)
	}
}

// Axes of a heat map that cannot be together are not kept.
func TestHeatMapOfOneAxisTwice(t *testing.T) {
	r := newScript(t, 124, 40, Options{}).openSweep().keys("H").runScreen()
	for _, chosen := range [][2]string{{"ratio", "ratio"}, {"ratio", ""}, {"gone", "ratio"}, {"loss", "scheme"}} {
		r.pivot.down, r.pivot.across = chosen[0], chosen[1]
		r.look(func(tb *table) {
			c := r.pivotOf(tb)
			if c.err != nil || c.asked.Down == c.asked.Across || chosen[0] == "loss" && [2]string{c.asked.Down, c.asked.Across} != chosen {
				t.Errorf("chosen %q: %s by %s, %v", chosen, c.asked.Down, c.asked.Across, c.err)
			}
		})
	}
}

// The front is that of what is measured now, whatever was drawn before.
func TestFrontOfARunThatGoesOn(t *testing.T) {
	log := sweepLog(2, 3, 2)
	board := lab.Fold(log[:len(log)/2])
	s := newScript(t, 124, 40, Options{})
	s.send(watchMsg{&session{id: sweepRun, board: board}})
	r := s.keys("P").runScreen()
	for _, e := range log[len(log)/2:] {
		board.Apply(e)
		if e.Kind != lab.KindRow {
			continue
		}
		r.look(func(tb *table) {
			x, y := r.paretoMetrics(tb)
			want, err := sweep.Of(tb.view).Front(nil, x, y)
			got := r.paretoOf(tb).front
			if err != nil || !reflect.DeepEqual(got.Points, want.Points) {
				t.Fatalf("at %g s the front is of\n%v\nexpected\n%v, %v", e.Time, got.Points, want.Points, err)
			}
		})
	}
}

// s sorts groups by the column under the cursor, again the other way round; another grouping is in
// its own order.
func TestGroupsAreSorted(t *testing.T) {
	s := newScript(t, 124, 40, Options{}).openSweep().keys(">g<enter>")
	r := s.runScreen()
	ratios := func() string {
		s.screen()
		var values []string
		for i := range r.means.Groups {
			values = append(values, r.means.Groups[i].Values[0])
		}
		return strings.Join(values, " ")
	}
	for n, want := range []string{"0.125 0.25 0.375 ", "0.125 0.25 0.375 ", "0.375 0.25 0.125 ", "0.125 0.25 0.375 "} {
		if got := ratios(); got != want {
			t.Errorf("sorted %d times: groups %q, expected %q", n, got, want)
		}
		s.keys("s")
	}
	if r.groupSorted == (columnID{}) {
		t.Fatal("the groups are not sorted")
	}
	s.keys("g<space><down><space><enter>")
	if got := fmt.Sprint(r.by); got == "[]" || r.groupSorted != (columnID{}) {
		t.Errorf("grouped anew by %s, sorted by %v", got, r.groupSorted)
	}
}

// The chooser proposes the axis under the cursor where nothing is grouped yet, and else what is.
func TestProposedGrouping(t *testing.T) {
	s := newScript(t, 124, 40, Options{}).openSweep().keys(">g").expect("▌[x] ratio", "[ ] scheme").keys("<enter>")
	r := s.runScreen()
	r.by = []columnID{{sweep.Value, "scheme"}}
	r.grid.Column = 1
	s.keys("g").expect("▌[x] scheme", "[ ] ratio")
}

// Under the groups stands what the mean under the cursor is of; best means are bold.
func TestMeanUnderTheCursor(t *testing.T) {
	rd := lipgloss.NewRenderer(io.Discard)
	rd.SetColorProfile(termenv.ANSI256)
	s := newScript(t, 160, 40, Options{}).openSweep()
	s.m.theme = themeNamed(rd, "dark", "", false)
	r := s.runScreen()
	r.by = []columnID{{sweep.Step, "step"}}
	s.send(nil)
	columns := report.GroupColumns(r.means)
	for m, metric := range r.means.Metrics {
		r.groups.Column = len(r.by) + 2 + m
		best := math.Inf(-1)
		for i := range r.means.Groups {
			best = max(best, worth(metric, r.means.Groups[i].Totals[m].Value))
		}
		for i := range r.means.Groups {
			one := &r.means.Groups[i]
			mean := one.Totals[m]
			r.groups.Row = i
			said, _ := r.explainGroup()
			if want := fmt.Sprintf("over %d of %s", mean.N, plural.Of(len(one.Rows), "row")); !strings.Contains(said, want) || strings.Contains(said, "not measured") || strings.Contains(said, "(low ") != (mean.N > 1) {
				t.Errorf("%s of %v: %q, expected %q in it", metric.Key, one.Values, said, want)
			}
			if bold := r.groupCell(columns, i, r.groups.Column).Paint == r.theme.bold; bold != (metric.Better != lab.Neither && worth(metric, mean.Value) == best) {
				t.Errorf("%s of %v, %v, is bold: %v", metric.Key, one.Values, mean.Value, bold)
			}
		}
	}
}

// worth is a value such that more is better.
func worth(m lab.Metric, x float64) float64 {
	if m.Better == lab.Lower {
		return -x
	}
	return x
}
