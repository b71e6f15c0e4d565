package serve

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"slimlab/serve/pages"
	"slimlab/serve/sample"
)

// drafting is a fake whose logits are those of the fakes, but for one of so many sequences; with
// none all are alike.
func drafting(pages int, wrong int32) *fake {
	f := newFake(pages, 4)
	f.spoil = func(sequence []int32, logits []float32) {
		if wrong > 0 && hashOf(sequence)%uint64(wrong) == 0 {
			slices.Reverse(logits)
		}
	}
	return f
}

// check returns the first broken invariant of the engine's pages, and of the draft's.
func (c *core) check() error {
	if err := c.scheduler.check(); err != nil || c.drafter == nil {
		return err
	}
	var leases []*pages.Lease
	for _, q := range slices.Concat(c.scheduler.running, c.scheduler.waiting.list) {
		if r := &q.draft; r.lease.Table != nil {
			leases = append(leases, &r.lease)
			if r.computed > len(q.tokens) || r.lease.Shared*c.drafter.pages.Size() > r.computed {
				return fmt.Errorf("the draft has computed %d of %d tokens, and %d pages of them are shared", r.computed, len(q.tokens), r.lease.Shared)
			}
		}
	}
	return c.drafter.pages.Check(leases)
}

// TestDraftChangesNoAnswer: with a draft that is always right, one that is so sometimes and one
// that never is, alone and together, in large and small batches, with room for drafts and without,
// all answers, log-probabilities included, are those without.
func TestDraftChangesNoAnswer(t *testing.T) {
	rs := requests(rand.New(rand.NewPCG(4, 4)), 40)
	for i := range rs {
		rs[i].TopLogP = i % 3
	}
	answers := func(o Options) ([]Result, Stats) {
		for i := range rs {
			if rs[i].Constraint != nil {
				rs[i].Constraint = &everyThird{}
			}
		}
		e := engine(t, newFake(200, 4), o)
		results, err := e.DoAll(t.Context(), rs)
		if err != nil {
			t.Fatal(err)
		}
		stats, err := e.Stats()
		if err != nil {
			t.Fatal(err)
		}
		for i := range results {
			r := &results[i]
			results[i] = Result{Tokens: r.Tokens, LogP: r.LogP, Top: r.Top, Stopped: r.Stopped, LabelLogits: r.LabelLogits, Items: r.Items, Finish: r.Finish}
		}
		return results, stats
	}
	want, plain := answers(Options{PrefixCache: true})
	if plain.Drafts+plain.Drafted != 0 {
		t.Errorf("%+v without a draft", plain)
	}
	for _, c := range []struct {
		wrong int32
		least float64 // share of the drafted tokens that is accepted
		most  float64
	}{{0, 1, 1}, {2, 0.1, 0.7}, {1, 0, 0.2}} {
		for _, tokens := range []int{1, 3, MaxDraft} {
			for name, o := range map[string]Options{
				"":              {PrefixCache: true},
				"no cache":      {},
				"chunks":        {PrefixCache: true, Chunk: 5},
				"small batches": {PrefixCache: true, BatchTokens: 24},
				"a few at once": {PrefixCache: true, Running: 3},
			} {
				t.Run(fmt.Sprintf("wrong %d, %d tokens, %s", c.wrong, tokens, name), func(t *testing.T) {
					o.Draft = Draft{Executor: drafting(200, c.wrong), Tokens: tokens}
					got, stats := answers(o)
					for i := range got {
						if !reflect.DeepEqual(got[i], want[i]) {
							t.Fatalf("request %d: %+v, without a draft %+v", i, got[i], want[i])
						}
					}
					accepted := 0
					for at, n := range stats.Accepted {
						if accepted += n; at >= tokens && n > 0 {
							t.Errorf("%d tokens accepted at place %d of drafts of %d", n, at, tokens)
						}
					}
					share := float64(accepted) / float64(stats.Drafted)
					if stats.Drafts == 0 || stats.Drafted > tokens*stats.Drafts || stats.Drafted > 50 && (share < c.least || share > c.most) {
						t.Errorf("%d of %d tokens accepted in %d drafts", accepted, stats.Drafted, stats.Drafts)
					}
				})
			}
		}
	}
}

