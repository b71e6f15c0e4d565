//go:build unix

package kernels_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"slimlab/kernels"
	"slimlab/kernels/machine/machinetest"
	"slimlab/kernels/parallel"
)

// BenchmarkFormats has the products of one weight in all formats beside each other, in one thread's
// CPU time: GFLOP/s, and GB/s of what the format takes in memory. The rounds of all formats take
// turns, so that a disturbance meets all alike, and the median counts.
func BenchmarkFormats(b *testing.B) {
	defer parallel.SetThreads(1)()
	const out, in = 4096, 4096
	r := rand.New(rand.NewPCG(1, 2))
	normals := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		return x
	}
	bits, q4 := make([]uint16, out*in), make([]int8, out*in)
	kernels.RoundBFloat16(bits, normals(out*in))
	q8, e4, e8 := make([]int8, out*in), make([]byte, out*in), make([]byte, out*in)
	b8 := make([]byte, out*in)
	for i := range q8 {
		q8[i], q4[i], e4[i], e8[i] = int8(r.IntN(255)-127), int8(r.IntN(16)-8), byte(r.IntN(16)), byte(r.IntN(0x7b)) // a number in both
		b8[i] = byte(q8[i])
	}
	grouped := func(form kernels.GroupedForm, codes []byte, group int, rounds bool) product {
		return kernels.PackGrouped(kernels.GroupedWeight{Codes: codes, Form: form, Scale: normals(out * in / group), Out: out, In: in, Group: group, Rounds: rounds})
	}
	const weights = float64(out * in)
	formats := []struct {
		name  string
		w     product
		bytes float64 // in memory
		times []float64
	}{
		{name: "bfloat16", w: kernels.PackBFloat16(bits, out, in), bytes: 2 * weights},
		{name: "w4a16-g128", w: kernels.PackInt4(q4, normals(out*in/128), out, in, 128), bytes: weights/2 + 4*weights/128},
		{name: "mxfp4", w: kernels.PackFloat4(e4, normals(out*in/32), out, in, 32), bytes: weights/2 + 4*weights/32},
		{name: "nvfp4", w: kernels.PackFloat4(e4, normals(out*in/16), out, in, 16), bytes: weights/2 + 4*weights/16},
		{name: "w8a16", w: grouped(kernels.GroupedInt8, b8, in, false), bytes: weights},
		{name: "w8a16-g128", w: grouped(kernels.GroupedInt8, b8, 128, false), bytes: weights + 4*weights/128},
		{name: "w8a16-g32", w: grouped(kernels.GroupedInt8, b8, 32, false), bytes: weights + 4*weights/32},
		{name: "w8a8", w: kernels.PackInt8(q8, normals(out), out, in), bytes: weights},
		{name: "fp8-dynamic", w: kernels.PackFloat8(kernels.E4M3, e8, normals(out), 0, out, in), bytes: 2 * weights},
		{name: "fp8-b128x128", w: grouped(kernels.GroupedE4M3, e8, 128, true), bytes: 2*weights + 4*weights/128},
		{name: "fp8-e5m2-dynamic", w: kernels.PackFloat8(kernels.E5M2, e8, normals(out), 0, out, in), bytes: 2 * weights},
	}
	for _, rows := range []int{1, 256} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			x, y := normals(rows*in), make([]float32, rows*out)
			for i := range formats {
				formats[i].times = nil
			}
			for b.Loop() {
				for i := range formats {
					f := &formats[i]
					f.w.MulT(y, x, rows) // the caches as the format has them
					start := machinetest.CPUSeconds()
					f.w.MulT(y, x, rows)
					f.times = append(f.times, machinetest.CPUSeconds()-start)
				}
			}
			for _, f := range formats {
				slices.Sort(f.times)
				t := f.times[len(f.times)/2]
				b.Logf("%-18s %7.1f GFLOP/s %6.1f GB/s in memory, median of %d", f.name, 2*float64(rows)*weights/t/1e9, f.bytes/t/1e9, len(f.times))
			}
		})
	}
}

type product interface {
	MulT(y, x []float32, rows int)
}
