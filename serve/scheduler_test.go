package serve

import (
	"context"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"slimlab/serve/pages"
	"slimlab/serve/sample"
)

// run of ids from a to b inclusive.
func ids(a, b int32) (out []int32) {
	for ; a <= b; a++ {
		out = append(out, a)
	}
	return out
}

func join(parts ...[]int32) []int32 { return slices.Concat(parts...) }

// requests draws some that share prefixes.
func requests(rng *rand.Rand, n int) []Request {
	random := func(n int) []int32 {
		s := make([]int32, n)
		for i := range s {
			s[i] = int32(rng.IntN(60))
		}
		return s
	}
	stems := [][]int32{random(70), random(33), random(5)}
	out := make([]Request, n)
	for i := range out {
		out[i] = Request{Prompt: join(stems[rng.IntN(len(stems))], random(1+rng.IntN(20))), MaxTokens: 1 + rng.IntN(12)}
		if i > 0 && rng.IntN(2) == 0 {
			out[i].Prompt = out[rng.IntN(i)].Prompt
		}
		out[i].Namespace, out[i].NoReuse = [...]string{"", "", "a"}[rng.IntN(3)], rng.IntN(8) == 0
		switch rng.IntN(5) {
		case 1:
			out[i].Sampling = sample.Settings{Temperature: 0.8, TopK: 20, TopP: 0.9, Seed: uint64(i)}
		case 2:
			out[i].MaxTokens, out[i].Labels = 0, []int32{3, 59, 0}
		case 3:
			out[i].Stop, out[i].MinTokens = ids(0, 9), rng.IntN(out[i].MaxTokens+1)
		case 4:
			out[i].MaxTokens, out[i].Labels, out[i].LabelLogP = 0, []int32{3, 59, 0}, rng.IntN(2) == 0
			for range 1 + rng.IntN(8) {
				out[i].Items = append(out[i].Items, random(rng.IntN(18)))
			}
		}
		if rng.IntN(3) == 0 {
			out[i].Sampling.Repetition, out[i].Sampling.Frequency = 1.5, 0.3
		}
		if rng.IntN(3) == 0 {
			out[i].Constraint = &everyThird{}
		}
	}
	return out
}

// everyThird allows the tokens that differ from the sum of the answer by a multiple of three.
type everyThird struct{ sum int32 }

func (c *everyThird) Allowed(bits []uint64) {
	for token := c.sum % 3; int(token) < 64*len(bits); token += 3 {
		bits[token/64] |= 1 << (token % 64)
	}
}

func (c *everyThird) Accept(token int32) { c.sum += token }

func (c *everyThird) Fork() Constraint { fork := *c; return &fork }

type answerOf struct {
	Tokens []int32
	Labels []float32
	Items  []Score
	Finish Finish
}

func answered(r Result) answerOf { return answerOf{r.Tokens, r.LabelLogits, r.Items, r.Finish} }

// expected is the answer to a request by the fake's logits alone.
func expected(r Request) answerOf {
	if len(r.Items) > 0 {
		answer := answerOf{Finish: FinishScore}
		for _, item := range r.Items {
			answer.Items = append(answer.Items, r.ofLabels(labelRow(r, fakeLogits(join(r.Prompt, item), 60))))
		}
		return answer
	}
	sequence := slices.Clone(r.Prompt)
	var sampler sample.Sampler
	history := sample.NewHistory(r.Prompt)
	var constraint everyThird
	for {
		logits := fakeLogits(sequence, 60)
		if len(r.Labels) > 0 {
			return answerOf{Labels: r.ofLabels(labelRow(r, logits)).LabelLogits, Finish: FinishScore}
		}
		token := []int32{0}
		row := sample.Row{Logits: logits, Settings: r.Sampling, Position: len(sequence), History: history}
		if r.Constraint != nil {
			row.Allowed = []uint64{0}
			constraint.Allowed(row.Allowed)
		}
		if len(sequence)-len(r.Prompt) < r.MinTokens {
			row.Banned = r.Stop
		}
		sampler.Choose(token, []sample.Row{row})
		history.Add(token[0])
		constraint.Accept(token[0])
		answer := answerOf{Tokens: sequence[len(r.Prompt):], Finish: FinishStop}
		if len(answer.Tokens) == 0 {
			answer.Tokens = nil
		}
		if slices.Contains(r.Stop, token[0]) {
			return answer
		}
		if sequence = append(sequence, token[0]); len(sequence) == len(r.Prompt)+r.MaxTokens {
			return answerOf{Tokens: sequence[len(r.Prompt):], Finish: FinishLength}
		}
	}
}

