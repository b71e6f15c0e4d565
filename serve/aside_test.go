package serve

import (
	"context"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// plainExecutor is a fake that is no Passer.
type plainExecutor struct{ Executor }

// TestScoresWithoutCache: requests that say so, and those that do not fit, are scored beside the
// others, one after another, and leave nothing in the pages. Those that decode get a token in every
// step meanwhile.
func TestScoresWithoutCache(t *testing.T) {
	f := newFake(6, 4)
	c, submit := start(t, f, Defaults())
	came := 0
	submit(t.Context(), Request{Prompt: ids(1, 3), MaxTokens: 20, OnToken: func(Token) { came++ }})
	rs := []Request{
		{Prompt: ids(1, 5), Labels: []int32{3, 4}, NoCache: true},
		{Prompt: ids(1, 9), Labels: []int32{3, 4}, NoCache: true, LabelLogP: true},
		{Prompt: ids(1, 30), Labels: []int32{3, 59}, Items: [][]int32{{1, 2}, {}, {7}}}, // does not fit
		{Prompt: ids(1, 4), Labels: []int32{3, 59}, Items: [][]int32{{1, 2}, {}}, LabelLogP: true, NoCache: true},
	}
	var done []<-chan outcome
	for _, r := range rs {
		done = append(done, submit(t.Context(), r))
	}
	for steps := 0; !c.idle(); steps++ {
		if steps > 200 {
			t.Fatal("the requests do not end")
		}
		if err := c.step(); err != nil {
			t.Fatal(err)
		}
		if err := c.scheduler.check(); err != nil {
			t.Fatal(err)
		}
		if want := min(steps+1, 20); came != want {
			t.Fatalf("%d tokens after %d steps beside passes, expected %d", came, steps+1, want)
		}
		if s := c.now(); steps == 1 && (s.Running != 2 || s.Waiting != 3) {
			t.Errorf("%d run and %d wait, expected one that decodes, one pass, and the others", s.Running, s.Waiting)
		}
	}
	for i, r := range rs {
		o, want := <-done[i], expected(r)
		if r.LabelLogP && len(r.Items) == 0 {
			if o.result.LabelLogP == nil {
				t.Errorf("request %d has no log-probabilities", i)
			}
		}
		got := answered(o.result)
		if o.err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("request %d: %+v, error %v, expected %+v", i, got, o.err, want)
		}
		if r := o.result; r.Cached != 0 || r.Scheduled.Before(r.Submitted) || r.FirstToken.Before(r.Scheduled) || r.End.Before(r.FirstToken) {
			t.Errorf("request %d: %+v", i, r)
		}
	}
	// 22 of the request that decodes, of which the last token is not computed and the last page not
	// whole; the others' prompts and items.
	if s := c.now(); s.ComputedTokens != 22+5+9+33+6 || s.PromptTokens != 3+5+9+33+6 || s.Requests != 5 || s.TreePages != 6 {
		t.Errorf("counters %+v", s)
	}
}

// TestPassesEndEarly: one that is cancelled makes way for the next, one whose logits are no numbers
// ends with them, and a device that fails ends the engine.
func TestPassesEndEarly(t *testing.T) {
	f := newFake(6, 4)
	c, submit := start(t, f, Defaults())
	ctx, cancel := context.WithCancel(t.Context())
	first := submit(ctx, Request{Prompt: ids(1, 9), Labels: []int32{3}, NoCache: true})
	second := submit(t.Context(), Request{Prompt: ids(1, 2), Items: [][]int32{{7, 8}, {9}}, Labels: []int32{3, 5}, NoCache: true})
	f.spoil = func(sequence []int32, logits []float32) {
		if sequence[len(sequence)-1] == 9 {
			logits[5] = float32(math.NaN())
		}
	}
	step := func() {
		t.Helper()
		if err := c.step(); err != nil {
			t.Fatal(err)
		}
	}
	step()
	cancel()
	step()
	if o := <-first; !errors.Is(o.err, context.Canceled) || o.result.Finish != FinishAbort {
		t.Errorf("a cancelled pass: %+v", o)
	}
	step()
	if o := <-second; o.result.Finish != FinishError || o.err == nil || !strings.Contains(o.err.Error(), "after token 9 at position 2 the logit of token 5 is NaN") {
		t.Errorf("a pass whose logit is NaN: %+v", o)
	}
	if !c.idle() {
		t.Error("something is left")
	}
	submit(t.Context(), Request{Prompt: ids(1, 9), Labels: []int32{3}, NoCache: true})
	f.fail = errBroken
	if err := c.step(); !errors.Is(err, errBroken) {
		t.Errorf("a broken device: %v", err)
	}
}

