package kernels

import (
	"math"
	"math/rand/v2"
	"testing"
)

// roundedReference is x rounded to bfloat16 by the definition: the nearest of the two neighbours,
// on a tie the one with an even fraction.
func roundedReference(x []float32) []float32 {
	r := make([]float32, len(x))
	for i, v := range x {
		low := math.Float32frombits(math.Float32bits(v) &^ 0xffff)
		high := math.Float32frombits(math.Float32bits(v)&^0xffff + 1<<16)
		below, above := math.Abs(float64(v)-float64(low)), math.Abs(float64(high)-float64(v))
		r[i] = low
		if above < below || above == below && math.Float32bits(low)>>16&1 == 1 {
			r[i] = high
		}
	}
	return r
}

func TestRoundBFloat16(t *testing.T) {
	eachImplementation(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(20, 0))
		for n := range 70 {
			guarded := newGuarded(n, n%5)
			x := guarded.x
			for i := range x {
				// Ties and numbers that bfloat16 holds among them, none infinite.
				x[i] = math.Float32frombits(r.Uint32() &^ (1<<30 | [...]uint32{0, 0x7fff, 0xffff}[r.IntN(3)]))
			}
			got := make([]uint16, n+2)
			got[n] = 7
			RoundBFloat16(got, x)
			guarded.check(t, "RoundBFloat16")
			if got[n] != 7 || got[n+1] != 0 {
				t.Fatalf("rounding %d numbers writes behind them", n)
			}
			inPlace, same := append([]float32(nil), x...), append([]float32(nil), x...)
			BFloat16.Round(inPlace)
			Float32.Round(same)
			equalBits(t, "rounded in place", inPlace, roundedReference(x))
			equalBits(t, "not rounded", same, x)
			for i, want := range roundedReference(x) {
				if got := math.Float32frombits(uint32(got[i]) << 16); math.Float32bits(got) != math.Float32bits(want) {
					t.Fatalf("%v (%#x) rounds to %v, want %v", x[i], math.Float32bits(x[i]), got, want)
				}
			}
		}
		nan := math.Float32frombits
		for _, c := range []struct {
			x    float32
			want uint16
		}{
			{float32(math.Inf(1)), 0x7f80}, {float32(math.Inf(-1)), 0xff80}, {math.MaxFloat32, 0x7f80}, {-math.MaxFloat32, 0xff80},
			{nan(0x7f800001), 0x7fc0}, {nan(0xffffffff), 0xffff}, {nan(0x7fc00000), 0x7fc0}, {float32(math.Copysign(0, -1)), 0x8000},
			{math.SmallestNonzeroFloat32, 0}, {nan(0x7f7f8000), 0x7f80}, {nan(0x7f7f7fff), 0x7f7f},
		} {
			x, got := make([]float32, 17), make([]uint16, 17)
			for i := range x {
				x[i] = c.x
			}
			RoundBFloat16(got, x)
			for i, g := range got {
				if g != c.want {
					t.Errorf("%v (%#x) at %d rounds to %#x, want %#x", c.x, math.Float32bits(c.x), i, g, c.want)
				}
			}
		}
	})
}

func TestPrecisionNames(t *testing.T) {
	if Float32.String() != "float32" || BFloat16.String() != "bfloat16" {
		t.Errorf("precisions are called %v and %v", Float32, BFloat16)
	}
}
