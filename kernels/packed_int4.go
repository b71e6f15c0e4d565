package kernels

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

	"slimlab/kernels/memory"
	"slimlab/kernels/parallel"
)

// PackedInt4 is a 4-bit weight with one scale per group of consecutive inputs of an output channel.
// It multiplies activations in bfloat16 (MulT) or in 8 bits (MulTInt8).
type PackedInt4 struct {
	Out, In, Group int
	// q holds panels of 16 outputs, each one group after another: for each eight inputs of the
	// group one word of each output, then the scale of each output as the bits of a float32. So a
	// product reads memory from its first byte to its last. Byte i of a word has input i of the
	// eight in its low half and input 4+i in its high half, each with 8 added: a mask gives four
	// unsigned bytes of consecutive inputs, a shift and a mask the other four, and each quarter of
	// the two halfwords is one pair of inputs. Where the group's length is no multiple of eight,
	// its last word ends in zero weights.
	q []uint32
}

// PackInt4 packs q, [out, in] in -8..7, with scale [out, in/group]. group divides in and is at most
// 2¹⁷, so that a sum of products fits 32 bits.
func PackInt4(q []int8, scale []float32, out, in, group int) *PackedInt4 {
	if group < 1 || group > 1<<17 || in%group != 0 || len(q) < out*in || len(scale) < out*(in/group) {
		panic(fmt.Sprintf("kernels: PackInt4 of %d weights and %d scales as [%d, %d] in groups of %d", len(q), len(scale), out, in, group))
	}
	p := &PackedInt4{Out: out, In: in, Group: group}
	groups, words := in/group, p.words()
	p.q = memory.Aligned[uint32](panelsOf(out) * p.panel())
	for o := range out {
		column := p.q[o/panelWidth*p.panel()+o%panelWidth:]
		for g := range groups {
			lines := column[g*(words+1)*panelWidth:]
			for w := range words {
				lines[w*panelWidth] = 0x88888888
			}
			for j, v := range q[o*in+g*group : o*in+(g+1)*group] {
				if v < -8 || v > 7 {
					panic(fmt.Sprintf("kernels: PackInt4 weight [%d, %d] is %d, not in -8..7", o, g*group+j, v))
				}
				lines[j/8*panelWidth] ^= uint32(v&15) << int4Shift(j)
			}
			lines[words*panelWidth] = math.Float32bits(scale[o*groups+g])
		}
	}
	return p
}

// int4Shift returns where the four bits of a group's input j stand in their word.
func int4Shift(j int) int { return j%4*8 + j%8/4*4 }

// words returns the number of words of a group of one output, panel that of a panel's words and
// scales.
func (p *PackedInt4) words() int { return (p.Group + 7) / 8 }
func (p *PackedInt4) panel() int { return p.In / p.Group * (p.words() + 1) * panelWidth }

// Bytes returns the bytes of the format: half a byte a weight and 4 a group's scale.
func (p *PackedInt4) Bytes() int64 {
	return int64(p.Out) * (int64(p.In+1)/2 + 4*int64(p.In/p.Group))
}

// Row writes output o's weights, scale·q, to dst [in].
func (p *PackedInt4) Row(dst []float32, o int) {
	checkLen("PackedInt4.Row dst", dst, p.In)
	if o < 0 || o >= p.Out {
		panic(fmt.Sprintf("kernels: PackedInt4.Row %d of %d", o, p.Out))
	}
	column := p.q[o/panelWidth*p.panel()+o%panelWidth:]
	for g := range p.In / p.Group {
		lines := column[g*(p.words()+1)*panelWidth:]
		scale := math.Float32frombits(lines[p.words()*panelWidth])
		row := dst[g*p.Group : (g+1)*p.Group]
		for j := range row {
			row[j] = scale * float32(int32(lines[j/8*panelWidth]>>int4Shift(j)&15)-8)
		}
	}
}

// MulT computes y = x·ŵᵀ with ŵ = scale·q and x rounded to bfloat16, to nearest even; y is [rows,
// out], x is [rows, in]. A group's products are summed in float32, its scale multiplies the sum,
// and the groups are added in ascending order. Each row's result is the same bits whatever the
// other rows and their number.
func (p *PackedInt4) MulT(y, x []float32, rows int) { Run(p.Begin(y, x, rows)) }

// Begin begins MulT.
func (p *PackedInt4) Begin(y, x []float32, rows int) Pending {
	return p.begin("MulT", y, x, rows, false)
}

// MulTInt8 computes y = x·ŵᵀ with ŵ = scale·q and each row of x quantized to int8 (see
// QuantizeRowInt8): a group's products are summed in int32, its scale multiplies the sum, the
// groups are added in float32 in ascending order, and the row's scale multiplies the total. Every
// implementation gives the same bits. y is [rows, out], x is [rows, in].
func (p *PackedInt4) MulTInt8(y, x []float32, rows int) { Run(p.BeginInt8(y, x, rows)) }

// BeginInt8 begins MulTInt8.
func (p *PackedInt4) BeginInt8(y, x []float32, rows int) Pending {
	return p.begin("MulTInt8", y, x, rows, true)
}

