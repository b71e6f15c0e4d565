package tui

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"slimlab/lab"
)

// liveSweep is the log of a sweep without its end: the run is live.
func liveSweep(ratios, schemes, losses int) []lab.Event {
	log := sweepLog(ratios, schemes, losses)
	return log[:len(log)-1]
}

// withCurves adds n points to the curves of the first 48 cells of a sweep, behind its begin event.
func withCurves(log []lab.Event, n int) []lab.Event {
	cells := log[0].Begin.Cells
	cells = cells[:min(48, len(cells))]
	var points []lab.Event
	for step := range n / len(cells) {
		for _, c := range cells {
			points = append(points, lab.Event{Kind: lab.KindPoint, Cell: c.ID, Name: "quantized.loss", Step: step + 2, Value: float64(step*7919%1000) / 1000})
		}
	}
	return slices.Concat(log[:1], points, log[1:])
}

// withSamples adds n samples to each cell of a log, behind its begin event.
func withSamples(log []lab.Event, n int) []lab.Event {
	var samples []lab.Event
	for i := range n {
		for _, c := range log[0].Begin.Cells {
			samples = append(samples, lab.Event{Kind: lab.KindSample, Time: float64(i) / 1000, Cell: c.ID, Stage: "distilled", Step: i, Sample: fakeSample(i, i%4)})
		}
	}
	return slices.Concat(log[:1], samples, log[1:])
}

// frameRuns are the runs whose frames are timed.
var frameRuns = []struct {
	name          string
	width, height int
	log           func() []lab.Event
}{
	{"1e5-points-250x70", 250, 70, func() []lab.Event { return withSamples(withCurves(liveSweep(6, 4, 2), 100_000), 240) }},
	{"1e4-rows-200x60", 200, 60, func() []lab.Event { return withSamples(liveSweep(25, 10, 10), 16) }},
}

// frameViews are what a run is looked at with, by the keys that lead there.
var frameViews = []struct{ name, keys string }{
	{"table", ""}, {"chart", "m"}, {"multiples", "T"}, {"pareto", "P"}, {"pivot", "H"}, {"along", "A"},
	{"groups", "g<space><enter>"}, {"detail", "<enter>"}, {"stages", "Ts"}, {"samples", "S"},
}

// BenchmarkFrames draws frames of a live run: while only the cursor moves, while curves grow, while
// rows arrive, and while samples do. p99-ms is of the frames' wall time.
func BenchmarkFrames(b *testing.B) {
	for _, run := range frameRuns {
		for _, view := range frameViews {
			for _, change := range []string{"cursor", "points", "rows", "samples"} {
				b.Run(fmt.Sprintf("%s/%s/%s", run.name, view.name, change), func(b *testing.B) {
					s := newScript(b, run.width, run.height, Options{})
					board := lab.Fold(run.log())
					s.send(watchMsg{&session{id: sweepRun, board: board}})
					keys := view.keys
					if view.name == "chart" {
						keys = "mAUC exp.<enter>"
					}
					s.keys("a" + keys)
					var cells []lab.Cell
					board.Read(func(v *lab.View) { cells = v.Begin.Cells })
					runtime.LockOSThread()
					defer runtime.UnlockOSThread()
					var took []time.Duration
					n := 0
					b.ReportAllocs()
					for b.Loop() {
						cell := cells[n%len(cells)].ID
						switch change {
						case "points":
							board.Apply(lab.Event{Kind: lab.KindPoint, Cell: cells[n%4].ID, Name: "quantized.loss", Step: 10_000 + n, Value: 1})
						case "samples":
							board.Apply(lab.Event{Kind: lab.KindSample, Time: 1, Cell: cell, Stage: "distilled", Step: n, Sample: fakeSample(n, n%4)})
						case "rows":
							board.Apply(lab.Event{Kind: lab.KindRow, Cell: cell, Row: "quantized", Values: map[string]lab.Measure{"auc_soft": {Value: 0.7 + 1e-7*float64(n)}}})
						}
						began := threadTime(b)
						if n%2 == 0 {
							s.m.Update(namedKeys["down"])
						} else {
							s.m.Update(namedKeys["up"])
						}
						s.m.View()
						took = append(took, threadTime(b)-began)
						n++
					}
					slices.Sort(took)
					b.ReportMetric(float64(took[len(took)*99/100])/1e6, "p99-ms")
				})
			}
		}
	}
}

// threadTime is the processor time of this thread, which other work on the machine does not change.
func threadTime(tb testing.TB) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(t.Nano())
}

// TestFramesDoNotGrowWithTheRows: a frame after a key, of 10⁴ rows, makes what is seen alone.
func TestFramesDoNotGrowWithTheRows(t *testing.T) {
	board := lab.Fold(withSamples(liveSweep(25, 10, 10), 16))
	for _, view := range frameViews {
		s := newScript(t, 200, 60, Options{})
		s.send(watchMsg{&session{id: sweepRun, board: board}})
		s.keys("a" + strings.Replace(view.keys, "m", "mAUC exp.<enter>", 1))
		down := true
		allocations := testing.AllocsPerRun(10, func() {
			key := "up"
			if down {
				key = "down"
			}
			down = !down
			s.m.Update(namedKeys[key])
			s.m.View()
		})
		if allocations > 5000 {
			t.Errorf("%s: %.0f allocations, expected at most 5000", view.name, allocations)
		}
	}
}
