package stat

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func near(a, b, eps float64) bool {
	return a == b || math.Abs(a-b) <= eps || math.IsNaN(a) && math.IsNaN(b)
}

func TestLocation(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[99-i] = float64(i + 1)
	}
	for _, c := range []struct {
		name      string
		got, want float64
	}{
		{"p0", Percentile(hundred, 0), 1},
		{"p50 of 1..100", Percentile(hundred, 50), 50.5},
		{"p90", Percentile(hundred, 90), 90.1},
		{"p99", Percentile(hundred, 99), 99.01},
		{"p100", Percentile(hundred, 100), 100},
		{"one", Percentile([]float64{7}, 99), 7},
		{"p25 of 4", Percentile([]float64{4, 1, 3, 2}, 25), 1.75},
		{"infinite end", Percentile([]float64{1, math.Inf(1)}, 0), 1},
		{"empty", Percentile(nil, 50), math.NaN()},
		{"NaN", Percentile([]float64{1, math.NaN()}, 50), math.NaN()},
		{"p too large", Percentile([]float64{1}, 101), math.NaN()},
		{"p NaN", Percentile([]float64{1}, math.NaN()), math.NaN()},
		{"median", Median([]float64{9, 1, 5}), 5},
		{"mean", Mean([]float64{1, 2, 6}), 3},
		{"mean of none", Mean(nil), math.NaN()},
		{"mean of an infinity, first", Mean([]float64{math.Inf(1), 1}), math.Inf(1)},
		{"mean of an infinity, last", Mean([]float64{1, math.Inf(-1)}), math.Inf(-1)},
		{"mean of infinities", Mean([]float64{math.Inf(1), 0, math.Inf(1)}), math.Inf(1)},
		{"mean of both infinities", Mean([]float64{math.Inf(1), math.Inf(-1)}), math.NaN()},
		{"mean of NaN", Mean([]float64{1, math.NaN()}), math.NaN()},
		{"mean of the largest", Mean([]float64{math.MaxFloat64, math.MaxFloat64}), math.MaxFloat64},
		{"mean of the largest of both signs", Mean([]float64{-math.MaxFloat64, math.MaxFloat64}), 0},
		{"from -Inf to a number", Percentile([]float64{math.Inf(-1), 1}, 50), math.Inf(-1)},
		{"from a number to Inf", Percentile([]float64{1, math.Inf(1)}, 50), math.Inf(1)},
		{"from -Inf to Inf", Median([]float64{math.Inf(-1), math.Inf(1)}), math.NaN()},
		{"a distance that overflows", Median([]float64{-math.MaxFloat64, math.MaxFloat64}), 0},
		{"deviation", Deviation([]float64{1, 2, 3, 4}), math.Sqrt(5.0 / 3)},
		{"deviation of one", Deviation([]float64{1}), math.NaN()},
		{"median of equal infinities", Median([]float64{math.Inf(1), math.Inf(1)}), math.Inf(1)},
	} {
		if !near(c.got, c.want, 1e-12) {
			t.Errorf("%s: got %v, want %v", c.name, c.got, c.want)
		}
	}
}

func TestMeanOfEqualValuesHasNoWidth(t *testing.T) {
	for _, x := range []float64{0.1, 1e300, -3.3e-9, 0} {
		if got := MeanInterval([]float64{x, x, x}); got.Value != x || got.Low != x || got.High != x {
			t.Errorf("equal values %v: found %+v", x, got)
		}
	}
}

func TestMeanInterval(t *testing.T) {
	// Student's table: t(0.975) is 12.7062 for 1, 4.302653 for 2, 2.262157 for 9 degrees of
	// freedom.
	for n, quantile := range map[int]float64{2: 12.706205, 3: 4.302653, 10: 2.262157} {
		x := make([]float64, n)
		for i := range x {
			x[i] = float64(i)
		}
		got := MeanInterval(x)
		half := quantile * math.Sqrt(variance(x)/float64(n))
		if !near(got.High-got.Value, half, 1e-5) || !near(got.Value-got.Low, half, 1e-5) {
			t.Errorf("n=%d: %+v, want ± %v", n, got, half)
		}
		if (got.Warning == "") != (n >= fewSeeds) {
			t.Errorf("n=%d: warning %q", n, got.Warning)
		}
	}
	if one := MeanInterval([]float64{3}); one.Value != 3 || !math.IsInf(one.High, 1) || one.Warning == "" {
		t.Errorf("one value: %+v", one)
	}
}

