//go:build amd64 && !noasm

package kernels

import (
	"encoding/binary"
	"math"
	"unsafe"

	"slimlab/kernels/memory"
)

//go:noescape
func mulInt8AVX512(y []float32, yRow int, x []byte, xRow int, q []int8, panel int, correction []int32, scale, rowScale []float32, m, n, k int)

//go:noescape
func mulInt8AVX2(y []float32, yRow int, x []byte, xRow int, q []int8, panel int, correction []int32, scale, rowScale []float32, m, n, k int)

//go:noescape
func mulInt4AVX512(y []float32, yRow int, x []uint32, xRow int, q []uint32, panel int, m, n, groups, words int, table *[16]uint32)

//go:noescape
func mulInt4AVX2(y []float32, yRow int, x []uint32, xRow int, q []uint32, panel int, m, n, groups, words int)

//go:noescape
func mulInt4AVX512BF16(y []float32, yRow int, x []uint32, xRow int, q []uint32, panel int, m, n, groups, words int, table *[16]uint32)

//go:noescape
func mulTable4AVX2(y []float32, yRow int, x []uint32, xRow int, q []uint32, panel int, m, n, groups, words int, table *[16]uint32)

//go:noescape
func decode4AVX2(dst []float32, q []uint32, words int, table *[16]uint32)

//go:noescape
func mulDecoded4AVX2(y []float32, yRow int, x []uint32, xRow int, codes, scale []float32, m, n, k int, first bool)

// mulCodes4AVX2 decodes a group of a panel once for all rows where they are many; otherwise it
// converts integers, and looks other values up, as it multiplies.
func mulCodes4AVX2(y []float32, yRow int, x []uint32, xRow int, q []uint32, panel int, m, n, groups, words int, table *[16]uint32) {
	if m > few4AVX2 {
		mulManyCodes4AVX2(y, yRow, x, xRow, q, panel, m, n, groups, words, table)
		return
	}
	const height = 4
	for ; m > 0; m -= height {
		if table == &int4Values.floats {
			mulInt4AVX2(y, yRow, x, xRow, q, panel, min(m, height), n, groups, words)
		} else {
			mulTable4AVX2(y, yRow, x, xRow, q, panel, min(m, height), n, groups, words, table)
		}
		if m > height {
			y, x = y[height*yRow:], x[height*xRow:]
		}
	}
}

// few4AVX2 is the most rows for which decoding as they are multiplied is as fast: two tiles.
const few4AVX2 = 8

var freeDecoded4 = memory.NewFreeList(64, func() *[]float32 { return new([]float32) })

// mulManyCodes4AVX2 goes through the panels within each group: its x is in the second cache then,
// and what was decoded is in the first.
func mulManyCodes4AVX2(y []float32, yRow int, x []uint32, xRow int, q []uint32, panel int, m, n, groups, words int, table *[16]uint32) {
	decoded := freeDecoded4.Get()
	k := 8 * words
	*decoded = memory.Grown(*decoded, k*panelWidth)
	for g := range groups {
		for j := 0; j < n; j += panelWidth {
			lines := q[j/panelWidth*panel+g*(words+1)*panelWidth:]
			decode4AVX2(*decoded, lines, words, table)
			scale := floatsOf(lines[words*panelWidth:][:panelWidth])
			mulDecoded4AVX2(y[j:], yRow, x[g*k:], xRow, *decoded, scale, m, min(n-j, panelWidth), k, g == 0)
		}
	}
	freeDecoded4.Put(decoded)
}

// floatsOf are the float32 whose bits x has.
func floatsOf(x []uint32) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(x))), len(x))
}

//go:noescape
func roundInt4AVX512BF16(dst []uint32, x []float32)

//go:noescape
func mulInt4Int8AVX512(y []float32, yRow int, x []int8, xRow int, start []int32, startRow int, q []uint32, panel int, rowScale []float32, m, n, groups, words int)

//go:noescape
func mulInt4Int8AVX2(y []float32, yRow int, x []int8, xRow int, start []int32, startRow int, q []uint32, panel int, rowScale []float32, m, n, groups, words int)

//go:noescape
func absMaxAVX512(x []float32) uint32

//go:noescape
func absMax8AVX2(x []float32) uint32

//go:noescape
func quantizeAVX512(dst []byte, x []float32, scale float32, offset int32)

//go:noescape
func quantizeInt16AVX2(dst []byte, x []float32, scale float32)

//go:noescape
func quantizeInt8AVX2(dst []byte, x []float32, scale float32)

// quantizeRowAVX512 writes bytes with 128 added.
func quantizeRowAVX512(dst []byte, x []float32) float32 {
	s, ok := scaleInt8(absMaxAVX512(x))
	if ok {
		quantizeAVX512(dst, x, s, 128)
		return s
	}
	for i := range dst {
		dst[i] = 128
	}
	return s
}

func quantizeInt4AVX512(q []int8, x []float32) float32 {
	s, ok := scaleInt8(absMaxAVX512(x))
	if ok {
		quantizeAVX512(bytesOf(q), x, s, 0)
		return s
	}
	clear(q)
	return s
}

func bytesOf(q []int8) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(q))), len(q))
}

// absMaxAVX2 returns the bits of the greatest |x|.
func absMaxAVX2(x []float32) uint32 {
	whole := len(x) &^ 7
	var greatest uint32
	if whole > 0 {
		greatest = absMax8AVX2(x[:whole])
	}
	for _, v := range x[whole:] {
		greatest = max(greatest, math.Float32bits(v)&^(1<<31))
	}
	return greatest
}

// quantizeRowAVX2 writes int16.
func quantizeRowAVX2(dst []byte, x []float32) float32 {
	s, ok := scaleInt8(absMaxAVX2(x))
	if !ok {
		clear(dst)
		return s
	}
	whole := len(x) &^ 7
	if whole > 0 {
		quantizeInt16AVX2(dst, x[:whole], s)
	}
	for i, v := range x[whole:] {
		binary.LittleEndian.PutUint16(dst[2*(whole+i):], uint16(int16(roundInt8(v/s))))
	}
	return s
}

func quantizeInt4AVX2(q []int8, x []float32) float32 {
	s, ok := scaleInt8(absMaxAVX2(x))
	if !ok {
		clear(q)
		return s
	}
	whole := len(x) &^ 7
	if whole > 0 {
		quantizeInt8AVX2(bytesOf(q), x[:whole], s)
	}
	for i, v := range x[whole:] {
		q[whole+i] = roundInt8(v / s)
	}
	return s
}

// roundInt4Pairs writes pairs of bfloat16, the first in the lower half: inputs 0 and 2 of each
// eight, 4 and 6, 1 and 3, 5 and 7.
func roundInt4Pairs(dst []uint32, x []float32, group int) {
	if group%8 == 0 {
		roundInt4AVX512BF16(dst, x)
		return
	}
	for ; len(x) > 0; x = x[group:] {
		for w := 0; w < group; w += 8 {
			var eight [8]float32
			copy(eight[:], x[w:group])
			roundInt4AVX512BF16(dst, eight[:])
			dst = dst[4:]
		}
	}
}
