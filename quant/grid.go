package quant

import (
	"fmt"
	"math"

	"slimlab/kernels"
	"slimlab/model/weight"
)

// Grid is the set of values that the weights of one linear layer, [out, in], may take, each with a
// code: an int8, or the bits of an E4M3FN number.
type Grid interface {
	// Encode returns the code whose value is nearest to w for output o and input i, and that value.
	Encode(w float64, o, i int) (code byte, value float64)
	// Decode returns the value of a code for output o and input i.
	Decode(code byte, o, i int) float64
	// Encoding is what a weight on the grid is made of besides its codes.
	Encoding() weight.Encoding
}

// NewGrid fits symmetric scales to w [out, in], rounded to a precision, and returns their grid. 8
// bits have codes −127…127 with absmax/127 (SmoothQuant), 4 bits −8…7 with absmax/7.5
// (compressed-tensors, GPTQ): the largest weight is then clamped by half a step, and the smallest
// rounds to −8. FP8 has absmax/448, its largest value. Zeros alone get scale 1.
func NewGrid(f weight.Format, w *weight.Dense, scales kernels.Precision) (Grid, error) {
	if err := checkFormat(f); err != nil {
		return nil, err
	}
	s := scaled{format: f, out: w.Out, in: w.In, group: f.Group}
	if s.group == 0 {
		s.group = s.in
	}
	if s.in%s.group != 0 {
		return nil, fmt.Errorf("groups of %d do not divide the %d inputs", s.group, s.in)
	}
	switch {
	case f.Float:
		g := &float8Grid{s}
		return g, g.fit(w.Data, kernels.MaxFloat8, scales)
	case f.Bits == 8:
		g := &intGrid{scaled: s, lowest: -127, highest: 127}
		return g, g.fit(w.Data, 127, scales)
	}
	g := &intGrid{scaled: s, lowest: -8, highest: 7}
	return g, g.fit(w.Data, 7.5, scales)
}

// checkFormat reports a format that no grid has.
func checkFormat(f weight.Format) error {
	plain := weight.Format{Float: f.Float, Bits: f.Bits, Activations: f.Activations}
	switch {
	case plain == weight.Format{Bits: 8, Activations: weight.Token} && f == plain:
	case plain == weight.Format{Float: true, Bits: 8, Activations: weight.Token} && f == plain:
	case !f.Float && f.Bits == 4 && f.Activations != weight.Static && f.Group >= 0 && f.Group%8 == 0 &&
		f == weight.Format{Bits: 4, Group: f.Group, Activations: f.Activations}:
	default:
		return fmt.Errorf("nothing is quantized to %s, expected w8a8, fp8-dynamic, or w4a16 or w4a8 in groups of a multiple of 8", f)
	}
	return nil
}

// scaled is the scales of a grid, as they are stored: one for each group of consecutive inputs of
// an output.
type scaled struct {
	format         weight.Format
	out, in, group int
	scale          []float32 // [out, in/group]
}

// fit sets each scale to the largest magnitude of its group divided by steps.
func (s *scaled) fit(w []float32, steps float32, precision kernels.Precision) error {
	s.scale = make([]float32, len(w)/s.group)
	for i := range s.scale {
		absmax := float32(0)
		for j, v := range w[i*s.group : (i+1)*s.group] {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				at := i*s.group + j
				return fmt.Errorf("weight [%d, %d] is %v, expected a finite number", at/s.in, at%s.in, v)
			}
			absmax = max(absmax, v, -v)
		}
		s.scale[i] = absmax / steps
	}
	precision.Round(s.scale)
	for i, v := range s.scale {
		if v == 0 {
			s.scale[i] = 1
		}
	}
	return nil
}

// Encoding implements Grid.
func (s *scaled) Encoding() weight.Encoding {
	return weight.Encoding{Format: s.format, Out: s.out, In: s.in, Scale: s.scale}
}

func (s *scaled) at(o, i int) float64 { return float64(s.scale[(o*s.in+i)/s.group]) }

// intGrid has the values code·scale with integer codes.
type intGrid struct {
	scaled
	lowest, highest float64
}

// Encode implements Grid.
func (g *intGrid) Encode(w float64, o, i int) (code byte, value float64) {
	scale := g.at(o, i)
	c := int8(max(g.lowest, min(g.highest, math.RoundToEven(w/scale))))
	return byte(c), float64(c) * scale
}

// Decode implements Grid.
func (g *intGrid) Decode(code byte, o, i int) float64 { return float64(int8(code)) * g.at(o, i) }

// float8Grid has the values of FP8 times a scale per output.
type float8Grid struct{ scaled }

// Encode implements Grid.
func (g *float8Grid) Encode(w float64, o, i int) (code byte, value float64) {
	code = kernels.ToFloat8(float32(w / g.at(o, i)))
	return code, g.Decode(code, o, i)
}

// Decode implements Grid.
func (g *float8Grid) Decode(code byte, o, i int) float64 {
	return float64(kernels.FromFloat8(code)) * g.at(o, i)
}
