package serve_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"testing"
	"time"

	"slimlab/model"
	"slimlab/model/checkpoint"
	"slimlab/model/pretrained"
	"slimlab/model/tokenizer"
	"slimlab/model/weight"
	"slimlab/serve"
	"slimlab/serve/host"
	"slimlab/serve/sample"
)

// benchShapes are those of BenchmarkEngine: a small model, one whose head is half of its work, and
// a whole one.
var benchShapes = []struct {
	name, shape string
	layers      int // 0 for all
}{
	{"stories15m", "stories15m", 0}, {"qwen2.5-0.5b-4-layers", "qwen2.5-0.5b", 4}, {"qwen2.5-0.5b", "qwen2.5-0.5b", 0},
}

// randomModel is a model of a published shape with random weights in bfloat16.
func randomModel(tb testing.TB, shape string, layers int) *model.Model {
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
		bits := make([]uint16, out*in)
		step := math.Sqrt(3/float64(in)) / (1 << 15) // unit variance is passed on
		for i := range bits {
			state = state*6364136223846793005 + 1442695040888963407
			bits[i] = uint16(math.Float32bits(float32(float64(int16(state>>48))*step)) >> 16)
		}
		return weight.NewBFloat16(bits, out, in)
	}
	for _, l := range m.Linears() {
		l.Weight = random(l.Out, l.In)
	}
	m.TieHead(random(c.Vocab, c.Hidden))
	runtime.GC() // the bits
	return m
}

const benchTokens = 32 // of each sequence

// benchRequests are n requests with prompts of their own.
func benchRequests(n int, s sample.Settings) []serve.Request {
	requests := make([]serve.Request, n)
	for i := range requests {
		prompt := make([]int32, 16)
		for j := range prompt {
			prompt[j] = int32((i*7919 + j*104729) % 32000)
		}
		s.Seed = uint64(i)
		requests[i] = serve.Request{Prompt: prompt, MaxTokens: benchTokens, Sampling: s}
	}
	return requests
}

// sampled is what sampling is measured with.
var sampled = sample.Settings{Temperature: 0.8, TopP: 0.95}

// BenchmarkEngine is the rate at which sequences together generate tokens, all of it: prompts of 16
// tokens, layers, head, sampling, scheduling.
func BenchmarkEngine(b *testing.B) {
	for _, shape := range benchShapes {
		b.Run(shape.name, func(b *testing.B) {
			e, err := host.NewEngine(randomModel(b, shape.shape, shape.layers), host.Options{}, serve.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer e.Close()
			for _, n := range []int{1, 8, 16, 32} {
				for _, s := range []struct {
					name string
					sample.Settings
				}{{"greedy", sample.Settings{}}, {"sampled", sampled}} {
					b.Run(fmt.Sprintf("n=%d/%s", n, s.name), func(b *testing.B) {
						requests := benchRequests(n, s.Settings)
						for b.Loop() {
							generate(b, e, requests)
						}
						b.ReportMetric(float64(b.N*n*benchTokens)/b.Elapsed().Seconds(), "tokens/s")
					})
				}
			}
		})
	}
}

// generate runs requests and returns the time that they take.
func generate(tb testing.TB, e *serve.Engine, requests []serve.Request) time.Duration {
	start := time.Now()
	if _, err := e.DoAll(context.Background(), requests); err != nil {
		tb.Fatal(err)
	}
	return time.Since(start)
}

// pretrainedModel is an embedded model.
func pretrainedModel(tb testing.TB, name string) *model.Model {
	tb.Helper()
	folder, err := pretrained.Open(name)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := checkpoint.OpenFS(folder, ".")
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close()
	m, err := c.Model(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// memberHistory begins a prompt as the pretrained models know them.
const memberHistory = "tell what the old user will say : enjoy mail money audio no enjoy inbox money audio no save mail tree talk yes like home trip photo yes save inbox meal photo no"

// BenchmarkDraft is the rate at which the pretrained foundation model goes on with the history of a
// member, plainly and with its distilled student as a draft, and how many tokens a draft gives.
func BenchmarkDraft(b *testing.B) {
	folder, err := pretrained.Open("recsys-fm")
	if err != nil {
		b.Fatal(err)
	}
	tokens, err := tokenizer.LoadFS(folder, ".")
	if err != nil {
		b.Fatal(err)
	}
	prompt := tokens.Encode(memberHistory)
	teacher, student := pretrainedModel(b, "recsys-fm"), pretrainedModel(b, "recsys-student")
	for _, n := range []int{1, 8} {
		for _, temperature := range []float64{0, 0.8} {
			for _, drafted := range []int{0, 1, 2, 4, 8} {
				b.Run(fmt.Sprintf("n=%d/temperature=%v/draft=%d", n, temperature, drafted), func(b *testing.B) {
					var o serve.Options
					if drafted > 0 {
						draft, err := host.New(student, host.Options{})
						if err != nil {
							b.Fatal(err)
						}
						o.Draft = serve.Draft{Executor: draft, Tokens: drafted}
					}
					e, err := host.NewEngine(teacher, host.Options{}, o)
					if err != nil {
						b.Fatal(err)
					}
					defer e.Close()
					requests := make([]serve.Request, n)
					for i := range requests {
						requests[i] = serve.Request{Prompt: prompt, MaxTokens: 256, Sampling: sample.Settings{Temperature: temperature, Seed: uint64(i)}}
					}
					for b.Loop() {
						generate(b, e, requests)
					}
					b.ReportMetric(float64(b.N*n*256)/b.Elapsed().Seconds(), "tokens/s")
					stats, err := e.Stats()
					if err != nil {
						b.Fatal(err)
					}
					if stats.Drafts > 0 {
						accepted := 0
						for _, n := range stats.Accepted {
							accepted += n
						}
						b.ReportMetric(1+float64(accepted)/float64(stats.Drafts), "tokens/check")
					}
				})
			}
		}
	}
}
