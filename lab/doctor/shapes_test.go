package doctor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"slimlab/kernels"
	"slimlab/model"
	"slimlab/serve"
	"slimlab/serve/host"
)

// small is a shape for tests.
var small = model.Config{
	Architecture: "Qwen2ForCausalLM", Vocab: 20_000, Hidden: 32, HeadDim: 16, Layers: model.Uniform(2, 4, 2, 96),
	MaxPositions: 2048, RopeTheta: 1e4, NormEps: 1e-5, TiedHead: true, QKVBias: true, BOS: -1, EOS: -1,
}

// TestPassOperations counts them one after another.
func TestPassOperations(t *testing.T) {
	for _, c := range []struct{ n, start int }{{1, 0}, {1, 40}, {5, 0}, {7, 3}} {
		multiplyAdds := 0
		for i, l := range small.Layers {
			q, kv := l.Heads*small.HeadDim, l.KVHeads*small.HeadDim
			for token := range c.n {
				multiplyAdds += 2 * kv * small.Hidden // keys and values
				if i == len(small.Layers)-1 && token < c.n-1 {
					continue // nothing else is asked for
				}
				multiplyAdds += 2*q*small.Hidden + 3*l.MLP*small.Hidden
				for range c.start + token + 1 {
					multiplyAdds += 2 * q // score, and value
				}
			}
		}
		multiplyAdds += small.Vocab * small.Hidden
		if got := passOperations(&small, c.n, c.start) + headOperations(&small); got != float64(2*multiplyAdds) {
			t.Errorf("%d tokens from %d on take %v operations, want %d", c.n, c.start, got, 2*multiplyAdds)
		}
	}
}

// TestRunner: what is timed of a decode is decoding alone, one token of each sequence a step, after
// prompts that are in the cache; a prefill finds nothing there.
func TestRunner(t *testing.T) {
	var g generator
	m, err := newModel(t.Context(), &g, small, formats[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ sequences, prompt, decode, cached, computed, steps int }{
		{1, 0, 9, 0, 9, 9}, {3, parallelPrompt, 5, 3 * parallelPrompt, 3 * 5, 5}, {1, 2100, 0, 0, 2100, 2}, {1, 600, 0, 0, 600, 1},
	} {
		shape := small
		shape.MaxPositions = 4096
		m.Config = shape
		r := runner{sequences: c.sequences, prompt: c.prompt, decode: c.decode, model: m}
		e, err := host.NewEngine(m, host.Options{PageSize: pageSize}, serve.Options{BatchTokens: batchTokens, Running: c.sequences, PrefixCache: c.decode > 0})
		if err != nil {
			t.Fatal(err)
		}
		var before, after serve.Stats
		for _, stats := range []*serve.Stats{&before, &after} {
			if _, err := e.DoAll(context.Background(), r.requests()); err != nil {
				t.Fatal(err)
			}
			if *stats, err = e.Stats(); err != nil {
				t.Fatal(err)
			}
		}
		e.Close()
		if got := after.CachedTokens - before.CachedTokens; got != c.cached {
			t.Errorf("%+v: %d tokens are cached", c, got)
		}
		if got := after.ComputedTokens - before.ComputedTokens; got != c.computed {
			t.Errorf("%+v: %d tokens are computed", c, got)
		}
		if got := after.Steps - before.Steps; got != c.steps {
			t.Errorf("%+v: %d steps", c, got)
		}
	}
}

// TestModelEnds: a run that is ended has no report.
func TestModelEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	o := testOptions(1)
	o.Progress = func(text string) {
		if text == "decode 128" {
			cancel()
		}
	}
	r, err := ExamineModel(ctx, o, ModelOptions{Shape: "stories15m", Format: "bfloat16", Cache: "bfloat16", Decode: []int{128}, Repeat: 1})
	if r != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("a run that was ended gives %v and %v", r, err)
	}
}

func TestModelOptions(t *testing.T) {
	for _, c := range []struct {
		o    ModelOptions
		want string
	}{
		{ModelOptions{Shape: "qwen"}, `shape "qwen"`},
		{ModelOptions{Shape: "stories15m", Format: "int9"}, `weight format "int9"`},
		{ModelOptions{Shape: "stories15m", Format: "float32", Cache: "fp8"}, `"fp8"`},
		{ModelOptions{Shape: "stories15m", Format: "float32", Cache: "int8"}, "0 repetitions"},
		{ModelOptions{Shape: "stories15m", Format: "float32", Cache: "int8", Repeat: 1, Prefill: []int{9000}}, "a prefill of 9000 tokens: expected 1 to 8191"},
		{ModelOptions{Shape: "stories15m", Format: "float32", Cache: "int8", Repeat: 1, Parallel: []int{0}}, "0 sequences at once"},
	} {
		if _, err := ExamineModel(context.Background(), Options{}, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		}
	}
}

// TestExamineModel runs all tests of a small model in each format.
func TestExamineModel(t *testing.T) {
	for _, f := range formats {
		o := testOptions(2)
		o.complete(t.Context())
		e, err := newExamination(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		r, err := e.model(context.Background(), small, f, kernels.KVBFloat16, ModelOptions{Shape: "small", Format: f.name, Prefill: []int{30}, Decode: []int{4}, Parallel: []int{2}, Repeat: 3})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, test := range r.Model.Tests {
			names = append(names, test.Name)
			if test.Rate.N != 3 || test.Mean <= 0 || test.Operations <= 0 || test.Bytes <= 0 || test.Limit == "" || test.Share <= 0 {
				t.Errorf("%s %s: %+v", f.name, test.Name, test)
			}
		}
		if want := []string{"prefill 30", "decode 4", "2 × decode 32"}; !slices.Equal(names, want) {
			t.Errorf("%s: tests are %v, want %v", f.name, names, want)
		}
	}
}
