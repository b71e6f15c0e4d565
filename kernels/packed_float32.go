package kernels

import "slimlab/kernels/parallel"

// PackedFloat32 is a float32 weight [out, in] packed once in panels for repeated products.
type PackedFloat32 struct {
	Out, In int
	panels  panels
}

// PackFloat32 packs w, [out, in] row-major. The result does not refer to w.
func PackFloat32(w []float32, out, in int) *PackedFloat32 {
	checkLen("PackFloat32 w", w, out*in)
	g := &active.Load().products
	p := &PackedFloat32{out, in, newPanels(g, Float32, out, in, 1)}
	parallel.For(p.panels.count, func(j int) { p.panels.packAlong(&g.float32, j, w, in) })
	return p
}

// Bytes returns the bytes of the format: 4 a weight.
func (p *PackedFloat32) Bytes() int64 { return 4 * int64(p.Out) * int64(p.In) }

// MulT computes y = x·wᵀ; y is [rows, out], x is [rows, in]. Each row's result is the same bits
// whatever the other rows and their number.
func (p *PackedFloat32) MulT(y, x []float32, rows int) { Run(p.Begin(y, x, rows)) }

// Begin begins MulT.
func (p *PackedFloat32) Begin(y, x []float32, rows int) Pending {
	checkLen("PackedFloat32.MulT y", y, rows*p.Out)
	checkLen("PackedFloat32.MulT x", x, rows*p.In)
	return p.panels.begin(y, x, rows, Float32)
}

// Row writes the weights of output o, [in], to dst.
func (p *PackedFloat32) Row(dst []float32, o int) {
	checkRow("PackedFloat32.Row", dst, o, p.Out, p.In)
	p.panels.column(o, func(word int, v float32) { dst[word] = v })
}
