package serve

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"slimlab/serve/sample"
)

// told is a place of a prompt as PromptLogP.Each is given it.
type told struct {
	place  int
	token  int32
	logits []float32
	logP   float64
	top    []Alternative
}

// asking collects what is told.
func asking(asked []bool, into *[]told) *PromptLogP {
	return &PromptLogP{Asked: asked, Each: func(r PromptRow) {
		*into = append(*into, told{r.Place, r.Token, slices.Clone(r.Logits), r.LogP(r.Token), r.Top(3)})
	}}
}

// wantTold are the places by the fake's logits alone.
func wantTold(prompt []int32, asked []bool) (want []told) {
	for place := 1; place < len(prompt); place++ {
		if asked != nil && !asked[place] {
			continue
		}
		logits, sum := fakeLogits(prompt[:place], 60), []float64{0}
		sample.LogSums(sum, logits)
		want = append(want, told{place, prompt[place], logits, float64(logits[prompt[place]]) - sum[0], sample.Likeliest(logits, 3, sum[0])})
	}
	return want
}

// TestPromptLogP: whatever the cache, the chunks and the batch, each place that is asked about is
// told once, in order, by the logits after the tokens before it; the answers are as without, and of
// the cache as much is used as is before the first place.
func TestPromptLogP(t *testing.T) {
	const from = 20 // the first place that some ask about, which begins a page
	prompt := join(ids(1, 30), ids(7, 14))
	some := make([]bool, len(prompt))
	for place := range some {
		some[place] = place == from || place > 30 && place%3 == 0
	}
	last, none := make([]bool, len(prompt)), make([]bool, len(prompt))
	last[len(last)-1], none[0] = true, true // nothing is expected in the first place
	for name, o := range map[string]Options{
		"": {PrefixCache: true}, "no cache": {}, "chunks": {PrefixCache: true, Chunk: 1}, "chunks of 7": {PrefixCache: true, Chunk: 7}, "small batches": {PrefixCache: true, BatchTokens: 13},
		"draft": {PrefixCache: true, Draft: Draft{Executor: drafting(100, 2)}}, "retracted": {Reserve: 0.01, Chunk: 7},
	} {
		pages := 200
		if o.Reserve > 0 {
			pages = 31 // three prompts and a page
		}
		e := engine(t, newFake(pages, 4), o)
		var got [6][]told
		places := [][]bool{nil, some, last, none, some, nil}
		var rs []Request
		for i := range got {
			r := Request{Prompt: prompt, MaxTokens: 4, PromptLogP: asking(places[i], &got[i])}
			switch i {
			case 0:
				r.MaxTokens = 30
			case 4:
				r.MaxTokens = 0
			case 5:
				r.MaxTokens, r.Labels = 0, []int32{3, 4}
			}
			rs = append(rs, r)
		}
		for round := range 2 {
			results, err := e.DoAll(t.Context(), rs)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range results {
				if want := wantTold(prompt, places[i]); !reflect.DeepEqual(got[i], want) {
					t.Errorf("%s, round %d, request %d: told %d places, want %d, or other numbers", name, round, i, len(got[i]), len(want))
				}
				got[i] = nil
				plain := rs[i]
				want := answerOf{Finish: FinishLength}
				if i != 4 {
					plain.PromptLogP = nil
					want = expected(plain)
				}
				if answer := answered(r); !reflect.DeepEqual(answer, want) {
					t.Errorf("%s, request %d: %+v, want %+v", name, i, answer, want)
				}
				if r.FirstToken.Before(r.Scheduled) || r.End.Before(r.FirstToken) {
					t.Errorf("%s, request %d: times out of order: %+v", name, i, r)
				}
				// all before the first place; the last token is computed in any case
				cached := []int{0, from - 1, 36, 37, from - 1, 0}[i]
				if !o.PrefixCache {
					cached = 0
				}
				if round == 1 && r.Cached != cached {
					t.Errorf("%s, request %d: %d cached tokens, want %d", name, i, r.Cached, cached)
				}
			}
		}
		if stats, err := e.Stats(); err != nil || stats.Retractions > 0 != (o.Reserve > 0) {
			t.Errorf("%s: %v, %d retractions", name, err, stats.Retractions)
		}
	}
}

