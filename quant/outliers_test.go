package quant

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"slimlab/kernels"
	"slimlab/kernels/matrix"
	"slimlab/kernels/parallel"
	"slimlab/model/weight"
)

// heavy makes some weights large, as outliers are.
func heavy(rng *rand.Rand, w *weight.Dense) *weight.Dense {
	for range 1 + len(w.Data)/50 {
		w.Data[rng.IntN(len(w.Data))] *= float32(4 + 8*rng.Float64())
	}
	return w
}

// integerFormats are the formats that have numbers beside their codes.
func integerFormats(group int) []weight.Format {
	return []weight.Format{
		{Bits: 3, Group: group}, {Bits: 4, Group: group}, {Bits: 3, Group: group, ZeroPoints: true}, {Bits: 4, Group: group, ZeroPoints: true},
		{Bits: 8, Group: group}, {Bits: 8, Activations: weight.Token}, {Bits: 4, Group: group, Activations: weight.Token}, {Bits: 3},
	}
}

// fitter makes grids of a format.
func fitter(t testing.TB, f weight.Format, w *weight.Dense) func([][]int32) (Grid, error) {
	t.Helper()
	return func(without [][]int32) (Grid, error) { return NewGrid(f, less(w, without), kernels.BFloat16) }
}

func besides(t testing.TB, q QuantEase, w *weight.Dense, m *Moments, of Outliers, f weight.Format) *split {
	t.Helper()
	s, _, err := q.roundBeside(t.Context(), w, m, of, fitter(t, f, w))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// recomputed is tr(ΔHΔᵀ) of codes and numbers, by its definition.
func recomputed(s *split, h mat.Matrix) float64 {
	sum := 0.0
	for o := range s.w.Out {
		delta := make([]float64, s.w.In)
		for i := range delta {
			delta[i] = float64(s.w.Data[o*s.w.In+i]) - s.grid.Decode(s.codes[o*s.w.In+i], o, i) - s.values.Row(o)[i]
		}
		d := mat.NewVecDense(s.w.In, delta)
		sum += mat.Inner(d, h, d)
	}
	return sum
}

// shares are drawn for a weight: some that take single numbers, some many.
func shareOf(rng *rand.Rand) float64 { return math.Pow(10, -2.5*rng.Float64()) }

// begun is a split on its way: with codes to nearest and no numbers, or the tails.
func begun(t testing.TB, rng *rand.Rand, w *weight.Dense, h matrix.Dense, of Outliers, g Grid) *split {
	t.Helper()
	s := newSplit(t.Context(), w, h, of)
	s.grid, s.codes = g, toNearest(t, w, g)
	s.stored = func(v float64) float64 { return v }
	if rng.IntN(2) == 0 {
		s.support = s.tails()
		for o, inputs := range s.support {
			for _, i := range inputs {
				s.values.Row(o)[i] = float64(w.Data[o*w.In+int(i)])
			}
		}
	}
	s.refresh(t.Context())
	return s
}

// TestHardThresholdingNeverRaisesTheError: with η = 1/(2·λmax) no step of iterative hard
// thresholding makes the error larger, nor does settling a number, nor a sweep through the codes;
// none of the steps had to be undone, and the error, Δ and ΔH that are carried along are those of
// their definition.
func TestHardThresholdingNeverRaisesTheError(t *testing.T) {
	steps := 0
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 71))
		out, in := 1+rng.IntN(10), 16*(1+rng.IntN(3))
		gram := correlated(rng, in, in/2+rng.IntN(3*in))
		w, h := heavy(rng, weights(rng, out, in)), matrixOf(gram)
		of := Outliers{Share: shareOf(rng), Columns: seed%3 == 0}
		g, err := NewGrid(integerFormats(16)[seed%8], w, kernels.BFloat16)
		if err != nil {
			t.Fatal(err)
		}
		s := begun(t, rng, w, h, of, g)
		var eigen mat.EigenSym
		if !eigen.Factorize(gram, false) {
			t.Fatal("no eigenvalues")
		}
		exact := eigen.Values(nil)[in-1]
		if s.largest < exact*0.9 || s.largest > exact*1.03 {
			t.Errorf("seed %d: the largest eigenvalue is %g, taken for %g", seed, exact, s.largest)
		}
		s.largest = exact
		last := s.loss
		check := func(what string) {
			t.Helper()
			anew := recomputed(s, gram)
			if math.Abs(s.loss-anew) > 1e-9*(anew+1) {
				t.Fatalf("seed %d: after %s the error is %g, computed anew %g", seed, what, s.loss, anew)
			}
			if s.loss > last*(1+1e-9)+1e-12 {
				t.Fatalf("seed %d: %s raised the error from %g to %g", seed, what, last, s.loss)
			}
			last = s.loss
		}
		for range 3 {
			for range 5 {
				s.step()
				check("a step")
				steps++
				if s.largest != exact {
					t.Fatalf("seed %d: a step was undone", seed)
				}
			}
			s.settle()
			check("settling")
			var product mat.Dense
			product.Mul(mat.NewDense(out, in, s.left.Data), gram)
			for at, v := range s.residual.Data {
				if want := product.At(at/in, at%in); math.Abs(v-want) > 1e-9*(1+math.Abs(want)) {
					t.Fatalf("seed %d: the residual [%d, %d] is %g, computed anew %g", seed, at/in, at%in, v, want)
				}
			}
			s.sweep(t.Context())
			check("a sweep") // of weights less numbers in float32
		}
		if n := of.count(out, in); of.Columns && len(s.support[0]) != n || !of.Columns && len(slices.Concat(s.support...)) != n {
			t.Errorf("seed %d: %+v leaves %d places, expected %d", seed, of, len(slices.Concat(s.support...)), n)
		}
	}
	t.Logf("%d steps of hard thresholding", steps)
}

