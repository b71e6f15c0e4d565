package kernels

import (
	"fmt"
	"math"

	"slimlab/kernels/memory"
	"slimlab/kernels/parallel"
)

// PackedInt8 is a symmetric 8-bit weight with one scale per output channel, multiplied with
// activations that are quantized per token to 8 bits; products accumulate in int32.
type PackedInt8 struct {
	Out, In int
	packed  *productKernels
	width   int // outputs of a panel
	// q holds panels: for each four inputs, four consecutive bytes of each output; zero behind the
	// last input and output.
	q []int8
	// -128·Σ of an output's weights, for activations that are stored with 128 added
	correction []int32
	scale      []float32
}

// PackInt8 packs q, [out, in], with scale [out]. in is at most 2¹⁷, so that a sum of products fits
// 32 bits.
func PackInt8(q []int8, scale []float32, out, in int) *PackedInt8 {
	if len(q) < out*in || len(scale) < out || in > 1<<17 {
		panic(fmt.Sprintf("kernels: PackInt8 of %d weights and %d scales as [%d, %d]", len(q), len(scale), out, in))
	}
	g := &active.Load().products
	outs := panelsOf(out, g.width) * g.width
	p := &PackedInt8{out, in, g, g.width, memory.Aligned[int8](outs * fours(in) * 4), make([]int32, outs), memory.Aligned[float32](outs)}
	copy(p.scale, scale[:out])
	for o := range out {
		panel := p.q[o/p.width*p.panel():]
		for i, v := range q[o*in : (o+1)*in] {
			panel[i/4*(4*p.width)+o%p.width*4+i%4] = v
			p.correction[o] -= 128 * int32(v)
		}
	}
	return p
}

// fours returns the number of groups of four that hold n inputs.
func fours(n int) int { return (n + 3) / 4 }

// panel returns the bytes of one panel.
func (p *PackedInt8) panel() int { return fours(p.In) * 4 * p.width }

// Bytes returns the bytes of the format: 1 a weight and 4 an output's scale.
func (p *PackedInt8) Bytes() int64 { return int64(p.Out)*int64(p.In) + 4*int64(p.Out) }

// Codes writes the codes of output o, [in], to dst.
func (p *PackedInt8) Codes(dst []int8, o int) {
	if len(dst) < p.In || o < 0 || o >= p.Out {
		panic(fmt.Sprintf("kernels: PackedInt8.Codes of output %d of %d, [%d], into %d", o, p.Out, p.In, len(dst)))
	}
	panel := p.q[o/panelWidth*p.panel():]
	for i := range dst[:p.In] {
		dst[i] = panel[i/4*(4*panelWidth)+o%panelWidth*4+i%4]
	}
}

// Row writes output o's weights, scale·q, to dst [in].
func (p *PackedInt8) Row(dst []float32, o int) {
	checkLen("PackedInt8.Row dst", dst, p.In)
	if o < 0 || o >= p.Out {
		panic(fmt.Sprintf("kernels: PackedInt8.Row %d of %d", o, p.Out))
	}
	panel := p.q[o/p.width*p.panel():]
	for i := range dst[:p.In] {
		dst[i] = p.scale[o] * float32(panel[i/4*(4*p.width)+o%p.width*4+i%4])
	}
}

// MulT quantizes each row of x to int8 with the scale max|x|/127 (see QuantizeRowInt8), multiplies
// in int32 and computes y = s_row·s_out·Σq_x·q_w. Every implementation gives the same bits. y is
// [rows, out], x is [rows, in].
func (p *PackedInt8) MulT(y, x []float32, rows int) { Run(p.Begin(y, x, rows)) }

// Begin begins MulT.
func (p *PackedInt8) Begin(y, x []float32, rows int) Pending {
	checkLen("PackedInt8.MulT y", y, rows*p.Out)
	checkLen("PackedInt8.MulT x", x, rows*p.In)
	if isEmpty(y, rows, p.Out, p.In) {
		return empty{}
	}
	c := freeInt8.Get()
	c.begin(p, y, x, rows)
	if c.work() < serialWork {
		c.quantize(0, c.grid.tiles)
	} else {
		parallel.Range(c.grid.tiles, max(1, 16/c.x.rows), c.quantize)
	}
	return c
}

// int8Call is a running product with a PackedInt8.
type int8Call struct {
	kernels  *int8Kernels
	w        *PackedInt8
	y, src   []float32
	x        left[byte] // src quantized
	rowScale []float32
	grid

	quantize func(lo, hi int) // bound once: each method value allocates
}

