package kernels

import (
	"math"
	"os"
	"slices"
	"testing"
	"unsafe"
)

// TestMain adds two implementations that only tests have. They read the left side in tiles of 16
// rows by 64 bytes, in strips of 16 and of 32 rows; one has panels of 32 outputs and short blocks.
// So every test shows that layouts, heights, widths and blocks are the implementation's own.
func TestMain(m *testing.M) {
	available = slices.Insert(available, 1,
		&implementation{"tiles16", tiledProducts(16, 16, 512, true), rowsRef},
		&implementation{"tiles32", tiledProducts(32, 32, 48, false), rowsRef})
	os.Exit(m.Run())
}

// eachImplementation runs f as a subtest with every implementation.
func eachImplementation(t *testing.T, f func(t *testing.T)) {
	for _, name := range Implementations() {
		t.Run(name, func(t *testing.T) { with(t, name, func() { f(t) }) })
	}
}

// eachRowKernels is eachImplementation without those of tests, whose row kernels are the
// reference's.
func eachRowKernels(t *testing.T, f func(t *testing.T)) {
	for _, name := range Implementations() {
		if !tiled(name) {
			t.Run(name, func(t *testing.T) { with(t, name, func() { f(t) }) })
		}
	}
}

// tiled reports whether only tests have an implementation.
func tiled(name string) bool { return name == "tiles16" || name == "tiles32" }

// with runs f with the named implementation.
func with(t *testing.T, name string, f func()) {
	t.Helper()
	restore, err := Use(name)
	if err != nil {
		t.Fatal(err)
	}
	defer restore()
	f()
}

// tiledProducts are in plain Go: they copy rows out of the tiles and multiply as the reference
// does. pairs says that bfloat16 products read words of two elements.
func tiledProducts(height, width, depth int, pairs bool) productKernels {
	words, bytes := layout{rows: 16, places: 16, line: 16}, layout{rows: 16, places: 16, line: 64}
	f := floatKernels{
		height: height, panels: 2, depth: depth, step: 16, elements: 1,
		leftAlong:  leftPacking{words, packTileAlong},
		leftAcross: leftPacking{words, packTileAcross},
		packAlong:  packAlongRef(width), packAcross: packAcrossRef(width),
		strip: func(c []float32, cRow int, a []float32, aTile, _ int, b []float32, bRow, bPanel int, m, n, k int, accumulate bool) {
			rows := rowsOfTiles(words, a, aTile, m, k)
			for i := 0; i < m; i += floatRef.height {
				stripRef(c[i*cRow:], cRow, rows[i*k:], k, 1, b, bRow, bPanel, min(floatRef.height, m-i), n, k, accumulate)
			}
		},
	}
	half, widenInt8 := rounded(f, width), widenInt8Ref
	if pairs {
		half = paired(f, width)
		widenInt8 = func(dst []float32, src []int8, n int) {
			for p := range n {
				for j := range width {
					dst[p*width+j] = pairsOf([]float32{float32(src[2*p*width+j]), float32(src[(2*p+1)*width+j])})[0]
				}
			}
		}
	}
	return productKernels{
		width: width, float32: f, bfloat16: half,
		roundBFloat16: roundBFloat16Ref, roundFloats: roundFloatsRef, widen: widenRef(width),
		widenInt8: widenInt8, addScaled: addScaledRef,
		int8: int8Kernels{
			height: height, few: 16, panels: 3, bytes: 1, left: bytes,
			pack: func(tile []byte, scale, x []float32, n, k int) {
				clear(tile)
				for i := range n {
					row := make([]byte, k)
					scale[i] = quantizeRef(row, x[i*k:(i+1)*k])
					putInTile(bytes, tile, row, i)
				}
			},
			multiply: func(y []float32, yRow int, x []byte, xTile int, q []int8, panel int, correction []int32, scale, rowScale []float32, m, n, k int) {
				mulInt8Ref(width)(y, yRow, rowsOfTiles(bytes, x, xTile, m, 4*k), 4*k, q, panel, correction, scale, rowScale, m, n, k)
			},
		},
		int4: int4Kernels{
			height: height, panels: 1, perWord: 1, left: words,
			pack: func(tile []uint32, x []float32, n, k, group int) {
				for i := range n {
					row := make([]uint32, k/group*((group+7)/8*8))
					roundInt4Float32(row, x[i*k:(i+1)*k], group)
					putInTile(words, tile, row, i)
				}
			},
			multiply: func(y []float32, yRow int, x []uint32, xTile int, q []uint32, panel int, m, n, groups, inGroup int, table *[16]uint32) {
				k := groups * inGroup * 8
				mulInt4Ref(width)(y, yRow, rowsOfTiles(words, x, xTile, m, k), k, q, panel, m, n, groups, inGroup, table)
			},
		},
		int4Int8: int4Int8Kernels{
			height: height, few: 16, panels: 2, left: bytes,
			pack: func(tile []int8, scale []float32, start []int32, startRow int, x []float32, n, k, group int) {
				pack := int4Int8Rows(QuantizeRowInt8)
				for i := range n {
					row := make([]int8, k/group*((group+7)/8*8))
					pack(row, scale[i:], start[i:], startRow, x[i*k:(i+1)*k], 1, k, group)
					putInTile(bytes, tile, row, i)
				}
			},
			multiply: func(y []float32, yRow int, x []int8, xTile int, start []int32, startRow int, q []uint32, panel int, rowScale []float32, m, n, groups, inGroup int) {
				k := groups * inGroup * 8
				mulInt4Int8Ref(width)(y, yRow, rowsOfTiles(bytes, x, xTile, m, k), k, start, startRow, q, panel, rowScale, m, n, groups, inGroup)
			},
		},
	}
}

