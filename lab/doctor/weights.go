package doctor

import (
	"math"

	"slimlab/kernels"
	"slimlab/model"
	"slimlab/quant"
)

// format is a number format that weights are multiplied in.
type format struct {
	name       string // as --dtype has it
	arithmetic string // the Loop that limits its products
	random     func(g *generator, out, in int) packed
}

// packed is a weight laid out for products.
type packed interface {
	MulT(y, x []float32, rows int)
	Row(dst []float32, o int)
	Bytes() int64
}

// group is the number of inputs that share a scale in 4 bits.
const group = 32

var formats = []format{
	{"float32", "float32", func(g *generator, out, in int) packed {
		return kernels.PackFloat32(g.float32s(out*in, deviation(in)), out, in)
	}},
	{"bfloat16", "bfloat16", func(g *generator, out, in int) packed {
		return kernels.PackBFloat16(g.bfloat16s(out*in, deviation(in)), out, in)
	}},
	{"w8a8", "int8", func(g *generator, out, in int) packed {
		return must(quant.NewInt8(g.int8s(out*in), g.same(out, deviation(in)/(127/math.Sqrt(3))), out, in))
	}},
	{"w4a16", "float32", func(g *generator, out, in int) packed {
		return must(quant.NewInt4(g.int4s(out*in), g.same(out*in/group, deviation(in)/(8/math.Sqrt(3))), out, in, group))
	}},
}

// deviation is the standard deviation of a linear layer's weights that passes unit variance on.
func deviation(in int) float64 { return 1 / math.Sqrt(float64(in)) }

func must[T packed](w T, err error) packed {
	if err != nil {
		panic(err) // the sizes are this package's own
	}
	return w
}

// weight is a random weight of a model. What only training and ranking ask for, its float32 form and a selection of outputs, it lacks: that panics.
type weight struct {
	model.Weight
	packed
	out, in int
	format  string
}

func (w *weight) Shape() (out, in int)          { return w.out, w.in }
func (w *weight) MulT(y, x []float32, rows int) { w.packed.MulT(y, x, rows) }
func (w *weight) Row(dst []float32, o int)      { w.packed.Row(dst, o) }
func (w *weight) Bytes() int64                  { return w.packed.Bytes() }
func (w *weight) Format() string                { return w.format }

// generator draws weights with the cheapest generator that will do (SplitMix64: Steele, Lea and Flood, 2014), on all threads, into memory that the next draw
// takes again. The same calls draw the same numbers.
type generator struct {
	draws  uint64
	floats []float32
	halves []uint16
	bytes  []int8
	scales []float32
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
	kernels.ParallelRange(padded, drawn, func(lo, hi int) {
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

// same is n times a value.
func (g *generator) same(n int, value float64) []float32 {
	g.scales = make([]float32, n)
	for i := range g.scales {
		g.scales[i] = float32(value)
	}
	return g.scales
}
