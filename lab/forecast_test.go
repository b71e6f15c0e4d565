package lab

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// played is a run of made-up steps: what each takes, and which worker does what, on a clock that
// the test reads.
type played struct {
	begin  *Begin
	takes  func(cell, row int) float64
	paced  bool // steps say how far they are, in tenths
	end    float64
	events []Event
}

// play writes the events of all cells on so many workers, in the order of time.
func play(begin *Begin, jobs int, paced bool, takes func(cell, row int) float64) *played {
	p := &played{begin: begin, takes: takes, paced: paced}
	free := make([]float64, jobs)
	forecast := NewForecast(begin)
	var events []Event
	for i, c := range begin.Cells {
		w := 0
		for j := range free {
			if free[j] < free[w] {
				w = j
			}
		}
		at := free[w]
		for r, name := range begin.Rows {
			text, seconds := "", takes(i, r)
			if forecast.rows[r].reused[i] {
				text, seconds = FromCache, 0.01
			}
			events = append(events, Event{Kind: KindCell, Time: at, Cell: c.ID, State: Running, Stage: name, Text: text})
			for tenth := 1; paced && text == "" && tenth <= 10; tenth++ {
				events = append(events, Event{Kind: KindCell, Time: min(at+seconds, at+seconds*float64(tenth)/10), Cell: c.ID, State: Running, Stage: name, Step: tenth, Total: 10})
			}
			at += seconds
		}
		events = append(events, Event{Kind: KindCell, Time: at, Cell: c.ID, State: Done})
		free[w] = at
		p.end = max(p.end, at)
	}
	order := make([]Event, 0, len(events))
	for len(order) < len(events) { // a stable sort by time keeps each cell's order
		first := -1
		for i := range events {
			if events[i].Kind != 0 && (first < 0 || events[i].Time < events[first].Time) {
				first = i
			}
		}
		order = append(order, events[first])
		events[first].Kind = 0
	}
	p.events = append([]Event{{Kind: KindBegin, Begin: begin}}, order...)
	return p
}

// at is the forecast at a time.
func (p *played) at(now float64, earlier Earlier) Left {
	b := NewBoard()
	for _, e := range p.events {
		if e.Time <= now {
			b.Apply(e)
		}
	}
	var left Left
	b.Read(func(v *View) { left = NewForecast(p.begin).Left(v, now, earlier) })
	return left
}

// sweepOf is a plan of so many points of one axis, each with the rows base, which does not depend
// on it, and student, which does.
func sweepOf(points int) *Begin {
	b := &Begin{Run: "r", Rows: []string{"base", "student"}, Depends: [][]string{{}, {"ratio"}}}
	for i := range points {
		b.Cells = append(b.Cells, Cell{ID: fmt.Sprintf("ratio=%d", i), Params: []Param{{"ratio", fmt.Sprint(i)}}, Seed: 1})
	}
	return b
}

func equal(seconds float64) func(cell, row int) float64 {
	return func(int, int) float64 { return seconds }
}

