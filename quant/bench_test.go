//go:build unix

package quant

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"slimlab/kernels"
	"slimlab/kernels/machine/machinetest"
	"slimlab/kernels/matrix"
	"slimlab/model/calibrate"
	"slimlab/model/weight"
)

// BenchmarkGPTQ rounds one linear layer whose Gram matrix is given. Its operations are those of
// the method, multiply-adds counted as two: n³/3 for the factorisation, and n² for each output.
// The rate is that of CPU seconds, so that other work on the machine disturbs it little; the share
// is of what a CPU second of float64 multiply-adds on registers gives, half of float32, which is
// measured after each layer.
func BenchmarkGPTQ(b *testing.B) {
	for _, size := range []struct{ out, in int }{{4864, 896}, {896, 4864}} {
		b.Run(fmt.Sprintf("out=%d/in=%d", size.out, size.in), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			w := weights(rng, size.out, size.in)
			gram := gramOf(rng, size.in)
			g, err := NewGrid(weight.Format{Bits: 4, Group: 128}, w, kernels.BFloat16)
			if err != nil {
				b.Fatal(err)
			}
			n := float64(size.in)
			operations := n*n*n/3 + n*n*float64(size.out)
			least, peak := math.Inf(1), 0.0
			for b.Loop() {
				start := machinetest.CPUSeconds()
				if _, err := (GPTQ{}).Round(context.Background(), w, g, &Moments{Stats: &calibrate.Stats{Gram: gram}}); err != nil {
					b.Fatal(err)
				}
				least = min(least, machinetest.CPUSeconds()-start)
				b.StopTimer()
				peak = max(peak, machinetest.Float64Peak())
				b.StartTimer()
			}
			b.ReportMetric(least, "cpu-s")
			b.ReportMetric(operations/least/1e9, "GFLOP/cpu-s")
			b.ReportMetric(100*operations/least/peak, "%peak")
		})
	}
}

// gramOf is the mean Gram matrix of random correlated inputs.
func gramOf(rng *rand.Rand, n int) matrix.Dense {
	x := matrix.NewDense(n+n/2, n, nil)
	for i := range x.Rows {
		common := rng.NormFloat64()
		for j := range x.Cols {
			x.Row(i)[j] = rng.NormFloat64() + common
		}
	}
	h := matrix.NewDense(n, n, nil)
	matrix.AddProduct(context.Background(), h, x.T(), x, 1/float64(x.Rows))
	return h
}

// BenchmarkQuantEase rounds one linear layer from both starts, with its 30 sweeps.
func BenchmarkQuantEase(b *testing.B) {
	for _, size := range []struct{ out, in int }{{4864, 896}, {896, 4864}} {
		b.Run(fmt.Sprintf("out=%d/in=%d", size.out, size.in), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			w := weights(rng, size.out, size.in)
			gram := gramOf(rng, size.in)
			g, err := NewGrid(weight.Format{Bits: 4, Group: 128}, w, kernels.BFloat16)
			if err != nil {
				b.Fatal(err)
			}
			least := math.Inf(1)
			for b.Loop() {
				start := machinetest.CPUSeconds()
				if _, err := (QuantEase{}).Round(context.Background(), w, g, &Moments{Stats: &calibrate.Stats{Gram: gram}}); err != nil {
					b.Fatal(err)
				}
				least = min(least, machinetest.CPUSeconds()-start)
			}
			b.ReportMetric(least, "cpu-s")
		})
	}
}
