package weight

import (
	"fmt"

	"slimlab/kernels"
)

// Int4 is a W4A16 or W4A8 weight: codes −8…7 with one scale for each group of consecutive inputs of
// an output channel; MulT rounds activations to bfloat16, or quantizes each row of them to int8 and
// sums the products of a group in int32.
type Int4 struct {
	packed      *kernels.PackedInt4
	activations Activations // Kept or Token
}

// NewInt4 makes a W4A16 weight of codes q [out, in], each −8…7, and scale [out, in/group]. in is a
// multiple of group. It keeps neither.
func NewInt4(q []int8, scale []float32, out, in, group int) (*Int4, error) {
	if group <= 0 || group > maxSummed || in%group != 0 {
		return nil, fmt.Errorf("int4 weight [%d, %d]: group %d, expected one that divides the inputs, at most %d", out, in, group, maxSummed)
	}
	if len(q) != out*in || len(scale) != out*in/group {
		return nil, fmt.Errorf("int4 weight [%d, %d] in groups of %d: found %d codes and %d scales, expected %d and %d",
			out, in, group, len(q), len(scale), out*in, out*in/group)
	}
	for i, v := range q {
		if v < -8 || v > 7 {
			return nil, fmt.Errorf("int4 weight [%d, %d]: code [%d, %d] is %d, expected -8 to 7", out, in, i/in, i%in, v)
		}
	}
	return &Int4{kernels.PackInt4(q, scale, out, in, group), Kept}, nil
}

// NewInt4A8 makes a W4A8 weight of what NewInt4 takes.
func NewInt4A8(q []int8, scale []float32, out, in, group int) (*Int4, error) {
	w, err := NewInt4(q, scale, out, in, group)
	if err != nil {
		return nil, err
	}
	w.activations = Token
	return w, nil
}

// buildInt4 makes an Int4 of symmetric codes in plain order, else a Uint4.
func buildInt4(e Encoding, codes []byte) (Weight, error) {
	q := asInt8(codes)
	switch {
	case !e.symmetric() || e.GroupOf != nil:
		if e.Format.Activations != Kept {
			return nil, fmt.Errorf("%s weight [%d, %d]: 8-bit activations are not multiplied with zero points or act-order", e.Format, e.Out, e.In)
		}
		return NewUint4(q, e.Zero, e.Scale, e.GroupOf, e.Out, e.In, e.group())
	case e.Format.Activations == Token:
		return NewInt4A8(q, e.Scale, e.Out, e.In, e.group())
	default:
		return NewInt4(q, e.Scale, e.Out, e.In, e.group())
	}
}

// Encoding is what the weight is made of.
func (w *Int4) Encoding() Encoding {
	out, in := w.Shape()
	e := Encoding{Format: Format{Bits: 4, Group: w.packed.Group, Activations: w.activations}, Out: out, In: in}
	e.Scale = collect(out, e.groups(), func(dst []float32, o int) { w.packed.Codes(make([]int8, in), dst, o) })
	return e
}

// Codes returns the codes, [out, in], as int8.
func (w *Int4) Codes() []byte {
	out, in := w.Shape()
	return asBytes(collect(out, in, func(dst []int8, o int) { w.packed.Codes(dst, make([]float32, in/w.packed.Group), o) }))
}

// Shape returns the number of outputs and inputs.
func (w *Int4) Shape() (out, in int) { return w.packed.Out, w.packed.In }

// MulT computes y = x·ŵᵀ; y is [rows, out], x is [rows, in].
func (w *Int4) MulT(y, x []float32, rows int) { kernels.Run(w.Begin(y, x, rows)) }

// Begin begins MulT.
func (w *Int4) Begin(y, x []float32, rows int) kernels.Pending {
	if w.activations == Token {
		return w.packed.BeginInt8(y, x, rows)
	}
	return w.packed.Begin(y, x, rows)
}

// Float32 returns the dequantized weight, in new memory at each call.
func (w *Int4) Float32() []float32 { return collect(w.packed.Out, w.packed.In, w.Row) }

// Row writes output o's dequantized weights, [in], to dst.
func (w *Int4) Row(dst []float32, o int) { w.packed.Row(dst, o) }

// Select returns the weight of some outputs alone.
func (w *Int4) Select(outputs []int32) Weight {
	in, group := w.packed.In, w.packed.Group
	q, scale := make([]int8, len(outputs)*in), make([]float32, len(outputs)*(in/group))
	for i, o := range outputs {
		w.packed.Codes(q[i*in:], scale[i*(in/group):], int(o))
	}
	return &Int4{kernels.PackInt4(q, scale, len(outputs), in, group), w.activations}
}

// Bytes is half a byte a code and four a scale.
func (w *Int4) Bytes() int64 { return w.packed.Bytes() }

// Format returns "w4a16-g32" or "w4a8-g32" for groups of 32.
func (w *Int4) Format() string {
	return Format{Bits: 4, Group: w.packed.Group, Activations: w.activations}.String()
}
