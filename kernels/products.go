package kernels

// productKernels holds the routines of matrix products. Packed weights are in panels of width
// outputs. Each implementation has its own heights and layouts; its kernels read what its packing
// routines wrote.
type productKernels struct {
	width int

	float32 floatKernels
	// bfloat16 has words of two elements where the CPU multiplies bfloat16, and otherwise float32
	// words of rounded values.
	bfloat16 floatKernels

	// roundBFloat16 is RoundBFloat16; roundFloats rounds to float32 of the same values.
	roundBFloat16 func(dst []uint16, src []float32)
	roundFloats   func(x []float32)
	// widen writes the lower halves of line p of src, width words of two bfloat16, to line 2p of
	// dst and the upper halves to line 2p+1, for p < n.
	widen func(dst, src []float32, n int)
	// widened multiplies up to fewWidened rows of float32 words with words of two bfloat16, as
	// strip does once they are widened. It may be nil.
	widened widenedProduct
	// widenInt8 writes the words of bfloat16's kernels of n pairs of lines of width codes: the
	// first line has the first element of the outputs' pairs, the second the second.
	widenInt8 func(dst []float32, src []int8, n int)
	// fewInt8 multiplies up to fewRows rows with the bytes of bundlePanels panels, panel bytes
	// apart, each k words of the bfloat16 kernels: sums [m, panels·width] are the chains that
	// strip gives for the widened words, or get them added. What is ahead bytes on is read ahead.
	// It may be nil.
	fewInt8 func(sums []float32, row int, x []float32, xRow int, q []int8, panel, ahead, m, k int, accumulate bool)
	// addScaled is y += x·(s·a), for slices of equal length.
	addScaled func(y, x, s []float32, a float32)

	int8     int8Kernels
	int4     int4Kernels
	int4Int8 int4Int8Kernels
}

// floatKernels multiplies in one precision. A word of an operand is one float32, or two consecutive
// elements of the chain in bfloat16, the first in its lower half. Either has four bytes, and words
// of both kinds pass as float32.
type floatKernels struct {
	height int // the most rows that strip takes, a multiple of the layouts' rows
	// the panels that strip takes at once where rows are few: threads share multiples of it
	panels   int
	depth    int  // the most words of a block, in which chains are cut
	step     int  // blocks are multiples of so many words; the lines of the layouts divide it
	elements int  // of the chain in a word
	inPlace  bool // needs no rounding: rows are read where they are, if the layout is theirs

	// The left side, packed from src with the chain along its rows, or across them.
	leftAlong, leftAcross leftPacking

	// packAlong writes dst[p*width+i] = src[i*stride+p] for p < k and i < width, zero from i = n
	// on; packAcross writes dst[p*width+j] = src[p*stride+j] for p < k and j < width, zero from j =
	// n on. p counts elements of the chain, which they round to words; the last word of an odd k
	// ends with a zero.
	packAlong, packAcross func(dst, src []float32, stride, n, k int)

	// strip computes c [m, n] = a·b, or c += a·b. a begins with a tile of the left side, or some
	// lines into it; aRow and aCol are left.strides. Word (p, j) of b is
	// b[j/width*bPanel+p*bRow+j%width] with bRow = width. Each element is one chain over k words in
	// ascending p, started at zero; accumulate adds its end to c. 1 ≤ m ≤ height; n and k are at
	// least 1.
	strip func(c []float32, cRow int, a []float32, aRow, aCol int, b []float32, bRow, bPanel int, m, n, k int, accumulate bool)
}

// widenedProduct computes c [m, n] = a·b with words of b that hold two bfloat16, elements 2p and
// 2p+1 of the chain: a(i, p) is a[i*aRow+p], word (p, j) of b is at
// b[2*(j/16*bPanel+p*bRow+j%16)], and k counts words. Each element is one chain in ascending p of
// multiply-adds in float32. What is ahead bytes on from each line of b is fetched. m, n and k are
// at least 1.
type widenedProduct func(c []float32, cRow int, a []float32, aRow int, b []uint16, bRow, bPanel, ahead, m, n, k int, end chainEnd)

// chainEnd says what becomes of a chain's end, and how it begins.
type chainEnd int

const (
	storeEnd    chainEnd = iota // begun at zero, stored
	addEnd                      // begun at zero, added to c
	continueEnd                 // goes on from c, n a multiple of 16
)

// fewWidened is the most rows for which widening words in registers, once for every four rows, is
// as fast as writing them for all rows, to within a few percent (Zen 3, six shapes).
const fewWidened = 128

// leftPacking is a layout of the left side and the routine that packs it: n rows of k elements to
// the memory of a tile, to all of it with the chain along the rows of src (row i is
// src[i*stride:]), to the words of k elements with the chain across them (row i is src[i],
// src[stride+i], …). Places of the last word behind k and, across, places of rows from n on become
// zero; along, so do all words behind k.
type leftPacking struct {
	layout
	pack func(dst, src []float32, stride, n, k int)
}

