package kernels

import (
	"math/rand/v2"
	"testing"

	"slimlab/kernels/parallel"
)

// benchRow runs f under every implementation, on one thread; it reports GB/s of bytes moved or, for
// flops, GFLOP/s.
func benchRow(b *testing.B, bytes int64, flops float64, f func()) {
	for _, name := range Implementations() {
		b.Run(name, func(b *testing.B) {
			restore, err := Use(name)
			if err != nil {
				b.Fatal(err)
			}
			defer restore()
			defer parallel.SetThreads(1)()
			b.SetBytes(bytes)
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
			if flops > 0 {
				b.ReportMetric(flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			}
		})
	}
}

// The sizes are those of a small student: 2048 tokens of 128, and an MLP of 384.
const benchRows, benchDim, benchWidth = 2048, 128, 384

func benchVectors(n, count int) [][]float32 {
	r := rand.New(rand.NewPCG(1, 1))
	list := make([][]float32, count)
	for i := range list {
		list[i] = randoms(r, n, 0, 1).x
	}
	return list
}

func BenchmarkExp(b *testing.B) {
	v := benchVectors(1<<12, 2)
	benchRow(b, 8<<12, 0, func() { active.Load().rows.exp(v[1], v[0]) })
}

func BenchmarkSoftmax(b *testing.B) {
	const rows, n = 64, 1024
	v := benchVectors(rows*n, 2)
	benchRow(b, 8*rows*n, 0, func() {
		for i := range rows {
			softmax(v[1][i*n:(i+1)*n], v[0][i*n:(i+1)*n])
		}
	})
}

func BenchmarkRMSNorm(b *testing.B) {
	v, rstd := benchVectors(benchRows*benchDim, 3), make([]float32, benchRows)
	benchRow(b, 8*benchRows*benchDim, 0, func() { RMSNorm{Weight: v[2][:benchDim], Epsilon: 1e-6}.Forward(v[1], rstd, v[0], benchRows) })
}

func BenchmarkRMSNormBackward(b *testing.B) {
	v, rstd := benchVectors(benchRows*benchDim, 4), benchVectors(benchRows, 1)[0]
	dw := make([]float32, benchDim)
	benchRow(b, 16*benchRows*benchDim, 0, func() { RMSNorm{Weight: v[3][:benchDim]}.Backward(v[1], dw, v[0], v[2], rstd, benchRows) })
}

func BenchmarkRope(b *testing.B) {
	const heads, dim = 4, 32
	x, table, positions := benchVectors(benchRows*heads*dim, 1)[0], NewRopeTable(128, RopeFrequencies(dim, 10000), 1), make([]int32, benchRows)
	for i := range positions {
		positions[i] = int32(i % 128)
	}
	benchRow(b, 8*benchRows*heads*dim, 0, func() { Rope(x, positions, heads, table) })
}

func BenchmarkSwiGLU(b *testing.B) {
	v := benchVectors(benchRows*benchWidth, 3)
	benchRow(b, 12*benchRows*benchWidth, 0, func() { SwiGLU(v[0], v[1], v[2]) })
}

func BenchmarkSwiGLUBackward(b *testing.B) {
	v := benchVectors(benchRows*benchWidth, 5)
	benchRow(b, 20*benchRows*benchWidth, 0, func() { SwiGLUBackward(v[0], v[1], v[2], v[3], v[4]) })
}

func BenchmarkSumRows(b *testing.B) {
	v := benchVectors(benchRows*benchDim, 2)
	benchRow(b, 4*benchRows*benchDim, 0, func() { SumRows(v[1], v[0], benchRows, benchDim) })
}

func BenchmarkSumSquares(b *testing.B) {
	v := benchVectors(1<<20, 1)
	benchRow(b, 4<<20, 0, func() { SumSquares(v[0]) })
}

func BenchmarkAdamW(b *testing.B) {
	const n = 1 << 20
	v := benchVectors(n, 4)
	clear(v[3])
	a := AdamW{LearningRate: 1e-6, Beta1: 0.9, Beta2: 0.95, Epsilon: 1e-8, Step: 10, GradScale: 1}
	benchRow(b, 28*n, 0, func() { a.Update(v[0], v[1], v[2], v[3]) })
}
