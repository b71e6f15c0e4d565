package weight

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

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