// TestRightDraftSavesSteps: with a draft of four tokens that is always right, each step gives five,
// greedy and sampled, with penalties and tokens that must not end; the draft reads each token once.
func TestRightDraftSavesSteps(t *testing.T) {
	for name, s := range map[string]sample.Settings{
		"greedy": {}, "sampled": {Temperature: 1.3, TopP: 0.9, Seed: 3}, "penalties": {Temperature: 0.9, Repetition: 1.4, Presence: 1, Frequency: 0.5, Seed: 4},
	} {
		f := drafting(100, 0)
		f.name = func([]int32) string { return "" }
		c, submit := start(t, newFake(100, 4), Options{PrefixCache: true, Draft: Draft{Executor: f}})
		r := Request{Prompt: ids(1, 9), MaxTokens: 22, MinTokens: 22, Stop: ids(0, 9), Sampling: s}
		done := submit(t.Context(), r)
		steps := 0
		for ; !c.scheduler.idle(); steps++ {
			if err := c.step(); err != nil {
				t.Fatal(err)
			}
			if err := c.check(); err != nil {
				t.Fatal(err)
			}
		}
		// The prompt and a token; four times five; the last one, which needs no draft.
		if got := c.now(); steps != 6 || got.Drafts != 4 || got.Drafted != 16 || got.Accepted != [MaxDraft]int{4, 4, 4, 4} {
			t.Errorf("%s: %d steps, %+v", name, steps, got)
		}
		if o := <-done; !slices.Equal(o.result.Tokens, expected(r).Tokens) {
			t.Errorf("%s: %v, want %v", name, o.result.Tokens, expected(r).Tokens)
		}
		// Each draft first reads the last token of the one before, and the token after it.
		var reads []string
		for line := range strings.Lines(f.log.String()) {
			reads = append(reads, strings.Fields(line)[1])
		}
		if want := strings.Fields("0-10 10-11 11-12 12-13 13-15 15-16 16-17 17-18 18-20 20-21 21-22 22-23 23-25 25-26 26-27 27-28"); !slices.Equal(reads, want) {
			t.Errorf("%s: the draft reads %v, want %v", name, reads, want)
		}
	}
}

// TestDraftOfALongPrompt: a draft reads no more of all prompts in a step than a step may compute,
// and foretells when it has read all.
func TestDraftOfALongPrompt(t *testing.T) {
	draft := drafting(100, 0)
	c, submit := start(t, newFake(100, 4), Options{BatchTokens: 32, Draft: Draft{Executor: draft, Tokens: 2}})
	submit(t.Context(), Request{Prompt: make([]int32, 100), MaxTokens: 40})
	submit(t.Context(), Request{Prompt: make([]int32, 20), MaxTokens: 40})
	var drafted []int
	for !c.scheduler.idle() {
		if err := c.step(); err != nil {
			t.Fatal(err)
		}
		drafted = append(drafted, c.stats.Drafted)
	}
	// Four steps compute the prompts and give a token each. In three more the draft reads 96
	// tokens, in the next the others.
	if want := []int{0, 0, 0, 0, 0, 0, 0, 4, 8}; !slices.Equal(drafted[:len(want)], want) || draft.largest > 32 {
		t.Errorf("tokens drafted by the steps: %v, want %v first; %d in one", drafted, want, draft.largest)
	}
}

// TestDraftsHaveFewLogits: however many sequences there are, their drafts have no more rows of
// logits than memory for them.
func TestDraftsHaveFewLogits(t *testing.T) {
	f := newFake(200, 4)
	c, submit := start(t, f, Options{Draft: Draft{Executor: drafting(200, 0)}})
	c.drafter.most = 9
	for i := range int32(6) {
		submit(t.Context(), Request{Prompt: ids(i, i+4), MaxTokens: 20})
	}
	for !c.scheduler.idle() {
		if err := c.step(); err != nil {
			t.Fatal(err)
		}
	}
	if f.most != 9 || c.stats.Drafts == 0 {
		t.Errorf("%d rows of logits at once in %d drafts, want 9", f.most, c.stats.Drafts)
	}
}

