package serve

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"

	"slimlab/serve/pages"
)

// paused is an engine in a bubble that rests from its beginning.
func paused(t *testing.T, f *fake) *Engine {
	t.Helper()
	e := engine(t, f, Defaults())
	if err := e.Pause(); err != nil {
		t.Fatal(err)
	}
	return e
}

// submitted has an engine serve a request; the outcome is there when it is done.
func submitted(ctx context.Context, e *Engine, r Request) <-chan outcome {
	done := make(chan outcome, 1)
	go func() {
		result, err := e.Do(ctx, r)
		done <- outcome{result, err}
	}()
	synctest.Wait()
	return done
}

func statsOf(t *testing.T, e *Engine) Stats {
	t.Helper()
	s, err := e.Stats()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestPause: a paused engine takes requests and steps when it is told to, one at a time, and the
// answers are those of one that was never paused.
func TestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := paused(t, newFake(40, 4))
		r := Request{Prompt: ids(1, 9), MaxTokens: 3}
		done := submitted(t.Context(), e, r)
		if s := statsOf(t, e); !s.Paused || s.Steps != 0 || s.Waiting != 1 {
			t.Fatalf("paused: %+v", s)
		}
		for steps := 1; steps <= 4; steps++ {
			if err := e.Step(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if s := statsOf(t, e); s.Steps != min(steps, 3) || s.GeneratedTokens != min(steps, 3) || (len(done) == 1) != (steps >= 3) {
				t.Fatalf("after step %d: %+v, %d outcomes", steps, s, len(done))
			}
		}
		if o := <-done; o.err != nil || !reflect.DeepEqual(o.result.Tokens, expected(r).Tokens) {
			t.Errorf("%+v, expected the tokens %v", o, expected(r).Tokens)
		}
		done = submitted(t.Context(), e, r)
		if err := e.Resume(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if o := <-done; o.err != nil || statsOf(t, e).Paused {
			t.Errorf("%+v, paused: %v", o, statsOf(t, e).Paused)
		}
		if err := e.Step(); err != ErrNotPaused {
			t.Errorf("a step of an engine that is not paused: %v", err)
		}
	})
}

// TestCallersLeaveAPausedEngine: their requests hold nothing from then on, and no step is taken.
func TestCallersLeaveAPausedEngine(t *testing.T) {
	for _, steps := range []int{0, 1} { // it waits, or it generates
		synctest.Test(t, func(t *testing.T) {
			e := paused(t, newFake(40, 4))
			ctx, cancel := context.WithCancel(t.Context())
			done := submitted(ctx, e, Request{Prompt: ids(1, 9), MaxTokens: 5})
			for range steps {
				if err := e.Step(); err != nil {
					t.Fatal(err)
				}
			}
			cancel()
			synctest.Wait()
			if s := statsOf(t, e); len(done) != 1 || s.Steps != steps || s.Waiting+s.Running+s.PrivatePages+s.LockedPages != 0 {
				t.Errorf("after %d steps: %+v, %d outcomes", steps, s, len(done))
			}
		})
	}
}

// TestCallerLeavesBeforeAPause: between the two the engine takes no step.
func TestCallerLeavesBeforeAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := paused(t, newFake(40, 4))
		ctx, cancel := context.WithCancel(t.Context())
		done := submitted(ctx, e, Request{Prompt: ids(1, 9), MaxTokens: 5})
		busy := make(chan struct{})
		if err := e.do(func(*core) { <-busy }); err != nil {
			t.Fatal(err)
		}
		go func() { _ = e.Resume() }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		go func() { _ = e.Pause() }()
		synctest.Wait()
		close(busy)
		synctest.Wait()
		if s := statsOf(t, e); len(done) != 1 || s.Steps != 0 || !s.Paused {
			t.Errorf("%+v, %d outcomes", s, len(done))
		}
	})
}

// TestPausedEngineEnds: with its executor, at a step, or closed.
func TestPausedEngineEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(40, 4)
		e := paused(t, f)
		done := submitted(t.Context(), e, Request{Prompt: ids(1, 9), MaxTokens: 5})
		f.fail = errors.New("no power")
		if err := e.Step(); !errors.Is(err, f.fail) {
			t.Errorf("the step: %v", err)
		}
		synctest.Wait()
		if o := <-done; !errors.Is(o.err, f.fail) {
			t.Errorf("the request: %+v", o)
		}
		if err := e.Resume(); !errors.Is(err, f.fail) {
			t.Errorf("afterwards: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		e := paused(t, newFake(40, 4))
		done := submitted(t.Context(), e, Request{Prompt: ids(1, 9), MaxTokens: 5})
		e.Close()
		if o := <-done; o.err != ErrClosed {
			t.Errorf("a closed engine: %+v", o)
		}
		for _, ask := range []func() error{e.Pause, e.Step, e.Resume} {
			if err := ask(); err != ErrClosed {
				t.Errorf("a closed engine: %v", err)
			}
		}
	})
}

// TestSnapshotRemembersWhatHasEnded: the newest first, no more than are asked for or remembered.
func TestSnapshotRemembersWhatHasEnded(t *testing.T) {
	f := newFake(40, 4)
	c, submit := start(t, f, Options{PrefixCache: true, Eviction: pages.LRU})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	submit(ctx, Request{Prompt: ids(1, 9), MaxTokens: 3, Namespace: "a"})
	for range remembered {
		submit(t.Context(), Request{Prompt: ids(1, 9), MaxTokens: 3})
		for !c.scheduler.idle() {
			if err := c.step(); err != nil {
				t.Fatal(err)
			}
		}
		if len(c.recent) == 2 {
			first, second := c.snapshot(9).Ended[1], c.snapshot(9).Ended[0]
			if want := (Ended{Namespace: "a", Finish: FinishAbort, Prompt: 9, At: f.begun}); first != want {
				t.Errorf("found %+v, expected %+v", first, want)
			}
			prefill, token := stepTime+9*tokenTime, stepTime+tokenTime
			if want := (Ended{Number: 1, Finish: FinishLength, Prompt: 9, Generated: 3, TTFT: prefill, TPOT: token, At: f.begun.Add(prefill + 2*token)}); second != want {
				t.Errorf("found %+v, expected %+v", second, want)
			}
		}
	}
	all := c.snapshot(1000).Ended
	if len(all) != remembered || all[0].Number != remembered || all[0].Cached != 8 || all[remembered-1].Number != 1 {
		t.Errorf("%d are remembered, from %+v to %+v", len(all), all[0], all[len(all)-1])
	}
	for _, most := range []int{-1, 0, 3} {
		if got := c.snapshot(most).Ended; len(got) != max(0, most) || most > 0 && got[0] != all[0] {
			t.Errorf("at most %d: %+v", most, got)
		}
	}
}
