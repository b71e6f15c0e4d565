package serve

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"slimlab/serve/sample"
)

// TestPromptsAreRecalled: a prompt that comes again is answered without a computed token, as far as
// the cache holds it and nothing but what follows it is asked for. The fake's logits are drawn from
// all tokens in the pages, so that each answer is the one that it should be.
func TestPromptsAreRecalled(t *testing.T) {
	greedy := Request{Prompt: ids(1, 8), MaxTokens: 3}
	with := func(change func(r *Request)) Request {
		r := greedy
		change(&r)
		return r
	}
	var told []PromptRow
	for name, c := range map[string]struct {
		first, second Request
		options       func(o *Options)
		between       func(c *core)
		cached        int  // of the second
		recalled      bool // the second
	}{
		"again":                    {first: greedy, second: greedy, cached: 8, recalled: true},
		"by other settings":        {first: greedy, second: with(func(r *Request) { r.Sampling = sample.Settings{Temperature: 0.9, TopK: 30, Seed: 7} }), cached: 8, recalled: true},
		"after penalties":          {first: with(func(r *Request) { r.Sampling.Repetition, r.Sampling.Frequency = 1.7, 0.4 }), second: greedy, cached: 8, recalled: true},
		"with penalties":           {first: greedy, second: with(func(r *Request) { r.Sampling.Repetition, r.Sampling.Frequency = 1.7, 0.4 }), cached: 8, recalled: true},
		"with a constraint":        {first: greedy, second: with(func(r *Request) { r.Constraint = &everyThird{} }), cached: 8, recalled: true},
		"one token alone":          {first: with(func(r *Request) { r.MaxTokens = 1 }), second: with(func(r *Request) { r.MaxTokens = 1 }), cached: 8, recalled: true},
		"an end inside a page":     {first: Request{Prompt: ids(1, 10), MaxTokens: 4}, second: Request{Prompt: ids(1, 10), MaxTokens: 4}, cached: 10, recalled: true},
		"a page that is not whole": {first: Request{Prompt: ids(1, 10), MaxTokens: 1}, second: Request{Prompt: ids(1, 10), MaxTokens: 1}, cached: 10, recalled: true},
		"shorter than a page":      {first: Request{Prompt: ids(1, 2), MaxTokens: 1}, second: Request{Prompt: ids(1, 2), MaxTokens: 3}, cached: 2, recalled: true},
		"longer than such a page":  {first: Request{Prompt: ids(1, 10), MaxTokens: 1}, second: Request{Prompt: ids(1, 11), MaxTokens: 1}, cached: 10},
		"a page of labels":         {first: Request{Prompt: ids(1, 10), Labels: []int32{3}}, second: Request{Prompt: ids(1, 10), MaxTokens: 1}, cached: 8},
		"a longer one":             {first: greedy, second: with(func(r *Request) { r.Prompt = ids(1, 9) }), cached: 8},
		"a shorter one":            {first: greedy, second: with(func(r *Request) { r.Prompt = ids(1, 7) }), cached: 6},
		"another namespace":        {first: greedy, second: with(func(r *Request) { r.Namespace = "a" })},
		"without reuse":            {first: greedy, second: with(func(r *Request) { r.NoReuse = true })},
		"nothing left":             {first: with(func(r *Request) { r.NoReuse = true }), second: greedy},
		"labels":                   {first: greedy, second: Request{Prompt: ids(1, 8), Labels: []int32{3, 4}}, cached: 7},
		"after labels":             {first: Request{Prompt: ids(1, 8), Labels: []int32{3, 4}}, second: greedy, cached: 7},
		"the prompt's places":      {first: greedy, second: with(func(r *Request) { r.PromptLogP = &PromptLogP{Each: func(row PromptRow) { told = append(told, row) }} })},
		"flushed":                  {first: greedy, second: greedy, between: (*core).flush},
		"evicted":                  {first: greedy, second: greedy, between: func(c *core) { c.scheduler.pages.Flush() }},
		"nothing kept":             {first: greedy, second: greedy, options: func(o *Options) { o.RecallBytes = 0 }, cached: 7},
		"no room for one":          {first: greedy, second: greedy, options: func(o *Options) { o.RecallBytes = 4*(60+8) - 1 }, cached: 7},
		"room for one":             {first: greedy, second: greedy, options: func(o *Options) { o.RecallBytes = 4 * (60 + 8) }, cached: 8, recalled: true},
		"no cache":                 {first: greedy, second: greedy, options: func(o *Options) { o.PrefixCache = false }},
		"a draft":                  {first: greedy, second: greedy, options: func(o *Options) { o.Draft = Draft{Executor: drafting(40, 3)} }, cached: 8, recalled: true},
	} {
		o := Defaults()
		if c.options != nil {
			c.options(&o)
		}
		core, submit := start(t, newFake(100, 4), o)
		run := func(r Request) (result Result) {
			done := submit(context.Background(), r)
			for !core.idle() {
				if err := core.step(); err != nil {
					t.Fatal(err)
				}
				if err := core.check(); err != nil {
					t.Fatal(err)
				}
			}
			got := <-done
			if got.err != nil || !reflect.DeepEqual(answered(got.result), expected(r)) {
				t.Errorf("%s: %v, expected %v; %v", name, answered(got.result), expected(r), got.err)
			}
			return got.result
		}
		run(c.first)
		if c.between != nil {
			c.between(core)
		}
		before := core.stats
		second := run(c.second)
		recalled, computed := core.stats.Recalled-before.Recalled == 1, core.stats.ComputedTokens-before.ComputedTokens
		if recalled != c.recalled || second.Cached != c.cached {
			t.Errorf("%s: recalled %t, %d cached tokens, expected %t and %d", name, recalled, second.Cached, c.recalled, c.cached)
		}
		if steps := core.stats.Steps - before.Steps; c.recalled && c.second.MaxTokens == 1 && (steps != 1 || core.stats.Batch != 1 || core.stats.BatchTokens != 0) {
			t.Errorf("%s: %d steps, the last of %d parts and %d tokens, expected one step of a part", name, steps, core.stats.Batch, core.stats.BatchTokens)
		}
		if c.recalled && (!second.FirstToken.Equal(second.Submitted) || computed >= max(1, c.second.MaxTokens) && o.Draft.Executor == nil) {
			t.Errorf("%s: the first token came after %v, %d tokens were computed", name, second.TTFT(), computed)
		}
	}
	if len(told) != 7 {
		t.Errorf("%d places were told, expected 7", len(told))
	}
}

