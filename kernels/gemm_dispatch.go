package kernels

// panelKernels holds the routines of one precision. They work on panels of 16 columns of words: a
// word is one float32, or two consecutive elements of the chain in bfloat16, the first in its lower
// half. Either has four bytes, and words of both kinds pass as float32.
type panelKernels struct {
	// height is the most rows that strip takes, ragged whether it reads a last panel of less than
	// 16 columns within its bounds (else the panel has to be padded).
	height int
	ragged bool
	// elements is how many elements of the chain a word holds; inPlace says that operands need no
	// rounding, and may be read where they stand.
	elements int
	inPlace  bool

	// strip computes c [m, n] = a·b, or c += a·b: word (i, p) of a is a[i*aRow+p*aCol], word (p, j)
	// of b is b[j/16*bPanel+p*bRow+j%16]. Each element is one chain over k words in ascending p,
	// started at zero; accumulate adds its end to c. 1 <= m <= height, n and k are at least 1.
	strip func(c []float32, cRow int, a []float32, aRow, aCol int, b []float32, bRow, bPanel int, m, n, k int, accumulate bool)

	// packColumns writes dst[p*16+i] = src[i*stride+p] for p < k and i < 16, zero from i = rows on;
	// packRows writes dst[p*16+j] = src[p*stride+j] for p < k and j < 16, zero from j = n on. p
	// counts elements of the chain, which they round to words; the last word of an odd k ends with
	// a zero.
	packColumns func(dst, src []float32, stride, rows, k int)
	packRows    func(dst, src []float32, stride, n, k int)
}

// gemmKernels holds the vector routines of matrix products. All of them work on panels of 16
// columns, so that packed weights have one layout.
type gemmKernels struct {
	float32 panelKernels
	// bfloat16 has words of two elements where the CPU multiplies bfloat16, and else float32 words
	// that hold what rounding leaves.
	bfloat16 panelKernels

	// roundBFloat16 is RoundBFloat16 and roundFloats leaves float32 of the same values.
	roundBFloat16 func(dst []uint16, src []float32)
	roundFloats   func(x []float32)
	// widen writes dst[32p+j] and dst[32p+16+j], the lower and upper half of bfloat16 word
	// src[16p+j], for p < n and j < 16.
	widen func(dst, src []float32, n int)

	// quantize is QuantizeRowInt8 into the form that mulInt8 reads, of activation bytes an element.
	activation int
	quantize   func(dst []byte, x []float32) (scale float32)

	// mulInt8 computes y [m, n] = rowScale·scale·(x·qᵀ) from the panels of a PackedInt8; k counts
	// fours of inputs, strides are in elements. m is at most int8Height, or, where there are no
	// more rows than int8Few, that.
	int8Height, int8Few int
	mulInt8             func(y []float32, yRow int, x []byte, xRow int, q []int8, panel int, correction []int32, scale, rowScale []float32, m, n, k int)

	// roundInt4 rounds a row's activations to bfloat16, each group filled up with zeros to a
	// multiple of eight, in the form and order that mulInt4 reads: int4PerWord to a word. mulInt4
	// computes y [m, n] = x·ŵᵀ from the panels of a PackedInt4: within a group, of so many words, a
	// chain of multiply-adds x·q from zero, whose end is scaled and added to those of the groups
	// before.
	int4PerWord int
	roundInt4   func(dst []uint32, x []float32, group int)
	int4Height  int
	mulInt4     func(y []float32, yRow int, x []uint32, xRow int, q []uint32, panel int, m, n, groups, words int)

	// quantizeInt4 is QuantizeRowInt8. mulInt4Int8 computes y [m, n] = rowScale·(x·ŵᵀ) from the
	// panels of a PackedInt4; the sum of row i's group g starts at start[g*startRow+i], which is
	// -8·Σx, since weights stand there with 8 added. m is at most int4Int8Height, or, where there
	// are no more rows than int4Int8Few, that.
	quantizeInt4                func(q []int8, x []float32) (scale float32)
	int4Int8Height, int4Int8Few int
	mulInt4Int8                 func(y []float32, yRow int, x []int8, xRow int, start []int32, startRow int, q []uint32, panel int, rowScale []float32, m, n, groups, words int)
}

// panelWidth is the number of columns of a panel.
const panelWidth = 16

var gemmRef = gemmKernels{
	float32:       panelKernels{4, false, 1, true, stripRef, packColumnsRef, packRowsRef},
	bfloat16:      rounding(panelKernels{4, false, 1, true, stripRef, packColumnsRef, packRowsRef}, roundFloatsRef),
	roundBFloat16: roundBFloat16Ref, roundFloats: roundFloatsRef, widen: widenRef,
	activation: 1, quantize: quantizeRef, int8Height: 4, int8Few: 4, mulInt8: mulInt8Ref,
	int4PerWord: 1, roundInt4: roundInt4Float32, int4Height: 4, mulInt4: mulInt4Ref,
	quantizeInt4: QuantizeRowInt8, int4Int8Height: 4, int4Int8Few: 4, mulInt4Int8: mulInt4Int8Ref,
}

// rounding returns kernels that round the elements that they pack to bfloat16.
func rounding(g panelKernels, round func(x []float32)) panelKernels {
	columns, rows := g.packColumns, g.packRows
	g.inPlace = false
	g.packColumns = func(dst, src []float32, stride, n, k int) {
		columns(dst, src, stride, n, k)
		round(dst[:k*panelWidth])
	}
	g.packRows = func(dst, src []float32, stride, n, k int) {
		rows(dst, src, stride, n, k)
		round(dst[:k*panelWidth])
	}
	return g
}
