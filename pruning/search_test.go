package pruning

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"
)

// A local search never raises the objective, and stops where no single swap improves it.
func TestLocalSearch(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 8))
		q := instance(rng, 14*(1+int(seed%2)), 3, 1+int(seed%2), 0.01)
		x := must2(q.fullTableau())(t)
		for _, g := range rng.Perm(q.groups())[:q.groups()/2] {
			x.toggle(g)
		}
		f := x.f
		for rounds := 1; rounds <= 8; rounds++ {
			y := x.clone()
			y.localSearch(search{swaps: 4, rounds: rounds})
			if next := y.f; next > f+1e-12*math.Abs(f) {
				t.Fatalf("seed %d: objective rose from %g to %g in round %d", seed, f, next, rounds)
			} else {
				f = next
			}
		}
		y := x.clone()
		swaps := y.localSearch(search{swaps: 4, rounds: 1000})
		if swaps >= 1000 {
			t.Fatalf("seed %d: the search did not end", seed)
		}
		f = fresh(t, q, y.support())
		for _, out := range y.side(true) {
			for _, in := range y.side(false) {
				swapped := slices.Clone(y.in)
				swapped[out], swapped[in] = false, true
				if g := fresh(t, q, (&tableau{problem: q, in: swapped}).support()); g < f-2*improvement*math.Abs(f) {
					t.Fatalf("seed %d: the search ended at %g, but swapping %d for %d gives %g", seed, f, out, in, g)
				}
			}
		}
	}
}

// What a swap is judged by, without a move, is what moves in the tableau give: the rise of the
// objective, each gain of a group outside and of those that left, and the gain of several together.
func TestDepartureMatchesMoves(t *testing.T) {
	walkRandom(t, func(q *problem, x *tableau, scale float64) {
		inside := x.side(true)
		out := inside[:min(2, len(inside)-1)]
		if len(out) == 0 {
			return
		}
		d, ok := x.without(out...)
		y := x.clone()
		y.toggle(out...)
		if !ok || math.Abs(d.cost-(y.f-x.f)) > 1e-9*scale {
			t.Fatalf("groups %v leave (%t) at a cost of %g, moved at %g", out, ok, d.cost, y.f-x.f)
		}
		outside := y.side(false)
		gains := d.gains(outside)
		for _, g := range outside {
			if want := y.score(g); math.Abs(gains[g]-want) > 1e-9*scale {
				t.Fatalf("without %v group %d gains %g, after the move %g", out, g, gains[g], want)
			}
		}
		in := []int{outside[len(outside)-1], outside[0]}
		if len(outside) == 1 {
			in = in[:1]
		}
		before := y.f
		y.toggle(in...)
		if gain := d.gain(in...); math.Abs(gain-(before-y.f)) > 1e-9*scale {
			t.Fatalf("without %v groups %v gain %g together, moved %g", out, in, gain, before-y.f)
		}
	})
}

// The swap of the lowest for the best is the one that moves in the tableau lead to: the groups of
// the support with the lowest scores leave, and those that then gain most come in.
func TestLowestForBestMatchesMoves(t *testing.T) {
	const size = 2
	better := 0
	walkRandom(t, func(q *problem, x *tableau, scale float64) {
		if len(x.side(true)) <= size || len(x.side(false)) < size {
			return
		}
		s, y, z := x.lowestForBest(size), x.clone(), x.clone()
		y.toggle(y.ranked(y.side(true))[:size]...)
		outside := y.ranked(y.side(false))
		y.toggle(outside[len(outside)-size:]...)
		z.toggle(s.groups...)
		if !slices.Equal(z.in, y.in) || math.Abs(s.f-y.f) > 1e-9*scale {
			t.Fatalf("groups %v swap to %g and the support %v; moved: %g and %v", s.groups, s.f, z.support(), y.f, y.support())
		}
		if improves(s.f, x.f) {
			better++
		}
	})
	if better == 0 {
		t.Error("no swap was an improvement")
	}
}

// A redundant group leaves and adds nothing, and a swap with it is not tried.
func TestDepartureOfARedundantGroup(t *testing.T) {
	q := instance(rand.New(rand.NewPCG(8, 8)), 12, 3, 2, 0.1)
	x := must2(q.fullTableau())(t)
	x.toggle(0, 1)
	for i := range 2 { // the block of group 3, as rounding can leave one
		x.row(6 + i)[6+i] = 0
	}
	d, ok := x.without(3)
	if ok || d.cost != 0 || !near(d.gain(0), x.score(0), 1e-12) {
		t.Errorf("leaves: %t, cost %g, group 0 gains %g, %g before", ok, d.cost, d.gain(0), x.score(0))
	}
}

