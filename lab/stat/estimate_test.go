package stat

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestEstimateOfOneError: an interval and its p-value are those of Student's t.
func TestEstimateOfOneError(t *testing.T) {
	x := []float64{0.3, 0.1, 0.4, -0.1, 0.5}
	e := Estimate{Value: Mean(x), Errors: []Error{MeanError(x)}}
	got, want := e.Interval(), MeanInterval(x)
	if !near(got.Low, want.Low, 1e-12) || !near(got.High, want.High, 1e-12) {
		t.Errorf("the interval is %+v, expected %+v", got, want)
	}
	influence := make([]float64, len(x))
	for i := range x {
		influence[i] = (x[i] - Mean(x)) / float64(len(x))
	}
	if got, want := SumError(influence), MeanError(x); !near(got.Size, want.Size, 1e-12) || got.Freedom != 4 || want.Freedom != 4 {
		t.Errorf("the error of a mean by its influences is %+v, expected %+v", got, want)
	}
	if got := ErrorOf(4.302653, 3); !near(got.Size, 1, 1e-6) || got.Freedom != 2 {
		t.Errorf("the error behind a half-width of 4.3027 over 3 seeds is %+v, expected 1 with 2 degrees of freedom", got)
	}
	// t = 2.2283 with 4 degrees of freedom: 0.0898 by the closed form of the law for 4
	s := Mean(x) / MeanError(x).Size
	c := s / math.Sqrt(4+s*s)
	if p := 1 - 1.5*c*(1-c*c/3); !near(e.P(), p, 1e-9) {
		t.Errorf("p is %v, expected %v", e.P(), p)
	}
	normal := Estimate{Value: 1.959963985, Errors: []Error{ErrorOf(1.959963985, 1)}}
	if got := normal.P(); !near(got, 0.05, 1e-8) {
		t.Errorf("p is %v, expected 0.05", got)
	}
}

// TestPIsTheLevelOfTheInterval: p is at most 0.05 just where the interval leaves out 0, falls as
// the value moves away, and is 1 at 0, whatever the errors.
func TestPIsTheLevelOfTheInterval(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := Estimate{Value: rapid.Float64Range(-3, 3).Draw(t, "value")}
		for range rapid.IntRange(1, 3).Draw(t, "errors") {
			e.Errors = append(e.Errors, Error{rapid.OneOf(rapid.Just(0.0), rapid.Float64Range(1e-6, 2)).Draw(t, "size"), rapid.SampledFrom([]float64{1, 2, 4, 39, 4095, math.Inf(1)}).Draw(t, "freedom")})
		}
		i, p := e.Interval(), e.P()
		if !(p >= 0 && p <= 1) || (p < 0.05-1e-9) != (i.Low > 0 || i.High < 0) && math.Abs(p-0.05) > 1e-9 {
			t.Fatalf("%+v: p is %v, the interval %+v", e, p, i)
		}
		further := e
		further.Value *= 1.5
		if q := further.P(); q > p+1e-9 {
			t.Fatalf("%+v: p is %v, further away %v", e, p, q)
		}
		if e.Value = 0; e.P() != 1 {
			t.Fatalf("p of 0 is %v", e.P())
		}
	})
	for _, e := range []Estimate{{Value: 1, Errors: []Error{MeanError([]float64{1})}}, {Value: 1, Errors: []Error{SumError([]float64{1})}}, {Value: math.NaN(), Errors: []Error{{1, 1}}}} {
		if p := e.P(); !math.IsNaN(p) || e.Interval().Bounded() {
			t.Errorf("%+v: p is %v, the interval %+v", e, p, e.Interval())
		}
	}
}

// TestFalseDiscoveryBruteForce: adjusted values are the least q at which Benjamini and Hochberg's
// rule, the most k with p₍ₖ₎ ≤ kq/n, takes a p-value in.
func TestFalseDiscoveryBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SliceOfN(rapid.OneOf(rapid.Just(math.NaN()), rapid.SampledFrom([]float64{0, 0.01, 0.05, 1}), rapid.Float64Range(0, 1)), 0, 12).Draw(t, "p")
		adjusted := FalseDiscovery(p)
		var sorted []float64
		for _, x := range p {
			if !math.IsNaN(x) {
				sorted = append(sorted, x)
			}
		}
		slices.Sort(sorted)
		for _, q := range []float64{0.01, 0.05, 0.2, 0.5, 0.99} {
			bound := -1.0
			for k, x := range sorted {
				if x <= float64(k+1)*q/float64(len(sorted)) {
					bound = x
				}
			}
			for i, x := range p {
				if taken := x <= bound; taken != (adjusted[i] <= q) && math.Abs(adjusted[i]-q) > 1e-12 {
					t.Fatalf("%v of %v at q = %v: taken %t, adjusted %v", x, p, q, taken, adjusted[i])
				}
			}
		}
		for i, x := range p {
			if math.IsNaN(x) != math.IsNaN(adjusted[i]) || adjusted[i] < x || adjusted[i] > 1 {
				t.Fatalf("%v of %v is adjusted to %v", x, p, adjusted[i])
			}
		}
	})
}

