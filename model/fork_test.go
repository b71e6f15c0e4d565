package model

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"slimlab/kernels"
	"slimlab/model/weight"
)

// shareable is a model whose KV heads two ranks can share, with odd numbers of neurons.
func shareable() Config {
	c := extended()
	c.Layers = []LayerConfig{{Heads: 4, KVHeads: 2, MLP: 72}, {Heads: 2, KVHeads: 2, MLP: 33}, {Heads: 8, KVHeads: 4, MLP: 65}}
	c.Vocab = 51
	return c
}

// aloneStates are the final hidden states of the last token of each branch after the prompt, each
// computed as one sequence by itself.
func aloneStates(t *testing.T, m *Model, format kernels.KVFormat, prompt []int32, branches [][]int32) (states [][]float32) {
	t.Helper()
	for _, b := range branches {
		s := slices.Concat(prompt, b)
		k := newCache(t, m.Config, format, 64, [][]int32{s}, rand.New(rand.NewPCG(1, 1)))
		states = append(states, slices.Clone(new(Extender).Extend(m, k.pool, []Segment{{Tokens: s, Pages: k.tables[0]}})))
	}
	return states
}

// forkStates are the same of branches that fork from the prompt within one call; with together, the
// end of the prompt is in that call too.
func forkStates(t *testing.T, r *Ranks, format kernels.KVFormat, pageSize int, together bool, prompt []int32, branches [][]int32) (states [][]float32) {
	t.Helper()
	pool, err := r.NewKVPool(format, 450, pageSize)
	if err != nil {
		t.Fatal(err)
	}
	free := rand.New(rand.NewPCG(6, 6)).Perm(pool.Pages)
	table := func(begun []int32, tokens int) []int32 {
		begun = slices.Clone(begun)
		for len(begun)*pageSize < tokens {
			begun, free = append(begun, int32(free[0])), free[1:]
		}
		return begun
	}
	e := new(Extender)
	whole := table(nil, len(prompt))
	cut := len(prompt)
	if together {
		cut -= 3
	}
	e.ExtendRanks(r, pool, []Segment{{Tokens: prompt[:cut], Pages: whole}})
	var segments []Segment
	for _, b := range branches {
		segments = append(segments, Segment{Tokens: b, Start: len(prompt), Pages: table(whole[:len(prompt)/pageSize], len(prompt)+len(b)), Fork: whole})
	}
	if together {
		segments = append(segments, Segment{Tokens: prompt[cut:], Start: cut, Pages: whole})
	}
	hidden := e.ExtendRanks(r, pool, segments)
	for i := range branches {
		states = append(states, slices.Clone(hidden[i*r.whole.Hidden:][:r.whole.Hidden]))
	}
	return states
}

// passStates are the same of a Pass.
func passStates(t *testing.T, r *Ranks, format kernels.KVFormat, prompt []int32, branches [][]int32) (states [][]float32) {
	t.Helper()
	p, err := r.NewPass(format, prompt, branches)
	if err != nil {
		t.Fatal(err)
	}
	steps := 0
	for {
		steps++
		hidden, done := p.Step()
		if !done {
			continue
		}
		if want := len(r.whole.Blocks) * ((p.Tokens() + PassRows - 1) / PassRows); steps != want {
			t.Errorf("a pass took %d steps, expected %d", steps, want)
		}
		for i := range max(1, len(branches)) {
			states = append(states, slices.Clone(hidden[i*r.whole.Hidden:][:r.whole.Hidden]))
		}
		return states
	}
}

