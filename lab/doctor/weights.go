package doctor

import (
	"math"

	"slimlab/kernels"
	"slimlab/kernels/parallel"
	"slimlab/model/weight"
)

// format is a number format that weights are multiplied in.
type format struct {
	name       string // as --dtype has it
	arithmetic string // the Loop that limits its products
	random     func(g *generator, out, in int) multiplier
	head       string // the format of head and embedding in a whole model; "" is the same
}

// multiplier is a weight [out, in] packed for products.
type multiplier interface {
	MulT(y, x []float32, rows int)
	Begin(y, x []float32, rows int) kernels.Pending
	Row(dst []float32, o int)
	Bytes() int64
}

var formats = []format{
	{name: "float32", arithmetic: "float32", random: func(g *generator, out, in int) multiplier {
		return kernels.PackFloat32(g.float32s(out*in, deviation(in)), out, in)
	}},
	{name: "bfloat16", arithmetic: "bfloat16", random: func(g *generator, out, in int) multiplier {
		return kernels.PackBFloat16(g.bfloat16s(out*in, deviation(in)), out, in)
	}},
	{name: "w8a8", arithmetic: "int8", random: func(g *generator, out, in int) multiplier {
		return kernels.PackInt8(g.int8s(out*in), g.scales(out, deviation(in)/(127/math.Sqrt(3))), out, in)
	}},
	// 4 bits take too much from a head: as in files of other engines it has 8.
	{name: "w4a8", arithmetic: "int8", head: "w8a8", random: func(g *generator, out, in int) multiplier { return int4Int8{randomInt4(g, out, in)} }},
	{name: "w4a16", arithmetic: "bfloat16", random: func(g *generator, out, in int) multiplier { return randomInt4(g, out, in) }},
}

func randomInt4(g *generator, out, in int) *kernels.PackedInt4 {
	group := groupOf(in)
	return kernels.PackInt4(g.int4s(out*in), g.scales(out*in/group, deviation(in)/(8/math.Sqrt(3))), out, in, group)
}

// groupOf is the number of inputs that share a scale in 4 bits: 128, or as many as divide them.
func groupOf(in int) int {
	group := 128
	for in%group != 0 {
		group /= 2
	}
	return group
}

// int4Int8 multiplies 4-bit weights with activations in 8 bits.
type int4Int8 struct{ *kernels.PackedInt4 }

func (w int4Int8) MulT(y, x []float32, rows int)                  { w.MulTInt8(y, x, rows) }
func (w int4Int8) Begin(y, x []float32, rows int) kernels.Pending { return w.BeginInt8(y, x, rows) }

// deviation is the standard deviation of a linear layer's weights that passes unit variance on.
func deviation(in int) float64 { return 1 / math.Sqrt(float64(in)) }

// randomWeight is a multiplier in a model. Its float32 form and a selection of outputs are not
// asked for here, and panic.
type randomWeight struct {
	weight.Weight
	multiplier
	out, in int
	format  string
}

func (w *randomWeight) Shape() (out, in int)          { return w.out, w.in }
func (w *randomWeight) MulT(y, x []float32, rows int) { w.multiplier.MulT(y, x, rows) }
func (w *randomWeight) Begin(y, x []float32, rows int) kernels.Pending {
	return w.multiplier.Begin(y, x, rows)
}
func (w *randomWeight) Row(dst []float32, o int) { w.multiplier.Row(dst, o) }
func (w *randomWeight) Bytes() int64             { return w.multiplier.Bytes() }
func (w *randomWeight) Format() string           { return w.format }

// generator draws weights with the cheapest generator that will do (SplitMix64: Steele, Lea and
// Flood, 2014), on all threads, into memory that the next draw takes again. The same calls draw the
// same numbers.
type generator struct {
	draws  uint64
	floats []float32
	halves []uint16
	bytes  []int8
	scale  []float32
}

// drawn is the number of elements that have a seed of their own; it is a multiple of eight.
const drawn = 1 << 14

// draw fills buf's first n elements, per of them from 64 random bits, and returns them.
func draw[T any](g *generator, buf *[]T, n, per int, set func(dst []T, bits uint64)) []T {
	padded := (n + 7) / 8 * 8
	if cap(*buf) < padded {
		*buf = make([]T, padded)
	}
	x := (*buf)[:padded]
	g.draws++
	first := g.draws << 40
	parallel.Range(padded, drawn, func(lo, hi int) {
		state := first + uint64(lo)
		for i := lo; i < hi; i += per {
			state += 0x9e3779b97f4a7c15
			z := state
			z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
			z = (z ^ z>>27) * 0x94d049bb133111eb
			set(x[i:i+per], z^z>>31)
		}
	})
	return x[:n]
}

// float32s are uniform, of the given deviation.
func (g *generator) float32s(n int, deviation float64) []float32 {
	step := float32(deviation * math.Sqrt(3) / (1 << 31))
	return draw(g, &g.floats, n, 2, func(dst []float32, bits uint64) {
		dst[0], dst[1] = float32(int32(bits))*step, float32(int32(bits>>32))*step
	})
}

// bfloat16s are bits.
func (g *generator) bfloat16s(n int, deviation float64) []uint16 {
	step := float32(deviation * math.Sqrt(3) / (1 << 15))
	return draw(g, &g.halves, n, 4, func(dst []uint16, bits uint64) {
		for i := range dst {
			dst[i] = uint16(math.Float32bits(float32(int16(bits>>(16*i)))*step) >> 16)
		}
	})
}

// int8s are codes -127…127.
func (g *generator) int8s(n int) []int8 {
	return draw(g, &g.bytes, n, 8, func(dst []int8, bits uint64) {
		for i := range dst {
			dst[i] = max(int8(bits>>(8*i)), -127)
		}
	})
}

// int4s are codes -8…7.
func (g *generator) int4s(n int) []int8 {
	return draw(g, &g.bytes, n, 8, func(dst []int8, bits uint64) {
		for i := range dst {
			dst[i] = int8(bits>>(8*i)) >> 4
		}
	})
}

// scales are n times a value.
func (g *generator) scales(n int, value float64) []float32 {
	return draw(g, &g.scale, n, 1, func(dst []float32, _ uint64) { dst[0] = float32(value) })
}
