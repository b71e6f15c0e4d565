package kd

import (
	"math/rand/v2"
	"testing"

	"slimlab/model"
)

// benchStudent and benchTeacher are the shapes of the ranking scenario.
func benchStudent(b *testing.B) *model.Model {
	return tinyModel(b, model.Config{
		Architecture: "LlamaForCausalLM", Vocab: 256, Hidden: 96, HeadDim: 16, Layers: model.Uniform(3, 6, 3, 256),
		MaxPositions: 512, RopeTheta: 10000, NormEps: 1e-5, TiedHead: true, BOS: -1, EOS: -1,
	}, 1)
}

func benchTeacher(b *testing.B) *model.Model {
	return tinyModel(b, model.Config{
		Architecture: "LlamaForCausalLM", Vocab: 256, Hidden: 192, HeadDim: 32, Layers: model.Uniform(4, 6, 6, 512),
		MaxPositions: 512, RopeTheta: 10000, NormEps: 1e-5, TiedHead: true, BOS: -1, EOS: -1,
	}, 2)
}

// benchExamples is a batch of 16 prompts of 104 tokens, of which 21 are outcomes.
func benchExamples() []Example {
	rng := rand.New(rand.NewPCG(1, 1))
	examples := make([]Example, 16)
	for i := range examples {
		e := Example{Tokens: make([]int32, 104), Answer: make([]bool, 104)}
		for t := range e.Tokens {
			e.Tokens[t] = int32(rng.IntN(256))
			e.Answer[t] = t%5 == 4 || t == 103
		}
		examples[i] = e
	}
	return examples
}

func benchmarkSteps(b *testing.B, o Objective, student, teacher *model.Model) {
	examples := benchExamples()
	tr, err := NewTrainer(TrainConfig{
		Student: student, Teacher: inMemory(teacher), Objective: o, Next: fixed(examples...), Steps: 1 << 30, WarmUp: 1 << 29, LearningRate: 1e-6,
	})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := tr.Step(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tr.Step(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*countAll(examples).tokens/b.Elapsed().Seconds(), "tokens/s")
}

// BenchmarkTrainStep is one step of the default student (0.34 M parameters), with and without its
// teacher, and one of the teacher (1.8 M).
func BenchmarkTrainStep(b *testing.B) {
	mixture := Objective{CE: 0.1, Sequence: 0.05}
	b.Run("student-sft", func(b *testing.B) { benchmarkSteps(b, mixture, benchStudent(b), nil) })
	for _, c := range []struct {
		name string
		d    Divergence
	}{{"fkl", ForwardKL}, {"rkl", ReverseKL}, {"jsd", JSD}} {
		b.Run("student-"+c.name, func(b *testing.B) {
			o := mixture
			o.Divergence, o.Parameter = c.d, 0.5
			benchmarkSteps(b, o, benchStudent(b), benchTeacher(b))
		})
	}
	b.Run("teacher-sft", func(b *testing.B) { benchmarkSteps(b, mixture, benchTeacher(b), nil) })
}
