package serve

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestPolicies: the order in which each policy begins requests that wait together. Each starts with
// its own token; "hot" and "warm" have prefixes that are cached, of 16 and 8 tokens.
func TestPolicies(t *testing.T) {
	hot, warm := ids(0, 15), ids(20, 27)
	waiting := []struct {
		name   string
		prompt []int32
	}{
		{"cold", ids(30, 49)}, {"short", ids(50, 51)}, {"warm", join(warm, ids(40, 43))}, {"hot", join(hot, ids(50, 58))}, {"hotter", join(hot, ids(40, 40))}, {"last", ids(52, 56)},
	}
	for _, c := range []struct {
		options Options
		want    string
	}{
		{Options{Policy: FCFS}, "cold short warm hot hotter last"},
		{Options{Policy: LPM}, "hot hotter warm cold short last"},
		{Options{Policy: KLPM, Turn: 2}, "hot cold hotter short warm last"},
		// two requests were admitted before
		{Options{Policy: KLPM, Turn: 3}, "cold hot hotter short warm last"},
		{Options{Policy: KLPM, Turn: 1}, "cold short warm hot hotter last"},
		// one pass is as good as all of a prompt: 20 tokens of "cold" are before the 16 of "hotter"
		{Options{Policy: AgedLPM, Aging: 1}, "hot cold warm hotter short last"},
		{Options{Policy: AgedLPM, Aging: 17}, "hot hotter warm cold short last"},
		{Options{Policy: SRPF, Aging: 1}, "hotter hot cold warm short last"},
		{Options{Policy: SRPF, Aging: 20}, "hotter short warm last hot cold"},
		{Options{Policy: LPM, Passes: 1}, "hot cold short warm hotter last"},
		{Options{Policy: LPM, Passes: 2}, "hot hotter cold short warm last"},
		{Options{}, "hot hotter warm cold short last"}, // aged-lpm
	} {
		f := newFake(100, 4)
		c.options.PrefixCache, c.options.Running = true, 1
		core, submit := start(t, f, c.options)
		for _, prefix := range [][]int32{hot, warm} {
			submit(t.Context(), Request{Prompt: prefix, Labels: []int32{1}})
			if err := core.step(); err != nil {
				t.Fatal(err)
			}
		}
		for _, w := range waiting {
			submit(t.Context(), Request{Prompt: w.prompt, Labels: []int32{1}})
		}
		var order []string
		for !core.scheduler.idle() {
			before := slices.Clone(core.scheduler.waiting.list)
			if err := core.step(); err != nil {
				t.Fatal(err)
			}
			if err := core.scheduler.check(); err != nil {
				t.Fatal(err)
			}
			for _, q := range before {
				if !slices.Contains(core.scheduler.waiting.list, q) {
					order = append(order, waiting[q.number-2].name)
				}
			}
		}
		if got := strings.Join(order, " "); got != c.want {
			t.Errorf("%+v:\nfound    %s\nexpected %s", c.options, got, c.want)
		}
	}
}

// TestPassesAreBounded: while hot requests keep coming, a cold one is served after at most Passes
// of them, under every policy and whoever follows whom; and nobody is passed by one that is no
// better.
func TestPassesAreBounded(t *testing.T) {
	for _, policy := range Policies() {
		for _, passes := range []int{1, 5, 30} {
			for seed := range uint64(6) {
				rng := rand.New(rand.NewPCG(seed, 11))
				f := newFake(60, 2)
				// Aging hardly counts, so that the bound is what helps.
				c, submit := start(t, f, Options{PrefixCache: true, Policy: policy, Passes: passes, Aging: 10_000, Running: 1 + int(seed), BatchTokens: 40, Chunk: 9})
				stem := ids(0, 29)
				hot := func() {
					submit(t.Context(), Request{Prompt: join(stem, []int32{int32(rng.IntN(60))}), MaxTokens: 1 + rng.IntN(2)})
				}
				hot()
				for !c.scheduler.idle() {
					if err := c.step(); err != nil {
						t.Fatal(err)
					}
				}
				for range 10 {
					hot()
				}
				cold := submit(t.Context(), Request{Prompt: ids(30, 59), Labels: []int32{1}})
				q := c.scheduler.waiting.list[10]
				for steps := 0; len(cold) == 0; steps++ {
					for len(c.scheduler.waiting.list) < 12 {
						hot()
					}
					if err := c.step(); err != nil {
						t.Fatal(err)
					}
					if err := c.scheduler.check(); err != nil {
						t.Fatalf("%s: %v", policy, err)
					}
					if steps > 500 {
						t.Fatalf("%s: the cold request was passed %d times, and still waits", policy, q.passes)
					}
				}
				if policy == FCFS && q.passes != 0 || q.passes > passes {
					t.Errorf("%s: the cold request was passed %d times, at most %d are allowed", policy, q.passes, passes)
				}
				if policy == LPM && passes == 30 && q.passes < 20 {
					t.Errorf("%s: the cold request was passed %d times: the test is too easy", policy, q.passes)
				}
			}
		}
	}
}

