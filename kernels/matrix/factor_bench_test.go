//go:build unix

package matrix

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slimlab/kernels/machine/machinetest"
	"sync"
	"testing"
)

// BenchmarkFactor gives the CPU seconds of one factorisation and of one inverse of a triangle, n³/3
// operations each with multiply-adds counted as two, and their rate as a share of what a CPU second
// of float64 multiply-adds on registers gives, half of float32, measured after each.
func BenchmarkFactor(b *testing.B) {
	for _, n := range []int{896, 1792, 4864} {
		var h, u, x Dense
		prepare := sync.OnceFunc(func() {
			h, x = definite(rand.New(rand.NewPCG(1, 2)), n), NewDense(n, n, nil)
			u = h.copyOf()
			Cholesky(context.Background(), u)
		})
		for _, work := range []struct {
			name string
			from *Dense
			run  func()
			n3   float64 // operations in cubes of n
		}{
			{"cholesky", &h, func() { Cholesky(context.Background(), x) }, 1. / 3},
			{"inverse", &u, func() { invertUpper(context.Background(), x) }, 1. / 3},
			{"product", &u, func() { AddProduct(context.Background(), x, h, h, 1) }, 2},
		} {
			b.Run(fmt.Sprintf("%s/n=%d", work.name, n), func(b *testing.B) {
				prepare()
				least, peak := math.Inf(1), 0.0
				for b.Loop() {
					b.StopTimer()
					copy(x.Data, work.from.Data)
					b.StartTimer()
					start := machinetest.CPUSeconds()
					work.run()
					least = min(least, machinetest.CPUSeconds()-start)
					b.StopTimer()
					peak = max(peak, machinetest.Float64Peak())
					b.StartTimer()
				}
				b.ReportMetric(1000*least, "cpu-ms")
				b.ReportMetric(100*work.n3*float64(n)*float64(n)*float64(n)/least/peak, "%peak")
			})
		}
	}
}
