package pruning

import (
	"cmp"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"slimlab/kernels/matrix"
)

// instance is a random layer with correlated inputs and a weight [d, p].
func instance(rng *rand.Rand, d, p, group int, damping float64) *problem {
	return newTestProblem(gram(drawn(rng, 4*d, d)), normal(rng, d, p), group, damping)
}

// newTestProblem makes a problem of copies of h and w.
func newTestProblem(h mat.Symmetric, w *mat.Dense, group int, damping float64) *problem {
	return newProblemFloat64(context.Background(), inputs{gram: matrixOf(h)}, matrixOf(w), units{group: group}, damping)
}

// matrixOf copies a matrix of gonum, which is the oracle of these tests.
func matrixOf(m mat.Matrix) matrix.Dense {
	d := mat.DenseCopyOf(m).RawMatrix()
	return matrix.NewDense(d.Rows, d.Cols, d.Data)
}

// view is a matrix for gonum, over the same memory.
func view(m matrix.Dense) *mat.Dense { return mat.NewDense(m.Rows, m.Cols, m.Data) }

// drawn are n draws of d moderately correlated channels.
func drawn(rng *rand.Rand, n, d int) *mat.Dense { return mixed(rng, n, d, 0.5) }

// mixed are n draws of d channels, Z·(I + strength·M/√d) with Z and M normal.
func mixed(rng *rand.Rand, n, d int, strength float64) *mat.Dense {
	mix := normal(rng, d, d)
	mix.Scale(strength/math.Sqrt(float64(d)), mix)
	for i := range d {
		mix.Set(i, i, mix.At(i, i)+1)
	}
	x := mat.NewDense(n, d, nil)
	x.Mul(normal(rng, n, d), mix)
	return x
}

func normal(rng *rand.Rand, r, c int) *mat.Dense {
	m := mat.NewDense(r, c, nil)
	for i := range r {
		for j := range c {
			m.Set(i, j, rng.NormFloat64())
		}
	}
	return m
}

// right is G = H·w.
func right(q *problem) *mat.Dense {
	var g mat.Dense
	g.Mul(view(q.h), view(q.w))
	return &g
}

// clone is a copy of a tableau.
func (t *tableau) clone() *tableau {
	c := *t
	c.t, c.in, c.m.Data = slices.Clone(t.t), slices.Clone(t.in), slices.Clone(t.m.Data)
	return &c
}

func gram(x *mat.Dense) *mat.SymDense {
	n, d := x.Dims()
	h := mat.NewSymDense(d, nil)
	h.SymOuterK(1/float64(n), x.T())
	return h
}

// fresh is f* of a support, by a factorisation of its own: −½·tr(G_SᵀH_SS⁻¹G_S).
func fresh(t testing.TB, q *problem, support []int) float64 {
	t.Helper()
	w, err := q.solve(support)
	if err != nil {
		t.Fatal(err)
	}
	var wg mat.Dense
	wg.Mul(view(w).T(), right(q))
	return -0.5 * mat.Trace(&wg)
}

// value is f(W) for any W.
func value(q *problem, w matrix.Dense) float64 {
	var wg mat.Dense
	wg.Mul(view(w).T(), right(q))
	e, _ := q.energy(w, nil)
	return 0.5*e - mat.Trace(&wg)
}

func near(a, b, relative float64) bool {
	return math.Abs(a-b) <= relative*max(math.Abs(a), math.Abs(b), 1e-300)
}