func (p *PackedInt4) begin(name string, y, x []float32, rows int, int8 bool) Pending {
	if len(y) < rows*p.Out || len(x) < rows*p.In {
		panic(fmt.Sprintf("kernels: PackedInt4.%s of %d rows has y of %d and x of %d elements, want %d and %d", name, rows, len(y), len(x), rows*p.Out, rows*p.In))
	}
	if trivial(y, rows, p.Out, p.In) {
		return nothing{}
	}
	c := freeInt4.Get()
	c.begin(p, y, x, rows, int8)
	prepare, work := c.round, rows*p.Out*p.In/2+p.Out*p.In // in multiply-adds of float32
	if int8 {
		prepare, work = c.quantize, rows*p.Out*p.In/4+p.Out*p.In
	}
	if c.grid = newGrid(rows, p.Out, work); work < serialWork {
		prepare(0, rows)
	} else {
		parallel.Range(rows, 16, prepare)
	}
	return c
}

// int4Call is a product with a PackedInt4 on its way.
type int4Call struct {
	kernels *gemmKernels
	w       *PackedInt4
	y, x    []float32
	rows    int
	int8    bool // activations
	grid

	// The activations: rows of stride elements in which each group is filled up with zeros to a
	// multiple of eight; of 8 bits with the scales of the rows and -8·Σq of each group (by group,
	// then by row), or as gemmKernels.roundInt4 makes them.
	stride   int
	q        []int8
	rowScale []float32
	start    []int32
	words    []uint32

	// Bound once: a method value would be allocated in each call.
	round, quantize func(lo, hi int)
}

var freeInt4 = memory.NewFreeList(64, func() *int4Call {
	c := new(int4Call)
	c.round, c.quantize = c.roundRows, c.quantizeRows
	return c
})

func (c *int4Call) begin(w *PackedInt4, y, x []float32, rows int, int8 bool) {
	c.kernels, c.w, c.y, c.x, c.rows, c.int8 = &active.Load().gemm, w, y, x, rows, int8
	groups, wide := w.In/w.Group, w.words()*8
	if int8 {
		c.stride = groups * wide
		grow(&c.q, rows*c.stride)
		grow(&c.rowScale, rows)
		grow(&c.start, rows*groups)
		return
	}
	c.stride = groups * wide / c.kernels.int4PerWord
	grow(&c.words, rows*c.stride)
}

// grow makes x at least n long; what it held is lost.
func grow[T any](x *[]T, n int) {
	if len(*x) < n {
		*x = make([]T, n)
	}
}

func (c *int4Call) end() {
	c.w, c.y, c.x = nil, nil, nil
	freeInt4.Put(c)
}

// quantizeRows quantizes rows lo to hi, and spreads them where groups have to be filled up.
func (c *int4Call) quantizeRows(lo, hi int) {
	in, group, wide := c.w.In, c.w.Group, c.w.words()*8
	groups := in / group
	for r := lo; r < hi; r++ {
		row := c.q[r*c.stride : (r+1)*c.stride]
		c.rowScale[r] = c.kernels.quantizeInt4(row[:in], c.x[r*in:(r+1)*in])
		for g := groups - 1; g >= 0; g-- {
			of := row[g*wide : (g+1)*wide]
			if group < wide {
				clear(of[copy(of, row[g*group:(g+1)*group]):])
			}
			c.start[g*c.rows+r] = -8 * sumInt8(of)
		}
	}
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

func (c *int4Call) roundRows(lo, hi int) {
	for r := lo; r < hi; r++ {
		c.kernels.roundInt4(c.words[r*c.stride:(r+1)*c.stride], c.x[r*c.w.In:(r+1)*c.w.In], c.w.Group)
	}
}

// height returns the most rows of a strip.
func (c *int4Call) height(tall, few int) int {
	if c.rows <= few {
		return few
	}
	return tall
}

func (c *int4Call) run(task int) {
	if c.int8 {
		c.multiplyInt8(task)
	} else {
		c.multiply(task)
	}
}

func (c *int4Call) multiply(task int) {
	w, panel := c.w, c.w.panel()
	c.grid.strips(task, c.kernels.int4Height, 4*panel, func(row0, m, panel0, panels int) {
		j := panel0 * panelWidth
		c.kernels.mulInt4(c.y[row0*w.Out+j:], w.Out, c.words[row0*c.stride:], c.stride, w.q[panel0*panel:], panel,
			m, min(panels*panelWidth, w.Out-j), w.In/w.Group, w.words())
	})
}

func (c *int4Call) multiplyInt8(task int) {
	w, panel := c.w, c.w.panel()
	c.grid.strips(task, c.height(c.kernels.int4Int8Height, c.kernels.int4Int8Few), 4*panel, func(row0, m, panel0, panels int) {
		j := panel0 * panelWidth
		c.kernels.mulInt4Int8(c.y[row0*w.Out+j:], w.Out, c.q[row0*c.stride:], c.stride, c.start[row0:], c.rows, w.q[panel0*panel:], panel,
			c.rowScale[row0:], m, min(panels*panelWidth, w.Out-j), w.In/w.Group, w.words())
	})
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
