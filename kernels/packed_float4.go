package kernels

import "fmt"

// PackedFloat4 is a weight of 4-bit floats (E2M1) with one scale per group of consecutive inputs of
// an output channel, multiplied with activations in bfloat16: as a PackedInt4 is, with the sixteen
// values of E2M1 in the place of the integers.
type PackedFloat4 struct{ codes *PackedInt4 }

// PackFloat4 packs codes q, [out, in], of E2M1, with scale [out, in/group]. group divides in and is
// at most 2¹⁷.
func PackFloat4(q []byte, scale []float32, out, in, group int) *PackedFloat4 {
	if len(q) < out*in {
		panic(fmt.Sprintf("kernels: PackFloat4 of %d weights as [%d, %d]", len(q), out, in))
	}
	moved := make([]int8, out*in) // packing adds 8
	for i, code := range q[:out*in] {
		if code > 15 {
			panic(fmt.Sprintf("kernels: PackFloat4 weight [%d, %d] is code %d, not in 0..15", i/in, i%in, code))
		}
		moved[i] = int8(code) - 8
	}
	p := PackInt4(moved, scale, out, in, group)
	p.values = float4Values
	return &PackedFloat4{p}
}

// Shape returns the number of outputs and inputs, and of the inputs that share a scale.
func (p *PackedFloat4) Shape() (out, in, group int) { return p.codes.Out, p.codes.In, p.codes.Group }

// Codes writes the codes of output o, [in], to dst and its scales, [in/group], to scale; moved is
// memory for [in].
func (p *PackedFloat4) Codes(dst []byte, scale []float32, moved []int8, o int) {
	p.codes.Codes(moved, scale, o)
	for i, v := range moved[:p.codes.In] {
		dst[i] = byte(v + 8)
	}
}

// Row writes output o's weights, scale·code, to dst [in].
func (p *PackedFloat4) Row(dst []float32, o int) { p.codes.Row(dst, o) }

// MulT computes y = x·ŵᵀ with x rounded to bfloat16, to nearest even. A group's products are summed
// in float32, its scale multiplies the sum, and the groups are added in ascending order. Each row's
// result is the same bits whatever the other rows and their number. y is [rows, out], x is [rows,
// in].
func (p *PackedFloat4) MulT(y, x []float32, rows int) { p.codes.MulT(y, x, rows) }

// Begin begins MulT.
func (p *PackedFloat4) Begin(y, x []float32, rows int) Pending { return p.codes.Begin(y, x, rows) }