// TestForecast: each line is what a run says at a time of its clock, against what it had left.
func TestForecast(t *testing.T) {
	restarted := sweepOf(8)
	for i := range 4 {
		restarted.Cells[i].Reuses = []string{"base", "student"}
	}
	longer := func(cell, row int) float64 {
		if cell == 2 && row == 1 {
			return 100
		}
		return 10
	}
	for _, c := range []struct {
		what    string
		run     *played
		now     float64
		earlier StepTimes
		want    float64
		atLeast bool
	}{
		{"nothing is known", play(sweepOf(8), 1, false, equal(10)), 0, nil, 0, true},
		{"an earlier run is known", play(sweepOf(8), 1, false, equal(10)), 0, StepTimes{"base": 10, "student": 10}, 90, false},
		{"only another row is known", play(sweepOf(8), 1, false, equal(10)), 12, nil, 78, true},
		{"a pace, and no like: its measurements are not known", play(sweepOf(1), 1, true, equal(10)), 5, StepTimes{"student": 10}, 15, true},
		{"the first cell is done", play(sweepOf(8), 1, false, equal(10)), 25, nil, 65, false},
		{"all but one are done", play(sweepOf(8), 1, false, equal(10)), 85, nil, 5, false},
		{"two workers", play(sweepOf(9), 2, false, equal(10)), 31, nil, 19, false},
		{"a restart: what the cache gave says nothing of what it lacks", play(restarted, 1, false, equal(10)), 1, nil, 0, true},
		{"a restart, and one cell", play(restarted, 1, false, equal(10)), 12, nil, 28, false},
		{"a restart beside an earlier run", play(restarted, 1, false, equal(10)), 1, StepTimes{"base": 10, "student": 10}, 39, false},
		{"a cell that is longer", play(sweepOf(4), 1, false, longer), 60, nil, 10, true},
		{"a cell that is longer, and says its pace", play(sweepOf(4), 1, true, longer), 80, nil, 60, false},
		{"after a cell that was longer", play(sweepOf(4), 1, true, longer), 132, nil, 20, false},
		{"the end", play(sweepOf(4), 1, true, equal(10)), 50, nil, 0, false},
	} {
		got := c.run.at(c.now, Earlier{Runs: 3, Steps: c.earlier})
		if math.Abs(got.Seconds-c.want) > 2 || got.AtLeast != c.atLeast {
			t.Errorf("%s: at %g of %g s %.1f s left, at least: %t; expected %g, %t", c.what, c.now, c.run.end, got.Seconds, got.AtLeast, c.want, c.atLeast)
		}
	}
}

// TestForecastByPaceIsNoGuess: a step that says how far it is, where nothing else is known, bounds
// what is left.
func TestForecastByPaceIsNoGuess(t *testing.T) {
	p := play(sweepOf(1), 1, true, func(_, row int) float64 { return []float64{10, 40}[row] })
	if got := p.at(5, Earlier{}); got.Seconds < 4 || !got.AtLeast || got.Guessed {
		t.Errorf("%+v, expected a bound of 5 s", got)
	}
	if got := p.at(30, Earlier{}); got.Seconds < 19 || !got.AtLeast || got.Guessed {
		t.Errorf("%+v, expected a bound of 20 s by its own pace", got)
	}
}

// TestForecastOfLikeSettings: a step is compared with those of the most equal settings.
func TestForecastOfLikeSettings(t *testing.T) {
	b := &Begin{Run: "r", Rows: []string{"student"}, Depends: [][]string{{"loss", "ratio"}}}
	for _, loss := range []string{"fast", "slow"} {
		for ratio := range 4 {
			b.Cells = append(b.Cells, Cell{ID: fmt.Sprint(loss, ratio), Params: []Param{{"loss", loss}, {"ratio", fmt.Sprint(ratio)}}, Seed: 1})
		}
	}
	p := play(b, 1, false, func(cell, _ int) float64 { return []float64{1, 1, 1, 1, 20, 20, 20, 20}[cell] })
	// one slow cell is done: those that are left are slow, as are two of the four that are like
	// them
	if got := p.at(24, Earlier{}); got.Seconds < 55 || got.Seconds > 65 || got.AtLeast {
		t.Errorf("%+v left, expected about a minute", got)
	}
}

// TestForecastIsNeverNegativeAndConverges: at any time of any run an estimate is a number of at
// least 0, nearly right once every step has a like, and 0 at the end.
func TestForecastIsNeverNegativeAndConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points, jobs := rapid.IntRange(2, 12).Draw(t, "points"), rapid.IntRange(1, 4).Draw(t, "jobs")
		p := play(sweepOf(points), jobs, rapid.Bool().Draw(t, "paced"), equal(rapid.Float64Range(2, 1000).Draw(t, "seconds")))
		now := p.end * rapid.Float64Range(0, 1).Draw(t, "part")
		got := p.at(now, Earlier{})
		if !(got.Seconds >= 0) || math.IsInf(got.Seconds, 0) {
			t.Fatalf("at %g of %g: %+v", now, p.end, got)
		}
		if wrong := math.Abs(got.Seconds - (p.end - now)); !got.AtLeast && wrong > 0.02+p.end*0.01 {
			t.Fatalf("at %g of %g with %d workers: %+v, %g wrong", now, p.end, jobs, got, wrong)
		}
		if got := p.at(p.end, Earlier{}); got.Seconds > 0.1 || got.AtLeast {
			t.Fatalf("at the end: %+v", got)
		}
	})
}

