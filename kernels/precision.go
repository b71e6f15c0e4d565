package kernels

// Precision is what the operands of a product are rounded to before they are multiplied. Sums are
// float32 in either.
type Precision int

const (
	// Float32 multiplies the operands as they are.
	Float32 Precision = iota
	// BFloat16 rounds both operands to bfloat16, to nearest even. Where the CPU multiplies bfloat16
	// it counts subnormal numbers as zeros.
	BFloat16
)

func (p Precision) String() string {
	if p == BFloat16 {
		return "bfloat16"
	}
	return "float32"
}

// Round rounds x to what the precision holds, to nearest even.
func (p Precision) Round(x []float32) {
	if p == BFloat16 {
		active.Load().products.roundFloats(x)
	}
}

// kernels returns the float kernels of the precision.
func (p Precision) kernels(g *productKernels) *floatKernels {
	if p == BFloat16 {
		return &g.bfloat16
	}
	return &g.float32
}
