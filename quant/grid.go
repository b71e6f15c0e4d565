package quant

import (
	"fmt"
	"math"

	"slimlab/kernels"
	"slimlab/model/weight"
)

// Grid is the set of values that the weights of one linear layer, [out, in], may take. A value has
// a code of eight bits.
type Grid interface {
	// Encode returns the code whose value is nearest to w for output o and input i, and that value.
	Encode(w float64, o, i int) (code int8, value float64)
	// Decode returns the value of a code for output o and input i.
	Decode(code int8, o, i int) float64
	// Weight makes the weight of codes [out, in].
	Weight(codes []int8) (weight.Weight, error)
}

// NumberFormat is what the weights and activations of a linear layer are stored and multiplied in.
// The zero value is float32.
type NumberFormat struct {
	Bits  int  // of a weight: 8, 4, or 0 for float32
	Float bool // 8 bits: FP8 (E4M3FN) with activations rounded per token, instead of integers
	// 4 bits: activations are quantized to int8 (W4A8), instead of kept in 16 bits (W4A16)
	Int8Activations bool
	Group           int // 4 bits: consecutive inputs that share a scale
}

// Stored is the format of the weights that Grid.Weight makes.
func (f NumberFormat) Stored() weight.Format {
	s := weight.Format{Float: f.Float, Bits: f.Bits, Group: f.Group}
	if f.Bits == 8 || f.Int8Activations {
		s.Activations = weight.Token
	}
	return s
}

// Fit fits symmetric scales to w [out, in], rounded to a precision, and returns their grid. 8 bits
// have codes −127…127 with absmax/127 (SmoothQuant), 4 bits −8…7 with absmax/7.5
// (compressed-tensors, GPTQ): the largest weight is then clamped by half a step, and the smallest
// rounds to −8. FP8 has absmax/448, its largest value. Zeros alone get scale 1.
func (f NumberFormat) Fit(w *weight.Dense, scales kernels.Precision) (Grid, error) {
	s := scaled{out: w.Out, in: w.In, group: w.In}
	if f.Bits == 4 {
		s.group = f.Group
	}
	switch {
	case f.Bits != 8 && f.Bits != 4:
		return nil, fmt.Errorf("found a format of %d bits, expected 8 or 4", f.Bits)
	case s.group <= 0 || s.in%s.group != 0:
		return nil, fmt.Errorf("groups of %d do not divide the %d inputs", s.group, s.in)
	case f.Float:
		g := &float8Grid{s}
		return g, g.fit(w.Data, kernels.MaxFloat8, scales)
	case f.Bits == 8:
		g := &intGrid{scaled: s, lowest: -127, highest: 127}
		return g, g.fit(w.Data, 127, scales)
	}
	g := &intGrid{scaled: s, lowest: -8, highest: 7, int8Activations: f.Int8Activations}
	return g, g.fit(w.Data, 7.5, scales)
}

// scaled is the scales of a grid, as they are stored: one for each group of consecutive inputs of
// an output.
type scaled struct {
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

func (s *scaled) at(o, i int) float64 { return float64(s.scale[(o*s.in+i)/s.group]) }

// intGrid has the values code·scale with integer codes.
type intGrid struct {
	scaled
	lowest, highest float64
	int8Activations bool
}

func (g *intGrid) Encode(w float64, o, i int) (code int8, value float64) {
	scale := g.at(o, i)
	code = int8(max(g.lowest, min(g.highest, math.RoundToEven(w/scale))))
	return code, float64(code) * scale
}

func (g *intGrid) Decode(code int8, o, i int) float64 { return float64(code) * g.at(o, i) }

func (g *intGrid) Weight(codes []int8) (weight.Weight, error) {
	switch {
	case g.highest == 127:
		return weight.NewInt8(codes, g.scale, g.out, g.in)
	case g.int8Activations:
		return weight.NewInt4A8(codes, g.scale, g.out, g.in, g.group)
	}
	return weight.NewInt4(codes, g.scale, g.out, g.in, g.group)
}

// float8Grid has the values of FP8 times a scale per output; codes are the bits.
type float8Grid struct{ scaled }

func (g *float8Grid) Encode(w float64, o, i int) (code int8, value float64) {
	code = int8(kernels.ToFloat8(float32(w / g.at(o, i))))
	return code, g.Decode(code, o, i)
}

func (g *float8Grid) Decode(code int8, o, i int) float64 {
	return float64(kernels.FromFloat8(byte(code))) * g.at(o, i)
}

func (g *float8Grid) Weight(codes []int8) (weight.Weight, error) {
	q := make([]byte, len(codes))
	for i, v := range codes {
		q[i] = byte(v)
	}
	return weight.NewFP8(q, g.scale, 0, g.out, g.in)
}
