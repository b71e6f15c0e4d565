//go:build amd64 && !noasm

package kernels

import "golang.org/x/sys/cpu"

var gemmAVX2 = gemmKernels{
	height: 6, strip: stripAVX2, packColumns: packColumnsAVX2, packRows: packRowsAVX2,
	activation: 2, quantize: quantizeRowAVX2, int8Height: 2, mulInt8: mulInt8AVX2, int4Height: 4, mulInt4: mulInt4AVX2,
}

var gemmAVX512 = avx512Kernels()

// avx512Kernels uses the AVX2 form of int8 products on CPUs that have AVX-512 without VNNI.
func avx512Kernels() gemmKernels {
	g := gemmKernels{
		height: 14, ragged: true, strip: stripAVX512, packColumns: packColumnsAVX512, packRows: packRowsAVX512,
		activation: 1, quantize: quantizeRowAVX512, int8Height: 14, mulInt8: mulInt8AVX512, int4Height: 12, mulInt4: mulInt4AVX512,
	}
	if !cpu.X86.HasAVX512VNNI {
		g.activation, g.quantize, g.int8Height, g.mulInt8 = gemmAVX2.activation, gemmAVX2.quantize, gemmAVX2.int8Height, gemmAVX2.mulInt8
	}
	return g
}

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

//go:noescape
func peakAVX512(rounds int)

//go:noescape
func peakAVX2(rounds int)

// pause tells the core that it is busy waiting.
func pause()