// TestSeedsAndUnitsCover: two models are compared over seeds and over the units of a test set, each
// with an effect of its own on the difference, and the noise of both. The interval of both errors
// covers the truth in 93% of experiments or more, whatever dominates; that of the seeds alone does
// not where units differ, since all seeds have the same units. With one seed the units alone cover
// where training has no noise.
func TestSeedsAndUnitsCover(t *testing.T) {
	const experiments, units = 4000, 40
	rng := rand.New(rand.NewPCG(3, 8))
	for _, c := range []struct {
		seeds              int
		ofSeed, ofUnit, of float64 // standard deviations, as they are in the mean
	}{
		{1, 0, 1, 0}, {1, 0, 0, 1}, {1, 0, 1, 1}, {2, 1, 0, 0}, {2, 1, 1, 1}, {3, 0, 1, 0}, {3, 1, 1, 0}, {3, 0.3, 1, 1}, {3, 1, 0.3, 1},
		{3, 0, 0, 1}, {5, 1, 1, 0}, {5, 1, 1, 1}, {5, 0, 1, 1}, {10, 1, 1, 0.5}, {10, 0, 1, 0.1},
		{2, 0.3, 1, 0}, {2, 3, 1, 0}, {2, 5, 1, 0}, {3, 0.3, 1, 0}, {3, 3, 1, 0}, {5, 3, 1, 0}, {10, 3, 1, 0},
	} {
		covered, alone := 0, 0
		for range experiments {
			bySeed, byUnit := make([]float64, c.seeds), make([]float64, units)
			ofUnit := make([]float64, units)
			for u := range ofUnit {
				ofUnit[u] = c.ofUnit * math.Sqrt(units) * rng.NormFloat64()
			}
			for s := range bySeed {
				seed := c.ofSeed * math.Sqrt(float64(c.seeds)) * rng.NormFloat64()
				for u := range ofUnit {
					x := seed + ofUnit[u] + c.of*math.Sqrt(float64(c.seeds*units))*rng.NormFloat64()
					bySeed[s] += x / units
					byUnit[u] += x / float64(c.seeds)
				}
			}
			mean := Mean(bySeed)
			for u := range byUnit { // the influence on the mean
				byUnit[u] = (byUnit[u] - mean) / units
			}
			e := Estimate{Value: mean, Errors: []Error{SumError(byUnit)}}
			if c.seeds > 1 {
				if i := MeanInterval(bySeed); i.Low <= 0 && i.High >= 0 {
					alone++
				}
				e.Errors = append(e.Errors, MeanError(bySeed))
			}
			if i := e.Interval(); i.Low <= 0 && i.High >= 0 {
				covered++
			}
		}
		share := float64(covered) / experiments
		t.Logf("%2d seeds, deviations of seed %.1f, unit %.1f, both %.1f: %.4f, seeds alone %.4f", c.seeds, c.ofSeed, c.ofUnit, c.of, share, float64(alone)/experiments)
		if share < 0.92 { // 0.93 less twice the error of the simulation
			t.Errorf("%d seeds, %v: %.4f of the intervals cover the truth, expected at least 0.92", c.seeds, c, share)
		}
		if c.ofUnit >= 1 && c.ofSeed == 0 && c.of <= 0.1 && c.seeds > 1 && float64(alone)/experiments > 0.5 {
			t.Errorf("%d seeds, %v: the seeds alone cover %v, which this test is to show they do not", c.seeds, c, float64(alone)/experiments)
		}
	}
}

// TestFewSeedsOfTwoRunsCover: so does the interval from the spreads of two runs over few seeds and
// their units, whichever run is the noisier.
func TestFewSeedsOfTwoRunsCover(t *testing.T) {
	const experiments, units = 2000, 40
	rng := rand.New(rand.NewPCG(5, 13))
	for _, seeds := range []int{2, 3} {
		// of the seeds, in units of the test units'
		for _, noise := range []float64{0, 0.3, 1, 3, 20} {
			for _, ratio := range []float64{1, 0.1, 0} { // of the second run's to the first's
				covered := 0
				for range experiments {
					truth, a, b, byUnit := rng.NormFloat64(), make([]float64, seeds), make([]float64, seeds), make([]float64, units)
					size := noise * math.Sqrt(float64(seeds)/(1+ratio*ratio))
					for i := range a {
						a[i], b[i] = size*rng.NormFloat64(), size*ratio*rng.NormFloat64()
					}
					var square float64
					for range units - 1 {
						x := rng.NormFloat64()
						square += x * x / (units - 1)
					}
					byUnit[0], byUnit[1] = math.Sqrt(square*(units-1)/units/2), -math.Sqrt(square*(units-1)/units/2)
					e := Estimate{Value: truth + Mean(b) - Mean(a), Errors: []Error{MeanError(a), MeanError(b), SumError(byUnit)}}
					if i := e.Interval(); i.Low <= 0 && i.High >= 0 {
						covered++
					}
				}
				if share := float64(covered) / experiments; share < 0.915 {
					t.Errorf("%d seeds, noise %v, ratio %v: %.4f of the intervals cover the truth, expected at least 0.915", seeds, noise, ratio, share)
				}
			}
		}
	}
}

// TestSecondSeedConfirms: a difference that is many errors of the test units away, and which two
// seeds agree on within a few per cent, is not taken back for want of seeds. Student's t with one
// degree of freedom alone would.
func TestSecondSeedConfirms(t *testing.T) {
	bySeed := []float64{-0.056, -0.064}
	e := Estimate{Value: Mean(bySeed), Errors: []Error{MeanError(bySeed), {0.0085, 119}}}
	if i := e.Interval(); i.High >= 0 || !(e.P() < 0.05) {
		t.Errorf("%+v: the interval is %+v, p %v, expected one below 0", e, i, e.P())
	}
	// where the seeds do not agree they decide, with one degree of freedom
	bySeed = []float64{-0.02, -0.1}
	e = Estimate{Value: Mean(bySeed), Errors: []Error{MeanError(bySeed), {0.0085, 119}}}
	if i := e.Interval(); i.High <= 0 {
		t.Errorf("%+v: the interval is %+v, expected one that holds 0", e, i)
	}
}