// TestSiblingsAreRecalled: of requests with one prompt that come together, the first computes it
// and the others need nothing of it; one whose buffer the caller writes to again is none of them.
func TestSiblingsAreRecalled(t *testing.T) {
	e := engine(t, newFake(100, 4), Defaults())
	var all []Request
	for seed := range uint64(4) {
		all = append(all, Request{Prompt: ids(1, 12), MaxTokens: 2, Sampling: sample.Settings{Temperature: 1, Seed: seed}})
	}
	results, err := e.DoAll(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range results {
		if want := expected(all[i]); !reflect.DeepEqual(answered(r), want) || i > 0 && r.Cached != 12 {
			t.Errorf("%d: %v with %d cached tokens, expected %v", i, r.Tokens, r.Cached, want.Tokens)
		}
	}
	if s := statsOf(t, e); s.Recalled != 3 || s.ComputedTokens != 12+4 {
		t.Errorf("%d were recalled and %d tokens computed, expected 3 and 16", s.Recalled, s.ComputedTokens)
	}
	prompt := ids(20, 31)
	first, err := e.Do(t.Context(), Request{Prompt: prompt, MaxTokens: 1})
	if err != nil {
		t.Fatal(err)
	}
	written := slices.Clone(prompt)
	prompt[3] = 7
	for p, cached := range map[*[]int32]int{&prompt: 3, &written: 12} {
		got, err := e.Do(t.Context(), Request{Prompt: *p, MaxTokens: 1})
		if want := expected(Request{Prompt: *p, MaxTokens: 1}); err != nil || !slices.Equal(got.Tokens, want.Tokens) || got.Cached != cached {
			t.Errorf("%v: %v after %v, %d cached tokens, expected %v and %d; %v", *p, got.Tokens, first.Tokens, got.Cached, want.Tokens, cached, err)
		}
	}
}

// TestSiblingsOfAnyLength: the first of requests with one prompt of a page or more computes it, in
// one step or several, and the others nothing of it, whether it ends with a page or within one; a
// prompt of less is computed by each, beside each other. One of them that leaves, or that is
// retracted, costs the others no answer.
func TestSiblingsOfAnyLength(t *testing.T) {
	const siblings, most = 4, 5
	for length := int32(1); length <= 13; length++ {
		for _, chunk := range []int{0, 3, 4} {
			for _, loss := range []string{"", "leaves", "is retracted"} {
				o := Defaults()
				o.Chunk = chunk
				core, submit := start(t, newFake(100, 4), o)
				name := fmt.Sprintf("%d tokens in chunks of %d, the first %s", length, chunk, loss)
				var all []Request
				var done []<-chan outcome
				ctx, leave := context.WithCancel(t.Context())
				for i := range siblings {
					all = append(all, Request{Prompt: ids(1, length), MaxTokens: most, Sampling: sample.Settings{Temperature: 1, Seed: uint64(i)}})
					if i > 0 {
						ctx = t.Context()
					}
					done = append(done, submit(ctx, all[i]))
				}
				for steps := 1; !core.idle(); steps++ {
					if err := cmp.Or(core.step(), core.check()); err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					if q := core.scheduler.running; steps == 1 && len(q) > 0 {
						switch loss {
						case "leaves":
							leave()
						case "is retracted":
							core.scheduler.retract(q[0])
							core.scheduler.drop(func(q *sequence) bool { return !q.runs })
						}
					}
				}
				leave()
				for i := range done {
					got := <-done[i]
					if i == 0 && loss == "leaves" {
						continue
					}
					if want := expected(all[i]); got.err != nil || !slices.Equal(got.result.Tokens, want.Tokens) {
						t.Errorf("%s: %d is %v, %v, expected %v", name, i, got.result.Tokens, got.err, want.Tokens)
					}
				}
				if s := core.stats; loss == "" && length >= 4 && (s.Recalled != siblings-1 || s.ComputedTokens != int(length)+siblings*(most-1)) {
					t.Errorf("%s: %d were recalled and %d tokens computed, expected %d and %d", name, s.Recalled, s.ComputedTokens, siblings-1, int(length)+siblings*(most-1))
				} else if loss == "" && chunk == 0 && length < 4 && (s.Recalled != 0 || s.Steps != most) {
					t.Errorf("%s: %d were recalled in %d steps, expected 0 in %d", name, s.Recalled, s.Steps, most)
				}
				if n := len(core.scheduler.tails) + len(core.scheduler.count); n > 0 {
					t.Errorf("%s: %d pages and logits are still offered", name, n)
				}
			}
		}
	}
}

// TestSiblingsWithoutRoom: where nothing can be kept of a prompt nobody waits for what follows it.
func TestSiblingsWithoutRoom(t *testing.T) {
	o := Defaults()
	o.RecallBytes = 4 * (60 + 9)
	core, submit := start(t, newFake(100, 4), o)
	for range 3 {
		submit(t.Context(), Request{Prompt: ids(1, 10), MaxTokens: 1})
	}
	for !core.idle() {
		if err := cmp.Or(core.step(), core.check()); err != nil {
			t.Fatal(err)
		}
	}
	if s := core.stats; s.Steps != 2 || s.ComputedTokens != 10+2*2 || s.Recalled != 0 {
		t.Errorf("%d steps of %d tokens, %d recalled, expected 2, 14 and 0", s.Steps, s.ComputedTokens, s.Recalled)
	}
}

// TestRecallComparesPrompts: a hash that two prompts have finds the right one or none, and a
// request that leaves nothing leaves no logits.
func TestRecallComparesPrompts(t *testing.T) {
	r := newRecall(Defaults(), newFake(10, 4).shape)
	of := func(namespace string, prompt []int32) *sequence {
		q := newSequence(t.Context(), Request{Prompt: prompt, MaxTokens: 1, Namespace: namespace}, nil, nil)
		q.promptHash = 9
		return q
	}
	r.keep(of("", ids(1, 8)), []float32{1})
	if r.find(of("", ids(1, 8))) == nil || r.find(of("", ids(1, 7))) != nil || r.find(of("a", ids(1, 8))) != nil {
		t.Error("the prompt is not found, or another one is")
	}
	hash := func(namespace string, prompt []int32) uint64 {
		q := newSequence(t.Context(), Request{Prompt: prompt, MaxTokens: 1, Namespace: namespace}, nil, nil)
		r.begin(q)
		return q.promptHash
	}
	if a := hash("", ids(1, 8)); a != hash("", ids(1, 8)) || a == hash("", ids(1, 7)) || a == hash("a", ids(1, 8)) {
		t.Error("prompts of one hash differ, or equal ones have two")
	}
	alone := of("", ids(1, 9))
	alone.NoReuse, alone.promptHash = true, 10
	r.keep(alone, []float32{1})
	if len(r.prompts) != 1 {
		t.Errorf("%d prompts are kept, expected 1", len(r.prompts))
	}
}

// TestWhatIsSaidToBeRecalled: as many prompts of one token are kept as are said to be at most,
// and a prompt of as many tokens as one may have is, and of one more is not.
func TestWhatIsSaidToBeRecalled(t *testing.T) {
	const vocabulary = 60
	for bytes, want := range map[int64]struct {
		prompts int
		longest int64
	}{
		0: {0, 0}, 4 * vocabulary: {0, 0}, 4*(vocabulary+1) - 1: {0, 0}, 4 * (vocabulary + 1): {1, 1}, 4 * (vocabulary + 8): {1, 8},
		8*(vocabulary+1) - 1: {1, vocabulary + 1}, 12 * (vocabulary + 1): {3, 2*vocabulary + 3}, 1 << 30: {mostRecalled, 1<<28 - vocabulary},
	} {
		prompts, longest := RecalledPrompts(bytes, vocabulary)
		if prompts != want.prompts || longest != want.longest {
			t.Errorf("of %d bytes: %d prompts, one of %d tokens, expected %d and %d", bytes, prompts, longest, want.prompts, want.longest)
		}
		o := Defaults()
		o.RecallBytes = bytes
		keeps := func(r *recall, length int64, first int) {
			q := newSequence(t.Context(), Request{Prompt: make([]int32, length), MaxTokens: 1}, nil, nil)
			q.Prompt[0] = int32(first)
			r.begin(q)
			r.keep(q, make([]float32, vocabulary))
		}
		r := newRecall(o, newFake(100, 4).shape)
		for first := range prompts + 3 {
			keeps(&r, 1, first)
		}
		if len(r.prompts) != prompts || r.held > bytes {
			t.Errorf("of %d bytes: %d prompts are kept in %d bytes, expected %d", bytes, len(r.prompts), r.held, prompts)
		}
		for more, kept := range map[int64]bool{0: longest > 0, 1: false} {
			if r = newRecall(o, newFake(100, 4).shape); bytes < 1<<20 {
				if keeps(&r, max(1, longest+more), 1); len(r.prompts) == 1 != kept {
					t.Errorf("of %d bytes: a prompt of %d tokens is kept: %t", bytes, max(1, longest+more), !kept)
				}
			}
		}
	}
}

// TestRecallKeepsTheLatest: what was asked for longest ago leaves first, and asking counts.
func TestRecallKeepsTheLatest(t *testing.T) {
	o := Defaults()
	o.RecallBytes = 3 * 4 * (60 + 8)
	core, submit := start(t, newFake(100, 4), o)
	var order []bool
	for _, first := range []int32{0, 10, 20, 0, 30, 10, 0, 30, 20} {
		before := core.stats.Recalled
		submit(context.Background(), Request{Prompt: ids(first, first+7), MaxTokens: 1})
		for !core.idle() {
			if err := core.step(); err != nil {
				t.Fatal(err)
			}
		}
		order = append(order, core.stats.Recalled > before)
		if r := &core.recall; len(r.prompts) > 3 || r.held != int64(len(r.prompts))*4*(60+8) {
			t.Fatalf("%d prompts are kept in %d bytes, expected 3 at most, %d bytes each", len(r.prompts), r.held, 4*(60+8))
		}
	}
	if want := []bool{false, false, false, true, false, false, true, true, false}; !slices.Equal(order, want) {
		t.Errorf("recalled are %v, expected %v", order, want)
	}
}

// TestFlushForgetsForThoseThatWait: weights that change between a flush and the admission of a
// request that waited before it answer that request.
func TestFlushForgetsForThoseThatWait(t *testing.T) {
	f := newFake(100, 4)
	o := Defaults()
	o.Running = 1
	core, submit := start(t, f, o)
	step := func() {
		if err := core.step(); err != nil {
			t.Fatal(err)
		}
	}
	known := Request{Prompt: ids(1, 8), MaxTokens: 1}
	submit(context.Background(), known)
	step()
	submit(context.Background(), Request{Prompt: ids(20, 30), MaxTokens: 4})
	step()
	waits := submit(context.Background(), known)
	step()
	if len(core.scheduler.waiting.list) != 1 || core.scheduler.waiting.list[0].recalled == nil {
		t.Fatal("no request waits that would be recalled")
	}
	core.flush()
	f.spoil = func(_ []int32, logits []float32) { logits[5] = 100 }
	for !core.idle() {
		step()
	}
	if got := (<-waits).result; !slices.Equal(got.Tokens, []int32{5}) || got.Cached != 0 {
		t.Errorf("%v with %d cached tokens, expected token 5 of the new weights", got.Tokens, got.Cached)
	}
	waits = submit(context.Background(), known)
	step()
	if got := (<-waits).result; !slices.Equal(got.Tokens, []int32{5}) || got.Cached != 8 {
		t.Errorf("again %v with %d cached tokens, expected token 5 of the new weights and 8", got.Tokens, got.Cached)
	}
}

// TestRetractedRequestsAreNotRecalled: one that goes on behind its prompt is not answered by the
// logits after the prompt, though another has computed all of its tokens.
func TestRetractedRequestsAreNotRecalled(t *testing.T) {
	core, submit := start(t, newFake(100, 1), Defaults())
	step := func() {
		if err := core.step(); err != nil {
			t.Fatal(err)
		}
	}
	r := Request{Prompt: ids(1, 8), MaxTokens: 12}
	submit(context.Background(), r)
	step()
	second := submit(context.Background(), r)
	for range 3 {
		step()
	}
	q := core.scheduler.running[1]
	core.scheduler.retract(q)
	core.scheduler.drop(func(other *sequence) bool { return other == q })
	core.scheduler.waiting.remove(func(*sequence) bool { return true })
	for range 3 { // in which the first goes on alone
		step()
	}
	core.scheduler.waiting.putBack(q)
	for !core.idle() {
		step()
	}
	if got, want := (<-second).result.Tokens, expected(r).Tokens; !slices.Equal(got, want) || core.stats.Recalled != 1 || core.stats.Retractions+core.scheduler.retractions != 1 {
		t.Errorf("%v, %d were recalled, %d retracted, expected %v, 1 and 1", got, core.stats.Recalled, core.scheduler.retractions, want)
	}
}
