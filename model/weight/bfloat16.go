package weight

import "slimlab/kernels"

// BFloat16 is a weight in bfloat16 for inference; activations are rounded to bfloat16 as they are
// multiplied and products summed in float32.
type BFloat16 struct {
	packed *kernels.PackedBFloat16
}

// NewBFloat16 packs bits, [out, in] row-major bfloat16, which it does not keep.
func NewBFloat16(bits []uint16, out, in int) *BFloat16 {
	return &BFloat16{kernels.PackBFloat16(bits, out, in)}
}

// Shape returns the number of outputs and inputs.
func (w *BFloat16) Shape() (out, in int) { return w.packed.Out, w.packed.In }

// MulT computes y = x·wᵀ; y is [rows, out], x is [rows, in].
func (w *BFloat16) MulT(y, x []float32, rows int) { w.packed.MulT(y, x, rows) }

// Begin begins MulT.
func (w *BFloat16) Begin(y, x []float32, rows int) kernels.Pending { return w.packed.Begin(y, x, rows) }

// Row writes output o's weights, [in], to dst.
func (w *BFloat16) Row(dst []float32, o int) { w.packed.Row(dst, o) }

// Select returns the weight of some outputs alone.
func (w *BFloat16) Select(outputs []int32) Weight {
	in := w.packed.In
	bits, row := make([]uint16, len(outputs)*in), make([]float32, in)
	for i, o := range outputs {
		w.Row(row, int(o))
		kernels.RoundBFloat16(bits[i*in:(i+1)*in], row)
	}
	return NewBFloat16(bits, len(outputs), in)
}

// Float32 returns the weight as float32, in new memory at each call.
func (w *BFloat16) Float32() []float32 {
	out, in := w.Shape()
	return collect(out, in, w.Row)
}

// Bytes is two a weight.
func (w *BFloat16) Bytes() int64 { return w.packed.Bytes() }

// Format returns "bfloat16".
func (w *BFloat16) Format() string { return Format{Float: true, Bits: 16}.String() }
