package teachercache

import (
	"context"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"slimlab/kd"
	"slimlab/kernels"
	"slimlab/model"
)

const tinyVocab = 61

// tinyModel draws weights large enough that its distributions are far from uniform.
func tinyModel(t testing.TB, vocab, hidden int, seed uint64) *model.Model {
	t.Helper()
	m, err := model.New(model.Config{
		Architecture: "LlamaForCausalLM", Vocab: vocab, Hidden: hidden, HeadDim: 4, Layers: model.Uniform(2, 2, 1, 37),
		MaxPositions: 64, RopeTheta: 10000, NormEps: 1e-5, TiedHead: true, BOS: -1, EOS: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 77))
	m.Init(rng)
	for _, p := range m.Parameters() {
		for i := range p.Data {
			p.Data[i] += float32(0.2 * rng.NormFloat64())
		}
	}
	m.Changed()
	return m
}

func tinyExamples(n, vocab int, seed uint64) []kd.Example {
	rng := rand.New(rand.NewPCG(seed, 5))
	examples := make([]kd.Example, n)
	for i := range examples {
		length := 3 + rng.IntN(12)
		e := kd.Example{Tokens: make([]int32, length), Answer: make([]bool, length)}
		for t := range e.Tokens {
			e.Tokens[t] = int32(rng.IntN(vocab))
			e.Answer[t] = t > 0 && rng.IntN(3) == 0
		}
		e.Answer[1+i%(length-1)] = true
		examples[i] = e
	}
	return examples
}

func tinyJob(t testing.TB, spec Spec) Job {
	return Job{
		Name: filepath.Join(t.TempDir(), "teacher.cache"), Spec: spec,
		Source:  Source{Teacher: "weights of 2", Tokenizer: "tokens", Template: "chat", Task: "tiny", Vocab: tinyVocab},
		Teacher: kd.NewModelTeacher(tinyModel(t, tinyVocab, 24, 2), kernels.Float32), Examples: tinyExamples(30, tinyVocab, 3),
	}
}

// built builds a job and opens its cache.
func built(t testing.TB, j Job) *Cache {
	t.Helper()
	if _, err := Build(context.Background(), j); err != nil {
		t.Fatal(err)
	}
	c, err := Open(j.Name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// specs is each codec in each form.
func specs() map[string]Spec {
	return map[string]Spec{
		"exact": {}, "top-k": {Codec: TopK, K: 8}, "top-k without the tail": {Codec: TopK, K: 8, DropTail: true}, "sampled": {Codec: Sampled, Draws: 12, Seed: 1},
		"sampled of p^0.7": {Codec: Sampled, Draws: 12, Power: 0.7, Temperature: 2}, "exact, whole": {Whole: true},
	}
}