// TestForksAndPasses: branches of a prompt have the bits that they have alone, whether they fork
// from it in pages of any size or go layer by layer without a cache, on one rank and on two.
func TestForksAndPasses(t *testing.T) {
	everyImplementation(t, func(t *testing.T) {
		m := random(t, shareable(), 2)
		m.MaxPositions = 2048
		for _, format := range []kernels.KVFormat{kernels.KVBFloat16, kernels.KVFloat32, kernels.KVInt8Rotated, kernels.KVInt4, kernels.KVK8V4} {
			for _, length := range []int{5, 64, 200, 260} {
				rng := rand.New(rand.NewPCG(uint64(length), 4))
				prompt := randomTokens(rng, length, m.Vocab)
				branches := [][]int32{randomTokens(rng, 3, m.Vocab), randomTokens(rng, 1, m.Vocab), randomTokens(rng, 70, m.Vocab), randomTokens(rng, 20, m.Vocab)}
				want := aloneStates(t, m, format, prompt, append(branches, nil))
				for _, ranks := range []int{1, 2} {
					r, err := m.Divide(ranks)
					if err != nil {
						t.Fatal(err)
					}
					compare := func(what string, got [][]float32) {
						t.Helper()
						for i := range got {
							if !slices.Equal(got[i], want[i]) {
								t.Errorf("%v, prompt of %d, %d ranks, %s: branch %d has other bits than alone", format, length, ranks, what, i)
							}
						}
					}
					for _, pageSize := range []int{1, 4, 16, 64} {
						if format.Check(pageSize, m.HeadDim) == nil {
							compare(fmt.Sprintf("pages of %d", pageSize), forkStates(t, r, format, pageSize, false, prompt, branches))
							compare(fmt.Sprintf("pages of %d with the prompt's end", pageSize), forkStates(t, r, format, pageSize, true, prompt, branches))
						}
					}
					compare("layer by layer", passStates(t, r, format, prompt, append(branches, nil)))
					if got := passStates(t, r, format, prompt, nil); !slices.Equal(got[0], want[len(want)-1]) {
						t.Errorf("%v, prompt of %d, %d ranks: a pass over the prompt alone has other bits", format, length, ranks)
					}
				}
			}
		}
	})
}

// TestBranchesDoNotSeeEachOther: with the causal mask in the place of the branches' own, where each
// would see those before it, all but the first would come out differently, so that the comparisons
// above can fail.
func TestBranchesDoNotSeeEachOther(t *testing.T) {
	m, rng := random(t, shareable(), 2), rand.New(rand.NewPCG(3, 3))
	prompt := randomTokens(rng, 40, m.Vocab)
	branches := [][]int32{randomTokens(rng, 5, m.Vocab), randomTokens(rng, 5, m.Vocab), randomTokens(rng, 5, m.Vocab)}
	own := aloneStates(t, m, kernels.KVBFloat16, prompt, branches)
	seen := slices.Clone(prompt)
	for i, b := range branches {
		causal := aloneStates(t, m, kernels.KVBFloat16, seen, [][]int32{b})
		if same := slices.Equal(causal[0], own[i]); same != (i == 0) {
			t.Errorf("branch %d that sees those before it: the same state is %t", i, same)
		}
		seen = append(seen, b...)
	}
}