// TestPromptRowsAsFewAsAsked: rows before the first place are not computed, nor any once all places
// are told.
func TestPromptRowsAsFewAsAsked(t *testing.T) {
	f := newFake(100, 4)
	e := engine(t, f, Options{Chunk: 8})
	asked := make([]bool, 30)
	asked[20] = true
	var got []told
	if _, err := e.Do(t.Context(), Request{Prompt: ids(1, 30), MaxTokens: 5, PromptLogP: asking(asked, &got)}); err != nil {
		t.Fatal(err)
	}
	// place 20 is expected after token 19, in the chunk of tokens 16 to 23
	if len(got) != 1 || f.each != 5 {
		t.Errorf("%d places told from %d rows, want 1 from 5", len(got), f.each)
	}
}

// TestPromptLogPOfSiblings: a request that asks about its prompt is told all of it while another
// with the same prompt, whose logits and last page it could begin with, is answered.
func TestPromptLogPOfSiblings(t *testing.T) {
	for length := int32(2); length <= 13; length++ {
		for last := range 2 {
			core, submit := start(t, newFake(100, 4), Defaults())
			prompt := ids(1, length)
			asked := []bool(nil) // all places
			if last == 1 {
				asked = make([]bool, len(prompt))
				asked[len(prompt)-1] = true
			}
			var got []told
			step := func() {
				if err := cmp.Or(core.step(), core.check()); err != nil {
					t.Fatalf("%d tokens: %v", length, err)
				}
			}
			plain := Request{Prompt: prompt, MaxTokens: 9}
			first := submit(t.Context(), plain)
			step()
			step()
			short := Request{Prompt: prompt, MaxTokens: 1 + last}
			asks := short
			asks.PromptLogP = asking(asked, &got)
			second := submit(t.Context(), asks)
			for !core.idle() {
				step()
			}
			for done, r := range map[<-chan outcome]Request{first: plain, second: short} {
				if o := <-done; o.err != nil || !slices.Equal(o.result.Tokens, expected(r).Tokens) {
					t.Errorf("%d tokens: %v, %v", length, o.result.Tokens, o.err)
				}
			}
			if want := map[bool]int{true: 1, false: len(prompt) - 1}[last == 1]; len(got) != want {
				t.Errorf("%d tokens: %d places were told, expected %d", length, len(got), want)
			}
		}
	}
}

