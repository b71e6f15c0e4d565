//go:build unix

package host

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"testing"

	"slimlab/kernels/machine/machinetest"
	"slimlab/kernels/parallel"
	"slimlab/model"
	"slimlab/model/weight"
	"slimlab/serve"
)

// int8Model is a model of a published shape with random weights in w8a8.
func int8Model(tb testing.TB, shape string, layers int) *model.Model {
	tb.Helper()
	c, err := model.Shape(shape)
	if err != nil {
		tb.Fatal(err)
	}
	if layers > 0 {
		c.Layers = c.Layers[:layers]
	}
	m, err := model.Skeleton(c)
	if err != nil {
		tb.Fatal(err)
	}
	state := uint64(1)
	random := func(out, in int) weight.Weight {
		codes, scale := make([]int8, out*in), make([]float32, out)
		for i := range codes {
			state = state*6364136223846793005 + 1442695040888963407
			codes[i] = max(-127, int8(state>>56))
		}
		for i := range scale {
			scale[i] = float32(math.Sqrt(3/float64(in)) / 127) // unit variance is passed on
		}
		w, err := weight.NewInt8(codes, scale, out, in)
		if err != nil {
			tb.Fatal(err)
		}
		return w
	}
	for _, l := range m.Linears() {
		l.Weight = random(l.Out, l.In)
	}
	m.TieHead(random(c.Vocab, c.Hidden))
	runtime.GC() // the codes
	return m
}

// BenchmarkRanking scores 16 items of 32 tokens on a prompt: packed, as requests one after another,
// as requests at once, and packed without the cache, each with the prompt cold and hot. All take
// turns within one iteration. Rates are by the processor's time of both threads, which others on
// the machine disturb less than the clock's.
func BenchmarkRanking(b *testing.B) {
	const count, length = 16, 32
	defer parallel.SetThreads(2)()
	for _, kind := range []struct{ layers, prompt int }{{4, 2048}, {4, 2057}, {24, 2048}} {
		b.Run(fmt.Sprintf("layers=%d/prompt=%d", kind.layers, kind.prompt), func(b *testing.B) {
			e, err := NewEngine(int8Model(b, "qwen2.5-0.5b", kind.layers), Options{Pages: 256}, serve.Defaults())
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			packed := serve.Request{Prompt: make([]int32, kind.prompt), Labels: []int32{9454, 2753}}
			for i := range packed.Prompt {
				packed.Prompt[i] = int32(i * 7 % 1000)
			}
			var single []serve.Request
			for i := range count {
				item := make([]int32, length)
				for j := range item {
					item[j] = int32(5000 + i*length + j)
				}
				packed.Items = append(packed.Items, item)
				single = append(single, serve.Request{Prompt: append(packed.Prompt[:kind.prompt:kind.prompt], item...), Labels: packed.Labels})
			}
			do := func(rs ...serve.Request) {
				if _, err := e.DoAll(context.Background(), rs); err != nil {
					b.Fatal(err)
				}
			}
			ways := []struct {
				name string
				run  func()
			}{
				{"packed", func() { do(packed) }},
				{"in-turn", func() {
					for _, r := range single {
						do(r)
					}
				}},
				{"at-once", func() { do(single...) }},
				{"no-cache", func() {
					r := packed
					r.NoCache = true
					do(r)
				}},
			}
			took := make([]float64, 2*len(ways))
			for b.Loop() {
				for i, way := range ways {
					for hot := range 2 {
						if err := e.Flush(); err != nil {
							b.Fatal(err)
						}
						if hot == 1 { // the prompt alone, without an item of it
							do(serve.Request{Prompt: packed.Prompt, Labels: packed.Labels})
						}
						start := machinetest.CPUSeconds()
						way.run()
						took[2*i+hot] += machinetest.CPUSeconds() - start
					}
				}
			}
			for i, way := range ways {
				for hot, state := range [...]string{"cold", "hot"} {
					b.ReportMetric(float64(count*b.N)/took[2*i+hot], fmt.Sprintf("%s-%s-items/s", way.name, state))
				}
			}
		})
	}
}
