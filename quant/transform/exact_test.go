package transform

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"slimlab/kernels"
	"slimlab/model"
	"slimlab/model/calibrate/calibratetest"
)

// A model is the same function after any scales and any rotation, alone and together: to 1e-10 in
// float64, to 1e-4 in float32 and as the model's own forward pass computes it.
func TestChangesAreExact(t *testing.T) {
	worst, worst32 := 0.0, 0.0
	for name, c := range shapes() {
		for seed := range uint64(6) {
			m := randomModel(t, c, seed)
			before := slices.Clone(m.Flat())
			rng := rand.New(rand.NewPCG(seed, 3))
			tokens := make([]int32, 9)
			for i := range tokens {
				tokens[i] = rng.Int32N(int32(c.Vocab))
			}
			want, want32 := newReference(t, m).logits(tokens), logitsOf(m, tokens)
			if d := apart(want, want32); d > 1e-5 {
				t.Fatalf("%s: the reference differs from the model by %g", name, d)
			}
			for _, rotation := range Rotations() {
				for _, smooth := range []bool{false, true} {
					place := fmt.Sprintf("%s, seed %d, rotation %s, scales %t", name, seed, rotation, smooth)
					r, err := NewRotation(rotation, c)
					if err != nil {
						t.Fatalf("%s: %v", place, err)
					}
					s := &Smoothing{}
					if smooth {
						s.scales = randomScales(m, rng)
					}
					changed := newReference(t, m)
					if r != nil {
						changed.rotate(r)
					}
					for layer, b := range changed.blocks {
						for site := range model.SiteDown + 1 {
							if scales := s.at(layer, site); scales != nil {
								b.scale(site, scales, nil)
							}
						}
					}
					d := apart(want, changed.logits(tokens))
					if worst = max(worst, d); !(d <= 1e-10) {
						t.Errorf("%s: logits in float64 are %g apart", place, d)
					}
					out := through(t, r, s, m)
					if d := apart(want, logitsOf(out, tokens)); !(d <= 1e-4) {
						t.Errorf("%s: logits in float32 are %g apart", place, d)
					} else {
						worst32 = max(worst32, d)
					}
					if tied := c.TiedHead && !r.Stream(); out.TiedHead != tied {
						t.Errorf("%s: the head is tied: %t, expected %t", place, out.TiedHead, tied)
					}
					if (smooth || r != nil) && slices.Equal(out.Blocks[0].Down.Weight.Float32(), m.Blocks[0].Down.Weight.Float32()) && (smooth || r.Stream()) {
						t.Errorf("%s: down_proj did not change", place)
					}
				}
			}
			if !slices.Equal(before, m.Flat()) {
				t.Fatalf("%s: the original changed", name)
			}
		}
	}
	t.Logf("worst difference: %.1e in float64, %.1e in float32", worst, worst32)
}

// Norms that are kept in bfloat16 stand for scales near those that were asked for, exactly: the
// logits do not see that the norm was rounded.
func TestRoundedNormsAreExact(t *testing.T) {
	round := Rounding(kernels.BFloat16.Round)
	for name, c := range shapes() {
		m := randomModel(t, c, 1)
		rng := rand.New(rand.NewPCG(2, 2))
		s := &Smoothing{scales: map[place][]float64{}, round: round}
		for at, scales := range randomScales(m, rng) {
			norm := m.Blocks[at.layer].AttentionNorm
			switch at.site {
			case model.SiteGateUp:
				norm = m.Blocks[at.layer].MLPNorm
			case model.SiteO, model.SiteDown:
				continue
			}
			norm[0] = 0 // a channel that is always zero
			held := hold(norm, scales, round)
			if held[0] != 1 {
				t.Errorf("%s: the scale of a channel that is always zero is %g", name, held[0])
			}
			for j := 1; j < len(held); j++ {
				if d := math.Abs(held[j]/scales[j] - 1); d > 1.0/256 {
					t.Errorf("%s: scale %g became %g", name, scales[j], held[j])
				}
			}
			s.scales[at] = held
		}
		m.Changed()
		tokens := []int32{1, 2, 3, 4, 5}
		out := through(t, nil, s, m)
		for _, norm := range [][]float32{out.Blocks[0].AttentionNorm, out.Blocks[1].MLPNorm} {
			rounded := slices.Clone(norm)
			if round(rounded); !slices.Equal(rounded, norm) {
				t.Errorf("%s: a norm is not in bfloat16", name)
			}
		}
		if d := apart(newReference(t, m).logits(tokens), logitsOf(out, tokens)); d > 1e-5 {
			t.Errorf("%s: logits are %g apart", name, d)
		}
	}
}