func must[T any](t testing.TB, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestProblemReadsTheLayer: the weight of a problem is the transposed one of the layer, each output
// with its own.
func TestProblemReadsTheLayer(t *testing.T) {
	const d, p = 5, 7
	rng := rand.New(rand.NewPCG(1, 3))
	weight := make([]float32, p*d)
	for i := range weight {
		weight[i] = float32(i)
	}
	q := newProblem(t.Context(), inputs{gram: matrixOf(gram(drawn(rng, 20, d)))}, weight, units{group: 1}, 0.01)
	for i := range d {
		for o := range p {
			if got, want := q.w.Row(i)[o], float64(weight[o*d+i]); got != want {
				t.Errorf("input %d of output %d: %v, expected %v", i, o, got, want)
			}
		}
	}
}

// TestErrorsAgainstDefinition: the relative errors of a support, with and without its update, are
// tr((W−W₀)ᵀH(W−W₀))/tr(W₀ᵀHW₀) of the damped H and of the one that was given, by plain products.
func TestErrorsAgainstDefinition(t *testing.T) {
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 2))
		group := 1 + int(seed%3)
		h, w0 := gram(drawn(rng, 40, 6*group)), normal(rng, 6*group, 4)
		q := newTestProblem(h, w0, group, 0.3)
		shifted := mat.NewSymDense(h.SymmetricDim(), nil)
		shifted.CopySym(h)
		for i := range h.SymmetricDim() {
			shifted.SetSym(i, i, h.At(i, i)+q.shift)
		}
		kept := []int{0, 2, 5}
		for name, w := range map[string]matrix.Dense{"as it was": q.restrict(kept), "updated": must2(q.solve(kept))(t)} {
			relative := func(h mat.Symmetric) float64 {
				energy := func(x *mat.Dense) float64 {
					var hx, xhx mat.Dense
					hx.Mul(h, x)
					xhx.Mul(x.T(), &hx)
					return mat.Trace(&xhx)
				}
				var delta mat.Dense
				delta.Sub(view(w), w0)
				return energy(&delta) / energy(w0)
			}
			got, damped, undamped := q.relativeError(w), relative(shifted), relative(h)
			if math.Abs(got.Damped-damped) > 1e-9*damped || math.Abs(got.Undamped-undamped) > 1e-9*undamped {
				t.Errorf("%s: found %+v, expected %v and %v", name, got, damped, undamped)
			}
			if math.Abs(damped-undamped) < 1e-3*damped {
				t.Errorf("%s: damping of %g changes nothing", name, q.shift)
			}
		}
	}
}

// walkRandom calls f on the tableau of random supports that were reached by random moves in both
// directions.
func walkRandom(t *testing.T, f func(q *problem, x *tableau, scale float64)) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		group := 1 + int(seed%3)
		q := instance(rng, 12*group, 1+rng.IntN(6), group, 0.01)
		x := must2(q.fullTableau())(t)
		scale := -fresh(t, q, x.support())
		for range 30 {
			g := rng.IntN(q.groups())
			if x.in[g] && len(x.support()) == 1 {
				continue
			}
			x.toggle(g)
			f(q, x, scale)
		}
	}
}

func must2[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T { t.Helper(); return must(t, v, err) }
}

// Scores are the exact change of the optimal objective when one group changes sides.
func TestScoresAreExact(t *testing.T) {
	worst := 0.0
	walkRandom(t, func(q *problem, x *tableau, scale float64) {
		before := fresh(t, q, x.support())
		for g := range q.groups() {
			after := slices.Clone(x.in)
			after[g] = !after[g]
			other := &tableau{problem: q, in: after}
			want := math.Abs(fresh(t, q, other.support()) - before)
			got := x.score(g)
			worst = max(worst, math.Abs(got-want)/scale)
			if math.Abs(got-want) > 1e-9*scale {
				t.Fatalf("group %d (inside: %t): score %g, fresh solves differ by %g", g, x.in[g], got, want)
			}
		}
	})
	t.Logf("worst difference relative to the dense objective: %.1e", worst)
}

// After any sequence of moves the tableau holds H_SS⁻¹, the optimal weights, the Schur complement
// and the residual.
func TestTableauMatchesFreshSolve(t *testing.T) {
	walkRandom(t, func(q *problem, x *tableau, scale float64) {
		w := must2(q.solve(x.support()))(t)
		s := q.channels(x.support())
		sub := mat.NewSymDense(len(s), nil)
		for a, i := range s {
			for b, j := range s {
				if b >= a {
					sub.SetSym(a, b, view(q.h).At(i, j))
				}
			}
		}
		var inverse, hw, residual mat.Dense
		if err := inverse.Inverse(sub); err != nil {
			t.Fatal(err)
		}
		hw.Mul(view(q.h), view(w))
		residual.Sub(right(q), &hw)
		tolerance := 1e-9 * mat.Norm(&inverse, math.Inf(1)) * max(1, mat.Norm(view(q.h), math.Inf(1)))
		for a, i := range s {
			for b, j := range s {
				if got, want := -x.row(min(i, j))[max(i, j)], inverse.At(a, b); math.Abs(got-want) > tolerance {
					t.Fatalf("A[%d, %d] = %g, fresh inverse has %g", i, j, got, want)
				}
			}
		}
		// the right-hand side: weights inside, residuals outside
		rhs := mat.DenseCopyOf(&residual)
		for _, i := range s {
			rhs.SetRow(i, w.Row(i))
		}
		var products mat.Dense
		products.Mul(rhs, rhs.T())
		for i := range q.d {
			for j := i; j < q.d; j++ {
				if got, want := x.product(i, j), products.At(i, j); math.Abs(got-want) > tolerance {
					t.Fatalf("groups of %d: rows %d and %d of the right-hand side have the product %g, fresh ones %g", q.group, i, j, got, want)
				}
			}
			for j, got := range x.row(i)[q.d:] {
				if want := rhs.At(i, j); math.Abs(got-want) > tolerance {
					t.Fatalf("right-hand side [%d, %d] is %g, fresh %g", i, j, got, want)
				}
			}
		}
		if got, want := x.f, fresh(t, q, x.support()); math.Abs(got-want) > 1e-9*scale {
			t.Fatalf("objective %g, fresh %g", got, want)
		}
	})
}

