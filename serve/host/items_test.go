package host

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"slimlab/kernels"
	"slimlab/model"
	"slimlab/serve"
)

// itemModel is a model whose KV heads two ranks can share.
func itemModel(t testing.TB) *model.Model {
	t.Helper()
	c := tinyModel(t).Config
	c.Layers = []model.LayerConfig{{Heads: 4, KVHeads: 2, MLP: 24}, {Heads: 2, KVHeads: 2, MLP: 17}}
	m, err := model.New(c)
	if err != nil {
		t.Fatal(err)
	}
	m.Init(rand.New(rand.NewPCG(7, 8)))
	m.Changed()
	return m
}

// itemRequests draws requests with items, of which some are empty, on few prompts.
func itemRequests(rng *rand.Rand, n int) (out []serve.Request) {
	for i, p := range prompts(rng, n) {
		r := serve.Request{Prompt: p, Labels: []int32{3, 59, 0}, LabelLogP: i%3 == 0}
		for range 1 + rng.IntN(6) {
			item := make([]int32, rng.IntN(30))
			for j := range item {
				item[j] = int32(rng.IntN(60))
			}
			r.Items = append(r.Items, item)
		}
		out = append(out, r)
	}
	return out
}

// TestItemsHaveTheBitsOfRequests: packed items are bit for bit what each is as a request of its
// own, whatever the cache, pages, chunks, pressure, ranks, their order and what else is in the
// batch, and so are those that are scored layer by layer.
func TestItemsHaveTheBitsOfRequests(t *testing.T) {
	m := itemModel(t)
	rng := rand.New(rand.NewPCG(11, 2))
	rs, others := itemRequests(rng, 8), requests(rng, 6)
	shared := serve.Defaults()
	chunk := func(n int) serve.Options { return serve.Options{PrefixCache: true, Chunk: n} }
	for _, format := range []kernels.KVFormat{kernels.KVBFloat16, kernels.KVFloat32, kernels.KVInt8, kernels.KVInt4, kernels.KVK8V4} {
		var want [][]serve.Score
		var wantOthers []answerOf
		for _, r := range rs {
			var scores []serve.Score
			for _, item := range r.Items {
				scores = append(scores, alone(t, m, format, serve.Request{Prompt: append(r.Prompt[:len(r.Prompt):len(r.Prompt)], item...), Labels: r.Labels, LabelLogP: r.LabelLogP}))
			}
			want = append(want, scores)
		}
		for i := range others {
			wantOthers = append(wantOthers, answers(t, m, Options{KV: format}, serve.Options{}, others[i:i+1])...)
		}
		for name, o := range map[string]struct {
			host   Options
			engine serve.Options
			aside  bool
		}{
			"cache off":       {},
			"cache on":        {engine: shared},
			"page 1":          {Options{PageSize: 1}, shared, false},
			"page 4":          {Options{PageSize: 4}, shared, false},
			"page 64":         {Options{PageSize: 64}, shared, false},
			"chunk 1":         {Options{PageSize: 4}, chunk(1), false},
			"chunk 7":         {Options{PageSize: 2}, chunk(7), false},
			"chunk 64":        {engine: chunk(64)},
			"small batches":   {engine: serve.Options{PrefixCache: true, BatchTokens: 13}},
			"pressure":        {Options{PageSize: 4, Pages: 34}, shared, false},
			"two ranks":       {Options{Ranks: 2}, shared, false},
			"two ranks, page": {Options{Ranks: 2, PageSize: 4}, chunk(7), false},
			"layer by layer":  {aside: true},
			"both":            {Options{Ranks: 2}, shared, true},
			"too few pages":   {host: Options{Pages: 6}},
		} {
			o.host.KV = format
			if format != kernels.KVFloat32 && o.host.PageSize == 1 {
				continue
			}
			t.Run(fmt.Sprint(format, "/", name), func(t *testing.T) {
				e, err := NewEngine(m, o.host, o.engine)
				if err != nil {
					t.Fatal(err)
				}
				defer e.Close()
				var asked []serve.Request
				orders := make([][]int, len(rs))
				for i, r := range rs {
					r.NoCache = o.aside
					orders[i] = rng.Perm(len(r.Items))
					r.Items = make([][]int32, len(r.Items))
					for j, from := range orders[i] {
						r.Items[j] = rs[i].Items[from]
					}
					asked = append(asked, r)
				}
				asked = append(asked, others...)
				for range 2 { // the second time the prompts are cached, where there is a cache
					results, err := e.DoAll(context.Background(), asked)
					if err != nil {
						t.Fatal(err)
					}
					for i := range rs {
						for j, from := range orders[i] {
							if got := results[i].Items[j]; !reflect.DeepEqual(got, want[i][from]) {
								t.Fatalf("request %d, item %d: %v, as a request of its own %v", i, from, got, want[i][from])
							}
						}
					}
					for i, r := range results[len(rs):] {
						if got := (answerOf{r.Tokens, r.LabelLogits, r.Finish}); !reflect.DeepEqual(got, wantOthers[i]) {
							t.Fatalf("request %d beside items: %v, alone %v", i, got, wantOthers[i])
						}
					}
				}
			})
		}
	}
}

// alone is what a request of labels is answered with in an engine of its own.
func alone(t *testing.T, m *model.Model, format kernels.KVFormat, r serve.Request) serve.Score {
	t.Helper()
	e, err := NewEngine(m, Options{KV: format}, serve.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	got, err := e.Do(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return serve.Score{LabelLogits: got.LabelLogits, LabelLogP: got.LabelLogP}
}
