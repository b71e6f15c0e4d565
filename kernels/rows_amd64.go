//go:build amd64 && !noasm

package kernels

//go:generate go run -C gen . ..

var rowsAVX2 = rowKernels{
	exp: expAVX2, expSum: expSumAVX2, maximum: maximumAVX2, dot: dotAVX2, addDot: addDotAVX2, dot3: dot3AVX2, axpy: axpyAVX2, scale: scaleAVX2,
	shiftScale: shiftScaleAVX2, scaleAdd: scaleAddAVX2, normScale: normScaleAVX2, normBackward: normBackwardAVX2, swiglu: swigluAVX2,
	swigluBackward: swigluBackwardAVX2, mixtureLogs: mixtureLogsAVX2, softmaxGradient: softmaxGradientAVX2, adamW: adamWAVX2, sumSquares: sumSquaresAVX2, addMoments: momentsAVX2,
	rotate: rotateAVX2, transpose: transposeAVX2, product: productAVX2, widenPairs: widenPairsAVX2, widened: widenedAVX2,
}

var rowsAVX512 = rowKernels{
	exp: expAVX512, expSum: expSumAVX512, maximum: maximumAVX512, dot: dotAVX512, addDot: addDotAVX512, dot3: dot3AVX512, axpy: axpyAVX512, scale: scaleAVX512,
	shiftScale: shiftScaleAVX512, scaleAdd: scaleAddAVX512, normScale: normScaleAVX512, normBackward: normBackwardAVX512, swiglu: swigluAVX512,
	swigluBackward: swigluBackwardAVX512, mixtureLogs: mixtureLogsAVX512, softmaxGradient: softmaxGradientAVX512, adamW: adamWAVX512, sumSquares: sumSquaresAVX512, addMoments: momentsAVX512,
	rotate: rotateAVX512, transpose: transposeAVX2, product: productAVX512, widenPairs: widenPairsAVX2,
}

// transposeAVX2 transposes strips of eight rows in vectors and the edges element by element.
func transposeAVX2(y, x []float32, rows, cols, ldy, ldx int) {
	r8, c8 := rows&^7, cols&^7
	if c8 > 0 {
		for i := 0; i < r8; i += 8 {
			transpose8AVX2(&y[i], &x[i*ldx], c8, ldy, ldx)
		}
		transposeRef(y[r8:], x[min(r8*ldx, len(x)):], rows-r8, c8, ldy, ldx)
	}
	if c8 < cols {
		transposeRef(y[c8*ldy:], x[c8:], rows, cols-c8, ldy, ldx)
	}
}

func momentsAVX2(sum, sumAbs []float64, largest, x []float32) {
	addMomentsAVX2(sum, sumAbs, largest, x)
	whole := len(x) &^ 7
	addMomentsRef(sum[whole:], sumAbs[whole:], largest[whole:], x[whole:])
}

func momentsAVX512(sum, sumAbs []float64, largest, x []float32) {
	addMomentsAVX512(sum, sumAbs, largest, x)
	whole := len(x) &^ 15
	addMomentsRef(sum[whole:], sumAbs[whole:], largest[whole:], x[whole:])
}

func productAVX2(c, a, b []float32, s blockShape) {
	for j := 0; j < s.n; {
		if n := s.n - j; n > 8 {
			panel2AVX2(&c[j], &a[0], &b[j], s.m, s.k, s.ldc, s.aRow, s.aCol, s.ldb, min(n, 16), s.accumulate)
			j += 16
		} else {
			panel1AVX2(&c[j], &a[0], &b[j], s.m, s.k, s.ldc, s.aRow, s.aCol, s.ldb, n, s.accumulate)
			j += 8
		}
	}
}

func productAVX512(c, a, b []float32, s blockShape) {
	for j := 0; j < s.n; {
		if n := s.n - j; n > 16 {
			panel2AVX512(&c[j], &a[0], &b[j], s.m, s.k, s.ldc, s.aRow, s.aCol, s.ldb, min(n, 32), s.accumulate)
			j += 32
		} else {
			panel1AVX512(&c[j], &a[0], &b[j], s.m, s.k, s.ldc, s.aRow, s.aCol, s.ldb, n, s.accumulate)
			j += 16
		}
	}
}

