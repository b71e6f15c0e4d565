package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// multiplier is one way to compute y = x·wᵀ for a random weight [out, in].
type multiplier struct {
	name    string
	out, in int
	// pack packs the weight with the implementation in use.
	pack func() packedWeight
	// weight is the exact weight [out, in], size what its roundings are relative to (nil is its
	// magnitude), seen the row of activations that the product multiplies, roundings the number of
	// roundings besides those of a chain of in products.
	weight, size []float64
	seen         func(row []float32) []float64
	roundings    int
	format       bool // a row of the weight can be read back
}

// packedWeight is what multipliers pack.
type packedWeight interface {
	MulT(y, x []float32, rows int)
	Begin(y, x []float32, rows int) Pending
}

// begins is a packedWeight of a function.
type begins func(y, x []float32, rows int) Pending

func (b begins) Begin(y, x []float32, rows int) Pending { return b(y, x, rows) }
func (b begins) MulT(y, x []float32, rows int)          { Run(b(y, x, rows)) }

// multipliers returns all multipliers of weights [out, in], those of 4 bits in groups of so many
// inputs.
func multipliers(out, in, group int, r *rand.Rand) []multiplier {
	w, rounded := make([]float32, out*in), make([]uint16, out*in)
	normals(w, r)
	RoundBFloat16(rounded, w)
	list := []multiplier{
		{name: "float32", pack: func() packedWeight { return PackFloat32(w, out, in) }, weight: wide(w), seen: wide, format: true},
		{name: "bfloat16", pack: func() packedWeight { return PackBFloat16(rounded, out, in) }, weight: wide(widened(rounded)), seen: seenBFloat16, format: true},
	}
	list = append(list, int8Multipliers(out, in, group, r)...)
	list = append(list, float4Multipliers(out, in, group, r)...)
	list = append(list, groupedMultipliers(out, in, group, r)...)
	list = append(list, float8Multipliers(out, in, r)...)
	list = append(list, trainedMultipliers(w, out, in)...)
	for i := range list {
		list[i].out, list[i].in = out, in
	}
	return list
}

func int8Multipliers(out, in, group int, r *rand.Rand) []multiplier {
	groups := in / group
	q8, s8 := randomInt8(out*in, -128, 127, r), make([]float32, out)
	q4, s4, shift := randomInt8(out*in, -8, 7, r), make([]float32, out*groups), make([]float32, out*groups)
	for _, x := range [][]float32{s8, s4, shift} {
		normals(x, r)
	}
	w8, w4 := make([]float64, out*in), make([]float64, out*in)
	for i := range w8 {
		w8[i], w4[i] = float64(s8[i/in])*float64(q8[i]), float64(s4[i/group])*float64(q4[i])
	}
	list := []multiplier{
		{name: "int8", pack: func() packedWeight { return PackInt8(q8, s8, out, in) }, weight: w8, seen: seenInt8, roundings: 2, format: true},
		{name: "int4", pack: func() packedWeight { return PackInt4(q4, s4, out, in, group) }, weight: w4, seen: seenBFloat16, roundings: groups + 1, format: true},
		{name: "int4 by int8", pack: func() packedWeight { return begins(PackInt4(q4, s4, out, in, group).BeginInt8) }, weight: w4, seen: seenInt8, roundings: groups + 2},
	}
	for form := range 4 {
		w := Int4Weight{Codes: q4, Scale: s4, Out: out, In: in, Group: group}
		m := multiplier{name: fmt.Sprintf("shifted int4, form %d", form), seen: seenBFloat16, roundings: 2*groups + 3}
		m.pack = func() packedWeight { return PackInt4Shifted(w) }
		if form&1 != 0 {
			w.Shift = shift
		}
		for _, i := range r.Perm(in) {
			if form&2 != 0 {
				w.Order = append(w.Order, int32(i))
			}
		}
		m.weight, m.size = make([]float64, out*in), make([]float64, out*in)
		for i := range w4 {
			at, offset := i, 0.0
			if w.Order != nil {
				at = i/in*in + int(w.Order[i%in])
			}
			if w.Shift != nil {
				offset = float64(shift[i/group])
			}
			m.weight[at], m.size[at] = w4[i]+offset, math.Abs(w4[i])+math.Abs(offset)
		}
		list = append(list, m)
	}
	return list
}

