package host

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"slimlab/kernels"
	"slimlab/model"
	"slimlab/model/weight"
	"slimlab/serve"
	"slimlab/serve/sample"
)

// rounded is the tiny model with linear layers of integers, rounded to nearest.
func rounded(t *testing.T, f weight.Format) *model.Model {
	t.Helper()
	m := tinyModel(t)
	largest := float32(int(1)<<(f.Bits-1) - 1)
	for _, l := range m.Linears() {
		data := l.Weight.(*weight.Dense).Data
		e := weight.Encoding{Format: f, Out: l.Out, In: l.In, Scale: make([]float32, l.Out)}
		codes := make([]byte, len(data))
		for o := range e.Scale {
			row := data[o*l.In : (o+1)*l.In]
			for _, v := range row {
				e.Scale[o] = max(e.Scale[o], v/largest, -v/largest)
			}
			for i, v := range row {
				codes[o*l.In+i] = byte(int8(v / e.Scale[o]))
			}
		}
		w, err := weight.New(e, codes)
		if err != nil {
			t.Fatal(err)
		}
		l.Weight = w
	}
	m.Changed()
	return m
}

// whole is all of an answer that must not depend on the engine.
type whole struct {
	answerOf
	LogP []float32
	Top  [][]serve.Alternative
}

// serveAll answers requests together on a new engine.
func serveAll(t *testing.T, m *model.Model, h Options, o serve.Options, rs []serve.Request) ([]whole, serve.Stats) {
	t.Helper()
	e, err := NewEngine(m, h, o)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	results, err := e.DoAll(context.Background(), rs)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]whole, len(results))
	for i, r := range results {
		out[i] = whole{answerOf{r.Tokens, r.LabelLogits, r.Finish}, r.LogP, r.Top}
	}
	stats, err := e.Stats()
	if err != nil {
		t.Fatal(err)
	}
	return out, stats
}

// TestAnswersDoNotDependOnTheEngine is the engine's first promise: cache on or off, page size,
// chunk, batch, order, pressure, retraction and drafts change no token and no bit of a logit or a
// log-probability, whatever the formats of the weights and of the KV cache.
func TestAnswersDoNotDependOnTheEngine(t *testing.T) {
	rs := requests(rand.New(rand.NewPCG(1, 2)), 24)
	for i := range rs {
		rs[i].LogP, rs[i].MaxTokens = len(rs[i].Labels) == 0, rs[i].MaxTokens*3
		rs[i].Namespace, rs[i].NoReuse = [...]string{"", "a"}[i%7/6], i%9 == 8
	}
	again := append(rs, rs...)
	shared := serve.Defaults()
	chunk := func(n int) serve.Options { return serve.Options{PrefixCache: true, Chunk: n} }
	// Prompts and answers take up to 32 pages of 4.
	retracted := serve.Options{PrefixCache: true, Reserve: 0.01}
	variants := []struct {
		name   string
		host   Options
		engine serve.Options
		draft  int // tokens
	}{
		{"cache off", Options{}, serve.Options{}, 0},
		{"cache on", Options{}, shared, 0},
		{"page 1", Options{PageSize: 1}, shared, 0},
		{"page 4", Options{PageSize: 4}, shared, 0},
		{"page 64", Options{PageSize: 64}, shared, 0},
		{"chunk 1", Options{}, chunk(1), 0},
		{"chunk 7", Options{PageSize: 2}, chunk(7), 0},
		{"chunk 64", Options{PageSize: 16}, chunk(64), 0},
		{"small batches", Options{}, serve.Options{PrefixCache: true, BatchTokens: 13}, 0},
		{"again, three at once", Options{PageSize: 2}, serve.Options{PrefixCache: true, Running: 3, RecallBytes: 1 << 20}, 0},
		{"three at once", Options{}, serve.Options{PrefixCache: true, Running: 3, Policy: serve.SRPF}, 0},
		{"crowded", Options{PageSize: 4, Pages: 33}, serve.Options{PrefixCache: true, Eviction: "slru"}, 0},
		{"crowded, cache off", Options{PageSize: 4, Pages: 33}, serve.Options{Policy: serve.FCFS}, 0},
		{"retracted", Options{PageSize: 4, Pages: 50}, retracted, 0},
		{"retracted, small pages", Options{PageSize: 2, Pages: 80}, retracted, 0},
		{"retracted, cache off", Options{PageSize: 4, Pages: 50}, serve.Options{Reserve: 0.01}, 0},
		{"draft", Options{PageSize: 4}, shared, 4},
		{"draft, small batches", Options{PageSize: 2}, serve.Options{PrefixCache: true, BatchTokens: 60, Chunk: 9}, 2},
		{"draft, retracted", Options{PageSize: 4, Pages: 50}, retracted, 3},
	}
	weights := map[string]*model.Model{
		"float32": tinyModel(t),
		"w8a8":    rounded(t, weight.Format{Bits: 8, Activations: weight.Token}),
		"w4a16":   rounded(t, weight.Format{Bits: 4}),
	}
	for name, m := range weights {
		for _, kv := range []kernels.KVFormat{kernels.KVBFloat16, kernels.KVFloat32, kernels.KVInt8, kernels.KVInt4, kernels.KVK8V4, kernels.KVK16V8, kernels.KVK4V16} {
			var want []whole
			for i := range rs {
				alone, _ := serveAll(t, m, Options{KV: kv}, serve.Options{}, rs[i:i+1])
				want = append(want, alone...)
			}
			for _, v := range variants {
				v.host.KV = kv
				if kv != kernels.KVFloat32 && v.host.PageSize == 1 {
					continue // the format has no such pages
				}
				t.Run(fmt.Sprint(name, "/", kv, "/", v.name), func(t *testing.T) {
					if v.draft > 0 {
						draft, err := New(weights["float32"], Options{PageSize: 4, Pages: 200})
						if err != nil {
							t.Fatal(err)
						}
						v.engine.Draft = serve.Draft{Executor: draft, Tokens: v.draft}
					}
					asked := rs
					if v.engine.RecallBytes > 0 {
						asked = again
					}
					got, stats := serveAll(t, m, v.host, v.engine, asked)
					if v.draft > 0 && (stats.Accepted[v.draft-1] == 0 || stats.Accepted == [serve.MaxDraft]int{}) {
						t.Errorf("%+v: no token of a draft was right", stats)
					}
					for i := range got {
						if alone := want[i%len(rs)]; !reflect.DeepEqual(got[i], alone) {
							t.Fatalf("request %d: %v, alone %v", i, got[i], alone)
						}
					}
					if v.name == "again, three at once" && stats.Recalled < 5 {
						t.Errorf("%d prompts were recalled, expected more", stats.Recalled)
					}
					if (stats.Retractions > 0) != (v.engine.Reserve != 0) {
						t.Errorf("%d retractions", stats.Retractions)
					}
				})
			}
		}
	}
}