//go:noescape
func expAVX2(y, x []float32)

//go:noescape
func expSumAVX2(y, x []float32, scale, shift float32) float32

//go:noescape
func maximumAVX2(x []float32) float32

//go:noescape
func dotAVX2(x, y []float32) float32

//go:noescape
func addDotAVX2(y, x, d []float32) float32

//go:noescape
func dot3AVX2(x, y, z []float32) float32

//go:noescape
func axpyAVX2(y, x []float32, a float32)

//go:noescape
func scaleAVX2(y, x []float32, a float32)

//go:noescape
func shiftScaleAVX2(y, x []float32, m, a float32)

//go:noescape
func scaleAddAVX2(y, x []float32, a float32)

//go:noescape
func normScaleAVX2(y, x, w []float32, r float32)

//go:noescape
func normBackwardAVX2(dx, dw, dy, x, w []float32, r, c float32)

//go:noescape
func swigluAVX2(h, gate, up []float32)

//go:noescape
func swigluBackwardAVX2(dgate, dup, dh, gate, up []float32)

//go:noescape
func mixtureLogsAVX2(logPM, d []float32, shift, beta, other float32)

//go:noescape
func softmaxGradientAVX2(ds, p, dp []float32, delta, scale float32)

//go:noescape
func adamWAVX2(p, g, m, v []float32, gs, b1, nb1, b2, nb2, c1, c2, lr, eps, wd float32)

//go:noescape
func sumSquaresAVX2(x []float32) float64

//go:noescape
func addMomentsAVX2(sum, sumAbs []float64, largest, x []float32)

//go:noescape
func rotateAVX2(x, cos, sin []float32, heads int, sign float32)

//go:noescape
func panel1AVX2(c, a, b *float32, m, k, ldc, aRow, aCol, ldb, cols int, accumulate bool)

//go:noescape
func panel2AVX2(c, a, b *float32, m, k, ldc, aRow, aCol, ldb, cols int, accumulate bool)

//go:noescape
func expAVX512(y, x []float32)

//go:noescape
func expSumAVX512(y, x []float32, scale, shift float32) float32

//go:noescape
func maximumAVX512(x []float32) float32

//go:noescape
func dotAVX512(x, y []float32) float32

//go:noescape
func addDotAVX512(y, x, d []float32) float32

//go:noescape
func dot3AVX512(x, y, z []float32) float32

//go:noescape
func axpyAVX512(y, x []float32, a float32)

//go:noescape
func scaleAVX512(y, x []float32, a float32)

//go:noescape
func shiftScaleAVX512(y, x []float32, m, a float32)

//go:noescape
func scaleAddAVX512(y, x []float32, a float32)

//go:noescape
func normScaleAVX512(y, x, w []float32, r float32)

//go:noescape
func normBackwardAVX512(dx, dw, dy, x, w []float32, r, c float32)

//go:noescape
func swigluAVX512(h, gate, up []float32)

//go:noescape
func swigluBackwardAVX512(dgate, dup, dh, gate, up []float32)

//go:noescape
func mixtureLogsAVX512(logPM, d []float32, shift, beta, other float32)

//go:noescape
func softmaxGradientAVX512(ds, p, dp []float32, delta, scale float32)

//go:noescape
func adamWAVX512(p, g, m, v []float32, gs, b1, nb1, b2, nb2, c1, c2, lr, eps, wd float32)

//go:noescape
func sumSquaresAVX512(x []float32) float64

//go:noescape
func addMomentsAVX512(sum, sumAbs []float64, largest, x []float32)

//go:noescape
func rotateAVX512(x, cos, sin []float32, heads int, sign float32)

//go:noescape
func panel1AVX512(c, a, b *float32, m, k, ldc, aRow, aCol, ldb, cols int, accumulate bool)

//go:noescape
func panel2AVX512(c, a, b *float32, m, k, ldc, aRow, aCol, ldb, cols int, accumulate bool)

//go:noescape
func transpose8AVX2(y, x *float32, cols, ldy, ldx int)
