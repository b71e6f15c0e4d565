package model

import (
	"slimlab/kernels"
	"slimlab/model/weight"
)

// Linear is a weight with an optional bias [out].
type Linear struct {
	Weight weight.Weight
	Bias   []float32 // nil where there is none
}

// mulT computes y = x·wᵀ + bias.
func (l *Linear) mulT(y, x []float32, rows int) {
	l.Weight.MulT(y, x, rows)
	l.addBias(y, rows)
}

// outputs is the layer of some outputs alone.
func (l *Linear) outputs(list []int32) Linear {
	part := Linear{Weight: l.Weight.Select(list)}
	if l.Bias != nil {
		part.Bias = make([]float32, len(list))
		for i, o := range list {
			part.Bias[i] = l.Bias[o]
		}
	}
	return part
}

func (l *Linear) begin(y, x []float32, rows int) kernels.Pending { return l.Weight.Begin(y, x, rows) }

func (l *Linear) addBias(y []float32, rows int) {
	if l.Bias != nil {
		kernels.AddRow(y, l.Bias, rows, len(l.Bias))
	}
}
