package kernels

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"slimlab/kernels/parallel"
)

// pagedBench is sequences of one shape in pages of 16, each of its own pages but for the first
// shared positions.
type pagedBench struct {
	out, q   []float32
	layer    *KVLayer
	segments []KVSegment
	heads    int
	flops    float64 // of what the causal mask leaves: 2 products of 2·dim a visible pair and head
	bytes    int64   // of the pages that all sequences together see
}

func newPagedBench(format KVFormat, sequences, shared, start, rows, heads, kvHeads, dim int) *pagedBench {
	const size = 16
	end := start + rows
	own, common := (end+size-1)/size-shared/size, shared/size
	b := &pagedBench{layer: NewKVLayer(format, common+sequences*own, size, kvHeads, dim), heads: heads}
	r := rand.New(rand.NewPCG(1, 1))
	free := r.Perm(b.layer.Pages)
	take := func(n int) (pages []int32) {
		for _, p := range free[:n] {
			pages = append(pages, int32(p))
		}
		free = free[n:]
		return pages
	}
	prefix := take(common)
	k := randoms(r, end*kvHeads*dim, 0, 1).x
	for s := range sequences {
		table := append(append([]int32(nil), prefix...), take(own)...)
		StoreKV(b.layer, k, k, []KVSegment{{table, 0, end, 0}})
		b.segments = append(b.segments, KVSegment{table, s * rows, rows, start})
	}
	b.q, b.out = randoms(r, sequences*rows*heads*dim, 0, 1).x, make([]float32, sequences*rows*heads*dim)
	pairs := sequences * (rows*start + rows*(rows+1)/2)
	b.flops = float64(pairs) * float64(4*heads*dim)
	b.bytes = b.layer.Bytes()
	return b
}