// R·Rᵀ = 1 for every size; where it is a Hadamard matrix all elements have one magnitude.
func TestOrthogonal(t *testing.T) {
	plain := 0
	for _, size := range []int{1, 2, 3, 4, 6, 8, 12, 20, 21, 24, 28, 36, 52, 56, 60, 64, 72, 84, 96, 104, 160, 200, 896, 25 * 8} {
		r, err := newOrthogonal(size, rand.New(rand.NewPCG(uint64(size), 1)))
		if err != nil {
			t.Fatal(err)
		}
		turn, rows := r.turner(), make([]float64, size*size)
		for i := range size {
			clear(turn.x)
			turn.x[i] = 1
			turn.turn()
			copy(rows[i*size:], turn.x)
			for _, v := range turn.x {
				if !r.plain && math.Abs(v*v*float64(size)-1) > 1e-9 {
					t.Fatalf("size %d: an element is %g", size, v)
				}
			}
		}
		if r.plain {
			plain++
		}
		for i := range size {
			for j := range i + 1 {
				dot := 0.0
				for k, v := range rows[i*size : (i+1)*size] {
					dot += v * rows[j*size+k]
				}
				if want := float64(1 - min(1, i-j)); math.Abs(dot-want) > 1e-12 {
					t.Fatalf("size %d: rows %d and %d have the product %g", size, i, j, dot)
				}
			}
		}
	}
	if plain != 4 { // 3, 6, 21 and 52
		t.Errorf("%d sizes have no Hadamard matrix, expected 4", plain)
	}
	if _, err := newOrthogonal(4099, rand.New(rand.NewPCG(1, 1))); err == nil {
		t.Error("a size with a large odd part was accepted")
	}
}

// A random orthogonal matrix is one to the last digits also where rows that were drawn are nearly
// dependent.
func TestRandomOrthogonal(t *testing.T) {
	for seed := range uint64(3000) {
		n := 2 + int(seed%6)
		m := randomOrthogonal(n, rand.New(rand.NewPCG(seed, 2)))
		for i := range n {
			for j := range i + 1 {
				dot := 0.0
				for k, v := range m[i*n : (i+1)*n] {
					dot += v * m[j*n+k]
				}
				if want := float64(1 - min(1, i-j)); math.Abs(dot-want) > 4e-15 {
					t.Fatalf("seed %d, size %d: rows %d and %d have the product %g", seed, n, i, j, dot)
				}
			}
		}
	}
}

// A layer as it was, for a pass that resumes or has the dense model beside it, is changed as one
// that is loaded; a layer that was finished before is left as it is.
func TestSourceIsChangedAlike(t *testing.T) {
	m := randomModel(t, shapes()["biases, tied head"], 1)
	r, err := NewRotation("residual", m.Config)
	if err != nil {
		t.Fatal(err)
	}
	s := &Smoothing{scales: randomScales(m, rand.New(rand.NewPCG(1, 1)))}
	whole := randomModel(t, m.Config, 2)
	layers := s.Layers(r.Layers(&calibratetest.Interrupted{InMemory: layersOf(t, m), Whole: whole, Finished: 1}))
	other, err := model.Skeleton(m.Config)
	if err != nil {
		t.Fatal(err)
	}
	for layer := range m.Blocks {
		finished, err := layers.Load(context.Background(), layer)
		if err == nil {
			err = layers.Source(context.Background(), other, layer)
		}
		if err != nil || finished != (layer == 0) {
			t.Fatalf("layer %d: finished %t, %v", layer, finished, err)
		}
		got := layers.Model().BlockTensors(layer)
		for i, p := range other.BlockTensors(layer) {
			switch finishedData := whole.BlockTensors(layer)[i].Data; {
			case layer == 0 && !slices.Equal(got[i].Data, finishedData):
				t.Errorf("%s of a finished layer changed", p.Name)
			case layer > 0 && !slices.Equal(got[i].Data, p.Data):
				t.Errorf("%s as it was is not what is loaded", p.Name)
			case p.Kind != model.Bias && slices.Equal(p.Data, m.BlockTensors(layer)[i].Data):
				t.Errorf("%s did not change", p.Name)
			}
		}
	}
	x, y := make([]float32, 2*m.Hidden), make([]float32, 2*m.Hidden)
	if err := layers.Embed(x, []int32{1, 4}); err != nil {
		t.Fatal(err)
	}
	r.Ends(m).Embed(y, []int32{1, 4})
	if !slices.Equal(x, y) {
		t.Error("embeddings of the layers and of the model in memory differ")
	}
}