// labelRow is what an executor gives for a request's labels.
func labelRow(r Request, logits []float32) (row []float32) {
	if r.LabelLogP {
		return logits
	}
	for _, l := range r.Labels {
		row = append(row, logits[l])
	}
	return row
}

// hashesOf are the hashes of a request's prompt, as an engine makes them.
func hashesOf(e Executor, o Options, r Request) []uint64 {
	if !o.PrefixCache || r.NoReuse {
		return nil
	}
	return pages.Hashes(r.Namespace, r.Prompt, e.Shape().PageSize)
}

// start makes a core on an executor, and a func that submits to it as an engine does.
func start(t *testing.T, f Executor, o Options) (*core, func(ctx context.Context, r Request) <-chan outcome) {
	t.Helper()
	o, err := o.complete()
	if err != nil {
		t.Fatal(err)
	}
	c := newCore(f, o)
	return c, func(ctx context.Context, r Request) <-chan outcome {
		t.Helper()
		_, passer := f.(Passer)
		if err := r.check(f.Shape(), passer); err != nil {
			t.Fatal(err)
		}
		done := make(chan outcome, 1)
		if err := c.submit(newSequence(ctx, r, hashesOf(f, o, r), into(done))); err != nil {
			t.Fatal(err)
		}
		return done
	}
}

