package quant

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"slimlab/kernels"
	"slimlab/kernels/machine"
	"slimlab/kernels/matrix"
	"slimlab/kernels/parallel"
	"slimlab/model/calibrate"
	"slimlab/model/weight"
)

// BenchmarkGPTQ rounds one linear layer whose Gram matrix is given. Its operations are those of the
// method, multiply-adds counted as two: n³/3 for the factorisation, n³/3 for the inverse of the
// triangle, and n² for each output. The share is of what the machine's float64 arithmetic gives at
// most, half of its float32.
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
			peak := float64Peak()
			for b.Loop() {
				if _, err := (GPTQ{}).Round(context.Background(), w, g, &Moments{Stats: &calibrate.Stats{Gram: gram}}); err != nil {
					b.Fatal(err)
				}
			}
			n := float64(size.in)
			rate := (2*n*n*n/3 + n*n*float64(size.out)) * float64(b.N) / b.Elapsed().Seconds()
			b.ReportMetric(rate/1e9, "GFLOP/s")
			b.ReportMetric(100*rate/peak, "%peak")
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

// float64Peak is half of the float32 operations a second of package machine's loop, the best of a
// few times.
func float64Peak() float64 {
	const rounds = 1 << 21
	loop, best := machine.Loops(kernels.Implementation())[0], 0.0
	for range 5 {
		start := time.Now()
		loop.Run(parallel.Threads(), rounds)
		best = max(best, float64(loop.Operations*rounds*parallel.Threads())/time.Since(start).Seconds())
	}
	return best / 2
}