func TestRefusalsWithoutCache(t *testing.T) {
	whole := newFake(4, 16)
	for want, c := range map[string]struct {
		executor Executor
		request  Request
	}{
		"without a cache, expected labels":      {whole, Request{Prompt: ids(1, 2), MaxTokens: 1, NoCache: true}},
		"expected labels alone":                 {whole, Request{Prompt: ids(1, 2), Labels: []int32{1}, NoCache: true, PromptLogP: &PromptLogP{Each: func(PromptRow) {}}}},
		"which this executor does not do":       {plainExecutor{whole}, Request{Prompt: ids(1, 2), Labels: []int32{1}, NoCache: true}},
		"65 prompt and 0 new tokens need 5":     {plainExecutor{whole}, Request{Prompt: make([]int32, 65), Labels: []int32{1}}},
		"257 prompt and 0 new tokens, the":      {whole, Request{Prompt: make([]int32, 257), Labels: []int32{1}}},
		"66 prompt and 0 new tokens need 5":     {whole, Request{Prompt: make([]int32, 66), Labels: []int32{1}, PromptLogP: &PromptLogP{Each: func(PromptRow) {}}}},
		"65 prompt and 1 new tokens need 5":     {whole, Request{Prompt: make([]int32, 65), MaxTokens: 1}},
		"60 prompt and 5 new tokens need 5 pag": {plainExecutor{whole}, Request{Prompt: make([]int32, 60), Labels: []int32{1}, Items: [][]int32{make([]int32, 5), {1}}}},
	} {
		e, err := New(c.executor, Defaults())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Do(t.Context(), c.request); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, expected one with %q", err, want)
		}
		e.Close()
	}
}

// TestPassesWaitWithinBounds: requests without pages count among those that wait, in number, tokens
// and time, and are in a snapshot.
func TestPassesWaitWithinBounds(t *testing.T) {
	f := newFake(6, 4)
	r := Request{Prompt: ids(1, 9), Labels: []int32{3}, NoCache: true}
	o, err := Options{WaitingRequests: 3, WaitingTokens: 26, WaitingTime: 5 * time.Millisecond}.complete()
	if err != nil {
		t.Fatal(err)
	}
	c := newCore(f, o)
	done := make(chan outcome, 4)
	submit := func(r Request) error { return c.submit(newSequence(t.Context(), r, nil, into(done))) }
	for range 2 {
		if err := submit(r); err != nil {
			t.Fatal(err)
		}
	}
	var full *QueueFullError
	if err := submit(r); !errors.As(err, &full) || full.Bound != "WaitingTokens" || full.Found != 27 {
		t.Errorf("27 tokens of 26: %v", err)
	}
	r.Prompt = ids(1, 2)
	if err := submit(r); err != nil {
		t.Fatal(err)
	}
	if err := submit(r); !errors.As(err, &full) || full.Bound != "WaitingRequests" || full.Found != 4 {
		t.Errorf("4 requests of 3: %v", err)
	}
	if err := c.step(); err != nil {
		t.Fatal(err)
	}
	if s := c.snapshot(9); len(s.Requests) != 3 || s.Requests[0].State != StatePrefill || s.Requests[1].State != StateWaiting || s.Stats.WaitingTokens != 11 || s.Requests[2].Number != 2 {
		t.Errorf("snapshot %+v", s)
	}
	for !c.idle() {
		if err := c.step(); err != nil {
			t.Fatal(err)
		}
	}
	var late *QueueTimeoutError
	for range 2 {
		if o := <-done; !errors.As(o.err, &late) || o.result.Finish != FinishError {
			t.Errorf("a pass that waited too long: %+v", o)
		}
	}
	if o := <-done; o.err != nil || o.result.Finish != FinishScore {
		t.Errorf("the pass that had begun: %+v", o)
	}
}