// Over many draws of normal samples the t interval covers the true mean 95 times in a hundred, also
// for n = 3, and the bootstrap nearly so for n = 40.
func TestCoverage(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	mean := func(x []float64) float64 { return Mean(x) }
	cover := func(n, trials int, interval func([]float64) Interval) float64 {
		hit := 0
		for range trials {
			x := make([]float64, n)
			for i := range x {
				x[i] = 5 + 2*rng.NormFloat64()
			}
			if got := interval(x); got.Low <= 5 && 5 <= got.High {
				hit++
			}
		}
		return float64(hit) / float64(trials)
	}
	if got := cover(3, 4000, MeanInterval); math.Abs(got-0.95) > 0.012 {
		t.Errorf("t interval of 3 covers %.3f", got)
	}
	if got := cover(40, 400, func(x []float64) Interval { return Bootstrap(x, mean, 300, rng) }); got < 0.90 || got > 0.98 {
		t.Errorf("bootstrap of 40 covers %.3f", got)
	}
}

func TestBootstrapIsSeeded(t *testing.T) {
	x := []float64{1, 5, 2, 8, 3}
	a := Bootstrap(x, Median, 200, rand.New(rand.NewPCG(7, 7)))
	b := Bootstrap(x, Median, 200, rand.New(rand.NewPCG(7, 7)))
	if a != b || a.Warning == "" || a.Value != 3 || !slices.Equal(x, []float64{1, 5, 2, 8, 3}) {
		t.Errorf("%+v and %+v of %v", a, b, x)
	}
	if none := Bootstrap(nil, Median, 10, nil); !math.IsNaN(none.Value) {
		t.Errorf("empty: %+v", none)
	}
}

// U against the count of pairs; the exact p-value against all arrangements.
func TestMannWhitneyBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, m := rapid.IntRange(1, 5).Draw(t, "n"), rapid.IntRange(1, 5).Draw(t, "m")
		pool := make([]float64, n+m)
		for i := range pool {
			pool[i] = float64(i)
		}
		pool = rapid.Permutation(pool).Draw(t, "pool")
		u, p := MannWhitney(pool[:n], pool[n:])
		if u != pairs(pool[:n], pool[n:]) {
			t.Fatalf("u %v of %v | %v", u, pool[:n], pool[n:])
		}
		far := math.Abs(u - float64(n*m)/2)
		var all, tail float64
		for mask := range 1 << (n + m) {
			var x, y []float64
			for i := range n + m {
				if mask>>i&1 == 1 {
					x = append(x, float64(i))
				} else {
					y = append(y, float64(i))
				}
			}
			if len(x) != n {
				continue
			}
			all++
			if math.Abs(pairs(x, y)-float64(n*m)/2) >= far {
				tail++
			}
		}
		if !near(p, tail/all, 1e-12) {
			t.Fatalf("p %v, want %v/%v", p, tail, all)
		}
	})
}

func pairs(x, y []float64) (u float64) {
	for _, a := range x {
		for _, b := range y {
			switch {
			case b > a:
				u++
			case b == a:
				u += 0.5
			}
		}
	}
	return u
}

// TestMannWhitneyOfTies: the normal law with the corrections for ties and continuity, worked out by
// hand: ranks of ties are their means, and the variance is nm/12·(N+1 − Σ(t³−t)/(N(N−1))).
func TestMannWhitneyOfTies(t *testing.T) {
	x, y := []float64{1, 2, 2, 3, 3}, []float64{2, 3, 4, 4, 5}
	// ties of 3, 3 and 2: Σ is 24+24+6; y has the ranks 3, 6, 8.5, 8.5 and 10
	u, p := MannWhitney(x, y)
	z := (21 - 12.5 - 0.5) / math.Sqrt(25.0/12*(11-54.0/90))
	if want := math.Erfc(z / math.Sqrt2); u != 21 || !near(p, want, 1e-12) {
		t.Errorf("u %v, p %v, expected 21 and %v", u, p, want)
	}
	if _, back := MannWhitney(y, x); !near(back, p, 1e-12) {
		t.Errorf("p is %v one way and %v the other", p, back)
	}
}

