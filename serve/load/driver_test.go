package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"slimlab/serve"
)

// station answers one request after another, each in the same time.
type station struct {
	each    time.Duration
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

func (s *station) Send(ctx context.Context, r Request) (Answer, error) {
	came := time.Since(s.start)
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	s.prompts, s.came = append(s.prompts, r.Prompt), append(s.came, came)
	if s.fails {
		return Answer{}, errRefused
	}
	first := time.Now().Add(s.each / 2)
	select {
	case <-time.After(s.each):
		return Answer{Reply: Reply{Count: 3}, First: first, Chunks: []time.Time{first, time.Now()}, Prompt: len(r.Prompt), Cached: 1}, nil
	case <-ctx.Done():
		return Answer{}, ctx.Err()
	}
}

func numbered(n int) Singles {
	return Singles{n, func(i int) Request { return Request{Prompt: []int32{int32(i)}} }}
}

func drive(t *testing.T, w Workload, a Arrivals, inFlight int, target Target) []Record {
	t.Helper()
	records, err := Driver{Plan: planOf(t, w, nil, a), InFlight: inFlight}.Run(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// Requests are sent at their times, though the server takes ten times as long as the gaps are.
func TestTheScheduleIsKept(t *testing.T) {
	for _, burstiness := range []float64{0.3, 1, math.Inf(1)} {
		synctest.Test(t, func(t *testing.T) {
			process := Process{Rate: 100, Burstiness: burstiness, Seed: 1}
			s, err := process.Schedule(500)
			if err != nil {
				t.Fatal(err)
			}
			target := newStation(100 * time.Millisecond)
			records := drive(t, numbered(500), process, 500, target)
			slices.Sort(target.came)
			for i, r := range records {
				if lag := target.came[i] - s[i]; lag < 0 || lag > time.Microsecond || r.Scheduled != s[i] || r.Sent != s[i] || r.Arrival != i {
					t.Fatalf("request %d came at %v and has the record %+v, expected %v", i, target.came[i], r, s[i])
				}
			}
		})
	}
}

// What the generator itself takes too long for counts from the scheduled time.
func TestALateGenerator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := Singles{30, func(i int) Request {
			if i == 10 {
				time.Sleep(110 * time.Millisecond)
			}
			return Request{Prompt: []int32{int32(i)}}
		}}
		records := drive(t, slow, Process{Rate: 100, Burstiness: math.Inf(1)}, 30, newStation(time.Millisecond))
		// the tenth request was made from 90 ms on
		if r := records[10]; r.Sent != 200*time.Millisecond || r.Scheduled != 100*time.Millisecond || r.End < 201*time.Millisecond {
			t.Errorf("%+v", r)
		}
	})
}

// Turns of sessions and users of a closed loop are driven by the ends, which the plan would be told
// on any clock: the wall clock's records are those of a simulation.
func TestTheDriverIsASimulationOfThePlan(t *testing.T) {
	w, err := Sessions{Number: 30, Turns: 3, Question: Lengths{4, 0.5}, Output: Lengths{2, 0}, Think: 50 * time.Millisecond, Vocabulary: 50, Seed: 1}.Workload()
	if err != nil {
		t.Fatal(err)
	}
	took := func(r Request) time.Duration { return time.Duration(len(r.Prompt)) * 7_123_456 }
	for _, a := range []Arrivals{Closed{4}, Process{Rate: 20, Burstiness: 1, Seed: 1}} {
		simulated := collect(planOf(t, w, nil, a), func(s sent) (time.Duration, Reply) {
			return took(s.Request), Reply{Count: 1, Tokens: []int32{9}}
		})
		synctest.Test(t, func(t *testing.T) {
			target := answering(func(ctx context.Context, r Request) (Answer, error) {
				time.Sleep(took(r))
				return Answer{First: time.Now(), Reply: Reply{Count: 1, Tokens: []int32{9}}}, nil
			})
			for i, r := range drive(t, w, a, 100, target) {
				if s := simulated[i]; r.Arrival != s.Arrival || r.Turn != s.Turn || r.Scheduled != s.at || r.End != s.at+took(s.Request) {
					t.Fatalf("request %d: %+v, expected turn %d of %d at %v", i, r, s.Turn, s.Arrival, s.at)
				}
			}
		})
	}
}

