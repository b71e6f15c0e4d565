package weight

import (
	"fmt"
	"slices"

	"slimlab/kernels"
)

// FP8 is a weight in FP8 (E4M3FN or E5M2): codes with one scale per output channel, or for all.
// MulT rounds activations to the same format with a scale of their own per token (fp8-dynamic), or
// one for all (fp8-static) where a file brings it, multiplies the values exactly, and sums in
// float32. In memory it takes two bytes a weight, since it is packed as the bfloat16 numbers that
// the codes stand for; in a file one.
type FP8 struct {
	packed *kernels.PackedFloat8
	tensor bool // one scale for all
}

// NewFP8 makes a weight of codes q [out, in] in E4M3FN, none of them a NaN, and scale [out], which
// it keeps. input is the scale of all activations, or 0 for one per token, max|x|/448.
func NewFP8(q []byte, scale []float32, input float32, out, in int) (*FP8, error) {
	e := Encoding{Format: Format{Float: true, Bits: 8, Activations: Token}, Out: out, In: in, Scale: scale, Input: input}
	if input != 0 {
		e.Format.Activations = Static
	}
	if err := e.check(q); err != nil {
		return nil, fmt.Errorf("fp8 weight [%d, %d]: %w", out, in, err)
	}
	return newFP8(e, q)
}

// newFP8 makes a weight of parts that fit each other.
func newFP8(e Encoding, q []byte) (*FP8, error) {
	if input := e.Input; !(input >= 0) || input > 1e30 || (e.Format.Activations == Static) != (input != 0) {
		return nil, fmt.Errorf("%s weight [%d, %d]: the scale of activations is %v, expected a positive number where they are static, else 0", e.Format, e.Out, e.In, input)
	}
	if e.groups() != 1 {
		return nil, fmt.Errorf("%s weight [%d, %d]: found %d groups, expected one scale per output", e.Format, e.Out, e.In, e.groups())
	}
	scale := e.Scale
	if e.Format.Tensor {
		scale = slices.Repeat(scale, e.Out)
	}
	return &FP8{kernels.PackFloat8(e.Format.small(), q, scale, e.Input, e.Out, e.In), e.Format.Tensor}, nil
}

// buildFP8 is newFP8 for New.
func buildFP8(e Encoding, codes []byte) (Weight, error) { return newFP8(e, codes) }

// Encoding is what the weight is made of. The caller must not write to it.
func (w *FP8) Encoding() Encoding {
	out, in := w.Shape()
	e := Encoding{Format: Format{Float: true, Bits: 8, E5M2: w.packed.Format() == kernels.E5M2, Tensor: w.tensor, Activations: Token}, Out: out, In: in}
	if e.Scale, e.Input = w.packed.Scale(); e.Input != 0 {
		e.Format.Activations = Static
	}
	if w.tensor {
		e.Scale = e.Scale[:1]
	}
	return e
}

// Codes returns the codes, [out, in].
func (w *FP8) Codes() []byte {
	out, in := w.Shape()
	return collect(out, in, func(dst []byte, o int) { w.packed.Codes(dst, make([]float32, in), o) })
}

// Shape returns the number of outputs and inputs.
func (w *FP8) Shape() (out, in int) { return w.packed.Shape() }

// MulT computes y = x·ŵᵀ with x rounded per row; y is [rows, out], x is [rows, in].
func (w *FP8) MulT(y, x []float32, rows int) { w.packed.MulT(y, x, rows) }

// Begin begins MulT.
func (w *FP8) Begin(y, x []float32, rows int) kernels.Pending { return w.packed.Begin(y, x, rows) }

// Float32 returns the dequantized weight, in new memory at each call.
func (w *FP8) Float32() []float32 {
	out, in := w.Shape()
	return collect(out, in, w.Row)
}

// Row writes output o's dequantized weights, [in], to dst.
func (w *FP8) Row(dst []float32, o int) { w.packed.Row(dst, o) }

// Select returns the weight of some outputs alone.
func (w *FP8) Select(outputs []int32) Weight {
	_, in := w.Shape()
	all, input := w.packed.Scale()
	q, scale, row := make([]byte, len(outputs)*in), make([]float32, len(outputs)), make([]float32, in)
	for i, o := range outputs {
		w.packed.Codes(q[i*in:(i+1)*in], row, int(o))
		scale[i] = all[o]
	}
	return &FP8{kernels.PackFloat8(w.packed.Format(), q, scale, input, len(outputs), in), w.tensor}
}

// Bytes is one byte a code and four a scale.
func (w *FP8) Bytes() int64 {
	out, in := w.Shape()
	return int64(out)*int64(in) + 4*int64(len(w.Encoding().Scale))
}

// Format returns "fp8-dynamic", "fp8-static", "fp8-e5m2-dynamic" and others.
func (w *FP8) Format() string { return w.Encoding().Format.String() }
