package kernels

// gemmKernels holds the vector routines behind gemm.go and packed.go. All of them work on panels of 16 columns, so that
// packed weights have one layout.
type gemmKernels struct {
	// height is the most rows that strip takes, ragged whether it reads a last panel of less than 16 columns within
	// its bounds (else the panel has to be padded).
	height int
	ragged bool

	// strip computes c [m, n] = a·b, or c += a·b: a(i, p) is a[i*aRow+p*aCol]; b(p, j) is
	// b[j/16*bPanel+p*bRow+j%16]. Each element is one chain of k multiply-adds in ascending p, started at
	// zero; accumulate adds its end to c. 1 <= m <= height, n and k are at least 1.
	strip func(c []float32, cRow int, a []float32, aRow, aCol int, b []float32, bRow, bPanel int, m, n, k int, accumulate bool)

	// packColumns writes dst[p*16+i] = src[i*stride+p] for p < k and i < 16, zero from i = rows on; packRows writes
	// dst[p*16+j] = src[p*stride+j] for p < k and j < 16, zero from j = n on.
	packColumns func(dst, src []float32, stride, rows, k int)
	packRows    func(dst, src []float32, stride, n, k int)

	// quantize is QuantizeRowInt8 into the form that mulInt8 reads, of activation bytes an element.
	activation int
	quantize   func(dst []byte, x []float32) (scale float32)

	// mulInt8 computes y [m, n] = rowScale·scale·(x·qᵀ) from the panels of a PackedInt8; k counts fours of inputs, strides
	// are in elements. m is at most int8Height, or, where there are no more rows than int8Few, that.
	int8Height, int8Few int
	mulInt8             func(y []float32, yRow int, x []byte, xRow int, q []int8, panel int, correction []int32, scale, rowScale []float32, m, n, k int)

	// roundInt4 rounds a row's activations to bfloat16, each group filled up with zeros to a multiple of eight, in the form
	// and order that mulInt4 reads: int4PerWord to a word. mulInt4 computes y [m, n] = x·ŵᵀ from the panels of a
	// PackedInt4: within a group, of so many words, a chain of multiply-adds x·q from zero, whose end is scaled and added to
	// those of the groups before.
	int4PerWord int
	roundInt4   func(dst []uint32, x []float32, group int)
	int4Height  int
	mulInt4     func(y []float32, yRow int, x []uint32, xRow int, q []uint32, panel int, m, n, groups, words int)

	// quantizeInt4 is QuantizeRowInt8. mulInt4Int8 computes y [m, n] = rowScale·(x·ŵᵀ) from the panels of a PackedInt4; the sum of
	// row i's group g starts at start[g*startRow+i], which is -8·Σx, since weights stand there with 8 added. m is at most
	// int4Int8Height, or, where there are no more rows than int4Int8Few, that.
	quantizeInt4                func(q []int8, x []float32) (scale float32)
	int4Int8Height, int4Int8Few int
	mulInt4Int8                 func(y []float32, yRow int, x []int8, xRow int, start []int32, startRow int, q []uint32, panel int, rowScale []float32, m, n, groups, words int)
}

// panelWidth is the number of columns of a panel.
const panelWidth = 16

var gemmRef = gemmKernels{
	height: 4, strip: stripRef, packColumns: packColumnsRef, packRows: packRowsRef,
	activation: 1, quantize: quantizeRef, int8Height: 4, int8Few: 4, mulInt8: mulInt8Ref,
	int4PerWord: 1, roundInt4: roundInt4Float32, int4Height: 4, mulInt4: mulInt4Ref,
	quantizeInt4: QuantizeRowInt8, int4Int8Height: 4, int4Int8Few: 4, mulInt4Int8: mulInt4Int8Ref,
}
