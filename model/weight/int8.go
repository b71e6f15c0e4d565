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
	out, in int
	q       []int8
	scale   []float32
	packed  *kernels.PackedInt8
}

// NewInt8 makes a weight of codes q [out, in] and scale [out]. It keeps both slices.
func NewInt8(q []int8, scale []float32, out, in int) (*Int8, error) {
	if in > maxSummed {
		return nil, fmt.Errorf("int8 weight [%d, %d]: expected at most %d inputs, whose products 32 bits hold", out, in, maxSummed)
	}
	if len(q) != out*in || len(scale) != out {
		return nil, fmt.Errorf("int8 weight [%d, %d]: found %d codes and %d scales, expected %d and %d", out, in, len(q), len(scale), out*in, out)
	}
	return &Int8{out, in, q, scale, kernels.PackInt8(q, scale, out, in)}, nil
}

// Int8 returns the codes [out, in] and the scales [out]. The caller must not write to them.
func (w *Int8) Int8() (q []int8, scale []float32) { return w.q, w.scale }

// Shape returns the number of outputs and inputs.
func (w *Int8) Shape() (out, in int) { return w.out, w.in }

// MulT computes y = x·ŵᵀ with x quantized per row; y is [rows, out], x is [rows, in].
func (w *Int8) MulT(y, x []float32, rows int) { w.packed.MulT(y, x, rows) }

// Begin begins MulT.
func (w *Int8) Begin(y, x []float32, rows int) kernels.Pending { return w.packed.Begin(y, x, rows) }

// Float32 returns the dequantized weight, made anew at each call.
func (w *Int8) Float32() []float32 { return dequantize(w.q, w.scale, w.in) }

// Row writes output o's dequantized weights, [in], to dst.
func (w *Int8) Row(dst []float32, o int) {
	for i, v := range w.q[o*w.in : (o+1)*w.in] {
		dst[i] = w.scale[o] * float32(v)
	}
}

// Select returns the weight of some outputs alone.
func (w *Int8) Select(outputs []int32) Weight {
	q, scale := make([]int8, 0, len(outputs)*w.in), make([]float32, 0, len(outputs))
	for _, o := range outputs {
		q, scale = append(q, w.q[int(o)*w.in:(int(o)+1)*w.in]...), append(scale, w.scale[o])
	}
	return &Int8{len(outputs), w.in, q, scale, kernels.PackInt8(q, scale, len(outputs), w.in)}
}

// Bytes is one byte a code and four a scale.
func (w *Int8) Bytes() int64 { return int64(len(w.q)) + 4*int64(len(w.scale)) }

// Format returns "w8a8".
func (w *Int8) Format() string { return "w8a8" }

// dequantize returns code·scale, [out, in].
func dequantize(q []int8, scale []float32, group int) []float32 {
	w := make([]float32, len(q))
	for i, v := range q {
		w[i] = float32(v) * scale[i/group]
	}
	return w
}