// Groups that are moved together, more than one pivot takes, leave the tableau that moving them one
// after another leaves, and moving them again the first one.
func TestToggleOfMany(t *testing.T) {
	for _, group := range []int{1, 3} {
		q := instance(rand.New(rand.NewPCG(4, 8)), 150, 3, group, 0.1)
		x := must2(q.fullTableau())(t)
		full, y := x.f, x.clone()
		groups := rand.New(rand.NewPCG(5, 8)).Perm(q.groups())[:q.groups()*4/5]
		x.toggle(groups...)
		for _, g := range groups {
			y.toggle(g)
		}
		if a, b := x.f, y.f; math.Abs(a-b) > 1e-8*math.Abs(b) || math.Abs(a-full) < 1e-3*math.Abs(full) || !slices.Equal(x.support(), y.support()) {
			t.Errorf("groups of %d: objective %g moved together, %g one after another, %g before", group, a, b, full)
		}
		if want := fresh(t, q, x.support()); math.Abs(x.f-want) > 1e-8*math.Abs(want) {
			t.Errorf("groups of %d: objective %g, from scratch %g", group, x.f, want)
		}
		x.toggle(groups...)
		if back := x.f; math.Abs(back-full) > 1e-8*math.Abs(full) {
			t.Errorf("groups of %d: objective %g after moving all back, %g before", group, back, full)
		}
	}
}

// Channels whose block is indefinite, as rounding can leave one, are all moved, as one after
// another.
func TestPivotOfAnIndefiniteBlock(t *testing.T) {
	q := instance(rand.New(rand.NewPCG(6, 8)), 6, 2, 1, 0.1)
	x := must2(q.fullTableau())(t)
	n := x.d + x.p
	for _, c := range []struct {
		row, column int
		value       float64
	}{{1, 1, -1}, {1, 3, -2}, {3, 1, -2}, {3, 3, -1}} {
		x.t[c.row*n+c.column] = c.value
	}
	y := x.clone()
	x.pivot([]int{1, 3}, 2)
	y.pivot([]int{1}, 1)
	y.pivot([]int{3}, 1)
	if !slices.Equal(x.t, y.t) {
		t.Errorf("moved together\n%v\none after another\n%v", x.t, y.t)
	}
}

// Of an indefinite block of both sides each half is moved as what it is.
func TestPivotOfAnIndefiniteBlockOfBothSides(t *testing.T) {
	q := instance(rand.New(rand.NewPCG(6, 9)), 8, 2, 1, 0.1)
	x := must2(q.fullTableau())(t)
	x.toggle(0)
	for _, c := range []struct {
		row, column int
		value       float64
	}{{1, 1, -1}, {1, 3, -2}, {3, 3, -1}} {
		x.row(c.row)[c.column] = c.value
	}
	y := x.clone()
	x.pivot([]int{1, 3, 5, 0}, 3)
	for _, c := range []int{1, 3, 5} {
		y.pivot([]int{c}, 1)
	}
	y.pivot([]int{0}, 0)
	for i := range q.d {
		for j := i; j < x.width(); j++ {
			if a, b := x.row(i)[j], y.row(i)[j]; math.Abs(a-b) > 1e-9*max(1, math.Abs(b)) {
				t.Errorf("(%d, %d) is %g moved together, %g one after another", i, j, a, b)
			}
		}
	}
}