// TestRanksInEveryFormat: two and three ranks have the bits of the whole model, whatever the format
// of its weights, in states, logits and logits of labels.
func TestRanksInEveryFormat(t *testing.T) {
	c := shareable()
	c.Hidden, c.HeadDim = 96, 16
	c.Layers = []LayerConfig{{Heads: 6, KVHeads: 6, MLP: 64}, {Heads: 12, KVHeads: 6, MLP: 96}}
	groups := weight.Format{Bits: 4, Group: 16}
	formats := []weight.Format{
		{Float: true, Bits: 32}, {Float: true, Bits: 16}, {Bits: 8, Activations: weight.Token}, {Bits: 8, Group: 16}, groups, {Bits: 3, Group: 32},
		{Bits: 4, Group: 16, ZeroPoints: true}, {Bits: 4, Group: 16, Activations: weight.Token}, {Bits: 4, Group: 16, Order: true},
		{Float: true, Bits: 8, Activations: weight.Token}, {Float: true, Bits: 8, Activations: weight.Static}, {Float: true, Bits: 8, E5M2: true},
		{Float: true, Bits: 8, Block: [2]int{16, 32}}, {Float: true, Bits: 8, Block: [2]int{16, 32}, Activations: weight.Blocks},
		{Float: true, Bits: 4, Group: weight.MXGroup, Scales: weight.E8M0}, {Float: true, Bits: 4, Group: weight.NVGroup, Scales: weight.E4M3},
	}
	for i, f := range formats {
		for _, outliers := range []bool{false, true} {
			if outliers && f != groups {
				continue
			}
			t.Run(fmt.Sprintf("%v, outliers %t", f, outliers), func(t *testing.T) {
				m := random(t, c, uint64(i))
				rng := rand.New(rand.NewPCG(uint64(i), 8))
				for _, l := range m.Linears() {
					l.Weight = inFormat(t, f, l.Weight, outliers, rng)
				}
				sequences := [][]int32{randomTokens(rng, 40, m.Vocab), randomTokens(rng, 1, m.Vocab), randomTokens(rng, 70, m.Vocab)}
				var want, logits []float32
				for _, ranks := range []int{1, 2, 3} {
					r, err := m.Divide(ranks)
					if err != nil {
						t.Fatal(err)
					}
					pool, err := r.NewKVPool(kernels.KVInt8, 30, 16)
					if err != nil {
						t.Fatal(err)
					}
					var segments []Segment
					for j, s := range sequences {
						table := make([]int32, 5)
						for k := range table {
							table[k] = int32(5*j + k)
						}
						segments = append(segments, Segment{Tokens: s, Pages: table})
					}
					got := new(Extender).ExtendRanks(r, pool, segments)
					rows := make([]float32, len(sequences)*m.Vocab)
					r.Logits(rows, got, len(sequences))
					if ranks == 1 {
						want, logits = slices.Clone(got), rows
						continue
					}
					if !slices.Equal(got, want) || !slices.Equal(rows, logits) {
						t.Errorf("%d ranks have other bits than one", ranks)
					}
				}
			})
		}
	}
}

// inFormat is a weight of the format with random codes, of about the size of w.
func inFormat(t *testing.T, f weight.Format, w weight.Weight, outliers bool, rng *rand.Rand) weight.Weight {
	t.Helper()
	out, in := w.Shape()
	switch {
	case f.Bits == 32:
		return w
	case f.Bits == 16:
		bits := make([]uint16, out*in)
		for i := range bits {
			bits[i] = uint16(0x3c00 + rng.IntN(0x200) | rng.IntN(2)<<15)
		}
		return weight.NewBFloat16(bits, out, in)
	}
	e := weight.Encoding{Format: f, Out: out, In: in}
	if f.Activations == weight.Static {
		e.Input = 0.05
	}
	groups := 1
	if f.Group > 0 {
		groups = in / f.Group
	}
	scales := out * groups
	if f.Block != [2]int{} {
		scales = (out + f.Block[0] - 1) / f.Block[0] * ((in + f.Block[1] - 1) / f.Block[1])
	}
	for range scales {
		e.Scale = append(e.Scale, 1.0/64)
	}
	if f.Scales == weight.E4M3 {
		e.Global = 1
	}
	if f.ZeroPoints {
		for range scales {
			e.Zero = append(e.Zero, int8(rng.IntN(7)-3))
		}
	}
	if f.Order {
		for i := range in {
			e.GroupOf = append(e.GroupOf, int32(i%groups))
		}
	}
	codes := make([]byte, out*in)
	for i := range codes {
		switch {
		case f.Float && f.Bits == 8:
			codes[i] = byte(rng.IntN(256)) & 0xbb // neither NaN nor infinite
		case f.Float:
			codes[i] = byte(rng.IntN(16))
		default:
			codes[i] = byte(rng.IntN(1<<f.Bits) - 1<<(f.Bits-1))
			if codes[i] == 0x80 {
				codes[i] = 0
			}
		}
	}
	q, err := weight.New(e, codes)
	if err != nil {
		t.Fatal(err)
	}
	if outliers {
		s := &weight.Sparse{Out: out, In: in, Start: []int32{0}}
		for o := range out {
			s.Input, s.Value = append(s.Input, int32(o%in)), append(s.Value, 0.5)
			s.Start = append(s.Start, int32(o+1))
		}
		if q, err = weight.NewOutliers(q, s); err != nil {
			t.Fatal(err)
		}
	}
	return q
}
