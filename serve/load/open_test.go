package load

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"slimlab/lab/stat"
	"slimlab/serve"
)

// station answers one request after another, each in the same time. Once it does nothing for a
// while.
type station struct {
	each    time.Duration
	stall   time.Duration // length
	stalled time.Duration // its begin, from the start of the station
	start   time.Time
	turn    chan struct{}
	prompts [][]int32
	came    []time.Duration
	fails   bool
}

func newStation(each time.Duration) *station {
	return &station{each: each, start: time.Now(), turn: make(chan struct{}, 1)}
}

var errRefused = errors.New("refused")

func (s *station) Send(ctx context.Context, r serve.Request) (Answer, error) {
	came := time.Since(s.start)
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.prompts, s.came = append(s.prompts, r.Prompt), append(s.came, came)
	if s.fails {
		return Answer{}, errRefused
	}
	if s.stall > 0 && time.Since(s.start) >= s.stalled {
		time.Sleep(s.stall)
		s.stall = 0
	}
	first := time.Now().Add(s.each / 2)
	select {
	case <-time.After(s.each):
		return Answer{First: first, Prompt: len(r.Prompt), Cached: 1, Tokens: 3}, nil
	case <-ctx.Done():
		return Answer{}, ctx.Err()
	}
}

func schedule(t *testing.T, a Arrivals, n int) Schedule {
	t.Helper()
	s, err := a.Schedule(n)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func numbered(i int) serve.Request { return serve.Request{Prompt: []int32{int32(i)}} }

func run(t *testing.T, o Open, target Target) []Record {
	t.Helper()
	records, err := o.Run(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// Requests are sent at their times, though the server takes ten times as long as the gaps are.
func TestTheScheduleIsKept(t *testing.T) {
	for _, burstiness := range []float64{0.3, 1, math.Inf(1)} {
		synctest.Test(t, func(t *testing.T) {
			s := schedule(t, Arrivals{100, burstiness, 1}, 500)
			target := newStation(100 * time.Millisecond)
			records := run(t, Open{s, numbered, 500}, target)
			slices.Sort(target.came)
			for i, r := range records {
				if lag := target.came[i] - s[i]; lag < 0 || lag > time.Microsecond || r.Scheduled != s[i] || r.Sent != s[i] {
					t.Fatalf("request %d came at %v and has the record %+v, expected %v", i, target.came[i], r, s[i])
				}
			}
			if summary := Summarize(records); summary.Answered != 500 || summary.Lag.Max != 0 || summary.Late {
				t.Errorf("%+v", summary)
			}
		})
	}
}

// What the generator itself takes too long for is measured, counts in the latency and is named.
func TestALateGeneratorSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(i int) serve.Request {
			if i == 10 {
				time.Sleep(110 * time.Millisecond)
			}
			return numbered(i)
		}
		records := run(t, Open{schedule(t, Arrivals{100, math.Inf(1), 1}, 30), slow, 30}, newStation(time.Millisecond))
		// the tenth request was made from 90 ms on
		if r := records[10]; r.Sent != 200*time.Millisecond || r.Scheduled != 100*time.Millisecond || r.End < 201*time.Millisecond {
			t.Errorf("%+v", r)
		}
		s := Summarize(records)
		if !s.Late || s.Lag.Max != 100*time.Millisecond || s.Latency.Max < 101*time.Millisecond || s.Service.Max > 50*time.Millisecond {
			t.Errorf("%+v", s)
		}
	})
}

// A stall of 2 s is in the latencies of all who came meanwhile. A closed loop, which sends nothing
// while it waits, sees it once in a thousand.
func TestAStallIsNotHidden(t *testing.T) {
	p99 := func(t *testing.T, loop func(*testing.T, Target) []Record, stall time.Duration) (out Summary) {
		synctest.Test(t, func(t *testing.T) {
			target := newStation(5 * time.Millisecond)
			target.stall, target.stalled = stall, 3*time.Second
			out = Summarize(loop(t, target))
		})
		return out
	}
	open := func(t *testing.T, target Target) []Record {
		return run(t, Open{schedule(t, Arrivals{50, math.Inf(1), 0}, 1000), numbered, 1000}, target)
	}
	closed := func(t *testing.T, target Target) []Record {
		start := time.Now()
		records := make([]Record, 1000)
		for i := range records {
			records[i].Scheduled = time.Since(start) // a closed loop has no other time
			records[i].send(t.Context(), target, numbered(i), start)
		}
		return records
	}
	const calm = 5 * time.Millisecond
	for _, test := range []struct {
		name  string
		loop  func(*testing.T, Target) []Record
		stall time.Duration
		p99   func(time.Duration) bool
	}{
		{"open, no stall", open, 0, func(d time.Duration) bool { return d == calm }},
		{"open, stall", open, 2 * time.Second, func(d time.Duration) bool { return d > 1700*time.Millisecond }},
		{"closed, no stall", closed, 0, func(d time.Duration) bool { return d == calm }},
		{"closed, stall", closed, 2 * time.Second, func(d time.Duration) bool { return d == calm }},
	} {
		s := p99(t, test.loop, test.stall)
		if !test.p99(s.Latency.P99) || s.Saturated || s.Answered != 1000 || s.Latency.P50 != calm {
			t.Errorf("%s: %+v", test.name, s)
		}
	}
}

