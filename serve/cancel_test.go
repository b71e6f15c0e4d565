package serve

import (
	"context"
	"errors"
	"reflect"
	"testing"
)

// TestCancelAtEveryStep: a request whose caller leaves before any step of its life, whatever it is
// doing then, holds nothing after that step; the others have the answers that they have alone.
func TestCancelAtEveryStep(t *testing.T) {
	stem := ids(0, 20)
	rs := []Request{
		{Prompt: join(stem, ids(40, 44)), MaxTokens: 9},
		{Prompt: join(stem, ids(50, 51)), MaxTokens: 20},
		{Prompt: ids(30, 45), MaxTokens: 14, NoReuse: true},
		{Prompt: join(stem, ids(50, 51)), MaxTokens: 5, Namespace: "a"},
		{Prompt: join(stem, ids(40, 45)), Labels: []int32{1}},
	}
	var want []answerOf
	for _, r := range rs {
		want = append(want, expected(r))
	}
	states := map[State]int{}
	for victim := range rs {
		for at := 0; ; at++ {
			f := newFake(12, 4)
			c, submit := start(t, f, Options{PrefixCache: true, Reserve: 0.01, BatchTokens: 12, Chunk: 5})
			ctx, cancel := context.WithCancel(t.Context())
			var all []<-chan outcome
			for i, r := range rs {
				if i != victim {
					all = append(all, submit(t.Context(), r))
				} else {
					all = append(all, submit(ctx, r))
				}
			}
			step := func() {
				t.Helper()
				if err := c.step(); err != nil {
					t.Fatal(err)
				}
				if err := c.scheduler.check(); err != nil {
					t.Fatal(err)
				}
			}
			for range at {
				step()
			}
			var state State
			for _, r := range c.snapshot(99).Requests {
				if r.Number == victim {
					state = r.State
				}
			}
			cancel()
			if state == "" { // it has ended
				break
			}
			states[state]++
			step()
			if len(all[victim]) != 1 {
				t.Fatalf("request %d was cancelled when it was %s, before step %d, and is not done after it", victim, state, at)
			}
			for _, r := range c.snapshot(99).Requests {
				if r.Number == victim {
					t.Fatalf("request %d was cancelled when it was %s, and is %+v", victim, state, r)
				}
			}
			for steps := 0; !c.scheduler.idle(); steps++ {
				if step(); steps > 1000 {
					t.Fatal("the others do not end")
				}
			}
			for i, done := range all {
				o := <-done
				got := answered(o.result)
				if i == victim {
					if n := len(got.Tokens); got.Finish != FinishAbort || !errors.Is(o.err, context.Canceled) || !reflect.DeepEqual(got.Tokens, want[i].Tokens[:n:n]) && n > 0 {
						t.Errorf("request %d, cancelled when it was %s: %+v, alone %+v, error %v", i, state, got, want[i], o.err)
					}
				} else if !reflect.DeepEqual(got, want[i]) || o.err != nil {
					t.Errorf("request %d beside a cancelled one: %+v, alone %+v, error %v", i, got, want[i], o.err)
				}
			}
			if s := c.now(); s.PrivatePages != 0 || s.LockedPages != 0 || s.WaitingTokens != 0 || s.Aborted != 1 || len(c.scheduler.count) != 0 {
				t.Errorf("at the end %+v", s)
			}
		}
	}
	for _, s := range []State{StateWaiting, StateFollowing, StatePrefill, StateDecode, StateRetracted} {
		if states[s] == 0 {
			t.Errorf("no request was cancelled when it was %s: %v", s, states)
		}
	}
}
