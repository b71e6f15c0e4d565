package pruning

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Each point of a curve is the error of a solution from scratch on the support that greedy removal
// has at that width, and the supports are nested.
func TestCurveEqualsFreshSolves(t *testing.T) {
	const trials = 60
	points := 0
	for seed := range uint64(trials) {
		rng := rand.New(rand.NewPCG(seed, 31))
		group, groups := 1+int(seed%3), 8+rng.IntN(12)
		if seed%10 == 0 { // more than move at once
			group, groups = 1, 2*chosenChannels+rng.IntN(20)
		}
		q := instance(rng, group*groups, 1+rng.IntN(6), group, 0.01)
		curve := must2(q.curve(1))(t)
		before := complement(nil, groups)
		for removed, got := range curve {
			x := must2(q.fullTableau())(t)
			x.removeLowest(removed, 1)
			support := x.support()
			want := q.relativeError(must2(q.solve(support))(t)).Damped
			if math.Abs(got-want) > 1e-9 {
				t.Fatalf("seed %d: without %d of %d groups of %d the curve has %g, a fresh solution %g", seed, removed, groups, group, got, want)
			}
			for _, g := range support {
				if !slices.Contains(before, g) {
					t.Fatalf("seed %d: %v are kept of %v", seed, support, before)
				}
			}
			before, points = support, points+1
		}
		if len(before) != 1 || len(curve) != groups {
			t.Errorf("seed %d: %d points of %d groups, the last keeps %v", seed, len(curve), groups, before)
		}
		if !slices.IsSorted(curve) {
			t.Errorf("seed %d: a narrower layer has a lower error: %v", seed, curve)
		}
	}
	t.Logf("%d points of %d curves", points, trials)
}

// The report keeps a curve where it is asked to, from the whole width to the one that is kept.
func TestReportedCurve(t *testing.T) {
	m := newModel(t, config("LlamaForCausalLM"))
	o := Options{Method: OSSCAR, Cuts: cuts(Cut{Ratio: 0.5}, Cut{Count: 2})}
	if _, r := prune(t, m, o); r.Layers[0].Curve != nil || r.Layers[1].Curve != nil {
		t.Error("a curve that nobody asked for")
	}
	o.Curve = true
	_, r := prune(t, m, o)
	for _, l := range r.Layers {
		first, last := l.Curve[0], l.Curve[len(l.Curve)-1]
		if len(l.Curve) != l.Before-l.Kept+1 || first.Kept != l.Before || first.Error > 1e-12 || last.Kept != l.Kept {
			t.Errorf("layer %d, %s: curve %v", l.Layer, l.Part, l.Curve)
		}
		// the search that follows can only improve on greedy removal
		if l.Updated.Damped > last.Error*(1+1e-6) || l.Swaps == 0 && l.Start == "greedy" && !near(l.Updated.Damped, last.Error, 1e-4) {
			t.Errorf("layer %d, %s: error %g after %d swaps from %s, the curve ends at %g", l.Layer, l.Part, l.Updated.Damped, l.Swaps, l.Start, last.Error)
		}
	}
	o.Batch = 7
	if _, r := prune(t, m, o); r.Layers[1].Curve != nil {
		t.Error("several units leave between two scorings, and there is a curve of each width")
	}
	long := thinned(make([]float64, 1000), 5000)
	if len(long) > curvePoints+2 || long[0].Kept != 5000 || long[1].Kept%16 != 0 || long[len(long)-1].Kept != 4001 {
		t.Errorf("%d points of 1000: %v", len(long), long)
	}
}

// Widths in between, where each class keeps as many at the end, have no curve.
func TestNoCurveOfClasses(t *testing.T) {
	q := instance(rand.New(rand.NewPCG(2, 31)), 24, 3, 2, 0.01)
	q.class = 4
	if c := must2(q.osscar(6, search{batch: 1, swaps: 2, rounds: 3}))(t); c.curve != nil {
		t.Errorf("curve %v", c.curve)
	}
}

// TestOptimalErrorIsTheError: of the weight that solves a support, the rows that left give the
// error of all.
func TestOptimalErrorIsTheError(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 7))
		group := 1 + int(seed%3)
		q := instance(rng, 12*group, 5, group, 0.01)
		for keep := 1; keep <= q.groups(); keep++ {
			support := q.random(keep, rng)
			w := must2(q.solve(support))(t)
			got, want := q.optimalError(w, support), q.relativeError(w)
			if math.Abs(got.Damped-want.Damped) > 1e-12+1e-9*want.Damped || math.Abs(got.Undamped-want.Undamped) > 1e-12+1e-9*want.Undamped {
				t.Errorf("seed %d, %d groups of %d, support %v: error %v, by all rows %v", seed, q.groups(), group, support, got, want)
			}
		}
	}
}
