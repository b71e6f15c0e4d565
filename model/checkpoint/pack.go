package checkpoint

import "slimlab/kernels/parallel"

// Codes of 3, 4 or 8 bits are packed in int32 words, the first code in the lowest bits. A file has
// the words little-endian: code i of a row of words is then byte i, or half i%2 of byte i/2, and
// nothing depends on the words but where a row ends. Codes of 3 bits are one stream of bits, in
// which some begin in a byte or word and end in the next. In memory integer codes are signed: the
// middle of their range is added when they are packed, and taken away when they are unpacked.

// wordsOf is the int32 words of n codes.
func wordsOf(n, bits int) int { return (n*bits + 31) / 32 }

// packRows packs codes [rows, columns] along the columns to words [rows, ⌈columns·bits/32⌉]; what
// is beyond a row's end is zero.
func packRows(codes []byte, rows, columns, bits int, middle byte) []byte {
	width := 4 * wordsOf(columns, bits)
	words := make([]byte, rows*width)
	parallel.Range(rows, 16, func(first, last int) {
		for r := first; r < last; r++ {
			row, own := words[r*width:(r+1)*width], codes[r*columns:(r+1)*columns]
			done := 0
			if bits == 4 {
				for i := range columns / 2 {
					row[i] = (own[2*i]+middle)&15 | (own[2*i+1]+middle)<<4
				}
				done = columns / 2 * 2
			}
			for i := done; i < columns; i++ {
				putBits(row, i*bits, bits, own[i]+middle, 1)
			}
		}
	})
	return words
}

// unpackRows is the inverse of packRows.
func unpackRows(words []byte, rows, columns, bits int, middle byte) []byte {
	width := 4 * wordsOf(columns, bits)
	codes := make([]byte, rows*columns)
	parallel.Range(rows, 16, func(first, last int) {
		for r := first; r < last; r++ {
			row, own := words[r*width:(r+1)*width], codes[r*columns:(r+1)*columns]
			done := 0
			if bits == 4 {
				for i := range columns / 2 {
					own[2*i], own[2*i+1] = row[i]&15-middle, row[i]>>4-middle
				}
				done = columns / 2 * 2
			}
			for i := done; i < columns; i++ {
				own[i] = bitsAt(row, i*bits, bits, 1) - middle
			}
		}
	})
	return codes
}

// packColumns packs codes [rows, columns] along the rows to words [⌈rows·bits/32⌉, columns].
func packColumns(codes []byte, rows, columns, bits int, middle byte) []byte {
	words := make([]byte, 4*wordsOf(rows, bits)*columns)
	for r := range rows {
		for c, v := range codes[r*columns : (r+1)*columns] {
			putBits(words[4*c:], r*bits, bits, v+middle, columns)
		}
	}
	return words
}

// unpackColumns is the inverse of packColumns.
func unpackColumns(words []byte, rows, columns, bits int, middle byte) []byte {
	codes := make([]byte, rows*columns)
	for r := range rows {
		for c := range columns {
			codes[r*columns+c] = bitsAt(words[4*c:], r*bits, bits, columns) - middle
		}
	}
	return codes
}

// putBits adds the lowest bits of v at a bit of a stream of words, one after another or so many
// apart.
func putBits(b []byte, at, bits int, v byte, apart int) {
	v &= byte(1<<bits - 1)
	b[byteOf(at/8, apart)] |= v << (at % 8)
	if at%8+bits > 8 {
		b[byteOf(at/8+1, apart)] |= v >> (8 - at%8)
	}
}

// bitsAt reads what putBits puts.
func bitsAt(b []byte, at, bits, apart int) byte {
	v := b[byteOf(at/8, apart)] >> (at % 8)
	if at%8+bits > 8 {
		v |= b[byteOf(at/8+1, apart)] << (8 - at%8)
	}
	return v & byte(1<<bits-1)
}

// byteOf is the place of byte i of a stream of words so many apart.
func byteOf(i, apart int) int { return i/4*4*apart + i%4 }

// packHalves packs codes of 4 bits two a byte, the first in the lower half.
func packHalves(codes []byte) []byte {
	b := make([]byte, len(codes)/2)
	for i := range b {
		b[i] = codes[2*i] | codes[2*i+1]<<4
	}
	return b
}

// unpackHalves is the inverse of packHalves.
func unpackHalves(b []byte) []byte {
	codes := make([]byte, 2*len(b))
	for i, v := range b {
		codes[2*i], codes[2*i+1] = v&15, v>>4
	}
	return codes
}

// awqOrder is the column, of eight, that each of a word's eight halves of a byte holds in AWQ's
// GEMM form.
var awqOrder = [8]int{0, 2, 4, 6, 1, 3, 5, 7}

// reorderAWQ moves the codes of each eight columns, [rows, columns], from their order in memory to
// that of the words, or back.
func reorderAWQ(codes []byte, back bool) {
	for ; len(codes) >= 8; codes = codes[8:] {
		eight := [8]byte(codes)
		for i, column := range awqOrder {
			if back {
				codes[column] = eight[i]
			} else {
				codes[i] = eight[column]
			}
		}
	}
}

// transpose returns x [rows, columns] as [columns, rows].
func transpose[T any](x []T, rows, columns int) []T {
	y := make([]T, len(x))
	const tile = 64 // a cache line of bytes of each row
	for r0 := 0; r0 < rows; r0 += tile {
		for c0 := 0; c0 < columns; c0 += tile {
			for r := r0; r < min(r0+tile, rows); r++ {
				for c := c0; c < min(c0+tile, columns); c++ {
					y[c*rows+r] = x[r*columns+c]
				}
			}
		}
	}
	return y
}
