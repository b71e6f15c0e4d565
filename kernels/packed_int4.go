package kernels

import (
	"fmt"
	"math"

	"slimlab/kernels/memory"
	"slimlab/kernels/parallel"
)

// PackedInt4 is a 4-bit weight with one scale per group of consecutive inputs of an output channel.
// It multiplies activations in bfloat16 (MulT) or in 8 bits (MulTInt8).
type PackedInt4 struct {
	Out, In, Group int
	packed         *productKernels
	width          int // outputs of a panel
	values         *codeValues
	// q holds panels, each one group after another: for each eight inputs of the
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
	g := &active.Load().products
	p := &PackedInt4{Out: out, In: in, Group: group, packed: g, width: g.width, values: int4Values}
	p.q = memory.Aligned[uint32](panelsOf(out, p.width) * p.panel())
	parallel.Range(out, p.width, func(first, last int) {
		for o := first; o < last; o++ {
			p.pack(q[o*in:(o+1)*in], scale[o*(in/group):], o)
		}
	})
	return p
}

// pack packs the codes of output o and its scales.
func (p *PackedInt4) pack(q []int8, scale []float32, o int) {
	column, words := p.q[o/p.width*p.panel()+o%p.width:], p.words()
	for g := range p.In / p.Group {
		lines := column[g*(words+1)*p.width:]
		codes := q[g*p.Group : (g+1)*p.Group]
		for w := range words {
			word := uint32(0x88888888)
			for j, v := range codes[8*w : min(8*w+8, p.Group)] {
				if v < -8 || v > 7 {
					panic(fmt.Sprintf("kernels: PackInt4 weight [%d, %d] is %d, not in -8..7", o, g*p.Group+8*w+j, v))
				}
				word ^= uint32(v&15) << int4Shift(j)
			}
			lines[w*p.width] = word
		}
		lines[words*p.width] = math.Float32bits(scale[g])
	}
}

// int4Shift returns the position of the four bits of a group's input j in their word.
func int4Shift(j int) int { return j%4*8 + j%8/4*4 }

// words returns the number of words of a group of one output, panel that of a panel's words and
// scales.
func (p *PackedInt4) words() int { return (p.Group + 7) / 8 }
func (p *PackedInt4) panel() int { return p.In / p.Group * (p.words() + 1) * p.width }

// Bytes returns the bytes of the format: half a byte a weight and 4 a group's scale.
func (p *PackedInt4) Bytes() int64 {
	return int64(p.Out) * (int64(p.In+1)/2 + 4*int64(p.In/p.Group))
}

// Codes writes the codes of output o, [in], to dst and its scales, [in/group], to scale.
func (p *PackedInt4) Codes(dst []int8, scale []float32, o int) {
	if len(dst) < p.In || len(scale) < p.In/p.Group || o < 0 || o >= p.Out {
		panic(fmt.Sprintf("kernels: PackedInt4.Codes of output %d of %d, [%d] in groups of %d, into %d codes and %d scales", o, p.Out, p.In, p.Group, len(dst), len(scale)))
	}
	column := p.q[o/panelWidth*p.panel()+o%panelWidth:]
	for g := range p.In / p.Group {
		lines := column[g*(p.words()+1)*panelWidth:]
		scale[g] = math.Float32frombits(lines[p.words()*panelWidth])
		row := dst[g*p.Group : (g+1)*p.Group]
		for j := range row {
			row[j] = int8(lines[j/8*panelWidth]>>int4Shift(j)&15) - 8
		}
	}
}

// Row writes output o's weights, scale·q, to dst [in].
func (p *PackedInt4) Row(dst []float32, o int) {
	checkLen("PackedInt4.Row dst", dst, p.In)
	if o < 0 || o >= p.Out {
		panic(fmt.Sprintf("kernels: PackedInt4.Row %d of %d", o, p.Out))
	}
	column := p.q[o/p.width*p.panel()+o%p.width:]
	for g := range p.In / p.Group {
		lines := column[g*(p.words()+1)*p.width:]
		scale := math.Float32frombits(lines[p.words()*p.width])
		row := dst[g*p.Group : (g+1)*p.Group]
		for j := range row {
			row[j] = scale * p.values.value(lines[j/8*p.width]>>int4Shift(j)&15)
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
	if p.check("MulT", y, x, rows); isEmpty(y, rows, p.Out, p.In) {
		return empty{}
	}
	c := freeInt4.Get()
	c.begin(p, y, x, rows)
	return c
}

// MulTInt8 computes y = x·ŵᵀ with ŵ = scale·q and each row of x quantized to int8 (see
// QuantizeRowInt8): a group's products are summed in int32, its scale multiplies the sum, the
// groups are added in float32 in ascending order, and the row's scale multiplies the total. Every
// implementation gives the same bits. y is [rows, out], x is [rows, in].
func (p *PackedInt4) MulTInt8(y, x []float32, rows int) { Run(p.BeginInt8(y, x, rows)) }

// BeginInt8 begins MulTInt8.
func (p *PackedInt4) BeginInt8(y, x []float32, rows int) Pending {
	if p.check("MulTInt8", y, x, rows); isEmpty(y, rows, p.Out, p.In) {
		return empty{}
	}
	c := freeInt4Int8.Get()
	c.begin(p, y, x, rows)
	return c
}

func (p *PackedInt4) check(name string, y, x []float32, rows int) {
	if len(y) < rows*p.Out || len(x) < rows*p.In {
		panic(fmt.Sprintf("kernels: PackedInt4.%s of %d rows has y of %d and x of %d elements, want %d and %d", name, rows, len(y), len(x), rows*p.Out, rows*p.In))
	}
}

// reader returns the kernels in use if they read the panels, else those that packed them.
func (p *PackedInt4) reader() *productKernels {
	if g := &active.Load().products; g.width == p.width {
		return g
	}
	return p.packed
}
