package weight

import (
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"slimlab/internal/half"
	"slimlab/kernels"
	"slimlab/kernels/parallel"
)

// sample is a weight of each format with what it was made of.
type sample struct {
	Encoding
	codes []byte
	Weight
}

const sampleOut, sampleIn = 19, 96

// samples builds a weight of each format that holds codes, in every variant that files have.
func samples(t testing.TB) map[string]sample {
	t.Helper()
	list := map[string]sample{}
	for _, f := range []Format{
		{Bits: 8, Activations: Token},
		{Bits: 8},
		{Bits: 8, Group: 16, ZeroPoints: true},
		{Bits: 8, Group: 8, Order: true},
		{Bits: 4},
		{Bits: 4, Group: 8},
		{Bits: 4, Group: 8, Activations: Token},
		{Bits: 4, Group: 8, ZeroPoints: true},
		{Bits: 4, Group: 8, Order: true},
		{Bits: 4, Group: 16, ZeroPoints: true, Order: true},
		{Float: true, Bits: 8, Activations: Token},
		{Float: true, Bits: 8, Activations: Static},
		{Float: true, Bits: 8},
		{Float: true, Bits: 8, Block: [2]int{5, 7}},
		{Float: true, Bits: 8, Activations: Token, Block: [2]int{5, 7}},
		{Float: true, Bits: 8, Activations: Blocks, Block: [2]int{5, 7}},
		{Float: true, Bits: 8, Activations: Blocks, Block: [2]int{16, 16}},
		{Float: true, Bits: 8, Activations: Token, Tensor: true},
		{Float: true, Bits: 8, Activations: Static, Tensor: true},
		{Float: true, Bits: 8, E5M2: true, Activations: Token},
		{Float: true, Bits: 8, E5M2: true, Activations: Token, Tensor: true},
		{Float: true, Bits: 8, E5M2: true, Activations: Static},
		{Float: true, Bits: 8, E5M2: true},
		{Float: true, Bits: 8, E5M2: true, Activations: Blocks, Block: [2]int{16, 16}},
		{Float: true, Bits: 4, Group: MXGroup, Scales: E8M0},
		{Float: true, Bits: 4, Group: NVGroup, Scales: E4M3},
		{Bits: 3},
		{Bits: 3, Group: 8},
		{Bits: 3, Group: 8, ZeroPoints: true},
		{Bits: 3, Group: 8, Order: true},
	} {
		rng := rand.New(rand.NewPCG(4, uint64(len(list))))
		e, codes := encoding(rng, f)
		w, err := New(e, codes)
		if err != nil {
			t.Fatal(err)
		}
		list[f.String()] = sample{e, codes, w}
	}
	return list
}

// encoding draws codes of a format and what else makes its weight.
func encoding(rng *rand.Rand, f Format) (Encoding, []byte) {
	e := Encoding{Format: f, Out: sampleOut, In: sampleIn}
	n := e.scales()
	e.Scale = scales(rng, n)
	switch f.Scales {
	case E8M0:
		for i := range e.Scale {
			e.Scale[i] = float32(math.Ldexp(1, rng.IntN(9)-9))
		}
	case E4M3:
		e.Global = 7
		for i := range e.Scale {
			e.Scale[i] = kernels.FromFloat8(byte(8 + rng.IntN(32)))
		}
	}
	codes := asBytes(integers(rng, e.Out*e.In, -1<<(f.Bits-1), 1<<(f.Bits-1)-1))
	if small, ok := f.Small(); ok {
		codes = smallFloats(rng, small, len(codes))
	}
	if f.ZeroPoints {
		e.Zero = integers(rng, n, -1<<(f.Bits-1), 1<<(f.Bits-1))
	}
	if f.Order {
		e.GroupOf = make([]int32, e.In)
		for i, p := range rng.Perm(e.In) {
			e.GroupOf[i] = int32(p / f.Group)
		}
	}
	if f.Activations == Static {
		e.Input = 1.0 / 64
	}
	return e, codes
}

