//go:build amd64 && !noasm

package kernels

var floatAVX2, floatAVX512 = panelKernels{6, false, 1, true, stripAVX2, packColumnsAVX2, packRowsAVX2},
	panelKernels{14, true, 1, true, stripAVX512, packColumnsAVX512, packRowsAVX512}

var gemmAVX2 = gemmKernels{
	float32: floatAVX2, bfloat16: rounding(floatAVX2, roundFloatsAVX2),
	roundBFloat16: roundBFloat16Ref, roundFloats: roundFloatsAVX2, widen: widenAVX2,
	activation: 2, quantize: quantizeRowAVX2, int8Height: 2, int8Few: 2, mulInt8: mulInt8AVX2,
	int4PerWord: 1, roundInt4: roundInt4Float32, int4Height: 4, mulInt4: mulInt4AVX2,
	quantizeInt4: quantizeInt4AVX2, int4Int8Height: 3, int4Int8Few: 3, mulInt4Int8: mulInt4Int8AVX2,
}

// gemmAVX512 has the AVX2 form of int8 products, gemmVNNI one of its own; gemmBF16 is for CPUs that
// multiply bfloat16 too.
var (
	gemmAVX512 = avx512Kernels()
	gemmVNNI   = vnniKernels()
	gemmBF16   = bf16Kernels()
)

func avx512Kernels() gemmKernels {
	g := gemmAVX2
	g.float32, g.bfloat16 = floatAVX512, rounding(floatAVX512, roundFloatsAVX512)
	g.roundBFloat16, g.roundFloats, g.widen = roundAVX512, roundFloatsAVX512, widenAVX512
	g.int4Height, g.mulInt4 = 12, mulInt4AVX512
	return g
}

func vnniKernels() gemmKernels {
	g := avx512Kernels()
	g.activation, g.quantize, g.int8Height, g.int8Few, g.mulInt8 = 1, quantizeRowAVX512, 14, 16, mulInt8AVX512
	g.quantizeInt4, g.int4Int8Height, g.int4Int8Few, g.mulInt4Int8 = quantizeInt4AVX512, 14, 16, mulInt4Int8AVX512
	return g
}

func bf16Kernels() gemmKernels {
	g := vnniKernels()
	g.bfloat16 = panelKernels{14, true, 2, false, stripBF16, packColumnsBF16, packRowsBF16}
	g.int4PerWord, g.roundInt4, g.int4Height, g.mulInt4 = 2, roundInt4Pairs, 12, mulInt4AVX512BF16
	return g
}

//go:noescape
func stripBF16(c []float32, cRow int, a []float32, aRow, aCol int, b []float32, bRow, bPanel int, m, n, k int, accumulate bool)

//go:noescape
func packColumnsBF16(dst, src []float32, stride, rows, k int)

//go:noescape
func packRowsBF16(dst, src []float32, stride, n, k int)

//go:noescape
func roundAVX512(dst []uint16, src []float32)

//go:noescape
func roundFloatsAVX512(x []float32)

//go:noescape
func roundFloats8AVX2(x []float32)

func roundFloatsAVX2(x []float32) {
	whole := len(x) &^ 7
	if whole > 0 {
		roundFloats8AVX2(x[:whole])
	}
	roundFloatsRef(x[whole:])
}

//go:noescape
func widenAVX512(dst, src []float32, n int)

//go:noescape
func widenAVX2(dst, src []float32, n int)

//go:noescape
func stripAVX512(c []float32, cRow int, a []float32, aRow, aCol int, b []float32, bRow, bPanel int, m, n, k int, accumulate bool)

//go:noescape
func stripAVX2(c []float32, cRow int, a []float32, aRow, aCol int, b []float32, bRow, bPanel int, m, n, k int, accumulate bool)

//go:noescape
func packColumnsAVX512(dst, src []float32, stride, rows, k int)

//go:noescape
func packColumns8AVX2(dst, src []float32, stride, rows, k int)

// packColumnsAVX2 does the two halves of the panel; rows below both are zeros either way.
func packColumnsAVX2(dst, src []float32, stride, rows, k int) {
	packColumns8AVX2(dst, src, stride, min(rows, 8), k)
	if rows > 8 {
		packColumns8AVX2(dst[8:], src[8*stride:], stride, rows-8, k)
		return
	}
	for p := range k {
		clear(dst[p*panelWidth+8 : p*panelWidth+16])
	}
}

//go:noescape
func packRowsAVX512(dst, src []float32, stride, n, k int)

//go:noescape
func packRowsAVX2(dst, src []float32, stride, n, k int)