// TestPromptLogPRefusals: what cannot be asked, and logits of a place that are no numbers.
func TestPromptLogPRefusals(t *testing.T) {
	e := engine(t, newFake(100, 4), Defaults())
	for want, p := range map[string]*PromptLogP{
		"nothing receives them": {},
		"2 places are asked about or not, the prompt has 5 tokens": {Asked: make([]bool, 2), Each: func(PromptRow) {}},
	} {
		if _, err := e.Do(t.Context(), Request{Prompt: ids(1, 5), MaxTokens: 1, PromptLogP: p}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	f := newFake(100, 4)
	f.spoil = func(sequence []int32, logits []float32) {
		if len(sequence) == 3 {
			logits[9] = float32(math.NaN())
		}
	}
	var got []told
	results, err := engine(t, f, Defaults()).DoAll(t.Context(), []Request{
		{Prompt: ids(1, 7), MaxTokens: 2, PromptLogP: asking(nil, &got)}, {Prompt: ids(1, 7), MaxTokens: 2},
	})
	if err == nil || !strings.Contains(err.Error(), "request 0") && !strings.Contains(err.Error(), "after token 3 at position 2 the logit of token 9 is NaN") {
		t.Errorf("error %v", err)
	}
	if len(got) != 2 || results[0].Finish != FinishError || results[0].Tokens != nil || results[1].Finish != FinishLength {
		t.Errorf("told %d places, results %+v", len(got), results)
	}
}

// TestCancelDuringAPrompt: a request whose caller leaves is told no more.
func TestCancelDuringAPrompt(t *testing.T) {
	c, submit := start(t, newFake(100, 4), Options{PrefixCache: true, Chunk: 5})
	ctx, cancel := context.WithCancel(t.Context())
	var got []told
	submit(ctx, Request{Prompt: ids(1, 30), MaxTokens: 2, PromptLogP: asking(nil, &got)})
	for range 2 {
		if err := c.step(); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := c.step(); err != nil || len(got) != 10 || !c.scheduler.idle() {
		t.Errorf("%v, told %d places", err, len(got))
	}
}

// stubborn allows so many more tokens, and then none.
type stubborn struct {
	left     int
	accepted []int32
	clock    *fake
}

func (s *stubborn) Allowed(bits []uint64) {
	s.clock.clock = s.clock.clock.Add(tokenTime)
	if s.left > 0 {
		bits[0] = 1<<20 | 1<<21 | 1<<22
	}
	for _, b := range bits[1:] {
		if b != 0 {
			panic("bits are set before they are asked for")
		}
	}
}

func (s *stubborn) Accept(token int32) {
	s.clock.clock = s.clock.clock.Add(tokenTime)
	s.left--
	s.accepted = append(s.accepted, token)
}

// TestConstraint: only what is allowed comes, the constraint learns each token but the one that
// ends, its time is counted, and where it allows nothing the request ends by name while others go
// on.
func TestConstraint(t *testing.T) {
	for _, s := range []sample.Settings{{}, {Temperature: 2, Seed: 5}} {
		f := newFake(100, 4)
		e := engine(t, f, Defaults())
		free, stuck := &stubborn{left: 100, clock: f}, &stubborn{left: 3, clock: f}
		results, err := e.DoAll(t.Context(), []Request{
			{Prompt: ids(1, 5), MaxTokens: 9, Sampling: s, Constraint: free},
			{Prompt: ids(1, 6), MaxTokens: 9, Sampling: s, Constraint: stuck},
		})
		if err == nil || err.Error() != ErrNothingAllowed.Error() || results[1].Finish != FinishError || len(results[1].Tokens) != 3 || len(stuck.accepted) != 3 {
			t.Errorf("%v, %+v", err, results[1])
		}
		if results[0].Finish != FinishLength || !slices.Equal(results[0].Tokens, free.accepted) || slices.Min(free.accepted) < 20 || slices.Max(free.accepted) > 22 {
			t.Errorf("%+v, accepted %v", results[0], free.accepted)
		}
		// A token that is accepted takes two calls, the one that fails one.
		if stats, err := e.Stats(); err != nil || stats.Constraint != (2*9+2*3+1)*tokenTime {
			t.Errorf("%v, constraints took %v", err, stats.Constraint)
		}
		stop := &stubborn{left: 100, clock: f}
		got, err := e.Do(t.Context(), Request{Prompt: ids(1, 5), MaxTokens: 9, Sampling: s, Constraint: stop, Stop: results[0].Tokens[:1]})
		if err != nil || got.Finish != FinishStop || len(stop.accepted) != 0 {
			t.Errorf("%v, %+v, accepted %v", err, got, stop.accepted)
		}
	}
}

// TestMinTokens: no stop token comes before, and the first that may is as without.
func TestMinTokens(t *testing.T) {
	e := engine(t, newFake(100, 4), Defaults())
	stops := 0
	for i := range int32(20) {
		r := Request{Prompt: ids(i, i+5), MaxTokens: 12, MinTokens: 6, Stop: join(ids(0, 29), []int32{-1})}
		got, err := e.Do(t.Context(), r)
		if want := expected(r); err != nil || !slices.Equal(got.Tokens, want.Tokens) || got.Finish != want.Finish || len(got.Tokens) < 6 {
			t.Errorf("%v, %+v, want %+v", err, got, want)
		}
		if got.Finish == FinishStop {
			stops++
		}
	}
	if stops == 0 {
		t.Error("no stop token came after enough tokens")
	}
	for _, c := range []struct {
		min  int
		stop []int32
		want string
	}{{-1, nil, "at least -1 new tokens"}, {3, nil, "at least 3 new tokens, expected 0 to the 2"}, {1, ids(0, 59), fmt.Sprint(ErrNothingAllowed)}} {
		if _, err := e.Do(t.Context(), Request{Prompt: ids(1, 5), MaxTokens: 2, MinTokens: c.min, Stop: c.stop}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one with %q", err, c.want)
		}
	}
}