// number is weight [o, i] of a sample, from its definition.
func (s sample) number(o, i int) float32 {
	at := o
	switch f := s.Encoding.Format; {
	case f.Tensor:
		at = 0
	case f.Block != [2]int{}:
		at = o/f.Block[0]*((s.In+f.Block[1]-1)/f.Block[1]) + i/f.Block[1]
	case s.GroupOf != nil:
		at = o*(s.In/f.Group) + int(s.GroupOf[i])
	case f.Group > 0:
		at = o*(s.In/f.Group) + i/f.Group
	}
	c := s.codes[o*s.In+i]
	switch f := s.Encoding.Format; {
	case f.Scales == E4M3:
		return kernels.E2M1.Decode(c) * (s.Scale[at] / s.Global)
	case f.Bits == 4 && f.Float:
		return kernels.E2M1.Decode(c) * s.Scale[at]
	case f.E5M2:
		return kernels.E5M2.Decode(c) * s.Scale[at]
	case f.Float:
		return kernels.FromFloat8(c) * s.Scale[at]
	}
	zero := 0
	if s.Zero != nil {
		zero = int(s.Zero[at])
	}
	return float32(int(int8(c))-zero) * s.Scale[at]
}

// Codes, scales, zero points and groups come back as they were given; a format that no kernel
// multiplies becomes float32 of the same numbers.
func TestNewAndBack(t *testing.T) {
	for name, s := range samples(t) {
		q, ok := s.Weight.(Quantized)
		if ok != s.Encoding.Format.Multiplied() {
			t.Errorf("%s: a weight of %T", name, s.Weight)
		}
		if !ok {
			if got := s.Weight.Format(); got != "float32" {
				t.Errorf("%s: became %s", name, got)
			}
			continue
		}
		want := s.Encoding
		if got := q.Encoding(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: encoding\n%+v, want\n%+v", name, got, want)
		}
		if !slices.Equal(q.Codes(), s.codes) {
			t.Errorf("%s: other codes", name)
		}
		if got := q.Format(); got != want.Format.String() {
			t.Errorf("%s: format %s", name, got)
		}
		again, err := New(q.Encoding(), q.Codes())
		if err != nil || !slices.Equal(again.Float32(), s.Float32()) {
			t.Errorf("%s: made again, other numbers (%v)", name, err)
		}
	}
}

// all are the samples and a weight of each float format.
func all(t testing.TB) map[string]Weight {
	t.Helper()
	list := map[string]Weight{}
	for name, s := range samples(t) {
		list[name] = s.Weight
	}
	rng := rand.New(rand.NewPCG(9, 9))
	data, bits := normal(rng, sampleOut, sampleIn), make([]uint16, sampleOut*sampleIn)
	kernels.RoundBFloat16(bits, data)
	list["float32"], list["bfloat16"] = NewDense(data, sampleOut, sampleIn), NewBFloat16(bits, sampleOut, sampleIn)
	return list
}

// Every row of the table is among the samples, under its name.
func TestTable(t *testing.T) {
	weights := all(t)
	for _, r := range table {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(weights)), func(name string) bool { return strings.HasPrefix(name, r.name) }) {
			t.Errorf("no sample of %s", r.name)
		}
		if got := r.kind.String(); got != r.name {
			t.Errorf("%s is named %s", r.name, got)
		}
	}
	if got := (Format{Bits: 5}).String(); !strings.HasPrefix(got, "unknown format") {
		t.Errorf("a format of 5 bits is named %s", got)
	}
}