// At the optimum of a support the gradient on it is zero.
func TestStationarity(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 2))
		q := instance(rng, 24, 5, 2, 0.01)
		kept := q.random(1+rng.IntN(q.groups()), rng)
		w := must2(q.solve(kept))(t)
		var gradient mat.Dense
		gradient.Mul(view(q.h), view(w))
		gradient.Sub(&gradient, right(q))
		for _, i := range q.channels(kept) {
			if v := mat.Norm(gradient.RowView(i), 2); v > 1e-10*mat.Norm(right(q), 2) {
				t.Fatalf("seed %d: gradient of channel %d is %g", seed, i, v)
			}
		}
	}
}

// f*(S') ≥ f*(S) for S' ⊂ S.
func TestObjectiveIsMonotoneInSupport(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 3))
		q := instance(rng, 20, 4, 1, 0.01)
		support := rng.Perm(20)
		f := fresh(t, q, support)
		for len(support) > 1 {
			support = support[:len(support)-1]
			smaller := slices.Sorted(slices.Values(support))
			next := fresh(t, q, smaller)
			if next < f-1e-12*math.Abs(f) {
				t.Fatalf("seed %d: objective fell from %g to %g with a smaller support", seed, f, next)
			}
			f = next
		}
	}
}

// The full support gives the dense weight back, also with damping: G is made with the damped H.
func TestFullSupportIsDense(t *testing.T) {
	for _, damping := range []float64{0, 0.01, 1} {
		q := instance(rand.New(rand.NewPCG(7, 4)), 18, 5, 3, damping)
		all := q.random(q.groups(), rand.New(rand.NewPCG(1, 1)))
		w := must2(q.solve(all))(t)
		if e := q.relativeError(w).Damped; e > 1e-18 {
			t.Errorf("damping %g: relative error of the full support is %g", damping, e)
		}
		c := must2(q.osscar(q.groups(), search{batch: 1, swaps: 2, rounds: 5}))(t)
		if !slices.Equal(c.kept, all) || !mat.EqualApprox(view(c.weight), view(q.w), 1e-8) {
			t.Errorf("damping %g: keeping all groups changes the weight", damping)
		}
	}
}

// The update is never worse than no update for the same support and the same damped objective.
func TestUpdateIsNeverWorse(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 5))
		q := instance(rng, 20, 4, 1+int(seed%2), 0.01)
		kept := q.random(q.groups()/2, rng)
		w := must2(q.solve(kept))(t)
		masked := q.restrict(kept)
		if f, g := value(q, w), value(q, masked); f > g+1e-12*math.Abs(g) {
			t.Fatalf("seed %d: updated %g, masked %g", seed, f, g)
		}
		if f, g := q.relativeError(w).Damped, q.relativeError(masked).Damped; f > g*(1+1e-12) {
			t.Fatalf("seed %d: relative error updated %g, masked %g", seed, f, g)
		}
	}
}

// A channel that is a combination of others costs nothing: with one fewer channel and no damping
// the error is 0.
func TestRedundantChannelIsFree(t *testing.T) {
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 6))
		d, at := 10, rng.IntN(10)
		x := drawn(rng, 80, d)
		for r := range 80 {
			sum := 0.0
			for j := range d {
				if j != at {
					sum += float64(j-3) * 0.2 * x.At(r, j)
				}
			}
			x.Set(r, at, sum)
		}
		q := newTestProblem(gram(x), normal(rng, d, 4), 1, 1e-9)
		c := must2(q.osscar(d-1, search{batch: 1, swaps: 1, rounds: 5}))(t)
		if e := q.relativeError(c.weight).Undamped; e > 1e-6 {
			t.Errorf("seed %d: error %g with a redundant channel", seed, e)
		}
		w := must2(q.solve(complement([]int{at}, d)))(t)
		if e := q.relativeError(w).Undamped; e > 1e-6 {
			t.Errorf("seed %d: removing the dependent channel costs %g", seed, e)
		}
	}
}