// Permuted channels permute the answer; rotated outputs and rescaled channels leave it.
func TestEquivariance(t *testing.T) {
	how := search{batch: 1, swaps: 3, rounds: 30}
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 9))
		d, p := 14, 4
		x, w := drawn(rng, 60, d), normal(rng, d, p)
		base := must2(newTestProblem(gram(x), w, 1, 0).osscar(8, how))(t)

		perm := rng.Perm(d)
		px, pw := mat.NewDense(60, d, nil), mat.NewDense(d, p, nil)
		for j, from := range perm {
			px.SetCol(j, mat.Col(nil, from, x))
			pw.SetRow(j, w.RawRowView(from))
		}
		permuted := must2(newTestProblem(gram(px), pw, 1, 0).osscar(8, how))(t)
		var back []int
		for _, j := range permuted.kept {
			back = append(back, perm[j])
		}
		slices.Sort(back)
		if !slices.Equal(back, base.kept) {
			t.Errorf("seed %d: permuted channels keep %v, want %v", seed, back, base.kept)
		}

		var qr mat.QR
		qr.Factorize(normal(rng, p, p))
		var rotation, rw mat.Dense
		qr.QTo(&rotation)
		rw.Mul(w, &rotation)
		if c := must2(newTestProblem(gram(x), &rw, 1, 0).osscar(8, how))(t); !slices.Equal(c.kept, base.kept) {
			t.Errorf("seed %d: rotated outputs keep %v, want %v", seed, c.kept, base.kept)
		}

		// The magnitude start sees the scale; the greedy start must not.
		sx, sw := mat.DenseCopyOf(x), mat.DenseCopyOf(w)
		for j := range d {
			c := math.Exp(rng.NormFloat64())
			for r := range 60 {
				sx.Set(r, j, x.At(r, j)*c)
			}
			for o := range p {
				sw.Set(j, o, w.At(j, o)/c)
			}
		}
		greedy := func(x, w *mat.Dense) []int {
			full := must2(newTestProblem(gram(x), w, 1, 0).fullTableau())(t)
			full.removeLowest(d-8, 1)
			full.localSearch(how)
			return full.support()
		}
		if a, b := greedy(x, w), greedy(sx, sw); !slices.Equal(a, b) {
			t.Errorf("seed %d: rescaled channels keep %v, want %v", seed, b, a)
		}
	}
}

// The scores of the methods without an update, written out: the units that stay, for weights and
// channels on which each method disagrees with the others.
func TestScores(t *testing.T) {
	//                      L1   L2²   mean square of x   Σw²·E[x²]   Σ|w|·√E[x²]
	w := mat.NewDense(4, 2, []float64{
		3, 3, //             6    18    1                  18          6
		5, 0, //             5    25    0.1                2.5         1.6
		2, 2, //             4     8    4                  32          8
		1, 1, //             2     2    0.5                1           1.4
	})
	h := mat.NewSymDense(4, nil)
	for i, v := range []float64{1, 0.1, 4, 0.5} {
		h.SetSym(i, i, v)
	}
	q := newTestProblem(h, w, 1, 0.01)
	halves := newTestProblem(h, w, 2, 0.01)
	// Σw·g: 0, −5, 0.5 and 2; of the halves −5 and 2.5
	gradient := []float32{1, -1, 0.25, 1, -1, 9, 0, 1}
	q.gradient, halves.gradient = gradient, gradient
	// variances of 0.19, 0.1, 0.39 and 0.5: Σw²·Var(x) is 3.42, 2.5, 3.12 and 1
	q.mean = []float64{0.9, 0, 1.9, 0}
	halves.mean = q.mean
	for _, c := range []struct {
		name            string
		term            term
		one, two, group []int
	}{
		{"L1", absolute, []int{0}, []int{0, 1}, []int{0}},
		{"L2", squared, []int{1}, []int{0, 1}, []int{0}},
		{"norm × activation", squaredOutput, []int{2}, []int{0, 2}, []int{1}},
		{"wanda-sp", absoluteOutput, []int{2}, []int{0, 2}, []int{1}},
		{"activation", power, []int{2}, []int{0, 2}, []int{1}},
		{"flap", fluctuation, []int{0}, []int{0, 2}, []int{0}},
		{"taylor", firstOrder, []int{1}, []int{1, 3}, []int{0}},
	} {
		if got := q.largest(1, c.term); !slices.Equal(got, c.one) {
			t.Errorf("%s: of four units stays %v, want %v", c.name, got, c.one)
		}
		if got := q.largest(2, c.term); !slices.Equal(got, c.two) {
			t.Errorf("%s: of four units stay %v, want %v", c.name, got, c.two)
		}
		if got := halves.largest(1, c.term); !slices.Equal(got, c.group) {
			t.Errorf("%s: of two groups stays %v, want %v", c.name, got, c.group)
		}
	}
}