func TestSaturationIsNamed(t *testing.T) {
	for _, test := range []struct {
		rate      float64 // of a capacity of 100
		inFlight  int
		saturated bool
		drops     bool
	}{{50, 1000, false, false}, {90, 1000, false, false}, {120, 1000, true, false}, {200, 1000, true, false}, {200, 20, true, true}} {
		synctest.Test(t, func(t *testing.T) {
			records := run(t, Open{schedule(t, Arrivals{test.rate, 1, 5}, 1000), numbered, test.inFlight}, newStation(10*time.Millisecond))
			s := Summarize(records)
			if s.Saturated != test.saturated || s.Dropped > 0 != test.drops || s.Answered+s.Dropped != 1000 {
				t.Errorf("%v: %+v", test, s)
			}
			most, waiting := 0, 0
			for i := range records { // in flight when a request was sent
				waiting = 0
				for _, r := range records[:i+1] {
					if !r.Dropped && r.End > records[i].Scheduled {
						waiting++
					}
				}
				most = max(most, waiting)
			}
			if most > test.inFlight || test.drops && most < test.inFlight {
				t.Errorf("%v: %d were in flight", test, most)
			}
		})
	}
}

// The same seeds send the same requests at the same times, and come to the same records.
func TestARunReplaysBySeed(t *testing.T) {
	again := func(seed uint64) (records []Record, prompts [][]int32) {
		synctest.Test(t, func(t *testing.T) {
			m := people
			m.Seed = seed
			picks, err := m.Picks(300)
			if err != nil {
				t.Fatal(err)
			}
			target := newStation(3 * time.Millisecond)
			records = run(t, Open{schedule(t, Arrivals{200, 1, seed}, 300), func(i int) serve.Request { return serve.Request{Prompt: m.Prompt(picks[i])} }, 300}, target)
			prompts = target.prompts
		})
		return records, prompts
	}
	records, prompts := again(1)
	if r, p := again(1); !reflect.DeepEqual(r, records) || !reflect.DeepEqual(p, prompts) {
		t.Error("the same seed makes another run")
	}
	if r, p := again(2); reflect.DeepEqual(r, records) || reflect.DeepEqual(p, prompts) {
		t.Error("another seed makes the same run")
	}
}

func TestAFailureIsNoLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := newStation(time.Millisecond)
		target.fails = true
		records := run(t, Open{schedule(t, Arrivals{10, 1, 0}, 5), numbered, 5}, target)
		if s := Summarize(records); s.Failed != 5 || s.Answered != 0 || s.Latency != (Quantiles{}) || s.Late || !errors.Is(records[0].Err, errRefused) {
			t.Errorf("%+v", s)
		}
	})
}

func TestARunCanBeCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1050*time.Millisecond)
		defer cancel()
		records, err := Open{schedule(t, Arrivals{10, math.Inf(1), 0}, 50), numbered, 50}.Run(ctx, newStation(60*time.Millisecond))
		if !errors.Is(err, context.DeadlineExceeded) || len(records) != 11 {
			t.Fatalf("%d records, %v: expected those of the 11 that were sent", len(records), err)
		}
		if last := records[10]; !errors.Is(last.Err, context.DeadlineExceeded) || last.End != 1050*time.Millisecond {
			t.Errorf("the request in flight has the record %+v", last)
		}
	})
	ended, end := context.WithCancel(t.Context())
	end()
	for range 20 { // it is due at once, and the context has ended: either may be seen first
		if records, err := (Open{Schedule{0}, numbered, 1}).Run(ended, newStation(0)); len(records) > 0 || !errors.Is(err, context.Canceled) {
			t.Errorf("a run whose context has ended: %+v, %v", records, err)
		}
	}
	if _, err := (Open{Request: numbered}).Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "0 requests at once") {
		t.Errorf("no request at once: %v", err)
	}
}

func TestQuantilesEqualTheReference(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 3, 10, 99, 100, 101, 5000} {
		x, seconds := make([]time.Duration, n), make([]float64, n)
		for i := range x {
			x[i] = time.Duration(rng.ExpFloat64() * 1e9)
			seconds[i] = float64(x[i])
		}
		got := quantiles(x)
		for p, got := range map[float64]time.Duration{50: got.P50, 90: got.P90, 99: got.P99, 100: got.Max} {
			if want := stat.Percentile(seconds, p); math.Abs(float64(got)-want) > 1 {
				t.Errorf("P%v of %d: %v, expected %v", p, n, got, time.Duration(want))
			}
		}
	}
}

