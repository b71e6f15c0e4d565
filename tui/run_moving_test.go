package tui

import (
	"strings"
	"testing"
	"time"

	"slimlab/lab"
)

// live is a script in which a run is live at the first n events of the fake log.
func liveScript(t *testing.T, width, height, n int) *script {
	return openScript(t, &fakeBench{live: n}, width, height, Options{Scenario: "figure1"}).keys("r<enter>")
}

// What a row reports while it runs leaves no wide columns behind: a run that was watched to its end
// has the columns of one that was opened.
func TestColumnsOfARunThatHasEnded(t *testing.T) {
	s := liveScript(t, 100, 30, 520)
	for _, e := range fakeLog("20261124-1204-figure1-e5", 3, 0)[s.bench.live:] {
		s.bench.board.Apply(e)
	}
	close(s.bench.done)
	s.send(endedMsg{s.m.live})
	opened := newScript(t, 100, 30, Options{}).keys("jjjj<enter>")
	if got, want := s.line("step "), opened.line("step "); got != want {
		t.Errorf("watched to its end:\n%s\nopened:\n%s", got, want)
	}
}

// A replay that stops of itself is drawn at once, and one that rests draws nothing.
func TestReplayDrawsWhenItStops(t *testing.T) {
	s := newScript(t, 100, 30, Options{Replay: newest, Speed: 1e6})
	for at := epoch; s.m.session.replay.playing; {
		at = at.Add(time.Second)
		if at.Sub(epoch) > time.Hour {
			t.Fatal("the replay does not end")
		}
		s.send(tickMsg(at))
	}
	s.expect("▶ replay ended")
	for range 2 {
		if s.m.tick(epoch); s.m.dirty {
			t.Error("a replay that has ended is drawn anew")
		}
	}
}

// A step in work says what it says itself, as long as it does.
func TestWhatAStepInWorkSays(t *testing.T) {
	for want, step := range map[string]lab.Event{
		"kd, loading the teacher": {Stage: "kd", Text: "loading the teacher"}, "kd": {Stage: "kd"}, "kd 3/9": {Stage: "kd", Step: 3, Total: 9}, "": {},
		"kd 3/9, big: status 429, attempt 2 of 6": {Stage: "kd", Step: 3, Total: 9, Text: "big: status 429, attempt 2 of 6"},
	} {
		before := lab.Event{Kind: lab.KindCell, Time: 4, Cell: "c", State: lab.Running, Stage: step.Stage, Text: "what was before"}
		step.Kind, step.Time, step.Cell, step.State = lab.KindCell, 5, "c", lab.Running
		begin := lab.Event{Kind: lab.KindBegin, Begin: &lab.Begin{Run: "r", Scenario: "s", Rows: []string{"kd"}, Cells: []lab.Cell{{ID: "c", Seed: 1}}}}
		s := newScript(t, 100, 30, Options{})
		s.send(watchMsg{&session{id: "r", board: lab.Fold([]lab.Event{begin, before, step})}})
		if line := strings.TrimSpace(s.line("● running")); !strings.HasSuffix(line, strings.TrimSpace("· "+want)) {
			t.Errorf("%q, expected %q at its end", line, want)
		}
	}
}

// A seed that has not reported yet is named by its place, from 1.
func TestSeedsOfADetail(t *testing.T) {
	s := liveScript(t, 120, 40, 520).keys("<home>j<enter>").expect("seed 1", "seed #2", "seed #3").expectNot("seed #1", "seed #0")
	newScript(t, 120, 40, Options{}).keys("jjjj<enter>j<enter>").expect("seed 1", "seed 2", "seed 3").expectNot("seed #")
	s.keys("<esc><end><enter>").expect("nothing measured yet")
}

// Every chart below the table fills its height, the axis in its last lines.
func TestChartsFillTheirHeight(t *testing.T) {
	for _, keys := range []string{"magainst<enter>", ">>>>>>M", "mloss<enter>"} {
		for height := 15; height < 45; height += 3 {
			s := newScript(t, 100, height, Options{}).keys("jjjj<enter>" + keys)
			r := s.runScreen()
			for h := 3; h < 30; h++ {
				r.look(func(tb *table) {
					if got := len(r.chartLines(tb, h, 100)); got != h {
						t.Fatalf("%q: %d lines, expected %d", keys, got, h)
					}
				})
			}
		}
	}
}

// Two metrics are never one: where bytes are upwards, another metric is across.
func TestParetoMetricsDiffer(t *testing.T) {
	s := newScript(t, 124, 40, Options{}).openSweep().keys("P")
	r := s.runScreen()
	for _, chosen := range []struct{ y, x string }{{"", "bytes"}, {"auc", "bytes"}, {"params", "bytes"}, {"bytes", "params"}} {
		r.pareto.y = chosen.y
		r.look(func(tb *table) {
			if x, y := r.paretoMetrics(tb); x.Key != chosen.x || x.Key == y.Key {
				t.Errorf("upwards %q: %s against %s, expected %s across", chosen.y, y.Key, x.Key, chosen.x)
			}
		})
	}
	s.keys("ybytes<enter>").expect("bytes ↓ (log) against params ↓ (log)")
}
