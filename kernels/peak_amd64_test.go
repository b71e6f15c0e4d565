//go:build amd64 && !noasm

package kernels

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkPeak measures what the machine can do at most: fused multiply-adds on registers.
func BenchmarkPeak(b *testing.B) {
	for _, name := range Implementations()[1:] {
		loop, lanes := peakAVX2, 12*8
		if strings.HasPrefix(name, "avx512") {
			loop, lanes = peakAVX512, 24*16
		}
		for _, threads := range []int{1, Threads()} {
			b.Run(fmt.Sprintf("%s/threads=%d", name, threads), func(b *testing.B) {
				const rounds = 100000
				for b.Loop() {
					Parallel(threads, func(int) { loop(rounds) })
				}
				reportRate(b, lanes*rounds*threads)
			})
		}
	}
}
