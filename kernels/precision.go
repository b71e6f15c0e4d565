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
		active.Load().gemm.roundFloats(x)
	}
}

func (p Precision) panels(g *gemmKernels) *panelKernels {
	if p == BFloat16 {
		return &g.bfloat16
	}
	return &g.float32
}

// Attention computes what the function Attention does. BFloat16 rounds queries, keys, values and
// softmax weights and sums in float32, where the CPU multiplies bfloat16 and headDim is a multiple
// of 16; elsewhere it is Float32.
func (p Precision) Attention(out, lse, q, k, v []float32, starts []int, heads, kvHeads, headDim int) {
	if p == BFloat16 && multipliesBFloat16(headDim) {
		attentionBFloat16(out, lse, q, k, v, starts, heads, kvHeads, headDim)
		return
	}
	Attention(out, lse, q, k, v, starts, heads, kvHeads, headDim)
}

// AttentionBackward computes what the function AttentionBackward does, with the operands of all its
// products rounded where Attention rounds.
func (p Precision) AttentionBackward(dq, dk, dv, dout, out, lse, q, k, v []float32, starts []int, heads, kvHeads, headDim int) {
	attentionBackward(dq, dk, dv, dout, out, lse, q, k, v, starts, heads, kvHeads, headDim, p == BFloat16 && multipliesBFloat16(headDim))
}
