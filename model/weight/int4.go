package weight

import (
	"fmt"

	"slimlab/kernels"
)

// Int4 is a W4A16, W4A8 or W3A16 weight: codes −8…7, or −4…3 of 3 bits, with one scale for each
// group of consecutive inputs of an output channel; MulT rounds activations to bfloat16, or
// quantizes each row of them to int8 and sums the products of a group in int32. Codes of 3 bits
// take 4 in memory; in a file 3.
type Int4 struct {
	packed      *kernels.PackedInt4
	bits        int         // 4 or 3
	activations Activations // Kept or Token
	channel     bool        // the group is all the inputs of an output, whatever their number
}

// NewInt4 makes a W4A16 weight of codes q [out, in], each −8…7, and scale [out, in/group]. in is a
// multiple of group. It keeps neither.
func NewInt4(q []int8, scale []float32, out, in, group int) (*Int4, error) {
	return newInt4(Encoding{Format: Format{Bits: 4, Group: group}, Out: out, In: in, Scale: scale}, q)
}

// NewInt4A8 makes a W4A8 weight of what NewInt4 takes.
func NewInt4A8(q []int8, scale []float32, out, in, group int) (*Int4, error) {
	return newInt4(Encoding{Format: Format{Bits: 4, Group: group, Activations: Token}, Out: out, In: in, Scale: scale}, q)
}

// newInt4 makes a weight of symmetric codes of 4 or 3 bits.
func newInt4(e Encoding, q []int8) (*Int4, error) {
	if g := e.Format.Group; g <= 0 || g > maxSummed || e.In%g != 0 {
		return nil, fmt.Errorf("int%d weight [%d, %d]: group %d, expected one that divides the inputs, at most %d", e.Format.Bits, e.Out, e.In, g, maxSummed)
	}
	if err := e.check(asBytes(q)); err != nil {
		return nil, fmt.Errorf("int%d weight [%d, %d]: %w", e.Format.Bits, e.Out, e.In, err)
	}
	return &Int4{packed: kernels.PackInt4(q, e.Scale, e.Out, e.In, e.Format.Group), bits: e.Format.Bits, activations: e.Format.Activations}, nil
}

// buildInt4 makes an Int4 of symmetric codes in plain order, else a Uint4.
func buildInt4(e Encoding, codes []byte) (Weight, error) {
	q := asInt8(codes)
	if e.symmetric() && e.GroupOf == nil {
		channel := e.Format.Group == 0
		e.Format.Group, e.Format.ZeroPoints, e.Format.Order, e.Zero = e.group(), false, false, nil
		w, err := newInt4(e, q)
		if err != nil {
			return nil, err
		}
		w.channel = channel
		return w, nil
	}
	if e.Format.Activations != Kept {
		return nil, fmt.Errorf("%s weight [%d, %d]: 8-bit activations are not multiplied with zero points or act-order", e.Format, e.Out, e.In)
	}
	return newUint4(e, q)
}

func (w *Int4) format() Format {
	f := Format{Bits: w.bits, Group: w.packed.Group, Activations: w.activations}
	if w.channel {
		f.Group = 0
	}
	return f
}

// Encoding is what the weight is made of.
func (w *Int4) Encoding() Encoding {
	out, in := w.Shape()
	e := Encoding{Format: w.format(), Out: out, In: in}
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
	return &Int4{kernels.PackInt4(q, scale, len(outputs), in, group), w.bits, w.activations, w.channel}
}

// Bytes is half a byte a code, or three bits of one, and four a scale.
func (w *Int4) Bytes() int64 {
	out, in := w.Shape()
	return codeBytes(out, in, w.bits) + 4*int64(out)*int64(in/w.packed.Group)
}

// codeBytes is what codes [out, in] of so many bits take, each row in whole bytes.
func codeBytes(out, in, bits int) int64 { return int64(out) * ((int64(in)*int64(bits) + 7) / 8) }

// Format returns "w4a16-g32", "w4a8-g32" or "w3a16-g32" for groups of 32, "w4a16" for one scale an
// output.
func (w *Int4) Format() string { return w.format().String() }