type answering func(ctx context.Context, r Request) (Answer, error)

func (f answering) Send(ctx context.Context, r Request) (Answer, error) { return f(ctx, r) }

// One whose time comes while as many as are allowed are in flight is dropped.
func TestTooManyInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dropped, most, now := 0, 0, 0
		d := Driver{Plan: planOf(t, numbered(1000), nil, Process{Rate: 200, Burstiness: 1, Seed: 5}), InFlight: 20}
		d.Sent = func(int, Record) { now++; most = max(most, now) }
		d.Ended = func(_ int, r Record) {
			if r.Dropped {
				dropped++
			} else {
				now--
			}
		}
		records, err := d.Run(t.Context(), newStation(10*time.Millisecond))
		if err != nil || len(records) != 1000 || most != 20 || now != 0 || dropped < 300 || dropped > 600 {
			t.Errorf("%d records, %d dropped, %d in flight at once and %d at the end, %v", len(records), dropped, most, now, err)
		}
		for i, r := range records {
			if r.Dropped && (r.Sent != r.Scheduled || r.First != 0) {
				t.Fatalf("request %d: %+v", i, r)
			}
		}
	})
}

// The same seeds send the same requests at the same times, and come to the same records.
func TestARunReplaysBySeed(t *testing.T) {
	again := func(seed uint64) (records []Record, prompts [][]int32) {
		synctest.Test(t, func(t *testing.T) {
			v := Visits{Members: people, Visits: 100, Each: 3}
			v.Seed = seed
			w, err := v.Workload()
			if err != nil {
				t.Fatal(err)
			}
			target := newStation(3 * time.Millisecond)
			records = drive(t, w, Process{Rate: 100, Burstiness: 1, Seed: seed}, 300, answering(func(ctx context.Context, r Request) (Answer, error) {
				time.Sleep(time.Duration(r.Turn)) // those sent together reach the station in order
				return target.Send(ctx, r)
			}))
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

func TestAFailureHasNoLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		target := newStation(time.Millisecond)
		target.fails = true
		for i, r := range drive(t, numbered(5), Process{Rate: 10, Burstiness: 1}, 5, target) {
			if !errors.Is(r.Err, errRefused) || r.First != 0 || r.Tokens != 0 || r.End < r.Sent {
				t.Errorf("request %d: %+v", i, r)
			}
		}
	})
}

func TestARunCanBeCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1050*time.Millisecond)
		defer cancel()
		p := planOf(t, numbered(50), nil, Process{Rate: 10, Burstiness: math.Inf(1)})
		records, err := Driver{Plan: p, InFlight: 50}.Run(ctx, newStation(60*time.Millisecond))
		if !errors.Is(err, context.DeadlineExceeded) || len(records) != 11 {
			t.Fatalf("%d records, %v: expected those of the 11 that were sent", len(records), err)
		}
		if last := records[10]; !errors.Is(last.Err, context.DeadlineExceeded) || last.End != 1050*time.Millisecond {
			t.Errorf("the request in flight has the record %+v", last)
		}
	})
	synctest.Test(t, func(t *testing.T) { // nothing is left to send, but a session is cut
		w, err := Sessions{Number: 1, Turns: 3, Question: Lengths{4, 0}, Output: Lengths{2, 0}, Vocabulary: 9}.Workload()
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
		defer cancel()
		records, err2 := Driver{Plan: planOf(t, w, err, AtOnce{}), InFlight: 1}.Run(ctx, newStation(100*time.Millisecond))
		if !errors.Is(err2, context.DeadlineExceeded) || len(records) != 2 {
			t.Errorf("%d records, %v", len(records), err2)
		}
	})
	ended, end := context.WithCancel(t.Context())
	end()
	for range 20 { // it is due at once, and the context has ended: either may be seen first
		if records, err := (Driver{Plan: planOf(t, numbered(1), nil, AtOnce{}), InFlight: 1}).Run(ended, newStation(0)); len(records) > 0 || !errors.Is(err, context.Canceled) {
			t.Errorf("a run whose context has ended: %+v, %v", records, err)
		}
	}
	if _, err := (Driver{Plan: planOf(t, numbered(1), nil, AtOnce{})}).Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "0 requests at once") {
		t.Errorf("no request at once: %v", err)
	}
}