// TestInvariantsUnderPressure drives the scheduler through random arrivals and cancellations in a
// cache that fits little more than one request, checks all invariants after each step, that
// everything ends, and that every answer is what it would be alone.
func TestInvariantsUnderPressure(t *testing.T) {
	recalled := 0
	for seed := range uint64(24) {
		rng := rand.New(rand.NewPCG(seed, 5))
		f := newFake(110/[]int{1, 2, 4}[seed%3], []int{1, 2, 4}[seed%3])
		o := Options{
			PrefixCache: seed%4 != 3, BatchTokens: 40, Chunk: 16, Policy: Policies()[seed%5], Passes: 1 + rng.IntN(20),
			Reserve: 0.01 + 0.99*rng.Float64(), Eviction: pages.Evictions()[rng.IntN(3)], RecallBytes: []int64{0, 1000, 20000}[rng.IntN(3)],
		}
		if seed%2 == 0 {
			o.Draft = Draft{Executor: drafting(40, int32(seed%5)), Tokens: 1 + int(seed%7)}
		}
		c, submit := start(t, f, o)
		type open struct {
			Request
			done   <-chan outcome
			cancel context.CancelFunc
		}
		var all []open
		step := func() {
			if err := c.step(); err != nil {
				t.Fatal(err)
			}
			if err := c.check(); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range requests(rng, 40) {
			if n := len(c.scheduler.running); n > 0 && rng.IntN(4) == 0 { // retracted without need
				q := c.scheduler.running[rng.IntN(n)]
				c.scheduler.retract(q)
				c.scheduler.drop(func(r *sequence) bool { return q == r })
			}
			ctx, cancel := context.WithCancel(context.Background())
			all = append(all, open{r, submit(ctx, r), cancel})
			for range rng.IntN(3) {
				step()
			}
			if rng.IntN(5) == 0 {
				all[rng.IntN(len(all))].cancel()
			}
		}
		for steps := 0; !c.scheduler.idle(); steps++ {
			if steps > 5000 {
				t.Fatalf("seed %d: %d waiting and %d running requests do not end", seed, len(c.scheduler.waiting.list), len(c.scheduler.running))
			}
			step()
		}
		for i, a := range all {
			a.cancel()
			if len(a.done) != 1 {
				t.Fatalf("request %d has %d results", i, len(a.done))
			}
			o := <-a.done
			got, want := answered(o.result), expected(a.Request)
			if got.Finish == FinishAbort {
				if o.err == nil || len(got.Tokens) > len(want.Tokens) || !slices.Equal(got.Tokens, want.Tokens[:len(got.Tokens)]) {
					t.Errorf("seed %d: request %d was aborted at %v of %v, error %v", seed, i, got.Tokens, want.Tokens, o.err)
				}
			} else if !reflect.DeepEqual(got, want) || o.err != nil {
				t.Errorf("seed %d: request %d: %v, alone %v, error %v", seed, i, got, want, o.err)
			}
		}
		recalled += c.stats.Recalled
		if f.largest > 40 {
			t.Errorf("a batch has %d tokens, expected at most 40", f.largest)
		}
		c.scheduler.pages.Flush()
		if free := c.scheduler.pages.Counts().Free; free != f.shape.Pages {
			t.Errorf("%d of %d pages are free after a flush", free, f.shape.Pages)
		}
		if n := len(c.scheduler.count); n != 0 {
			t.Errorf("%d pages are promised when nothing runs", n)
		}
		if c.drafter != nil {
			c.flush()
			if n := c.drafter.pages.Counts(); n.Free != 40 {
				t.Errorf("%d of 40 pages of the draft are free after a flush", n.Free)
			}
			if c.stats.Drafts == 0 {
				t.Error("nothing was drafted")
			}
		}
	}
	if recalled < 10 {
		t.Errorf("%d prompts were recalled, expected more: the test is too easy", recalled)
	}
}

// TestCheckFindsWrongPromises: promises that are not those of the running requests are found, each
// kind of fault by its own words, so that the checks of the other tests mean something.
func TestCheckFindsWrongPromises(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(s *scheduler)
		want   string
	}{
		"none":                      {func(*scheduler) {}, ""},
		"a promise of no request":   {func(s *scheduler) { s.count[1]++ }, "pages are promised, running requests promise"},
		"a promise is forgotten":    {func(s *scheduler) { delete(s.count, s.running[0].hashes[9]) }, "pages are promised, running requests promise"},
		"a promise is made twice":   {func(s *scheduler) { s.count[s.running[0].hashes[9]]++ }, "is promised 2 times, by 1 running requests"},
		"a kept promise is open":    {func(s *scheduler) { q := s.running[0]; q.kept = q.lease.Shared - 1 }, "of which 1 are still promised"},
		"pages of a lease are lost": {func(s *scheduler) { s.pages.Flush(); s.running[0].lease.Table[0] = s.running[0].lease.Table[1] }, "lease"},
	} {
		c0, submit := start(t, newFake(40, 2), Options{PrefixCache: true, Chunk: 4})
		submit(context.Background(), Request{Prompt: ids(1, 20), Labels: []int32{1}})
		for range 2 {
			if err := c0.step(); err != nil {
				t.Fatal(err)
			}
		}
		s := c0.scheduler
		if q := s.running[0]; q.lease.Shared == 0 || q.kept != q.lease.Shared || len(q.hashes) != 10 {
			t.Fatalf("%d pages are shared, %d kept, of %d", q.lease.Shared, q.kept, len(q.hashes))
		}
		c.damage(s)
		if err := s.check(); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, expected %q", name, err, c.want)
		}
	}
}

