package hardware

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"slimlab/serve"
)

// BenchmarkFleet simulates an 8B on four H100 at about 70% of its capacity.
func BenchmarkFleet(b *testing.B) {
	c, err := FindCalibration("sglang-0.4.1")
	if err != nil {
		b.Fatal(err)
	}
	m, err := FindModel("8b")
	if err != nil {
		b.Fatal(err)
	}
	if m, err = m.In(FP8, BF16); err != nil {
		b.Fatal(err)
	}
	d, n, err := ParseDevices("h100x4")
	if err != nil {
		b.Fatal(err)
	}
	p, err := NewDeployment(m, d, n, c)
	if err != nil {
		b.Fatal(err)
	}
	for _, of := range []struct {
		name        string
		prompt, out int
		rate        float64
	}{{"500-100", 500, 100, 80}, {"4000-1", 4000, 1, 19}} {
		b.Run(of.name, func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			source := &listed{make: func(int) serve.Request {
				prompt := make([]int32, of.prompt)
				for j := range prompt {
					prompt[j] = int32(rng.Uint64() % 100000)
				}
				return serve.Request{Prompt: prompt, MaxTokens: of.out}
			}}
			at := 0.0
			for range b.N {
				source.times = append(source.times, time.Duration(at*1e9))
				at += rng.ExpFloat64() / of.rate
			}
			o := serve.Defaults()
			o.BatchTokens = 8192
			f, err := NewFleet(p, FleetOptions{Engine: o})
			if err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			b.ReportAllocs()
			if err := f.Run(context.Background(), source); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			s := f.Stats()[0]
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
			b.ReportMetric(float64(s.Steps)/float64(b.N), "steps/request")
			b.ReportMetric(f.Spent().Total()/source.ends[b.N-1].Seconds(), "busy")
			b.ReportMetric(float64(s.LongestWait.Milliseconds()), "longest-ms")
		})
	}
}
