package tui

import (
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/sweep"
)

// Where the row under the cursor is no point of the chart, the cursor is on the first of the front.
func TestParetoCursorWithoutItsRow(t *testing.T) {
	r := newScript(t, 124, 40, Options{}).openSweep().keys("P").runScreen()
	for _, x := range []string{"bytes", "smaller"} { // the front begins at the first point, or is the last one
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
		points = append(points, sweep.Point{X: lab.Summary{Value: xy[0]}, Y: lab.Summary{Value: xy[1]}})
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
	r.pivot.best = true
	seen := map[bool]bool{}
	for _, m := range lab.Metrics() {
		r.pivot.metric = m.Key
		r.look(func(tb *table) {
			q, err := r.question(tb)
			if seen[q.Best] = true; err != nil || q.Best == (m.Better == lab.Neither) {
				t.Errorf("%s: best %v, %v", m.Key, q.Best, err)
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
