package lab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"slimlab/internal/golden"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// story is a run of one sweep axis with two seeds in which most things happen.
func story() []Event {
	begin := &Begin{Run: "r1", Scenario: "tiny", Rows: []string{"FM", "student"}, Columns: []string{"auc"}}
	for _, loss := range []string{"fkl", "rkl"} {
		for seed := 1; seed <= 2; seed++ {
			begin.Cells = append(begin.Cells, Cell{ID: fmt.Sprintf("loss=%s seed=%d", loss, seed), Params: []Param{{"loss", loss}}, Seed: seed})
		}
	}
	a, b, c := begin.Cells[0].ID, begin.Cells[1].ID, begin.Cells[2].ID
	auc := func(x float64) map[string]Measure { return map[string]Measure{"auc": {Value: x, N: 100}} }
	return []Event{
		{Kind: KindBegin, Begin: begin},
		{Kind: KindCell, Time: 1, Cell: a, State: Running, Stage: "FM"},
		{Kind: KindRow, Time: 2, Cell: a, Row: "FM", Values: map[string]Measure{"auc": {Value: 0.75, Low: 0.7, High: 0.8, N: 100}, "ttft_cold_p50": {Value: 0.02}},
			Influence: map[string]Influence{"auc": NewInfluence("t", "members", []float64{0.1, -0.1}), "ttft_cold_p50": {Units: 7}}},
		{Kind: KindCell, Time: 2, Cell: a, State: Running, Stage: "student", Total: 3},
		{Kind: KindPoint, Time: 2.1, Cell: a, Name: "student/loss", Step: 1, Value: 2},
		{Kind: KindPoint, Time: 2.2, Cell: a, Name: "student/loss", Step: 2, Value: math.NaN()},
		{Kind: KindPoint, Time: 2.3, Cell: a, Name: "student/loss", Step: 3, Value: 1},
		{Kind: KindPoint, Time: 2.4, Cell: a, Name: "student/loss", Step: 2, Value: 9},
		{Kind: KindSample, Time: 2.4, Cell: a, Stage: "student", Step: 3, Sample: &Sample{Prompt: "1+1=", Answer: "2", Tokens: 2, Ended: true, By: ByStudent}},
		{Kind: KindSample, Time: 2.4, Cell: a, Stage: "student", Step: 3},
		{Kind: KindCell, Time: 2.5, Cell: a, State: Running, Stage: "student", Step: 3, Total: 3, Text: "from the cache"},
		{Kind: KindRow, Time: 3, Cell: a, Row: "student", Values: auc(0.70)},
		{Kind: KindCell, Time: 3, Cell: a, State: Done},
		{Kind: KindCell, Time: 3, Cell: b, State: Running, Stage: "FM"},
		{Kind: KindRow, Time: 4, Cell: b, Row: "FM", Values: map[string]Measure{"auc": {Value: 0.77}, "ttft_cold_p50": {Value: 0.04}}},
		{Kind: KindCell, Time: 5, Cell: b, State: Failed, Stage: "student", Text: "loss is NaN at step 57"},
		{Kind: KindNote, Time: 5, Level: Error, Cell: b, Text: "loss is NaN at step 57"},
		{Kind: KindPoint, Time: 5, Cell: "who?", Name: "x"},
		{Kind: KindPoint, Time: 5, Cell: "who?", Name: "x"},
		{Kind: KindRow, Time: 5, Cell: a, Row: "nobody", Values: auc(1)},
		{Kind: KindCell, Time: 6, Cell: c, State: Running, Stage: "FM", Step: 1, Total: 10},
		{Kind: KindVerdict, Time: 6, Name: "auc > 1", Held: false, Text: "got 0.76"},
		{Kind: KindEnd, Time: 7, State: Stopped, Text: "interrupted"},
		{Kind: 99, Time: 8},
	}
}

func TestGolden(t *testing.T) {
	golden.Equal(t, "story.txt", Fold(story()).Snapshot().String())
}