// With uncorrelated channels and no damping the score of norm × activation is all that a unit's
// removal costs: its units are the best of all supports, and OSSCAR's. Correlation is what OSSCAR
// adds.
func TestNormActivationIsOptimalWithoutCorrelation(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 16))
		group := 1 + int(seed%3)
		d := 6 * group
		h := mat.NewSymDense(d, nil)
		for i := range d {
			h.SetSym(i, i, math.Exp(2*rng.NormFloat64()))
		}
		q := newTestProblem(h, normal(rng, d, 3), group, 0)
		kept := q.largest(3, squaredOutput)
		least := q.relativeError(q.restrict(kept)).Undamped
		for mask := range 1 << 6 {
			var support []int
			for g := range 6 {
				if mask>>g&1 == 1 {
					support = append(support, g)
				}
			}
			if e := q.relativeError(q.restrict(support)).Undamped; len(support) == 3 && e < least*(1-1e-9) {
				t.Errorf("seed %d: the units %v have the error %g, %v of norm × activation %g", seed, support, e, kept, least)
			}
		}
		if c := must2(q.osscar(3, search{batch: 1, swaps: 1, rounds: 5}))(t); !slices.Equal(c.kept, kept) {
			t.Errorf("seed %d: osscar keeps %v, norm × activation %v", seed, c.kept, kept)
		}
	}
}

// OSSCAR is never worse than magnitude with repair, as the second start makes sure, nor than the
// search from the greedy start.
func TestNeverWorseThanMagnitudeLS(t *testing.T) {
	const trials = 200
	better, equal := 0, 0
	for seed := range uint64(trials) {
		rng := rand.New(rand.NewPCG(seed, 10))
		group := 1 + 2*int(seed%2)
		d := 12 * group
		q := newTestProblem(gram(mixed(rng, 4*d, d, 1)), normal(rng, d, 3), group, 0.01)
		how := search{batch: 1, swaps: 3, rounds: 30}
		c := must2(q.osscar(6, how))(t)
		a, b := fresh(t, q, c.kept), fresh(t, q, q.magnitude(6))
		greedy := must2(q.fullTableau())(t)
		greedy.removeLowest(6, 1)
		greedy.localSearch(how)
		if g := greedy.f; a > g+1e-9*math.Abs(g) {
			t.Errorf("seed %d: osscar %g, search from the greedy start %g", seed, a, g)
		}
		switch {
		case a > b+1e-9*math.Abs(b):
			t.Errorf("seed %d: osscar %g, magnitude with repair %g", seed, a, b)
		case a < b-1e-9*math.Abs(b):
			better++
		default:
			equal++
		}
	}
	t.Logf("better than magnitude with repair in %d, equal in %d of %d", better, equal, trials)
	if better == 0 {
		t.Error("osscar never beat magnitude: the instances prove nothing")
	}
}

// Channels chosen ahead of the moves in the tableau are those that one would choose after each
// move.
func TestLowestInOrder(t *testing.T) {
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 15))
		q := instance(rng, 150, 7, 1, 0.01)
		batch := 1 + 2*int(seed%2)
		fast, slow := must2(q.fullTableau())(t), must2(q.fullTableau())(t)
		for left := 130; left > 0; {
			got, _ := fast.lowestInOrder(min(left, chosenChannels), left, batch)
			fast.toggle(got...)
			var want []int
			for len(want) < len(got) {
				lowest := slow.ranked(slow.side(true))[:min(batch, len(got)-len(want))]
				for _, g := range lowest {
					slow.toggle(g)
				}
				want = append(want, lowest...)
			}
			if !slices.Equal(got, want) {
				t.Errorf("seed %d, %d at a time: chose %v, one move after another %v", seed, batch, got, want)
			}
			left -= len(got)
		}
		for i := range q.d {
			for j, v := range fast.row(i) {
				if j >= i && math.Abs(v-slow.row(i)[j]) > 1e-9*max(1, math.Abs(v)) {
					t.Fatalf("seed %d: tableau [%d, %d] is %g, by single moves %g", seed, i, j, v, slow.row(i)[j])
				}
			}
		}
	}
}

// Groups that leave together leave exactly: the weights are optimal for what stays. But they are
// chosen without seeing each other: how often that is worse is statistical.
func TestJointRemoval(t *testing.T) {
	worse := 0
	const trials = 100
	for seed := range uint64(trials) {
		rng := rand.New(rand.NewPCG(seed, 14))
		q := instance(rng, 20, 4, 1, 0.01)
		one, six := must2(q.fullTableau())(t), must2(q.fullTableau())(t)
		one.removeLowest(12, 1)
		if six.removeLowest(12, 6); len(six.support()) != 8 {
			t.Fatalf("seed %d: support %v", seed, six.support())
		}
		f := fresh(t, q, six.support())
		if math.Abs(six.f-f) > 1e-9*math.Abs(f) {
			t.Fatalf("seed %d: objective %g, fresh %g", seed, six.f, f)
		}
		if f > fresh(t, q, one.support())+1e-9*math.Abs(f) {
			worse++
		}
	}
	t.Logf("six at a time is worse than one at a time in %d of %d", worse, trials)
	if worse == 0 {
		t.Error("six at a time was never worse: the default of one at a time would be pointless")
	}
}

