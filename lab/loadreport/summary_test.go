package loadreport

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"slimlab/serve/load"
)

const ms = time.Millisecond

var errRefused = errors.New("refused")

func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(1, math.Abs(b)) }

func TestSummarySums(t *testing.T) {
	run := Run{Objectives: []Objective{{TTFT, 6 * ms}, {TPOT, 5 * ms}, {E2E, 9 * ms}}, Left: load.Left{Arrivals: 2, Turns: 1}, Records: []load.Record{
		{Scheduled: 0, Sent: 2 * ms, FirstByte: 3 * ms, First: 5 * ms, Chunks: []time.Duration{5 * ms, 9 * ms}, End: 9 * ms, Prompt: 7, Cached: 3, Tokens: 2},
		{Scheduled: 1 * ms, Sent: 1 * ms, End: 1 * ms, Dropped: true},
		{Scheduled: 2 * ms, Sent: 2 * ms, First: 6 * ms, Chunks: []time.Duration{6 * ms, 9 * ms, 20 * ms}, End: 20 * ms, Prompt: 5, Cached: 1, Tokens: 8, Estimated: true, Replaced: 3, Resent: true},
		{Scheduled: 3 * ms, Sent: 3 * ms, End: 30 * ms, Err: errRefused},
		{Scheduled: 4 * ms, Sent: 4 * ms, First: 10 * ms, End: 10 * ms, Prompt: 4, Tokens: 1},
	}}
	s := Summarize(run)
	if s.Requests != 5 || s.Answered != 3 || s.Failed != 1 || s.Dropped != 1 || s.Input != 16 || s.Cached != 4 || s.Output != 11 || s.Good != 2 {
		t.Errorf("%+v", s)
	}
	for id, want := range map[string]float64{
		Duration: 0.030, RequestRate: 100, InputRate: 16 / 0.03, OutputRate: 11 / 0.03, TotalRate: 27 / 0.03, CachedShare: 0.25, Goodput: 2 / 0.03, GoodputShare: 0.4,
		PeakConcurrency: 4, MeanConcurrency: (7 + 18 + 27 + 6) / 30.0, PeakOutputRate: 11,
	} {
		if got := s.Figure(id); !near(got, want) {
			t.Errorf("%s: %v, expected %v", id, got, want)
		}
	}
	for id, want := range map[string][]float64{
		TTFT: {5, 4, 6}, TPOT: {4, 2}, ITL: {4, 3, 11}, E2E: {9, 18, 6}, ServiceTTFT: {3, 4, 6}, ServiceE2E: {7, 18, 6}, FirstByte: {1}, SendLag: {2, 0, 0, 0},
	} {
		slices.Sort(want)
		got := s.Latency(id)
		equal := len(got.values) == len(want)
		for i := range want {
			equal = equal && near(1000*got.values[i], want[i])
		}
		if !equal {
			t.Errorf("%s: %v, expected %v", id, got.values, want)
		}
	}
	var ids []string
	for _, w := range s.Warnings {
		ids = append(ids, w.ID)
	}
	if want := []string{LateGenerator, OverSaturated, DroppedRequests, FailedRequests, NotSent, FewForP99, EstimatedCounts, ReplacedAnswers, ResentRequests, CoarseChunks}; !slices.Equal(ids, want) {
		t.Errorf("warnings %v, expected %v", ids, want)
	}
	if len(s.Errors) != 1 || s.Errors[0] != (Failure{"refused", 1}) {
		t.Errorf("%v", s.Errors)
	}
	if empty := Summarize(Run{}); empty.Requests != 0 || len(empty.Warnings) != 0 || empty.Figure(RequestRate) != 0 {
		t.Errorf("no records: %+v", empty)
	}
}

func TestErrorsAreCounted(t *testing.T) {
	var records []load.Record
	for i := range 30 {
		for range i + 1 {
			records = append(records, load.Record{Err: fmt.Errorf("error %d\n", i), End: 1})
		}
	}
	s := Summarize(Run{Records: records})
	all := 0
	for _, e := range s.Errors {
		all += e.Number
	}
	if len(s.Errors) != mostErrors || all != len(records) || !slices.ContainsFunc(s.Errors, func(e Failure) bool { return e.Text == "other errors" }) || strings.Contains(s.Errors[1].Text, "\n") {
		t.Errorf("%v", s.Errors)
	}
}

// The sweep's peak and mean are those of looking at each time.
func TestConcurrencyEqualsLooking(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var records []load.Record
		for range 1 + rng.IntN(40) {
			sent := time.Duration(rng.IntN(20))
			records = append(records, load.Record{Sent: sent, End: sent + time.Duration(rng.IntN(8)), Dropped: rng.IntN(9) == 0})
		}
		steps := concurrency(records)
		for at := range time.Duration(30) {
			want := 0
			for _, r := range records {
				if !r.Dropped && r.Sent <= at && at < r.End {
					want++
				}
			}
			got := 0
			for _, s := range steps {
				if s.At <= at {
					got = s.N
				}
			}
			if got != want {
				t.Fatalf("%d in flight at %d, expected %d: %v", got, at, want, steps)
			}
		}
	}
}