// The events of any log, in any order, with any repetition and omission, fold without a panic, the
// same way each time, whether applied to the end or looked at on the way.
func TestApplyIsTotalAndDeterministic(t *testing.T) {
	events := story()
	rapid.Check(t, func(t *rapid.T) {
		log := rapid.SliceOf(rapid.SampledFrom(events)).Draw(t, "log")
		cut := rapid.IntRange(0, len(log)).Draw(t, "cut")
		grown := Fold(log[:cut])
		before := grown.Snapshot()
		text := before.String()
		for _, e := range log[cut:] {
			grown.Apply(e)
		}
		if got, want := grown.Snapshot().String(), Fold(log).Snapshot().String(); got != want {
			t.Fatalf("incremental:\n%s\nat once:\n%s", got, want)
		}
		if before.String() != text {
			t.Fatalf("a snapshot changed under later events")
		}
		if int(grown.Version()) != len(log) {
			t.Fatalf("version %d after %d events", grown.Version(), len(log))
		}
	})
}

// Cells may report in any order: the table is the same.
func TestRowsDoNotDependOnOrderOfSeeds(t *testing.T) {
	begin := Event{Kind: KindBegin, Begin: &Begin{Rows: []string{"m"}, Cells: []Cell{{ID: "a", Seed: 1}, {ID: "b", Seed: 2}, {ID: "c", Seed: 3}}}}
	var rows []Event
	for i, id := range []string{"a", "b", "c"} {
		rows = append(rows, Event{Kind: KindRow, Cell: id, Row: "m", Values: map[string]Measure{"auc": {Value: 0.1 * float64(i+1)}, "ttft_cold_p50": {Value: float64(i * i)}}})
	}
	want := Fold(append([]Event{begin}, rows...)).Snapshot().Rows[0]
	rapid.Check(t, func(t *rapid.T) {
		got := Fold(append([]Event{begin}, rapid.Permutation(rows).Draw(t, "rows")...)).Snapshot().Rows[0]
		if fmt.Sprintf("%+v", got.Values) != fmt.Sprintf("%+v", want.Values) {
			t.Fatalf("got %+v, want %+v", got.Values, want.Values)
		}
	})
	// t(0.975, 2) = 4.302653; the standard error of 0.1, 0.2, 0.3 is 0.1/√3.
	auc := want.Values["auc"]
	if half := auc.High - auc.Value; math.Abs(auc.Value-0.2) > 1e-15 || math.Abs(half-4.302653*0.1/math.Sqrt(3)) > 1e-6 {
		t.Errorf("auc %v ± %v", auc.Value, half)
	}
	if s := want.Values["ttft_cold_p50"]; s.Value != 1 || s.Low != 0 || s.High != 4 {
		t.Errorf("timing: %+v, want the median 1 of the range [0, 4]", s)
	}
}

// Seeds that agree do not make a small test sample certain.
func TestIntervalOfTheSample(t *testing.T) {
	s := Summary{Of: 2, Seeds: []SeedMeasure{{1, Measure{Value: 0.80, Low: 0.78, High: 0.82}, nil}, {2, Measure{Value: 0.80, Low: 0.76, High: 0.84}, nil}}}
	s.fold(false)
	if s.Value != 0.80 || math.Abs(s.Low-0.77) > 1e-12 || math.Abs(s.High-0.83) > 1e-12 || len(s.Warnings) != 0 {
		t.Errorf("%+v", s)
	}
	// Where the seeds differ too, the squares of both half-widths add: t(0.975, 1) = 12.706205, the
	// standard error of 0.80 and 0.90 is 0.05, and the mean of the samples' bounds is 0.77 and
	// 0.83.
	s.Seeds[1].Value, s.Warnings = 0.90, nil
	s.fold(false)
	seeds := 12.706205 * 0.05
	if math.Abs(s.Value-s.Low-math.Hypot(seeds, 0.85-0.77)) > 1e-6 || math.Abs(s.High-s.Value-seeds) > 1e-6 || s.Warnings[0] != "n=2 seeds" {
		t.Errorf("%+v", s)
	}
}

