package model

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"slimlab/kernels"
	"slimlab/kernels/parallel"
	"slimlab/model/weight"
)

// medium has sequences longer than an attention block, grouped heads, and layers of different
// widths.
func medium() Config {
	return Config{
		Architecture: "LlamaForCausalLM", Vocab: 50, Hidden: 48, HeadDim: 16,
		Layers:       []LayerConfig{{Heads: 4, KVHeads: 2, MLP: 72}, {Heads: 2, KVHeads: 1, MLP: 40}, {Heads: 3, KVHeads: 3, MLP: 64}},
		MaxPositions: 256, RopeTheta: 10000, NormEps: 1e-5, TiedHead: true, BOS: -1, EOS: -1,
	}
}

// cache is a pool with shuffled page tables for sequences.
type cache struct {
	pool   *KVPool
	tables [][]int32
}

func newCache(t testing.TB, c Config, format kernels.KVFormat, pageSize int, sequences [][]int32, rng *rand.Rand) cache {
	t.Helper()
	pages := 0
	for _, s := range sequences {
		pages += (len(s) + pageSize - 1) / pageSize
	}
	pool, err := NewKVPool(c, format, pages+3, pageSize)
	if err != nil {
		t.Fatal(err)
	}
	free := rng.Perm(pool.Pages)
	k := cache{pool: pool}
	for _, s := range sequences {
		var table []int32
		for range (len(s) + pageSize - 1) / pageSize {
			table, free = append(table, int32(free[0])), free[1:]
		}
		k.tables = append(k.tables, table)
	}
	return k
}

// extended is medium with all that a family may add to attention.
func extended() Config {
	c := medium()
	c.Architecture, c.QKNorm, c.QKVBias, c.OBias = "Qwen3ForCausalLM", true, true, true
	c.Rope = RopeScaling{Kind: RopeYarn, Factor: 4, OriginalMaxPositions: 64}
	return c
}

func TestExtendIsInvariant(t *testing.T) {
	t.Run("plain", func(t *testing.T) { extendIsInvariant(t, medium()) })
	t.Run("with norms of heads, biases and yarn", func(t *testing.T) { extendIsInvariant(t, extended()) })
}

func extendIsInvariant(t *testing.T, c Config) {
	everyImplementation(t, func(t *testing.T) {
		for _, format := range []kernels.KVFormat{kernels.KVBFloat16, kernels.KVFloat32, kernels.KVInt8, kernels.KVInt4, kernels.KVK8V4} {
			rng := rand.New(rand.NewPCG(4, 4))
			m := random(t, c, 2)
			sequences := [][]int32{randomTokens(rng, 150, m.Vocab), randomTokens(rng, 1, m.Vocab), randomTokens(rng, 65, m.Vocab), randomTokens(rng, 64, m.Vocab)}
			step := NewExtender(m.Config, 8)

			// The reference: each sequence alone and whole.
			var want [][]float32 // [tokens, hidden] of each
			for _, s := range sequences {
				k := newCache(t, m.Config, format, 64, [][]int32{s}, rng)
				all, err := step.ExtendAll(context.Background(), m, k.pool, []Segment{{Tokens: s, Pages: k.tables[0]}})
				if err != nil {
					t.Fatal(err)
				}
				all = slices.Clone(all)
				want = append(want, all)
				if cached, err := m.WithKV(format); err != nil || !slices.Equal(all, cached.Forward(pack(s), nil)) {
					t.Errorf("%v: Extend and Forward of the model with that cache differ over %d tokens, %v", format, len(s), err)
				}
				if format == kernels.KVFloat32 && !near(all, m.Forward(pack(s), nil), 1e-4) {
					t.Errorf("Extend and Forward differ over %d tokens", len(s))
				}
			}
			for _, pageSize := range []int{1, 4, 16, 64} {
				if format.Check(pageSize, m.HeadDim) != nil {
					continue
				}
				for _, largest := range []int{1, 7, 200} {
					for _, threads := range []int{1, 2} {
						restore := parallel.SetThreads(threads)
						k := newCache(t, m.Config, format, pageSize, sequences, rng)
						name := fmt.Sprintf("%v, pages of %d, chunks of up to %d, %d threads", format, pageSize, largest, threads)
						randomWalk(t, name, m, step, k, sequences, want, largest, rng)
						restore()
					}
				}
			}
		}
	})
}

