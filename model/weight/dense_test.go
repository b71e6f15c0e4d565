package weight

import (
	"math/rand/v2"
	"slices"
	"testing"

	"slimlab/kernels"
)

// A float32 weight has the products of its numbers as they are or, in bfloat16, those of a weight
// of that format, also where it was multiplied in the other precision before.
func TestDensePrecision(t *testing.T) {
	const out, in, rows = 21, 35, 6
	rng := rand.New(rand.NewPCG(5, 6))
	numbers := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(rng.NormFloat64())
		}
		return x
	}
	data, x, bits := numbers(out*in), numbers(rows*in), make([]uint16, out*in)
	kernels.RoundBFloat16(bits, data)
	product := func(w Weight) []float32 {
		y := make([]float32, rows*out)
		w.MulT(y, x, rows)
		return y
	}
	d := NewDense(data, out, in)
	plain, rounded := product(NewDense(data, out, in)), product(NewBFloat16(bits, out, in))
	for i, p := range []kernels.Precision{kernels.Float32, kernels.BFloat16, kernels.BFloat16, kernels.Float32} {
		d.MultiplyIn(p)
		want := plain
		if p == kernels.BFloat16 {
			want = rounded
		}
		if !slices.Equal(product(d), want) {
			t.Errorf("step %d: other products in %v", i, p)
		}
	}
	if slices.Equal(plain, rounded) {
		t.Error("the precision changes nothing")
	}
}
