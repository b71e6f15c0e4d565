package kd

import (
	"math"
	"strings"

	"slimlab/kernels"
	"slimlab/model"
)

// optimizer is AdamW over the flat parameters of one model, with decay on some ranges of them.
type optimizer struct {
	parameters []float32
	m, v       []float32
	ranges     []decayRange
	step       int
}

// decayRange is a run of parameters [from, to) that all decay or all do not.
type decayRange struct {
	from, to int
	decays   bool
}

func newOptimizer(student *model.Model) *optimizer {
	flat := student.Flat()
	return &optimizer{parameters: flat, m: make([]float32, len(flat)), v: make([]float32, len(flat)), ranges: decayRanges(student)}
}

// decayRanges merges neighbours in the order of Flat. Weight decay is for the matrices of linear
// layers, an untied head among them: not for norms and biases, whose size is a function in itself,
// nor for the embedding, whose rows would shrink at each step that does not read them.
func decayRanges(student *model.Model) []decayRange {
	var ranges []decayRange
	at := 0
	for _, p := range student.Parameters() {
		decays := len(p.Shape) == 2 && !strings.Contains(p.Name, "embed_tokens")
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

// update applies one step with gradients scaled by scale.
func (o *optimizer) update(gradient []float32, c *TrainConfig, rate, scale float64) {
	o.step++
	for _, r := range o.ranges {
		step := kernels.AdamW{
			LearningRate: float32(rate), Beta1: float32(c.Beta1), Beta2: float32(c.Beta2), Epsilon: 1e-8,
			Step: o.step, GradScale: float32(scale),
		}
		if r.decays {
			step.WeightDecay = float32(c.WeightDecay)
		}
		step.Update(o.parameters[r.from:r.to], gradient[r.from:r.to], o.m[r.from:r.to], o.v[r.from:r.to])
	}
}

// rate is the learning rate of a step from 1: a linear warm-up to LearningRate at step WarmUp (at
// the first without one), then half a cosine down to Floor·LearningRate at the last step.
func (c *TrainConfig) rate(step int) float64 {
	if step <= c.WarmUp {
		return c.LearningRate * float64(step) / float64(c.WarmUp)
	}
	peak := max(1, c.WarmUp)
	progress := float64(step-peak) / float64(max(1, c.Steps-peak))
	return c.LearningRate * (c.Floor + (1-c.Floor)*0.5*(1+math.Cos(math.Pi*progress)))
}
