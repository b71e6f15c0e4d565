package weight

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"slimlab/kernels"
)

// normal draws rows of in standard normal numbers.
func normal(rng *rand.Rand, rows, in int) []float32 {
	x := make([]float32, rows*in)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

// integers draws n codes from lowest to highest.
func integers(rng *rand.Rand, n, lowest, highest int) []int8 {
	q := make([]int8, n)
	for i := range q {
		q[i] = int8(lowest + rng.IntN(highest-lowest+1))
	}
	return q
}

// scales draws n positive scales.
func scales(rng *rand.Rand, n int) []float32 {
	list := make([]float32, n)
	for i := range list {
		list[i] = float32(1+rng.IntN(1000)) / 4096
	}
	return list
}

// The integer product equals the product of the dequantized weight and the dequantized activations.
func TestInt8MatchesFakeQuant(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, shape := range [][2]int{{3, 8}, {17, 33}, {64, 128}} {
		out, in := shape[0], shape[1]
		w, err := NewInt8(integers(rng, out*in, -127, 127), scales(rng, out), out, in)
		if err != nil {
			t.Fatal(err)
		}
		const rows = 5
		x := normal(rng, rows, in)
		clear(x[2*in : 3*in]) // a token of zeros
		y := make([]float32, rows*out)
		w.MulT(y, x, rows)
		dense := w.Float32()
		q := make([]int8, in)
		for r := range rows {
			s := kernels.QuantizeRowInt8(q, x[r*in:(r+1)*in])
			for o := range out {
				sum, size := 0.0, 0.0
				for i := range in {
					p := float64(q[i]) * float64(s) * float64(dense[o*in+i])
					sum += p
					size += math.Abs(p)
				}
				if got := float64(y[r*out+o]); math.Abs(got-sum) > 1e-6*size {
					t.Errorf("[%d, %d] row %d output %d: %g, fake quantization gives %g", out, in, r, o, got, sum)
				}
			}
		}
	}
}

// A token scaled by a power of two has the same codes, and so an output scaled alike.
func TestInt8PerTokenScale(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	w, err := NewInt8(integers(rng, 6*40, -127, 127), scales(rng, 6), 6, 40)
	if err != nil {
		t.Fatal(err)
	}
	x := normal(rng, 1, 40)
	scaled := make([]float32, 40)
	for i, v := range x {
		scaled[i] = v * 8
	}
	a, b := make([]int8, 40), make([]int8, 40)
	kernels.QuantizeRowInt8(a, x)
	kernels.QuantizeRowInt8(b, scaled)
	if !slices.Equal(a, b) {
		t.Error("a scaled token has other codes")
	}
	y, z := make([]float32, 6), make([]float32, 6)
	w.MulT(y, x, 1)
	w.MulT(z, scaled, 1)
	for o := range y {
		if y[o]*8 != z[o] {
			t.Errorf("output %d: %g, for the token times 8 %g", o, y[o], z[o])
		}
	}
}
