package weight

import (
	"fmt"

	"slimlab/kernels"
)

// maxSummed is how many products of 8 bits a sum of 32 bits holds.
const maxSummed = 1 << 17

// Int8 is a W8A8 weight: int8 codes with one scale per output channel; MulT quantizes each row of
// activations to int8 and sums in int32.
type Int8 struct {
	packed *kernels.PackedInt8
	scale  []float32
}

// NewInt8 makes a weight of codes q [out, in] and scale [out]. It keeps scale, not q.
func NewInt8(q []int8, scale []float32, out, in int) (*Int8, error) {
	if in > maxSummed {
		return nil, fmt.Errorf("int8 weight [%d, %d]: expected at most %d inputs, whose products 32 bits hold", out, in, maxSummed)
	}
	if len(q) != out*in || len(scale) != out {
		return nil, fmt.Errorf("int8 weight [%d, %d]: found %d codes and %d scales, expected %d and %d", out, in, len(q), len(scale), out*in, out)
	}
	return &Int8{kernels.PackInt8(q, scale, out, in), scale}, nil
}

// buildInt8 is NewInt8 for New.
func buildInt8(e Encoding, codes []byte) (Weight, error) {
	if !e.symmetric() || e.groups() != 1 {
		return nil, fmt.Errorf("int8 weight [%d, %d]: found zero points or %d groups, expected symmetric codes and one scale per output", e.Out, e.In, e.groups())
	}
	return NewInt8(asInt8(codes), e.Scale, e.Out, e.In)
}

// Encoding is what the weight is made of. The caller must not write to it.
func (w *Int8) Encoding() Encoding {
	return Encoding{Format: Format{Bits: 8, Activations: Token}, Out: w.packed.Out, In: w.packed.In, Scale: w.scale}
}

// Codes returns the codes, [out, in], as int8.
func (w *Int8) Codes() []byte { return asBytes(collect(w.packed.Out, w.packed.In, w.packed.Codes)) }

// Shape returns the number of outputs and inputs.
func (w *Int8) Shape() (out, in int) { return w.packed.Out, w.packed.In }

// MulT computes y = x·ŵᵀ with x quantized per row; y is [rows, out], x is [rows, in].
func (w *Int8) MulT(y, x []float32, rows int) { w.packed.MulT(y, x, rows) }

// Begin begins MulT.
func (w *Int8) Begin(y, x []float32, rows int) kernels.Pending { return w.packed.Begin(y, x, rows) }

// Float32 returns the dequantized weight, in new memory at each call.
func (w *Int8) Float32() []float32 { return collect(w.packed.Out, w.packed.In, w.Row) }

// Row writes output o's dequantized weights, [in], to dst.
func (w *Int8) Row(dst []float32, o int) { w.packed.Row(dst, o) }

// Select returns the weight of some outputs alone.
func (w *Int8) Select(outputs []int32) Weight {
	in, scale := w.packed.In, selected(w.scale, 1, outputs)
	q := collect(len(outputs), in, func(dst []int8, i int) { w.packed.Codes(dst, int(outputs[i])) })
	return &Int8{kernels.PackInt8(q, scale, len(outputs), in), scale}
}

// Bytes is one byte a code and four a scale.
func (w *Int8) Bytes() int64 { return w.packed.Bytes() }

// Format returns "w8a8".
func (w *Int8) Format() string { return w.Encoding().Format.String() }