// A spike survives decimation, wherever it is, and so does the count of what is not finite.
func TestSeriesKeepsSpikes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 20*maxBuckets).Draw(t, "points")
		up, down, broken := rapid.IntRange(0, n-1).Draw(t, "up"), rapid.IntRange(0, n-1).Draw(t, "down"), rapid.IntRange(0, n-1).Draw(t, "broken")
		value := func(i int) float64 {
			switch i {
			case broken:
				return math.Inf(1)
			case up:
				return 1000
			case down:
				return -1000
			}
			return math.Sin(float64(i))
		}
		var s Series
		low, high := math.Inf(1), math.Inf(-1)
		for i := range n {
			if !s.add(Point{i, value(i)}) {
				t.Fatal("point refused")
			}
			if i != broken {
				low, high = min(low, value(i)), max(high, value(i))
			}
		}
		gotLow, gotHigh, ok := s.Bounds()
		if ok != (n > 1) || ok && (gotLow != low || gotHigh != high) {
			t.Fatalf("bounds %v %v, want %v %v", gotLow, gotHigh, low, high)
		}
		points, nan := s.Points(), 0
		if len(points) > 3*maxBuckets || s.Count != n || s.NotFinite != 1 {
			t.Fatalf("%d points, count %d, not finite %d", len(points), s.Count, s.NotFinite)
		}
		for i, p := range points {
			if i > 0 && p.Step < points[i-1].Step {
				t.Fatalf("steps go back at %d", i)
			}
			if math.IsNaN(p.Value) {
				nan++
			} else if p.Value != value(p.Step) {
				t.Fatalf("point %v was never added", p)
			}
		}
		if nan != 1 {
			t.Fatalf("%d breaks in the line, want 1", nan)
		}
	})
}

func TestNotesAreBounded(t *testing.T) {
	b := NewBoard()
	for i := range maxNotes + 10 {
		b.Apply(Event{Kind: KindNote, Level: Warning, Text: fmt.Sprint(i)})
		b.Apply(Event{Kind: KindPoint, Cell: fmt.Sprint(i)})
	}
	v := b.Snapshot()
	if len(v.Notes) != maxNotes || v.Dropped == 0 || v.Warnings != maxNotes+v.Dropped {
		t.Errorf("%d notes, %d dropped, %d warnings", len(v.Notes), v.Dropped, v.Warnings)
	}
}

func TestConcurrentUse(t *testing.T) {
	b := NewBoard()
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for _, e := range story() {
				b.Apply(e)
			}
		})
		wait.Go(func() {
			for range 50 {
				b.Read(func(v *View) { _ = v.Count(Running) })
				_ = b.Snapshot().String()
				_ = b.Version()
			}
		})
	}
	wait.Wait()
	if b.Version() != uint64(4*len(story())) {
		t.Errorf("version %d", b.Version())
	}
}

func TestEventJSON(t *testing.T) {
	var all bytes.Buffer
	for _, e := range story() {
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatalf("%v: %v", e.Kind, err)
		}
		all.Write(text)
		all.WriteByte('\n')
	}
	for _, want := range []string{`{"kind":"begin"`, `"value":null`, `"state":"failed"`, `"level":"error"`, `"held":false`} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("%s is missing in\n%s", want, all.String())
		}
	}
}

func TestMetricsAreWellFormed(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range Metrics() {
		if m.Key == "" || m.Label == "" || m.About == "" || seen[m.Key] {
			t.Errorf("metric %q: empty field or twice", m.Key)
		}
		seen[m.Key] = true
	}
}

// sweptBegin is the plan of a sweep with so many rows, ten a cell, one seed a point.
func sweptBegin(rows int) *Begin {
	begin := &Begin{Run: "swept", Scenario: "swept", Columns: []string{"auc"}}
	for i := range 10 {
		begin.Rows = append(begin.Rows, fmt.Sprintf("step%d", i))
	}
	for i := range rows / 10 {
		begin.Cells = append(begin.Cells, Cell{ID: fmt.Sprintf("x=%d", i), Params: []Param{{"x", fmt.Sprint(i)}}, Seed: 1})
	}
	return begin
}

// TestCellIsFound: a view finds each of its cells, one that a Board made and a copy of it.
func TestCellIsFound(t *testing.T) {
	b := Fold([]Event{{Kind: KindBegin, Begin: sweptBegin(100)}})
	made := &View{Cells: b.Snapshot().Cells}
	for name, v := range map[string]*View{"snapshot": b.Snapshot(), "made by hand": made} {
		for i := range v.Cells {
			if v.Cell(v.Cells[i].ID) != &v.Cells[i] {
				t.Errorf("%s: cell %q is not found", name, v.Cells[i].ID)
			}
		}
		if v.Cell("who?") != nil {
			t.Errorf("%s: an unknown cell is found", name)
		}
	}
}

