package serve

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// TestQueueBounds: requests beyond a bound of the queue are refused together, by its name and both
// numbers, and are taken when there is room again.
func TestQueueBounds(t *testing.T) {
	prompts := func(lengths ...int) (all []*sequence) {
		for _, n := range lengths {
			all = append(all, newSequence(context.Background(), Request{Prompt: make([]int32, n), MaxTokens: 1}, nil, into(make(chan outcome, 1))))
		}
		return all
	}
	for _, c := range []struct {
		name            string
		options         Options
		waiting, arrive []int
		want            string // in the error, "" for none
	}{
		{"no bounds", Options{}, []int{100, 100}, []int{100, 100}, ""},
		{"as many requests as may wait", Options{WaitingRequests: 3}, []int{9}, []int{9, 9}, ""},
		{"one too many", Options{WaitingRequests: 3}, []int{9, 9}, []int{9, 9}, "4 requests would wait, at most 3 may; send"},
		{"more at once than may wait", Options{WaitingRequests: 3}, []int{1}, []int{1, 1, 1, 1}, "5 requests would wait, at most 3 may"},
		{"more at once than may wait, alone", Options{WaitingRequests: 3}, nil, []int{1, 1, 1, 1}, ""},
		{"more tokens at once than may wait, alone", Options{WaitingTokens: 20}, nil, []int{15, 15}, ""},
		{"as many tokens as may wait", Options{WaitingTokens: 20}, []int{9}, []int{11}, ""},
		{"a token too many", Options{WaitingTokens: 20}, []int{9}, []int{6, 6}, "21 prompt tokens would wait, at most 20 may; send"},
		{"a long prompt alone", Options{WaitingTokens: 20}, nil, []int{50}, ""},
		{"a long prompt behind a short one", Options{WaitingTokens: 20}, []int{1}, []int{50}, "51 prompt tokens would wait"},
	} {
		f := newFake(100, 4)
		core, submit := start(t, f, c.options)
		submit(t.Context(), Request{Prompt: ids(1, 10), Labels: []int32{1}}) // one step, for the pace
		if err := core.step(); err != nil {
			t.Fatal(err)
		}
		if err := core.submit(prompts(c.waiting...)...); err != nil {
			t.Fatal(err)
		}
		err := core.submit(prompts(c.arrive...)...)
		if c.want == "" {
			if err != nil || len(core.scheduler.waiting.list) != len(c.waiting)+len(c.arrive) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		var full *QueueFullError
		if !errors.As(err, &full) || !strings.Contains(err.Error(), c.want) {
			t.Fatalf("%s: %v, expected %q", c.name, err, c.want)
		}
		waiting := core.scheduler.waiting.tokens
		if want := time.Duration(waiting) * (stepTime + 10*tokenTime) / 10; (full.RetryAfter - want).Abs() > time.Microsecond {
			t.Errorf("%s: retry after %v, expected %v for %d tokens", c.name, full.RetryAfter, want, waiting)
		}
		if s := core.now(); s.Waiting != len(c.waiting) || s.Refused != len(c.arrive) {
			t.Errorf("%s: %+v", c.name, s)
		}
		for !core.scheduler.idle() {
			if err := core.step(); err != nil {
				t.Fatal(err)
			}
		}
		if err := core.submit(prompts(c.arrive...)...); err != nil {
			t.Errorf("%s: when all is done: %v", c.name, err)
		}
	}
}

// TestQueueBoundsReachTheCaller: the engine's callers get the error itself.
func TestQueueBoundsReachTheCaller(t *testing.T) {
	e := engine(t, newFake(100, 4), Options{WaitingRequests: 1})
	r := Request{Prompt: ids(1, 3), MaxTokens: 2}
	if err := e.Pause(); err != nil {
		t.Fatal(err)
	}
	first, err := e.Submit([]context.Context{t.Context()}, []Request{r})
	if err != nil {
		t.Fatal(err)
	}
	results, err := e.DoAll(t.Context(), []Request{r, r})
	var full *QueueFullError
	if !errors.As(err, &full) || results != nil || full.Bound != "WaitingRequests" || full.Found != 3 || full.Limit != 1 || full.RetryAfter != 0 {
		t.Errorf("%v, %+v", err, results)
	}
	if err := e.Resume(); err != nil {
		t.Fatal(err)
	}
	if _, err := first[0].Wait(); err != nil {
		t.Error(err)
	}
	if results, err := e.DoAll(t.Context(), []Request{r, r}); err != nil || len(results) != 2 {
		t.Errorf("where nobody else waits: %v, %+v", err, results)
	}
}

// TestThoseTogetherWait: of requests that came together none is ended for having waited while
// another of them runs; others are.
func TestThoseTogetherWait(t *testing.T) {
	f := newFake(100, 4)
	c, submit := start(t, f, Options{Running: 1, WaitingTime: 100 * time.Millisecond})
	done := make(chan outcome, 4)
	var all []*sequence
	for _, first := range []int32{1, 11, 21, 31} {
		all = append(all, newSequence(t.Context(), Request{Prompt: ids(first, first+4), MaxTokens: 30}, nil, into(done)))
	}
	if err := c.submit(all...); err != nil {
		t.Fatal(err)
	}
	if err := c.step(); err != nil {
		t.Fatal(err)
	}
	alone := submit(t.Context(), Request{Prompt: ids(51, 55), MaxTokens: 1})
	for !c.scheduler.idle() {
		if err := c.step(); err != nil {
			t.Fatal(err)
		}
	}
	for range all {
		if o := <-done; o.err != nil || len(o.result.Tokens) != 30 {
			t.Errorf("of four together one ends with %v after %d tokens", o.err, len(o.result.Tokens))
		}
	}
	var timeout *QueueTimeoutError
	if o := <-alone; !errors.As(o.err, &timeout) || c.now().TimedOut != 1 {
		t.Errorf("the one that came alone: %v, %+v", o.err, c.now())
	}
}

// TestWaitingTime: a request that was not begun in time ends with an error; one that was begun does
// not, even where it is retracted and waits again.
func TestWaitingTime(t *testing.T) {
	f := newFake(100, 4)
	c, submit := start(t, f, Options{PrefixCache: true, Running: 1, WaitingTime: 100 * time.Millisecond})
	long := Request{Prompt: ids(1, 5), MaxTokens: 30}
	runs := submit(t.Context(), long)
	waits := submit(t.Context(), Request{Prompt: ids(11, 15), MaxTokens: 1})
	step := func() {
		t.Helper()
		if err := c.step(); err != nil {
			t.Fatal(err)
		}
		if err := c.scheduler.check(); err != nil {
			t.Fatal(err)
		}
	}
	for f.since() <= 50 {
		step()
	}
	late := submit(t.Context(), Request{Prompt: ids(21, 25), MaxTokens: 1})
	for len(waits) == 0 {
		step()
		if len(waits) == 0 && f.since() > 100+11 {
			t.Fatal("the request waits for longer than it may")
		}
	}
	var timeout *QueueTimeoutError
	if o := <-waits; !errors.As(o.err, &timeout) || timeout.Limit != 100*time.Millisecond || timeout.Waited <= timeout.Limit || o.result.Finish != FinishError || !strings.Contains(o.err.Error(), "at most 100ms are allowed") {
		t.Errorf("%v, %+v", o.err, o.result)
	}
	if c.now().TimedOut != 1 || len(late) != 0 {
		t.Errorf("%+v, expected one that timed out", c.now())
	}
	// The one that runs is retracted by hand, behind nobody, and goes on after a long pause.
	q := c.scheduler.running[0]
	c.scheduler.retract(q)
	c.scheduler.drop(func(*sequence) bool { return true })
	f.clock = f.clock.Add(time.Hour)
	step()
	if len(late) != 1 || !q.runs {
		t.Errorf("after an hour the late request is not done, or the retracted one does not run")
	}
	for !c.scheduler.idle() {
		step()
	}
	if o := <-runs; o.err != nil || len(o.result.Tokens) != 30 {
		t.Errorf("the retracted request: %v, %v", o.err, o.result.Tokens)
	}
}

// TestPace: the estimate follows the last steps, and there is none before the first.
func TestPace(t *testing.T) {
	var p pace
	if p.of(100) != 0 {
		t.Errorf("before the first step: %v", p.of(100))
	}
	for range 200 {
		p.add(1, time.Second)
	}
	for range 100 {
		p.add(1000, time.Second)
	}
	if got := p.of(5000); got < 4990*time.Millisecond || got > 5010*time.Millisecond {
		t.Errorf("5000 tokens at 1000 a second: %v", got)
	}
}