// By the system's clock too, nothing is sent before its time, and turns follow what has ended.
func TestPreciseIsNeverEarly(t *testing.T) {
	w, err := Sessions{Number: 100, Turns: 2, Question: Lengths{4, 0}, Output: Lengths{2, 0}, Vocabulary: 9}.Workload()
	d := Driver{Plan: planOf(t, w, err, Process{Rate: 1000, Burstiness: 1}), InFlight: 1000, Precise: true}
	records, err := d.Run(t.Context(), answering(func(context.Context, Request) (Answer, error) { return Answer{First: time.Now()}, nil }))
	if err != nil || len(records) != 200 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	for i, r := range records {
		if r.Err != nil || r.Sent < r.Scheduled {
			t.Errorf("request %d: %+v", i, r)
		}
	}
}

// A fault of a target is not swallowed, and does not hang the run.
func TestATargetThatPanics(t *testing.T) {
	defer func() {
		if r := recover(); r == nil || !strings.Contains(fmt.Sprint(r), "broken target") {
			t.Errorf("the panic is %v", r)
		}
	}()
	_ = drive(t, numbered(3), AtOnce{}, 3, answering(func(context.Context, Request) (Answer, error) { panic("broken target") }))
}

// mute allows no token.
type mute struct{}

func (mute) Allowed([]uint64) {}
func (mute) Accept(int32)     {}

func TestAnAnswerThatBreaksOffIsNone(t *testing.T) {
	e := engine(t)
	target := answering(func(ctx context.Context, r Request) (Answer, error) {
		_, err := e.Do(ctx, serve.Request{Prompt: r.Prompt, MaxTokens: 3, Constraint: mute{}})
		return Answer{}, err
	})
	if records := drive(t, numbered(1), AtOnce{}, 1, target); records[0].Err == nil {
		t.Errorf("an answer whose tokens are all forbidden: %+v", records[0])
	}
}

// The engine of this process is a target: each record has the engine's counts, and times in order.
func TestTheEngineIsATarget(t *testing.T) {
	w, err := SharedPrefix{Groups: 3, Each: 7, System: 20, Question: 2, Output: 4, Skew: 1, Vocabulary: 50, Seed: 1}.Workload()
	if err != nil {
		t.Fatal(err)
	}
	cached := 0
	for i, r := range drive(t, w, Process{Rate: 2000, Burstiness: 1, Seed: 1}, 21, Embedded{Engine: engine(t)}) {
		if r.Err != nil || r.Prompt != 22 || r.Tokens != 4 || len(r.Chunks) != 4 || !slices.IsSorted(r.Chunks) || r.Chunks[0] != r.First || r.Chunks[3] != r.End || !(r.Scheduled <= r.Sent && r.Sent < r.First && r.First < r.End) {
			t.Errorf("request %d: %+v", i, r)
		}
		cached += r.Cached
	}
	if cached < 18*20 || cached > 20*22 {
		t.Errorf("%d tokens were cached", cached)
	}
	v := Visits{Members: Members{Members: 4, Candidates: 3, Prefix: 20, Suffix: 2, Vocabulary: 50}, Visits: 4, Order: InTurn, Labels: []int32{1, 2}}
	for _, packed := range []bool{false, true} {
		v.Packed = packed
		w, err := v.Workload()
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range drive(t, w, AtOnce{}, 50, Embedded{Engine: engine(t)}) {
			if r.Err != nil || r.Tokens != 0 || r.First <= r.Sent || r.Prompt != map[bool]int{false: 22, true: 26}[packed] {
				t.Errorf("packed %v, request %d: %+v", packed, i, r)
			}
		}
	}
}