var freeInt8 = memory.NewFreeList(64, func() *int8Call {
	c := new(int8Call)
	c.quantize = c.quantizeTiles
	return c
})

func (c *int8Call) begin(w *PackedInt8, y, x []float32, rows int) {
	g := &active.Load().products
	if g.width != w.width {
		g = w.packed
	}
	c.kernels, c.w, c.y, c.src = &g.int8, w, y, x
	c.x.shape(c.kernels.left, rows, fours(w.In)*4*c.kernels.bytes)
	c.rowScale = memory.Grown(c.rowScale, rows)
	// The instruction does four products where a float32 one does one; a byte from memory costs the
	// time of two of those.
	work := rows*w.Out*w.In/4 + 2*w.Out*w.In
	c.grid = newGrid(c.x.tiles(rows), c.x.rows, panelsOf(w.Out, w.width), c.kernels.panels, work)
}

func (c *int8Call) end() {
	c.w, c.y, c.src = nil, nil, nil
	freeInt8.Put(c)
}

func (c *int8Call) quantizeTiles(lo, hi int) {
	in := c.w.In
	for t := lo; t < hi; t++ {
		first, last := c.x.bounds(t, c.x.n)
		c.kernels.pack(c.x.tile(t), c.rowScale[first:last], c.src[first*in:last*in], last-first, in)
	}
}

func (c *int8Call) run(task int) {
	w, panel, height := c.w, c.w.panel(), c.kernels.height
	if c.x.n <= c.kernels.few {
		height = c.kernels.few
	}
	row, _ := c.x.strides()
	c.grid.strips(task, height/c.x.rows, panel, func(tile, tiles, panel0, panels int) {
		lo, hi := c.x.span(tile, tile+tiles)
		j := panel0 * w.width
		c.kernels.multiply(c.y[lo*w.Out+j:], w.Out, c.x.from(tile, 0), row, w.q[panel0*panel:], panel,
			w.correction[j:], w.scale[j:], c.rowScale[lo:], hi-lo, min(panels*w.width, w.Out-j), fours(w.In))
	})
}

// QuantizeRowInt8 quantizes one row symmetrically to int8, q = x/s to the nearest, ties to even,
// and returns its scale s = max|x|/127 (SmoothQuant's per-token dynamic scale). A row of zeros, or
// of values so small that s underflows, gives zeros and scale 0; a row with a NaN or an infinity
// gives zeros and scale NaN, so that products show it.
func QuantizeRowInt8(q []int8, x []float32) float32 {
	var m uint32
	for _, v := range x {
		m = max(m, math.Float32bits(v)&^(1<<31))
	}
	s, ok := scaleInt8(m)
	if !ok {
		clear(q[:len(x)])
		return s
	}
	for i, v := range x {
		q[i] = roundInt8(v / s)
	}
	return s
}

type roundRowsCall struct {
	y, x []float32
	dim  int
}

var roundRowsCalls = newCalls(func(a *roundRowsCall, lo, hi int) {
	for r := lo; r < hi; r++ {
		x, y := a.x[r*a.dim:(r+1)*a.dim], a.y[r*a.dim:(r+1)*a.dim]
		var m uint32
		for _, v := range x {
			m = max(m, math.Float32bits(v)&^(1<<31))
		}
		s, ok := scaleInt8(m)
		for i, v := range x {
			if ok {
				y[i] = float32(roundInt8(v/s)) * s
			} else {
				y[i] = s // 0 or NaN
			}
		}
	}
})

// RoundRowsInt8 writes to y [rows, dim] the values that QuantizeRowInt8 gives the rows of x. It
// runs on all threads.
func RoundRowsInt8(y, x []float32, rows, dim int) {
	checkLen("RoundRowsInt8 y", y, rows*dim)
	checkLen("RoundRowsInt8 x", x, rows*dim)
	roundRowsCalls.run(rows, lossRows, roundRowsCall{y, x, dim})
}

func roundInt8(v float32) int8 { return int8(max(-127, min(127, math.RoundToEven(float64(v))))) }

// scaleInt8 returns the scale of a row whose greatest magnitude has these bits, and whether there
// is anything to quantize.
func scaleInt8(greatest uint32) (scale float32, ok bool) {
	m := math.Float32frombits(greatest)
	if greatest >= math.Float32bits(float32(math.Inf(1))) {
		return float32(math.NaN()), false
	}
	return m / 127, m/127 > 0
}
