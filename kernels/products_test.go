package kernels

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestProducts compares every multiplier of every implementation with its definition in float64, on
// the activations as the product sees them: a row of zeros among them, and guard words around
// both.
func TestProducts(t *testing.T) {
	const most = 45
	for number, size := range productSizes {
		r := rand.New(rand.NewPCG(9, uint64(number)))
		out, in := size[0], size[1]
		counts := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 31, 33, most}
		if out*in > 20000 {
			counts = []int{1, 4, 13, 16, most}
		}
		for _, m := range multipliers(out, in, groupOf(in), r) {
			x := randoms(r, most*in, number%5, 1)
			clear(x.x[2*in : 3*in])
			want, size := m.reference(x.x, most)
			for _, name := range Implementations() {
				with(t, name, func() {
					w := m.pack()
					for _, rows := range counts {
						y := newGuarded(rows*out, number%3)
						w.MulT(y.x, x.x[:rows*in], rows)
						what := fmt.Sprintf("%s: %s [%d, %d], %d rows", name, m.name, out, in, rows)
						x.check(t, what)
						y.check(t, what)
						withinRounding(t, what, y.x, want, size, in+m.roundings)
					}
				})
			}
		}
	}
}

// reference returns y = x·wᵀ in float64 and the magnitude that roundings are relative to.
func (m *multiplier) reference(x []float32, rows int) (y, size []float64) {
	y, size = make([]float64, rows*m.out), make([]float64, rows*m.out)
	magnitude := m.size
	if magnitude == nil {
		magnitude = make([]float64, len(m.weight))
		for i, v := range m.weight {
			magnitude[i] = math.Abs(v)
		}
	}
	for i := range rows {
		seen := m.seen(x[i*m.in : (i+1)*m.in])
		for j := range m.out {
			w, s := m.weight[j*m.in:(j+1)*m.in], magnitude[j*m.in:(j+1)*m.in]
			var sum, scale float64
			for p, v := range seen {
				sum += v * w[p]
				scale += math.Abs(v) * s[p]
			}
			y[i*m.out+j], size[i*m.out+j] = sum, scale
		}
	}
	return y, size
}

// withinRounding allows each element the error of so many roundings.
func withinRounding(t *testing.T, what string, got []float32, want, scale []float64, roundings int) {
	t.Helper()
	for i, v := range got {
		bound := float64(roundings+3) * 0x1p-24 * scale[i]
		if d := math.Abs(float64(v) - want[i]); !(d <= bound) {
			t.Fatalf("%s: element %d is %v, want %v ± %v", what, i, v, want[i], bound)
		}
	}
}

// TestPackedUnderAnotherImplementation: what one implementation packed another multiplies, also
// where their panels differ.
func TestPackedUnderAnotherImplementation(t *testing.T) {
	r := rand.New(rand.NewPCG(26, 0))
	const rows, out, in = 5, 50, 1056
	x, y := make([]float32, rows*in), make([]float32, rows*out)
	normals(x, r)
	for _, m := range multipliers(out, in, 32, r) {
		if !m.format {
			continue // a training step packs and multiplies with one implementation
		}
		want, size := m.reference(x, rows)
		for _, packer := range Implementations() {
			with(t, packer, func() {
				w := m.pack()
				for _, name := range Implementations() {
					with(t, name, func() { w.MulT(y, x, rows) })
					withinRounding(t, fmt.Sprintf("%s: packed by %s, multiplied by %s", m.name, packer, name), y, want, size, in+m.roundings)
				}
			})
		}
	}
}

// TestTrainedUnderAnotherImplementation: a training product refuses operands of layouts that
// differ.
func TestTrainedUnderAnotherImplementation(t *testing.T) {
	x, y := make([]float32, 12), make([]float32, 6)
	var w *TrainedWeight
	with(t, "tiles32", func() { w = NewTrainedWeight(3, 4, Float32); w.Pack(x) })
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	o := new(Operand)
	o.Pack(x, 2, 4, Float32, Rows)
	w.Begin(y, o)
}