// TestDraftWithoutRoom: a sequence that the draft's pages or positions do not hold decodes by
// single tokens, and has a draft as soon as another has left.
func TestDraftWithoutRoom(t *testing.T) {
	draft := drafting(8, 0)
	draft.shape.Positions = 40
	c, submit := start(t, newFake(200, 4), Options{PrefixCache: true, Draft: Draft{Executor: draft, Tokens: 2}})
	long := submit(t.Context(), Request{Prompt: ids(1, 30), MaxTokens: 20}) // beyond the positions
	first := submit(t.Context(), Request{Prompt: ids(2, 10), MaxTokens: 15})
	second := submit(t.Context(), Request{Prompt: ids(3, 10), MaxTokens: 20})
	var draftedAt []bool // of the second
	for !c.scheduler.idle() {
		if err := c.step(); err != nil {
			t.Fatal(err)
		}
		if err := c.check(); err != nil {
			t.Fatal(err)
		}
		drafts := false
		for _, q := range c.scheduler.running {
			if len(q.Prompt) == 30 && len(q.draft.tokens) > 0 {
				t.Error("a sequence has a draft of more positions than the draft has")
			}
			drafts = drafts || len(q.Prompt) == 8 && len(q.draft.tokens) > 0
		}
		draftedAt = append(draftedAt, drafts)
	}
	if i := slices.Index(draftedAt, true); i < 4 || i > 8 {
		t.Errorf("the second sequence has drafts in steps %v", draftedAt)
	}
	for _, done := range []<-chan outcome{long, first, second} {
		if o := <-done; o.result.Finish != FinishLength {
			t.Errorf("%+v", o)
		}
	}
}

// TestDraftRefusals: a draft of another vocabulary, and too many tokens; a draft that breaks ends
// the engine, one whose logits are no numbers only its drafts.
func TestDraftRefusals(t *testing.T) {
	other := newFake(10, 4)
	other.shape.Vocabulary = 61
	for want, d := range map[string]Draft{
		"the draft has a vocabulary of 61 tokens, the model one of 60": {Executor: other},
		"a draft of 17 tokens, expected 1 to 16":                       {Executor: newFake(10, 4), Tokens: 17},
		"a draft of -1 tokens":                                         {Tokens: -1},
	} {
		if _, err := New(newFake(10, 4), Options{Draft: d}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	broken := newFake(100, 4)
	broken.fail = errBroken
	r := Request{Prompt: ids(1, 5), MaxTokens: 9}
	if _, err := engine(t, newFake(100, 4), Options{Draft: Draft{Executor: broken}}).Do(t.Context(), r); err == nil || !strings.Contains(err.Error(), "draft: "+errBroken.Error()) {
		t.Errorf("a draft that fails: %v", err)
	}
	nan := newFake(100, 4)
	nan.spoil = func(sequence []int32, logits []float32) {
		if len(sequence) > 8 {
			logits[0] -= logits[0] / 0 * 0
		}
	}
	e := engine(t, newFake(100, 4), Options{Draft: Draft{Executor: nan}})
	got, err := e.Do(t.Context(), r)
	if stats, _ := e.Stats(); err != nil || !slices.Equal(got.Tokens, expected(r).Tokens) || stats.Drafted == 0 || stats.Drafted > 4 {
		t.Errorf("a draft of logits that are no numbers: %v, %v, %+v", err, got.Tokens, stats)
	}
}

// TestDraftOfACancelledRequest leaves nothing in the draft's pages but its prefixes.
func TestDraftOfACancelledRequest(t *testing.T) {
	draft := drafting(30, 0)
	c, submit := start(t, newFake(100, 4), Options{PrefixCache: true, Draft: Draft{Executor: draft}})
	for steps := range 6 {
		ctx, cancel := context.WithCancel(t.Context())
		done := submit(ctx, Request{Prompt: ids(1, 9), MaxTokens: 40})
		for range steps {
			if err := c.step(); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		if err := c.step(); err != nil {
			t.Fatal(err)
		}
		if o := <-done; o.result.Finish != FinishAbort {
			t.Errorf("%+v", o)
		}
		if err := c.check(); err != nil {
			t.Fatal(err)
		}
		if n := c.drafter.pages.Counts(); n.Free+n.Tree != 30 {
			t.Errorf("after %d steps %d of the draft's pages are free and %d in its tree", steps, n.Free, n.Tree)
		}
	}
	// 9 tokens, and those of five steps, of which a draft's last is not computed
	if n := c.drafter.pages.Counts(); n.Tree < 6 {
		t.Errorf("the draft keeps %d pages of what it has computed", n.Tree)
	}
}
