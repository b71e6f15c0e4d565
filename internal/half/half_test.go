package half

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestEveryFloat16: every half decodes to the number that its bits mean and encodes back to itself.
func TestEveryFloat16(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		exponent, fraction := int(h>>10)&31, float64(h&0x3ff)
		var want float64
		switch exponent {
		case 0:
			want = math.Ldexp(fraction, -24)
		case 31:
			want = math.Inf(1)
			if fraction != 0 {
				want = math.NaN()
			}
		default:
			want = math.Ldexp(1024+fraction, exponent-25)
		}
		if h>>15 == 1 {
			want = -want
		}
		got := float64(FromFloat16(h))
		if got != want && !(math.IsNaN(got) && math.IsNaN(want)) || math.Signbit(got) != (h>>15 == 1) {
			t.Fatalf("%#04x: found %g, expected %g", h, got, want)
		}
		back := ToFloat16(FromFloat16(h))
		if math.IsNaN(want) {
			if f := FromFloat16(back); f == f {
				t.Fatalf("%#04x: NaN became %g", h, f)
			}
		} else if back != h {
			t.Fatalf("%#04x: encoded as %#04x", h, back)
		}
	}
}

// TestFloat16Rounding: the middle of two neighbours rounds to the even one, a value one float32
// step off it to the nearer.
func TestFloat16Rounding(t *testing.T) {
	for h := uint16(0); h < 0x7c00; h++ {
		low, high := FromFloat16(h), FromFloat16(h+1)
		if h == 0x7bff {
			high = 65536 // what would follow if the exponent went on
		}
		middle := (low + high) / 2
		even := h + h&1
		for _, c := range []struct {
			f    float32
			want uint16
		}{
			{middle, even},
			{math.Nextafter32(middle, 0), h},
			{math.Nextafter32(middle, 1e9), h + 1},
		} {
			if got := ToFloat16(c.f); got != c.want {
				t.Fatalf("%g: found %#04x, expected %#04x", c.f, got, c.want)
			}
			if got := ToFloat16(-c.f); got != c.want|0x8000 {
				t.Fatalf("%g: found %#04x, expected %#04x", -c.f, got, c.want|0x8000)
			}
		}
	}
	for _, f := range []float32{65536, 1e30, float32(math.Inf(1))} {
		if got := ToFloat16(f); got != 0x7c00 {
			t.Errorf("%g: found %#04x, expected infinity", f, got)
		}
	}
}

// TestBFloat16: every bfloat16 encodes back to itself, and rounding goes to the nearer of two
// neighbours, of equally near ones to the even.
func TestBFloat16(t *testing.T) {
	for code := range 1 << 16 {
		f := FromBFloat16(uint16(code))
		if back := ToBFloat16(f); f == f && back != uint16(code) {
			t.Fatalf("ToBFloat16(FromBFloat16(%#04x)) = %#04x", code, back)
		}
	}
	// Rounding: the nearer of the two neighbours; of equally near ones the even.
	check := func(bits uint32) {
		f := math.Float32frombits(bits)
		got := ToBFloat16(f)
		switch {
		case f != f:
			if v := FromBFloat16(got); v == v {
				t.Fatalf("ToBFloat16(%#08x) = %#04x, expected NaN", bits, got)
			}
		default:
			low, rest := uint16(bits>>16), bits&0xffff
			want := low
			if rest > 0x8000 || rest == 0x8000 && low&1 == 1 {
				want++
			}
			if got != want {
				t.Fatalf("ToBFloat16(%#08x) = %#04x, expected %#04x", bits, got, want)
			}
		}
	}
	for _, bits := range []uint32{0x3f808000, 0x3f818000, 0x3f808001, 0x3f807fff, 0x7f7fffff, 0x7f800000, 0x7f800001, 0xffffffff, 1, 0x80000000} {
		check(bits)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		check(rng.Uint32())
	}
}
