package checkpoint

// Codes of 4 or 8 bits are packed in int32 words, the first code in the lowest bits. A file has the
// words little-endian: code i of a row of words is then byte i, or half i%2 of byte i/2, and
// nothing depends on the words but where a row ends. In memory codes are signed: the middle of
// their range is added when they are packed, and taken away when they are unpacked.

// wordsOf is the int32 words of n codes.
func wordsOf(n, bits int) int { return (n*bits + 31) / 32 }

// packRows packs codes [rows, columns] along the columns to words [rows, ⌈columns·bits/32⌉]; what
// is beyond a row's end is zero.
func packRows(codes []byte, rows, columns, bits int, middle byte) []byte {
	width := 4 * wordsOf(columns, bits)
	words, mask := make([]byte, rows*width), byte(1<<bits-1)
	for r := range rows {
		row := words[r*width:]
		for i, v := range codes[r*columns : (r+1)*columns] {
			row[i*bits/8] |= (v + middle) & mask << (i * bits % 8)
		}
	}
	return words
}

// unpackRows is the inverse of packRows.
func unpackRows(words []byte, rows, columns, bits int, middle byte) []byte {
	width, mask := 4*wordsOf(columns, bits), byte(1<<bits-1)
	codes := make([]byte, rows*columns)
	for r := range rows {
		row := words[r*width:]
		for i := range columns {
			codes[r*columns+i] = row[i*bits/8]>>(i*bits%8)&mask - middle
		}
	}
	return codes
}

// packColumns packs codes [rows, columns] along the rows to words [⌈rows·bits/32⌉, columns].
func packColumns(codes []byte, rows, columns, bits int, middle byte) []byte {
	words, mask := make([]byte, 4*wordsOf(rows, bits)*columns), byte(1<<bits-1)
	for r := range rows {
		line, shift := words[inColumn(r, columns, bits):], r*bits%8
		for c, v := range codes[r*columns : (r+1)*columns] {
			line[4*c] |= (v + middle) & mask << shift
		}
	}
	return words
}

// unpackColumns is the inverse of packColumns.
func unpackColumns(words []byte, rows, columns, bits int, middle byte) []byte {
	codes, mask := make([]byte, rows*columns), byte(1<<bits-1)
	for r := range rows {
		line, shift := words[inColumn(r, columns, bits):], r*bits%8
		for c := range columns {
			codes[r*columns+c] = line[4*c]>>shift&mask - middle
		}
	}
	return codes
}

// inColumn is the byte of the first column that holds the code of row r.
func inColumn(r, columns, bits int) int {
	perWord := 32 / bits
	return 4*(r/perWord*columns) + r%perWord*bits/8
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
