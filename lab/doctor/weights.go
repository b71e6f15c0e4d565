package doctor

import (
	"math"
	"slices"

	"slimlab/kernels"
	"slimlab/model"
	"slimlab/quant"
)

// format is a number format that weights are multiplied in.
type format struct {
	name       string // as --dtype has it
	arithmetic string // the Loop that limits its products
	random     func(g *generator, out, in int) model.Weight
}

// group is the number of inputs that share a scale in 4 bits.
const group = 32

var formats = []format{
	{"float32", "float32", func(g *generator, out, in int) model.Weight {
		return &packed{packed: kernels.PackFloat32(g.float32s(out*in, deviation(in)), out, in)}
	}},
	{"bfloat16", "bfloat16", func(g *generator, out, in int) model.Weight {
		return model.NewBFloat16(g.bfloat16s(out*in, deviation(in)), out, in)
	}},
	{"w8a8", "int8", func(g *generator, out, in int) model.Weight {
		return must(quant.NewInt8(slices.Clone(g.int8s(out*in)), same(out, deviation(in)/(127/math.Sqrt(3))), out, in))
	}},
	{"w4a16", "float32", func(g *generator, out, in int) model.Weight {
		return must(quant.NewInt4(g.int4s(out*in), same(out*in/group, deviation(in)/(8/math.Sqrt(3))), out, in, group))
	}},
}

// deviation is the standard deviation of a linear layer's weights that passes unit variance on.
func deviation(in int) float64 { return 1 / math.Sqrt(float64(in)) }

func must[T model.Weight](w T, err error) model.Weight {
	if err != nil {
		panic(err) // the sizes are this package's own
	}
	return w
}

// packed is a float32 weight without the copy that model.Dense keeps to be trained on. Its float32 form and a selection of outputs are not
// asked for here, and panic.
type packed struct {
	model.Weight
	packed *kernels.PackedFloat32
}

func (w *packed) Shape() (out, in int)          { return w.packed.Out, w.packed.In }
func (w *packed) MulT(y, x []float32, rows int) { w.packed.MulT(y, x, rows) }
func (w *packed) Row(dst []float32, o int)      { w.packed.Row(dst, o) }
func (w *packed) Bytes() int64                  { return w.packed.Bytes() }
func (w *packed) Format() string                { return "float32" }

// generator draws weights with the cheapest generator that will do (SplitMix64: Steele, Lea and Flood, 2014), on all threads, into memory that the next draw
// takes again. The same calls draw the same numbers.
type generator struct {
	draws  uint64
	floats []float32
	halves []uint16
	bytes  []int8
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
func same(n int, value float64) []float32 { return slices.Repeat([]float32{float32(value)}, n) }