// randomWalk extends all sequences in random chunks and random batches, and compares some of each
// chunk's last rows.
func randomWalk(t *testing.T, name string, m *Model, step *Extender, k cache, sequences [][]int32, want [][]float32, largest int, rng *rand.Rand) {
	t.Helper()
	done := make([]int, len(sequences))
	for {
		var segments []Segment
		var whose []int
		for _, s := range rng.Perm(len(sequences)) {
			left := len(sequences[s]) - done[s]
			if left == 0 || rng.IntN(4) == 0 {
				continue
			}
			n := 1 + rng.IntN(min(left, largest))
			segments = append(segments, Segment{Tokens: sequences[s][done[s] : done[s]+n], Start: done[s], Pages: k.tables[s], Last: rng.IntN(n + 1)})
			whose = append(whose, s)
			done[s] += n
		}
		hidden := step.Extend(m, k.pool, segments)
		for i, s := range whose {
			rows := max(1, segments[i].Last)
			if !slices.Equal(hidden[:rows*m.Hidden], want[s][(done[s]-rows)*m.Hidden:done[s]*m.Hidden]) {
				t.Fatalf("%s: sequence %d has other bits in the %d positions before %d", name, s, rows, done[s])
			}
			hidden = hidden[rows*m.Hidden:]
		}
		if len(hidden) > 0 {
			t.Fatalf("%s: %d states that nobody asked for", name, len(hidden)/m.Hidden)
		}
		finished := true
		for s := range sequences {
			finished = finished && done[s] == len(sequences[s])
		}
		if finished {
			return
		}
	}
}

// A segment may continue another of the same call, as with a split prompt.
func TestExtendSplitWithinOneCall(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	m := random(t, medium(), 2)
	s := randomTokens(rng, 100, m.Vocab)
	k := newCache(t, m.Config, kernels.KVBFloat16, 16, [][]int32{s}, rng)
	step := NewExtender(m.Config, 100)
	want := slices.Clone(step.Extend(m, k.pool, []Segment{{Tokens: s, Pages: k.tables[0]}}))
	got := step.Extend(m, k.pool, []Segment{{Tokens: s[:41], Pages: k.tables[0]}, {Tokens: s[41:], Start: 41, Pages: k.tables[0]}})
	if !slices.Equal(got[m.Hidden:], want) {
		t.Error("a split segment has other bits")
	}
	if got := step.Extend(m, k.pool, nil); len(got) != 0 {
		t.Errorf("no segments gave %d states", len(got))
	}
}

func TestExtendPanicsWithNumbers(t *testing.T) {
	m := random(t, medium(), 2)
	pool, err := NewKVPool(m.Config, kernels.KVFloat32, 4, 64)
	if err != nil {
		t.Fatal(err)
	}
	pages := []int32{0, 1, 2, 3}
	for _, c := range []struct {
		name    string
		segment Segment
		message string
	}{
		{"empty", Segment{Start: 3, Pages: pages}, "positions 3 to 2"},
		{"too far", Segment{Tokens: make([]int32, 2), Start: 255, Pages: append(pages, 0)}, "within 0 to 255"},
		{"short table", Segment{Tokens: make([]int32, 65), Pages: pages[:1]}, "1 pages of 64 hold 64"},
		{"page", Segment{Tokens: make([]int32, 1), Pages: []int32{4}}, "page 4"},
		{"token", Segment{Tokens: []int32{50}, Pages: pages}, "expected 0 to 49"},
		{"short fork", Segment{Tokens: make([]int32, 1), Start: 65, Pages: pages, Fork: pages[:1]}, "forks at position 64, its 1 pages"},
		{"fork's page", Segment{Tokens: make([]int32, 1), Start: 65, Pages: pages, Fork: []int32{0, 7}}, "forks in page 7"},
		{"too many states", Segment{Tokens: make([]int32, 2), Pages: pages, Last: 3}, "asks for the states of 3 of its 2 tokens"},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer func() {
				if r := fmt.Sprint(recover()); !strings.Contains(r, c.message) {
					t.Errorf("panic %q, expected %q in it", r, c.message)
				}
			}()
			NewExtender(m.Config, 1).Extend(m, pool, []Segment{c.segment})
		})
	}
}

