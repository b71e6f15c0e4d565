package kernels

import "fmt"

// MatMulT computes y = x·wᵀ, or y += x·wᵀ when accumulate is set: the forward pass of a linear
// layer. y is [rows, out], x is [rows, in], w is [out, in]. It runs on all threads.
func MatMulT(y, x, w []float32, rows, out, in int, accumulate bool) {
	Float32.MatMulT(y, x, w, rows, out, in, accumulate)
}

// MatMul computes dx = dy·w, or dx += dy·w: the gradient of a linear layer's input. dx is
// [rows, in], dy is [rows, out], w is [out, in].
func MatMul(dx, dy, w []float32, rows, out, in int, accumulate bool) {
	Float32.MatMul(dx, dy, w, rows, out, in, accumulate)
}

// MatTMul computes dw = dyᵀ·x, or dw += dyᵀ·x: the gradient of a linear layer's weight. dw is
// [out, in], dy is [rows, out], x is [rows, in].
func MatTMul(dw, dy, x []float32, rows, out, in int, accumulate bool) {
	Float32.MatTMul(dw, dy, x, rows, out, in, accumulate)
}

// Matrix is a view of a row-major matrix: element (i, j) is Data[i*Stride+j].
type Matrix struct {
	Data       []float32
	Rows, Cols int
	Stride     int
}

// check panics when the data do not reach the last element.
func (m Matrix) check(what string) {
	if m.Rows > 0 && m.Cols > 0 && (m.Stride < m.Cols && m.Rows > 1 || len(m.Data) < (m.Rows-1)*m.Stride+m.Cols) {
		panic(fmt.Sprintf("kernels: %s [%d, %d] with stride %d has %d elements", what, m.Rows, m.Cols, m.Stride, len(m.Data)))
	}
}

// Gemm computes c = op(a)·op(b), or c += op(a)·op(b), on the calling goroutine alone. op
// transposes when its flag is set. (Attention has a block product of its own, whose bits do not depend on the number of rows.)
func Gemm(c, a Matrix, transA bool, b Matrix, transB bool, accumulate bool) {
	p := product{
		m: a.Rows, k: a.Cols, accumulate: accumulate,
		c: c.Data, cRow: c.Stride, a: a.Data, aRow: a.Stride, aCol: 1, b: b.Data, bStride: b.Stride, transB: transB,
	}
	if transA {
		p.m, p.k, p.aRow, p.aCol = p.k, p.m, 1, a.Stride
	}
	kb, n := b.Rows, b.Cols
	if transB {
		kb, n = n, kb
	}
	p.n = n
	if p.k != kb || c.Rows != p.m || c.Cols != n {
		panic(fmt.Sprintf("kernels: Gemm of op(a) [%d, %d] and op(b) [%d, %d] into c [%d, %d]", p.m, p.k, kb, n, c.Rows, c.Cols))
	}
	c.check("Gemm c")
	a.check("Gemm a")
	b.check("Gemm b")
	p.kernels = &active.Load().gemm.float32
	p.run()
}

func checkLen(what string, x []float32, want int) {
	if len(x) < want {
		panic(fmt.Sprintf("kernels: %s has %d elements, needs %d", what, len(x), want))
	}
}
