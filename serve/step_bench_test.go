//go:build unix

package serve

import (
	"context"
	"testing"

	"slimlab/kernels/machine/machinetest"
)

// BenchmarkStep is what a step costs beside the executor's work, and what a snapshot costs: 10,000
// requests wait, each with a context of its own, a prompt of 4,000 tokens and one of 200 members'
// prefixes, and 64 run.
func BenchmarkStep(b *testing.B) {
	for _, policy := range Policies() {
		b.Run(string(policy), func(b *testing.B) {
			const waiting, members, prompt = 10_000, 200, 4_000
			f := &instant{newFake(100_000, 16)}
			f.shape.Positions = prompt + 100
			o, err := Options{PrefixCache: true, Policy: policy, Running: 64, BatchTokens: 2048}.complete()
			if err != nil {
				b.Fatal(err)
			}
			c := newCore(f, o)
			n := 0
			fill := func() {
				for ; len(c.scheduler.waiting.list) < waiting; n++ {
					tokens := make([]int32, prompt)
					for i := range tokens {
						tokens[i] = int32((n*7919%members + i) % 60)
					}
					tokens[0], tokens[1], tokens[prompt-1] = int32(n*7919%members%60), int32(n*7919%members/60), int32(n%60)
					ctx, cancel := context.WithCancel(context.Background())
					b.Cleanup(cancel)
					r := Request{Prompt: tokens, MaxTokens: 16}
					if err := c.submit(newSequence(ctx, r, hashesOf(f, o, r), into(make(chan outcome, 1)))); err != nil {
						b.Fatal(err)
					}
				}
			}
			fill()
			var seconds float64
			for b.Loop() {
				if len(c.scheduler.waiting.list) < waiting-500 {
					fill()
				}
				start := machinetest.CPUSeconds()
				if err := c.step(); err != nil {
					b.Fatal(err)
				}
				seconds += machinetest.CPUSeconds() - start
			}
			start := machinetest.CPUSeconds()
			for range 100 {
				c.snapshot(500)
			}
			b.ReportMetric((machinetest.CPUSeconds()-start)*1e4, "CPU-µs/snapshot")
			b.ReportMetric(float64(c.stats.Requests)/float64(b.N), "requests/step")
			b.ReportMetric(seconds*1e6/float64(b.N), "CPU-µs/step")
		})
	}
}
