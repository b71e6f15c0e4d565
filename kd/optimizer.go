package kd

import (
	"slimlab/kernels"
	"slimlab/model"
)

// Constants of AdamW that the literature on language models agrees on.
const (
	beta1   = 0.9
	beta2   = 0.95
	epsilon = 1e-8
)

// optimizer is AdamW on the parameters that one rank owns, a part of a flat vector, with weight
// decay on some ranges of them. Moments exist for that part alone.
type optimizer struct {
	parameters []float32
	m, v       []float32
	ranges     []decayRange // within parameters
	step       int
}

// decayRange is a run of parameters [from, to) that all decay or all do not.
type decayRange struct {
	from, to int
	decays   bool
}

// newOptimizer updates the parameters from index from up to index to of a flat vector. ranges
// covers the whole vector.
func newOptimizer(flat []float32, ranges []decayRange, from, to int) *optimizer {
	o := &optimizer{parameters: flat[from:to], m: make([]float32, to-from), v: make([]float32, to-from)}
	for _, r := range ranges {
		if lo, hi := max(r.from, from), min(r.to, to); lo < hi {
			o.ranges = append(o.ranges, decayRange{lo - from, hi - from, r.decays})
		}
	}
	return o
}

// decayRanges merges neighbours in the order of Flat. Weight decay is for matrices: not for norms
// and biases, whose size is a function in itself, nor for the embedding, whose rows would shrink at
// each step that does not read them.
func decayRanges(student *model.Model) []decayRange {
	var ranges []decayRange
	at := 0
	for _, p := range student.Parameters() {
		decays := p.Kind == model.Matrix
		end := at + len(p.Data)
		if last := len(ranges) - 1; last >= 0 && ranges[last].decays == decays {
			ranges[last].to = end
		} else {
			ranges = append(ranges, decayRange{at, end, decays})
		}
		at = end
	}
	return ranges
}

// optimizerStep says how far one update goes.
type optimizerStep struct {
	learningRate, weightDecay float64
	gradientScale             float64 // clipping
}

// update applies one step and clears the gradient, which is as long as the optimizer's parameters.
func (o *optimizer) update(gradient []float32, s optimizerStep) {
	o.step++
	for _, r := range o.ranges {
		step := kernels.AdamW{
			LearningRate: float32(s.learningRate), Beta1: beta1, Beta2: beta2, Epsilon: epsilon,
			Step: o.step, GradScale: float32(s.gradientScale),
		}
		if r.decays {
			step.WeightDecay = float32(s.weightDecay)
		}
		step.Update(o.parameters[r.from:r.to], gradient[r.from:r.to], o.m[r.from:r.to], o.v[r.from:r.to])
	}
}