func TestSummarySums(t *testing.T) {
	const ms = time.Millisecond
	s := Summarize([]Record{
		{Scheduled: 0, Sent: 2 * ms, First: 5 * ms, End: 10 * ms, Prompt: 7, Cached: 3, Tokens: 2},
		{Scheduled: 1 * ms, Dropped: true},
		{Scheduled: 2 * ms, Sent: 2 * ms, First: 6 * ms, End: 9 * ms, Prompt: 5, Cached: 1, Tokens: 4},
		{Scheduled: 3 * ms, Sent: 3 * ms, End: 30 * ms, Err: errRefused},
	})
	want := Summary{Requests: 4, Answered: 2, Failed: 1, Dropped: 1, Duration: 30 * ms, PromptTokens: 12, CachedTokens: 4, Tokens: 6, Late: true, Saturated: true}
	if got := (Summary{s.Requests, s.Answered, s.Failed, s.Dropped, s.Duration, s.PromptTokens, s.CachedTokens, s.Tokens, Quantiles{}, Quantiles{}, Quantiles{}, Quantiles{}, s.Late, s.Saturated}); got != want {
		t.Errorf("%+v, expected %+v", got, want)
	}
	if s.First.Max != 5*ms || s.Latency.Max != 10*ms || s.Service.Max != 8*ms || s.Lag.Max != 2*ms {
		t.Errorf("%+v", s)
	}
}

func TestFlagsOfASummary(t *testing.T) {
	const ms = time.Millisecond
	// records are of requests 0.1 s apart, with a lag and latencies that rise evenly
	records := func(lag, from, to time.Duration, err error) (list []Record) {
		for i := range 100 {
			at := time.Duration(i) * 100 * ms
			end := at + from + (to-from)*time.Duration(i)/99
			list = append(list, Record{Scheduled: at, Sent: at + lag, First: end, End: end, Err: err})
		}
		return list
	}
	for _, test := range []struct {
		name            string
		records         []Record
		late, saturated bool
	}{
		{"even", records(0, 20*ms, 20*ms, nil), false, false},
		{"a lag of 5%", records(ms, 20*ms, 20*ms, nil), false, false},
		{"a lag of 15%", records(3*ms, 20*ms, 20*ms, nil), true, false},
		{"a lag, and no answer", records(3*ms, 20*ms, 20*ms, errRefused), false, false},
		{"it rises tenfold, by 2% of the time", records(0, 20*ms, 200*ms, nil), false, false},
		{"it rises by 10% of the time, by half", records(0, 2000*ms, 3000*ms, nil), false, false},
		{"it rises tenfold, by 10% of the time", records(0, 100*ms, 1000*ms, nil), false, true},
	} {
		if s := Summarize(test.records); s.Late != test.late || s.Saturated != test.saturated {
			t.Errorf("%s: late %v and saturated %v, expected %v and %v", test.name, s.Late, s.Saturated, test.late, test.saturated)
		}
	}
}

// mute allows no token.
type mute struct{}

func (mute) Allowed([]uint64) {}
func (mute) Accept(int32)     {}

func TestAnAnswerThatBreaksOffIsNone(t *testing.T) {
	request := serve.Request{Prompt: []int32{1}, MaxTokens: 3, Constraint: mute{}}
	records := run(t, Open{Schedule{0}, func(int) serve.Request { return request }, 1}, Embedded{engine(t)})
	if records[0].Err == nil {
		t.Errorf("an answer whose tokens are all forbidden: %+v", records[0])
	}
}

// The engine of this process is a target: each record has the engine's counts, and times in order.
func TestTheEngineIsATarget(t *testing.T) {
	m := Members{Members: 3, Candidates: 2, Prefix: 20, Suffix: 2, Skew: 1, Vocabulary: 50, Seed: 1}
	picks, err := m.Picks(20)
	if err != nil {
		t.Fatal(err)
	}
	records := run(t, Open{schedule(t, Arrivals{2000, 1, 1}, 20), func(i int) serve.Request {
		return serve.Request{Prompt: m.Prompt(picks[i]), MaxTokens: 2}
	}, 20}, Embedded{engine(t)})
	for i, r := range records {
		if r.Err != nil || r.Prompt != 22 || r.Tokens != 2 || !(r.Scheduled <= r.Sent && r.Sent < r.First && r.First <= r.End) {
			t.Errorf("request %d: %+v", i, r)
		}
	}
	// Each member's first request finds nothing, and one that comes again finds all.
	if s := Summarize(records); s.CachedTokens < 14*20 || s.CachedTokens > 17*22 {
		t.Errorf("%d tokens were cached", s.CachedTokens)
	}
	records = run(t, Open{Schedule{0}, func(int) serve.Request { return serve.Request{} }, 1}, Embedded{engine(t)})
	if err := records[0].Err; err == nil || !strings.Contains(err.Error(), "prompt is empty") {
		t.Errorf("a request that the engine refuses: %v", err)
	}
}
