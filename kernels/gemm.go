package kernels

import (
	"fmt"

	"slimlab/kernels/parallel"
)

// MatMulT computes y = x·wᵀ, or y += x·wᵀ when accumulate is set: the forward pass of a linear
// layer. y is [rows, out], x is [rows, in], w is [out, in]. It runs on all threads.
func MatMulT(y, x, w []float32, rows, out, in int, accumulate bool) {
	checkLen("MatMulT y", y, rows*out)
	checkLen("MatMulT x", x, rows*in)
	checkLen("MatMulT w", w, out*in)
	share(product{
		m: rows, n: out, k: in, accumulate: accumulate,
		c: y, cRow: out, a: x, aRow: in, aCol: 1, b: w, bStride: in, transB: true,
	})
}

// MatMul computes dx = dy·w, or dx += dy·w: the gradient of a linear layer's input. dx is
// [rows, in], dy is [rows, out], w is [out, in].
func MatMul(dx, dy, w []float32, rows, out, in int, accumulate bool) {
	checkLen("MatMul dx", dx, rows*in)
	checkLen("MatMul dy", dy, rows*out)
	checkLen("MatMul w", w, out*in)
	share(product{
		m: rows, n: in, k: out, accumulate: accumulate,
		c: dx, cRow: in, a: dy, aRow: out, aCol: 1, b: w, bStride: in,
	})
}

// MatTMul computes dw = dyᵀ·x, or dw += dyᵀ·x: the gradient of a linear layer's weight. dw is
// [out, in], dy is [rows, out], x is [rows, in].
func MatTMul(dw, dy, x []float32, rows, out, in int, accumulate bool) {
	checkLen("MatTMul dw", dw, out*in)
	checkLen("MatTMul dy", dy, rows*out)
	checkLen("MatTMul x", x, rows*in)
	share(product{
		m: out, n: in, k: rows, accumulate: accumulate,
		c: dw, cRow: in, a: dy, aRow: 1, aCol: out, b: x, bStride: in,
	})
}

// Gram computes the upper triangle of xᵀ·x, g [width, width] from x [rows, width]. Below the
// diagonal some elements are written and some are not.
func Gram(g, x []float32, rows, width int) {
	// rows of g, of which only the columns from the first row's number on are computed
	const part = 512
	checkLen("Gram g", g, width*width)
	checkLen("Gram x", x, rows*width)
	if rows == 0 {
		clear(g[:width*width])
		return
	}
	for i := 0; i < width; i += part {
		share(product{
			m: min(part, width-i), n: width - i, k: rows,
			c: g[i*width+i:], cRow: width, a: x[i:], aRow: 1, aCol: width, b: x[i:], bStride: width,
		})
	}
}

// share runs the product, on all threads if it is large enough to pay.
func share(call product) {
	call.kernels = &active.Load().gemm.float32
	// An operand that is read once costs more than its arithmetic: four bytes from memory take some
	// 8 multiply-adds' time.
	if call.m*call.n*call.k+8*call.n*call.k < serialWork || parallel.Threads() == 1 {
		call.run()
		return
	}
	shared := freeProducts.Get()
	call.packTask, call.strips = shared.packTask, shared.strips
	*shared = call
	shared.run()
	*shared = product{packTask: shared.packTask, strips: shared.strips}
	freeProducts.Put(shared)
}

func checkLen(what string, x []float32, want int) {
	if len(x) < want {
		panic(fmt.Sprintf("kernels: %s has %d elements, needs %d", what, len(x), want))
	}
}
