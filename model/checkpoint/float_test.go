package checkpoint

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestBfloat16(t *testing.T) {
	for code := range 1 << 16 {
		f := bfloat16(uint16(code))
		if back := toBfloat16(f); f == f && back != uint16(code) {
			t.Fatalf("toBfloat16(bfloat16(%#04x)) = %#04x", code, back)
		}
	}
	// Rounding: the nearer of the two neighbours; of equally near ones the even.
	check := func(bits uint32) {
		f := math.Float32frombits(bits)
		got := toBfloat16(f)
		switch {
		case f != f:
			if v := bfloat16(got); v == v {
				t.Fatalf("toBfloat16(%#08x) = %#04x, expected NaN", bits, got)
			}
		default:
			low, rest := uint16(bits>>16), bits&0xffff
			want := low
			if rest > 0x8000 || rest == 0x8000 && low&1 == 1 {
				want++
			}
			if got != want {
				t.Fatalf("toBfloat16(%#08x) = %#04x, expected %#04x", bits, got, want)
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
