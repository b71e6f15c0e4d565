package kd

import (
	"bytes"
	"math"
	"testing"

	"slimlab/model/weight"
)

// steps rounds all weights to multiples of e^parameter, its only parameter.
type steps struct{ logarithm float32 }

func (s steps) Activations() weight.Activations { return weight.Kept }
func (s steps) Parameters() []float32           { return []float32{s.logarithm} }

func (s steps) Round(rounded, weights, parameters []float32) {
	size := math.Exp(float64(parameters[0]))
	for i, w := range weights {
		rounded[i] = float32(math.RoundToEven(float64(w)/size) * size)
	}
}

func (s steps) Gradient(gradient, ofParameters, weights, parameters []float32) {
	size := math.Exp(float64(parameters[0]))
	var sum float64
	for i, w := range weights {
		sum += float64(gradient[i]) * (math.RoundToEven(float64(w)/size)*size - float64(w))
	}
	ofParameters[0] = float32(sum)
}

// TestTrainingThroughRounding: before the first step, after each and at the end the student holds
// rounded weights; the unrounded ones and the parameter go on learning between, and a restored
// training is the same.
func TestTrainingThroughRounding(t *testing.T) {
	config := func() TrainConfig {
		return TrainConfig{
			Student: tinyModel(t, tinyConfig(13, 8), 1), Teacher: inMemory(tinyModel(t, tinyConfig(13, 12), 2)), Objective: Objective{Divergence: ForwardKL},
			Next: Shuffle(tinyExamples(9, 13, 3), 4, 1), Steps: 12, LearningRate: 2e-2, Rounding: steps{float32(math.Log(0.125))},
			Validation: tinyExamples(3, 13, 8), EvalEvery: 3, KeepBest: true,
		}
	}
	c := config()
	tr, err := NewTrainer(c)
	if err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		size := math.Exp(float64(tr.RoundingParameters()[0]))
		for i, w := range c.Student.Flat() {
			if n := float64(w) / size; math.Abs(n-math.RoundToEven(n)) > 1e-3 {
				t.Fatalf("%s: weight %d is %v, no multiple of %v", when, i, w, size)
			}
		}
	}
	check("before the first step")
	first := tr.RoundingParameters()[0]
	var losses []float64
	for step := 1; step <= 12; step++ {
		report, err := tr.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		losses = append(losses, report.Loss)
		check("after a step")
	}
	if tr.RoundingParameters()[0] == first {
		t.Error("the parameter learns nothing")
	}
	if losses[11] > 0.9*losses[0] {
		t.Errorf("the loss goes from %v to %v", losses[0], losses[11])
	}
	whole := saved(t, tr)
	tr.RestoreBest()
	check("at the best")

	half, err := NewTrainer(config())
	if err != nil {
		t.Fatal(err)
	}
	advance(t, half, 5)
	again, err := NewTrainer(config())
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Restore(bytes.NewReader(saved(t, half))); err != nil {
		t.Fatal(err)
	}
	advance(t, again, 7)
	if !bytes.Equal(saved(t, again), whole) {
		t.Error("a restored training through a rounding ends otherwise")
	}
	if plain := newTestTrainer(t, Objective{}, tinyModel(t, tinyConfig(13, 8), 1), nil, 0, 0); plain.RoundingParameters() != nil {
		t.Error("a training without a rounding has parameters of one")
	}
}

// TestSignalCountsEnds: an answer that ends with the end token is counted, one that has it
// elsewhere is not.
func TestSignalCountsEnds(t *testing.T) {
	examples := []Example{
		{Tokens: []int32{1, 2, 0}, Answer: []bool{false, true, true}},
		{Tokens: []int32{1, 0, 2}, Answer: []bool{false, true, true}},
		{Tokens: []int32{1, 2, 0}, Answer: []bool{false, true, false}},
		{Tokens: []int32{0, 3}, Answer: []bool{false, true}},
	}
	tr := newTestTrainer(t, Objective{Divergence: ForwardKL}, tinyModel(t, tinyConfig(13, 8), 1), tinyModel(t, tinyConfig(13, 12), 2), 0, 0)
	tr.config.Next = fixed(examples...)
	s, err := tr.Signal(t.Context(), 0)
	if err != nil || s.Ended != 1 || s.Answers != 6 || s.Tokens != 11 || s.Masked != 0 || s.Sampled != 0 {
		t.Errorf("%+v, %v", s, err)
	}
	again := newTestTrainer(t, Objective{Divergence: ForwardKL}, tinyModel(t, tinyConfig(13, 8), 1), tinyModel(t, tinyConfig(13, 12), 2), 0, 0)
	total, err := gradientOf(again, examples)
	if err != nil || math.Abs(s.Divergence-total.loss) > 1e-6 {
		t.Errorf("divergence %v, the loss of the batch is %v, %v", s.Divergence, total.loss, err)
	}
}
