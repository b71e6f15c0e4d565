package serve

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"slimlab/kernels"
	"slimlab/model"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("slimlab/kernels/parallel.(*worker).loop"))
}

func tinyModel(t testing.TB) *model.Model {
	t.Helper()
	m, err := model.New(model.Config{
		Architecture: "LlamaForCausalLM", Vocab: 60, Hidden: 16, HeadDim: 8, MaxPositions: 256,
		Layers:    []model.LayerConfig{{Heads: 4, KVHeads: 2, MLP: 24}, {Heads: 2, KVHeads: 1, MLP: 17}},
		RopeTheta: 10000, NormEps: 1e-5, TiedHead: true, BOS: -1, EOS: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	m.Init(rand.New(rand.NewPCG(7, 7)))
	m.Changed()
	return m
}

// prompts draws requests of which many share prefixes.
func prompts(rng *rand.Rand, n int) [][]int32 {
	random := func(n int) []int32 {
		s := make([]int32, n)
		for i := range s {
			s[i] = int32(rng.IntN(60))
		}
		return s
	}
	stems := [][]int32{random(70), random(33), random(5)}
	out := make([][]int32, n)
	for i := range out {
		out[i] = join(stems[rng.IntN(len(stems))], random(1+rng.IntN(20)))
	}
	return out
}

func requests(rng *rand.Rand, n int) []Request {
	out := make([]Request, n)
	for i, p := range prompts(rng, n) {
		out[i] = Request{Prompt: p, MaxTokens: 1 + rng.IntN(12)}
		switch rng.IntN(3) {
		case 1:
			out[i].Sampling = Sampling{Temperature: 0.8, TopK: 20, TopP: 0.9, Seed: uint64(i)}
		case 2:
			out[i].MaxTokens, out[i].Labels = 0, []int32{3, 59, 0}
		}
	}
	return out
}

type answerOf struct {
	Tokens []int32
	Logits []float32
	Finish Finish
}

func answers(t *testing.T, m *model.Model, o Options, rs []Request) []answerOf {
	t.Helper()
	e, err := New(m, o)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	results, err := e.DoAll(context.Background(), rs)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]answerOf, len(results))
	for i, r := range results {
		out[i] = answerOf{r.Tokens, r.LabelLogits, r.Finish}
	}
	return out
}

// TestAnswersDoNotDependOnTheEngine is the engine's first promise: cache on or off, page size,
// chunk, batch and pressure change no token and no bit of a logit.
func TestAnswersDoNotDependOnTheEngine(t *testing.T) {
	m := tinyModel(t)
	rs := requests(rand.New(rand.NewPCG(1, 2)), 24)
	variants := map[string]Options{
		"cache off":      {},
		"cache on":       {PrefixCache: true},
		"page 1":         {PrefixCache: true, PageSize: 1},
		"page 4":         {PrefixCache: true, PageSize: 4},
		"page 64":        {PrefixCache: true, PageSize: 64},
		"chunk 1":        {PrefixCache: true, Chunk: 1},
		"chunk 7":        {PrefixCache: true, Chunk: 7, PageSize: 2},
		"small batches":  {PrefixCache: true, BatchTokens: 13},
		"pressure":       {PrefixCache: true, PageSize: 4, Pages: 27},
		"three at once":  {PrefixCache: true, Running: 3},
		"pressure alone": {PageSize: 4, Pages: 27},
	}
	for format := range kernels.KVFormat(3) {
		var want []answerOf
		for i := range rs {
			want = append(want, answers(t, m, Options{KV: format}, rs[i:i+1])...)
		}
		for name, o := range variants {
			o.KV = format
			if format != kernels.KVFloat32 && o.PageSize == 1 {
				continue
			}
			t.Run(fmt.Sprint(format, "/", name), func(t *testing.T) {
				if got := answers(t, m, o, rs); !reflect.DeepEqual(got, want) {
					for i := range got {
						if !reflect.DeepEqual(got[i], want[i]) {
							t.Fatalf("request %d: %v, alone %v", i, got[i], want[i])
						}
					}
				}
			})
		}
	}
}

// TestGreedyEqualsForward checks the engine against the model's plain forward pass.
func TestGreedyEqualsForward(t *testing.T) {
	m := tinyModel(t)
	prompt := prompts(rand.New(rand.NewPCG(3, 3)), 1)[0]
	got := answers(t, m, Defaults(), []Request{{Prompt: prompt, MaxTokens: 8}})[0].Tokens
	tokens := slices.Clone(prompt)
	logits := make([]float32, m.Vocab)
	for range 8 {
		hidden := m.Forward(model.Batch{Tokens: tokens, Starts: []int{0, len(tokens)}}, nil)
		m.Logits(logits, hidden[(len(tokens)-1)*m.Hidden:], 1)
		tokens = append(tokens, argmax(logits))
	}
	if !slices.Equal(got, tokens[len(prompt):]) {
		t.Errorf("engine %v, forward %v", got, tokens[len(prompt):])
	}
}

