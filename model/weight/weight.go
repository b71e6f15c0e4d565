package weight

import "slimlab/kernels"

// Weight is the weight of a linear layer, [out, in], in some number format.
type Weight interface {
	// Shape returns the number of outputs and inputs.
	Shape() (out, in int)
	// MulT computes y = x·wᵀ; y is [rows, out], x is [rows, in]. Each row's bits do not depend on
	// the other rows.
	MulT(y, x []float32, rows int)
	// Begin begins MulT, for kernels.Run.
	Begin(y, x []float32, rows int) kernels.Pending
	// Float32 returns the weight as float32, [out, in] row-major: dequantized where the format is
	// quantized. The caller must not write to it.
	Float32() []float32
	// Select returns the weight of some outputs alone, in their order; each has the bits that it
	// has among all.
	Select(outputs []int32) Weight
	// Row writes the weights of output o, [in], dequantized, to dst: an embedding of a head that is
	// tied to it.
	Row(dst []float32, o int)
	// Bytes is what the weight takes in its format, scales included.
	Bytes() int64
	// Format names the number format, such as "float32", "w8a8", "w4a16-g32".
	Format() string
}