// TestOutliersUndoStepsThatAreTooLong: where the eigenvalue is taken for less than it is, steps are
// undone until they lower the error.
func TestOutliersUndoStepsThatAreTooLong(t *testing.T) {
	undone := 0
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 72))
		w, gram := heavy(rng, weights(rng, 4, 32)), correlated(rng, 32, 64)
		g, err := NewGrid(weight.Format{Bits: 3, Group: 16}, w, kernels.BFloat16)
		if err != nil {
			t.Fatal(err)
		}
		s := begun(t, rng, w, matrixOf(gram), Outliers{Share: 0.3}, g)
		s.largest /= 64
		for range 12 {
			before, largest := s.loss, s.largest
			s.step()
			if s.loss > before*(1+1e-12) {
				t.Errorf("seed %d: a step raised the error from %g to %g", seed, before, s.loss)
			}
			if anew := recomputed(s, gram); math.Abs(anew-s.loss) > 1e-8*(anew+1) {
				t.Errorf("seed %d: the error is %g, computed anew %g", seed, s.loss, anew)
			}
			if s.largest != largest {
				undone++
			}
		}
	}
	if undone == 0 {
		t.Error("no step was undone, expected some")
	}
}

// TestOutliersAreNeverAboveQuantEase: in every integer format, from every start, of entries and of
// columns, also with numbers of bfloat16.
func TestOutliersAreNeverAboveQuantEase(t *testing.T) {
	left := map[string][]float64{}
	for seed := range uint64(160) {
		rng := rand.New(rand.NewPCG(seed, 73))
		out, in := 1+rng.IntN(12), 16*(1+rng.IntN(4))
		gram := correlated(rng, in, in/2+rng.IntN(3*in))
		w, m := heavy(rng, weights(rng, out, in)), momentsOf(gram)
		f := integerFormats(16)[seed%8]
		q := QuantEase{ActOrder: seed%3 == 0, Sweeps: 1 + rng.IntN(30), Start: []Start{FromBoth, FromWeight, FromGPTQ}[seed%3]}
		of := Outliers{Share: 0.01 + 0.1*rng.Float64(), Columns: seed%2 == 0}
		g, err := NewGrid(f, w, kernels.BFloat16)
		if err != nil {
			t.Fatal(err)
		}
		alone := undamped(w, g, m, rounded(t, q, w, g, m))
		s := besides(t, q, w, m, of, f)
		with := recomputed(s, gram)
		if with > alone*(1+1e-12) {
			t.Errorf("seed %d, %s, %+v, %v: error %g, without outliers %g", seed, f, q, of, with, alone)
		}
		if math.Abs(with-s.loss) > 1e-9*with {
			t.Errorf("seed %d: the error is %g, computed anew %g", seed, s.loss, with)
		}
		for at, v := range s.values.Data {
			if v != storedOutlier(v) {
				t.Fatalf("seed %d: number %d is %g, which bfloat16 does not hold", seed, at, v)
			}
		}
		left[f.String()] = append(left[f.String()], with/alone)
	}
	for f, list := range left {
		sum := 0.0
		for _, v := range list {
			sum += v
		}
		t.Logf("%s: mean share of QuantEase's error %.3f of %d", f, sum/float64(len(list)), len(list))
	}
}