// TestForecastOfAnyLog: no events in any order make an estimate that is no number.
func TestForecastOfAnyLog(t *testing.T) {
	events := append(story(), Event{Kind: KindCell, Cell: "loss=fkl seed=1", State: Running, Stage: "student", Time: math.Inf(1)},
		Event{Kind: KindCell, Cell: "loss=rkl seed=1", State: Running, Stage: "FM", Step: -3, Total: -1, Time: -1e300})
	rapid.Check(t, func(t *rapid.T) {
		b := Fold(rapid.SliceOf(rapid.SampledFrom(events)).Draw(t, "log"))
		now := rapid.Float64().Draw(t, "now")
		b.Read(func(v *View) {
			if got := NewForecast(&v.Begin).Left(v, now, Earlier{Runs: 1, Steps: StepTimes{"student": rapid.Float64().Draw(t, "earlier")}}); !(got.Seconds >= 0 && got.Seconds <= math.MaxFloat32) {
				t.Fatalf("%+v", got)
			}
		})
	})
}

// BenchmarkForecast is an estimate of a sweep of 10,000 rows of which half are measured.
func BenchmarkForecast(b *testing.B) {
	begin := sweptBegin(10_000)
	board := Fold([]Event{{Kind: KindBegin, Begin: begin}})
	for i, c := range begin.Cells[:500] {
		for j, row := range begin.Rows {
			board.Apply(Event{Kind: KindCell, Time: float64(10*i + j), Cell: c.ID, State: Running, Stage: row})
		}
		board.Apply(Event{Kind: KindCell, Time: float64(10*i + 10), Cell: c.ID, State: Done})
	}
	f := NewForecast(begin)
	for b.Loop() {
		board.Read(func(v *View) { f.Left(v, 5000, Earlier{}) })
	}
}

// TestEarlierRunsAreCounted: times are means over the runs that have the step; an estimate says how
// many runs it rests on, and stops when this run has seen all steps itself.
func TestEarlierRunsAreCounted(t *testing.T) {
	var earlier Earlier
	for _, seconds := range []float64{10, 20, 30} {
		earlier.Add(Fold(play(sweepOf(2), 2, false, func(int, int) float64 { return seconds }).events).Snapshot())
	}
	if earlier.Runs != 3 || earlier.Workers != 2 || earlier.Steps["base"] != 20 || earlier.Steps["student"] != 20 {
		t.Errorf("%+v", earlier)
	}
	earlier.Add(Fold(play(sweepOf(2), 2, false, func(int, int) float64 { return 1 }).events[:1]).Snapshot())
	if earlier.Runs != 3 {
		t.Error("a run that made nothing counts")
	}
	run := play(sweepOf(4), 1, false, func(int, int) float64 { return 20 })
	for now, want := range map[float64]int{1: 3, 25: 3, 45: 0} {
		if got := run.at(now, earlier); got.Earlier != want || got.AtLeast {
			t.Errorf("at %g s: %+v, expected %d earlier runs", now, got, want)
		}
	}
	waiting := Fold([]Event{{Kind: KindBegin, Begin: sweepOf(4)}}).Snapshot()
	one, two := earlier, earlier
	one.Workers, two.Workers = 1, 2
	if a, b := NewForecast(&waiting.Begin).Left(waiting, 0, one), NewForecast(&waiting.Begin).Left(waiting, 0, two); !(b.Seconds < a.Seconds) || a.Earlier != 3 {
		t.Errorf("one worker %+v, two %+v", a, b)
	}
}

