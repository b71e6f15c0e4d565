package serve

import (
	"context"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"slimlab/serve/sample"
)

// TestRetraction: two requests run in a cache that holds their prompts and not their answers. The
// one with fewer generated tokens gives its pages back, waits in front of all, finds its prefix
// again and goes on; its caller sees each token once.
func TestRetraction(t *testing.T) {
	f := newFake(6, 4)
	c, submit := start(t, f, Options{PrefixCache: true, Reserve: 0.01, Running: 2})
	var seen []int32
	long := Request{Prompt: ids(1, 6), MaxTokens: 12}
	short := Request{Prompt: ids(21, 27), MaxTokens: 9, Sampling: sample.Settings{Temperature: 1, Seed: 3}, OnToken: func(token Token) { seen = append(seen, token.ID) }}
	first := submit(t.Context(), long)
	step := func() {
		t.Helper()
		if err := c.step(); err != nil {
			t.Fatal(err)
		}
		if err := c.scheduler.check(); err != nil {
			t.Fatal(err)
		}
	}
	step()
	second := submit(t.Context(), short)
	third := submit(t.Context(), Request{Prompt: ids(40, 41), Labels: []int32{1}})
	for c.scheduler.retractions == 0 {
		step()
	}
	q := c.scheduler.waiting.list[0]
	if q.number != 1 || q.generated() < 2 || q.generated() != len(seen) || len(c.scheduler.waiting.list) != 2 {
		t.Fatalf("request %d of %d waits with %d generated tokens, %d seen", q.number, len(c.scheduler.waiting.list), q.generated(), len(seen))
	}
	generated := len(seen)
	for len(first) == 0 {
		if len(third) > 0 && q.runs == false {
			t.Fatal("a later request overtook one that was retracted")
		}
		step()
	}
	for !c.scheduler.idle() {
		step()
	}
	for i, done := range []<-chan outcome{first, second} {
		o := <-done
		if want := expected([]Request{long, short}[i]); o.err != nil || !slices.Equal(o.result.Tokens, want.Tokens) || o.result.Finish != want.Finish {
			t.Errorf("request %d: %v, alone %v, error %v", i, o.result.Tokens, want.Tokens, o.err)
		}
		if i == 1 && (!slices.Equal(seen, o.result.Tokens) || generated == len(seen)) {
			t.Errorf("the caller saw %v of %v, %d before the retraction", seen, o.result.Tokens, generated)
		}
	}
	if s := c.now(); s.Retractions == 0 || s.PromptTokens != 6+7+2 {
		t.Errorf("found %+v, expected a retraction, and prompts that are counted once", s)
	}
}

// TestVictim: who is retracted for room.
func TestVictim(t *testing.T) {
	make := func(number, prompt, generated int) *sequence {
		return &sequence{Request: Request{Prompt: make([]int32, prompt)}, tokens: make([]int32, prompt+generated), number: number, runs: true}
	}
	for name, c := range map[string]struct {
		running []*sequence
		want    int
	}{
		"the fewest generated tokens": {[]*sequence{make(0, 5, 3), make(1, 9, 2), make(2, 9, 4)}, 1},
		"of those the longest prompt": {[]*sequence{make(0, 5, 2), make(1, 6, 2), make(2, 4, 2), make(3, 90, 3)}, 1},
		"of those the last to arrive": {[]*sequence{make(0, 5, 2), make(2, 5, 2), make(1, 5, 2)}, 2},
		"one that runs":               {[]*sequence{{Request: Request{Prompt: ids(1, 9)}, tokens: ids(1, 9)}, make(1, 5, 2)}, 1},
	} {
		s := &scheduler{running: c.running}
		if v := s.victim(); v.number != c.want {
			t.Errorf("%s: request %d, expected %d", name, v.number, c.want)
		}
	}
}

// TestReserved: for how many tokens a request has room when it is admitted.
func TestReserved(t *testing.T) {
	for _, c := range []struct {
		share                        float64
		tokens, generated, retracted int
		want                         int
	}{
		{1, 9, 0, 0, 10 + 8}, {0.5, 9, 0, 0, 10 + 4}, {0.01, 9, 0, 0, 10 + 1}, {0.5, 1, 0, 0, 10}, {0.5, 0, 0, 0, 10},
		{1, 9, 3, 1, 10 + 8}, {0.1, 9, 3, 1, 10 + 8}, {0.1, 9, 8, 1, 10 + 8},
	} {
		q := &sequence{Request: Request{Prompt: ids(1, 10), MaxTokens: c.tokens}, tokens: ids(1, 10+int32(c.generated)), retractions: c.retracted}
		s := &scheduler{options: Options{Reserve: c.share}}
		if got := s.reserved(q); got != c.want {
			t.Errorf("%+v: %d tokens", c, got)
		}
	}
}

// TestSmallestCache: in a cache that just holds the largest request, whatever arrives when, under
// every policy and with any share of the output reserved, all requests come to their ends, with the
// answers that they have alone.
func TestSmallestCache(t *testing.T) {
	retractions := 0
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 17))
		size := []int{1, 2, 4}[seed%3]
		rs := requests(rng, 14)
		most := 0
		for i := range rs {
			// short prompts and long answers, so that more than one fits at first
			rs[i].Prompt, rs[i].MaxTokens = rs[i].Prompt[:1+rng.IntN(len(rs[i].Prompt)/2)], rs[i].MaxTokens*4
			rs[i].NoReuse = rs[i].NoReuse || seed%5 == 4
			most = max(most, (rs[i].need()+size-1)/size)
		}
		f := newFake(most, size)
		c, submit := start(t, f, Options{
			PrefixCache: seed%4 != 3, Policy: Policies()[seed%5], Reserve: []float64{0.01, 0.5, 1}[rng.IntN(3)], Passes: 1 + rng.IntN(9),
			BatchTokens: 4 + rng.IntN(60), Chunk: 4,
		})
		var all []<-chan outcome
		steps := 0
		step := func() {
			if err := c.step(); err != nil {
				t.Fatal(err)
			}
			if err := c.scheduler.check(); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if steps++; steps > 20_000 {
				t.Fatalf("seed %d: %d waiting and %d running requests do not end", seed, len(c.scheduler.waiting.list), len(c.scheduler.running))
			}
		}
		for _, r := range rs {
			all = append(all, submit(context.Background(), r))
			for range rng.IntN(6) {
				step()
			}
		}
		for !c.scheduler.idle() {
			step()
		}
		for i, done := range all {
			o := <-done
			if got, want := answered(o.result), expected(rs[i]); !reflect.DeepEqual(got, want) || o.err != nil {
				t.Errorf("seed %d: request %d: %v, alone %v, error %v", seed, i, got, want, o.err)
			}
		}
		retractions += c.scheduler.retractions
	}
	if retractions < 20 {
		t.Errorf("%d retractions: the test is too easy", retractions)
	}
}
