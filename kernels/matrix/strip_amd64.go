//go:build amd64 && !noasm

package matrix

// routinesOf returns the routines of an implementation of package kernels. All that come after
// AVX-512 multiply float64 as it does.
func routinesOf(implementation string) routines {
	switch implementation {
	case "ref":
		return plain
	case "avx2":
		return routines{6, stripFloat64AVX2, packFloat64AVX2, packTransposedRef, unpackRef, unpackTransposedRef, subtractFloat64AVX2, substituteFloat64AVX2, nearestFloat64AVX2}
	}
	return routines{14, stripFloat64AVX512, packFloat64AVX512, packTransposedFloat64AVX512, unpackFloat64AVX512, unpackTransposedFloat64AVX512, subtractFloat64AVX512, substituteFloat64AVX512, nearestFloat64AVX512}
}

//go:noescape
func stripFloat64AVX512(c []float64, cRow int, a, b []float64, m, n, k int)

//go:noescape
func stripFloat64AVX2(c []float64, cRow int, a, b []float64, m, n, k int)

//go:noescape
func packFloat64AVX512(dst, src []float64, stride, n, k int, factor float64)

//go:noescape
func pack16Float64AVX2(dst, src []float64, stride, k int, factor float64)

func packFloat64AVX2(dst, src []float64, stride, n, k int, factor float64) {
	if n == panelWidth {
		pack16Float64AVX2(dst, src, stride, k, factor)
		return
	}
	packRef(dst, src, stride, n, k, factor)
}

//go:noescape
func packTransposedFloat64AVX512(dst, src []float64, stride, n, k int, factor float64)

//go:noescape
func unpackFloat64AVX512(dst, src []float64, stride, n, k int)

//go:noescape
func unpackTransposedFloat64AVX512(dst, src []float64, stride, n, k int)

//go:noescape
func subtractFloat64AVX512(y, f, x []float64, stride int)

//go:noescape
func subtractFloat64AVX2(y, f, x []float64, stride int)

//go:noescape
func divideFloat64AVX2(y []float64, d float64)

//go:noescape
func substituteFloat64AVX512(x []float64, from, next int, f []float64)

func substituteFloat64AVX2(x []float64, from, next int, f []float64) {
	for i := range smallTriangle {
		y := x[from+i*next:][:panelWidth]
		if i > 0 {
			subtractFloat64AVX2(y, f[i*panelWidth:][:i], x[from:], next)
		}
		divideFloat64AVX2(y, f[i*panelWidth+i])
	}
}

//go:noescape
func nearestFloat64AVX512(codes []byte, y, scale, zero []float64, lowest, highest float64)

//go:noescape
func nearestFloat64AVX2(codes []byte, y, scale, zero []float64, lowest, highest float64)