// A session's next prompt is found in the cache, its answer too.
func TestSessionsOfTheEngineFindTheirAnswers(t *testing.T) {
	w, err := Sessions{Number: 2, Turns: 3, Question: Lengths{8, 0}, Output: Lengths{8, 0}, Vocabulary: 50, Seed: 1}.Workload()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range drive(t, w, AtOnce{}, 50, Embedded{Engine: engine(t)}) {
		// all but the last token of an answer has keys and values; pages are of 4
		if said := 16 * r.Turn; r.Err != nil || r.Prompt != said+8 || r.Cached < said-4 {
			t.Errorf("turn %d: %+v", r.Turn, r)
		}
	}
}

func TestTextNeedsATokenizer(t *testing.T) {
	text := Singles{1, func(int) Request { return Request{Text: "abc", MaxTokens: 2} }}
	target := Embedded{Engine: engine(t)}
	if r := drive(t, text, AtOnce{}, 1, target)[0]; r.Err == nil || !strings.Contains(r.Err.Error(), "prompt of text") {
		t.Errorf("%+v", r)
	}
	target.Encode = func(r Request) ([]int32, error) { return []int32{int32(len(r.Text))}, nil }
	target.Decode = func(tokens []int32) string { return strings.Repeat("x", len(tokens)) }
	answer, err := target.Send(t.Context(), text.Make(0))
	if err != nil || answer.Prompt != 1 || answer.Text != "xx" {
		t.Errorf("%+v, %v", answer, err)
	}
	empty := Singles{1, func(int) Request { return Request{Prompt: []int32{}} }}
	if r := drive(t, empty, AtOnce{}, 1, target)[0]; r.Err == nil || !strings.Contains(r.Err.Error(), "prompt is empty") {
		t.Errorf("a request that the engine refuses: %v", r.Err)
	}
}

// A warm-up leaves nothing that the workload finds.
func TestAWarmUpIsApart(t *testing.T) {
	e := engine(t)
	w, err := SharedPrefix{Groups: 1, Each: 4, System: 40, Question: 4, Output: 2, Vocabulary: 50}.Workload()
	if err != nil {
		t.Fatal(err)
	}
	if err := WarmUp(t.Context(), Embedded{Engine: e}, w, 6, 50, 0); err != nil {
		t.Fatal(err)
	}
	stats, err := e.Stats()
	if err != nil || stats.Requests != 6 {
		t.Fatalf("%+v, %v", stats, err)
	}
	if r := drive(t, w, AtOnce{}, 1, Embedded{Engine: e})[0]; r.Err != nil || r.Cached > 2 {
		t.Errorf("the first request finds %d tokens: %+v", r.Cached, r)
	}
	if err := WarmUp(t.Context(), answering(func(context.Context, Request) (Answer, error) { return Answer{}, errRefused }), w, 1, 50, 0); !errors.Is(err, errRefused) {
		t.Errorf("a warm-up that is refused: %v", err)
	}
	r := Request{Messages: []Message{{"user", "what is it"}}, Text: "a text", Items: [][]int32{{1, 2}}}
	items := r.Items
	apart(&r, 0, 50, 1)
	if len(r.Text) != 6 || r.Text == "a text" || len(r.Messages[0].Content) != 10 || r.Messages[0].Role != "user" || r.Messages[0].Content == "what is it" || len(r.Items[0]) != 2 || items[0][0] != 1 {
		t.Errorf("%+v", r)
	}
}
