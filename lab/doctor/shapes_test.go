package doctor

import (
	"context"
	"slices"
	"strings"
	"testing"

	"slimlab/kernels"
	"slimlab/model"
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
		if got := passOperations(&small, c.n, c.start); got != float64(2*multiplyAdds) {
			t.Errorf("%d tokens from %d on take %v operations, want %d", c.n, c.start, got, 2*multiplyAdds)
		}
	}
}

// TestRunner: what is decoded is what a forward pass over the whole sequence finds most likely, for
// sequences together as alone.
func TestRunner(t *testing.T) {
	var g generator
	m, err := newModel(&g, small, formats[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ sequences, prompt, decode int }{{1, 0, 9}, {3, 70, 5}, {2, 600, 2}} {
		r := runner{sequences: c.sequences, prompt: c.prompt, decode: c.decode}
		if err := r.prepare(context.Background(), m, kernels.KVFloat32); err != nil {
			t.Fatal(err)
		}
		sequence := append([]int32(nil), r.prompts...)
		if c.prompt == 0 {
			sequence = append(sequence, 0)
		}
		logits := make([]float32, small.Vocab)
		for len(sequence) < c.prompt+c.decode+1 {
			hidden := m.Forward(model.Pack(sequence), nil)
			m.Logits(logits, hidden[len(hidden)-small.Hidden:], 1)
			sequence = append(sequence, int32(argmax(logits)))
		}
		r.write()
		for i, next := range r.next {
			if next != sequence[len(sequence)-1] {
				t.Errorf("%+v: sequence %d ends with %d, want %d", c, i, next, sequence[len(sequence)-1])
			}
		}
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
		{ModelOptions{Shape: "stories15m", Format: "float32", Cache: "int8", Repeat: 1, Prefill: []int{9000}}, "a prefill of 9000 tokens: expected 1 to 8192"},
		{ModelOptions{Shape: "stories15m", Format: "float32", Cache: "int8", Repeat: 1, Parallel: []int{0}}, "0 sequences together"},
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
		o.complete()
		e := newExamination(o)
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
