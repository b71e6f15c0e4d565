package pruning

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"slimlab/model"
)

// balanced reports whether a support has as many groups of each class.
func balanced(q *problem, support []int) bool {
	room := q.evenly(len(support))
	return len(q.first(support, len(support), room)) == len(support)
}

// Over balanced supports: every method's is one, OSSCAR's error is at least that of the best of
// all, at most that of magnitude with least squares, and no single swap within a class is better.
func TestBalancedAgainstBruteForce(t *testing.T) {
	const trials = 100
	optimal, better, worst := 0, 0, 1.0
	for seed := range uint64(trials) {
		rng := rand.New(rand.NewPCG(seed, 21))
		classes, class, group := 2+rng.IntN(2), 3+rng.IntN(2), 1+rng.IntN(3)
		m, stay := classes*class, 1+rng.IntN(2)
		d := m * group
		q := newTestProblem(gram(mixed(rng, 4*d, d, 1)), normal(rng, d, 4), group, 0.01)
		q.class = class
		keep := classes * stay
		for _, kept := range [][]int{q.magnitude(keep), q.random(keep, rng), q.largest(keep, squaredOutput)} {
			if len(kept) != keep || !balanced(q, kept) {
				t.Fatalf("seed %d: %v of classes of %d, expected %d of each", seed, kept, class, stay)
			}
		}
		c := must2(q.osscar(keep, search{batch: 1, swaps: 3, rounds: 30}))(t)
		if len(c.kept) != keep || !balanced(q, c.kept) {
			t.Fatalf("seed %d: kept %v of classes of %d, expected %d of each", seed, c.kept, class, stay)
		}
		dense, best := fresh(t, q, complement(nil, m)), math.Inf(1)
		for mask := range 1 << m {
			if support := bits(mask, m); len(support) == keep && balanced(q, support) {
				best = min(best, fresh(t, q, support)-dense)
			}
		}
		got, magnitude := fresh(t, q, c.kept)-dense, fresh(t, q, q.magnitude(keep))-dense
		if got < best*(1-1e-6) || got > magnitude*(1+1e-9) {
			t.Errorf("seed %d: error %g, the best of all has %g, magnitude with least squares %g", seed, got, best, magnitude)
		}
		if got < best*(1+1e-6) {
			optimal++
		}
		if got < magnitude*(1-1e-6) {
			better++
		}
		worst = max(worst, got/best)
		for _, out := range c.kept {
			for in := range m {
				if slices.Contains(c.kept, in) || q.classOf(in) != q.classOf(out) {
					continue
				}
				support := slices.Sorted(slices.Values(append(slices.DeleteFunc(slices.Clone(c.kept), func(g int) bool { return g == out }), in)))
				if e := fresh(t, q, support) - dense; e < got*(1-1e-6) {
					t.Errorf("seed %d: %d for %d has the error %g, below %g", seed, in, out, e, got)
				}
			}
		}
	}
	t.Logf("optimal in %d of %d, worst ratio %.3f; better than magnitude with least squares in %d", optimal, trials, worst, better)
	if optimal < trials*8/10 || better == 0 {
		t.Errorf("optimal in %d of %d, expected 80%%; better than magnitude in %d", optimal, trials, better)
	}
}

