package kernels

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"slimlab/kernels/parallel"
)

// packedSizes are out and in.
var packedSizes = [][2]int{{1, 1}, {2, 3}, {16, 4}, {17, 5}, {33, 31}, {47, 64}, {64, 172}, {172, 96}, {130, 33}, {300, 24}, {530, 600}, {40, 1100}}

var packedRows = []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 31, 45}

// groupOf returns a group size for in inputs: a few that are multiples of eight or not, or all
// inputs.
func groupOf(in int) int {
	group := in
	for _, g := range []int{12, 11, 48, 32} {
		if in%g == 0 {
			group = g
		}
	}
	return group
}

func randomInt8(n, lo, hi int, r *rand.Rand) []int8 {
	q := make([]int8, n)
	for i := range q {
		q[i] = int8(lo + r.IntN(hi-lo+1))
	}
	return q
}

// packedWeight is one of the packed forms of a random weight.
type packedWeight struct {
	name string
	mulT func(y, x []float32, rows int)
	row  func(dst []float32, o int)
	// weight returns element (in i, out j) as a product of exact factors; seen is what becomes of a
	// row of activations.
	weight func(i, j int) float64
	seen   func(x []float32)
}

// asIs, asBFloat16 and asInt8 are what products make of a row of activations.
func asIs([]float32) {}

func asBFloat16(x []float32) {
	for i, v := range x {
		x[i] = float32(nearestBFloat16(float64(v)))
	}
}

// nearestBFloat16 rounds a normal number to eight bits, ties to even, by its definition.
func nearestBFloat16(v float64) float64 {
	if v == 0 {
		return 0
	}
	_, e := math.Frexp(v)
	return math.Ldexp(math.RoundToEven(math.Ldexp(v, 8-e)), e-8)
}

func asInt8(x []float32) {
	q := make([]int8, len(x))
	s := QuantizeRowInt8(q, x)
	for i, v := range q {
		x[i] = s * float32(v)
	}
}

func packedWeights(out, in, group int, r *rand.Rand) []packedWeight {
	w := make([]float32, out*in)
	normals(w, r)
	q8, s8 := randomInt8(out*in, -128, 127, r), make([]float32, out)
	normals(s8, r)
	q4, s4 := randomInt8(out*in, -8, 7, r), make([]float32, out*in/group)
	normals(s4, r)
	f, p8, p4 := PackFloat32(w, out, in), PackInt8(q8, s8, out, in), PackInt4(q4, s4, out, in, group)
	weight4 := func(i, j int) float64 { return float64(s4[(j*in+i)/group]) * float64(q4[j*in+i]) }
	return []packedWeight{
		{"float32", f.MulT, nil, func(i, j int) float64 { return float64(w[j*in+i]) }, asIs},
		{"int8", p8.MulT, p8.Row, func(i, j int) float64 { return float64(s8[j]) * float64(q8[j*in+i]) }, asInt8},
		{"int4", p4.MulT, p4.Row, weight4, asBFloat16},
		{"int4 by int8", p4.MulTInt8, p4.Row, weight4, asInt8},
	}
}

// TestPackedProducts compares with a float64 twin, on the activations as they are quantized where
// they are.
func TestPackedProducts(t *testing.T) {
	eachGemm(t, func(t *testing.T) {
		for number, size := range packedSizes {
			r := rand.New(rand.NewPCG(9, uint64(number)))
			out, in := size[0], size[1]
			group := groupOf(in)
			for _, w := range packedWeights(out, in, group, r) {
				for _, rows := range packedRows {
					what := fmt.Sprintf("%s out=%d in=%d group=%d rows=%d", w.name, out, in, group, rows)
					x, checkX := guardedFloats(rows*in, number%5)
					y, checkY := guardedFloats(rows*out, number%3)
					normals(x, r)
					w.mulT(y, x, rows)
					checkX(t, what)
					checkY(t, what)
					seen := slices.Clone(x)
					for i := range rows {
						w.seen(seen[i*in : (i+1)*in])
					}
					for i := range rows {
						for j := range out {
							var want, scale float64
							for p := range in {
								v := float64(seen[i*in+p]) * w.weight(p, j)
								want += v
								scale += math.Abs(v)
							}
							if d := math.Abs(float64(y[i*out+j]) - want); d > float64(in+4)*0x1p-24*scale {
								t.Fatalf("%s: y[%d, %d] is %v, want %v", what, i, j, y[i*out+j], want)
							}
						}
					}
				}
			}
		}
	})
}