// seedLog is the log of a run of many seeds, which all report two metrics of a row.
func seedLog(seeds int) []Event {
	begin := &Begin{Run: "r", Scenario: "seeds", Rows: []string{"m"}}
	events := []Event{{Kind: KindBegin, Begin: begin}}
	for seed := range seeds {
		id := fmt.Sprintf("seed=%d", seed)
		begin.Cells = append(begin.Cells, Cell{ID: id, Seed: seed})
		events = append(events,
			Event{Kind: KindCell, Cell: id, State: Running, Stage: "m"},
			Event{Kind: KindRow, Cell: id, Row: "m", Values: map[string]Measure{"auc": {Value: 0.5, Low: 0.4, High: 0.6, N: 100}, "bytes": {Value: 7}}},
			Event{Kind: KindCell, Cell: id, State: Done},
		)
	}
	return events
}

// An event allocates as much where many seeds have reported as where few have, and a look at the
// view sums up all of them.
func TestEventsCostTheSameForAnySeeds(t *testing.T) {
	var each [2]float64
	for i, seeds := range []int{100, 2000} {
		events := seedLog(seeds)
		board := NewBoard()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for _, e := range events {
			board.Apply(e)
		}
		runtime.ReadMemStats(&after)
		each[i] = float64(after.TotalAlloc-before.TotalAlloc) / float64(len(events))
		board.Read(func(v *View) {
			r := &v.Rows[0]
			if s := r.Values["auc"]; r.State != Done || r.Done != seeds || len(s.Seeds) != seeds || s.Value != 0.5 || len(r.Keys) != seeds {
				t.Errorf("%d seeds: %s, %d done, %+v", seeds, r.State, r.Done, s)
			}
		})
	}
	if each[1] > 2*each[0] {
		t.Errorf("an event allocates %.0f bytes with 100 seeds and %.0f with 2000", each[0], each[1])
	}
}

// BenchmarkApplySeeds is the cost of an event where few and where many seeds have reported.
func BenchmarkApplySeeds(b *testing.B) {
	for _, seeds := range []int{10, 1000} {
		b.Run(fmt.Sprintf("seeds=%d", seeds), func(b *testing.B) {
			events := seedLog(seeds)
			board := Fold(events)
			for i := 0; b.Loop(); i++ {
				board.Apply(events[1+i%(len(events)-1)])
			}
		})
	}
}

// BenchmarkApply is the cost of a row's event on boards with few and many rows.
func BenchmarkApply(b *testing.B) {
	for _, rows := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			begin := sweptBegin(rows)
			board := Fold([]Event{{Kind: KindBegin, Begin: begin}})
			row := func(i int) Event {
				return Event{Kind: KindRow, Cell: begin.Cells[i/10%len(begin.Cells)].ID, Row: begin.Rows[i%10], Values: map[string]Measure{"auc": {Value: 0.5, Low: 0.4, High: 0.6, N: 100}}}
			}
			for i := range rows {
				board.Apply(row(i))
			}
			for i := 0; b.Loop(); i++ {
				board.Apply(row(i))
			}
		})
	}
}

// TestWhyThereAreNoTokens: of a row of a run says why, and what to do.
func TestWhyThereAreNoTokens(t *testing.T) {
	rows := func(state State, done int, tokens ...string) *View {
		v := &View{State: state}
		for i, key := range tokens {
			v.Rows = append(v.Rows, TableRow{Name: fmt.Sprintf("row%d", i), Done: done, Tokens: []string{key}})
		}
		return v
	}
	for want, v := range map[string]*View{
		"it has not been measured yet":                       rows(Running, 0, ""),
		"it was not measured: run the scenario again":        rows(Failed, 0, ""),
		"as the baseline is; take another row, such as row1": rows(Done, 1, "", "key"),
		"run the scenario with evaluate.tokens of 4":         rows(Done, 1, "", ""),
	} {
		if got := v.NoTokens(&v.Rows[0]); !strings.Contains(got, want) {
			t.Errorf("%q, expected %q", got, want)
		}
	}
}