// Float32 is (code − zero)·scale; Row and Select give the same numbers.
func TestNumbers(t *testing.T) {
	for name, s := range samples(t) {
		dense, row := s.Float32(), make([]float32, s.In)
		for at, v := range dense {
			if want := s.number(at/s.In, at%s.In); v != want {
				t.Fatalf("%s: weight [%d, %d] is %v, want %v", name, at/s.In, at%s.In, v, want)
			}
		}
		for o := range s.Out {
			if s.Row(row, o); !slices.Equal(row, dense[o*s.In:(o+1)*s.In]) {
				t.Fatalf("%s: row %d differs", name, o)
			}
		}
	}
	for name, w := range all(t) {
		outputs := []int32{7, 3, 18}
		some, dense := w.Select(outputs), w.Float32()
		if out, in := some.Shape(); out != 3 || in != sampleIn || some.Format() != w.Format() {
			t.Errorf("%s: three outputs are [%d, %d] of %s", name, out, in, some.Format())
		}
		if !slices.Equal(some.Float32(), selected(dense, sampleIn, outputs)) {
			t.Errorf("%s: selected outputs have other numbers", name)
		}
	}
}

// The product is that of the numbers and of the activations as the format sees them.
func TestProducts(t *testing.T) {
	const rows = 5
	x := normal(rand.New(rand.NewPCG(2, 2)), rows, sampleIn)
	for i, v := range x {
		x[i] = half.FromBFloat16(half.ToBFloat16(v)) // bfloat16 rounds these no more
	}
	for name, w := range all(t) {
		seen := slices.Clone(x)
		var e Encoding
		if q, ok := w.(Quantized); ok {
			e = q.Encoding()
		}
		for r := range rows {
			quantizeRow(seen[r*sampleIn:(r+1)*sampleIn], e)
		}
		y, dense := make([]float32, rows*sampleOut), w.Float32()
		w.MulT(y, x, rows)
		for at, got := range y {
			r, o := at/sampleOut, at%sampleOut
			sum, size := 0.0, 0.0
			for i := range sampleIn {
				v := float64(seen[r*sampleIn+i])
				sum += v * float64(dense[o*sampleIn+i])
				// offsets by zero points are added as sums of their own
				size += math.Abs(v) * (math.Abs(float64(dense[o*sampleIn+i])) + 4)
			}
			if math.Abs(float64(got)-sum) > 1e-5*size {
				t.Errorf("%s row %d output %d: %g, want %g", name, r, o, got, sum)
			}
		}
	}
}

// quantizeRow replaces activations by what a format multiplies.
func quantizeRow(x []float32, e Encoding) {
	switch f := e.Format; {
	case f.Activations == Kept:
	case f.Float:
		small, _ := f.Small()
		size := len(x)
		if f.Activations == Blocks {
			size = f.Block[1]
		}
		for part := range slices.Chunk(x, size) {
			s := max(slices.Max(part), -slices.Min(part)) / small.Max()
			if f.Activations == Static {
				s = e.Input
			}
			for i, v := range part {
				part[i] = small.Decode(small.Encode(v/s)) * s
			}
		}
	default:
		q := make([]int8, len(x))
		s := kernels.QuantizeRowInt8(q, x)
		for i, v := range q {
			x[i] = float32(v) * s
		}
	}
}

// A row has the same bits alone and among others, a selected output those that it has among all, on
// any number of threads.
func TestBatchInvariance(t *testing.T) {
	const rows = 7
	x := normal(rand.New(rand.NewPCG(3, 3)), rows, sampleIn)
	outputs := []int32{4, 18, 0}
	for name, w := range all(t) {
		want := make([]float32, rows*sampleOut)
		w.MulT(want, x, rows)
		some := w.Select(outputs)
		for _, threads := range []int{1, 3} {
			restore := parallel.SetThreads(threads)
			y, part := make([]float32, rows*sampleOut), make([]float32, rows*len(outputs))
			for r := range rows {
				w.MulT(y[r*sampleOut:(r+1)*sampleOut], x[r*sampleIn:(r+1)*sampleIn], 1)
			}
			some.MulT(part, x, rows)
			restore()
			if !slices.Equal(y, want) {
				t.Errorf("%s: rows alone have other bits", name)
			}
			for at, v := range part {
				if v != want[at/len(outputs)*sampleOut+int(outputs[at%len(outputs)])] {
					t.Errorf("%s: a selected output has other bits", name)
					break
				}
			}
		}
	}
}

