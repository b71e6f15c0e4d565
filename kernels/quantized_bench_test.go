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

// medianSeconds is the median time of five calls.
func medianSeconds(f func()) float64 {
	var t []float64
	for range 5 {
		start := time.Now()
		f()
		t = append(t, time.Since(start).Seconds())
	}
	slices.Sort(t)
	return t[2]
}

// int8Peak is the machine's rate of VPDPBUSD in operations a second, at this moment.
func int8Peak(threads int) float64 {
	const rounds = 100000
	list := machine.Loops("avx512vnni")
	l := &list[len(list)-1]
	return float64(threads*rounds*l.Operations) / medianSeconds(func() { l.Run(threads, rounds) })
}

// readRate is the rate at which memory is read in bytes a second, at this moment.
func readRate(threads int, memory []byte) float64 {
	part := len(memory) / threads / machine.ReadBlock * machine.ReadBlock
	return float64(threads*part) / medianSeconds(func() {
		parallel.For(threads, func(i int) { machine.Read(memory[i*part : (i+1)*part]) })
	})
}

// BenchmarkQuantized has the products of a 0.5B model in 4 and 8 bits beside what the machine does
// at that moment: GOP/s and the share of VPDPBUSD's rate, or for bfloat16 of half of it, as
// VDPBF16PS multiplies a pair where that multiplies four; GB/s of the format and the share of a
// plain loop's that reads the same weight.
func BenchmarkQuantized(b *testing.B) {
	restore, err := Use("avx512bf16")
	if err != nil {
		b.Skip(err)
	}
	restore()
	for _, size := range [][2]int{{4864, 896}, {896, 4864}, {151936, 896}} {
		out, in := size[0], size[1]
		batches := []int{512}
		if out > 100000 {
			batches = []int{1, 4, 8, 16}
		}
		r := rand.New(rand.NewPCG(1, 2))
		q8, q4, s8 := randomInt8(out*in, -127, 127, r), randomInt8(out*in, -8, 7, r), make([]float32, out)
		normals(s8, r)
		for _, format := range []string{"int8", "int4-g128-int8", "int4-g32-int8", "int4-g128-bfloat16", "int4-g32-bfloat16"} {
			var w interface{ Bytes() int64 }
			var memory []byte // the weight
			var mulT func(y, x []float32, rows int)
			var group int
			var path string
			if format == "int8" {
				p := PackInt8(q8, s8, out, in)
				w, mulT, memory = p, p.MulT, unsafe.Slice((*byte)(unsafe.Pointer(&p.q[0])), len(p.q))
			} else {
				fmt.Sscanf(format, "int4-g%d-%s", &group, &path)
				s4 := make([]float32, out*in/group)
				normals(s4, r)
				p := PackInt4(q4, s4, out, in, group)
				w, mulT, memory = p, p.MulT, unsafe.Slice((*byte)(unsafe.Pointer(&p.q[0])), 4*len(p.q))
				if path == "int8" {
					mulT = p.MulTInt8
				}
			}
			for _, rows := range batches {
				x, y := make([]float32, rows*in), make([]float32, rows*out)
				normals(x, r)
				for _, threads := range []int{1, 2} {
					b.Run(fmt.Sprintf("%s/out=%d,in=%d/rows=%d/threads=%d", format, out, in, rows, threads), func(b *testing.B) {
						defer parallel.SetThreads(threads)()
						before, readBefore := int8Peak(threads), readRate(threads, memory)
						var times []float64
						for b.Loop() {
							start := time.Now()
							mulT(y, x, rows)
							times = append(times, time.Since(start).Seconds())
						}
						slices.Sort(times)
						t := times[len(times)/2]
						peak, read := max(before, int8Peak(threads)), max(readBefore, readRate(threads, memory))
						if path == "bfloat16" {
							peak /= 2
						}
						ops, bytes := 2*float64(rows*out*in)/t, float64(w.Bytes())/t
						b.ReportMetric(ops/1e9, "GOP/s")
						b.ReportMetric(100*ops/peak, "%peak")
						b.ReportMetric(bytes/1e9, "GB/s")
						b.ReportMetric(100*bytes/read, "%DRAM")
						b.ReportMetric(read/1e9, "DRAM-GB/s")
					})
				}
			}
		}
	}
}
