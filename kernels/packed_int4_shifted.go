package kernels

import (
	"fmt"

	"slimlab/kernels/memory"
)

// PackedInt4Shifted is a 4-bit weight whose groups have an offset each, as codes with zero points
// have, and whose groups need not be of consecutive inputs.
//
// The product is that of a PackedInt4 with the inputs in the order of their groups, plus that of
// the offsets with the sum of each group's inputs.
type PackedInt4Shifted struct {
	codes *PackedInt4
	shift *PackedFloat32 // [out, groups]; nil is none
	order []int32        // the input at each place; nil is their own order
}

// Int4Weight is what PackInt4Shifted packs: the weight of place i is Scale·Codes + Shift.
type Int4Weight struct {
	Codes          []int8    // [Out, In] in -8..7
	Scale          []float32 // [Out, In/Group]
	Shift          []float32 // [Out, In/Group]; nil is none
	Order          []int32   // [In], the input at each place; nil is their own order
	Out, In, Group int
}

// PackInt4Shifted packs w. The result keeps w.Order.
func PackInt4Shifted(w Int4Weight) *PackedInt4Shifted {
	if w.Order != nil && len(w.Order) != w.In {
		panic(fmt.Sprintf("kernels: PackInt4Shifted of %d inputs in an order of %d", w.In, len(w.Order)))
	}
	p := &PackedInt4Shifted{codes: PackInt4(w.Codes, w.Scale, w.Out, w.In, w.Group), order: w.Order}
	if w.Shift != nil {
		p.shift = PackFloat32(w.Shift, w.Out, w.In/w.Group)
	}
	return p
}

// Codes writes the codes of output o, [in], to dst in the order of the groups, and
// its scales, [in/group], to scale.
func (p *PackedInt4Shifted) Codes(dst []int8, scale []float32, o int) { p.codes.Codes(dst, scale, o) }

// MulT computes y = x·ŵᵀ with x rounded to bfloat16; sums are float32. Each row's result is the
// same bits whatever the other rows and their number. y is [rows, out], x is [rows, in].
func (p *PackedInt4Shifted) MulT(y, x []float32, rows int) { Run(p.Begin(y, x, rows)) }

// Begin begins MulT.
func (p *PackedInt4Shifted) Begin(y, x []float32, rows int) Pending {
	checkLen("PackedInt4Shifted.MulT y", y, rows*p.codes.Out)
	checkLen("PackedInt4Shifted.MulT x", x, rows*p.codes.In)
	c := freeShifted.Get()
	c.w, c.y, c.x, c.rows = p, y, x, rows
	c.ordered, c.offsets = memory.Grown(c.ordered, rows*p.codes.In), memory.Grown(c.offsets, rows*p.codes.Out)
	c.sums = memory.Grown(c.sums, rows*(p.codes.In/p.codes.Group))
	eachRows(rows, rows*p.codes.In, c.prepare)
	c.Pending = p.codes.Begin(y, c.ordered, rows)
	return c
}

// shiftedCall is a running product with a PackedInt4Shifted: that of the codes; offsets are added
// in the end.
type shiftedCall struct {
	Pending
	w       *PackedInt4Shifted
	y, x    []float32
	rows    int
	ordered []float32 // x rounded to bfloat16, in the order of the weight
	sums    []float32 // of each group of a row
	offsets []float32 // the product of sums and shift

	prepare, add func(lo, hi int) // bound once: each method value allocates
}

var freeShifted = memory.NewFreeList(64, func() *shiftedCall {
	c := new(shiftedCall)
	c.prepare, c.add = c.prepareRows, c.addRows
	return c
})

func (c *shiftedCall) prepareRows(lo, hi int) {
	in, group := c.w.codes.In, c.w.codes.Group
	groups := in / group
	for r := lo; r < hi; r++ {
		x, ordered := c.x[r*in:(r+1)*in], c.ordered[r*in:(r+1)*in]
		for i := range ordered {
			v := x[i]
			if c.w.order != nil {
				v = x[c.w.order[i]]
			}
			ordered[i] = fromBFloat16(toBFloat16(v))
		}
		for g := range groups {
			sum := float32(0)
			for _, v := range ordered[g*group : (g+1)*group] {
				sum += v
			}
			c.sums[r*groups+g] = sum
		}
	}
}

func (c *shiftedCall) addRows(lo, hi int) {
	out := c.w.codes.Out
	offsets := c.offsets[lo*out : hi*out]
	for i, v := range offsets {
		c.y[lo*out+i] += v
	}
}

func (c *shiftedCall) end() {
	c.Pending.end()
	if c.w.shift != nil {
		c.w.shift.MulT(c.offsets, c.sums, c.rows)
		eachRows(c.rows, c.rows*c.w.codes.Out, c.add)
	}
	c.Pending, c.w, c.y, c.x = nil, nil, nil, nil
	freeShifted.Put(c)
}