// A product allocates nothing once its buffers are there.
func TestProductAllocations(t *testing.T) {
	defer parallel.SetThreads(1)()
	x, y := normal(rand.New(rand.NewPCG(5, 5)), 2, sampleIn), make([]float32, 2*sampleOut)
	for name, w := range all(t) {
		w.MulT(y, x, 2)
		if n := testing.AllocsPerRun(20, func() { w.MulT(y, x, 2) }); n > 0 {
			t.Errorf("%s: %v allocations a product", name, n)
		}
	}
}

// Parts that do not belong together are refused.
func TestNewRefuses(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	for want, change := range map[string]func(e *Encoding, codes *[]byte){
		"unknown format":                           func(e *Encoding, _ *[]byte) { e.Format.Bits = 5 },
		"is not a format of codes":                 func(e *Encoding, _ *[]byte) { e.Format = Format{Float: true, Bits: 16} },
		"groups of 7 do not divide":                func(e *Encoding, _ *[]byte) { e.Format.Group = 7 },
		"found 1823 codes and 228 scales":          func(_ *Encoding, codes *[]byte) { *codes = (*codes)[1:] },
		"found 3 zero points":                      func(e *Encoding, _ *[]byte) { e.Zero = e.Zero[:3] },
		"input 0 is in group 12, expected 0 to 11": func(e *Encoding, _ *[]byte) { e.GroupOf[0] = 12 },
		"8-bit activations are not multiplied":     func(e *Encoding, _ *[]byte) { e.Format.Activations = Token },
		"code [0, 1] is 15, expected -8 to 7":      func(_ *Encoding, codes *[]byte) { (*codes)[1] = 15 },
	} {
		e, codes := encoding(rng, Format{Bits: 4, Group: 8, ZeroPoints: true, Order: true})
		change(&e, &codes)
		if _, err := New(e, codes); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// The parts of a format that no kernel multiplies are compared as well, before any is decoded.
func TestNewRefusesWhatItWouldDecode(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 7))
	for _, c := range []struct {
		want   string
		format Format
		change func(e *Encoding)
	}{
		{"input 0 is in group 12, expected 0 to 11", Format{Bits: 8, Group: 8, Order: true}, func(e *Encoding) { e.GroupOf[0] = 12 }},
		{"input 47 is in group -1", Format{Bits: 8, Group: 8, Order: true}, func(e *Encoding) { e.GroupOf[47] = -1 }},
		{"found 19 zero points", Format{Float: true, Bits: 8}, func(e *Encoding) { e.Zero = make([]int8, len(e.Scale)) }},
	} {
		e, codes := encoding(rng, c.format)
		c.change(&e)
		if _, err := New(e, codes); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.format, err, c.want)
		}
	}
}

// What a format cannot hold is refused.
func TestConstructorsRefuse(t *testing.T) {
	codes := func(n int, v int8) []int8 { return slices.Repeat([]int8{v}, n) }
	ones := func(n int) []float32 { return slices.Repeat([]float32{1}, n) }
	for name, f := range map[string]func() error{
		"int8 missing code":     func() error { _, err := NewInt8(codes(7, 0), ones(2), 2, 4); return err },
		"int8 missing scale":    func() error { _, err := NewInt8(codes(8, 0), ones(1), 2, 4); return err },
		"int4 code 8":           func() error { _, err := NewInt4(codes(16, 8), ones(2), 2, 8, 8); return err },
		"int4 code -9":          func() error { _, err := NewInt4(codes(16, -9), ones(2), 2, 8, 8); return err },
		"int4 group":            func() error { _, err := NewInt4(codes(24, 0), ones(2), 2, 12, 8); return err },
		"int4 group of nothing": func() error { _, err := NewInt4(codes(16, 0), ones(2), 2, 8, 0); return err },
		"int4 missing scale":    func() error { _, err := NewInt4(codes(16, 0), ones(1), 2, 8, 8); return err },
		"int4 by int8 code":     func() error { _, err := NewInt4A8(codes(16, 8), ones(2), 2, 8, 8); return err },
	} {
		if f() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