// TestEqualsGoByArrival: under every policy, requests that are alike are begun as they came, also
// where others are among them.
func TestEqualsGoByArrival(t *testing.T) {
	for _, policy := range Policies() {
		c, submit := start(t, newFake(400, 4), Options{PrefixCache: true, Policy: policy, Running: 3})
		for i := range int32(40) {
			submit(t.Context(), Request{Prompt: make([]int32, 1+i%7*i%3), MaxTokens: 1 + int(i)%3, NoReuse: true})
		}
		last := map[int]int{} // to be begun, of those with prompts of a length
		for !c.scheduler.idle() {
			before := slices.Clone(c.scheduler.waiting.list)
			if err := c.step(); err != nil {
				t.Fatal(err)
			}
			for _, q := range before {
				if slices.Contains(c.scheduler.waiting.list, q) {
					continue
				}
				if at, ok := last[len(q.Prompt)]; ok && at > q.number {
					t.Errorf("%s: request %d was begun after request %d", policy, q.number, at)
				}
				last[len(q.Prompt)] = q.number
			}
		}
		if passes := c.now().Passes; len(last) < 3 || policy == SRPF && passes == 0 || policy != SRPF && passes != 0 {
			t.Errorf("%s: %d passes among prompts of %d lengths", policy, passes, len(last))
		}
	}
}

// members is a workload of members with many candidates each, of whom few are often asked for: what
// each policy computes of it, and how long requests wait.
func members(t *testing.T, policy Policy) (computed int, median, worst time.Duration) {
	const requests, stem = 2000, 100
	rng := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(rng, 1.2, 1, 99)
	f := &instant{newFake(300, 4)}
	c, submit := start(t, f, Options{PrefixCache: true, Policy: policy, BatchTokens: 256, Running: 8})
	var all []<-chan outcome
	due := f.clock
	for len(all) < requests || !c.scheduler.idle() {
		for len(all) < requests && !due.After(f.clock) {
			member := int32(zipf.Uint64())
			prompt := slices.Repeat([]int32{member % 60, member / 60}, stem/2)
			for range 4 {
				all = append(all, submit(context.Background(), Request{Prompt: join(prompt, []int32{int32(rng.IntN(60)), int32(rng.IntN(60))}), Labels: []int32{1}}))
			}
			due = due.Add(time.Duration(rng.ExpFloat64() * float64(45*time.Millisecond)))
		}
		if c.scheduler.idle() {
			f.clock = due
			continue
		}
		if err := c.step(); err != nil {
			t.Fatal(err)
		}
	}
	var waits []time.Duration
	for _, done := range all {
		r := (<-done).result
		waits = append(waits, r.FirstToken.Sub(r.Submitted))
	}
	slices.Sort(waits)
	return c.stats.ComputedTokens, waits[len(waits)/2], waits[len(waits)-1]
}

// TestPoliciesUnderLoad: what the default is chosen for. On members of whom few are asked for
// often, with more requests than the engine can serve by arrival, it computes less, and both most
// requests and the last one wait less.
func TestPoliciesUnderLoad(t *testing.T) {
	fewest, shortest, longest := members(t, FCFS)
	for _, p := range Policies()[1:] {
		computed, median, worst := members(t, p)
		t.Logf("%-8s %d tokens computed, median wait %v, longest %v", p, computed, median.Round(time.Millisecond), worst.Round(time.Millisecond))
		if computed >= fewest || median >= shortest || worst >= longest {
			t.Errorf("%s computes %d tokens, waits are %v and at most %v; by arrival %d, %v and %v: expected less of all", p, computed, median, worst, fewest, shortest, longest)
		}
	}
	computed, median, _ := members(t, AgedLPM)
	if float64(computed) > 0.9*float64(fewest) || median > shortest/2 {
		t.Errorf("the default computes %d tokens, the median wait is %v; by arrival %d and %v: expected less than nine tenths and a half", computed, median, fewest, shortest)
	}
}
