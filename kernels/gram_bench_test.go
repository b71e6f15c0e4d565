package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"slimlab/kernels/memory"
)

// BenchmarkGram has the inputs of a 0.5B model's layers.
func BenchmarkGram(b *testing.B) {
	const rows = 1024
	for _, width := range []int{896, 4864} {
		x, g := memory.Aligned[float32](rows*width), memory.Aligned[float32](width*width)
		normals(x, rand.New(rand.NewPCG(1, 2)))
		for _, precision := range []Precision{Float32, BFloat16} {
			b.Run(fmt.Sprintf("%v/width=%d", precision, width), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					AddGram(g, x, rows, width, precision)
				}
				b.ReportMetric(float64(rows*width*(width+1))*float64(b.N)/1e9/b.Elapsed().Seconds(), "GFLOP/s")
			})
		}
	}
}
