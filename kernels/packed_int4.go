package kernels

import "fmt"

// PackedInt4 is a 4-bit weight with one scale per group of consecutive inputs of an output channel,
// dequantized in registers and multiplied with float32 activations.
type PackedInt4 struct {
	Out, In, Group int
	// q holds panels of 16 outputs: for each group, for each eight inputs of it, one word of each output: two weights a
	// byte in two's complement, the first input in the word's highest four bits. A group whose length is no
	// multiple of eight ends in a word with unused bits.
	q []uint32
	// scale holds for each panel and group the scales of its 16 outputs.
	scale []float32
}

// PackInt4 packs q, [out, in] in -8..7, with scale [out, in/group]. group divides in.
func PackInt4(q []int8, scale []float32, out, in, group int) *PackedInt4 {
	if group < 1 || in%group != 0 || len(q) < out*in || len(scale) < out*(in/group) {
		panic(fmt.Sprintf("kernels: PackInt4 of %d weights and %d scales as [%d, %d] in groups of %d", len(q), len(scale), out, in, group))
	}
	p := &PackedInt4{Out: out, In: in, Group: group}
	groups, panels := in/group, panelsOf(out)
	p.q = aligned[uint32](panels * p.panel())
	p.scale = aligned[float32](panels * panelWidth * groups)
	for o := range out {
		words := p.q[o/panelWidth*p.panel()+o%panelWidth:]
		for i, v := range q[o*in : (o+1)*in] {
			if v < -8 || v > 7 {
				panic(fmt.Sprintf("kernels: PackInt4 weight [%d, %d] is %d, not in -8..7", o, i, v))
			}
			g, j := i/group, i%group
			words[(g*p.words()+j/8)*panelWidth] |= uint32(v&15) << (28 - 4*(j%8))
		}
		for g := range groups {
			p.scale[(o/panelWidth*groups+g)*panelWidth+o%panelWidth] = scale[o*groups+g]
		}
	}
	return p
}

// words returns the number of words of a group of one output, panel those of a panel.
func (p *PackedInt4) words() int { return (p.Group + 7) / 8 }
func (p *PackedInt4) panel() int { return p.In / p.Group * p.words() * panelWidth }

// Bytes returns the bytes of the format: half a byte a weight and 4 a group's scale.
func (p *PackedInt4) Bytes() int64 {
	return int64(p.Out) * (int64(p.In+1)/2 + 4*int64(p.In/p.Group))
}

// MulT computes y = x·ŵᵀ with ŵ = scale·q; y is [rows, out], x is [rows, in]. Each row's result is the same bits whatever
// the other rows and their number.
func (p *PackedInt4) MulT(y, x []float32, rows int) {
	checkLen("PackedInt4.MulT y", y, rows*p.Out)
	checkLen("PackedInt4.MulT x", x, rows*p.In)
	if rows == 0 || p.Out == 0 {
		return
	}
	if p.In == 0 {
		clear(y[:rows*p.Out])
		return
	}
	c := freeInt4.get()
	c.begin(p, y, x, rows)
	work := rows*p.Out*p.In + 4*p.Out*p.In // unpacking a weight takes the time of four multiply-adds
	if c.grid = newGrid(rows, p.Out, work); work < serialWork {
		c.multiply(0)
	} else {
		Parallel(c.grid.tasks(), c.task)
	}
	c.end()
}

// int4Call is a product with a PackedInt4 on its way.
type int4Call struct {
	kernels *gemmKernels
	w       *PackedInt4
	y, x    []float32
	grid    grid
	task    func(task int) // bound once
}

var freeInt4 = newFreeList(64, func() *int4Call {
	c := new(int4Call)
	c.task = c.multiply
	return c
})

func (c *int4Call) begin(w *PackedInt4, y, x []float32, rows int) {
	c.kernels, c.w, c.y, c.x = &active.Load().gemm, w, y, x
}

func (c *int4Call) end() {
	c.w, c.y, c.x = nil, nil, nil
	freeInt4.put(c)
}

func (c *int4Call) multiply(task int) {
	w, panel, groups := c.w, c.w.panel(), c.w.In/c.w.Group
	c.grid.strips(task, c.kernels.int4Height, 4*panel, func(row0, m, panel0, panels int) {
		j := panel0 * panelWidth
		c.kernels.mulInt4(c.y[row0*w.Out+j:], w.Out, c.x[row0*w.In:], w.In, w.q[panel0*panel:], panel,
			w.scale[panel0*groups*panelWidth:], groups*panelWidth, m, min(panels*panelWidth, w.Out-j), groups, w.Group)
	})
}
