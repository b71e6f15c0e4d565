package stat

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"
)

func TestWilson(t *testing.T) {
	for _, c := range []struct {
		successes, n int
		low, high    float64
	}{
		// From the formula by hand with z = 1.959964; the ends are z²/(n+z²).
		{0, 10, 0, 0.277533},
		{10, 10, 0.722467, 1},
		{5, 10, 0.236593, 0.763407},
		{1, 1, 0.206549, 1},
	} {
		got := Wilson(c.successes, c.n)
		if !near(got.Low, c.low, 1e-6) || !near(got.High, c.high, 1e-6) || got.Value != float64(c.successes)/float64(c.n) {
			t.Errorf("%d of %d: %+v, want %v to %v", c.successes, c.n, got, c.low, c.high)
		}
	}
	if none := Wilson(0, 0); !math.IsNaN(none.Value) || none.Warning == "" {
		t.Errorf("no trials: %+v", none)
	}
	// The interval covers the true share some 95 times in a hundred.
	rng, hit := rand.New(rand.NewPCG(5, 6)), 0
	for range 2000 {
		k := 0
		for range 50 {
			if rng.Float64() < 0.1 {
				k++
			}
		}
		if w := Wilson(k, 50); w.Low <= 0.1 && 0.1 <= w.High {
			hit++
		}
	}
	if hit < 1840 || hit > 1980 {
		t.Errorf("covers %d of 2000", hit)
	}
}

func TestMcNemar(t *testing.T) {
	pairs := func(both, onlyX, onlyY, neither int) (x, y []bool) {
		for range both {
			x, y = append(x, true), append(y, true)
		}
		for range onlyX {
			x, y = append(x, true), append(y, false)
		}
		for range onlyY {
			x, y = append(x, false), append(y, true)
		}
		for range neither {
			x, y = append(x, false), append(y, false)
		}
		return x, y
	}
	for _, c := range []struct {
		both, onlyX, onlyY, neither int
		p                           float64
	}{
		{3, 0, 0, 4, 1},
		{3, 1, 1, 4, 1},
		{9, 5, 0, 1, 2.0 / 32},
		{0, 1, 5, 0, 2 * 7.0 / 64}, // (6 choose 0) + (6 choose 1)
		{0, 6, 2, 7, 2 * 37.0 / 256},
	} {
		x, y := pairs(c.both, c.onlyX, c.onlyY, c.neither)
		onlyX, onlyY, p := McNemar(x, y)
		if onlyX != c.onlyX || onlyY != c.onlyY || !near(p, c.p, 1e-12) {
			t.Errorf("%+v: %d, %d, p %v", c, onlyX, onlyY, p)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("unequal lengths did not panic")
		}
	}()
	McNemar([]bool{true}, nil)
}

// TestMcNemarBruteForce: p is the share of the 2ⁿ ways to turn n pairs that are as far from even,
// for every division of up to 16 pairs.
func TestMcNemarBruteForce(t *testing.T) {
	for n := range 17 {
		for lost := range n + 1 {
			far := 0
			for way := range 1 << n {
				if k := bits.OnesCount(uint(way)); max(k, n-k) >= max(lost, n-lost) {
					far++
				}
			}
			if p, want := McNemarP(lost, n-lost), float64(far)/float64(int(1)<<n); !near(p, want, 1e-12) {
				t.Errorf("%d against %d: p %v, by all ways %v", lost, n-lost, p, want)
			}
		}
	}
}

// TestClusteredWilsonCovers: of trials in units whose shares differ, at least 92% of the intervals
// cover the truth, and Wilson's do not; of independent ones it is hardly wider than Wilson's.
func TestClusteredWilsonCovers(t *testing.T) {
	const experiments, units = 2000, 60
	rng := rand.New(rand.NewPCG(11, 2))
	for _, c := range []struct {
		share, spread float64 // of a unit's own share: the mean, and how far it is from it
		size          int     // trials of the largest units
	}{{0.5, 0, 20}, {0.1, 0, 20}, {0.5, 0.3, 20}, {0.1, 0.1, 20}, {0.05, 0.05, 40}} {
		covered, plain, wider := 0, 0, 0.0
		for range experiments {
			hits, sizes, all, n := make([]float64, units), make([]float64, units), 0, 0
			for u := range hits {
				p := c.share + c.spread*float64(2*rng.IntN(2)-1)
				for range 1 + rng.IntN(c.size) {
					sizes[u]++
					if rng.Float64() < p {
						hits[u]++
					}
				}
				all, n = all+int(hits[u]), n+int(sizes[u])
			}
			mean := float64(all) / float64(n)
			for u := range hits {
				hits[u] = (hits[u] - mean*sizes[u]) / float64(n)
			}
			i, w := ClusteredWilson(all, n, hits), Wilson(all, n)
			if i.Value != mean || i.N != n || i.Low > w.Low || i.High < w.High {
				t.Fatalf("%d of %d: %+v, Wilson's %+v", all, n, i, w)
			}
			if i.Low <= c.share && c.share <= i.High {
				covered++
			}
			if w.Low <= c.share && c.share <= w.High {
				plain++
			}
			wider += (i.High - i.Low) / (w.High - w.Low) / experiments
		}
		t.Logf("%+v: %d of %d covered, by Wilson's %d; %.3f times as wide", c, covered, experiments, plain, wider)
		if covered < 1840 || c.spread > 0.05 && plain > 1750 || c.spread == 0 && wider > 1.2 {
			t.Errorf("%+v: %d of %d covered, by Wilson's %d; %.3f times as wide", c, covered, experiments, plain, wider)
		}
	}
	if got, want := ClusteredWilson(0, 100, make([]float64, 5)), Wilson(0, 100); got != want {
		t.Errorf("all alike: %+v, expected %+v", got, want)
	}
}

