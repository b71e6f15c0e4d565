package quant

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"slimlab/kernels"
	"slimlab/kernels/matrix"
	"slimlab/model/calibrate/calibratetest"
	"slimlab/model/weight"
)

// blockError is the sum over groups of δ·H·δᵀ of the group's inputs alone, rounded to nearest
// on the grid of fitted.
func blockError(t *testing.T, w, fitted *weight.Dense, f weight.Format, scales kernels.Precision, h matrix.Dense) []float64 {
	t.Helper()
	g, err := NewGrid(f, fitted, scales)
	if err != nil {
		t.Fatal(err)
	}
	size := f.Group
	if size == 0 {
		size = w.In
	}
	var all []float64
	for o := range w.Out {
		for at := 0; at < w.In; at += size {
			e := 0.0
			delta := func(i int) float64 {
				v := float64(w.Data[o*w.In+i])
				_, value := g.Encode(v, o, i)
				return v - value
			}
			for i := at; i < at+size; i++ {
				for j := at; j < at+size; j++ {
					e += delta(i) * h.Row(i)[j] * delta(j)
				}
			}
			all = append(all, e)
		}
	}
	return all
}

// No group is worse clipped than not, in the measure by which the range is chosen, and none could
// be better with another of the shares.
func TestClippedGroupsAreNeverWorse(t *testing.T) {
	groups, better := 0, 0
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 1))
		for _, f := range []weight.Format{{Bits: 4, Group: 8}, {Bits: 4, Group: 16, ZeroPoints: true}, {Bits: 4}, {Bits: 4, Group: 16, Activations: weight.Token}, {Bits: 8, Activations: weight.Token}} {
			w, h := weights(rng, 9, 32), matrixOf(correlated(rng, 32, 60))
			for range 9 { // outliers, which clipping is for
				w.Data[rng.IntN(len(w.Data))] *= 4
			}
			before := slices.Clone(w.Data)
			scales := kernels.Precision(seed % 2)
			cut, narrowed, of, err := clipped(context.Background(), w, f, scales, h)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(before, w.Data) {
				t.Fatal("the weight changed")
			}
			got, without := blockError(t, w, cut, f, scales, h), blockError(t, w, w, f, scales, h)
			group := f.Group
			if group == 0 {
				group = w.In
			}
			share := weight.NewDense(make([]float32, len(w.Data)), w.Out, w.In)
			for step := range clipSteps {
				clipTo(share.Data, w.Data, group, 1-clipStep*float64(step))
				for i, e := range blockError(t, w, share, f, scales, h) {
					if got[i] > e*(1+1e-9) {
						t.Fatalf("%s: the error of group %d is %g, with a share of %g it is %g", f, i, got[i], 1-clipStep*float64(step), e)
					}
				}
			}
			improved := 0
			for i, e := range got {
				if e < without[i] {
					improved++
				}
			}
			// a narrower range may round to the same numbers, so that nothing but its error differs
			if of != len(got) || narrowed < improved {
				t.Errorf("%s: %d of %d groups are said to be narrowed, %d of %d are better", f, narrowed, of, improved, len(got))
			}
			groups, better = groups+len(got), better+improved
		}
	}
	t.Logf("clipping helps %d of %d groups", better, groups)
	if better < groups/4 {
		t.Errorf("clipping helps %d of %d groups, expected at least a quarter", better, groups)
	}
}

// With clipping the outputs' error falls in most linear layers that are clipped, and q_proj and
// k_proj stay as they are: a trend, at 4 bits of whole rows, where ranges are widest.
func TestClipOfAModel(t *testing.T) {
	m := newModel(t, "LlamaForCausalLM", 64)
	for _, l := range m.Linears() {
		rng := rand.New(rand.NewPCG(1, uint64(l.In)))
		for o := range l.Out {
			l.Weight.Float32()[o*l.In+rng.IntN(l.In)] *= 3
		}
	}
	m.Changed()
	s := Scheme{Format: weight.Format{Bits: 4, Group: 32}, Rounder: Nearest{}}
	for _, rounder := range []Rounder{Nearest{}, GPTQ{}} {
		s.Rounder = rounder
		plain, before, err := inMemory(context.Background(), m, Uniform(s), sequences(40), Options{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		cut, after, err := inMemory(context.Background(), m, Uniform(s), sequences(40), Options{Clip: true}, nil)
		if err != nil {
			t.Fatal(err)
		}
		better := 0
		for i, l := range after.Linears {
			queries := i%7 < 2
			if !queries && l.Error < before.Linears[i].Error {
				better++
			}
			// GPTQ's statistics of layer 1 are others after clipping in layer 0
			if same := slices.Equal(plain.Linears()[i].Weight.Float32(), cut.Linears()[i].Weight.Float32()); same != queries && (i < 7 || rounder == Nearest{}) {
				t.Errorf("%T: %s is the same as without clipping: %t", rounder, l.Name, same)
			}
		}
		t.Logf("%T: clipping helps %d of %d linear layers", rounder, better, len(after.Linears)-4)
		if better < 6 {
			t.Errorf("%T: clipping helps %d of %d linear layers, expected at least 6", rounder, better, len(after.Linears)-4)
		}
	}
	for name, want := range map[string]string{"fp8": "clip is for integers, found fp8-dynamic", "w4a16-rtn": "clip needs calibration sequences"} {
		list := sequences(3)
		if name != "fp8" {
			list = nil
		}
		if _, _, err := inMemory(context.Background(), m, uniform(t, name), list, Options{Clip: true}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, expected %q", name, err, want)
		}
	}
	if _, _, _, err := clipped(calibratetest.Counted(0), weights(rand.New(rand.NewPCG(1, 1)), 4, 8), weight.Format{Bits: 4}, kernels.Float32, matrix.NewDense(8, 8, nil)); err == nil {
		t.Error("a search whose context had ended returned weights")
	}
}
