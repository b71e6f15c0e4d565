package load

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// sent is a request that a plan has given out.
type sent struct {
	number int
	at     time.Duration
	Request
}

// ending is the end of a request, for a heap by time.
type ending struct {
	at     time.Duration
	number int
	reply  Reply
}

type endings []ending

func (e endings) Len() int           { return len(e) }
func (e endings) Less(i, j int) bool { return e[i].at < e[j].at }
func (e endings) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *endings) Push(x any)        { *e = append(*e, x.(ending)) }
func (e *endings) Pop() any {
	old := *e
	last := old[len(old)-1]
	*e = old[:len(old)-1]
	return last
}

// simulate drives a plan on a clock of its own: a request takes as long as serve says.
func simulate(p *Plan, serve func(s sent) (time.Duration, Reply), see func(sent)) {
	var running endings
	for {
		at, due := p.Due()
		if len(running) > 0 && (!due || running[0].at <= at) {
			e := heap.Pop(&running).(ending)
			p.Ended(e.number, e.at, e.reply)
			continue
		}
		if !due {
			return
		}
		number, at, r, _ := p.Next()
		s := sent{number, at, r}
		see(s)
		took, reply := serve(s)
		heap.Push(&running, ending{at + took, number, reply})
	}
}

func planOf(t *testing.T, w Workload, err error, a Arrivals) *Plan {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPlan(w, a)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func collect(p *Plan, serve func(s sent) (time.Duration, Reply)) (all []sent) {
	simulate(p, serve, func(s sent) { all = append(all, s) })
	return all
}

func takes(d time.Duration) func(sent) (time.Duration, Reply) {
	return func(sent) (time.Duration, Reply) { return d, Reply{Count: 3, Tokens: []int32{1, 2, 3}} }
}

var someVisits = Visits{Members: Members{Members: 20, Candidates: 8, Prefix: 12, Suffix: 3, Skew: 1, Vocabulary: 100, Seed: 4}, Visits: 50, Each: 5, Labels: []int32{7, 8}}

// A member's candidates are sent together, share its prefix and differ behind it; a rate is of
// members.
func TestVisitsAreSentTogether(t *testing.T) {
	w, err := someVisits.Workload()
	all := collect(planOf(t, w, err, Process{Rate: 10, Burstiness: math.Inf(1)}), takes(time.Second))
	if len(all) != 250 || w.Requests() != 250 {
		t.Fatalf("%d requests of %d, expected 250", len(all), w.Requests())
	}
	for i, s := range all {
		visit := all[i-i%5 : i-i%5+5]
		if s.number != i || s.Arrival != i/5 || s.Turn != i%5 || s.at != time.Duration(i/5)*100*time.Millisecond {
			t.Fatalf("request %d is %d of arrival %d, number %d, at %v", i, s.Turn, s.Arrival, s.number, s.at)
		}
		if len(s.Prompt) != 15 || !slices.Equal(s.Prompt[:12], visit[0].Prompt[:12]) || !slices.Equal(s.Labels, []int32{7, 8}) || s.MaxTokens != 0 {
			t.Fatalf("request %d: %+v", i, s.Request)
		}
		for _, other := range visit[:i%5] {
			if slices.Equal(other.Prompt, s.Prompt) {
				t.Errorf("request %d: two candidates of a visit are the same", i)
			}
		}
	}
	packed := someVisits
	packed.Packed = true
	w, err = packed.Workload()
	for i, s := range collect(planOf(t, w, err, AtOnce{}), takes(time.Second)) {
		var prompts [][]int32
		for _, item := range s.Items {
			prompts = append(prompts, slices.Concat(s.Prompt, item))
		}
		for k, apart := range all[5*i : 5*i+5] {
			if len(prompts) != 5 || !slices.Equal(prompts[k], apart.Prompt) {
				t.Fatalf("visit %d packed has the prompts %v, expected those of the requests apart", i, prompts)
			}
		}
		if s.Tokens() != 12+5*3 {
			t.Errorf("visit %d has %d tokens, expected 27", i, s.Tokens())
		}
	}
}

// A turn is sent when the one before it is answered and the user has thought, and its prompt is all
// that was said.
func TestTurnsFollowTheirAnswers(t *testing.T) {
	s := Sessions{Number: 40, Turns: 4, System: 6, Question: Lengths{5, 0.4}, Output: Lengths{3, 0}, Think: 300 * time.Millisecond, Vocabulary: 90, Seed: 2}
	w, err := s.Workload()
	last := map[int]sent{}
	think := 0.0
	for _, now := range collect(planOf(t, w, err, Process{Rate: 5, Burstiness: 1, Seed: 3}), takes(time.Second)) {
		before, has := last[now.Arrival]
		switch {
		case has != (now.Turn > 0) || has && now.Turn != before.Turn+1:
			t.Fatalf("session %d: turn %d after %d", now.Arrival, now.Turn, before.Turn)
		case has && now.at < before.at+time.Second:
			t.Fatalf("session %d: turn %d is sent at %v, before the end of the one sent at %v", now.Arrival, now.Turn, now.at, before.at)
		case has:
			think += (now.at - before.at - time.Second).Seconds() / (40 * 3)
			want := slices.Concat(before.Prompt, []int32{1, 2, 3})
			if n := len(now.Prompt) - len(want); n < 3 || n > 7 || !slices.Equal(now.Prompt[:len(want)], want) {
				t.Fatalf("turn %d asks %v after %v", now.Turn, now.Prompt, before.Prompt)
			}
		case len(now.Prompt) < 9 || !slices.Equal(now.Prompt[:6], last[0].Prompt[:min(6, len(last[0].Prompt))]) && now.Arrival > 0:
			t.Fatalf("session %d begins with %v", now.Arrival, now.Prompt)
		}
		last[now.Arrival] = now
		if most := s.Longest(); len(now.Prompt)+now.MaxTokens > most {
			t.Errorf("%d tokens, expected at most %d", len(now.Prompt)+now.MaxTokens, most)
		}
	}
	if len(last) != 40 || last[0].Turn != 3 {
		t.Errorf("%d sessions, the first ends with turn %d", len(last), last[0].Turn)
	}
	if math.Abs(think/0.3-1) > 4/math.Sqrt(120) { // four standard errors of an exponential mean
		t.Errorf("users thought %.3f s on average, expected 0.3", think)
	}
}

// Where the target does not say which tokens it made, as many others stand in their place; texts
// come back as messages.
func TestAnswersOfSessions(t *testing.T) {
	s := Sessions{Number: 1, Turns: 2, Question: Lengths{4, 0}, Output: Lengths{5, 0}, Vocabulary: 90}
	w, err := s.Workload()
	all := collect(planOf(t, w, err, AtOnce{}), func(sent) (time.Duration, Reply) { return 1, Reply{Count: 2} })
	if len(all) != 2 || len(all[1].Prompt) != 4+2+4 || all[1].Replaced != 2 || all[0].Replaced != 0 || !slices.Equal(all[1].Prompt[:4], all[0].Prompt) {
		t.Errorf("%v", all)
	}
	s.System = 2
	s.Decode = func(tokens []int32) string { return fmt.Sprint(len(tokens)) }
	w, err = s.Workload()
	all = collect(planOf(t, w, err, AtOnce{}), func(sent) (time.Duration, Reply) { return 1, Reply{Count: 2, Text: "yes"} })
	want := []Message{{"system", "2"}, {"user", "4"}, {"assistant", "yes"}, {"user", "4"}}
	if !reflect.DeepEqual(all[0].Messages, want[:2]) || !reflect.DeepEqual(all[1].Messages, want) || all[1].Prompt != nil {
		t.Errorf("%+v", all)
	}
}

// A session whose turn fails sends no more, and what it leaves is counted.
func TestAFailedTurnEndsItsSession(t *testing.T) {
	w, err := Sessions{Number: 3, Turns: 5, Question: Lengths{4, 0}, Output: Lengths{5, 0}, Vocabulary: 90}.Workload()
	p := planOf(t, w, err, Process{Rate: 1, Burstiness: 1})
	all := collect(p, func(s sent) (time.Duration, Reply) { return time.Second, Reply{Failed: s.Arrival == 1 && s.Turn == 1} })
	if len(all) != 5+2+5 || p.Left() != (Left{Turns: 3}) {
		t.Errorf("%d requests, %+v left", len(all), p.Left())
	}
}

// Users of a closed loop are never more at once, and each asks when its last is answered.
func TestAClosedLoop(t *testing.T) {
	w, err := someVisits.Workload()
	p := planOf(t, w, err, Closed{3})
	rng := rand.New(rand.NewPCG(1, 1))
	ends := map[int]time.Duration{} // of arrivals
	var all []sent
	simulate(p, func(s sent) (time.Duration, Reply) {
		took := time.Duration(1 + rng.Int64N(1e9))
		ends[s.Arrival] = max(ends[s.Arrival], s.at+took)
		return took, Reply{}
	}, func(s sent) {
		if s.Turn == 0 {
			open := 0
			for _, end := range ends {
				if end > s.at {
					open++
				}
			}
			if s.at > 0 && open != 2 {
				t.Errorf("arrival %d at %v beside %d, expected 2", s.Arrival, s.at, open)
			}
		}
		all = append(all, s)
	})
	if len(all) != 250 || !p.Closed() {
		t.Errorf("%d requests", len(all))
	}
}

// What would be sent at Until or later is left, and counted.
func TestUntil(t *testing.T) {
	for _, test := range []struct {
		a    Arrivals
		sent int
		left Left
	}{
		{Process{Rate: 1, Burstiness: math.Inf(1)}, 10, Left{Arrivals: 90}},
		{Closed{2}, 14, Left{Arrivals: 86}}, // at 0, 1.5, … 9
		{AtOnce{}, 100, Left{}},
	} {
		w, err := Random{Number: 100, Input: Lengths{4, 0}, Output: Lengths{2, 0}, Vocabulary: 9}.Workload()
		p := planOf(t, w, err, test.a)
		p.Until = 10 * time.Second
		if all := collect(p, takes(1500*time.Millisecond)); len(all) != test.sent || p.Left() != test.left {
			t.Errorf("%+v: %d sent, %+v left, expected %d and %+v", test.a, len(all), p.Left(), test.sent, test.left)
		}
	}
	w, err := Sessions{Number: 4, Turns: 5, Question: Lengths{4, 0}, Output: Lengths{5, 0}, Vocabulary: 90}.Workload()
	p := planOf(t, w, err, Schedule{0, 0, 9 * time.Second, 11 * time.Second})
	p.Until = 10 * time.Second
	if all := collect(p, takes(4*time.Second)); len(all) != 3+3+1 || p.Left() != (Left{1, 2 + 2 + 4}) {
		t.Errorf("%d turns sent, %+v left", len(all), p.Left())
	}
}

// Whatever the ends are, each request is sent once, times do not fall, and the same ends give the
// same plan.
func TestPlansAreDeterministic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		workload := func() (Workload, error) {
			if rapid.Bool().Draw(t, "sessions") {
				return Sessions{Number: rapid.IntRange(1, 20).Draw(t, "n"), Turns: rapid.IntRange(1, 5).Draw(t, "turns"), Question: Lengths{3, 1}, Output: Lengths{2, 0.5}, Think: time.Duration(rapid.IntRange(0, 1e9).Draw(t, "think")), Vocabulary: 50, Seed: seed}.Workload()
			}
			v := someVisits
			v.Seed, v.Visits, v.Each = seed, rapid.IntRange(1, 20).Draw(t, "visits"), rapid.IntRange(0, 8).Draw(t, "each")
			return v.Workload()
		}
		w, err := workload()
		if err != nil {
			t.Fatal(err)
		}
		arrivals := rapid.SampledFrom([]Arrivals{AtOnce{}, Closed{1}, Closed{4}, Process{Rate: 3, Burstiness: 0.5, Seed: seed}, Process{Rate: 1, To: 9, Burstiness: 1, Seed: seed}}).Draw(t, "arrivals")
		run := func() []sent {
			p, err := NewPlan(w, arrivals)
			if err != nil {
				t.Fatal(err)
			}
			return collect(p, func(s sent) (time.Duration, Reply) {
				rng := stream(seed, 200, s.number)
				return time.Duration(rng.Int64N(2e9)), Reply{Count: s.MaxTokens, Failed: rng.IntN(10) == 0}
			})
		}
		all := run()
		seen := map[[2]int]bool{}
		for i, s := range all {
			if i > 0 && s.at < all[i-1].at {
				t.Fatalf("request %d is sent at %v, after one at %v", i, s.at, all[i-1].at)
			}
			if seen[[2]int{s.Arrival, s.Turn}] {
				t.Fatalf("turn %d of arrival %d is sent twice", s.Turn, s.Arrival)
			}
			seen[[2]int{s.Arrival, s.Turn}] = true
		}
		if !reflect.DeepEqual(run(), all) {
			t.Fatal("the same ends give another plan")
		}
	})
}