// TestFormsAreOneChain: in float32 the three products of training have the bits of a packed weight
// with the same operands, and in bfloat16 they agree with each other.
func TestFormsAreOneChain(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(23, 1))
		for _, s := range [][3]int{{1, 1, 1}, {17, 33, 19}, {14, 32, 16}, {33, 47, 33}, {300, 256, 512}, {70, 33, 1201}} {
			rows, out, in := s[0], s[1], s[2]
			w, x, want, got := make([]float32, out*in), make([]float32, rows*in), make([]float32, rows*out), make([]float32, rows*out)
			normals(w, r)
			normals(x, r)
			PackFloat32(w, out, in).MulT(want, x, rows)
			for i, m := range trainedMultipliers(w, out, in) {
				m.pack().MulT(got, x, rows)
				if i == 3 { // the first in bfloat16
					copy(want, got)
				}
				equalBits(t, fmt.Sprint(m.name, " ", s), got, want)
			}
		}
	})
}

// TestProductOfNothing: a product over an empty chain is zero, or leaves what it is added to.
func TestProductOfNothing(t *testing.T) {
	for _, m := range append(trainedMultipliers(nil, 2, 0), multipliers(2, 0, 1, rand.New(rand.NewPCG(1, 1)))[:3]...) {
		y := []float32{1, 2, 3, 4}
		m.pack().MulT(y, nil, 2)
		for _, v := range y {
			if v != 0 {
				t.Errorf("%s: empty product is %v", m.name, y)
			}
		}
	}
	dx, dy := []float32{1, 2, 3, 4}, new(Operand)
	dy.Pack(nil, 2, 0, Float32, Rows)
	if Run(NewTrainedWeight(0, 2, Float32).BeginInputAdd(dx, dy)); !slices.Equal(dx, []float32{1, 2, 3, 4}) {
		t.Errorf("adding an empty product gives %v", dx)
	}
}

// TestAddedProducts: BeginInputAdd and BeginGradient add the product to what is there, in one
// rounding.
func TestAddedProducts(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(24, 1))
		for _, precision := range []Precision{Float32, BFloat16} {
			for _, s := range [][3]int{{3, 5, 7}, {40, 33, 65}, {17, 100, 300}} {
				rows, out, in := s[0], s[1], s[2]
				w, x, dy := randoms(r, out*in, 0, 1).x, randoms(r, rows*in, 0, 1).x, randoms(r, rows*out, 0, 1).x
				weight, ox, ody := NewTrainedWeight(out, in, precision), new(Operand), new(Operand)
				weight.Pack(w)
				ox.Pack(x, rows, in, precision, RightSide)
				ody.Pack(dy, rows, out, precision, Rows|LeftSide)
				for name, begin := range map[string]func(y []float32) Pending{
					"dx": func(y []float32) Pending { return weight.BeginInputAdd(y, ody) },
					"dw": func(y []float32) Pending { return BeginGradient(y, ody, ox) },
				} {
					n := map[string]int{"dx": rows * in, "dw": out * in}[name]
					product, added := make([]float32, n), randoms(r, n, 2, 1)
					before := slices.Clone(added.x)
					Run(begin(product))
					Run(begin(added.x))
					added.check(t, name)
					for i, v := range product {
						if got := added.x[i]; math.Abs(float64(got-(before[i]+v))) > 0x1p-20*(1+math.Abs(float64(before[i]))+math.Abs(float64(v))) {
							t.Fatalf("%v %s %v: element %d is %v, want %v + %v", precision, name, s, i, got, before[i], v)
						}
					}
				}
			}
		}
	})
}

func TestGram(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(9, 10))
		for _, s := range [][2]int{{1, 1}, {7, 33}, {256, 172}, {40, 1050}, {0, 5}} {
			rows, width := s[0], s[1]
			for precision, seen := range []func([]float32) []float64{Float32: wide, BFloat16: seenBFloat16} {
				x, g := randoms(r, rows*width, 3, 1), randoms(r, width*width, 1, 1)
				before := slices.Clone(g.x)
				AddGram(g.x, x.x, rows, width, Precision(precision))
				m := multiplier{out: width, in: rows, weight: seen(transposed(x.x, rows, width)), seen: seen}
				want, size := m.reference(transposed(x.x, rows, width), width)
				for i := range width {
					clear(g.x[i*width : i*width+i])
					clear(want[i*width : i*width+i])
					for j := i; j < width; j++ {
						want[i*width+j] += float64(before[i*width+j])
						size[i*width+j] += math.Abs(float64(before[i*width+j]))
					}
				}
				what := fmt.Sprintf("%v: %d rows of %d", Precision(precision), rows, width)
				withinRounding(t, what, g.x, want, size, rows)
				x.check(t, what)
				g.check(t, what)
			}
		}
	})
}

