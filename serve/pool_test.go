package serve

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"
)

// states are what the fake gives after each of a prompt's tokens.
func states(f *fake, prompt []int32) (rows [][]float32) {
	for i := range prompt {
		rows = append(rows, fakeLogits(prompt[:i+1], f.shape.Vocabulary)[:f.shape.Hidden])
	}
	return rows
}

// TestPools: the state of the last token and the mean of all are the same whatever the chunks and
// the cache are; the last finds its prefix there.
func TestPools(t *testing.T) {
	prompt := ids(3, 20)
	for _, o := range []Options{{}, {PrefixCache: true}, {PrefixCache: true, Chunk: 3}, {Chunk: 5}} {
		f := newFake(32, 4)
		f.shape.Hidden = 6
		c, submit := start(t, f, o)
		rows := states(f, prompt)
		mean := make([]float32, f.shape.Hidden)
		for i := range mean {
			sum := 0.0
			for _, row := range rows {
				sum += float64(row[i])
			}
			mean[i] = float32(sum / float64(len(rows)))
		}
		for range 2 {
			for pool, want := range map[Pool][]float32{PoolLast: rows[len(rows)-1], PoolMean: mean} {
				done := submit(t.Context(), Request{Prompt: prompt, Pool: pool})
				for !c.scheduler.idle() {
					if err := c.step(); err != nil {
						t.Fatal(err)
					}
				}
				got := <-done
				if got.err != nil || !slices.Equal(got.result.State, want) || got.result.Finish != FinishLength || len(got.result.Tokens) != 0 {
					t.Errorf("%+v, %s: %+v, %v; want %v", o, pool, got.result, got.err, want)
				}
				if pool == PoolMean && got.result.Cached > 0 {
					t.Errorf("%d tokens of a mean come from the cache", got.result.Cached)
				}
			}
		}
		done := submit(t.Context(), Request{Prompt: prompt, Pool: PoolLast})
		for !c.scheduler.idle() {
			if err := c.step(); err != nil {
				t.Fatal(err)
			}
		}
		if cached := (<-done).result.Cached; (cached > 0) != o.PrefixCache {
			t.Errorf("%+v: %d tokens come from the cache", o, cached)
		}
	}
}

// TestPoolAfterRetraction: a mean whose request was retracted has each token once.
func TestPoolAfterRetraction(t *testing.T) {
	for _, cache := range []bool{false, true} {
		f := newFake(10, 4)
		f.shape.Hidden = 3
		c, submit := start(t, f, Options{PrefixCache: cache, Reserve: 0.01, Running: 2, Chunk: 1})
		submit(t.Context(), Request{Prompt: ids(1, 6), MaxTokens: 30})
		for c.stats.GeneratedTokens == 0 {
			if err := c.step(); err != nil {
				t.Fatal(err)
			}
		}
		prompt := ids(21, 45)
		done := submit(t.Context(), Request{Prompt: prompt, Pool: PoolMean})
		for !c.scheduler.idle() {
			if err := c.step(); err != nil {
				t.Fatal(err)
			}
		}
		if c.scheduler.retractions == 0 {
			t.Fatal("nothing was retracted")
		}
		got := <-done
		for i, x := range got.result.State {
			sum := 0.0
			for _, row := range states(f, prompt) {
				sum += float64(row[i])
			}
			if x != float32(sum/float64(len(prompt))) {
				t.Errorf("cache %v, element %d is %v, want %v", cache, i, x, sum/float64(len(prompt)))
			}
		}
		if len(got.result.State) != 3 {
			t.Errorf("%+v", got)
		}
	}
}

func TestPoolRefuses(t *testing.T) {
	f := newFake(8, 4)
	f.shape.Hidden = 3
	with := func(change func(*Request)) Request {
		r := Request{Prompt: ids(1, 4), Pool: PoolMean}
		change(&r)
		return r
	}
	for says, r := range map[string]Request{
		`pool "max", expected one of`: with(func(r *Request) { r.Pool = "max" }),
		"beside tokens":               with(func(r *Request) { r.MaxTokens = 1 }),
		"beside tokens, labels":       with(func(r *Request) { r.Labels = []int32{1} }),
		"or log-probabilities":        with(func(r *Request) { r.PromptLogP = &PromptLogP{Each: func(PromptRow) {}} }),
	} {
		if err := r.check(f.shape, false); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	plain := f.shape
	plain.Hidden = 0
	r := with(func(*Request) {})
	if err := r.check(plain, false); err == nil || !strings.Contains(err.Error(), "this executor does not give") {
		t.Error(err)
	}
	f.spoil = func(sequence []int32, row []float32) {
		if len(sequence) == 2 {
			row[1] = float32(math.NaN())
		}
	}
	c, submit := start(t, f, Options{})
	done := submit(context.Background(), r)
	for !c.scheduler.idle() {
		if err := c.step(); err != nil {
			t.Fatal(err)
		}
	}
	if got := <-done; got.err == nil || !strings.Contains(got.err.Error(), "after token 2 at position 1 element 1 of the hidden state is NaN") {
		t.Errorf("%+v", got)
	}
}
