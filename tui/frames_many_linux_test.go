package tui

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"slimlab/lab"
)

// manyRuns is a workbench at 250x70 with 500 scenarios and 500 runs, of which each has 10^4 points.
func manyRuns(tb testing.TB) *script {
	f := &fakeBench{many: 500, log: func(run string) []lab.Event {
		log := withCurves(sweepLog(3, 4, 2), 10_000)
		log[0].Begin.Run = run
		return log
	}}
	return openScript(tb, f, 250, 70, Options{Scenario: "s000.yaml"})
}

// manyScreens are what is drawn of many runs, by the keys that lead there and the keys that then
// move the cursor to and fro.
var manyScreens = []struct{ name, keys, to, fro string }{
	{"bench", "1", "down", "up"}, {"bench-filtered", "1/scenario<enter>", "pgdown", "pgup"},
	{"compare", "3", "down", "up"}, {"compare-curves", "3T", "right", "left"},
	{"table", "2", "down", "up"}, {"detail", "2jjj<enter>", "right", "left"}, {"pivot", "2H", "down", "up"}, {"along", "2A", "right", "left"}, {"multiples", "2T", "down", "up"},
}

// openTen opens ten runs one after the other, and compares them.
func openTen(s *script) *script {
	var ids []string
	for i := range 10 {
		ids = append(ids, fmt.Sprintf("20261124-1130-many-%03d", i))
		s.run(s.m.openRun(ids[i], false))
	}
	s.run(s.m.compareRuns(ids, 0))
	return s
}

// BenchmarkFramesOfManyRuns draws frames after a key, of a bench of 500 scenarios and 500 runs and
// of ten runs that were opened and compared. p99-ms is of the drawing thread's time.
func BenchmarkFramesOfManyRuns(b *testing.B) {
	for _, screen := range manyScreens {
		b.Run(screen.name, func(b *testing.B) {
			s := openTen(manyRuns(b)).keys(screen.keys)
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			var took []time.Duration
			for b.Loop() {
				key := screen.to
				if len(took)%2 == 1 {
					key = screen.fro
				}
				began := threadTime(b)
				s.m.Update(namedKeys[key])
				s.m.View()
				took = append(took, threadTime(b)-began)
			}
			reportFrames(b, took)
		})
	}
	b.Run("opened", func(b *testing.B) { // the first frame of a run that was not on the screen
		s := openTen(manyRuns(b))
		var boards []*lab.Board
		for i := range 10 {
			boards = append(boards, lab.Fold(s.bench.log(fmt.Sprintf("20261124-1130-many-%03d", i))))
		}
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		var took []time.Duration
		for b.Loop() {
			board := boards[len(took)%len(boards)]
			began := threadTime(b)
			s.m.Update(watchMsg{&session{id: sweepRun, board: board}})
			s.m.View()
			took = append(took, threadTime(b)-began)
		}
		reportFrames(b, took)
	})
}

func reportFrames(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100])/1e6, "p99-ms")
	b.ReportMetric(float64(took[len(took)-1])/1e6, "most-ms")
}