// TestMoreOutliersAreNeverWorse: from where a smaller share has ended, a larger one ends at most as
// high; and all numbers leave no error.
func TestMoreOutliersAreNeverWorse(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 74))
		out, in := 1+rng.IntN(8), 16*(1+rng.IntN(3))
		gram := correlated(rng, in, 3*in)
		w := heavy(rng, weights(rng, out, in))
		g, err := NewGrid(integerFormats(16)[seed%8], w, kernels.BFloat16)
		if err != nil {
			t.Fatal(err)
		}
		s := begun(t, rng, w, matrixOf(gram), Outliers{Share: 0.001, Columns: seed%2 == 0}, g)
		last := math.Inf(1)
		for _, share := range []float64{0.001, 0.005, 0.02, 0.1, 0.4} {
			s.of.Share = share
			s.alternate(t.Context())
			if s.loss > last*(1+1e-12) {
				t.Errorf("seed %d: error %g of a share of %g, less of a smaller one: %g", seed, s.loss, share, last)
			}
			last = s.loss
		}
		energy := momentsOf(gram).energy(t.Context(), w)
		all := newSplit(t.Context(), w, matrixOf(gram), Outliers{Share: 1, Columns: seed%2 == 0})
		all.stored = func(v float64) float64 { return v }
		all.support, all.grid = all.tails(), g
		for at, v := range w.Data {
			all.values.Data[at] = float64(v)
		}
		all.codes = toNearest(t, weight.NewDense(make([]float32, out*in), out, in), g)
		all.refresh(t.Context())
		all.alternate(t.Context())
		if all.loss > 1e-20*energy {
			t.Errorf("seed %d: the error with a number for each weight is %g of %g, expected 0", seed, all.loss, energy)
		}
		if stored := besides(t, QuantEase{Sweeps: 3}, w, momentsOf(gram), Outliers{Share: 1}, weight.Format{Bits: 3, Group: 16}); stored.loss > 1e-5*energy {
			t.Errorf("seed %d: with numbers of bfloat16 it is %g of %g", seed, stored.loss, energy)
		}
	}
}

// TestOutliersAreTheSameOnAllThreads: a second run, with another number of threads, has the same
// codes and numbers.
func TestOutliersAreTheSameOnAllThreads(t *testing.T) {
	for _, columns := range []bool{false, true} {
		rng := rand.New(rand.NewPCG(3, 75))
		w, m := heavy(rng, weights(rng, 90, 48)), momentsOf(correlated(rng, 48, 100))
		var runs []*split
		for _, threads := range []int{1, 3} {
			restore := parallel.SetThreads(threads)
			runs = append(runs, besides(t, QuantEase{}, w, m, Outliers{Share: 0.02, Columns: columns}, weight.Format{Bits: 3, Group: 16}))
			restore()
		}
		if !slices.Equal(runs[0].codes, runs[1].codes) || !slices.Equal(runs[0].values.Data, runs[1].values.Data) {
			t.Errorf("columns %t: three threads have other codes or numbers than one", columns)
		}
	}
}

