//go:build amd64 && !noasm

package kernels

// Each table of kernels is a copy of the one below it with what differs.

var floatAVX2 = floatKernels{
	height: 6, panels: 8, depth: 512, step: 1, elements: 1, inPlace: true,
	leftAlong:  leftPacking{byRows, copyRow},
	leftAcross: leftPacking{sideBySide(6), packRowsAVX2},
	packAlong:  packColumnsAVX2, packAcross: packRowsAVX2,
	strip: stripAVX2,
}

var productsAVX2 = productKernels{
	width:   panelWidth,
	float32: floatAVX2, bfloat16: rounding(floatAVX2, panelWidth, roundFloatsAVX2),
	roundBFloat16: roundBFloat16Ref, roundFloats: roundFloatsAVX2, widen: widenAVX2, widened: widenedAVX2,
	widenInt8: widenInt8AVX2, addScaled: addScaledAVX2,
	int8: int8Kernels{
		height: 2, few: 2, panels: 2, bytes: 2,
		left: layout{rows: 1, places: 1, line: 8}, pack: int8Rows(quantizeRowAVX2, 2),
		multiply: mulInt8AVX2,
	},
	int4: int4Kernels{
		height: 192, panels: 2, perWord: 1,
		left: layout{rows: 1, places: 1, line: 1}, pack: int4Rows(roundInt4AVX2),
		multiply: mulCodes4AVX2,
	},
	int4Int8: int4Int8Kernels{
		height: 3, few: 3, panels: 2,
		left: layout{rows: 1, places: 1, line: 8}, pack: int4Int8Rows(quantizeInt4AVX2),
		multiply: mulInt4Int8AVX2,
	},
}

var (
	productsAVX512 = avx512Products(productsAVX2)
	productsVNNI   = vnniProducts(productsAVX512)
	productsBF16   = bf16Products(productsVNNI)
)

// avx512Products keeps the AVX2 form of int8 products.
func avx512Products(g productKernels) productKernels {
	f := &g.float32
	f.height, f.strip = 14, stripAVX512
	f.leftAcross = leftPacking{sideBySide(14), packRowsAVX512}
	f.packAlong, f.packAcross = packColumnsAVX512, packRowsAVX512
	g.bfloat16 = rounding(g.float32, g.width, roundFloatsAVX512)
	g.roundBFloat16, g.roundFloats, g.widen, g.widened = roundAVX512, roundFloatsAVX512, widenAVX512, nil
	g.widenInt8, g.fewInt8, g.addScaled = widenInt8AVX512, fewInt8AVX512, addScaledAVX512
	g.int4.height, g.int4.multiply = 12, mulInt4AVX512
	return g
}

// vnniProducts has int8 products of its own.
func vnniProducts(g productKernels) productKernels {
	g.int8 = int8Kernels{
		height: 14, few: 16, panels: 2, bytes: 1,
		left: layout{rows: 1, places: 1, line: 4}, pack: int8Rows(quantizeRowAVX512, 1),
		multiply: mulInt8AVX512,
	}
	g.int4Int8.height, g.int4Int8.few = 14, 16
	g.int4Int8.pack, g.int4Int8.multiply = int4Int8Rows(quantizeInt4AVX512), mulInt4Int8AVX512
	return g
}

// bf16Products is for CPUs that multiply bfloat16.
func bf16Products(g productKernels) productKernels {
	f := &g.bfloat16
	*f = g.float32
	f.elements, f.inPlace, f.strip = 2, false, stripBF16
	f.leftAlong.pack = func(dst, src []float32, _, _, k int) {
		pairs := halves(dst)
		roundAVX512(pairs[:k], src[:k])
		clear(pairs[k:])
	}
	f.leftAcross.pack, f.packAlong, f.packAcross = packRowsBF16, packColumnsBF16, packRowsBF16
	g.widenInt8, g.fewInt8 = widenInt8BF16, fewInt8BF16
	g.int4.perWord, g.int4.pack, g.int4.multiply = 2, int4Rows(roundInt4Pairs), mulInt4AVX512BF16
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
func roundInt4x8AVX2(dst []uint32, x []float32)

func roundInt4AVX2(dst []uint32, x []float32, group int) {
	if group%8 == 0 {
		roundInt4x8AVX2(dst, x)
		return
	}
	roundInt4Float32(dst, x, group)
}

//go:noescape
func widenAVX512(dst, src []float32, n int)

//go:noescape
func widenInt8AVX2(dst []float32, src []int8, n int)

//go:noescape
func widenInt8AVX512(dst []float32, src []int8, n int)

//go:noescape
func widenInt8BF16(dst []float32, src []int8, n int)

//go:noescape
func fewInt8AVX512(sums []float32, row int, x []float32, xRow int, q []int8, panel, ahead, m, k int, accumulate bool)

//go:noescape
func fewInt8BF16(sums []float32, row int, x []float32, xRow int, q []int8, panel, ahead, m, k int, accumulate bool)

//go:noescape
func addScaledAVX2(y, x, s []float32, a float32)

//go:noescape
func addScaledAVX512(y, x, s []float32, a float32)

//go:noescape
func widenAVX2(dst, src []float32, n int)

// widenedAVX2 takes up to four rows at a time.
func widenedAVX2(c []float32, cRow int, a []float32, aRow int, b []uint16, bRow, bPanel, ahead, m, n, k int, end chainEnd) {
	const height = 4
	for ; m > height; m -= height {
		widened4AVX2(c, cRow, a, aRow, b, bRow, bPanel, ahead, height, n, k, end)
		c, a = c[height*cRow:], a[height*aRow:]
	}
	widened4AVX2(c, cRow, a, aRow, b, bRow, bPanel, ahead, m, n, k, end)
}

//go:noescape
func widened4AVX2(c []float32, cRow int, a []float32, aRow int, b []uint16, bRow, bPanel, ahead, m, n, k int, end chainEnd)

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
