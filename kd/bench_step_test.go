package kd

import (
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"slimlab/kernels"
	"slimlab/model"
)

// stepModel is a model with the widths of the two training benchmarks, its head tied to the
// embedding.
func stepModel(b testing.TB, vocab, hidden, heads, kvHeads, layers, mlp int, seed uint64) *model.Model {
	return tinyModel(b, model.Config{
		Architecture: "LlamaForCausalLM", Vocab: vocab, Hidden: hidden, HeadDim: hidden / heads, Layers: model.Uniform(layers, heads, kvHeads, mlp),
		MaxPositions: 513, RopeTheta: 10000, NormEps: 1e-5, TiedHead: true, BOS: -1, EOS: -1,
	}, seed)
}

// smallStep has 5.8 M parameters with a vocabulary of 4096, largeStep 27.4 M.
func smallStep(b testing.TB, vocab int) *model.Model {
	return stepModel(b, vocab, 256, 8, 8, 6, 688, 1)
}
func largeStep(b testing.TB) *model.Model { return stepModel(b, 8192, 512, 8, 4, 8, 1376, 2) }

// fullExamples are count sequences of which tokens tokens go through the models, each with a loss.
func fullExamples(count, tokens, vocab int) []Example {
	rng := rand.New(rand.NewPCG(1, 1))
	examples := make([]Example, count)
	for i := range examples {
		e := Example{Tokens: make([]int32, tokens+1), Answer: make([]bool, tokens+1)}
		for t := range e.Tokens {
			e.Tokens[t], e.Answer[t] = int32(rng.IntN(vocab)), t > 0
		}
		examples[i] = e
	}
	return examples
}

// BenchmarkStep is one training step of every token of 16 sequences of 256 (small, distil) or 8 of
// 512 (large). distil's teacher is large, its student small with the teacher's vocabulary. The
// variants leave out one thing that saves time or memory, or recompute activations. peak-MB is the
// largest resident set so far: to be read from a run of one benchmark.
func BenchmarkStep(b *testing.B) {
	supervised := Objective{CE: 1}
	for _, shape := range []struct {
		name     string
		config   func() TrainConfig
		examples []Example
	}{
		{"small", func() TrainConfig { return TrainConfig{Student: smallStep(b, 4096), Objective: supervised} }, fullExamples(16, 256, 4096)},
		{"large", func() TrainConfig { return TrainConfig{Student: largeStep(b), Objective: supervised} }, fullExamples(8, 512, 8192)},
		{"distil", func() TrainConfig {
			return TrainConfig{Student: smallStep(b, 8192), Teacher: inMemory(largeStep(b)), Objective: Objective{Divergence: ForwardKL}}
		}, fullExamples(16, 256, 8192)},
	} {
		for _, variant := range []struct {
			name   string
			change func(*TrainConfig)
		}{
			{"float32", func(c *TrainConfig) { c.Precision = kernels.Float32 }},
			{"float32-one-pass", func(c *TrainConfig) { c.Precision, c.passTokens = kernels.Float32, 1<<20 }},
			{"bfloat16", func(*TrainConfig) {}},
			{"one-pass", func(c *TrainConfig) { c.passTokens = 1 << 20 }},
			{"one-pass-one-chunk", func(c *TrainConfig) { c.passTokens, c.chunkRows = 1<<20, 1<<20 }},
			{"one-pass-recompute", func(c *TrainConfig) { c.passTokens, c.Recompute = 1<<20, true }},
			{"recompute", func(c *TrainConfig) { c.Recompute = true }},
		} {
			b.Run(shape.name+"/"+variant.name, func(b *testing.B) {
				c := shape.config()
				c.Precision = kernels.BFloat16
				variant.change(&c)
				benchmarkStep(b, c, shape.examples)
			})
		}
	}
}

func benchmarkStep(b *testing.B, c TrainConfig, examples []Example) {
	if teacher, ok := c.Teacher.(*ModelTeacher); ok {
		c.Teacher = NewModelTeacher(teacher.model, c.Precision)
	}
	c.Next, c.Steps, c.WarmUp, c.LearningRate = fixed(examples...), 1<<30, 1<<29, 1e-6
	tr, err := NewTrainer(c)
	if err != nil {
		b.Fatal(err)
	}
	for range 2 { // buffers, pools and packed forms
		if _, err := tr.Step(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tr.Step(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	tokens := int(countAll(examples).tokens) - len(examples)
	b.ReportMetric(float64(b.N*tokens)/b.Elapsed().Seconds(), "tokens/s")
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapInuse)/1e6, "heap-MB")
	if peak, ok := peakResident(); ok {
		b.ReportMetric(float64(peak)/1e6, "peak-MB")
	}
}

// peakResident reads the largest resident set of this process in bytes, where the system reports
// it.
func peakResident() (bytes int64, ok bool) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		if rest, found := strings.CutPrefix(line, "VmHWM:"); found {
			kib, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kib << 10, err == nil
		}
	}
	return 0, false
}
