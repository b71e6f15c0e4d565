//go:build amd64 && !noasm

package kernels

// rowsBF16 is rowsAVX512 and what a CPU that multiplies bfloat16 adds for attention.
var rowsBF16 = withBF16(rowsAVX512)

func withBF16(k rowKernels) rowKernels {
	k.attend = attendBF16
	k.gradient = gradientBF16
	k.pairProduct = pairProductBF16
	k.roundRows = func(dst []uint16, src []float32, rows, n, stride int) { roundBF16(&dst[0], &src[0], rows, n, stride) }
	k.interleave = func(dst []uint16, src []float32, pairs, n, stride int) {
		interleaveBF16(&dst[0], &src[0], pairs, n, stride)
	}
	k.unpackInt8 = func(dst []uint16, src []int8, rows, width, stride int) {
		if width%32 == 0 {
			unpackInt8BF16(&dst[0], &src[0], rows, width, stride)
			return
		}
		for i := range rows {
			for j, c := range src[i*width : (i+1)*width] {
				dst[i*stride+j] = toBFloat16(float32(c))
			}
		}
	}
	return k
}

// widenPairsAVX2 widens rows that are not of whole vectors element by element.
func widenPairsAVX2(dst []float32, pairs []uint16, n, width, stride int) {
	if width%8 != 0 {
		widenPairsRef(dst, pairs, n, width, stride)
		return
	}
	widen8AVX2(&dst[0], &pairs[0], n, width, stride)
}

//go:noescape
func widen8AVX2(dst *float32, pairs *uint16, n, width, stride int)

// pairProductBF16 takes 64 columns at a time.
func pairProductBF16(c []float32, a, b []uint16, s blockShape) {
	for j := 0; j < s.n; j += 64 {
		panelsBF16(&c[j], &a[0], &b[2*j], s.m, s.k, s.ldc, s.aRow, s.aCol, s.ldb, min(64, s.n-j)/16, s.accumulate)
	}
}

//go:noescape
func panelsBF16(c *float32, a, b *uint16, m, k, ldc, aRow, aCol, ldb, panels int, accumulate bool)

//go:noescape
func gradientBF16(x *attentionGradient)

//go:noescape
func interleaveBF16(dst *uint16, src *float32, pairs, n, stride int)

//go:noescape
func attendBF16(s *attentionStrip)

//go:noescape
func roundBF16(dst *uint16, src *float32, rows, n, stride int)

//go:noescape
func unpackInt8BF16(dst *uint16, src *int8, rows, width, stride int)