// TestForecastOfUnlikeSteps: in a run of one cell no step has a like. From the first that has
// finished on, the others are guessed to need what the quickest took, and the one that is worked on
// what the next quickest took that it has not passed.
func TestForecastOfUnlikeSteps(t *testing.T) {
	begin := &Begin{Rows: []string{"FM", "small", "pruned", "quantized"}, Cells: []Cell{{ID: "seed=1", Seed: 1}}}
	takes := []float64{10, 100, 40, 200}
	p := play(begin, 1, false, func(_, row int) float64 { return takes[row] })
	for _, c := range []struct {
		now  float64
		want Left
	}{
		{5, Left{AtLeast: true}},
		// 4 s of small
		{14, Left{Seconds: 6 + 10 + 10, AtLeast: true, Guessed: true}},
		// 50 s of small, FM took less
		{60, Left{Seconds: 10 + 10, AtLeast: true, Guessed: true, Longer: true}},
		// 5 s of pruned
		{115, Left{Seconds: 5 + 10, AtLeast: true, Guessed: true}},
		// 20 s of pruned, small took 100
		{130, Left{Seconds: 80 + 10, AtLeast: true, Guessed: true}},
		// 20 s of quantized
		{150 + 20, Left{Seconds: 20, AtLeast: true, Guessed: true}},
		// small took 100
		{150 + 60, Left{Seconds: 40, AtLeast: true, Guessed: true}},
		// longer than any
		{150 + 150, Left{Seconds: 0, AtLeast: true, Longer: true}},
	} {
		if got := p.at(c.now, Earlier{}); math.Abs(got.Seconds-c.want.Seconds) > 1e-9 || got.AtLeast != c.want.AtLeast || got.Guessed != c.want.Guessed || got.Longer != c.want.Longer {
			t.Errorf("after %g s: %+v, expected %+v", c.now, got, c.want)
		}
	}
}

// TestForecastOfFarShorterSteps: a training of minutes says nothing of a quantization that has
// taken seconds, though it is the only step that took longer.
func TestForecastOfFarShorterSteps(t *testing.T) {
	begin := &Begin{Rows: []string{"loaded", "trained", "quantized"}, Cells: []Cell{{ID: "seed=1", Seed: 1}}}
	takes := []float64{2, 700, 200}
	p := play(begin, 1, false, func(_, row int) float64 { return takes[row] })
	for now, want := range map[float64]Left{
		703: {Seconds: 1, AtLeast: true, Guessed: true}, // of loaded
		730: {AtLeast: true, Longer: true},
		802: {Seconds: 600, AtLeast: true, Guessed: true}, // of trained
	} {
		if got := p.at(now, Earlier{}); math.Abs(got.Seconds-want.Seconds) > 1e-9 || got.Guessed != want.Guessed || got.Longer != want.Longer {
			t.Errorf("after %g s: %+v, expected %+v", now, got, want)
		}
	}
}

// TestResumedStepIsForecast: a step that goes on at 2,245 of 8,000 needs what its own steps say,
// not what it would with those that an earlier run had done.
func TestResumedStepIsForecast(t *testing.T) {
	begin := &Begin{Run: "r", Rows: []string{"student"}, Cells: []Cell{{ID: "c", Seed: 1}}}
	p := &played{begin: begin, events: []Event{{Kind: KindBegin, Begin: begin}}}
	for i, step := range []int{0, 2246, 2256, 2266} {
		p.events = append(p.events, Event{Kind: KindCell, Time: float64(i) * 5, Cell: "c", State: Running, Stage: "student", Step: step, Total: 8000})
	}
	if left := p.at(5, Earlier{}); left.Seconds != 0 || !left.AtLeast {
		t.Errorf("after its first step: found %+v, expected that nothing is known", left)
	}
	if left := p.at(15, Earlier{}); math.Abs(left.Seconds-5734*0.5) > 1 || left.Guessed {
		t.Errorf("after three: found %+v, expected %g s", left, 5734*0.5)
	}
}
