package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"slimlab/kernels/parallel"
)

// benchEach runs f as a sub-benchmark with each implementation, on one thread and on all.
func benchEach(b *testing.B, f func(b *testing.B)) {
	for _, name := range Implementations() {
		for _, threads := range []int{1, parallel.Threads()} {
			b.Run(fmt.Sprintf("%s/threads=%d", name, threads), func(b *testing.B) {
				restore, err := Use(name)
				if err != nil {
					b.Fatal(err)
				}
				defer restore()
				defer parallel.SetThreads(threads)()
				f(b)
			})
		}
	}
}

func reportRate(b *testing.B, multiplyAdds int) {
	b.ReportMetric(2*float64(multiplyAdds)*float64(b.N)/1e9/b.Elapsed().Seconds(), "GFLOP/s")
}

func BenchmarkForms(b *testing.B) {
	for _, f := range trainedForms(Float32) {
		for _, s := range [][3]int{{1024, 1024, 1024}, {1504, 128, 128}, {1504, 384, 128}, {1504, 128, 384}, {1504, 256, 96}, {8, 384, 128}} {
			rows, out, in := s[0], s[1], s[2]
			m, n, k := rows, out, in
			switch f.name {
			case "dx":
				n, k = in, out
			case "dw":
				m, n, k = out, in, rows
			}
			r := rand.New(rand.NewPCG(1, 2))
			x, y, z := make([]float32, m*k), make([]float32, k*n), make([]float32, m*n)
			normals(x, r)
			normals(y, r)
			b.Run(fmt.Sprintf("%s/rows=%d,out=%d,in=%d", f.name, rows, out, in), func(b *testing.B) {
				benchEach(b, func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						f.run(z, x, y, m, n, k, false)
					}
					reportRate(b, m*n*k)
				})
			})
		}
	}
}

// BenchmarkRegion is the cost of handing out two empty items, back to back.
func BenchmarkRegion(b *testing.B) {
	b.ReportAllocs()
	f := func(int) {}
	for b.Loop() {
		parallel.For(2, f)
	}
}

// BenchmarkPacked has the sizes of a 0.5B model's MLP and of a small ranking model; MB/s is the
// format read once a call.
func BenchmarkPacked(b *testing.B) {
	for _, size := range [][2]int{{4864, 896}, {128, 128}} {
		out, in := size[0], size[1]
		r := rand.New(rand.NewPCG(1, 2))
		for number, w := range packedWeights(out, in, 32, r) {
			bytes := []int{4 * out * in, out * in, out*in/2 + 4*out*in/32, out*in/2 + 4*out*in/32}[number]
			for _, rows := range []int{1, 8, 64, 512} {
				x, y := make([]float32, rows*in), make([]float32, rows*out)
				normals(x, r)
				b.Run(fmt.Sprintf("%s/out=%d,in=%d,rows=%d", w.name, out, in, rows), func(b *testing.B) {
					benchEach(b, func(b *testing.B) {
						b.ReportAllocs()
						b.SetBytes(int64(bytes))
						for b.Loop() {
							w.mulT(y, x, rows)
						}
						reportRate(b, rows*out*in)
					})
				})
			}
		}
	}
}
