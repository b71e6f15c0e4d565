package serve

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"slimlab/serve/pages"
)

// TestSnapshot: what each request is doing, and the tree, at one moment in which all states occur.
func TestSnapshot(t *testing.T) {
	f := newFake(40, 4)
	c, submit := start(t, f, Options{PrefixCache: true, BatchTokens: 12, Chunk: 8, Running: 3})
	step := func() {
		t.Helper()
		if err := c.step(); err != nil {
			t.Fatal(err)
		}
	}
	submit(t.Context(), Request{Prompt: ids(1, 5), MaxTokens: 8, Namespace: "a"})
	step()
	submit(t.Context(), Request{Prompt: ids(20, 40), Labels: []int32{1}})
	submit(t.Context(), Request{Prompt: join(ids(20, 35), ids(50, 52)), Labels: []int32{1}})
	step()
	submit(t.Context(), Request{Prompt: ids(50, 51), MaxTokens: 2, NoReuse: true})
	submitted := f.begun.Add(stepTime + 5*tokenTime)
	retracted := c.scheduler.running[0]
	c.scheduler.retract(retracted)
	c.scheduler.drop(func(q *sequence) bool { return q == retracted })

	got := c.snapshot(9)
	prefix := RequestState{Prompt: 21, Computed: 8, Prefill: 21, Pages: 6, SharedPages: 2, Number: 1, State: StatePrefill, Submitted: submitted}
	want := []RequestState{
		prefix,
		{Number: 0, State: StateRetracted, Namespace: "a", Prompt: 5, Prefill: 7, Generated: 2, MaxTokens: 8, Retractions: 1, Submitted: f.begun, TTFT: stepTime + 5*tokenTime, TPOT: got.Now.Sub(f.begun.Add(stepTime + 5*tokenTime))},
		{Number: 2, State: StateFollowing, Following: 1, Prompt: 19, Prefill: 19, Submitted: submitted},
		{Number: 3, State: StateWaiting, NoReuse: true, Prompt: 2, Prefill: 2, MaxTokens: 2, Submitted: submitted.Add(stepTime + 9*tokenTime)},
	}
	if !reflect.DeepEqual(got.Requests, want) {
		t.Errorf("found\n%+v\nexpected\n%+v", got.Requests, want)
	}
	tree := []pages.Node{
		{Depth: 0, Tokens: ids(20, 27), Pages: 2, Locks: 1, Used: 4},
		{Namespace: "a", Depth: 0, Tokens: ids(1, 4), Pages: 1, Used: 2},
	}
	if !reflect.DeepEqual(got.Tree.Nodes, tree) || got.Tree.LeftOut != 0 || got.LeftOut != 0 || !got.Now.Equal(f.clock) || got.Stats != c.now() {
		t.Errorf("found %+v, expected the tree %+v", got, tree)
	}

	if got.Stats.Following != 1 || got.Stats.Waiting != 3 {
		t.Errorf("%+v", got.Stats)
	}

	// A step later the retracted one generates again, from its page on.
	step()
	got = c.snapshot(9)
	if r := got.Requests[1]; r.Number != 0 || r.State != StateDecode || r.Computed != 7 || r.Generated != 3 || r.SharedPages != 1 {
		t.Errorf("the retracted request is %+v", r)
	}
	for _, most := range []int{-1, 0, 1, 3} {
		less := c.snapshot(most)
		n := max(0, most)
		if !slices.Equal(less.Requests, got.Requests[:n]) || less.LeftOut != len(got.Requests)-n || len(less.Tree.Nodes)+less.Tree.LeftOut != len(got.Tree.Nodes) {
			t.Errorf("at most %d: %+v", most, less)
		}
	}
}

// TestFollowingTheFirst: of two that compute the same page, a follower is said to wait for the one
// that was admitted first.
func TestFollowingTheFirst(t *testing.T) {
	c, submit := start(t, newFake(40, 4), Options{PrefixCache: true, BatchTokens: 8, Chunk: 4})
	for range 2 {
		submit(t.Context(), Request{Prompt: ids(1, 8), MaxTokens: 1})
	}
	submit(t.Context(), Request{Prompt: ids(1, 12), MaxTokens: 1})
	if err := c.step(); err != nil {
		t.Fatal(err)
	}
	c.scheduler.options.Chunk = 1 // so that the page is not complete after the next step
	if err := c.step(); err != nil {
		t.Fatal(err)
	}
	got := c.snapshot(9).Requests
	if len(got) != 3 || got[1].State == StateWaiting || got[2].State != StateFollowing || got[2].Following != 0 {
		t.Errorf("%+v", got)
	}
}

// TestSnapshotOfAnEngine: any goroutine may ask, also after the end.
func TestSnapshotOfAnEngine(t *testing.T) {
	e := engine(t, newFake(40, 4), Defaults())
	if _, err := e.Do(t.Context(), Request{Prompt: ids(1, 9), MaxTokens: 1}); err != nil {
		t.Fatal(err)
	}
	s, err := e.Snapshot(t.Context(), 10)
	if err != nil || len(s.Tree.Nodes) != 1 || s.Stats.Requests != 1 || s.Now.Sub(time.Unix(1_000_000, 0)) != stepTime+9*tokenTime {
		t.Errorf("%v, %+v", err, s)
	}
	e.Close()
	if _, err := e.Snapshot(t.Context(), 10); err != ErrClosed {
		t.Errorf("a closed engine: %v", err)
	}
}

// A request that runs has its times so far.
func TestTimesSoFar(t *testing.T) {
	core, submit := start(t, newFake(60, 2), Options{})
	submit(t.Context(), Request{Prompt: ids(1, 4), MaxTokens: 9})
	for n := range 4 {
		if err := core.step(); err != nil {
			t.Fatal(err)
		}
		r := core.snapshot(9).Requests[0]
		if r.Generated != n+1 || r.TTFT <= 0 || (r.TPOT > 0) != (n > 0) || r.TPOT > r.TTFT*2 {
			t.Errorf("after %d steps: %+v", n+1, r)
		}
	}
}
