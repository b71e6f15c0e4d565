package kernels

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unsafe"

	"slimlab/kernels/machine"
	"slimlab/kernels/parallel"
)

// medianTime is the median time of the calls in seconds.
func medianTime(calls int, f func()) float64 {
	times := make([]float64, calls)
	for i := range times {
		start := time.Now()
		f()
		times[i] = time.Since(start).Seconds()
	}
	slices.Sort(times)
	return times[calls/2]
}

// limit measures the limit of the machine at this moment: float operations a second of the threads
// in a loop on registers.
func limit(precision Precision, threads int) float64 {
	const rounds = 100_000
	l := machine.Loops(Implementation())[0]
	for _, other := range machine.Loops(Implementation()) {
		if precision == BFloat16 && other.Format == "bfloat16" {
			l = other
		}
	}
	return float64(l.Operations*rounds*threads) / medianTime(5, func() { l.Run(threads, rounds) })
}

// readLimit measures the bytes a second that so many threads merely read of x, each its part.
func readLimit(x []float32, threads int) float64 {
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(x))), 4*len(x))
	part := len(bytes) / threads / machine.ReadBlock * machine.ReadBlock
	return float64(part*threads) / medianTime(3, func() {
		parallel.For(threads, func(i int) { machine.Read(bytes[i*part : (i+1)*part]) })
	})
}

// BenchmarkLimit holds products against what the machine does in the same second: GFLOP/s and its
// share of the rate of multiply-adds on registers, GB/s of the weight and its share of the rate at
// which the same memory is merely read. All are products with packed weights.
func BenchmarkLimit(b *testing.B) {
	if !slices.Contains(Implementations(), "avx512bf16") {
		b.Skip("the CPU does not multiply bfloat16")
	}
	for _, precision := range []Precision{Float32, BFloat16} {
		for _, size := range [][2]int{{1024, 1024}, {2048, 2048}, {4864, 896}, {896, 4864}, {151936, 896}} {
			out, in := size[0], size[1]
			batches := []int{8, 64, 512}
			switch out {
			case 1024, 2048:
				batches = []int{in}
			case 151936:
				batches = []int{1, 2, 4, 8, 16}
			}
			r := rand.New(rand.NewPCG(1, 2))
			w := make([]float32, out*in)
			for i := range w {
				w[i] = r.Float32() - 0.5
			}
			var mulT func(y, x []float32, rows int)
			var memory []float32
			weightBytes := 0
			switch {
			case precision == Float32:
				p := PackFloat32(w, out, in)
				mulT, memory, weightBytes = p.MulT, p.panels.data, int(p.Bytes())
			default:
				bits := make([]uint16, len(w))
				RoundBFloat16(bits, w)
				p := PackBFloat16(bits, out, in)
				mulT, memory, weightBytes = p.MulT, p.panels.data, int(p.Bytes())
			}
			if memory != nil {
				w = nil
			}
			for _, rows := range batches {
				x, y := make([]float32, rows*in), make([]float32, rows*out)
				normals(x, r)
				for _, threads := range []int{1, 2} {
					b.Run(fmt.Sprintf("%v/out=%d,in=%d/rows=%d/threads=%d", precision, out, in, rows, threads), func(b *testing.B) {
						defer parallel.SetThreads(threads)()
						operations := 2 * float64(rows*out*in)
						var shares, rates []float64
						for b.Loop() {
							before := limit(precision, threads)
							t := medianTime(3, func() { mulT(y, x, rows) })
							peak := max(before, limit(precision, threads))
							rates, shares = append(rates, operations/t), append(shares, operations/t/peak)
						}
						slices.Sort(rates)
						slices.Sort(shares)
						rate := rates[len(rates)/2]
						b.ReportMetric(rate/1e9, "GFLOP/s")
						b.ReportMetric(100*shares[len(shares)/2], "%peak")
						if weightBytes > 1<<27 {
							read := readLimit(memory, threads)
							b.ReportMetric(rate/operations*float64(weightBytes)/1e9, "GB/s")
							b.ReportMetric(100*rate/operations*float64(weightBytes)/read, "%read")
							b.ReportMetric(read/1e9, "read-GB/s")
						}
						b.ReportMetric(0, "ns/op")
					})
				}
			}
		}
	}
}