func TestPackedRowsDoNotDependOnBatchOrThreads(t *testing.T) {
	eachGemm(t, func(t *testing.T) {
		for number, size := range packedSizes {
			r := rand.New(rand.NewPCG(10, uint64(number)))
			out, in := size[0], size[1]
			for _, w := range packedWeights(out, in, groupOf(in), r) {
				const rows = 45
				x, all := make([]float32, rows*in), make([]float32, rows*out)
				normals(x, r)
				w.mulT(all, x, rows)
				for _, batch := range []int{1, 2, 3, 4, 9, 15} {
					for first := 0; first+batch <= rows; first += batch {
						y := make([]float32, batch*out)
						w.mulT(y, x[first*in:], batch)
						equalBits(t, fmt.Sprintf("%s [%d, %d] rows %d+%d", w.name, out, in, first, batch), y, all[first*out:(first+batch)*out])
					}
				}
				for _, threads := range []int{1, 2, 5} {
					y := make([]float32, rows*out)
					restore := parallel.SetThreads(threads)
					w.mulT(y, x, rows)
					restore()
					equalBits(t, fmt.Sprintf("%s [%d, %d] with %d threads", w.name, out, in, threads), y, all)
				}
			}
		}
	})
}

// TestPackedLarge: sizes that are shared between threads give the bits of one thread.
func TestPackedLarge(t *testing.T) {
	eachGemm(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(11, 0))
		out, in := 1100, 512
		for _, w := range packedWeights(out, in, 32, r) {
			for _, rows := range []int{1, 7, 70} {
				x, one, many := make([]float32, rows*in), make([]float32, rows*out), make([]float32, rows*out)
				normals(x, r)
				restore := parallel.SetThreads(1)
				w.mulT(one, x, rows)
				parallel.SetThreads(3)
				w.mulT(many, x, rows)
				restore()
				equalBits(t, fmt.Sprintf("%s rows=%d", w.name, rows), many, one)
			}
		}
	})
}

// specialActivations has rows of nothing, of tiny, huge and not finite values, and of halves
// between two levels.
var specialActivations = [][]float32{
	{0}, {1}, {-1, 1}, {127, 0.5, 1.5, -0.5, -1.5, 2.5, 126.5}, {math.SmallestNonzeroFloat32, 0}, {200 * math.SmallestNonzeroFloat32, -190 * math.SmallestNonzeroFloat32},
	{float32(math.NaN()), 1}, {float32(math.Inf(1)), 1}, {float32(math.Inf(-1)), 1}, {math.MaxFloat32, -math.MaxFloat32, 1},
}

// checkInt8 holds products with 8-bit activations to their definitions, written out, bit for bit:
// q8 has a scale for each output, q4 one for each group of inputs.
func checkInt8(t *testing.T, q8, q4 []int8, s8, s4, x []float32, rows, out, in, group int) {
	t.Helper()
	y8, y4, qx := make([]float32, rows*out), make([]float32, rows*out), make([]int8, in)
	PackInt8(q8, s8, out, in).MulT(y8, x, rows)
	PackInt4(q4, s4, out, in, group).MulTInt8(y4, x, rows)
	same := func(got, want float32) bool {
		return math.Float32bits(got) == math.Float32bits(want) || got != got && want != want
	}
	for i := range rows {
		s := QuantizeRowInt8(qx, x[i*in:(i+1)*in])
		for j := range out {
			var sum int32
			var total float32
			for g := 0; g < in; g += group {
				var part int32
				for p := g; p < g+group; p++ {
					sum += int32(qx[p]) * int32(q8[j*in+p])
					part += int32(qx[p]) * int32(q4[j*in+p])
				}
				total += float32(float32(part) * s4[(j*in+g)/group])
			}
			if want := float32(sum) * (s * s8[j]); !same(y8[i*out+j], want) {
				t.Fatalf("[%d, %d] 8 bits, row %d of %d, output %d is %v, want the bits of %v", out, in, i, rows, j, y8[i*out+j], want)
			}
			if want := total * s; !same(y4[i*out+j], want) {
				t.Fatalf("[%d, %d] 4 bits in groups of %d, row %d of %d, output %d is %v, want the bits of %v", out, in, group, i, rows, j, y4[i*out+j], want)
			}
		}
	}
}

