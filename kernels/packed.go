package kernels

import "fmt"

// PackedFloat32 is a float32 weight [out, in] laid out once in panels for repeated products.
type PackedFloat32 struct {
	Out, In int
	// data holds, for each block of depthOf(In) inputs, the panels of 16 outputs one after another, for each input of
	// the block 16 consecutive outputs, zero behind the last.
	data []float32
}

// PackFloat32 packs w, [out, in] row-major. The result does not refer to w.
func PackFloat32(w []float32, out, in int) *PackedFloat32 {
	checkLen("PackFloat32 w", w, out*in)
	g := &active.Load().gemm
	p := &PackedFloat32{out, in, alignedFloats(panelsOf(out) * panelWidth * in)}
	if in == 0 {
		return p
	}
	depth := depthOf(in)
	ParallelRange(panelsOf(out), 16, func(lo, hi int) {
		for j := lo; j < hi; j++ {
			for d := 0; d < in; d += depth {
				n := min(depth, in-d)
				at := (d*panelsOf(out) + j*n) * panelWidth
				g.packColumns(p.data[at:at+n*panelWidth], w[j*panelWidth*in+d:], in, min(panelWidth, out-j*panelWidth), n)
			}
		}
	})
	return p
}

// Bytes returns the bytes of the format: 4 a weight.
func (p *PackedFloat32) Bytes() int64 { return 4 * int64(p.Out) * int64(p.In) }

// MulT computes y = x·wᵀ; y is [rows, out], x is [rows, in]. Each row's result is the same bits whatever
// the other rows and their number, and the bits of MatMulT.
func (p *PackedFloat32) MulT(y, x []float32, rows int) {
	checkLen("PackedFloat32.MulT y", y, rows*p.Out)
	checkLen("PackedFloat32.MulT x", x, rows*p.In)
	share(product{m: rows, n: p.Out, k: p.In, c: y, cRow: p.Out, a: x, aRow: p.In, aCol: 1, packed: p.data})
}

// PackedInt8 is a symmetric 8-bit weight with one scale per output channel, multiplied with
// activations that are quantized per token to 8 bits; products accumulate in int32.
type PackedInt8 struct {
	Out, In int
	// q holds panels of 16 outputs: for each four inputs, four consecutive bytes of each output; zero
	// behind the last input and output.
	q          []int8
	correction []int32 // -128·Σ of an output's weights, for activations that are stored with 128 added
	scale      []float32
}

// PackInt8 packs q, [out, in] in -127..127, with scale [out]. in is at most 2¹⁷, so that a sum of products fits 32 bits.
func PackInt8(q []int8, scale []float32, out, in int) *PackedInt8 {
	if len(q) < out*in || len(scale) < out || in > 1<<17 {
		panic(fmt.Sprintf("kernels: PackInt8 of %d weights and %d scales as [%d, %d]", len(q), len(scale), out, in))
	}
	outs := panelsOf(out) * panelWidth
	p := &PackedInt8{out, in, make([]int8, outs*fours(in)*4), make([]int32, outs), alignedFloats(outs)}
	copy(p.scale, scale[:out])
	for o := range out {
		panel := p.q[o/panelWidth*p.panel():]
		for i, v := range q[o*in : (o+1)*in] {
			panel[i/4*(4*panelWidth)+o%panelWidth*4+i%4] = v
			p.correction[o] -= 128 * int32(v)
		}
	}
	return p
}

// fours returns the number of groups of four that hold n inputs.
func fours(n int) int { return (n + 3) / 4 }

// panel returns the bytes of one panel.
func (p *PackedInt8) panel() int { return fours(p.In) * 4 * panelWidth }

// Bytes returns the bytes of the format: 1 a weight and 4 an output's scale.
func (p *PackedInt8) Bytes() int64 { return int64(p.Out)*int64(p.In) + 4*int64(p.Out) }

// MulT quantizes each row of x to int8 with the scale max|x|/127 (see QuantizeRowInt8), multiplies in int32 and computes
// y = s_row·s_out·Σq_x·q_w. Every implementation gives the same bits. y is [rows, out], x is [rows, in].
func (p *PackedInt8) MulT(y, x []float32, rows int) {
	checkLen("PackedInt8.MulT y", y, rows*p.Out)
	checkLen("PackedInt8.MulT x", x, rows*p.In)
	if rows == 0 || p.Out == 0 {
		return
	}
	if p.In == 0 {
		clear(y[:rows*p.Out])
		return
	}
	c := freeInt8.get()
	c.begin(p, y, x, rows)
	// The instruction does four products where a float32 one does one; a byte from memory costs the time of two of those.
	work := rows*p.Out*p.In/4 + 2*p.Out*p.In
	if c.grid = newGrid(rows, p.Out, work); work < serialWork {
		c.quantizeRows(0, rows)
		c.multiply(0)
	} else {
		ParallelRange(rows, 16, c.quantize)
		Parallel(c.grid.tasks(), c.task)
	}
	c.end()
}

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
	p.q = make([]uint32, panels*p.panel())
	p.scale = alignedFloats(panels * panelWidth * groups)
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
