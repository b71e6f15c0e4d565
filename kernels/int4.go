package kernels

import (
	"encoding/binary"
	"math"
	"unsafe"

	"slimlab/kernels/memory"
	"slimlab/kernels/parallel"
)

// codeValues are the values of codes of 4 bits: as float32, and as 32 numbers of bfloat16, all
// values twice, two to a word.
type codeValues struct{ floats, pairs [16]uint32 }

func newCodeValues(value func(code byte) float32) *codeValues {
	v := new(codeValues)
	for code := range v.floats {
		v.floats[code] = math.Float32bits(value(byte(code)))
		v.pairs[code/2] |= v.floats[code] >> 16 << (code % 2 * 16)
		v.pairs[8+code/2] = v.pairs[code/2]
	}
	return v
}

// value returns the value of a code.
func (v *codeValues) value(code uint32) float32 { return math.Float32frombits(v.floats[code]) }

// The values of integers, to which 8 is added, and of E2M1.
var (
	int4Values   = newCodeValues(func(code byte) float32 { return float32(code) - 8 })
	float4Values = newCodeValues(E2M1.Decode)
)

// int4Call is a running product with a PackedInt4 and activations in bfloat16.
type int4Call struct {
	kernels *int4Kernels
	w       *PackedInt4
	y, src  []float32
	x       left[uint32] // src rounded, each group filled up with zeros to a multiple of eight
	grid

	table *[16]uint32      // the values of codes, in the form that the kernels read
	round func(lo, hi int) // bound once: each method value allocates
}

var freeInt4 = memory.NewFreeList(64, func() *int4Call {
	c := new(int4Call)
	c.round = c.roundTiles
	return c
})

// begin rounds the activations.
func (c *int4Call) begin(w *PackedInt4, y, x []float32, rows int) {
	c.kernels, c.w, c.y, c.src = &w.reader().int4, w, y, x
	if c.table = &w.values.floats; c.kernels.perWord == 2 {
		c.table = &w.values.pairs
	}
	c.x.shape(c.kernels.left, rows, w.In/w.Group*w.words()*8/c.kernels.perWord)
	c.grid = newGrid(c.x.tiles(rows), c.x.rows, panelsOf(w.Out, w.width), c.kernels.panels, rows*w.Out*w.In/2+w.Out*w.In)
	if c.work() < serialWork {
		c.round(0, c.grid.tiles)
	} else {
		parallel.Range(c.grid.tiles, max(1, 16/c.x.rows), c.round)
	}
}

func (c *int4Call) end() {
	c.w, c.y, c.src = nil, nil, nil
	freeInt4.Put(c)
}

func (c *int4Call) roundTiles(lo, hi int) {
	in := c.w.In
	for t := lo; t < hi; t++ {
		first, last := c.x.bounds(t, c.x.n)
		c.kernels.pack(c.x.tile(t), c.src[first*in:last*in], last-first, in, c.w.Group)
	}
}

func (c *int4Call) run(task int) {
	w, panel := c.w, c.w.panel()
	row, _ := c.x.strides()
	c.grid.strips(task, c.kernels.height/c.x.rows, 4*panel, func(tile, tiles, panel0, panels int) {
		lo, hi := c.x.span(tile, tile+tiles)
		j := panel0 * w.width
		c.kernels.multiply(c.y[lo*w.Out+j:], w.Out, c.x.from(tile, 0), row, w.q[panel0*panel:], panel,
			hi-lo, min(panels*w.width, w.Out-j), w.In/w.Group, w.words(), c.table)
	})
}

// int4Int8Call is a running product with a PackedInt4 and activations in 8 bits.
type int4Int8Call struct {
	kernels  *int4Int8Kernels
	w        *PackedInt4
	y, src   []float32
	x        left[int8] // src quantized, each group filled up with zeros to a multiple of eight
	rowScale []float32
	start    []int32 // -8·Σx of each group, by group and then by row
	grid

	quantize func(lo, hi int) // bound once: each method value allocates
}

var freeInt4Int8 = memory.NewFreeList(64, func() *int4Int8Call {
	c := new(int4Int8Call)
	c.quantize = c.quantizeTiles
	return c
})

// begin quantizes the activations.
func (c *int4Int8Call) begin(w *PackedInt4, y, x []float32, rows int) {
	c.kernels, c.w, c.y, c.src = &w.reader().int4Int8, w, y, x
	groups := w.In / w.Group
	c.x.shape(c.kernels.left, rows, groups*w.words()*8)
	c.rowScale, c.start = memory.Grown(c.rowScale, rows), memory.Grown(c.start, rows*groups)
	c.grid = newGrid(c.x.tiles(rows), c.x.rows, panelsOf(w.Out, w.width), c.kernels.panels, rows*w.Out*w.In/4+w.Out*w.In)
	if c.work() < serialWork {
		c.quantize(0, c.grid.tiles)
	} else {
		parallel.Range(c.grid.tiles, max(1, 16/c.x.rows), c.quantize)
	}
}

func (c *int4Int8Call) end() {
	c.w, c.y, c.src = nil, nil, nil
	freeInt4Int8.Put(c)
}

func (c *int4Int8Call) quantizeTiles(lo, hi int) {
	in := c.w.In
	for t := lo; t < hi; t++ {
		first, last := c.x.bounds(t, c.x.n)
		c.kernels.pack(c.x.tile(t), c.rowScale[first:last], c.start[first:], c.x.n, c.src[first*in:last*in], last-first, in, c.w.Group)
	}
}

func (c *int4Int8Call) run(task int) {
	w, panel, height := c.w, c.w.panel(), c.kernels.height
	if c.x.n <= c.kernels.few {
		height = c.kernels.few
	}
	row, _ := c.x.strides()
	c.grid.strips(task, height/c.x.rows, 4*panel, func(tile, tiles, panel0, panels int) {
		lo, hi := c.x.span(tile, tile+tiles)
		j := panel0 * w.width
		c.kernels.multiply(c.y[lo*w.Out+j:], w.Out, c.x.from(tile, 0), row, c.start[lo:], c.x.n, w.q[panel0*panel:], panel,
			c.rowScale[lo:], hi-lo, min(panels*w.width, w.Out-j), w.In/w.Group, w.words())
	})
}

// sumInt8 sums a multiple of eight numbers, eight at a time: with 128 added they are unsigned
// bytes, whose sums fit halfwords.
func sumInt8(q []int8) int32 {
	var sum uint64
	b := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(q))), len(q))
	for i := 0; i < len(b); i += 8 {
		v := binary.LittleEndian.Uint64(b[i:]) ^ 0x8080808080808080
		v = v&0x00ff00ff00ff00ff + v>>8&0x00ff00ff00ff00ff
		sum += v * 0x0001000100010001 >> 48
	}
	return int32(sum) - 128*int32(len(q))
}

// roundInt4Float32 writes the activations rounded to bfloat16 as the bits of float32, each eight in
// the order in which a word has their weights from its highest bits down.
func roundInt4Float32(dst []uint32, x []float32, group int) {
	for ; len(x) > 0; x = x[group:] {
		for w := 0; w < group; w += 8 {
			var eight [8]float32
			copy(eight[:], x[w:group])
			for i, j := range [8]int{7, 3, 6, 2, 5, 1, 4, 0} {
				dst[i] = uint32(toBFloat16(eight[j])) << 16
			}
			dst = dst[8:]
		}
	}
}