// TestPartsOfPagesAreReused: what a prompt has in common with cached ones is not computed again,
// also where it ends inside a page, and the answer has the bits of one that computes all.
func TestPartsOfPagesAreReused(t *testing.T) {
	m := itemModel(t)
	rng := rand.New(rand.NewPCG(8, 8))
	draw := func(n int) (out []int32) {
		for range n {
			out = append(out, int32(rng.IntN(m.Vocab)))
		}
		return out
	}
	first := draw(50)
	other := func(n int) []int32 { return append(first[:n:n], (first[n]+1)%int32(m.Vocab), 3, 4) }
	for _, kv := range []kernels.KVFormat{kernels.KVBFloat16, kernels.KVFloat32, kernels.KVInt8, kernels.KVInt4, kernels.KVK8V4} {
		for _, ranks := range []int{1, 2} {
			h := Options{KV: kv, PageSize: 16, Ranks: ranks}
			e, err := NewEngine(m, h, serve.Defaults())
			if err != nil {
				t.Fatal(err)
			}
			for i, c := range []struct {
				prompt []int32
				cached int
			}{{first, 0}, {first, 50}, {first[:48], 47}, {first[:48], 48}, {other(27), 27}, {other(3), 3}, {other(16), 16}, {draw(20), 0}} {
				r := serve.Request{Prompt: c.prompt, MaxTokens: 3, LogP: true}
				got, err := e.Do(context.Background(), r)
				if err != nil || got.Cached != c.cached {
					t.Errorf("%v, %d ranks, prompt %d: %d tokens were cached, expected %d; %v", kv, ranks, i, got.Cached, c.cached, err)
				}
				want, _ := serveAll(t, m, h, serve.Options{}, []serve.Request{r})
				if found := (whole{answerOf{got.Tokens, got.LabelLogits, got.Finish}, got.LogP, got.Top}); !reflect.DeepEqual(found, want[0]) {
					t.Errorf("%v, %d ranks, prompt %d: %v, alone %v", kv, ranks, i, found, want[0])
				}
			}
			e.Close()
		}
	}
}

// TestSiblingsHaveTheBitsOfOne: requests with one prompt that come together begin with the logits
// and the last page of the first of them, which goes on in that page, and have the bits of those
// that are alone.
func TestSiblingsHaveTheBitsOfOne(t *testing.T) {
	m := itemModel(t)
	rng := rand.New(rand.NewPCG(9, 9))
	for _, kv := range []kernels.KVFormat{kernels.KVBFloat16, kernels.KVFloat32, kernels.KVInt8, kernels.KVInt4, kernels.KVK8V4, kernels.KVK16V8, kernels.KVK4V16} {
		for _, length := range []int{16, 17, 23, 48, 63} {
			prompt := make([]int32, length)
			for i := range prompt {
				prompt[i] = int32(rng.IntN(m.Vocab))
			}
			h := Options{KV: kv, PageSize: 16}
			var rs []serve.Request
			var want []whole
			for seed := range uint64(3) {
				rs = append(rs, serve.Request{Prompt: prompt, MaxTokens: 20, LogP: true, Sampling: sample.Settings{Temperature: 1, Seed: seed}})
				alone, _ := serveAll(t, m, h, serve.Options{}, rs[seed:])
				want = append(want, alone...)
			}
			got, stats := serveAll(t, m, h, serve.Defaults(), rs)
			if !reflect.DeepEqual(got, want) || stats.Recalled != 2 {
				t.Errorf("%v, %d tokens: %v, alone %v; %d were recalled, expected 2", kv, length, got, want, stats.Recalled)
			}
		}
	}
}