func TestScoresAreLogits(t *testing.T) {
	m := tinyModel(t)
	ps := prompts(rand.New(rand.NewPCG(4, 4)), 6)
	for format, tolerance := range map[kernels.KVFormat]float64{kernels.KVFloat32: 1e-4, kernels.KVBFloat16: 0.01, kernels.KVInt8: 0.02} {
		e, err := New(m, Options{PrefixCache: true, KV: format})
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.Score(context.Background(), ps, []int32{5, 9})
		e.Close()
		if err != nil {
			t.Fatal(err)
		}
		logits := make([]float32, m.Vocab)
		for i, p := range ps {
			hidden := m.Forward(model.Batch{Tokens: p, Starts: []int{0, len(p)}}, nil)
			m.Logits(logits, hidden[(len(p)-1)*m.Hidden:], 1)
			for j, l := range []int32{5, 9} {
				if math.Abs(float64(got[i][j]-logits[l])) > tolerance {
					t.Errorf("%v, prompt %d label %d: engine %g, forward %g", format, i, l, got[i][j], logits[l])
				}
			}
		}
	}
}

// TestInvariantsUnderPressure steps the scheduler by hand through random arrivals and cancellations
// in a cache that fits little more than one request, checks all invariants after each step, and
// that everything ends.
func TestInvariantsUnderPressure(t *testing.T) {
	m := tinyModel(t)
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 5))
		o, err := Options{PrefixCache: seed%4 != 3, PageSize: []int{1, 2, 4}[seed%3], KV: []kernels.KVFormat{kernels.KVFloat32, kernels.KVBFloat16, kernels.KVInt8}[seed%3], Pages: 110, BatchTokens: 40, Chunk: 16}.complete()
		if err != nil {
			t.Fatal(err)
		}
		s, err := newScheduler(m, o)
		if err != nil {
			t.Fatal(err)
		}
		type open struct {
			done   chan outcome
			cancel context.CancelFunc
		}
		var all []open
		for _, r := range requests(rng, 30) {
			if s.refuse(r) != nil {
				t.Fatalf("request of %d tokens was refused", len(r.Prompt))
			}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan outcome, 1)
			all = append(all, open{done, cancel})
			s.submit(&sequence{Request: r, ctx: ctx, done: done})
			for range rng.IntN(3) {
				s.step()
				if err := s.check(); err != nil {
					t.Fatal(err)
				}
			}
			if rng.IntN(5) == 0 {
				all[rng.IntN(len(all))].cancel()
			}
		}
		for steps := 0; !s.idle(); steps++ {
			if steps > 5000 {
				t.Fatalf("seed %d: %d waiting and %d running requests do not end", seed, len(s.waiting), len(s.running))
			}
			s.step()
			if err := s.check(); err != nil {
				t.Fatal(err)
			}
		}
		for i, a := range all {
			a.cancel()
			if len(a.done) != 1 {
				t.Errorf("request %d has %d results", i, len(a.done))
			}
		}
		if s.tree != nil && s.tree.protected != 0 {
			t.Errorf("%d pages are locked when nothing runs", s.tree.protected)
		}
		s.flush()
		if len(s.free) != o.Pages {
			t.Errorf("%d of %d pages are free after a flush", len(s.free), o.Pages)
		}
	}
}

// TestFollowersWaitForTheirLeader submits candidates of one member together: the shared prefix is
// computed once.
func TestFollowersWaitForTheirLeader(t *testing.T) {
	m := tinyModel(t)
	e, err := New(m, Options{PrefixCache: true, PageSize: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
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
	m := tinyModel(t)
	e, err := New(m, Options{PrefixCache: true, Pages: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
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
	if _, err := New(m, Options{PageSize: 5}); err == nil {
		t.Error("a page size of 5 was taken")
	}
}

func TestCancelAndClose(t *testing.T) {
	m := tinyModel(t)
	e, err := New(m, Defaults())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	got := 0
	result, err := e.Do(ctx, Request{Prompt: ids(1, 5), MaxTokens: 200, OnToken: func(int32) {
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

func TestStopToken(t *testing.T) {
	m := tinyModel(t)
	full := answers(t, m, Defaults(), []Request{{Prompt: ids(1, 5), MaxTokens: 10}})[0].Tokens
	stop := full[4]
	cut := slices.Index(full, stop)
	got := answers(t, m, Defaults(), []Request{{Prompt: ids(1, 5), MaxTokens: 10, Stop: []int32{stop}}})[0]
	if got.Finish != FinishStop || !slices.Equal(got.Tokens, full[:cut]) {
		t.Errorf("stopped at %v, want %v", got, full[:cut])
	}
}

// TestSamplingDistribution draws many tokens and compares their frequencies with the exact
// distribution (chi-square, 3 degrees of freedom).
func TestSamplingDistribution(t *testing.T) {
	logits := []float32{1, 0, 2, -1, 0.5, 1.5}
	s := Sampling{Temperature: 0.9, TopK: 5, TopP: 0.9}
	p := s.distribution(logits)
	if len(p) != 4 || p[0].token != 2 {
		t.Fatalf("top-k 5 and top-p 0.9 keep %v", p)
	}
	const n = 100000
	count := map[int32]float64{}
	for seed := range uint64(n) {
		s.Seed = seed
		count[s.next(logits, 17)]++
	}
	chi := 0.0
	for _, c := range p {
		d := count[c.token] - n*c.p
		chi += d * d / (n * c.p)
	}
	if chi > 16.27 { // 0.1% level
		t.Errorf("chi-square %.1f over %v, counts %v", chi, p, count)
	}
	if got := (Sampling{}).next([]float32{1, 3, 3}, 0); got != 1 {
		t.Errorf("greedy took %d, want the lowest of the tied", got)
	}
}
