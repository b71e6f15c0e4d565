package kernels

import "slimlab/kernels/memory"

// layout is the arrangement of the rows of a product's left side in memory: in tiles of at most
// rows rows, one tile after another. A tile has room for places rows and holds
// [stride/line][places][line]: for each line of consecutive elements of the chain, that line of
// every row. So
//
//	{rows: 1, places: 1, line: 16}    rows one after another, padded to multiples of 16 elements
//	{rows: 14, places: 16, line: 1}   up to 14 rows side by side, step by step of the chain
//	{rows: 16, places: 16, line: 16}  tiles of 16 rows by 64 bytes, where an element has 4 bytes
//
// An element is what the kernel counts: a word of 4 bytes or a byte.
type layout struct {
	rows, places, line int

	// rows are divided evenly among tiles, to within a row; otherwise all but the last are full
	even bool
	// rows are padded to an odd number of lines: a power of two falls into few sets of the first
	// cache
	odd bool
}

// tiles returns the number of tiles of n rows.
func (l layout) tiles(n int) int { return (n + l.rows - 1) / l.rows }

// bounds returns the rows of a tile among n rows.
func (l layout) bounds(tile, n int) (lo, hi int) {
	if l.even {
		tiles := l.tiles(n)
		return tile * n / tiles, (tile + 1) * n / tiles
	}
	return tile * l.rows, min((tile+1)*l.rows, n)
}

// padded returns the elements that a row of n takes.
func (l layout) padded(n int) int {
	lines := (n + l.line - 1) / l.line
	if l.odd {
		lines |= 1
	}
	return lines * l.line
}

// room returns the elements that n rows of elements elements take.
func (l layout) room(n, elements int) int { return l.tiles(n) * l.places * l.padded(elements) }

// left is the left side of a product, n rows of stride elements with their padding, in a layout.
type left[T any] struct {
	layout
	n, stride int
	data      []T

	memory []T // kept from one use to the next
}

// shape makes room for n rows of elements elements; their content is arbitrary.
func (a *left[T]) shape(l layout, n, elements int) {
	a.layout, a.n, a.stride = l, n, l.padded(elements)
	a.memory = memory.Grown(a.memory, l.room(n, elements))
	a.data = a.memory
}

// tile returns the memory of a tile.
func (a *left[T]) tile(t int) []T { return a.data[t*a.places*a.stride : (t+1)*a.places*a.stride] }

// from returns the memory that a strip reads which begins with a tile, and in it with an element of
// the chain, a multiple of the line.
func (a *left[T]) from(tile, element int) []T {
	return a.data[tile*a.places*a.stride+element*a.places:]
}

// strides returns the strides that a kernel needs: of rows, or of tiles where a tile has several
// rows of longer lines, and of the elements of a line.
func (a *left[T]) strides() (row, element int) {
	switch {
	case a.places == 1:
		return a.stride, 1
	case a.line == 1:
		return 1, a.places
	}
	return a.places * a.stride, 1
}

// span returns the rows of tiles first to last-1.
func (a *left[T]) span(first, last int) (lo, hi int) {
	lo, _ = a.bounds(first, a.n)
	_, hi = a.bounds(last-1, a.n)
	return lo, hi
}
