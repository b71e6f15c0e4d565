package weight

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"slimlab/kernels"
)

// The product is that of the dequantized weight and of each row rounded to FP8 with its own scale.
func TestFP8MatchesFakeQuant(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	for _, shape := range [][2]int{{3, 8}, {17, 33}, {64, 128}} {
		out, in := shape[0], shape[1]
		w, err := NewFP8(float8s(rng, out*in), scales(rng, out), 0, out, in)
		if err != nil {
			t.Fatal(err)
		}
		const rows = 3
		x, y := normal(rng, rows, in), make([]float32, rows*out)
		w.MulT(y, x, rows)
		dense := w.Float32()
		for r := range rows {
			row := x[r*in : (r+1)*in]
			s := max(slices.Max(row), -slices.Min(row)) / 448
			for o := range out {
				sum, size := 0.0, 0.0
				for i, v := range row {
					p := float64(kernels.FromFloat8(kernels.ToFloat8(v/s))) * float64(s) * float64(dense[o*in+i])
					sum += p
					size += math.Abs(p)
				}
				if got := float64(y[r*out+o]); math.Abs(got-sum) > 1e-5*size {
					t.Errorf("[%d, %d] row %d output %d: %g, fake quantization gives %g", out, in, r, o, got, sum)
				}
			}
		}
	}
}

// float8s draws n codes of E4M3 that are numbers.
func float8s(rng *rand.Rand, n int) []byte { return smallFloats(rng, kernels.E4M3, n) }

// smallFloats draws n codes of a format that are numbers.
func smallFloats(rng *rand.Rand, f kernels.SmallFloat, n int) []byte {
	q := make([]byte, 0, n)
	for len(q) < n {
		if c := byte(rng.IntN(f.Codes())); f.IsNumber(c) {
			q = append(q, c)
		}
	}
	return q
}

// Codes that are no numbers, and scales that do not fit, are refused by name.
func TestFP8Refuses(t *testing.T) {
	for want, f := range map[string]func() error{
		"code [1, 0] is 0x7f":         func() error { _, err := NewFP8([]byte{0, 0, 0x7f, 0}, []float32{1, 1}, 0, 2, 2); return err },
		"code [0, 1] is 0xff":         func() error { _, err := NewFP8([]byte{0, 255, 0, 0}, []float32{1, 1}, 0, 2, 2); return err },
		"found 3 codes":               func() error { _, err := NewFP8([]byte{0, 0, 0}, []float32{1, 1}, 0, 2, 2); return err },
		"and 1 scales":                func() error { _, err := NewFP8([]byte{0, 0, 0, 0}, []float32{1}, 0, 2, 2); return err },
		"scale of activations is NaN": func() error { _, err := NewFP8([]byte{0}, []float32{1}, float32(math.NaN()), 1, 1); return err },
		"scale of activations is -1":  func() error { _, err := NewFP8([]byte{0}, []float32{1}, -1, 1, 1); return err },
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