// float4Multipliers are of E2M1 in groups.
func float4Multipliers(out, in, group int, r *rand.Rand) []multiplier {
	groups := in / group
	codes, scale, w := make([]byte, out*in), make([]float32, out*groups), make([]float64, out*in)
	normals(scale, r)
	for i := range codes {
		codes[i] = byte(r.IntN(16))
		w[i] = float64(scale[i/group]) * smallReference(E2M1, int(codes[i]))
	}
	return []multiplier{{
		name: "float4", pack: func() packedWeight { return PackFloat4(codes, scale, out, in, group) }, weight: w, seen: seenBFloat16, roundings: groups + 1, format: true,
	}}
}

// groupedMultipliers are codes of 8 bits in groups, the last of which may be shorter, and with one
// scale for an output.
func groupedMultipliers(out, in, group int, r *rand.Rand) (list []multiplier) {
	for _, form := range []GroupedForm{GroupedInt8, GroupedE4M3, GroupedE5M2} {
		sizes := []int{group, max(1, in), max(1, (2*in+2)/5), 128}
		for _, size := range map[GroupedForm][]int{GroupedInt8: sizes, GroupedE4M3: sizes[2:], GroupedE5M2: sizes[:1]}[form] {
			w := GroupedWeight{Form: form, Out: out, In: in, Group: size, Codes: make([]byte, out*in)}
			groups := (in + size - 1) / size
			w.Scale = make([]float32, out*groups)
			normals(w.Scale, r)
			exact := make([]float64, out*in)
			if form == GroupedInt8 {
				for i := range w.Codes {
					w.Codes[i] = byte(r.Uint32())
				}
			} else {
				w.Codes = randomSmall(form.small(), out*in, r)
			}
			for i, code := range w.Codes {
				v := float64(int8(code))
				if form != GroupedInt8 {
					v = smallReference(form.small(), int(code))
				}
				exact[i] = v * float64(w.Scale[i/in*groups+i%in/size])
			}
			add := func(what string, seen func(row []float32) []float64) {
				packed := w
				list = append(list, multiplier{
					name: fmt.Sprintf("grouped %d by %d, %s", form, size, what), weight: exact, seen: seen, roundings: 2*groups + 2, format: true,
					pack: func() packedWeight { return PackGrouped(packed) },
				})
			}
			add("bfloat16", seenBFloat16)
			if w.Rounds = form != GroupedInt8; w.Rounds {
				add("rounded", func(row []float32) (seen []float64) {
					for part := range slices.Chunk(row, size) {
						seen = append(seen, seenSmall(form.small(), part, 0)...)
					}
					return seen
				})
			}
		}
	}
	return list
}

// float8Multipliers are of both formats, with scales of the rows, and with one for all.
func float8Multipliers(out, in int, r *rand.Rand) (list []multiplier) {
	for _, format := range []SmallFloat{E4M3, E5M2} {
		codes, scale, w := randomSmall(format, out*in, r), make([]float32, out), make([]float64, out*in)
		normals(scale, r)
		for i, code := range codes {
			w[i] = float64(scale[i/in]) * smallReference(format, int(code))
		}
		for _, input := range []float32{0, 0.01} {
			list = append(list, multiplier{
				name: fmt.Sprintf("%v, input scale %v", format, input),
				pack: func() packedWeight { return PackFloat8(format, codes, scale, input, out, in) }, weight: w, roundings: 3, format: true,
				seen: func(row []float32) []float64 { return seenSmall(format, row, input) },
			})
		}
	}
	return list
}

// seenSmall is a row rounded to a format with a scale, or with its own where that is 0.
func seenSmall(format SmallFloat, row []float32, s float32) []float64 {
	if s == 0 {
		s = float32(max(slices.Max(row), -slices.Min(row))) / format.Max()
	}
	seen := make([]float64, len(row))
	for i, v := range row {
		if s != 0 {
			seen[i] = float64(s) * smallReference(format, int(format.Encode(v/s)))
		}
	}
	return seen
}

