package pruning

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"slimlab/kernels/matrix"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/weight"
)

// shiftedDraws are draws whose channels have means that are not zero, and those means.
func shiftedDraws(rng *rand.Rand, n, d int) (*mat.Dense, []float64) {
	x, mean := drawn(rng, n, d), make([]float64, d)
	for i := range d {
		shift := 1.5 * rng.NormFloat64()
		for r := range n {
			x.Set(r, i, x.At(r, i)+shift)
			mean[i] += x.At(r, i) / float64(n)
		}
	}
	return x, mean
}

// With a bias that is solved too the error of a support is never larger, and is what the definition
// says: the mean of ‖Wᵀx + b − wᵀx‖² with b = (w − W)ᵀ·mean, relative to that of ‖wᵀx‖².
func TestInterceptIsNeverWorse(t *testing.T) {
	const trials = 200
	ratio := 0.0
	for seed := range uint64(trials) {
		rng := rand.New(rand.NewPCG(seed, 41))
		group := 1 + int(seed%3)
		d, p, n := 6*group, 1+rng.IntN(5), 60
		x, mean := shiftedDraws(rng, n, d)
		w := normal(rng, d, p)
		plain := newTestProblem(gram(x), w, group, 0.01)
		q := newProblemFloat64(t.Context(), inputs{matrixOf(gram(x)), mean, true}, matrixOf(w), units{group: group}, 0.01)
		kept := plain.random(3, rng)
		solved := must2(q.solve(kept))(t)
		with, without := q.relativeError(solved), plain.relativeError(must2(plain.solve(kept))(t))
		if with.Damped > without.Damped*(1+1e-9) {
			t.Fatalf("seed %d: error %g with a bias, %g without", seed, with.Damped, without.Damped)
		}
		ratio += with.Damped / without.Damped / trials

		var difference mat.Dense
		difference.Sub(view(solved), w)
		for _, bias := range []bool{true, false} {
			errors, outputs := 0.0, 0.0
			for r := range n {
				for o := range p {
					e, y := 0.0, 0.0
					for i := range d {
						v := x.At(r, i)
						y += v * w.At(i, o)
						if bias {
							v -= mean[i]
						}
						e += v * difference.At(i, o)
					}
					errors, outputs = errors+e*e, outputs+y*y
				}
			}
			if got := q.errorOf(solved, bias).Undamped; !near(got, errors/outputs, 1e-9) {
				t.Fatalf("seed %d: error %g, by the definition %g (with a bias: %t)", seed, got, errors/outputs, bias)
			}
		}
		// and OSSCAR is not above magnitude with least squares
		a, b := must2(q.osscar(3, search{batch: 1, swaps: 2, rounds: 9}))(t), must2(q.solve(q.magnitude(3)))(t)
		if a, b := q.relativeError(a.weight).Damped, q.relativeError(b).Damped; a > b*(1+1e-9) {
			t.Errorf("seed %d: osscar has the error %g, magnitude with least squares %g", seed, a, b)
		}
	}
	t.Logf("mean ratio of the errors with and without a bias in %d: %.3f", trials, ratio)
	if ratio > 0.9 {
		t.Errorf("mean ratio %.3f: the inputs' means were to matter", ratio)
	}
}

// A channel that is constant is no dead one: what it gives goes to the bias at no cost.
func TestInterceptOfAConstantChannel(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 41))
	x, mean := shiftedDraws(rng, 60, 5)
	for r := range 60 {
		x.Set(r, 2, 3)
	}
	mean[2] = 3
	q := newProblemFloat64(t.Context(), inputs{matrixOf(gram(x)), mean, true}, matrixOf(normal(rng, 5, 3)), units{group: 1}, 1e-6)
	support := []int{0, 1, 3, 4}
	e := q.errorOf(q.restrict(support), true)
	if e.Undamped > 1e-9 || q.errorOf(q.restrict(support), false).Undamped < 0.01 {
		t.Errorf("without the constant channel the error is %+v with a bias", e)
	}
	if c := must2(q.osscar(4, search{batch: 1, swaps: 1, rounds: 3}))(t); !slices.Equal(c.kept, support) {
		t.Errorf("kept %v", c.kept)
	}
}

// The ridge pulls to the weights as they were: the solution is that of (H_SS + λI)·W = H_S·w +
// λw_S.
func TestRidgeIsTowardsTheOriginal(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 42))
		d, p := 8, 3
		h, w := gram(drawn(rng, 20, d)), normal(rng, d, p)
		q := newTestProblem(h, w, 1, 0.5)
		kept := q.random(5, rng)
		left, right := mat.NewDense(5, 5, nil), mat.NewDense(5, p, nil)
		for a, i := range kept {
			for b, j := range kept {
				left.Set(a, b, h.At(i, j))
			}
			left.Set(a, a, h.At(i, i)+q.shift)
			for o := range p {
				sum := q.shift * w.At(i, o)
				for j := range d {
					sum += h.At(i, j) * w.At(j, o)
				}
				right.Set(a, o, sum)
			}
		}
		var want mat.Dense
		if err := want.Solve(left, right); err != nil {
			t.Fatal(err)
		}
		got := must2(q.solve(kept))(t)
		for a, i := range kept {
			for o := range p {
				if math.Abs(got.Row(i)[o]-want.At(a, o)) > 1e-9 {
					t.Fatalf("seed %d: weight of channel %d is %g, expected %g", seed, i, got.Row(i)[o], want.At(a, o))
				}
			}
		}
	}
}

