package kernels

// rowKernels holds the vector routines behind rows.go, attention.go and adamw.go. Slices of one
// call have equal lengths, which callers have checked; y may be x where both are of that length.
type rowKernels struct {
	// y = eˣ
	exp func(y, x []float32)
	// y = e^(x·scale − shift); returns Σy
	expSum func(y, x []float32, scale, shift float32) float32
	// max x
	maximum func(x []float32) float32
	// Σ x·y
	dot func(x, y []float32) float32
	// y = x + d; returns Σ y²
	addDot func(y, x, d []float32) float32
	// Σ x·y·z
	dot3 func(x, y, z []float32) float32
	// y += a·x
	axpy func(y, x []float32, a float32)
	// y = a·x
	scale func(y, x []float32, a float32)
	// y = (x − m)·a
	shiftScale func(y, x []float32, m, a float32)
	// y = a·y + x
	scaleAdd func(y, x []float32, a float32)
	// y = x·r·w
	normScale func(y, x, w []float32, r float32)
	// dx += r·(dy·w − c·x), dw += r·dy·x
	normBackward func(dx, dw, dy, x, w []float32, r, c float32)
	// see SwiGLU
	swiglu func(h, gate, up []float32)
	// see SwiGLUBackward
	swigluBackward func(dgate, dup, dh, gate, up []float32)
	// see mixtureLogsRef
	mixtureLogs func(logPM, d []float32, shift, beta, other float32)
	// ds = p·(dp − delta)·scale
	softmaxGradient func(ds, p, dp []float32, delta, scale float32)
	// Σ x²
	sumSquares func(x []float32) float64
	// sum += x, sumAbs += |x|, largest = max(largest, |x|), which stays NaN
	addMoments func(sum, sumAbs []float64, largest, x []float32)
	// one row of Rope, len(cos) = headDim/2
	rotate func(x, cos, sin []float32, heads int, sign float32)
	// y[j·ldy+i] = x[i·ldx+j]
	transpose func(y, x []float32, rows, cols, ldy, ldx int)
	// a small block product
	product func(c, a, b []float32, s blockShape)
	// see AdamW.Update; g = 0; nb = 1−b, c1 and c2 correct the moments' bias
	adamW func(p, g, m, v []float32, gs, b1, nb1, b2, nb2, c1, c2, lr, eps, wd float32)

	// rows 2i and 2i+1 of dst, stride apart, are the first and second of row i of pairs [n, width,
	// 2]
	widenPairs func(dst []float32, pairs []uint16, n, width, stride int)

	// see productKernels
	widened widenedProduct

	// Set only where the CPU multiplies bfloat16.
	// a few queries through a block of bfloat16 keys and values
	attend func(s *attentionStrip)
	// the elementwise part of attention's backward pass
	gradient func(g *attentionGradient)
	// product of pairs: k, aRow, aCol and ldb count them; n is a multiple of 16
	pairProduct func(c []float32, a, b []uint16, s blockShape)
	// dst [rows, n] = src's rows, stride apart, rounded to nearest even; n is a multiple of 16
	roundRows func(dst []uint16, src []float32, rows, n, stride int)
	// dst [pairs, n, 2] = pairs of rows likewise
	interleave func(dst []uint16, src []float32, pairs, n, stride int)
	// dst = src [rows, width], exactly, dst's rows stride apart; next is unpacked next
	unpackInt8 func(dst []uint16, src, next []int8, rows, width, stride int)
}

// blockShape describes c[i·ldc+j] = Σ_p a[i·aRow+p·aCol]·b[p·ldb+j] for i < m, j < n, p < k, all
// positive, added to c when accumulate is set. Each sum is one chain over ascending p that starts
// from zero, whatever m and n. The operands of attention fit the nearest cache, so nothing is
// packed; a is read one element at a time and may be transposed for free.
type blockShape struct {
	m, n, k              int
	ldc, aRow, aCol, ldb int
	accumulate           bool
}