// A model without the same number of query heads of every KV group computes what the model with
// zeros in their place does: for all methods and families; keys and values stay.
func TestQueryHeads(t *testing.T) {
	for _, architecture := range []string{"LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"} {
		for _, method := range Methods() {
			c := config(architecture)
			c.Layers = model.Uniform(2, 8, 2, 64)
			m := newModel(t, c)
			before := len(m.Flat())
			pruned, r := prune(t, m, Options{Method: Method(method), Cuts: Uniform(2, LayerCut{QueryHeads: Cut{Ratio: 0.25}})})
			if err := pruned.Check(); err != nil {
				t.Errorf("%s %s: %v", architecture, method, err)
			}
			for i, l := range pruned.Layers {
				if l != (model.LayerConfig{Heads: 6, KVHeads: 2, MLP: 64}) {
					t.Errorf("%s %s: layer %d is %+v", architecture, method, i, l)
				}
				kept := r.Layers[i].Support
				if r.Layers[i].Part != QueryHeads || len(kept) != 6 || kept[2] > 3 || kept[3] < 4 {
					t.Errorf("%s %s: %s keeps %v, expected 3 of 0 to 3 and 3 of 4 to 7", architecture, method, r.Layers[i].Part, kept)
				}
				if !slices.Equal(pruned.Blocks[i].K.Weight.Float32(), m.Blocks[i].K.Weight.Float32()) || !slices.Equal(pruned.Blocks[i].V.Weight.Float32(), m.Blocks[i].V.Weight.Float32()) {
					t.Errorf("%s %s: layer %d has other keys or values", architecture, method, i)
				}
			}
			want, got := logits(masked(m, pruned, r)), logits(pruned)
			for i := range want {
				if math.Abs(float64(want[i])-float64(got[i])) > 1e-5 {
					t.Fatalf("%s %s: logit %d is %g, that of the masked model %g", architecture, method, i, got[i], want[i])
				}
			}
			removed := 2 * 2 * 2 * 8 * 32 // layers, heads, q and o
			if m.QKVBias {
				removed += 2 * 2 * 8
			}
			if r.QueryHeads != (Count{16, 12}) || r.KVGroups != (Count{4, 4}) || r.Parameters != (Count{before, before - removed}) || pruned.Config.Parameters() != before-removed {
				t.Errorf("%s %s: counts %+v, %+v, %+v, expected %d parameters less", architecture, method, r.QueryHeads, r.KVGroups, r.Parameters, removed)
			}
			if !strings.Contains(r.Summary(), ": 25.0% of query heads, ") {
				t.Errorf("summary %q", r.Summary())
			}
		}
	}
}

// Query heads of a KV group are consecutive: the one head of each group that o_proj reads is the
// one that stays, for every method that looks at weights.
func TestQueryHeadMapping(t *testing.T) {
	for _, method := range []Method{OSSCAR, NormActivation, WandaSP, MagnitudeL1, MagnitudeL2, Taylor} {
		m := newModel(t, config("Qwen2ForCausalLM")) // 8 heads, 4 groups of 2
		hot := []int{1, 2, 5, 6}
		w := m.Blocks[0].O.Weight.Float32()
		for i := range w {
			if !slices.Contains(hot, i%64/8) {
				w[i] = 0
			}
		}
		m.Changed()
		pruned, r := prune(t, m, Options{Method: method, Cuts: []LayerCut{{QueryHeads: Cut{Count: 1}}, {}}})
		if got := r.Layers[0]; !slices.Equal(got.Support, hot) || got.Updated.Undamped > 1e-6 {
			t.Errorf("%s: kept %v with error %g, expected %v", method, got.Support, got.Updated.Undamped, hot)
		}
		for at, h := range hot {
			if !slices.Equal(pruned.Blocks[0].Q.Weight.Float32()[at*8*32:][:8*32], m.Blocks[0].Q.Weight.Float32()[h*8*32:][:8*32]) {
				t.Errorf("%s: query head %d is not that which was head %d", method, at, h)
			}
		}
	}
}

// What cannot be removed of query heads is said.
func TestQueryHeadCuts(t *testing.T) {
	layers := model.Uniform(1, 6, 2, 8)
	for _, c := range []struct {
		cut   LayerCut
		heads int
		err   string
	}{
		{LayerCut{QueryHeads: Cut{Ratio: 0.34}}, 4, ""},
		{LayerCut{QueryHeads: Cut{Count: 2}}, 2, ""},
		{LayerCut{QueryHeads: Cut{Count: 3}}, 0, "layer 0's query heads of a KV group: removing 3 of 3 leaves none"},
		{LayerCut{QueryHeads: Cut{Count: 1}, Heads: Cut{Count: 1}}, 0, "found KV groups and query heads, expected one of them"},
	} {
		got, err := WidthsAfter(layers, []LayerCut{c.cut}, 1)
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%+v: error %v, expected %q", c.cut, err, c.err)
			}
		case err != nil || got[0] != model.LayerConfig{Heads: c.heads, KVHeads: 2, MLP: 8}:
			t.Errorf("%+v: %+v, error %v", c.cut, got, err)
		}
	}
}
