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

// BenchmarkTrained has a training step's three products with a weight, of operands and weight
// packed before.
func BenchmarkTrained(b *testing.B) {
	for _, s := range [][3]int{{1024, 1024, 1024}, {1504, 128, 128}, {1504, 384, 128}, {1504, 128, 384}, {1504, 256, 96}, {8, 384, 128}} {
		rows, out, in := s[0], s[1], s[2]
		r := rand.New(rand.NewPCG(1, 2))
		x, dy, data := make([]float32, rows*in), make([]float32, rows*out), make([]float32, out*in)
		for _, v := range [][]float32{x, dy, data} {
			normals(v, r)
		}
		for number, name := range []string{"y", "dx", "dw"} {
			b.Run(fmt.Sprintf("%s/rows=%d,out=%d,in=%d", name, rows, out, in), func(b *testing.B) {
				benchEach(b, func(b *testing.B) {
					w, input, gradient := NewTrainedWeight(out, in, Float32), new(Operand), new(Operand)
					w.Pack(data)
					input.Pack(x, rows, in, Float32, Rows|RightSide)
					gradient.Pack(dy, rows, out, Float32, Rows|LeftSide)
					y, dx, dw := make([]float32, rows*out), make([]float32, rows*in), make([]float32, out*in)
					b.ReportAllocs()
					for b.Loop() {
						switch number {
						case 0:
							Run(w.Begin(y, input))
						case 1:
							Run(w.BeginInput(dx, gradient))
						case 2:
							Run(BeginGradient(dw, gradient, input))
						}
					}
					reportRate(b, rows*out*in)
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
		for _, m := range multipliers(out, in, 32, r)[:4] {
			bytes := map[string]int{"float32": 4 * out * in, "bfloat16": 2 * out * in, "int8": out * in, "int4": out*in/2 + 4*out*in/32}[m.name]
			for _, rows := range []int{1, 8, 64, 512} {
				x, y := make([]float32, rows*in), make([]float32, rows*out)
				normals(x, r)
				b.Run(fmt.Sprintf("%s/out=%d,in=%d,rows=%d", m.name, out, in, rows), func(b *testing.B) {
					benchEach(b, func(b *testing.B) {
						w := m.pack()
						b.ReportAllocs()
						b.SetBytes(int64(bytes))
						for b.Loop() {
							w.MulT(y, x, rows)
						}
						reportRate(b, rows*out*in)
					})
				})
			}
		}
	}
}