// Statistical, with fixed seeds: how often is the answer the best of all supports? The bounds are
// those of moderate correlation; strong correlation, where the last swaps are hardest to find, is
// reported only.
func TestAgainstBruteForce(t *testing.T) {
	const trials = 100
	for _, c := range []struct {
		strength float64
		group    int
	}{{0.5, 1}, {0.5, 3}, {1, 1}, {1, 3}} {
		optimal, greedyOptimal, worst := 0, 0, 1.0
		for seed := range uint64(trials) {
			rng := rand.New(rand.NewPCG(seed, 11))
			m := 8 + rng.IntN(3)
			keep := 3 + rng.IntN(m-5)
			d := m * c.group
			q := newTestProblem(gram(mixed(rng, 4*d, d, c.strength)), normal(rng, d, 4), c.group, 0.01)
			greedy, ratio := againstBruteForce(t, q, keep)
			if ratio < 1-1e-6 {
				t.Fatalf("seed %d: better than the best of all: %g", seed, ratio)
			}
			if greedy {
				greedyOptimal++
			}
			if ratio < 1+1e-6 {
				optimal++
			}
			worst = max(worst, ratio)
		}
		t.Logf("correlation %g, group size %d: optimal in %d of %d (greedy alone %d), worst ratio %.3f", c.strength, c.group, optimal, trials, greedyOptimal, worst)
		if c.strength == 0.5 && (optimal < trials*9/10 || worst > 1.25) {
			t.Errorf("group size %d: optimal in %d of %d, worst ratio %.3f; expected at least 90%% and at most 1.25", c.group, optimal, trials, worst)
		}
	}
}

// againstBruteForce reports whether greedy removal finds the best support of all, and the ratio of
// osscar's error to the least.
func againstBruteForce(t *testing.T, q *problem, keep int) (greedyOptimal bool, ratio float64) {
	m := q.groups()
	dense, best := fresh(t, q, complement(nil, m)), math.Inf(1)
	for mask := range 1 << m {
		if support := bits(mask, m); len(support) == keep {
			best = min(best, fresh(t, q, support)-dense)
		}
	}
	greedy := must2(q.fullTableau())(t)
	greedy.removeLowest(m-keep, 1)
	c := must2(q.osscar(keep, search{batch: 1, swaps: 3, rounds: 30}))(t)
	return near(fresh(t, q, greedy.support())-dense, best, 1e-6), (fresh(t, q, c.kept) - dense) / best
}

func bits(mask, n int) []int {
	var s []int
	for i := range n {
		if mask>>i&1 == 1 {
			s = append(s, i)
		}
	}
	return s
}

// Greedy removal takes as many as it is asked for, also where batches do not divide them, and
// chooses no more at once than it is allowed.
func TestRemovalCounts(t *testing.T) {
	for _, group := range []int{1, 2} {
		for _, c := range [][2]int{{7, 3}, {7, 7}, {8, 3}, {1, 5}, {9, 1}} { // groups, batch
			q := instance(rand.New(rand.NewPCG(9, uint64(group))), 12*group, 3, group, 0.1)
			x := must2(q.fullTableau())(t)
			if x.removeLowest(c[0], c[1]); len(x.support()) != 12-c[0] {
				t.Errorf("groups of %d: %d left 12 by %d, and %d are there", group, c[0], c[1], len(x.support()))
			}
		}
	}
	x := must2(instance(rand.New(rand.NewPCG(9, 3)), 12, 3, 1, 0.1).fullTableau())(t)
	for most, want := range map[int]int{3: 3, 4: 3, 5: 3, 6: 6, 8: 6, 9: 9} {
		if got, _ := x.lowestInOrder(most, 10, 3); len(got) != want {
			t.Errorf("up to %d by 3: %d were chosen, expected %d", most, len(got), want)
		}
	}
}

