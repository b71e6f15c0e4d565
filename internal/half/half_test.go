package half

import (
	"math"
	"testing"
)

// TestEveryHalf: every half decodes to the number that its bits mean and encodes back to itself.
func TestEveryHalf(t *testing.T) {
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
		got := float64(Float32(h))
		if got != want && !(math.IsNaN(got) && math.IsNaN(want)) || math.Signbit(got) != (h>>15 == 1) {
			t.Fatalf("%#04x: found %g, expected %g", h, got, want)
		}
		back := Bits(Float32(h))
		if math.IsNaN(want) {
			if f := Float32(back); f == f {
				t.Fatalf("%#04x: NaN became %g", h, f)
			}
		} else if back != h {
			t.Fatalf("%#04x: encoded as %#04x", h, back)
		}
	}
}

// TestRounding: between two neighbours lies the middle, which goes to the even one; a float32 step
// off it goes to the nearer.
func TestRounding(t *testing.T) {
	for h := uint16(0); h < 0x7c00; h++ {
		low, high := Float32(h), Float32(h+1)
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
			if got := Bits(c.f); got != c.want {
				t.Fatalf("%g: found %#04x, expected %#04x", c.f, got, c.want)
			}
			if got := Bits(-c.f); got != c.want|0x8000 {
				t.Fatalf("%g: found %#04x, expected %#04x", -c.f, got, c.want|0x8000)
			}
		}
	}
	for _, f := range []float32{65536, 1e30, float32(math.Inf(1))} {
		if got := Bits(f); got != 0x7c00 {
			t.Errorf("%g: found %#04x, expected infinity", f, got)
		}
	}
}