func TestLabelLogits(t *testing.T) {
	everyImplementation(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(4, 4))
		for _, tied := range []bool{true, false} {
			c := medium()
			c.TiedHead = tied
			m := random(t, c, 2)
			for _, rows := range []int{1, 2, 37} {
				hidden := m.Forward(pack(randomTokens(rng, rows, m.Vocab)), nil)
				all := make([]float32, rows*m.Vocab)
				m.Logits(all, hidden, rows)
				for _, labels := range [][]int32{{7}, {49, 0}, {3, 3, 1, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33}, nil} {
					for range 2 { // the second time from the packed choice
						got := make([]float32, rows*len(labels))
						m.LabelLogits(got, hidden, rows, labels)
						for i, v := range got {
							if want := all[i/len(labels)*m.Vocab+int(labels[i%len(labels)])]; v != want {
								t.Fatalf("rows %d, labels %v: [%d] is %v, Logits has %v", rows, labels, i, v, want)
							}
						}
					}
				}
			}
			// Another format multiplies whole; a changed head is packed anew.
			hidden := m.Forward(pack(randomTokens(rng, 2, m.Vocab)), nil)
			a, b := make([]float32, 4), make([]float32, 4)
			m.LabelLogits(a, hidden, 2, []int32{4, 9})
			dense := m.Head
			m.Head = other{m.Head}
			m.LabelLogits(b, hidden, 2, []int32{4, 9})
			if !slices.Equal(a, b) {
				t.Errorf("a head of another format gives %v, dense %v", b, a)
			}
			m.Head = dense
			m.Head.Float32()[4*m.Hidden] += 1
			m.Changed()
			m.LabelLogits(b, hidden, 2, []int32{4, 9})
			if a[0] == b[0] || a[1] != b[1] {
				t.Errorf("after a change of row 4 logits went from %v to %v", a, b)
			}
		}
	})
}

// other is a weight of a format that this package does not know.
type other struct{ weight.Weight }

func (other) Format() string { return "other" }

func TestKVPool(t *testing.T) {
	c := medium()
	pool, err := NewKVPool(c, kernels.KVFloat32, 5, 16)
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(4 * 2 * 5 * 16 * 16 * (2 + 1 + 3)); pool.Bytes() != want {
		t.Errorf("pool takes %d bytes, expected %d", pool.Bytes(), want)
	}
	for _, f := range kernels.KVFormats() {
		pool, err := NewKVPool(c, f, 5, 16)
		if err != nil {
			t.Fatal(err)
		}
		if want := int64(5 * 16 * f.PositionBytes(2+1+3, 16)); pool.Bytes() != want || PositionBytes(c, f) != want/(5*16) {
			t.Errorf("%v: pool takes %d bytes, a position %d, expected %d in all", f, pool.Bytes(), PositionBytes(c, f), want)
		}
	}
	for _, bad := range []struct {
		format      kernels.KVFormat
		pages, size int
	}{{kernels.KVFloat32, 0, 16}, {kernels.KVFloat32, 5, 0}, {kernels.KVFloat32, 5, 48}, {kernels.KVFloat32, 5, 128}, {kernels.KVBFloat16, 5, 1}, {kernels.KVInt8, 5, 1}, {kernels.KVInt4, 5, 1}, {99, 5, 16}, {-1, 5, 16}} {
		if _, err := NewKVPool(c, bad.format, bad.pages, bad.size); err == nil {
			t.Errorf("a pool of %d pages of %d in %v was made", bad.pages, bad.size, bad.format)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	c := Config{Architecture: "LlamaForCausalLM", Vocab: 1024, Hidden: 128, HeadDim: 32, Layers: Uniform(4, 4, 2, 384),
		MaxPositions: 512, RopeTheta: 10000, NormEps: 1e-5, TiedHead: true, BOS: -1, EOS: -1}
	for _, batch := range []int{1, 16} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			m := random(b, c, 1)
			rng := rand.New(rand.NewPCG(9, 9))
			var sequences [][]int32
			for range batch {
				sequences = append(sequences, randomTokens(rng, 129, c.Vocab))
			}
			k := newCache(b, c, kernels.KVBFloat16, 16, sequences, rng)
			step := NewExtender(c, batch*128)
			var prompts, next []Segment
			for i, s := range sequences {
				prompts = append(prompts, Segment{Tokens: s[:128], Pages: k.tables[i]})
				next = append(next, Segment{Tokens: s[128:], Start: 128, Pages: k.tables[i]})
			}
			step.Extend(m, k.pool, prompts)
			b.ReportAllocs()
			for b.Loop() {
				step.Extend(m, k.pool, next)
			}
			b.ReportMetric(float64(batch*b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}
