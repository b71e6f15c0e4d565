package quant

import (
	"math"
	"math/rand/v2"
	"testing"

	"slimlab/kernels"
	"slimlab/model/weight"
)

// powerError is Σ|w−ŵ|^2.4 of a group rounded to nearest.
func powerError(g *intGrid, w *weight.Dense, i int) float64 {
	sum := 0.0
	for j := range g.group {
		at := i*g.group + j
		_, value := g.Encode(float64(w.Data[at]), at/w.In, at%w.In)
		sum += math.Pow(math.Abs(float64(w.Data[at])-value), rangePower)
	}
	return sum
}

// TestRangeOfTheLeastError: in no group is the error of the range that was found above that of the
// whole range, nor above that of any other share that was to be tried, in exact powers.
// Statistical: how many ranges are narrower.
func TestRangeOfTheLeastError(t *testing.T) {
	groups, narrower := 0, 0
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 50))
		w := shiftedEvery(rng, weights(rng, 6, 64), seed, 3)
		clear(w.Data[:16]) // a group of zeros
		for range 20 {     // weights that stand out
			w.Data[rng.IntN(len(w.Data))] *= 5
		}
		for _, f := range []weight.Format{{Bits: 8, Activations: weight.Token}, {Bits: 8, Group: 16}, {Bits: 4, Group: 16}, {Bits: 4, Group: 32, ZeroPoints: true}, {Bits: 3, Group: 16}, {Bits: 3}} {
			fitted := func() *intGrid {
				g, err := newIntGrid(f, w, kernels.BFloat16)
				if err != nil {
					t.Fatal(err)
				}
				return g.(*intGrid)
			}
			whole, found, tried := fitted(), fitted(), fitted()
			counted := found.shrink(w.Data, kernels.BFloat16)
			for i := range found.scale {
				groups++
				e := powerError(found, w, i)
				if found.scale[i] < whole.scale[i] {
					narrower, counted = narrower+1, counted-1
				}
				if all := powerError(whole, w, i); e > all*(1+1e-5) {
					t.Fatalf("%s: group %d has the error %g, of the whole range %g", f, i, e, all)
				}
				lowest, highest := 0.0, 0.0
				for _, v := range w.Data[i*found.group : (i+1)*found.group] {
					lowest, highest = min(lowest, float64(v)), max(highest, float64(v))
				}
				for step := leastRange + 1; step < rangeSteps && highest > lowest; step += 7 {
					scale, zero := found.narrowed(lowest, highest, float64(step)/rangeSteps, kernels.BFloat16)
					if tried.scale[i] = scale; tried.zero != nil {
						tried.zero[i] = int8(zero)
					}
					if other := powerError(tried, w, i); e > other*(1+1e-5) {
						t.Fatalf("%s: group %d has the error %g, of a share of %d%% %g", f, i, e, step, other)
					}
				}
			}
			if counted != 0 {
				t.Errorf("%s: %d groups more are counted than are narrower", f, counted)
			}
		}
	}
	t.Logf("%d of %d ranges are narrower", narrower, groups)
	if narrower < groups/4 {
		t.Errorf("%d of %d ranges are narrower, expected a quarter at least", narrower, groups)
	}
}