func TestBounded(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		low, high float64
		want      bool
	}{{0, 1, true}, {-math.MaxFloat64, math.MaxFloat64, true}, {nan, 1, false}, {0, nan, false}, {-inf, 1, false}, {0, inf, false}, {nan, inf, false}} {
		if got := (Interval{Low: c.low, High: c.high}).Bounded(); got != c.want {
			t.Errorf("%v to %v: %v", c.low, c.high, got)
		}
	}
}

// edge draws values, many of them at the edges.
func edge() *rapid.Generator[float64] {
	return rapid.OneOf(
		rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), 5e-324, math.MaxFloat64, -math.MaxFloat64}),
		rapid.Float64Range(-2, 2))
}

// TestLocationAtTheEdges: mean and percentiles do not depend on the order, lie between the least
// and the largest value, and are not numbers just where a value is not one or both infinities are
// averaged.
func TestLocationAtTheEdges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.SliceOfN(edge(), 1, 6).Draw(t, "values")
		p := rapid.Float64Range(0, 100).Draw(t, "p")
		low, high := slices.Min(x), slices.Max(x) // NaN where a value is
		both := math.IsInf(low, -1) && math.IsInf(high, 1)
		turned := slices.Clone(x)
		slices.Reverse(turned)
		for name, got := range map[string][2]float64{"mean": {Mean(x), Mean(turned)}, "percentile": {Percentile(x, p), Percentile(turned, p)}} {
			slack := 1e-12 * max(1, math.Abs(low), math.Abs(high))
			if math.IsNaN(got[0]) != math.IsNaN(got[1]) || !near(got[0], got[1], slack) {
				t.Fatalf("%s of %v is %v, the other way %v", name, x, got[0], got[1])
			}
			if undefined := math.IsNaN(low) || both; math.IsNaN(got[0]) && !undefined || math.IsNaN(low) && !math.IsNaN(got[0]) {
				t.Fatalf("%s of %v is %v", name, x, got[0])
			}
			if got[0] < low-slack || got[0] > high+slack {
				t.Fatalf("%s of %v is %v, outside of the values", name, x, got[0])
			}
		}
	})
}

// TestIntervalsAtTheEdges: an interval holds its value, or its bounds are not numbers; shares and
// their differences stay within what they can be.
func TestIntervalsAtTheEdges(t *testing.T) {
	holds := func(t *rapid.T, name string, i Interval) {
		if math.IsNaN(i.Low) != math.IsNaN(i.High) || i.Low > i.Value || i.High < i.Value {
			t.Fatalf("%s: %+v", name, i)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.SliceOfN(edge(), 1, 6).Draw(t, "values")
		m := MeanInterval(x)
		holds(t, "mean", m)
		if infinite := slices.ContainsFunc(x, func(v float64) bool { return !finite(v) }); infinite && m.Bounded() {
			t.Fatalf("%v has the interval %+v", x, m)
		}
		bound := rapid.Float64Range(-3, 3)
		holds(t, "mean and a sample", AddVariance(m, bound.Draw(t, "low"), bound.Draw(t, "high")))
		n := rapid.IntRange(0, 9).Draw(t, "n")
		k := rapid.IntRange(0, n).Draw(t, "k")
		share, paired := Wilson(k, n), PairedShares(k, rapid.IntRange(0, n-k).Draw(t, "the other way"), n)
		holds(t, "share", share)
		holds(t, "difference of shares", paired)
		if share.Low < 0 || share.High > 1 || paired.Low < -1 || paired.High > 1 {
			t.Fatalf("%d of %d: %+v, %+v", k, n, share, paired)
		}
		u, p := MannWhitney(x, rapid.SliceOfN(edge(), 1, 6).Draw(t, "y"))
		if !(p >= 0 && p <= 1) && !math.IsNaN(u) || math.IsNaN(u) != math.IsNaN(p) || slices.ContainsFunc(x, math.IsNaN) && !math.IsNaN(p) {
			t.Fatalf("%v: u %v, p %v", x, u, p)
		}
	})
}

