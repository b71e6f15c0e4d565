package eval

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"slimlab/kernels"
	"slimlab/lab/task"
	"slimlab/model"
)

func tinyModel(t testing.TB, vocab int) *model.Model {
	t.Helper()
	m, err := model.New(model.Config{
		Architecture: "LlamaForCausalLM", Vocab: vocab, Hidden: 32, HeadDim: 8, Layers: model.Uniform(2, 4, 2, 48),
		MaxPositions: 300, RopeTheta: 1e4, NormEps: 1e-5, BOS: -1, EOS: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	m.Init(rand.New(rand.NewPCG(1, 2)))
	return m
}

// naive computes one sequence at a time, all logits of it, and the softmax in float64.
func naive(m *model.Model, span task.Span) []float64 {
	read := span.Tokens[:len(span.Tokens)-1]
	logits := make([]float32, len(read)*m.Vocab)
	m.Logits(logits, m.Forward(model.Batch{Tokens: read, Starts: []int{0, len(read)}}, nil), len(read))
	var out []float64
	for at := span.Begin; at < len(span.Tokens); at++ {
		row := logits[(at-1)*m.Vocab : at*m.Vocab]
		most := float64(slices.Max(row))
		var sum float64
		for _, v := range row {
			sum += math.Exp(float64(v) - most)
		}
		out = append(out, float64(row[span.Tokens[at]])-most-math.Log(sum))
	}
	return out
}

// randomGroups are spans that begin alike, of all lengths, some the beginning of another or equal
// to it.
func randomGroups(rng *rand.Rand, vocab, groups int) [][]task.Span {
	tokens := func(n int) []int32 {
		ids := make([]int32, n)
		for i := range ids {
			ids[i] = int32(rng.IntN(vocab))
		}
		return ids
	}
	var out [][]task.Span
	for range groups {
		context := tokens(1 + rng.IntN(40))
		var spans []task.Span
		for range 1 + rng.IntN(5) {
			whole := slices.Concat(context, tokens(1+rng.IntN(12)))
			spans = append(spans, task.Span{Tokens: whole, Begin: 1 + rng.IntN(len(whole)-1)})
		}
		if rng.IntN(2) == 0 {
			spans = append(spans, spans[0], task.Span{Tokens: spans[0].Tokens[:len(spans[0].Tokens)/2+2], Begin: 1})
		}
		spans = slices.DeleteFunc(spans, func(s task.Span) bool { return s.Begin >= len(s.Tokens) })
		out = append(out, spans)
	}
	return out
}

func TestLogProbsAgainstNaive(t *testing.T) {
	m := tinyModel(t, 90)
	rng := rand.New(rand.NewPCG(3, 4))
	groups := randomGroups(rng, m.Vocab, 60)
	long := make([]int32, 301)
	for i := range long {
		long[i] = int32(rng.IntN(m.Vocab))
	}
	many := task.Span{Tokens: long, Begin: 250}
	// more than a pass holds
	groups = append(groups, []task.Span{many}, slices.Repeat([]task.Span{many, {Tokens: long[100:], Begin: 1}}, 8))
	total, done := 0, 0
	for _, spans := range groups {
		total += tokensOf(spans)
	}
	s := newScorer(m, kernels.KVFloat32, func(n int) { done += n })
	got, err := s.logProbs(context.Background(), groups)
	if err != nil {
		t.Fatal(err)
	}
	if done != total {
		t.Errorf("progress of %d tokens, there are %d", done, total)
	}
	worst := 0.0
	for g, spans := range groups {
		for i, span := range spans {
			want := naive(m, span)
			if len(got[g][i]) != len(want) {
				t.Fatalf("group %d, span %d: %d targets, want %d", g, i, len(got[g][i]), len(want))
			}
			for k := range want {
				worst = max(worst, math.Abs(float64(got[g][i][k])-want[k]))
			}
			// Alone or in its group, a span has the same bits.
			alone, err := s.logProbs(context.Background(), [][]task.Span{{span}})
			if err != nil || !slices.Equal(alone[0][0], got[g][i]) {
				t.Fatalf("group %d, span %d: alone %v, %v; in the group %v", g, i, alone, err, got[g][i])
			}
		}
	}
	if worst > 1e-5 {
		t.Errorf("largest error %g", worst)
	}
}

// endsAt is a context that ends when it is looked at for the last time.
type endsAt struct {
	context.Context
	looks int
}

func (c *endsAt) Err() error {
	if c.looks--; c.looks < 0 {
		return context.Canceled
	}
	return nil
}

// TestCancelledWithinAPass: a context that ends anywhere within a pass of four steps through two
// layers, or between its chunks of logits, is noticed at the next check, and there is one for each
// half of a layer.
func TestCancelledWithinAPass(t *testing.T) {
	m := tinyModel(t, 90)
	group := slices.Repeat([]task.Span{{Tokens: make([]int32, 257), Begin: 1}, {Tokens: slices.Repeat([]int32{1}, 257), Begin: 1}}, 4)
	whole := &endsAt{context.Background(), 1 << 30}
	if _, err := newScorer(m, kernels.KVFloat32, func(int) {}).logProbs(whole, [][]task.Span{group}); err != nil {
		t.Fatal(err)
	}
	looks := 1<<30 - whole.looks
	if looks < 4*2*2+1 {
		t.Fatalf("the context was looked at %d times", looks)
	}
	for n := range looks {
		if _, err := newScorer(m, kernels.KVFloat32, func(int) {}).logProbs(&endsAt{context.Background(), n}, [][]task.Span{group}); err != context.Canceled {
			t.Errorf("ended after %d looks of %d: %v", n, looks, err)
		}
	}
}

// ll(ab|c) = ll(a|c) + ll(b|ca).
func TestLogProbsAddUp(t *testing.T) {
	m := tinyModel(t, 90)
	tokens := []int32{1, 2, 3, 4, 5, 6, 7, 8, 9}
	got, err := newScorer(m, kernels.KVFloat32, func(int) {}).logProbs(context.Background(), [][]task.Span{{{Tokens: tokens, Begin: 3}}, {{Tokens: tokens[:6], Begin: 3}}, {{Tokens: tokens, Begin: 6}}})
	if err != nil {
		t.Fatal(err)
	}
	if whole, parts := task.Total(got[0][0]), task.Total(got[1][0])+task.Total(got[2][0]); whole != parts {
		t.Errorf("%v as a whole, %v in parts", whole, parts)
	}
}

func TestLogProbsErrors(t *testing.T) {
	m := tinyModel(t, 90)
	s := newScorer(m, kernels.KVFloat32, func(int) {})
	for name, span := range map[string]task.Span{
		"no target":        {Tokens: []int32{1, 2}, Begin: 2},
		"no context":       {Tokens: []int32{1, 2}, Begin: 0},
		"beyond the model": {Tokens: make([]int32, 302), Begin: 1},
	} {
		if _, err := s.logProbs(context.Background(), [][]task.Span{{span}}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.logProbs(ctx, [][]task.Span{{{Tokens: []int32{1, 2}, Begin: 1}}}); err != context.Canceled {
		t.Errorf("a context that ended: %v", err)
	}
	m.FinalNorm[0] = float32(math.NaN())
	if _, err := newScorer(m, kernels.KVFloat32, func(int) {}).logProbs(context.Background(), [][]task.Span{{{Tokens: []int32{1, 2}, Begin: 1}}}); err == nil {
		t.Error("NaN logits: no error")
	}
}

// A model whose weights are zero gives all tokens alike: its perplexity is the size of its
// vocabulary, and of equal choices it takes the first of the shortest.
func TestUniformModel(t *testing.T) {
	m := tinyModel(t, 64)
	clear(m.Embedding)
	clear(m.Head.Float32())
	m.Changed()
	spans := []task.Span{{Tokens: []int32{1, 2, 3, 4}, Begin: 1}, {Tokens: []int32{1, 5}, Begin: 1}, {Tokens: []int32{1, 6}, Begin: 1}}
	got, err := newScorer(m, kernels.KVFloat32, func(int) {}).logProbs(context.Background(), [][]task.Span{spans})
	if err != nil {
		t.Fatal(err)
	}
	if p := math.Exp(-task.Total(got[0][0]) / 3); math.Abs(p-64) > 1e-4 {
		t.Errorf("perplexity %v of 64 tokens", p)
	}
	q := task.Question{Choices: []string{"abc", "b", "c"}}
	answer, err := q.Answer([]float64{task.Total(got[0][0]), task.Total(got[0][1]), task.Total(got[0][2])})
	if err != nil || answer.Plain != 1 {
		t.Errorf("answer %+v, %v", answer, err)
	}
}
