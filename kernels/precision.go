package kernels

// Precision is what the operands of a product are rounded to before they are multiplied. Sums are float32 in either.
type Precision int

const (
	// Float32 multiplies the operands as they are.
	Float32 Precision = iota
	// BFloat16 rounds both operands to bfloat16, to nearest even. Where the CPU multiplies bfloat16 it counts subnormal numbers as zeros.
	BFloat16
)

func (p Precision) String() string {
	if p == BFloat16 {
		return "bfloat16"
	}
	return "float32"
}

func (p Precision) panels(g *gemmKernels) *panelKernels {
	if p == BFloat16 {
		return &g.bfloat16
	}
	return &g.float32
}

// MatMulT computes what the function MatMulT does, in this precision.
func (p Precision) MatMulT(y, x, w []float32, rows, out, in int, accumulate bool) {
	checkLen("MatMulT y", y, rows*out)
	checkLen("MatMulT x", x, rows*in)
	checkLen("MatMulT w", w, out*in)
	p.share(product{
		m: rows, n: out, k: in, accumulate: accumulate,
		c: y, cRow: out, a: x, aRow: in, aCol: 1, b: w, bStride: in, transB: true,
	})
}

// MatMul computes what the function MatMul does, in this precision.
func (p Precision) MatMul(dx, dy, w []float32, rows, out, in int, accumulate bool) {
	checkLen("MatMul dx", dx, rows*in)
	checkLen("MatMul dy", dy, rows*out)
	checkLen("MatMul w", w, out*in)
	p.share(product{
		m: rows, n: in, k: out, accumulate: accumulate,
		c: dx, cRow: in, a: dy, aRow: out, aCol: 1, b: w, bStride: in,
	})
}

// MatTMul computes what the function MatTMul does, in this precision.
func (p Precision) MatTMul(dw, dy, x []float32, rows, out, in int, accumulate bool) {
	checkLen("MatTMul dw", dw, out*in)
	checkLen("MatTMul dy", dy, rows*out)
	checkLen("MatTMul x", x, rows*in)
	p.share(product{
		m: out, n: in, k: rows, accumulate: accumulate,
		c: dw, cRow: in, a: dy, aRow: 1, aCol: out, b: x, bStride: in,
	})
}

// Attention computes what the function Attention does. BFloat16 rounds queries, keys, values and softmax weights and sums in float32, where
// the CPU multiplies bfloat16 and headDim is a multiple of 16; elsewhere it is Float32.
func (p Precision) Attention(out, lse, q, k, v []float32, starts []int, heads, kvHeads, headDim int) {
	if p == BFloat16 && multipliesBFloat16(headDim) {
		attentionBFloat16(out, lse, q, k, v, starts, heads, kvHeads, headDim)
		return
	}
	Attention(out, lse, q, k, v, starts, heads, kvHeads, headDim)
}

// AttentionBackward computes what the function AttentionBackward does, with the operands of all its products rounded where Attention rounds.
func (p Precision) AttentionBackward(dq, dk, dv, dout, out, lse, q, k, v []float32, starts []int, heads, kvHeads, headDim int) {
	attentionBackward(dq, dk, dv, dout, out, lse, q, k, v, starts, heads, kvHeads, headDim, p == BFloat16 && multipliesBFloat16(headDim))
}

// share runs the product, on all threads if it is large enough to pay.
func (p Precision) share(call product) {
	call.kernels = p.panels(&active.Load().gemm)
	// An operand that is read once costs more than its arithmetic: four bytes from memory take some 8 multiply-adds' time.
	if call.m*call.n*call.k+8*call.n*call.k < serialWork || Threads() == 1 {
		call.run()
		return
	}
	shared := freeProducts.get()
	call.packTask, call.strips = shared.packTask, shared.strips
	*shared = call
	shared.run()
	*shared = product{packTask: shared.packTask, strips: shared.strips}
	freeProducts.put(shared)
}
