package kernels

import (
	"fmt"
	"math"

	"slimlab/kernels/memory"
)

// PackedFloat8 is an FP8 weight (E4M3 or E5M2) with one scale per output channel, multiplied with
// activations that are rounded to the same format.
//
// Every value of FP8 is a bfloat16 number, and none that is subnormal there, and a product of two
// is exact in float32: so codes are widened to panels of bfloat16 once, and multiplied by its
// kernels without any rounding but that of the float32 sums. In memory a weight takes two bytes.
type PackedFloat8 struct {
	format SmallFloat
	codes  *PackedBFloat16
	scale  []float32
	input  float32 // scale of all activations; 0 gives each row its own
}

// PackFloat8 packs codes q, [out, in], of E4M3 or E5M2, with scale [out], which it keeps. input is
// the scale of all activations, or 0 for each row's own, max|x| divided by the largest number of
// the format. All codes are numbers.
func PackFloat8(format SmallFloat, q []byte, scale []float32, input float32, out, in int) *PackedFloat8 {
	if len(q) < out*in || len(scale) < out {
		panic(fmt.Sprintf("kernels: PackFloat8 of %d weights and %d scales as [%d, %d]", len(q), len(scale), out, in))
	}
	format.checkNumbers("PackFloat8", q[:out*in], in)
	bits := make([]uint16, out*in)
	for i := range bits {
		bits[i] = toBFloat16(format.Decode(q[i]))
	}
	return &PackedFloat8{format, PackBFloat16(bits, out, in), scale[:out:out], input}
}

// Format returns the format of codes and activations.
func (p *PackedFloat8) Format() SmallFloat { return p.format }

// Shape returns the number of outputs and inputs.
func (p *PackedFloat8) Shape() (out, in int) { return p.codes.Out, p.codes.In }

// Scale returns the scales, [out], and that of all activations, 0 where each row has its own. The
// caller must not write to them.
func (p *PackedFloat8) Scale() (scale []float32, input float32) { return p.scale, p.input }

// Codes writes the codes of output o, [in], to dst; row is memory for [in].
func (p *PackedFloat8) Codes(dst []byte, row []float32, o int) {
	p.codes.Row(row, o)
	for i := range dst[:p.codes.In] {
		dst[i] = smallCodes[p.format][math.Float32bits(row[i])>>20]
	}
}

// Bytes returns the bytes of the format: 1 a weight and 4 an output's scale.
func (p *PackedFloat8) Bytes() int64 {
	return int64(p.codes.Out)*int64(p.codes.In) + 4*int64(p.codes.Out)
}

// Row writes output o's weights, scale·code, to dst [in].
func (p *PackedFloat8) Row(dst []float32, o int) {
	p.codes.Row(dst, o)
	for i := range dst[:p.codes.In] {
		dst[i] *= p.scale[o]
	}
}

// MulT rounds x/s of each row to FP8, s the row's scale, multiplies, sums in float32 and computes y
// = (s·s_out)·Σq_x·q_w. Each row's result is the same bits whatever the other rows and their
// number. y is [rows, out], x is [rows, in].
func (p *PackedFloat8) MulT(y, x []float32, rows int) { Run(p.Begin(y, x, rows)) }

// Begin begins MulT.
func (p *PackedFloat8) Begin(y, x []float32, rows int) Pending {
	out, in := p.Shape()
	checkLen("PackedFloat8.MulT y", y, rows*out)
	checkLen("PackedFloat8.MulT x", x, rows*in)
	c := freeFloat8.Get()
	c.w, c.y, c.x, c.rows = p, y, x, rows
	c.rounded, c.rowScale = memory.Grown(c.rounded, rows*in), memory.Grown(c.rowScale, rows)
	eachRows(rows, rows*in, c.round)
	c.Pending = p.codes.Begin(y, c.rounded, rows)
	return c
}

// float8Call is a running product with a PackedFloat8: that of the values without scales, which are
// applied in the end.
type float8Call struct {
	Pending
	w        *PackedFloat8
	y, x     []float32
	rows     int
	rounded  []float32 // x, as values of FP8
	rowScale []float32

	// Bound once: each method value allocates.
	round, scale func(lo, hi int)
}

var freeFloat8 = memory.NewFreeList(64, func() *float8Call {
	c := new(float8Call)
	c.round, c.scale = c.roundRows, c.scaleRows
	return c
})

func (c *float8Call) roundRows(lo, hi int) {
	_, in := c.w.Shape()
	for r := lo; r < hi; r++ {
		x, rounded := c.x[r*in:(r+1)*in], c.rounded[r*in:(r+1)*in]
		s := c.w.input
		if s == 0 {
			s = c.w.format.scaleOfRow(x)
		}
		if c.rowScale[r] = s; s == 0 {
			clear(rounded)
			continue
		}
		c.w.format.roundRow(rounded, x, s)
	}
}

func (c *float8Call) scaleRows(lo, hi int) {
	out, _ := c.w.Shape()
	for r := lo; r < hi; r++ {
		s, row := c.rowScale[r], c.y[r*out:(r+1)*out]
		for o, v := range c.w.scale {
			row[o] *= s * v
		}
	}
}

func (c *float8Call) end() {
	c.Pending.end()
	out, _ := c.w.Shape()
	eachRows(c.rows, c.rows*out, c.scale)
	c.Pending, c.w, c.y, c.x = nil, nil, nil, nil
	freeFloat8.Put(c)
}