// putInTile writes a row of a tile from its first element on.
func putInTile[T any](l layout, tile, row []T, i int) {
	for p, v := range row {
		tile[p/l.line*l.line*l.places+i*l.line+p%l.line] = v
	}
}

// rowsOfTiles copies m rows of k elements out of tiles, one row after another.
func rowsOfTiles[T any](l layout, x []T, tile, m, k int) []T {
	rows := make([]T, m*k)
	for i := range m {
		for p := 0; p < k; p += l.line {
			copy(rows[i*k+p:(i+1)*k], x[i/l.places*tile+p*l.places+i%l.places*l.line:][:l.line])
		}
	}
	return rows
}

func packTileAlong(dst, src []float32, stride, n, k int) {
	clear(dst)
	for i := range n {
		putInTile(layout{places: 16, line: 16}, dst, src[i*stride:][:k], i)
	}
}

func packTileAcross(dst, src []float32, stride, n, k int) {
	clear(dst[:(k+15)/16*256])
	for p := range k {
		for j := range n {
			dst[p/16*256+j*16+p%16] = src[p*stride+j]
		}
	}
}

// rounded are kernels that round to bfloat16 and keep words of float32.
func rounded(f floatKernels, width int) floatKernels {
	after := func(pack func(dst, src []float32, stride, n, k int), size func(dst []float32, k int) int) func(dst, src []float32, stride, n, k int) {
		return func(dst, src []float32, stride, n, k int) {
			pack(dst, src, stride, n, k)
			roundFloatsRef(dst[:size(dst, k)])
		}
	}
	f.leftAlong.pack = after(f.leftAlong.pack, func(dst []float32, _ int) int { return len(dst) })
	f.leftAcross.pack = after(f.leftAcross.pack, func(_ []float32, k int) int { return (k + 15) / 16 * 256 })
	panels := func(_ []float32, k int) int { return k * width }
	f.packAlong, f.packAcross = after(f.packAlong, panels), after(f.packAcross, panels)
	return f
}

// paired are kernels with words of two bfloat16: every packing packs rounded numbers, and then
// pairs those of one place.
func paired(f floatKernels, width int) floatKernels {
	words := f.leftAlong.layout
	strip := f.strip
	f.elements = 2
	f.leftAlong.pack = func(dst, src []float32, stride, n, k int) {
		clear(dst)
		for i := range n {
			putInTile(words, dst, pairsOf(src[i*stride:][:k]), i)
		}
	}
	column := func(src []float32, stride, k int) []float32 {
		x := make([]float32, k)
		for p := range x {
			x[p] = src[p*stride]
		}
		return x
	}
	f.leftAcross.pack = func(dst, src []float32, stride, n, k int) {
		clear(dst[:((k+1)/2+15)/16*256])
		for i := range n {
			putInTile(words, dst, pairsOf(column(src[i:], stride, k)), i)
		}
	}
	put := func(dst []float32, n, k int, row func(i int) []float32) {
		clear(dst[:(k+1)/2*width])
		for i := range n {
			for p, v := range pairsOf(row(i)) {
				dst[p*width+i] = v
			}
		}
	}
	f.packAlong = func(dst, src []float32, stride, n, k int) {
		put(dst, n, k, func(i int) []float32 { return src[i*stride:][:k] })
	}
	f.packAcross = func(dst, src []float32, stride, n, k int) {
		put(dst, n, k, func(i int) []float32 { return column(src[i:], stride, k) })
	}
	f.strip = func(c []float32, cRow int, a []float32, aTile, aCol int, b []float32, bRow, bPanel int, m, n, k int, accumulate bool) {
		left := rowsOfTiles(words, a, aTile, m, k)
		wide, right := make([]float32, 2*m*k), make([]float32, 2*panelsOf(n, width)*bPanel)
		widenRef(1)(wide, left, m*k)
		for j := range panelsOf(n, width) {
			widenRef(width)(right[2*j*bPanel:], b[j*bPanel:], k)
		}
		tile := make([]float32, panelsOf(m, 16)*16*((2*k+15)/16*16))
		for i := range m {
			putInTile(words, tile[i/16*16*((2*k+15)/16*16):], wide[2*i*k:2*(i+1)*k], i%16)
		}
		strip(c, cRow, tile, 16*((2*k+15)/16*16), aCol, right, bRow, 2*bPanel, m, n, 2*k, accumulate)
	}
	return f
}

// pairsOf rounds x to bfloat16 in words of two, the last filled up with a zero.
func pairsOf(x []float32) []float32 {
	words := make([]float32, (len(x)+1)/2)
	pairs := unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(words))), 2*len(words))
	roundBFloat16Ref(pairs, x)
	return words
}

const guard = float32(-12345.5)

// guarded is a vector that starts offset elements into its memory with guard words on both sides.
type guarded struct {
	x      []float32
	memory []float32
}

func newGuarded(n, offset int) guarded {
	memory := make([]float32, offset+n+40)
	for i := range memory {
		memory[i] = guard
	}
	at := 16 + offset
	return guarded{memory[at : at+n : at+n], memory}
}

func (g guarded) check(t *testing.T, what string) {
	t.Helper()
	at := (cap(g.memory) - len(g.x)) - 24
	for i, v := range g.memory {
		if (i < at || i >= at+len(g.x)) && v != guard {
			t.Fatalf("%s wrote %v outside its %d elements, at %d", what, v, len(g.x), i-at)
		}
	}
}

func equalBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s: element %d is %v, want the bits of %v", what, i, got[i], want[i])
		}
	}
}
