package kernels

import (
	"fmt"
	"testing"
)

// BenchmarkPeak measures what the machine can do at most in each format.
func BenchmarkPeak(b *testing.B) {
	for _, name := range Implementations() {
		for _, l := range loops(name) {
			for _, threads := range []int{1, Threads()} {
				b.Run(fmt.Sprintf("%s/%s/threads=%d", name, l.Format, threads), func(b *testing.B) {
					const rounds = 100000
					for b.Loop() {
						l.Run(threads, rounds)
					}
					reportRate(b, l.Operations/2*rounds*threads)
				})
			}
		}
	}
}

// BenchmarkRead has sizes for each level of memory; the bytes are those of all threads.
func BenchmarkRead(b *testing.B) {
	buffer := NewReadBuffer(1 << 30)
	for _, size := range []int{24 << 10, 512 << 10, 4 << 20, 8 << 20, 16 << 20, 1 << 29} {
		for _, threads := range []int{1, Threads()} {
			b.Run(fmt.Sprintf("%dKiB/threads=%d", size>>10, threads), func(b *testing.B) {
				times := max(1, 1<<22/size)
				for b.Loop() {
					b.SetBytes(buffer.Read(size*threads, times, threads))
				}
			})
		}
	}
}

// TestLoops runs each once: every format has one loop, float32 the first.
func TestLoops(t *testing.T) {
	for _, name := range Implementations() {
		seen := map[string]bool{}
		for i, l := range loops(name) {
			if (l.Format == "float32") != (i == 0) || seen[l.Format] || l.Operations < 2 || l.Instruction == "" {
				t.Errorf("%s: loop %d is %+v", name, i, l)
			}
			seen[l.Format] = true
			l.Run(2, 3)
		}
	}
	if l, ok := CycleLoop(); ok {
		l.Run(1, 2)
	}
}

// TestRead: every thread reads whole blocks inside the buffer, all of them the same number.
func TestRead(t *testing.T) {
	for _, name := range Implementations() {
		restore, err := Use(name)
		if err != nil {
			t.Fatal(err)
		}
		b := NewReadBuffer(5000)
		if b.Len() != 5120 {
			t.Errorf("a buffer for 5000 bytes has %d", b.Len())
		}
		for _, c := range []struct {
			n, times, threads int
			want              int64
		}{{5120, 1, 1, 5120}, {5120, 3, 2, 3 * 5120}, {5120, 1, 3, 3 * 1536}, {1, 2, 4, 2 * 4 * 512}} {
			if got := b.Read(c.n, c.times, c.threads); got != c.want {
				t.Errorf("%s: reading %d bytes %d times with %d threads reads %d, want %d", name, c.n, c.times, c.threads, got, c.want)
			}
		}
		restore()
	}
	defer func() {
		if recover() == nil {
			t.Error("reading beyond the buffer does not panic")
		}
	}()
	NewReadBuffer(1024).Read(2048, 1, 1)
}