// A plan of a million long prompts holds none of them.
func TestAMillionRequestsAreMadeAsTheyCome(t *testing.T) {
	w, err := Random{Number: 1_000_000, Input: Lengths{16 << 10, 0}, Output: Lengths{2, 0}, Vocabulary: 9}.Workload()
	heapOf := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heapOf()
	p := planOf(t, w, err, Process{Rate: 1000, Burstiness: 1})
	for i := range 1000 {
		number, at, _, ok := p.Next()
		if !ok || number != i {
			t.Fatalf("request %d: %d, %v", i, number, ok)
		}
		p.Ended(number, at, Reply{})
	}
	if grown := int64(heapOf()) - int64(before); grown > 16<<20 { // 8 MB are the times
		t.Errorf("it holds %d bytes after 1000 requests", grown)
	}
	runtime.KeepAlive(p)
}

func TestPlanErrors(t *testing.T) {
	w := Singles{Number: 2, Make: func(int) Request { return Request{} }}
	for says, a := range map[string]Arrivals{
		"0 users": Closed{}, "times of 1 arrivals": Schedule{0}, "arrival 1 comes after 1s": Schedule{2 * time.Second, time.Second},
		"arrival 0 comes after -1s": Schedule{-time.Second, 0}, "rate of 0": Process{}, "found arrivals <nil>": nil,
	} {
		if _, err := NewPlan(w, a); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, expected an error with %q", a, err, says)
		}
	}
	if _, err := NewPlan(Singles{}, AtOnce{}); err == nil || !strings.Contains(err.Error(), "no requests") {
		t.Errorf("an empty workload: %v", err)
	}
	p := planOf(t, w, nil, AtOnce{})
	p.Ended(5, 0, Reply{}) // of no request: nothing happens
	if _, _, _, ok := p.Next(); !ok {
		t.Error("an unknown end has ended the plan")
	}
}
