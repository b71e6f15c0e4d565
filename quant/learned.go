package quant

import (
	"fmt"
	"math"

	"slimlab/kernels"
	"slimlab/kernels/parallel"
	"slimlab/model"
	"slimlab/model/weight"
)

// LearnedScales rounds the linear layers of a model to their formats while it is trained, with
// scales that the training learns. Weights reach the rounding by the straight-through estimator:
// their gradient is that of the rounded ones, 0 where they are clamped. A scale's gradient is that
// of "Learned Step Size Quantization" (Esser et al., 2020), divided by √(n·Q) of its group of n
// weights and its largest code Q; what is learned is its logarithm, so that it stays positive.
type LearnedScales struct {
	layers    []learnedLayer
	start     []float32 // logarithms of scales
	precision kernels.Precision
}

// learnedLayer is a linear layer's place in the vectors of weights and of parameters.
type learnedLayer struct {
	name    string
	grid    intGrid // with the scales at the start
	weights int     // of its first weight in Model.Flat
	scales  int     // of its first scale in the parameters
}

// NewLearnedScales begins with the scales that round to nearest fits to the weights of a Trainable
// model. Scales are rounded to a precision as they are read, as those of a file will be. Formats
// are those of whole numbers; the rounders of the plan are not used.
func NewLearnedScales(m *model.Model, plan Plan, scales kernels.Precision) (*LearnedScales, error) {
	schemes, err := plan.Schemes(m)
	if err != nil {
		return nil, fmt.Errorf("quantization: %w", err)
	}
	places, at := map[string]int{}, 0
	for _, p := range m.Parameters() {
		places[p.Name] = at
		at += len(p.Data)
	}
	l := &LearnedScales{precision: scales}
	for i, linear := range m.Linears() {
		f := schemes[i].Format
		if schemes[i].Rounder == nil {
			continue
		}
		if f.Float {
			return nil, fmt.Errorf("quantization: %s: %s has no scales that can be learned, expected w8a8, w4a16 or w4a8", linear.Name, f)
		}
		w, ok := linear.Weight.(*weight.Dense)
		if !ok {
			return nil, fmt.Errorf("quantization: %s is %s, expected float32", linear.Name, linear.Weight.Format())
		}
		grid, err := NewGrid(f, w, scales)
		if err != nil {
			return nil, fmt.Errorf("quantization: %s: %w", linear.Name, err)
		}
		if len(l.layers) > 0 && l.layers[0].grid.format.Activations != f.Activations {
			return nil, fmt.Errorf("quantization: %s: %s, expected the activations of %s, which has %s: all linear layers round theirs alike while they are trained", linear.Name, f, l.layers[0].name, l.layers[0].grid.format)
		}
		layer := learnedLayer{name: linear.Name, grid: *grid.(*intGrid), weights: places[linear.Name+".weight"], scales: len(l.start)}
		for _, s := range layer.grid.scale {
			l.start = append(l.start, float32(math.Log(float64(s))))
		}
		l.layers = append(l.layers, layer)
	}
	if len(l.layers) == 0 {
		return nil, fmt.Errorf("quantization: the plan rounds no linear layer")
	}
	return l, nil
}

// Parameters are the logarithms of the scales at the start.
func (l *LearnedScales) Parameters() []float32 { return l.start }

// Activations are those of the formats: the plan's linear layers have the same.
func (l *LearnedScales) Activations() weight.Activations { return l.layers[0].grid.format.Activations }

// scale is a scale as it is stored.
func (l *LearnedScales) scale(logarithm float32) float64 {
	s := [1]float32{float32(math.Exp(float64(logarithm)))}
	l.precision.Round(s[:])
	return float64(s[0])
}

// groups calls f for ranges of a layer's groups, on all threads.
func (g *intGrid) groups(f func(group int)) {
	parallel.Range(len(g.scale), max(1, 4096/g.group), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			f(i)
		}
	})
}

// Round writes the weights as they are rounded under the scales.
func (l *LearnedScales) Round(rounded, weights, parameters []float32) {
	copy(rounded, weights)
	for i := range l.layers {
		layer := &l.layers[i]
		g := &layer.grid
		g.groups(func(group int) {
			scale, zero := l.scale(parameters[layer.scales+group]), g.zeroOf(group)
			for j := layer.weights + group*g.group; j < layer.weights+(group+1)*g.group; j++ {
				code := g.clamp(math.RoundToEven(float64(weights[j])/scale) + zero)
				rounded[j] = float32((code - zero) * scale)
			}
		})
	}
}

// Gradient turns the gradient of the rounded weights into that of the weights, in place, and writes
// that of the scales' logarithms.
func (l *LearnedScales) Gradient(gradient, ofParameters, weights, parameters []float32) {
	for i := range l.layers {
		layer := &l.layers[i]
		g := &layer.grid
		damping := 1 / math.Sqrt(float64(g.group)*g.highest)
		g.groups(func(group int) {
			scale, zero := l.scale(parameters[layer.scales+group]), g.zeroOf(group)
			var sum float64
			for j := layer.weights + group*g.group; j < layer.weights+(group+1)*g.group; j++ {
				steps := float64(weights[j]) / scale
				code := math.RoundToEven(steps) + zero
				if clamped := g.clamp(code); clamped != code {
					sum += float64(gradient[j]) * (clamped - zero)
					gradient[j] = 0
				} else {
					sum += float64(gradient[j]) * (code - zero - steps)
				}
			}
			ofParameters[layer.scales+group] = float32(sum * scale * damping)
		})
	}
}

// Pack gives the linear layers of a model, which holds weights that Round has written under these
// parameters, their formats. No value changes.
func (l *LearnedScales) Pack(m *model.Model, parameters []float32) error {
	byName := map[string]*learnedLayer{}
	for i := range l.layers {
		byName[l.layers[i].name] = &l.layers[i]
	}
	for _, linear := range m.Linears() {
		layer := byName[linear.Name]
		if layer == nil {
			continue
		}
		w, ok := linear.Weight.(*weight.Dense)
		if !ok || w.Out != layer.grid.out || w.In != layer.grid.in {
			return fmt.Errorf("quantization: %s: expected float32 weights of [%d, %d]", linear.Name, layer.grid.out, layer.grid.in)
		}
		g := layer.grid
		g.scale = make([]float32, len(g.scale))
		for i := range g.scale {
			g.scale[i] = float32(l.scale(parameters[layer.scales+i]))
		}
		codes := make([]byte, len(w.Data))
		for i, v := range w.Data {
			codes[i], _ = g.Encode(float64(v), i/g.in, i%g.in)
		}
		packed, err := weight.New(g.Encoding(), codes)
		if err != nil {
			return fmt.Errorf("quantization: %s: %w", linear.Name, err)
		}
		linear.Linear.Weight = packed
	}
	return nil
}
