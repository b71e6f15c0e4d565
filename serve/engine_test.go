package serve

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sourcegraph/conc"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("slimlab/kernels/parallel.(*worker).loop"))
}

func engine(t *testing.T, f *fake, o Options) *Engine {
	t.Helper()
	e, err := New(f, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// TestFollowersWaitForTheirLeader submits candidates of one member together: the shared prefix is
// computed once.
func TestFollowersWaitForTheirLeader(t *testing.T) {
	e := engine(t, newFake(100, 4), Defaults())
	var rs []Request
	for i := range int32(5) {
		rs = append(rs, Request{Prompt: join(ids(0, 39), []int32{50 + i}), Labels: []int32{1, 2}})
	}
	results, err := e.DoAll(context.Background(), rs)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		want := 40
		if i == 0 {
			want = 0
		}
		if r.Cached != want {
			t.Errorf("candidate %d: %d cached tokens, want %d", i, r.Cached, want)
		}
		if r.FirstToken.Before(r.Scheduled) || r.Scheduled.Before(r.Submitted) || r.End.Before(r.FirstToken) {
			t.Errorf("candidate %d: times out of order: %+v", i, r)
		}
	}
	stats, err := e.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if stats.ComputedTokens != 41+4 || stats.CachedTokens != 4*40 || stats.Requests != 5 {
		t.Errorf("stats %+v, want 45 computed and 160 cached tokens", stats)
	}
}

func TestRefusals(t *testing.T) {
	e := engine(t, newFake(4, 16), Defaults())
	for want, r := range map[string]Request{
		"prompt is empty":                    {MaxTokens: 1},
		"neither labels nor tokens":          {Prompt: ids(1, 2)},
		"has 256 positions":                  {Prompt: ids(1, 2), MaxTokens: 300},
		"need 5 pages of 16":                 {Prompt: make([]int32, 64), MaxTokens: 10},
		"token 60 at position 1":             {Prompt: []int32{1, 60}, MaxTokens: 1},
		"label token -1, the vocabulary has": {Prompt: []int32{1}, Labels: []int32{-1}},
	} {
		if _, err := e.Do(context.Background(), r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	if _, err := New(newFake(4, 16), Options{Chunk: -1}); err == nil || !strings.Contains(err.Error(), "chunk -1") {
		t.Errorf("a chunk of -1 tokens: %v", err)
	}
}

func TestCancelAndClose(t *testing.T) {
	e := engine(t, newFake(100, 4), Defaults())
	ctx, cancel := context.WithCancel(context.Background())
	got := 0
	result, err := e.Do(ctx, Request{Prompt: ids(1, 5), MaxTokens: 200, OnToken: func(Token) {
		if got++; got == 3 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || result.Finish != FinishAbort || len(result.Tokens) < 3 {
		t.Errorf("cancelled request: %v, %+v", err, result)
	}
	e.Close()
	e.Close()
	if _, err := e.Do(context.Background(), Request{Prompt: ids(1, 5), MaxTokens: 1}); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed engine answered %v", err)
	}
}

// TestSubmit: of requests that were taken together, one that is left ends alone.
func TestSubmit(t *testing.T) {
	e := engine(t, newFake(100, 4), Defaults())
	ctx, cancel := context.WithCancel(t.Context())
	left := Request{Prompt: ids(1, 5), MaxTokens: 200, OnToken: func(Token) { cancel() }}
	all, err := e.Submit([]context.Context{ctx, t.Context()}, []Request{left, {Prompt: ids(1, 5), MaxTokens: 7}})
	if err != nil {
		t.Fatal(err)
	}
	first, err := all[0].Wait()
	second, other := all[1].Wait()
	if !errors.Is(err, context.Canceled) || first.Finish != FinishAbort || other != nil || second.Finish != FinishLength || len(second.Tokens) != 7 {
		t.Errorf("%v, %+v; %v, %+v", err, first, other, second)
	}
	if err := e.Pause(); err != nil {
		t.Fatal(err)
	}
	waits, err := e.Submit([]context.Context{t.Context()}, []Request{left})
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
	if _, err := waits[0].Wait(); !errors.Is(err, ErrClosed) {
		t.Errorf("a request of a closed engine: %v", err)
	}
}

// TestNamespacesAndNoReuse: a request finds what was left in its own namespace; without reuse it
// finds and leaves nothing, and follows nobody.
func TestNamespacesAndNoReuse(t *testing.T) {
	e := engine(t, newFake(100, 4), Defaults())
	prompt := ids(1, 9)
	for i, c := range []struct {
		namespace string
		noReuse   bool
		cached    int
	}{
		{"", true, 0}, {"", false, 0}, {"", true, 0}, {"", false, 9}, {"a", false, 0}, {"a", true, 0}, {"a", false, 9}, {"b", false, 0},
	} {
		// Two at once: the second follows the first, unless it is without reuse.
		r := Request{Prompt: prompt, MaxTokens: 1, Namespace: c.namespace, NoReuse: c.noReuse}
		results, err := e.DoAll(t.Context(), []Request{r, r})
		second := 9
		if c.noReuse {
			second = 0
		}
		if err != nil || results[0].Cached != c.cached || results[1].Cached != second {
			t.Errorf("%d: %d and %d tokens were cached, expected %d and %d; %v", i, results[0].Cached, results[1].Cached, c.cached, second, err)
		}
		if c.noReuse && !results[1].Scheduled.Equal(results[0].Scheduled) {
			t.Errorf("%d: the second waits for the first", i)
		}
	}
	// One of another namespace with the same prompt does not wait.
	if err := e.Flush(); err != nil {
		t.Fatal(err)
	}
	results, err := e.DoAll(t.Context(), []Request{{Prompt: prompt, MaxTokens: 1, Namespace: "a"}, {Prompt: prompt, MaxTokens: 1, Namespace: "b"}})
	if err != nil || !results[1].Scheduled.Equal(results[0].Scheduled) {
		t.Errorf("a request waits for the prefix of another namespace; %v", err)
	}
}

// TestManyCallers: many goroutines ask at once, of whom some leave; screens look on, and the cache
// is flushed. Who stays has the answer that he has alone, and at the end nothing is held.
func TestManyCallers(t *testing.T) {
	f := newFake(60, 4)
	e := engine(t, f, Options{PrefixCache: true, Reserve: 0.1, BatchTokens: 30, Chunk: 16, Passes: 20})
	var callers conc.WaitGroup
	for caller := range uint64(8) {
		callers.Go(func() {
			rng := rand.New(rand.NewPCG(caller, 21))
			for i, r := range requests(rng, 30) {
				ctx, cancel := context.WithCancel(t.Context())
				leaves := rng.IntN(4) == 0
				if seen, most := 0, rng.IntN(6); leaves {
					r.OnToken = func(Token) {
						if seen++; seen > most {
							cancel()
						}
					}
				}
				result, err := e.Do(ctx, r)
				cancel()
				got, want := answered(result), expected(r)
				switch {
				case err == nil && !reflect.DeepEqual(got, want):
					t.Errorf("request %d of caller %d: %v, alone %v", i, caller, got, want)
				case err != nil && (!leaves || !errors.Is(err, context.Canceled) || got.Finish != FinishAbort):
					t.Errorf("request %d of caller %d: %v", i, caller, err)
				}
				if _, err := e.Snapshot(t.Context(), int(caller)); err != nil {
					t.Error(err)
				}
				if rng.IntN(9) == 0 {
					if err := e.Flush(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	callers.Wait()
	s, err := e.Stats()
	if err != nil || s.Requests != 8*30 || s.Running+s.Waiting+s.WaitingTokens+s.PrivatePages+s.LockedPages != 0 || s.Aborted == 0 {
		t.Errorf("%v, %+v", err, s)
	}
}

// TestCounters: what Stats counts of a request that generates, one that stops and one that is
// scored, while they wait, while they run, and at the end.
func TestCounters(t *testing.T) {
	f := newFake(100, 4)
	c, _ := start(t, f, Options{BatchTokens: 100, Running: 2, PrefixCache: true})
	stop := expected(Request{Prompt: ids(20, 25), MaxTokens: 3}).Tokens[0]
	done := make(chan outcome, 3)
	for _, r := range []Request{
		{Prompt: ids(1, 8), MaxTokens: 3}, {Prompt: ids(20, 25), MaxTokens: 3, Stop: []int32{stop}}, {Prompt: join(ids(1, 8), []int32{9}), Labels: []int32{1}},
	} {
		if err := c.submit(newSequence(t.Context(), r, hashesOf(f, c.scheduler.options, r), into(done))); err != nil {
			t.Fatal(err)
		}
	}
	wait := stepTime + 14*tokenTime // for the first step
	for step, want := range []Stats{
		{Waiting: 3, WaitingTokens: 23, FreePages: 100},
		// two run, of which one stops at once: of its 6 tokens a whole page stays
		{Waiting: 1, WaitingTokens: 9, Running: 1, Requests: 1, Steps: 1, Batch: 2, BatchTokens: 14, Begun: 2, PromptTokens: 14, ComputedTokens: 14, GeneratedTokens: 1, FreePages: 96, TreePages: 3, LockedPages: 2, PrivatePages: 1},
		// the third is scored by one token after two cached pages
		{Running: 1, Requests: 2, Steps: 2, Batch: 2, BatchTokens: 2, Begun: 3, Hits: 1, Waited: wait, LongestWait: wait, PromptTokens: 23, CachedTokens: 8, ComputedTokens: 16, GeneratedTokens: 2, FreePages: 96, TreePages: 3, LockedPages: 2, PrivatePages: 1},
		{Requests: 3, Steps: 3, Batch: 1, BatchTokens: 1, Begun: 3, Hits: 1, Waited: wait, LongestWait: wait, PromptTokens: 23, CachedTokens: 8, ComputedTokens: 17, GeneratedTokens: 3, FreePages: 97, TreePages: 3},
	} {
		if step > 0 {
			if err := c.step(); err != nil {
				t.Fatal(err)
			}
		}
		want.Policy = AgedLPM
		if got := c.now(); got != want {
			t.Errorf("after %d steps: found\n%+v\nexpected\n%+v", step, got, want)
		}
	}
}

// TestRequestsThatJustFit: a request may fill all pages and all positions, and an engine may have a
// budget of one token; one more is refused.
func TestRequestsThatJustFit(t *testing.T) {
	for _, c := range []struct {
		pages, prompt, tokens int
		fits                  bool
	}{
		{4, 60, 4, true}, {4, 60, 5, false}, {4, 1, 63, true}, {4, 64, 1, false}, {100, 250, 6, true}, {100, 250, 7, false},
	} {
		r := Request{Prompt: make([]int32, c.prompt), MaxTokens: c.tokens}
		if err := r.check(newFake(c.pages, 16).Shape(), true); (err == nil) != c.fits {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for _, o := range []Options{{BatchTokens: 1}, {Chunk: 1}, {Running: 1}} {
		o, err := o.complete()
		if err != nil || o.Running > o.BatchTokens || o.Chunk < 1 {
			t.Errorf("%+v: %v", o, err)
		}
		if got, err := engine(t, newFake(100, 4), o).Do(t.Context(), Request{Prompt: ids(1, 5), MaxTokens: 3}); err != nil || len(got.Tokens) != 3 {
			t.Errorf("%+v: %v, %v", o, got.Tokens, err)
		}
	}
}

func TestStopToken(t *testing.T) {
	e := engine(t, newFake(100, 4), Defaults())
	full := expected(Request{Prompt: ids(1, 5), MaxTokens: 10}).Tokens
	stop := full[4]
	got, err := e.Do(context.Background(), Request{Prompt: ids(1, 5), MaxTokens: 10, Stop: []int32{stop}})
	if err != nil || got.Finish != FinishStop || !slices.Equal(got.Tokens, full[:slices.Index(full, stop)]) {
		t.Errorf("stopped with %v at %v, want %v", err, got, full[:slices.Index(full, stop)])
	}
}

// TestBrokenExecutor: requests in flight and later ones get the reason why the engine ended.
func TestBrokenExecutor(t *testing.T) {
	f := newFake(100, 4)
	f.fail = errBroken
	e := engine(t, f, Defaults())
	for range 2 {
		if _, err := e.Do(context.Background(), Request{Prompt: ids(1, 5), MaxTokens: 1}); !errors.Is(err, errBroken) {
			t.Errorf("an executor that fails gives %v", err)
		}
	}
	panics := engine(t, newFake(100, 4), Defaults())
	_, err := panics.Do(context.Background(), Request{Prompt: ids(1, 5), MaxTokens: 1, OnToken: func(Token) { panic("no more paper") }})
	if err == nil || !strings.Contains(err.Error(), "no more paper") {
		t.Errorf("a panic on the engine's goroutine gives %v", err)
	}
}

// A request whose logits are not all finite ends with an error that names the place and the logit;
// others of the same batch are served.
func TestLogitsThatAreNotFinite(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		at    int
		value float32
		want  string
	}{
		{0, nan, "the logit of token 0 is NaN"}, {59, nan, "the logit of token 59 is NaN"},
		{7, inf, "the logit of token 7 is +Inf"}, {31, -inf, "the logit of token 31 is -Inf"},
	} {
		f := newFake(100, 4)
		f.spoil = func(sequence []int32, logits []float32) {
			if len(sequence) == 6 && sequence[0] == 1 {
				logits[c.at] = c.value
			}
		}
		e := engine(t, f, Defaults())
		results, err := e.DoAll(context.Background(), []Request{{Prompt: []int32{1, 2, 3, 4, 5}, MaxTokens: 3}, {Prompt: []int32{2, 2, 3, 4, 5}, MaxTokens: 3}, {Prompt: []int32{1, 2, 3, 4, 5, 6}, Labels: []int32{8, int32(c.at)}}})
		if err == nil || !strings.Contains(err.Error(), " at position 5 "+c.want) || results[0].Finish != FinishError || len(results[0].Tokens) != 1 {
			t.Errorf("%v: %v, %+v", c, err, results[0])
		}
		if results[1].Finish != FinishLength || results[2].Finish != FinishError || results[2].LabelLogits != nil {
			t.Errorf("%v: %+v, %+v", c, results[1], results[2])
		}
		if stats, err := e.Stats(); err != nil || stats.Running != 0 {
			t.Errorf("%v: %v, %+v", c, err, stats)
		}
	}
}

// Logits whose squares do not fit float32 are finite.
func TestLargeLogitsAreFinite(t *testing.T) {
	if at := notFinite([]float32{math.MaxFloat32, -math.MaxFloat32, 0, math.SmallestNonzeroFloat32}); at != -1 {
		t.Errorf("logit %d is said not to be finite", at)
	}
	if at := notFinite(nil); at != -1 {
		t.Errorf("no logits: %d", at)
	}
}