// specialActivations has rows of zeros, of tiny, huge and not finite values, and of halves
// between two levels.
var specialActivations = [][]float32{
	{0}, {1}, {-1, 1}, {127, 0.5, 1.5, -0.5, -1.5, 2.5, 126.5}, {math.SmallestNonzeroFloat32, 0}, {200 * math.SmallestNonzeroFloat32, -190 * math.SmallestNonzeroFloat32},
	{float32(math.NaN()), 1}, {float32(math.Inf(1)), 1}, {float32(math.Inf(-1)), 1}, {math.MaxFloat32, -math.MaxFloat32, 1},
}

// checkInt8 holds products with 8-bit activations to their definitions, written out, bit for bit:
// q8 has a scale for each output, q4 one for each group of inputs.
func checkInt8(t *testing.T, q8, q4 []int8, s8, s4, x []float32, rows, out, in, group int) {
	t.Helper()
	want8, want4, qx := make([]float32, rows*out), make([]float32, rows*out), make([]int8, in)
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
			want8[i*out+j], want4[i*out+j] = float32(sum)*(s*s8[j]), total*s
		}
	}
	same := func(got, want float32) bool {
		return math.Float32bits(got) == math.Float32bits(want) || got != got && want != want
	}
	for _, name := range Implementations() {
		y8, y4 := make([]float32, rows*out), make([]float32, rows*out)
		with(t, name, func() {
			PackInt8(q8, s8, out, in).MulT(y8, x, rows)
			PackInt4(q4, s4, out, in, group).MulTInt8(y4, x, rows)
		})
		for i := range y8 {
			if !same(y8[i], want8[i]) {
				t.Fatalf("%s: [%d, %d] 8 bits, row %d of %d, output %d is %v, want the bits of %v", name, out, in, i/out, rows, i%out, y8[i], want8[i])
			}
			if !same(y4[i], want4[i]) {
				t.Fatalf("%s: [%d, %d] 4 bits in groups of %d, row %d of %d, output %d is %v, want the bits of %v", name, out, in, group, i/out, rows, i%out, y4[i], want4[i])
			}
		}
	}
}

// TestInt8IsExact: also where sums are as large as they get.
func TestInt8IsExact(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 0))
	for _, size := range productSizes[:12] {
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
		checkInt8(t, randomInt8(n*k, -127, 127, r), randomInt8(n*k, -8, 7, r), s8, s4, x, m, n, k, g)
	})
}

// FuzzProducts multiplies sizes and numbers that no test chose, with packed and trained weights,
// and compares with float64. Operands are such that no product of 64 leaves the range of float32 or
// meets a subnormal number.
func FuzzProducts(f *testing.F) {
	f.Add(uint8(1), uint8(1), uint8(1), uint8(0), uint64(1))
	f.Add(uint8(14), uint8(33), uint8(31), uint8(7), uint64(2))
	f.Add(uint8(5), uint8(200), uint8(63), uint8(3), uint64(3))
	f.Fuzz(func(t *testing.T, rows, outs, ins, flags uint8, seed uint64) {
		m, n, k := int(rows)%40+1, int(outs)+1, int(ins)%64+1
		r := rand.New(rand.NewPCG(seed, 0))
		x, w := newGuarded(m*k, int(flags)%5), newGuarded(n*k, int(flags)%3)
		for _, s := range [][]float32{x.x, w.x} {
			for i := range s {
				s[i] = math.Float32frombits(r.Uint32()&(1<<31|1<<23-1) | uint32(117+r.IntN(20))<<23)
			}
		}
		bits := make([]uint16, len(w.x))
		RoundBFloat16(bits, w.x)
		list := append(trainedMultipliers(w.x, n, k),
			multiplier{name: "float32", pack: func() packedWeight { return PackFloat32(w.x, n, k) }, weight: wide(w.x), seen: wide},
			multiplier{name: "bfloat16", pack: func() packedWeight { return PackBFloat16(bits, n, k) }, weight: wide(widened(bits)), seen: seenBFloat16})
		for _, c := range list {
			c.out, c.in = n, k
			want, size := c.reference(x.x, m)
			for _, name := range Implementations() {
				y := newGuarded(m*n, int(flags)%7)
				with(t, name, func() { c.pack().MulT(y.x, x.x, m) })
				what := fmt.Sprintf("%s: %s [%d, %d], %d rows", name, c.name, n, k, m)
				withinRounding(t, what, y.x, want, size, k)
				x.check(t, what)
				w.check(t, what)
				y.check(t, what)
			}
		}
	})
}