// int8Kernels multiplies weights of 8 bits, scale·q, with activations quantized per row.
type int8Kernels struct {
	height int // the most rows that multiply takes
	few    int // its height where there are no more rows than this in all
	panels int // that multiply takes at once: threads share multiples of it
	bytes  int // of an activation

	// pack quantizes n rows of x, of k elements each, to a tile in the layout, zero (as products
	// see it) behind k, and stores their scales: QuantizeRowInt8 in the form that multiply reads.
	left layout
	pack func(tile []byte, scale, x []float32, n, k int)

	// multiply computes y [m, n] = rowScale·scale·(x·qᵀ) from the panels of a PackedInt8; k counts
	// fours of inputs, xRow is the layout's stride of rows.
	multiply func(y []float32, yRow int, x []byte, xRow int, q []int8, panel int, correction []int32, scale, rowScale []float32, m, n, k int)
}

// int4Kernels multiplies weights of 4 bits, integers or floats, with activations in bfloat16.
type int4Kernels struct {
	height  int // the most rows that multiply takes
	panels  int // that multiply takes at once: threads share multiples of it
	perWord int // activations in a word

	// pack rounds n rows of x, of k elements each, to a tile: each group filled up with zeros to a
	// multiple of eight, in the order that multiply reads.
	left layout
	pack func(tile []uint32, x []float32, n, k, group int)

	// multiply computes y [m, n] = x·ŵᵀ from the panels of a PackedInt4: within a group, of so many
	// words, a chain of multiply-adds x·q from zero, whose end is scaled and added to those of the
	// groups before. table has the values q of the codes, one of codeValues' by perWord.
	multiply func(y []float32, yRow int, x []uint32, xRow int, q []uint32, panel int, m, n, groups, words int, table *[16]uint32)
}

// int4Int8Kernels multiplies weights of 4 bits with activations quantized per row to 8.
type int4Int8Kernels struct {
	height int // the most rows that multiply takes
	few    int // its height where there are no more rows than this in all
	panels int // that multiply takes at once: threads share multiples of it

	// pack quantizes n rows of x, of k elements each, to a tile as QuantizeRowInt8 does, each group
	// filled up with zeros to a multiple of eight, and stores their scales; the sum of row i's
	// group g begins at start[g*startRow+i], which is -8·Σx, since its weights have 8 added.
	left layout
	pack func(tile []int8, scale []float32, start []int32, startRow int, x []float32, n, k, group int)

	// multiply computes y [m, n] = rowScale·(x·ŵᵀ) from the panels of a PackedInt4.
	multiply func(y []float32, yRow int, x []int8, xRow int, start []int32, startRow int, q []uint32, panel int, rowScale []float32, m, n, groups, words int)
}

// fewRows is the most rows that fewInt8 takes.
const fewRows = 3

// Rows one after another, read element by element of the chain, and rows side by side.
var byRows = layout{rows: 1, places: 1, line: 16, odd: true}

func sideBySide(height int) layout { return layout{rows: height, places: 16, line: 1, even: true} }

// panelsOf returns the panels of width that hold so many outputs.
func panelsOf(outputs, width int) int { return (outputs + width - 1) / width }

// copyRow is leftPacking.pack of rows that need no rounding.
func copyRow(dst, src []float32, _, _, k int) { clear(dst[copy(dst, src[:k]):]) }

// rounding returns the float32 kernels g with elements rounded to bfloat16 where they are packed.
func rounding(g floatKernels, width int, round func(x []float32)) floatKernels {
	g.inPlace = false
	packed := func(pack func(dst, src []float32, stride, n, k int), places int) func(dst, src []float32, stride, n, k int) {
		return func(dst, src []float32, stride, n, k int) {
			pack(dst, src, stride, n, k)
			round(dst[:k*places])
		}
	}
	g.leftAlong.pack = packed(g.leftAlong.pack, g.leftAlong.places)
	g.leftAcross.pack = packed(g.leftAcross.pack, g.leftAcross.places)
	g.packAlong, g.packAcross = packed(g.packAlong, width), packed(g.packAcross, width)
	return g
}

// int8Rows is int8Kernels.pack for rows one after another.
func int8Rows(quantize func(dst []byte, x []float32) float32, bytes int) func(tile []byte, scale, x []float32, n, k int) {
	return func(tile []byte, scale, x []float32, n, k int) {
		scale[0] = quantize(tile[:k*bytes], x[:k])
		clear(tile[k*bytes:])
	}
}

// int4Rows is int4Kernels.pack for rows one after another.
func int4Rows(round func(dst []uint32, x []float32, group int)) func(tile []uint32, x []float32, n, k, group int) {
	return func(tile []uint32, x []float32, _, k, group int) { round(tile, x[:k], group) }
}

// int4Int8Rows is int4Int8Kernels.pack for rows one after another.
func int4Int8Rows(quantize func(q []int8, x []float32) float32) func(tile []int8, scale []float32, start []int32, startRow int, x []float32, n, k, group int) {
	return func(tile []int8, scale []float32, start []int32, startRow int, x []float32, _, k, group int) {
		scale[0] = quantize(tile[:k], x[:k])
		wide := (group + 7) / 8 * 8
		for g := k/group - 1; g >= 0; g-- {
			of := tile[g*wide : (g+1)*wide]
			if group < wide {
				clear(of[copy(of, tile[g*group:(g+1)*group]):])
			}
			start[g*startRow] = -8 * sumInt8(of)
		}
	}
}