// TestTailsLeaveTheRange: weights that stand out are left out of the grid's range, so that the
// others are rounded more finely.
func TestTailsLeaveTheRange(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 76))
	w := weights(rng, 8, 64)
	for o := range 8 {
		w.Data[o*64+o] = 40
	}
	s := besides(t, QuantEase{}, w, momentsOf(correlated(rng, 64, 200)), Outliers{Share: 8. / 512}, weight.Format{Bits: 4, Group: 32})
	for o := range 8 {
		if !slices.Equal(s.support[o], []int32{int32(o)}) {
			t.Errorf("output %d has numbers of inputs %d, expected %d", o, s.support[o], o)
		}
		if scale := s.grid.Encoding().Scale[2*o]; scale > 1 {
			t.Errorf("output %d: the scale is %g: the range has the outlier", o, scale)
		}
	}
}

// TestEqualScores: of equal scores the first places are taken, and never more of them than wanted.
func TestEqualScores(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 78))
		out, in := 1+rng.IntN(6), 1+rng.IntN(20)
		scores, order := make([]float64, out*in), make([]int, out*in)
		for at := range scores {
			scores[at], order[at] = float64(rng.IntN(1+int(seed%5))), at
		}
		of := Outliers{Share: 1 - rng.Float64()}
		s := newSplit(t.Context(), weight.NewDense(make([]float32, out*in), out, in), matrix.NewDense(in, in, nil), of)
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
		want := order[:of.count(out, in)]
		slices.Sort(want)
		var got []int
		for o, inputs := range s.chosen(func(o int, row []float64) { copy(row, scores[o*in:]) }) {
			for _, i := range inputs {
				got = append(got, o*in+int(i))
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: places %d of scores %g, expected %d", seed, got, scores, want)
		}
	}
}

// TestNthLargest: it is that of the sorted values, with equal ones among them.
func TestNthLargest(t *testing.T) {
	for seed := range uint64(2000) {
		rng := rand.New(rand.NewPCG(seed, 77))
		values := make([]float64, 1+rng.IntN(60))
		for i := range values {
			values[i] = float64(rng.IntN(1 + int(seed%40)))
		}
		sorted := slices.Clone(values)
		slices.Sort(sorted)
		n := 1 + rng.IntN(len(values))
		if got, want := nthLargest(slices.Clone(values), n), sorted[len(sorted)-n]; got != want {
			t.Fatalf("seed %d: number %d of %v is %g, expected %g", seed, n, values, got, want)
		}
	}
}

// TestOutliersOfSchemes: what has no numbers beside its codes is refused.
func TestOutliersOfSchemes(t *testing.T) {
	for _, c := range []struct {
		scheme Scheme
		want   string // "" is none
	}{
		{Scheme{Format: weight.Format{Bits: 3, Group: 32}, Rounder: QuantEase{}, Outliers: Outliers{Share: 0.01}}, ""},
		{Scheme{Format: weight.Format{Bits: 3, Group: 32}, Rounder: GPTQ{}, Outliers: Outliers{Share: 0.01}}, "which are of integers and QuantEase"},
		{Scheme{Format: weight.Format{Float: true, Bits: 4, Group: weight.MXGroup, Scales: weight.E8M0}, Rounder: QuantEase{}, Outliers: Outliers{Share: 0.01}}, "which are of integers and QuantEase"},
		{Scheme{Format: weight.Format{Bits: 4, Group: 32}, Rounder: QuantEase{}, Outliers: Outliers{Share: -1}}, "share of -1"},
		{Scheme{Format: weight.Format{Bits: 4, Group: 32}, Rounder: QuantEase{}, Outliers: Outliers{Columns: true}}, "share of 0"},
	} {
		if got := fmt.Sprint(c.scheme.check()); c.want == "" && got != "<nil>" || !strings.Contains(got, c.want) {
			t.Errorf("%s, outliers %v: %s, expected %q", c.scheme, c.scheme.Outliers, got, c.want)
		}
	}
	if got := (Scheme{Format: weight.Format{Bits: 4}, Rounder: QuantEase{}, Outliers: Outliers{Share: 0.005, Columns: true}}).Options(); got != "outliers 0.5% columns" {
		t.Errorf("options %q", got)
	}
}
