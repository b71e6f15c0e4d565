package weight

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"slimlab/kernels"
)

// With activations that bfloat16 holds exactly, nothing but the sums is rounded; in 8 bits with
// those that the row's quantization makes of them.

func TestInt4MatchesDequantized(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for _, c := range []struct{ out, in, group int }{{3, 32, 32}, {10, 64, 16}, {33, 128, 64}, {5, 24, 8}} {
		q, scale := integers(rng, c.out*c.in, -8, 7), scales(rng, c.out*c.in/c.group)
		w, err := NewInt4(q, scale, c.out, c.in, c.group)
		if err != nil {
			t.Fatal(err)
		}
		by8, err := NewInt4A8(q, scale, c.out, c.in, c.group)
		if err != nil {
			t.Fatal(err)
		}
		const rows = 4
		x, dense := normal(rng, rows, c.in), w.Float32()
		seen8 := make([]float32, len(x))
		for i, v := range x {
			x[i] = math.Float32frombits(math.Float32bits(v) &^ 0xffff)
		}
		for r := range rows {
			codes := make([]int8, c.in)
			s := kernels.QuantizeRowInt8(codes, x[r*c.in:(r+1)*c.in])
			for i, v := range codes {
				seen8[r*c.in+i] = s * float32(v)
			}
		}
		check := func(what string, mulT func(y, x []float32, rows int), seen []float32) {
			y := make([]float32, rows*c.out)
			mulT(y, x, rows)
			for r := range rows {
				for o := range c.out {
					sum, size := 0.0, 0.0
					for i := range c.in {
						p := float64(seen[r*c.in+i]) * float64(dense[o*c.in+i])
						sum += p
						size += math.Abs(p)
					}
					if got := float64(y[r*c.out+o]); math.Abs(got-sum) > 1e-5*size {
						t.Errorf("%s %+v row %d output %d: %g, want %g", what, c, r, o, got, sum)
					}
				}
			}
		}
		check(w.Format(), w.MulT, x)
		check(by8.Format(), by8.MulT, seen8)
		if want := fmt.Sprintf("w4a8-g%d", c.group); by8.Format() != want || !slices.Equal(by8.Float32(), dense) {
			t.Errorf("%+v: format %q, want %q and the same weights", c, by8.Format(), want)
		}
		if got := by8.Select([]int32{1}).Format(); got != by8.Format() {
			t.Errorf("%+v: selected outputs have format %q, all of them %q", c, got, by8.Format())
		}
	}
}

// Packing and unpacking is the identity, for every code, and the constructors refuse what the
// formats cannot hold.

func TestPackingIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		out, groups := rapid.IntRange(1, 5).Draw(t, "out"), rapid.IntRange(1, 4).Draw(t, "groups")
		group := rapid.SampledFrom([]int{8, 16, 32}).Draw(t, "group")
		in := groups * group
		q := rapid.SliceOfN(rapid.Int8Range(-8, 7), out*in, out*in).Draw(t, "codes")
		scale := rapid.SliceOfN(rapid.Float32Range(0.001, 10), out*groups, out*groups).Draw(t, "scale")
		w, err := NewInt4(q, scale, out, in, group)
		if err != nil {
			t.Fatal(err)
		}
		codes, scales, size := w.Int4()
		if !slices.Equal(codes, q) || !slices.Equal(scales, scale) || size != group {
			t.Fatalf("packed %v, unpacked %v", q, codes)
		}
		if want := int64(out*in/2 + 4*out*groups); w.Bytes() != want {
			t.Fatalf("%d bytes, want %d", w.Bytes(), want)
		}
		for i, v := range w.Float32() {
			if v != float32(q[i])*scale[i/group] {
				t.Fatalf("weight %d is %g", i, v)
			}
		}
	})
	w, err := NewInt4([]int8{0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1}, []float32{1, 1}, 1, 16, 8)
	if err != nil {
		t.Fatal(err)
	}
	if want := []byte{0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe}; !slices.Equal(w.q, want) {
		t.Errorf("packed bytes %x, want %x", w.q, want)
	}
}

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
		"int4 odd width":        func() error { _, err := NewInt4(codes(6, 0), ones(6), 2, 3, 1); return err },
	} {
		if f() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
