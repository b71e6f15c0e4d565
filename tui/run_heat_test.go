package tui

import (
	"strings"
	"testing"

	"slimlab/lab"
	"slimlab/lab/sweep"
)

// Shades go from the worst cell, which has the most ink, to the best, of which the legend names the
// values; cells that are all equal are all the best.
func TestShadesGoFromWorstToBest(t *testing.T) {
	for _, c := range []struct {
		better      lab.Direction
		worst, best float64
		words       [2]string
		ink         [2]string // of the worst and of the best
	}{
		{lab.Higher, 2, 4, [2]string{"worst 2", "4 best   more ink is worse"}, [2]string{"█", " "}}, {lab.Lower, 4, 2, [2]string{"worst 4", "2 best   more ink is worse"}, [2]string{"█", " "}},
		{lab.Neither, 2, 4, [2]string{"lowest 2", "4 highest   more ink is higher"}, [2]string{" ", "█"}},
	} {
		q := sweep.Question{Metric: lab.Metric{Key: "k", Better: c.better}}
		p := &pivotChart{asked: q, pivot: &sweep.Pivot{Question: q, Low: 2, High: 4}}
		if w, m, b := p.goodness(c.worst), p.goodness(3), p.goodness(c.best); w != 0 || m != 0.5 || b != 1 {
			t.Errorf("%s is better: the worst has %v, the mean %v, the best %v", c.better, w, m, b)
		}
		r := &runScreen{workbench: &workbench{theme: plainTheme(false)}}
		legend := strings.NewReplacer(".000", "", ".00", "", ".0", "").Replace(r.heatLegend(p))
		if !strings.HasPrefix(legend, c.words[0]+" ") || !strings.HasSuffix(legend, " "+c.words[1]) {
			t.Errorf("%s is better: the legend is %q", c.better, legend)
		}
		for i, x := range []float64{c.worst, c.best} {
			if ink := r.shade(p.goodness(x), c.better); ink != c.ink[i] {
				t.Errorf("%s is better: %v is drawn %q, expected %q", c.better, x, ink, c.ink[i])
			}
		}
		if p.pivot.High = 2; p.goodness(2) != 1 {
			t.Errorf("%s is better: a cell among equal ones has %v", c.better, p.goodness(2))
		}
	}
}

// The cells that are seen are as many as fit, the cursor's among them.
func TestWindowOfCells(t *testing.T) {
	for n := 1; n < 12; n++ {
		for room := 1; room < 14; room++ {
			for at := range n {
				if from, to := window(at, room, n); from < 0 || at < from || at >= to || to > n || to-from != min(room, n) {
					t.Errorf("of %d cells, %d fit, the cursor on %d: %d to %d", n, room, at, from, to)
				}
			}
		}
	}
}

// A click takes the cell that it is on, wherever the window of cells begins.
func TestClickOnACellOfAWindow(t *testing.T) {
	for column := range 6 {
		r := &runScreen{workbench: &workbench{}}
		r.cellsTakeMouse(region{}, 7, 2, 3)
		r.regions[0].click(7*column+6, 1)
		if r.pivot.row != 3 || r.pivot.column != 3+column {
			t.Errorf("column %d of a window from row 2 and column 3: row %d, column %d", column, r.pivot.row, r.pivot.column)
		}
	}
}

// Rows of a cell are listed, or counted among those that are not; rows without the metric are
// counted in the line below.
func TestRowsOfACell(t *testing.T) {
	log := sweepLog(2, 2, 8)
	for skip := range 3 { // rows of the first cell that are not measured
		var events []lab.Event
		left := skip
		for _, e := range log {
			if e.Kind == lab.KindRow && e.Row == "quantized" && left > 0 {
				left--
				continue
			}
			events = append(events, e)
		}
		s := newScript(t, 124, 40, Options{})
		s.send(watchMsg{&session{id: sweepRun, board: lab.Fold(events)}})
		r := s.keys("H").runScreen()
		r.pivot.down, r.pivot.across, r.pivot.step, r.pivot.chosen = "ratio", "scheme", "quantized", true
		r.look(func(tb *table) {
			c := r.pivotOf(tb)
			if n := len(c.pivot.Cells[0][0].Rows); n != 8 {
				t.Fatalf("the cell has %d rows", n)
			}
			for height := 5; height < 14; height++ {
				lines := r.cellRows(tb, c, 124, height)
				named, more := strings.Count(strings.Join(lines, "\n"), "quantized"), 0
				if last := lines[len(lines)-1]; strings.Contains(last, "more (enter)") {
					more = int(strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(last), "… and "))[0] - '0')
				}
				if len(lines) > height || named+more != 8 || more == 1 {
					t.Errorf("%d lines for %d: %d rows are named, %d counted", len(lines), height, named, more)
				}
			}
			said := r.underPivot(tb, c, 200)
			if want := []string{"mean", "· 1 not measured", "· 2 not measured"}[skip]; !strings.Contains(said, want) || strings.Contains(said, "not measured") != (skip > 0) {
				t.Errorf("%d rows are not measured: %q", skip, said)
			}
		})
	}
}

// Under the front stands of each point whether it is on it, dominated, or overlaps what is better.
func TestPointUnderTheCursor(t *testing.T) {
	r := newScript(t, 124, 40, Options{}).openSweep().keys("Pyauc<enter>").runScreen()
	seen := map[string]int{}
	r.look(func(tb *table) {
		c := r.paretoOf(tb)
		for i := range c.front.Points {
			p := &c.front.Points[i]
			want := "dominated by "
			switch {
			case p.Best:
				want = "on the front"
			case p.Unsure:
				want = "overlaps: "
			}
			seen[want]++
			r.row = tb.sweep.Rows[p.Row].Index
			if said := r.underPareto(tb, c, 200); !strings.Contains(said, "· "+want) || !p.Best && !strings.Contains(said, label(tb, &tb.sweep.Rows[c.front.Points[p.By].Row])) {
				t.Errorf("%+v: %q, expected %q in it", p, said, want)
			}
		}
	})
	if len(seen) != 3 {
		t.Errorf("seen are only %v", seen)
	}
}