func (p *pagedBench) run(b *testing.B, implementation string, threads int) {
	restore, err := Use(implementation)
	if err != nil {
		b.Skip(err)
	}
	defer restore()
	defer parallel.SetThreads(threads)()
	b.ReportAllocs()
	b.SetBytes(p.bytes)
	for b.Loop() {
		AttentionPaged(p.out, p.q, p.layer, p.segments, p.heads)
	}
	b.ReportMetric(p.flops*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
}

// BenchmarkAttentionPaged has the heads of a 0.5B model: 14 over 2 KV heads, of 64.
func BenchmarkAttentionPaged(b *testing.B) {
	for _, format := range []KVFormat{KVBFloat16, KVFloat32, KVInt8, KVInt4} {
		for _, s := range []struct {
			name                           string
			sequences, shared, start, rows int
		}{
			{"prefill4096", 1, 0, 0, 4096}, {"decode4096", 1, 0, 4095, 1}, {"decode65536", 1, 0, 65535, 1}, {"extend32at2048", 1, 0, 2048, 32},
			{"decode8at2048", 8, 0, 2063, 1}, {"decode8at2048/shared", 8, 2048, 2063, 1},
			{"decode16at2048", 16, 0, 2063, 1}, {"decode16at2048/shared", 16, 2048, 2063, 1},
		} {
			p := newPagedBench(format, s.sequences, s.shared, s.start, s.rows, 14, 2, 64)
			for _, threads := range []int{1, 2} {
				b.Run(fmt.Sprintf("%v/%s/threads=%d", format, s.name, threads), func(b *testing.B) { p.run(b, "auto", threads) })
			}
		}
	}
}

// BenchmarkAttentionPagedShared is 16 queries of a model without grouped heads on one prefix of
// 2048: in one call, one by one, and on prefixes of their own.
func BenchmarkAttentionPagedShared(b *testing.B) {
	for _, s := range []struct{ heads, kvHeads int }{{8, 8}, {14, 2}} {
		shared, own := newPagedBench(KVBFloat16, 16, 2048, 2063, 1, s.heads, s.kvHeads, 64), newPagedBench(KVBFloat16, 16, 0, 2063, 1, s.heads, s.kvHeads, 64)
		name := fmt.Sprintf("%d over %d/", s.heads, s.kvHeads)
		b.Run(name+"together", func(b *testing.B) { shared.run(b, "auto", 1) })
		b.Run(name+"own", func(b *testing.B) { own.run(b, "auto", 1) })
		b.Run(name+"one by one", func(b *testing.B) {
			defer parallel.SetThreads(1)()
			for b.Loop() {
				for i := range shared.segments {
					AttentionPaged(shared.out, shared.q, shared.layer, shared.segments[i:i+1], s.heads)
				}
			}
		})
	}
}

// BenchmarkAttentionPagedShapes is a prefill of 1024 in other heads, and with the other
// implementations.
func BenchmarkAttentionPagedShapes(b *testing.B) {
	for _, s := range []struct{ heads, kvHeads, dim int }{{6, 6, 48}, {8, 4, 32}, {8, 2, 128}, {14, 2, 64}} {
		p := newPagedBench(KVBFloat16, 1, 0, 0, 1024, s.heads, s.kvHeads, s.dim)
		for _, name := range Implementations()[1:] {
			b.Run(fmt.Sprintf("%d over %d of %d/%s", s.heads, s.kvHeads, s.dim, name), func(b *testing.B) { p.run(b, name, 1) })
		}
	}
}

// BenchmarkAttention has training's shapes; GFLOP/s count what the causal mask leaves, 2 products
// of 2·dim a visible pair and head, backward 5.
func BenchmarkAttention(b *testing.B) {
	for _, s := range []struct{ sequences, length, heads, kvHeads, dim int }{{16, 256, 8, 8, 32}, {8, 512, 8, 4, 64}, {16, 120, 4, 2, 32}} {
		n := s.sequences * s.length
		queries, keys := benchVectors(n*s.heads*s.dim, 4), benchVectors(n*s.kvHeads*s.dim, 4)
		lse, starts := make([]float32, n*s.heads), []int{0}
		for i := range s.sequences {
			starts = append(starts, (i+1)*s.length)
		}
		flops := float64(s.sequences*s.heads) * float64(s.length*(s.length+1)/2) * float64(4*s.dim)
		name := fmt.Sprintf("%dx%d,heads=%d,kv=%d,dim=%d", s.sequences, s.length, s.heads, s.kvHeads, s.dim)
		b.Run("forward/"+name, func(b *testing.B) {
			benchRow(b, 0, flops, func() {
				Attention{Q: queries[0], K: keys[0], V: keys[1], Starts: starts, Heads: s.heads, KVHeads: s.kvHeads, HeadDim: s.dim}.Forward(queries[1], lse)
			})
		})
		b.Run("backward/"+name, func(b *testing.B) {
			benchRow(b, 0, 2.5*flops, func() {
				Attention{Q: queries[0], K: keys[0], V: keys[1], Starts: starts, Heads: s.heads, KVHeads: s.kvHeads, HeadDim: s.dim}.Backward(queries[3], keys[2], keys[3], queries[2], queries[1], lse)
			})
		})
		b.Run("forwardBFloat16/"+name, func(b *testing.B) {
			benchRow(b, 0, flops, func() {
				Attention{Q: queries[0], K: keys[0], V: keys[1], Starts: starts, Heads: s.heads, KVHeads: s.kvHeads, HeadDim: s.dim, Precision: BFloat16}.Forward(queries[1], lse)
			})
		})
		b.Run("backwardBFloat16/"+name, func(b *testing.B) {
			benchRow(b, 0, 2.5*flops, func() {
				Attention{Q: queries[0], K: keys[0], V: keys[1], Starts: starts, Heads: s.heads, KVHeads: s.kvHeads, HeadDim: s.dim, Precision: BFloat16}.Backward(queries[3], keys[2], keys[3], queries[2], queries[1], lse)
			})
		})
	}
}
