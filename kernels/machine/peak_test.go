package machine_test

import (
	"fmt"
	"slices"
	"testing"

	"slimlab/kernels"
	"slimlab/kernels/machine"
	"slimlab/kernels/parallel"
)

// BenchmarkPeak measures the limit of the machine in each format.
func BenchmarkPeak(b *testing.B) {
	for _, name := range kernels.Implementations() {
		for _, l := range machine.Loops(name) {
			for _, threads := range []int{1, parallel.Threads()} {
				b.Run(fmt.Sprintf("%s/%s/threads=%d", name, l.Format, threads), func(b *testing.B) {
					const rounds = 100000
					for b.Loop() {
						l.Run(threads, rounds)
					}
					b.ReportMetric(float64(l.Operations*rounds*threads)*float64(b.N)/1e9/b.Elapsed().Seconds(), "GFLOP/s")
				})
			}
		}
	}
}

// BenchmarkRead has sizes for each level of memory; the bytes are those of all threads.
func BenchmarkRead(b *testing.B) {
	buffer := newReadBuffer(b, 1<<30)
	for _, size := range []int{24 << 10, 512 << 10, 4 << 20, 8 << 20, 16 << 20, 1 << 29} {
		for _, threads := range []int{1, parallel.Threads()} {
			b.Run(fmt.Sprintf("%dKiB/threads=%d", size>>10, threads), func(b *testing.B) {
				times := max(1, 1<<22/size)
				for b.Loop() {
					b.SetBytes(buffer.Read(size*threads, times, threads))
				}
			})
		}
	}
}

// TestLoops runs each once: every format has one loop, float32 the first, and an implementation
// other than plain Go has loops of its own.
func TestLoops(t *testing.T) {
	plain := machine.Loops("ref")[0].Instruction
	for _, name := range kernels.Implementations() {
		seen := map[string]bool{}
		for i, l := range machine.Loops(name) {
			if (l.Format == "float32") != (i == 0) || seen[l.Format] || l.Operations < 2 || l.Instruction == "" || (l.Instruction == plain) != (name == "ref") {
				t.Errorf("%s: loop %d is %+v", name, i, l)
			}
			seen[l.Format] = true
			l.Run(2, 3)
		}
	}
	if l, ok := machine.CycleLoop(); ok {
		l.Run(1, 2)
	}
}

// TestFeatures: the features include those that each implementation needs.
func TestFeatures(t *testing.T) {
	have := machine.ThisCPU().Features
	for implementation, features := range map[string][]string{"avx2": {"avx2", "fma"}, "avx512": {"avx512f", "avx512bw"}, "avx512vnni": {"avx512vnni"}, "avx512bf16": {"avx512bf16"}} {
		for _, f := range features {
			if slices.Contains(kernels.Implementations(), implementation) && !slices.Contains(have, f) {
				t.Errorf("%s can run, the features %v lack %s", implementation, have, f)
			}
		}
	}
}

// TestRead: every thread reads whole blocks inside the buffer, all of them the same number.
func TestRead(t *testing.T) {
	b := newReadBuffer(t, 5000)
	if b.Len() != 5120 {
		t.Errorf("a buffer for 5000 bytes has %d", b.Len())
	}
	for _, c := range []struct {
		n, times, threads int
		want              int64
	}{{5120, 1, 1, 5120}, {5120, 3, 2, 3 * 5120}, {5120, 1, 3, 3 * 1536}, {1, 2, 4, 2 * 4 * 512}} {
		if got := b.Read(c.n, c.times, c.threads); got != c.want {
			t.Errorf("reading %d bytes %d times with %d threads reads %d, want %d", c.n, c.times, c.threads, got, c.want)
		}
	}
}

func TestReadMisusePanics(t *testing.T) {
	for name, f := range map[string]func(){
		"beyond the buffer": func() { newReadBuffer(t, 1024).Read(2048, 1, 1) },
		"nothing":           func() { machine.Read(nil) },
		"part of a block":   func() { machine.Read(make([]byte, machine.ReadBlock+1)) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}

func newReadBuffer(t testing.TB, n int) *machine.ReadBuffer {
	t.Helper()
	b, err := machine.NewReadBuffer(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