// TestFollowingIsCheap: with hundreds of requests that wait and run, all with long prompts that
// begin alike, the scheduler looks at each prompt a few times in all, not once a step and running
// request.
func TestFollowingIsCheap(t *testing.T) {
	const clients, candidates, pages = 12, 40, 60 // pages of a prompt
	f := newFake(clients*(pages+candidates*2), 4)
	f.shape.Positions = 1000
	c, submit := start(t, f, Options{PrefixCache: true, BatchTokens: 24, Chunk: 4})
	var all []<-chan outcome
	for candidate := range int32(candidates) {
		for client := range int32(clients) {
			// All prompts share their first half; those of a client all but their last page.
			prompt := join(make([]int32, pages*4/2), slices.Repeat([]int32{client}, pages*4/2), []int32{candidate})
			all = append(all, submit(context.Background(), Request{Prompt: prompt, Labels: []int32{1}}))
		}
	}
	steps, visits := 0, 0
	for ; !c.scheduler.idle(); steps++ {
		visits += min(window, len(c.scheduler.waiting.list))
		if err := c.step(); err != nil {
			t.Fatal(err)
		}
	}
	shared := pages / 2
	for i, done := range all {
		want := pages * 4
		if i == 0 {
			want = 0
		} else if i < clients {
			want = shared * 4
		}
		if o := <-done; o.result.Cached != want {
			t.Fatalf("request %d found %d tokens in the cache, want %d", i, o.result.Cached, want)
		}
	}
	// Every request waits for at most two others: the one that computes the common half, and
	// its client's first. So its prompt is looked up three times.
	most := visits + 3*(pages+2)*len(all)
	if got := c.scheduler.lookups; got > most {
		t.Errorf("%d look-ups in %d steps with %d visits to waiting requests, expected at most %d", got, steps, visits, most)
	}
	if visits < 50*len(all) {
		t.Errorf("only %d visits to waiting requests: the test is too easy", visits)
	}
}

// TestOneLookUpPerWaitingRequest: a step costs a request that follows another one look-up.
func TestOneLookUpPerWaitingRequest(t *testing.T) {
	f := newFake(400, 1)
	c, submit := start(t, f, Options{PrefixCache: true, Chunk: 1})
	const n = 100
	for i := range int32(n) {
		submit(context.Background(), Request{Prompt: join(ids(1, 50), []int32{i % 60, i / 60}), Labels: []int32{1}})
	}
	for step := range 48 {
		before := c.scheduler.lookups
		if err := c.step(); err != nil {
			t.Fatal(err)
		}
		if got := c.scheduler.lookups - before; step > 0 && got != n-1 {
			t.Fatalf("step %d: %d look-ups for %d waiting requests", step, got, n-1)
		}
	}
}

// TestAStepLooksAtAWindow: however many requests wait, a step looks at so many of them, and all are
// answered in the end.
func TestAStepLooksAtAWindow(t *testing.T) {
	f := newFake(2000, 1)
	c, submit := start(t, f, Options{PrefixCache: true, Chunk: 1})
	var all []<-chan outcome
	for i := range int32(window + 100) {
		all = append(all, submit(context.Background(), Request{Prompt: join(ids(1, 10), []int32{i % 60, i / 60}), Labels: []int32{1}}))
	}
	for first := true; !c.scheduler.idle(); first = false {
		before := c.scheduler.lookups
		if err := c.step(); err != nil {
			t.Fatal(err)
		}
		// Each looks for a page that is held, for the 10 that the first request promises, and for
		// one that it does not.
		if got, most := c.scheduler.lookups-before, window*(1+10+1); first && got > most {
			t.Errorf("%d look-ups for %d requests, expected at most %d, those of %d", got, len(all), most, window)
		}
	}
	for i, done := range all {
		if o := <-done; o.err != nil || o.result.Finish != FinishScore {
			t.Fatalf("request %d: %v, %+v", i, o.err, o.result)
		}
	}
}