func TestPeakOutput(t *testing.T) {
	s := time.Second
	peak, even := peakOutput([]load.Record{
		{Tokens: 4, Chunks: []time.Duration{s - 1, s, 3 * s / 2}}, // 4/3 each
		{Tokens: 2, Chunks: []time.Duration{s, 2 * s}},
		{Tokens: 9, Err: errRefused, Chunks: []time.Duration{s}},
	})
	if !near(peak, 8.0/3+1) || even {
		t.Errorf("%v, %v", peak, even)
	}
	if peak, even = peakOutput([]load.Record{{Tokens: 5, First: s, End: 3 * s}}); peak != 2 || !even {
		t.Errorf("without times: %v, %v", peak, even)
	}
}

// queue answers one request after another, each in the same time, on simulated time.
func queue(arrivals load.Schedule, each time.Duration) (records []load.Record) {
	free := time.Duration(0)
	for _, at := range arrivals {
		free = max(free, at) + each
		records = append(records, load.Record{Scheduled: at, Sent: at, First: free - each/2, End: free, Tokens: 2})
	}
	return records
}

func TestSaturationIsNamed(t *testing.T) {
	const runs = 40
	for _, test := range []struct {
		rate        float64 // of a capacity of 100
		n           int
		least, most float64 // share of the runs that are said to be saturated
	}{{50, 1000, 0, 0}, {80, 1000, 0, 0.05}, {90, 3000, 0, 0.05}, {115, 3000, 0.95, 1}, {130, 1000, 1, 1}, {200, 300, 1, 1}} {
		found := 0
		for seed := range uint64(runs) {
			arrivals, err := load.Process{Rate: test.rate, Burstiness: 1, Seed: seed}.Schedule(test.n)
			if err != nil {
				t.Fatal(err)
			}
			records := queue(arrivals, 10*ms)
			if growthOf(records, concurrency(records)).grows {
				found++
			}
		}
		if share := float64(found) / runs; share < test.least || share > test.most {
			t.Errorf("at %v of 100 a second: %d of %d runs are saturated", test.rate, found, runs)
		}
	}
}

func TestFlags(t *testing.T) {
	// records are of requests 0.1 s apart, with a lag and latencies that rise evenly
	records := func(lag, from, to time.Duration, err error) (list []load.Record) {
		for i := range 100 {
			at := time.Duration(i) * 100 * ms
			end := at + from + (to-from)*time.Duration(i)/99
			list = append(list, load.Record{Scheduled: at, Sent: at + lag, First: end, End: end, Err: err})
		}
		return list
	}
	for _, test := range []struct {
		name            string
		records         []load.Record
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
		s := Summarize(Run{Records: test.records})
		if s.Has(LateGenerator) != test.late || s.Has(OverSaturated) != test.saturated {
			t.Errorf("%s: %v", test.name, s.Warnings)
		}
	}
	closed := Summarize(Run{Closed: true, Records: records(0, 100*ms, 1000*ms, nil)})
	if closed.Has(OverSaturated) || !closed.Has(ClosedLoop) {
		t.Errorf("a closed loop: %v", closed.Warnings)
	}
}

// A generator that is late says so, by the driver's own records.
func TestALateGeneratorIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := load.Singles{Number: 30, Make: func(i int) load.Request {
			if i == 10 {
				time.Sleep(110 * ms)
			}
			return load.Request{}
		}}
		plan, err := load.NewPlan(w, load.Process{Rate: 100, Burstiness: math.Inf(1)})
		if err != nil {
			t.Fatal(err)
		}
		records, err := load.Driver{Plan: plan, InFlight: 30}.Run(t.Context(), target(func(context.Context) { time.Sleep(ms) }))
		if err != nil {
			t.Fatal(err)
		}
		s := Summarize(Run{Records: records})
		if !s.Has(LateGenerator) || !near(s.Latency(SendLag).Max, 0.1) || !near(s.Latency(E2E).Max, 0.101) || s.Latency(ServiceE2E).Max > 0.0011 {
			t.Errorf("%v, lag %v, E2E %v", s.Warnings, s.Latency(SendLag).Max, s.Latency(E2E).Max)
		}
	})
}

// target answers when its function returns.
type target func(context.Context)

func (f target) Send(ctx context.Context, _ load.Request) (load.Answer, error) {
	f(ctx)
	return load.Answer{First: time.Now()}, nil
}

func TestObjectives(t *testing.T) {
	got, err := ParseObjectives("ttft:200ms, tpot:50ms,e2el:2s")
	if err != nil || !slices.Equal(got, []Objective{{TTFT, 200 * ms}, {TPOT, 50 * ms}, {E2E, 2 * time.Second}}) || got[0].String() != "ttft:200ms" {
		t.Errorf("%v, %v", got, err)
	}
	for text, says := range map[string]string{"": `found ""`, "ttft": `found "ttft"`, "itl:5ms": `found "itl:5ms"`, "ttft:5": `bound "5" of ttft`, "ttft:-5ms": `bound "-5ms"`, "ttft:1s,ttft:2s": "two bounds of ttft", "ttft:1s,": `found ""`} {
		if _, err := ParseObjectives(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, expected an error with %q", text, err, says)
		}
	}
}

func FuzzParseObjectives(f *testing.F) {
	f.Add("ttft:200ms,tpot:50ms,e2el:2s")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ParseObjectives(text)
		if err != nil {
			return
		}
		var parts []string
		for _, o := range list {
			parts = append(parts, o.String())
		}
		if again, err := ParseObjectives(strings.Join(parts, ",")); err != nil || !slices.Equal(again, list) {
			t.Errorf("%q: %v, then %v, %v", text, list, again, err)
		}
	})
}