// TestInt8IsExact: also where sums are as large as they get.
func TestInt8IsExact(t *testing.T) {
	eachGemm(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(13, 0))
		for _, size := range packedSizes {
			out, in := size[0], size[1]
			for _, group := range []int{groupOf(in), in} {
				rows := len(specialActivations) + 4
				x := make([]float32, rows*in)
				normals(x, r)
				for i, row := range specialActivations {
					for j := range in {
						x[i*in+j] = row[j%len(row)]
					}
				}
				q8, q4, s8, s4 := randomInt8(out*in, -127, 127, r), randomInt8(out*in, -8, 7, r), make([]float32, out), make([]float32, out*in/group)
				normals(s8, r)
				normals(s4, r)
				if out > 1 {
					for i := range in {
						q8[i], q8[in+i], q4[i], q4[in+i] = 127, -127, 7, -8
					}
				}
				checkInt8(t, q8, q4, s8, s4, x, rows, out, in, group)
			}
		}
	})
}

// FuzzInt8 tries shapes, and activations of any bits.
func FuzzInt8(f *testing.F) {
	f.Add(uint8(1), uint8(1), uint8(1), uint8(1), uint64(1), []byte{1, 2, 3, 4})
	f.Add(uint8(17), uint8(172), uint8(43), uint8(4), uint64(2), []byte{0, 0, 128, 63, 0, 0, 128, 191, 0, 0, 0, 65})
	f.Add(uint8(8), uint8(33), uint8(16), uint8(3), uint64(3), []byte{255, 255, 127, 127, 0, 0, 192, 127})
	f.Fuzz(func(t *testing.T, rows, out, group, groups uint8, seed uint64, bits []byte) {
		m, n, g, k := int(rows%20)+1, int(out)+1, int(group%64)+1, int(group%64+1)*(int(groups%6)+1)
		r := rand.New(rand.NewPCG(seed, 0))
		x, s8, s4 := make([]float32, m*k), make([]float32, n), make([]float32, n*k/g)
		normals(x, r)
		for i := 0; i+4 <= len(bits); i += 4 {
			x[r.IntN(len(x))] = math.Float32frombits(binary.LittleEndian.Uint32(bits[i:]))
		}
		normals(s8, r)
		normals(s4, r)
		q8, q4 := randomInt8(n*k, -127, 127, r), randomInt8(n*k, -8, 7, r)
		for _, name := range Implementations() {
			with(t, name, func() { checkInt8(t, q8, q4, s8, s4, x, m, n, k, g) })
		}
	})
}

// TestPackedRow reads single outputs back.
func TestPackedRow(t *testing.T) {
	for number, size := range packedSizes {
		r := rand.New(rand.NewPCG(15, uint64(number)))
		out, in := size[0], size[1]
		for _, w := range packedWeights(out, in, groupOf(in), r) {
			if w.row == nil {
				continue
			}
			for o := range out {
				got, check := guardedFloats(in, o%3)
				w.row(got, o)
				check(t, w.name)
				for i, v := range got {
					if want := float32(w.weight(i, o)); v != want {
						t.Fatalf("%s [%d, %d]: weight [%d, %d] is %v, want %v", w.name, out, in, o, i, v, want)
					}
				}
			}
		}
	}
}