// The new bias keeps the mean of the outputs.
func TestMeanBias(t *testing.T) {
	l := model.Linear{Weight: weight.NewDense([]float32{1, 2, 3, 4, 5, 6}, 2, 3), Bias: []float32{10, 20}}
	next := model.Linear{Weight: weight.NewDense([]float32{7, 8}, 2, 1)}
	// means 1, 10, 100: outputs 321 + 10 and 654 + 20; of channel 1 alone 70 and 80
	if got := meanBias(l, next, []int{1}, []float64{1, 10, 100}); !slices.Equal(got, []float32{261, 594}) || l.Bias[0] != 10 {
		t.Errorf("bias %v, the layer's %v", got, l.Bias)
	}
}

// FLAP puts the mean of what it removes in o_proj's bias where there is one, and says where there
// is none; OSSCAR solves the bias where it is asked to.
func TestBiasOfAModel(t *testing.T) {
	heads := []LayerCut{{Heads: Cut{Count: 2}}, {}}
	m := newModel(t, config("Qwen3ForCausalLM"))
	for _, method := range []Method{FLAP, FLAP + LS} {
		pruned, r := prune(t, m, Options{Method: method, Cuts: heads})
		l := r.Layers[0]
		if !(l.Updated.Undamped < l.Masked.Undamped) || slices.Equal(pruned.Blocks[0].O.Bias, m.Blocks[0].O.Bias) || len(r.Warnings) != 0 {
			t.Errorf("%s: error %+v, without a new bias %+v, warnings %q", method, l.Updated, l.Masked, r.Warnings)
		}
		plain := newModel(t, config("LlamaForCausalLM"))
		_, r = prune(t, plain, Options{Method: method, Cuts: cuts(Cut{Ratio: 0.5}, Cut{Count: 2})})
		all := strings.Join(r.Warnings, "\n")
		if !strings.HasPrefix(all, "down_proj has no bias, so the mean of what "+string(method)+" removes") || !strings.Contains(all, "\no_proj has no bias") {
			t.Errorf("%s: warnings %q", method, r.Warnings)
		}
	}
	for _, method := range []Method{OSSCAR, Magnitude + LS} {
		o := Options{Method: method, Cuts: heads}
		without, r := prune(t, m, o)
		o.Intercept = true
		with, ri := prune(t, m, o)
		if a, b := ri.Layers[0], r.Layers[0]; !(a.Updated.Damped < b.Updated.Damped) && slices.Equal(a.Support, b.Support) {
			t.Errorf("%s: error %g with an intercept, %g without", method, a.Updated.Damped, b.Updated.Damped)
		}
		if slices.Equal(with.Blocks[0].O.Bias, m.Blocks[0].O.Bias) || !slices.Equal(without.Blocks[0].O.Bias, m.Blocks[0].O.Bias) {
			t.Errorf("%s: the bias changed without an intercept, or did not with one", method)
		}
	}
}

func TestInterceptRefusals(t *testing.T) {
	biased, plain := newModel(t, config("Qwen3ForCausalLM")), newModel(t, config("LlamaForCausalLM"))
	heads := cuts(Cut{}, Cut{Count: 1})
	for _, c := range []struct {
		model *model.Model
		o     Options
		want  string
	}{
		{biased, Options{Method: OSSCAR, Cuts: cuts(Cut{Ratio: 0.5}, Cut{})}, "down_proj has no bias"},
		{plain, Options{Method: OSSCAR, Cuts: heads}, "its config has no attention_bias"},
		{biased, Options{Method: Magnitude, Cuts: heads}, "magnitude leaves the weights that stay as they are"},
		{biased, Options{Method: OSSCAR, Cuts: heads, Statistics: calibrate.Settings{Target: 0.5}}, "expected target 0 or no intercept"},
		{biased, Options{Method: OSSCAR, Cuts: heads}, ""},
	} {
		c.o.Intercept = true
		_, _, err := inMemory(t.Context(), c.model, sequences(4, 50), c.o, nil)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, expected %q", err, c.want)
		}
	}
	_, r := prune(t, biased, Options{Method: FLAP + LS, Cuts: heads, Statistics: calibrate.Settings{Target: 0.5}})
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "with a target flap-ls leaves the bias of o_proj") {
		t.Errorf("warnings %q", r.Warnings)
	}
}

// With a bias that is solved too a curve is that of fresh solutions.
func TestCurveWithIntercept(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 41))
	x, mean := shiftedDraws(rng, 60, 9)
	q := newProblemFloat64(t.Context(), inputs{matrixOf(gram(x)), mean, true}, matrix.NewDense(9, 3, normal(rng, 9, 3).RawMatrix().Data), units{group: 1}, 0.01)
	curve := must2(q.curve(1))(t)
	for removed, got := range curve {
		y := must2(q.fullTableau())(t)
		y.removeLowest(removed, 1)
		if want := q.relativeError(must2(q.solve(y.support()))(t)).Damped; math.Abs(got-want) > 1e-9 {
			t.Errorf("without %d: %g, fresh %g", removed, got, want)
		}
	}
}
