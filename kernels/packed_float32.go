package kernels

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
	p := &PackedFloat32{out, in, aligned[float32](panelsOf(out) * panelWidth * in)}
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