// trainedMultipliers are the three products of training, in float32 and in bfloat16: w as a weight,
// as the transpose of one, and as the activations of a gradient.
func trainedMultipliers(w []float32, out, in int) (list []multiplier) {
	across := transposed(w, out, in)
	for _, precision := range []Precision{Float32, BFloat16} {
		seen, weight := wide, wide(w)
		if precision == BFloat16 {
			seen, weight = seenBFloat16, seenBFloat16(w)
		}
		operand := func(x []float32, rows, columns int, forms Forms) *Operand {
			o := new(Operand)
			o.Pack(x, rows, columns, precision, forms)
			return o
		}
		for _, form := range []struct {
			name string
			pack func() packedWeight
		}{
			{"y", func() packedWeight {
				p := NewTrainedWeight(out, in, precision)
				p.Pack(w)
				return begins(func(y, x []float32, rows int) Pending { return p.Begin(y, operand(x, rows, in, Rows|RightSide)) })
			}},
			{"dx", func() packedWeight {
				p := NewTrainedWeight(in, out, precision)
				p.Pack(across)
				return begins(func(y, x []float32, rows int) Pending { return p.BeginInput(y, operand(x, rows, in, Rows|LeftSide)) })
			}},
			{"dw", func() packedWeight {
				return begins(func(y, x []float32, rows int) Pending {
					clear(y[:rows*out]) // gradients are added
					return BeginGradient(y, operand(transposed(x[:rows*in], rows, in), in, rows, LeftSide), operand(across, in, out, RightSide))
				})
			}},
		} {
			list = append(list, multiplier{name: fmt.Sprintf("trained %s in %v", form.name, precision), pack: form.pack, weight: weight, seen: seen})
		}
	}
	return list
}

// transposed is x [rows, cols] as [cols, rows].
func transposed(x []float32, rows, cols int) []float32 {
	y := make([]float32, len(x))
	for i := range rows {
		for j := range cols {
			y[j*rows+i] = x[i*cols+j]
		}
	}
	return y
}

func seenBFloat16(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = nearestBFloat16(float64(v))
	}
	return y
}

// nearestBFloat16 rounds a normal number to eight bits, ties to even, by its definition.
func nearestBFloat16(v float64) float64 {
	if v == 0 {
		return 0
	}
	_, e := math.Frexp(v)
	return math.Ldexp(math.RoundToEven(math.Ldexp(v, 8-e)), e-8)
}

func seenInt8(x []float32) []float64 {
	q, y := make([]int8, len(x)), make([]float64, len(x))
	s := QuantizeRowInt8(q, x)
	for i, v := range q {
		y[i] = float64(s) * float64(v)
	}
	return y
}

func normals(x []float32, r *rand.Rand) {
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
}

func randomInt8(n, lo, hi int, r *rand.Rand) []int8 {
	q := make([]int8, n)
	for i := range q {
		q[i] = int8(lo + r.IntN(hi-lo+1))
	}
	return q
}

func widened(bits []uint16) []float32 {
	x := make([]float32, len(bits))
	for i, b := range bits {
		x[i] = math.Float32frombits(uint32(b) << 16)
	}
	return x
}

// randomSmall draws codes that are numbers.
func randomSmall(format SmallFloat, n int, r *rand.Rand) []byte {
	q := make([]byte, n)
	for i := range q {
		for q[i] = byte(r.IntN(format.Codes())); !format.IsNumber(q[i]); {
			q[i] = byte(r.IntN(format.Codes()))
		}
	}
	return q
}

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

// productSizes are out and in: ragged ones in each place, chains of several blocks, and sizes that
// take several tasks.
var productSizes = [][2]int{
	{1, 1}, {2, 3}, {16, 4}, {17, 5}, {33, 31}, {47, 64}, {64, 172}, {172, 96}, {130, 33}, {300, 24},
	{530, 600}, {40, 1100}, {20, 2100}, {3, 1025}, {150, 513},
}
