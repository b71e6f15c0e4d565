// Package kdtest has tiny models, examples and an endpoint for the tests of what teaches: of
// packages that implement kd.Teacher, and of those that use them.
package kdtest

import (
	"math/rand/v2"
	"testing"

	"slimlab/kd"
	"slimlab/model"
)

// Vocab is the vocabulary of Model, where a test needs no other.
const Vocab = 61

// Model draws weights large enough that its distributions are far from uniform.
func Model(t testing.TB, vocab, hidden int, seed uint64) *model.Model {
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

// Examples draws sequences of unlike lengths and shares of answer tokens.
func Examples(n, vocab int, seed uint64) []kd.Example {
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