func TestQuantizeRowInt8(t *testing.T) {
	for _, c := range []struct {
		x     []float32
		q     []int8
		scale float32
	}{
		{[]float32{0, 0}, []int8{0, 0}, 0},
		{[]float32{-127, 1, 0.5, 1.5, -2.5}, []int8{-127, 1, 0, 2, -2}, 1},
		{[]float32{254, -2, 3}, []int8{127, -1, 2}, 2},
		{[]float32{math.SmallestNonzeroFloat32}, []int8{0}, 0},
		{[]float32{float32(math.Inf(1)), 3}, []int8{0, 0}, float32(math.NaN())},
	} {
		q := make([]int8, len(c.x))
		s := QuantizeRowInt8(q, c.x)
		if fmt.Sprint(q, s) != fmt.Sprint(c.q, c.scale) {
			t.Errorf("%v gives %v with scale %v, want %v with %v", c.x, q, s, c.q, c.scale)
		}
	}
}

func TestPackedBytes(t *testing.T) {
	const out, in, group = 48, 64, 32
	q := make([]int8, out*in)
	p4 := PackInt4(q, make([]float32, out*in/group), out, in, group)
	for name, c := range map[string][2]int64{
		"float32": {PackFloat32(make([]float32, out*in), out, in).Bytes(), 4 * out * in},
		"int8":    {PackInt8(q, make([]float32, out), out, in).Bytes(), out*in + 4*out},
		"int4":    {p4.Bytes(), out*in/2 + 4*out*in/group},
		"memory":  {4 * int64(len(p4.q)), out*in/2 + 4*out*in/group},
	} {
		if c[0] != c[1] {
			t.Errorf("%s has %d bytes, want %d", name, c[0], c[1])
		}
	}
}

// TestSteadyProductsAllocateNothing: after a first round, memory comes from free lists.
func TestSteadyProductsAllocateNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(14, 0))
	const rows, out, in = 200, 256, 96
	w := packedWeights(out, in, 32, r)
	x, y, z := make([]float32, rows*in), make([]float32, rows*out), make([]float32, in*in)
	normals(x, r)
	for name, f := range map[string]func(){
		"Gram":    func() { Gram(z, x, rows, in) },
		"float32": func() { w[0].mulT(y, x, rows) },
		"int8":    func() { w[1].mulT(y, x, rows) },
		"int4":    func() { w[2].mulT(y, x, rows) },
		"int4x8":  func() { w[3].mulT(y, x, rows) },
	} {
		f()
		if n := testing.AllocsPerRun(50, f); n > 0.5 {
			t.Errorf("%s allocates %v times a call", name, n)
		}
	}
}

func TestPackMisusePanics(t *testing.T) {
	q, s := make([]int8, 64), make([]float32, 64)
	q[3] = 8
	for name, f := range map[string]func(){
		"float32 weights": func() { PackFloat32(s[:5], 2, 3) },
		"int8 weights":    func() { PackInt8(q[:5], s, 2, 3) },
		"int8 scales":     func() { PackInt8(q, s[:1], 2, 3) },
		"int4 group":      func() { PackInt4(q, s, 2, 4, 3) },
		"int4 scales":     func() { PackInt4(q, s[:3], 2, 2, 1) },
		"int4 range":      func() { PackInt4(q, s, 2, 4, 4) },
		"float32 short y": func() { PackFloat32(s, 2, 3).MulT(s[:3], s, 2) },
		"int8 short x":    func() { PackInt8(q, s, 2, 3).MulT(s, s[:5], 2) },
		"int4 short x":    func() { PackInt4(q[4:], s, 2, 3, 3).MulT(s, s[:5], 2) },
		"int4 short y":    func() { PackInt4(q[4:], s, 2, 3, 3).MulTInt8(s[:3], s, 2) },
		"int4 long group": func() { PackInt4(make([]int8, 1<<18), s, 1, 1<<18, 1<<18) },
		"int8 row":        func() { PackInt8(q, s, 2, 3).Row(s, 2) },
		"int8 short row":  func() { PackInt8(q, s, 2, 3).Row(s[:2], 0) },
		"int4 row":        func() { PackInt4(q[4:], s, 2, 3, 3).Row(s, -1) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}