func TestPairedShares(t *testing.T) {
	// By hand: shares 1/12 and 1/12, half = 1.959964·√(1/6/12).
	if got := PairedShares(0, 0, 10); got.Value != 0 || !near(got.Low, -0.230984, 1e-6) || !near(got.High, 0.230984, 1e-6) || got.N != 10 {
		t.Errorf("nothing differs: %+v", got)
	}
	if got := PairedShares(0, 10, 10); got.Value != 1 || got.High != 1 || got.Low >= 1 {
		t.Errorf("all differ: %+v", got)
	}
	if none := PairedShares(0, 0, 0); !math.IsNaN(none.Value) || none.Warning == "" {
		t.Errorf("no pairs: %+v", none)
	}
	// Swapping the samples negates it; and it covers the true difference some 95 times in a
	// hundred, rare as changes are.
	rng := rand.New(rand.NewPCG(7, 8))
	const n, lost, gained = 300, 0.01, 0.02
	hit := 0
	for range 2000 {
		b, c := 0, 0
		for range n {
			switch u := rng.Float64(); {
			case u < lost:
				b++
			case u < lost+gained:
				c++
			}
		}
		d, turned := PairedShares(b, c, n), PairedShares(c, b, n)
		if !near(d.Low, -turned.High, 1e-15) || !near(d.High, -turned.Low, 1e-15) || d.Value != -turned.Value {
			t.Fatalf("%+v turned about is %+v", d, turned)
		}
		if d.Low <= gained-lost && gained-lost <= d.High {
			hit++
		}
	}
	if hit < 1860 || hit > 1990 {
		t.Errorf("covers %d of 2000", hit)
	}
}

func TestResample(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	const n = 200
	x, y := make([]float64, n), make([]float64, n)
	for i := range x {
		x[i] = 10 * rng.NormFloat64()
		y[i] = x[i] + 1 + 0.1*rng.NormFloat64()
	}
	mean := func(count, v []float64) (m float64) {
		for i, c := range count {
			m += c * v[i] / n
		}
		return m
	}
	got := Resample(n, 500, rng, func(count []float64) []float64 {
		a, b := mean(count, x), mean(count, y)
		return []float64{a, b, b - a, math.NaN()}
	})
	want := MeanInterval(x)
	if !near(got[0].Value, want.Value, 1e-9) || math.Abs(got[0].Low-want.Low) > 0.3 || math.Abs(got[0].High-want.High) > 0.3 {
		t.Errorf("mean %+v, by Student's t %+v", got[0], want)
	}
	// Each mean is uncertain by more than one, their paired difference by a hundredth.
	if d := got[2]; d.Low > 1 || d.High < 1-0.03 || d.High-d.Low > 0.05 || d.Warning != "" || d.N != n {
		t.Errorf("paired difference %+v", d)
	}
	if !math.IsNaN(got[3].Value) || !math.IsNaN(got[3].Low) {
		t.Errorf("NaN gave %+v", got[3])
	}
	half := Resample(2, 1000, rng, func(count []float64) []float64 { return []float64{count[0] / count[0]} })[0]
	// a unit is absent from a quarter of the draws
	if half.Value != 1 || half.Low != 1 || half.Lost < 200 || half.Lost > 300 {
		t.Errorf("undefined on some draws: %+v", half)
	}
	if few := Resample(3, 10, rng, func([]float64) []float64 { return []float64{1} }); few[0].Warning != "bootstrap of n=3" || few[0].Low != 1 {
		t.Errorf("few units: %+v", few)
	}
}
