package model

import (
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"slimlab/kernels"
	"slimlab/kernels/parallel"
)

// TestLongestPrompts: models of usual shapes can score a prompt at least five times as long as they
// can generate from in the same memory. With few KV heads and many dimensions a token's residual
// stream takes as much as several layers of its keys and values.
func TestLongestPrompts(t *testing.T) {
	llama8b := Config{Hidden: 4096, HeadDim: 128, Layers: Uniform(32, 32, 8, 14336)}
	shape := func(name string) Config {
		c, err := Shape(name)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, c := range []struct {
		name   string
		config Config
		format kernels.KVFormat
		ratio  float64 // at least
	}{
		{"llama-3-8b", llama8b, kernels.KVBFloat16, 6},
		{"qwen3-0.6b", shape("qwen3-0.6b"), kernels.KVBFloat16, 13},
		{"qwen3-0.6b", shape("qwen3-0.6b"), kernels.KVInt8, 9},
		{"qwen2.5-0.5b", shape("qwen2.5-0.5b"), kernels.KVFloat32, 5},
		{"qwen2.5-0.5b", shape("qwen2.5-0.5b"), kernels.KVBFloat16, 2.9},
	} {
		generated, scored := LongestPrompts(c.config, c.format, 1<<30)
		t.Logf("%s, %v: in 1 GiB a prompt of %d tokens is generated from, one of %d is scored, %.1f times as many", c.name, c.format, generated, scored, float64(scored)/float64(generated))
		if float64(scored) < c.ratio*float64(generated) {
			t.Errorf("%s, %v: found %d and %d tokens, expected at least %.1f times as many", c.name, c.format, generated, scored, c.ratio)
		}
	}
	if generated, scored := LongestPrompts(shape("qwen3-0.6b"), kernels.KVBFloat16, 1<<10); generated != 0 || scored != 0 {
		t.Errorf("in a kibibyte: found %d and %d tokens, expected none", generated, scored)
	}
}

// TestPassMemory: both kinds of prompts allocate what LongestPrompts counts, so that a longest
// scored prompt of five times the length does run in the same memory.
func TestPassMemory(t *testing.T) {
	defer parallel.SetThreads(1)()
	c := medium()
	c.TiedHead, c.MaxPositions, c.Layers = true, 1<<20, Uniform(12, 4, 4, 96)
	m, rng := random(t, c, 2), rand.New(rand.NewPCG(1, 1))
	const limit = 12 << 20
	generated, scored := LongestPrompts(m.Config, kernels.KVBFloat16, limit)
	if scored < 5*generated {
		t.Fatalf("%d and %d tokens: the shape does not show five times the length", generated, scored)
	}
	r, err := m.Divide(1)
	if err != nil {
		t.Fatal(err)
	}
	// The kernels keep memory of their own: what they need is there after a first pass.
	passStates(t, r, kernels.KVBFloat16, randomTokens(rng, 2*PassRows, c.Vocab), nil)
	m.rope(scored)
	heap := func() int64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	const beside = limit / 50 // page tables and lists of rows
	prompt := randomTokens(rng, scored, c.Vocab)
	check := func(what string, took int64) {
		t.Helper()
		if took < limit*9/10 || took > limit+beside {
			t.Errorf("%s took %d bytes, expected %d", what, took, limit)
		}
	}
	before := heap()
	p, err := r.NewPass(kernels.KVBFloat16, prompt, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // the buffers are those of later steps
		p.Step()
	}
	check("a pass", heap()-before)
	runtime.KeepAlive(p)
	p = nil

	before = heap()
	pool, err := NewKVPool(c, kernels.KVBFloat16, generated/kernels.KVBlock, kernels.KVBlock)
	if err != nil {
		t.Fatal(err)
	}
	e, table := new(Extender), make([]int32, pool.Pages)
	for i := range table {
		table[i] = int32(i)
	}
	e.Extend(m, pool, []Segment{{Tokens: prompt[:PassRows], Pages: table}})
	check("a pool and a step", heap()-before)
	runtime.KeepAlive(pool)
	runtime.KeepAlive(e)
}

func TestPassRefusesByNumbers(t *testing.T) {
	m := random(t, medium(), 2)
	r, err := m.Divide(1)
	if err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]struct {
		prompt   []int32
		branches [][]int32
		format   kernels.KVFormat
	}{
		"empty prompt":                           {},
		"over 257 tokens, the model has 256":     {prompt: make([]int32, 257)},
		"over 258 tokens, the model has 256":     {prompt: make([]int32, 255), branches: [][]int32{{1}, {1, 2, 3}}},
		"token 50 at position 1, the vocabulary": {prompt: []int32{1, 50}},
		"token -1 at position 2, the vocabulary": {prompt: []int32{1}, branches: [][]int32{{1, -1}}},
		"KV format 99 is unknown":                {prompt: []int32{1}, format: 99},
	} {
		if _, err := r.NewPass(c.format, c.prompt, c.branches); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, expected one with %q", err, want)
		}
	}
}

func TestDivideRefusesByNumbers(t *testing.T) {
	narrow := shareable()
	narrow.Layers[1] = LayerConfig{Heads: 2, KVHeads: 2, MLP: 1}
	small := shareable()
	small.Layers, small.Vocab = Uniform(1, 64, 64, 64), 40
	for want, c := range map[string]struct {
		config Config
		ranks  int
	}{
		"0 ranks, expected at least 1":              {shareable(), 0},
		"layer 1 has 1 KV heads, which 2 ranks":     {medium(), 2},
		"layer 0 has 2 KV heads, which 3 ranks":     {shareable(), 3},
		"layer 1 has 1 neurons, expected at least":  {narrow, 2},
		"a vocabulary of 40, expected at least one": {small, 64},
	} {
		if _, err := random(t, c.config, 1).Divide(c.ranks); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d ranks: error %v, expected one with %q", c.ranks, err, want)
		}
	}
}