// TestWarningsBeginBelowTheirBounds: an interval of just enough values carries none.
func TestWarningsBeginBelowTheirBounds(t *testing.T) {
	for n, want := range map[int]string{4: "n=4", 5: "", 6: ""} {
		if got := MeanInterval(make([]float64, n)).Warning; got != want {
			t.Errorf("interval of %d: warning %q, expected %q", n, got, want)
		}
	}
	for n, want := range map[int]string{19: "bootstrap of n=19", 20: "", 21: ""} {
		if got := Bootstrap(make([]float64, n), Mean, 3, rand.New(rand.NewPCG(1, 1))).Warning; got != want {
			t.Errorf("bootstrap of %d: warning %q, expected %q", n, got, want)
		}
	}
}

func TestMannWhitneyApproximation(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	x, y := make([]float64, 20), make([]float64, 20)
	for i := range x {
		x[i], y[i] = rng.NormFloat64(), 0.6+rng.NormFloat64()
	}
	u, exact := MannWhitney(x, y)
	// One more pair passes the limit of exact counting, far from the others so that U moves by a
	// known count.
	_, approximate := MannWhitney(append(slices.Clone(x), -100), append(slices.Clone(y), -99))
	if u != pairs(x, y) || math.Abs(exact-approximate) > 0.05 || exact > 0.5 {
		t.Errorf("u %v exact %v approximate %v", u, exact, approximate)
	}
	if u, p := MannWhitney([]float64{1, 1, 2}, []float64{1, 1, 2}); u != 4.5 || p != 1 {
		t.Errorf("ties: u %v p %v", u, p)
	}
	if _, p := MannWhitney([]float64{1, 1}, []float64{1, 1}); p != 1 {
		t.Errorf("all equal: p %v", p)
	}
	if _, p := MannWhitney(nil, x); p != 1 {
		t.Errorf("empty: p %v", p)
	}
}

func TestParetoBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		coordinate := rapid.OneOf(rapid.Map(rapid.IntRange(0, 6), func(i int) float64 { return float64(i) }), rapid.Just(math.NaN()), rapid.Just(math.Inf(1)))
		points := rapid.SliceOf(rapid.Custom(func(t *rapid.T) Costs {
			return Costs{coordinate.Draw(t, "x"), coordinate.Draw(t, "y")}
		})).Draw(t, "points")
		var want []int
		for i, p := range points {
			keep := !math.IsNaN(p.X) && !math.IsNaN(p.Y)
			for _, q := range points {
				if q.X <= p.X && q.Y <= p.Y && (q.X < p.X || q.Y < p.Y) {
					keep = false
				}
			}
			if keep {
				want = append(want, i)
			}
		}
		got := slices.Clone(Pareto(points))
		for k := 1; k < len(got); k++ {
			if points[got[k]].X < points[got[k-1]].X {
				t.Fatalf("not in order of X: %v", got)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("front %v, want %v of %v", got, want, points)
		}
	})
}

// The interval of seeds and test sample together covers the truth in 95% of experiments, whichever
// of the two dominates; the wider of the two alone does not.
func TestAddVarianceCovers(t *testing.T) {
	const experiments = 20000
	rng := rand.New(rand.NewPCG(11, 5))
	for _, seeds := range []int{2, 3, 5, 10} {
		// sample error ÷ error of the mean over seeds
		for _, ratio := range []float64{0, 0.25, 0.5, 1, 2, 4} {
			covered, wider := 0, 0
			for range experiments {
				sample := ratio * rng.NormFloat64() // one test sample for all seeds
				values := make([]float64, seeds)
				for i := range values {
					values[i] = sample + math.Sqrt(float64(seeds))*rng.NormFloat64()
				}
				mean := MeanInterval(values)
				own := 1.959964 * ratio
				both := AddVariance(mean, mean.Value-own, mean.Value+own)
				if both.Low <= 0 && both.High >= 0 {
					covered++
				}
				if half := max(mean.High-mean.Value, own); math.Abs(mean.Value) <= half {
					wider++
				}
			}
			share := float64(covered) / experiments
			t.Logf("%2d seeds, ratio %.2f: %.4f, the wider alone %.4f", seeds, ratio, share, float64(wider)/experiments)
			if share < 0.945 {
				t.Errorf("%d seeds, ratio %.2f: %.4f of the intervals cover the truth, expected at least 0.945", seeds, ratio, share)
			}
		}
	}
}
