package serve

import (
	"strings"
	"testing"
	"time"
)

// TestCheckFindsWrongQueues: each broken invariant of the queues is found, by its own words.
func TestCheckFindsWrongQueues(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(s *scheduler)
		want   string
	}{
		"none":                       {func(*scheduler) {}, ""},
		"one that runs waits":        {func(s *scheduler) { s.waiting.list = append(s.waiting.list, s.running[0]) }, "of those that run waits"},
		"one that runs does not":     {func(s *scheduler) { s.running[0].runs = false }, "of those that run waits"},
		"computed beyond its pages":  {func(s *scheduler) { s.running[0].computed = 99 }, "its computed tokens take 50"},
		"one that waits has pages":   {func(s *scheduler) { s.waiting.list[1].lease.Table = []int32{1} }, "waiting request 2 has 1 pages"},
		"one that waits runs":        {func(s *scheduler) { s.waiting.list[1].runs = true }, "waiting request 2 has 0 pages"},
		"one that waits promises":    {func(s *scheduler) { s.waiting.list[1].kept = 0 }, "has 0 pages and 2 promises"},
		"passed too often":           {func(s *scheduler) { s.waiting.list[0].passes = 8 }, "was passed 8 times, at most 7 are allowed"},
		"an earlier one passed less": {func(s *scheduler) { s.waiting.list[1].passes = 2 }, "request 2 was passed 2 times, request 1 before it 0 times"},
		"another order":              {func(s *scheduler) { l := s.waiting.list; l[0], l[1] = l[1], l[0] }, "request 1 waits behind request 2"},
		"a retracted one behind":     {func(s *scheduler) { s.waiting.list[1].retractions = 1 }, "request 2 waits behind request 1"},
		"retracted ones are unordered": {func(s *scheduler) {
			l := s.waiting.list
			l[0], l[1] = l[1], l[0]
			l[0].retractions, l[1].retractions = 1, 1
		}, "request 1 waits behind request 2"},
		"another number of tokens": {func(s *scheduler) { s.waiting.tokens++ }, "12 tokens wait, 13 are counted"},
	} {
		core, submit := start(t, newFake(60, 2), Options{PrefixCache: true, Running: 1, Chunk: 2, Passes: 7})
		for i := range int32(4) {
			submit(t.Context(), Request{Prompt: ids(10*i, 10*i+3), MaxTokens: 1})
		}
		if err := core.step(); err != nil {
			t.Fatal(err)
		}
		c.damage(core.scheduler)
		if err := core.scheduler.check(); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, expected %q", name, err, c.want)
		}
	}
}

// TestRetractedWaitInFront: those that were retracted wait before all others, in the order in which
// they came at first.
func TestRetractedWaitInFront(t *testing.T) {
	core, submit := start(t, newFake(60, 2), Options{PrefixCache: true, Running: 3})
	for i := range int32(5) {
		submit(t.Context(), Request{Prompt: ids(10*i, 10*i+3), MaxTokens: 9})
	}
	if err := core.step(); err != nil {
		t.Fatal(err)
	}
	s := core.scheduler
	for _, at := range []int{1, 2, 0} {
		s.retract(s.running[at])
	}
	s.drop(func(q *sequence) bool { return !q.runs })
	if err := s.check(); err != nil {
		t.Error(err)
	}
	for i, q := range s.waiting.list {
		if q.number != i {
			t.Errorf("request %d waits at place %d", q.number, i)
		}
	}
	if s.waiting.tokens != 3*5+2*4 {
		t.Errorf("%d tokens wait", s.waiting.tokens)
	}
}

// TestOptions: values that mean nothing are refused with what was found and expected.
func TestOptions(t *testing.T) {
	for want, o := range map[string]Options{
		"chunk -1":                              {Chunk: -1},
		"batch tokens -1":                       {BatchTokens: -1},
		"running -2":                            {Running: -2},
		"aging -1":                              {Aging: -1},
		"turn -3":                               {Turn: -3},
		"passes -4":                             {Passes: -4},
		"bounds of -1 waiting requests":         {WaitingRequests: -1},
		"-2 waiting tokens":                     {WaitingTokens: -2},
		"and -1s must":                          {WaitingTime: -time.Second},
		"reserve -0.5, expected a share above":  {Reserve: -0.5},
		"reserve 1.5":                           {Reserve: 1.5},
		`policy "lifo", expected one of fcfs, `: {Policy: "lifo"},
		`eviction "mru", expected one of lru,`:  {Eviction: "mru"},
	} {
		if _, err := New(newFake(4, 16), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, expected %q", o, err, want)
		}
	}
	for _, p := range Policies() {
		if o, err := (Options{Policy: p}).complete(); err != nil || o.Policy != p {
			t.Errorf("%s: %v", p, err)
		}
	}
}
