package kd

import (
	"math"
	"slices"
	"testing"
)

// weighted gives each token of copies of examples a weight.
func weighted(examples []Example, weight func(i, t int) float32) []Example {
	examples = slices.Clone(examples)
	for i := range examples {
		e := &examples[i]
		e.Weights = make([]float32, len(e.Tokens))
		for t := range e.Weights {
			e.Weights[t] = weight(i, t)
		}
	}
	return examples
}

// TestWeightedLossAgainstDefinition: Σ w·loss / Σ w over the answer tokens, with the loss of each
// from its example by itself; Loss is the mean over the tokens of a weight above 0.
func TestWeightedLossAgainstDefinition(t *testing.T) {
	m := tinyModel(t, tinyConfig(13, 8), 1)
	plain := tinyExamples(9, 13, 33)
	for i := range plain {
		plain[i].Weights = nil
	}
	weight := func(i, t int) float32 { return float32((i+2*t)%4) / 3 }
	var sum, weights, mean float64
	tokens := 0
	for i, e := range plain {
		_, losses, err := TokenLosses(t.Context(), m, []Example{e})
		if err != nil {
			continue // no answer in it
		}
		for at, answer := range e.Answer {
			if !answer {
				continue
			}
			if w := float64(weight(i, at)); w > 0 {
				sum, weights, mean, tokens = sum+w*float64(losses[0]), weights+w, mean+float64(losses[0]), tokens+1
			}
			losses = losses[1:]
		}
	}
	examples := weighted(plain, weight)
	got, err := WeightedLoss(t.Context(), m, examples)
	if want := sum / weights; err != nil || math.Abs(got-want) > 1e-6 {
		t.Errorf("the weighted loss is %v, expected %v; %v", got, want, err)
	}
	got, n, err := Loss(t.Context(), m, examples)
	if want := mean / float64(tokens); err != nil || n != tokens || math.Abs(got-want) > 1e-6 {
		t.Errorf("the loss is %v over %d tokens, expected %v over %d; %v", got, n, want, tokens, err)
	}
	if _, err := WeightedLoss(t.Context(), m, weighted(plain, func(int, int) float32 { return 0 })); err == nil {
		t.Error("weights of 0 alone have a loss")
	}
}

// TestWeightsOfOneChangeNothing: a training whose weights are all 1 has the same bits as one
// without weights, its validation losses too; so has one whose weights are all 4, since means are
// divided by the sum of the weights.
func TestWeightsOfOneChangeNothing(t *testing.T) {
	plain := tinyExamples(9, 13, 33)
	for i := range plain {
		plain[i].Weights = nil
	}
	train := func(examples []Example) ([]float32, Result) {
		student := tinyModel(t, tinyConfig(13, 8), 1)
		result, err := Train(t.Context(), TrainConfig{
			Student: student, Objective: Objective{CE: 1, Sequence: 0.25}, Next: fixed(examples...), Validation: examples[:6],
			Steps: 4, EvalEvery: 2, LearningRate: 1e-2, WarmUp: 1, Floor: 0.1, Clip: 1,
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return student.Flat(), result
	}
	want, without := train(plain)
	for _, weight := range []float32{1, 4} {
		got, with := train(weighted(plain, func(int, int) float32 { return weight }))
		if !slices.Equal(got, want) || with.Last.Validation != without.Last.Validation || with.Last.Loss != without.Last.Loss {
			t.Errorf("weights of %v change the training: validation %v and %v", weight, with.Last.Validation, without.Last.Validation)
		}
	}
}

// TestWeightZeroIsPartOfThePrompt: an answer of weight 0 leaves the others the loss and the
// gradients that they have where it is a part of the prompt.
func TestWeightZeroIsPartOfThePrompt(t *testing.T) {
	tokens := []int32{1, 5, 3, 7, 2, 9, 4, 6}
	prompt := Example{Tokens: tokens, Answer: []bool{false, false, false, false, false, false, true, true}}
	masked := Example{Tokens: tokens, Answer: []bool{false, false, true, true, false, false, true, true}, Weights: []float32{1, 1, 0, 0, 1, 1, 1, 1}}
	other := tinyExamples(2, 13, 5)
	train := func(e Example) ([]float32, StepReport) {
		student := tinyModel(t, tinyConfig(13, 8), 1)
		result, err := Train(t.Context(), TrainConfig{
			Student: student, Objective: Objective{CE: 1}, Next: fixed(append([]Example{e}, other...)...), Validation: []Example{e},
			Steps: 3, LearningRate: 1e-2, Floor: 0.1, Clip: 1,
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return student.Flat(), result.Last
	}
	want, asPrompt := train(prompt)
	got, asMasked := train(masked)
	if !slices.Equal(got, want) || asMasked.Loss != asPrompt.Loss || asMasked.Validation != asPrompt.Validation {
		t.Errorf("a masked answer: loss %v, validation %v; as a part of the prompt %v, %v", asMasked.Loss, asMasked.Validation, asPrompt.Loss, asPrompt.Validation)
	}
}