// With uncorrelated inputs the answer is to keep the groups with the largest ‖W_g‖²·H_gg, and the
// weights stay.
func TestDiagonalStatistics(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 7))
		d := 16
		h := mat.NewSymDense(d, nil)
		for i := range d {
			h.SetSym(i, i, math.Exp(rng.NormFloat64()))
		}
		q := newTestProblem(h, normal(rng, d, 3), 1, 0)
		energies := make([]float64, d)
		for i := range d {
			n := mat.Norm(view(q.w).RowView(i), 2)
			energies[i] = n * n * h.At(i, i)
		}
		want := rng.Perm(d)
		slices.SortFunc(want, func(a, b int) int { return cmp.Compare(energies[b], energies[a]) })
		want = slices.Sorted(slices.Values(want[:9]))
		c := must2(q.osscar(9, search{batch: 1, swaps: 2, rounds: 30}))(t)
		if !slices.Equal(c.kept, want) {
			t.Errorf("seed %d: kept %v, want %v", seed, c.kept, want)
		}
		if !mat.EqualApprox(view(c.weight), view(q.restrict(c.kept)), 1e-12) {
			t.Errorf("seed %d: kept weights changed", seed)
		}
	}
}

// Channels that were never active lose their weight, and damping is applied once, to H and through
// it to the weight's energy.
func TestDeadChannelsAndDamping(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 12))
	x, w := drawn(rng, 40, 8), normal(rng, 8, 3)
	for r := range 40 {
		x.Set(r, 5, 0)
	}
	raw := gram(x)
	q := newTestProblem(gram(x), w, 1, 0.01)
	c := must2(q.osscar(7, search{batch: 1, swaps: 1, rounds: 5}))(t)
	if slices.Contains(c.kept, 5) {
		t.Errorf("kept %v, which has the dead channel 5", c.kept)
	}
	if e := q.relativeError(c.weight).Undamped; e > 1e-12 {
		t.Errorf("removing a dead channel costs %g", e)
	}
	var want mat.Dense
	want.Mul(view(q.h), view(q.w))
	if want.MulElem(&want, view(q.w)); !near(mat.Sum(&want), q.total, 1e-12) {
		t.Errorf("the energy of the weight is %g, expected %g, that of the damped H", q.total, mat.Sum(&want))
	}
	shift := view(q.h).At(0, 0) - raw.At(0, 0)
	mean := (mat.Trace(raw) + 1) / 8 // the dead channel's diagonal counts as one
	if !near(shift, 0.01*mean, 1e-12) {
		t.Errorf("damping adds %g to the diagonal, want %g", shift, 0.01*mean)
	}
}

func TestSingularStatisticsAreAnError(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 13))
	x := mat.NewDense(3, 8, nil) // three tokens for eight channels
	x.Set(0, 0, 1)
	x.Set(1, 1, 2)
	x.Set(2, 2, 3)
	for r := range 3 {
		for j := 3; j < 8; j++ {
			x.Set(r, j, 1)
		}
	}
	q := newTestProblem(gram(x), normal(rng, 8, 2), 1, 0)
	if _, err := q.osscar(4, search{batch: 1, swaps: 1, rounds: 5}); !errors.Is(err, ErrSingular) {
		t.Errorf("three tokens for eight channels and no damping: error %v", err)
	}
	q = newTestProblem(gram(x), normal(rng, 8, 2), 1, 0.01)
	if _, err := q.osscar(4, search{batch: 1, swaps: 1, rounds: 5}); err != nil {
		t.Errorf("with damping: %v", err)
	}
}

// The energy of the dense weight is that of all of H, for more rows than are multiplied at once.
func TestEnergyOfManyChannels(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 14))
	for _, d := range []int{stripRows, stripRows + 1, 2*stripRows + 70} {
		w := normal(rng, d, 2)
		q := newTestProblem(gram(normal(rng, 30, d)), w, 1, 0.01)
		var of mat.Dense
		of.Mul(view(q.h), w)
		if of.MulElem(&of, w); !near(q.total, mat.Sum(&of), 1e-12) {
			t.Errorf("%d channels: the energy is %g, expected %g", d, q.total, mat.Sum(&of))
		}
	}
}
