package kernels

import "math"

// PackedFloat32 is a float32 weight [out, in] laid out once in panels for repeated products.
type PackedFloat32 struct {
	Out, In int
	data    []float32
}

// PackFloat32 packs w, [out, in] row-major. The result does not refer to w.
func PackFloat32(w []float32, out, in int) *PackedFloat32 {
	checkLen("PackFloat32 w", w, out*in)
	return &PackedFloat32{out, in, append([]float32(nil), w[:out*in]...)}
}

// MulT computes y = x·wᵀ; y is [rows, out], x is [rows, in]. Each row's result is the same bits whatever
// the other rows and their number.
func (p *PackedFloat32) MulT(y, x []float32, rows int) {
	MatMulT(y, x, p.data, rows, p.Out, p.In, false)
}

// PackedInt8 is a symmetric 8-bit weight with one scale per output channel, multiplied with
// activations that are quantized per token to 8 bits; products accumulate in int32.
type PackedInt8 struct {
	Out, In int
	q       []int8
	scale   []float32
}

// PackInt8 packs q, [out, in] in -127..127, with scale [out].
func PackInt8(q []int8, scale []float32, out, in int) *PackedInt8 {
	return &PackedInt8{out, in, append([]int8(nil), q...), append([]float32(nil), scale...)}
}

// MulT quantizes each row of x to int8 with the scale max|x|/127 (round to nearest, ties to even; a row of zeros
// has scale 0 and gives zeros), multiplies in int32 and computes y = s_row·s_out·Σq_x·q_w.
func (p *PackedInt8) MulT(y, x []float32, rows int) {
	q := make([]int8, p.In)
	for r := range rows {
		s := QuantizeRowInt8(q, x[r*p.In:(r+1)*p.In])
		for o := range p.Out {
			var sum int32
			for i, w := range p.q[o*p.In : (o+1)*p.In] {
				sum += int32(q[i]) * int32(w)
			}
			y[r*p.Out+o] = float32(sum) * (s * p.scale[o])
		}
	}
}

// QuantizeRowInt8 quantizes one row symmetrically to int8 and returns its scale (compression.md: SmoothQuant's
// per-token dynamic scale, s = max|x|/127).
func QuantizeRowInt8(q []int8, x []float32) float32 {
	var m float32
	for _, v := range x {
		m = max(m, v, -v)
	}
	if m == 0 {
		clear(q[:len(x)])
		return 0
	}
	s := m / 127
	for i, v := range x {
		q[i] = int8(max(-127, min(127, math.RoundToEven(float64(v/s)))))
	}
	return s
}

// PackedInt4 is a 4-bit weight with one scale per group of consecutive inputs of an output channel,
// dequantized in registers and multiplied with float32 activations.
type PackedInt4 struct {
	Out, In, Group int
	q              []int8
	scale          []float32
}

// PackInt4 packs q, [out, in] in -8..7, with scale [out, in/group]. group divides in.
func PackInt4(q []int8, scale []float32, out, in, group int) *PackedInt4 {
	return &PackedInt4{out, in, group, append([]int8(nil), q...), append([]float32(nil), scale...)}
}

// MulT computes y = x·ŵᵀ with ŵ = scale·q; y is [rows, out], x is [rows, in].
func (p *PackedInt4) MulT(y, x []float32, rows int) {
	groups := p.In / p.Group
	for r := range rows {
		xr := x[r*p.In : (r+1)*p.In]
		for o := range p.Out {
			var sum float32
			for i, v := range xr {
				sum += v * (float32(p.q[o*p.In+i]) * p.scale[o*groups+i/p.Group])
			}
			y[r*p.Out+o] = sum
		}
	}
}