// A single channel is moved by its own sign, also where rounding has turned it.
func TestPivotOfASingleChannelOfTheOtherSign(t *testing.T) {
	for _, value := range []float64{-2, 2} {
		x := must2(instance(rand.New(rand.NewPCG(7, 8)), 6, 2, 1, 0.1).fullTableau())(t)
		x.row(1)[1] = value
		if x.pivot([]int{1}, 1); math.Abs(x.row(1)[1]+1/value) > 1e-15 {
			t.Errorf("%v becomes %v, expected %v", value, x.row(1)[1], -1/value)
		}
	}
}

// A tableau's weights are those of a fresh factorisation, and solves tells them from weights of
// which one element is a little off, from those of another support and from the dense ones.
func TestSolves(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 21))
		d := 4 + rng.IntN(60)
		q := instance(rng, d, 1+rng.IntN(9), 1, 0.01)
		x := must2(q.fullTableau())(t)
		x.toggle(rng.Perm(d)[:1+rng.IntN(d-2)]...)
		w, kept := x.weight(), x.support()
		if !q.solves(w, kept) {
			t.Fatalf("seed %d: the weights of a tableau with %d of %d channels do not solve the problem", seed, len(kept), d)
		}
		fresh := must2(q.solve(kept))(t)
		if !q.solves(fresh, kept) || !mat.EqualApprox(view(w), view(fresh), 1e-9) {
			t.Errorf("seed %d: the weights of the tableau are not those of a factorisation", seed)
		}
		i, o := kept[rng.IntN(len(kept))], rng.IntN(q.p)
		w.Row(i)[o] *= 1 + 1e-6
		if q.solves(w, kept) {
			t.Errorf("seed %d: weights of which one is off by a millionth solve the problem", seed)
		}
		again := must2(q.solved(w, kept))(t)
		if &again.Data[0] == &w.Data[0] || !mat.EqualApprox(view(again), view(fresh), 1e-9) {
			t.Errorf("seed %d: spoilt weights are not solved anew", seed)
		}
		if same := must2(q.solved(fresh, kept))(t); &same.Data[0] != &fresh.Data[0] {
			t.Errorf("seed %d: weights that solve the problem are solved anew", seed)
		}
		if q.solves(q.restrict(kept), kept) {
			t.Errorf("seed %d: the dense weights solve the problem", seed)
		}
		if all := x.side(false); q.solves(fresh, append(slices.Clone(kept), all...)) {
			t.Errorf("seed %d: the weights of a support solve the problem of all channels", seed)
		}
	}
	q := instance(rand.New(rand.NewPCG(1, 22)), 6, 2, 1, 0.1)
	if !q.solves(q.w, []int{0, 1, 2, 3, 4, 5}) {
		t.Error("the dense weights do not solve the problem of all channels")
	}
}

// Channels that leave and come at once are moved as those that leave, and then those that come, in
// memory that another tableau has used.
func TestPivotOfBothSides(t *testing.T) {
	room := slices.Repeat([]float64{math.NaN()}, 10_000)
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 23))
		d, group := 24, 1+int(seed%2)*2
		q := instance(rng, d, 5, group, 0.01)
		y := must2(q.fullTableau())(t)
		q.room = &room
		x := must2(q.fullTableau())(t)
		order := rng.Perm(q.groups())
		out := order[:2+rng.IntN(q.groups()-3)]
		x.toggle(out...)
		y.toggle(out...)
		back := out[:1+rng.IntN(len(out))]
		leave := order[len(out) : len(out)+rng.IntN(q.groups()-len(out))]
		both := slices.Concat(back, leave)
		rng.Shuffle(len(both), func(i, j int) { both[i], both[j] = both[j], both[i] })
		x.toggle(both...)
		for _, g := range slices.Concat(leave, back) {
			y.toggle(g)
		}
		if math.Abs(x.f-y.f) > 1e-9*math.Abs(y.f) {
			t.Errorf("seed %d: f is %g, expected %g", seed, x.f, y.f)
		}
		for i := range d {
			for j := i; j < x.width(); j++ {
				if a, b := x.row(i)[j], y.row(i)[j]; math.Abs(a-b) > 1e-9*max(1, math.Abs(b)) {
					t.Fatalf("seed %d: (%d, %d) is %g, expected %g", seed, i, j, a, b)
				}
			}
			for j := i; j < d && x.products(); j++ {
				if a, b := x.m.Row(i)[j], y.m.Row(i)[j]; math.Abs(a-b) > 1e-9*max(1, math.Abs(b)) {
					t.Fatalf("seed %d: M(%d, %d) is %g, expected %g", seed, i, j, a, b)
				}
			}
		}
	}
}
