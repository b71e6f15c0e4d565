package kernels

import (
	"fmt"
	"math"

	"slimlab/internal/half"
)

// PackedBFloat16 is a bfloat16 weight [out, in] packed once in panels, multiplied with
// activations that are rounded to bfloat16; products accumulate in float32.
type PackedBFloat16 struct {
	Out, In int
	panels  panels // two inputs a word
}

// PackBFloat16 packs w, [out, in] row-major, the bits of bfloat16 numbers. The result does not
// refer to w.
func PackBFloat16(w []uint16, out, in int) *PackedBFloat16 {
	if len(w) < out*in {
		panic(fmt.Sprintf("kernels: PackBFloat16 of %d weights as [%d, %d]", len(w), out, in))
	}
	p := &PackedBFloat16{out, in, newPanels(&active.Load().products, BFloat16, out, in, 2)}
	p.panels.each(func(j, word, depth int) {
		panel := halves(p.panels.at(j, word, depth))
		lo, hi := p.panels.bounds(j)
		for o := lo; o < hi; o++ {
			row := w[o*in : (o+1)*in]
			for i, v := range row[2*word : min(2*(word+depth), in)] {
				panel[i/2*(2*p.panels.width)+2*(o-lo)+i%2] = v
			}
		}
	})
	return p
}

// Bytes returns the bytes of the format: 2 a weight.
func (p *PackedBFloat16) Bytes() int64 { return 2 * int64(p.Out) * int64(p.In) }

// MulT computes y = x·wᵀ with x rounded to bfloat16 as RoundBFloat16 does; y is [rows, out], x is
// [rows, in]. Each row's result is the same bits whatever the other rows and their number. Where
// the CPU multiplies bfloat16 it counts subnormal numbers as zeros.
func (p *PackedBFloat16) MulT(y, x []float32, rows int) { Run(p.Begin(y, x, rows)) }

// Begin begins MulT.
func (p *PackedBFloat16) Begin(y, x []float32, rows int) Pending {
	checkLen("PackedBFloat16.MulT y", y, rows*p.Out)
	checkLen("PackedBFloat16.MulT x", x, rows*p.In)
	return p.panels.begin(y, x, rows, BFloat16)
}

// Row writes the weights of output o, [in], to dst as float32.
func (p *PackedBFloat16) Row(dst []float32, o int) {
	checkRow("PackedBFloat16.Row", dst, o, p.Out, p.In)
	p.panels.column(o, func(word int, v float32) {
		bits := math.Float32bits(v)
		dst[2*word] = math.Float32frombits(bits << 16)
		if 2*word+1 < p.In {
			dst[2*word+1] = math.Float32frombits(bits &^ 0xffff)
		}
	})
}

// RoundBFloat16 writes the bits of src rounded to bfloat16, to nearest even, to dst. A NaN stays a
// NaN and becomes a quiet one.
func RoundBFloat16(dst []uint16, src []float32) {
	if len(dst) < len(src) {
		panic(fmt.Sprintf("kernels: RoundBFloat16 of %d numbers into %d", len(src), len(dst)))
	}
	active.Load().products.roundBFloat16(dst, src)
}

func toBFloat16(x float32) uint16   { return half.ToBFloat16(x) }
func fromBFloat16(b uint16) float32 { return half.FromBFloat16(b) }

func checkRow(what string, dst []float32, o, out, in int) {
	checkLen(what, dst, in)
	if o < 0 || o >= out {
		panic(fmt.Sprintf("kernels: %s of output %d of %d", what, o, out))
	}
}
