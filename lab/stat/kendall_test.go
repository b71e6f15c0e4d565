package stat

import (
	"math"
	"math/rand/v2"
	"testing"
)

// permutations calls f with every order of the values.
func permutations(x []float64, f func([]float64)) {
	var place func(n int)
	place = func(n int) {
		if n == len(x) {
			f(x)
			return
		}
		for i := n; i < len(x); i++ {
			x[n], x[i] = x[i], x[n]
			place(n + 1)
			x[n], x[i] = x[i], x[n]
		}
	}
	place(0)
}

// bruteTau is τ-b as the correlation of the signs of all ordered pairs.
func bruteTau(x, y []float64) float64 {
	var both, ofX, ofY float64
	for i := range x {
		for j := range x {
			a, b := float64(sign(x[i]-x[j])), float64(sign(y[i]-y[j]))
			both, ofX, ofY = both+a*b, ofX+a*a, ofY+b*b
		}
	}
	return both / math.Sqrt(ofX*ofY)
}

// TestKendallBruteForce: of random measures of 2 to 7 items, with and without ties, τ-b is the
// correlation of the pairs' signs, and p the share of all orders that are as far from chance.
func TestKendallBruteForce(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 5))
	exact, tied := 0, 0
	for range 300 {
		n := 2 + rng.IntN(6)
		x, y := make([]float64, n), make([]float64, n)
		levels := n
		ties := rng.IntN(2) == 0
		if ties {
			levels = 2 + rng.IntN(3)
		}
		for i := range x {
			x[i], y[i] = float64(rng.IntN(levels)), float64(rng.IntN(levels))
			if !ties {
				x[i], y[i] = rng.Float64(), rng.Float64()
			}
		}
		tau, p := Kendall(x, y)
		want := bruteTau(x, y)
		if math.IsNaN(want) {
			if !math.IsNaN(tau.Value) || !math.IsNaN(p) {
				t.Fatalf("%v and %v: %+v, p %v of a measure without an order", x, y, tau, p)
			}
			continue
		}
		if !near(tau.Value, want, 1e-12) || tau.Low > tau.Value || tau.High < tau.Value || tau.Low < -1 || tau.High > 1 {
			t.Fatalf("%v and %v: %+v, expected %v", x, y, tau, want)
		}
		far, all := 0, 0
		permutations(append([]float64{}, y...), func(order []float64) {
			all++
			if math.Abs(bruteTau(x, order)) >= math.Abs(want)-1e-9 {
				far++
			}
		})
		share := float64(far) / float64(all)
		if !near(p, share, 1e-12) {
			t.Fatalf("%v and %v: p %v, %d of %d orders", x, y, p, far, all)
		}
		if ties {
			tied++
		} else {
			exact++
		}
	}
	if exact < 100 || tied < 100 {
		t.Errorf("%d without ties, %d with, which is too few to show anything", exact, tied)
	}
}

// TestKendallVariance: the variance under ties is that of the excess over all orders.
func TestKendallVariance(t *testing.T) {
	for _, c := range [][2][]float64{
		{{1, 1, 2, 3, 4, 4}, {1, 2, 2, 2, 5, 6}},
		{{1, 2, 3, 4, 5, 6}, {1, 1, 1, 2, 2, 3}},
		{{0, 0, 0, 1, 1, 1}, {0, 1, 0, 1, 0, 1}},
	} {
		x, y := c[0], c[1]
		var square, all float64
		permutations(append([]float64{}, y...), func(order []float64) {
			excess := 0
			for i := range x {
				for j := range i {
					excess += sign(x[i]-x[j]) * sign(order[i]-order[j])
				}
			}
			square, all = square+float64(excess*excess), all+1
		})
		// one standard deviation from 0
		p := normalKendall(x, y, 1)
		z := 1 / math.Sqrt(square/all)
		if want := math.Erfc(z / math.Sqrt2); !near(p, want, 1e-12) {
			t.Errorf("%v and %v: p %v, by all orders %v", x, y, p, want)
		}
	}
}

func TestKendallByHand(t *testing.T) {
	up := []float64{1, 2, 3, 4, 5}
	for _, c := range []struct {
		name string
		y    []float64
		tau  float64
		p    float64
	}{
		{"the same order", []float64{10, 20, 30, 40, 50}, 1, 2.0 / 120},
		{"the opposite order", []float64{5, 4, 3, 2, 1}, -1, 2.0 / 120},
		{"one pair swapped", []float64{2, 1, 3, 4, 5}, 0.8, 2 * 5.0 / 120}, // (1 + 4) orders of at most one inversion
	} {
		tau, p := Kendall(up, c.y)
		if !near(tau.Value, c.tau, 1e-12) || !near(p, c.p, 1e-12) {
			t.Errorf("%s: %+v, p %v, expected %v and %v", c.name, tau, p, c.tau, c.p)
		}
		if tau.Low == tau.High {
			t.Errorf("%s: the interval has no width", c.name)
		}
	}
	if tau, _ := Kendall([]float64{1, 2, 3}, []float64{1, 2, 3}); tau.Value != 1 || tau.Low != -1 || tau.Warning == "" {
		t.Errorf("3 items: %+v, expected no interval and a warning", tau)
	}
	if tau, p := Kendall([]float64{1, math.NaN()}, []float64{1, 2}); !math.IsNaN(tau.Value) || !math.IsNaN(p) {
		t.Errorf("a NaN: %+v, p %v", tau, p)
	}
}

// TestKendallCovers: of samples of two normal variables of correlation ρ, whose τ is 2/π·arcsin ρ,
// at least 88% of the intervals cover it, and 5% of the p-values of independent ones are at most
// 0.05.
func TestKendallCovers(t *testing.T) {
	const experiments = 2000
	rng := rand.New(rand.NewPCG(8, 9))
	for _, n := range []int{6, 10, 30, 80} {
		for _, rho := range []float64{0, 0.5, 0.9} {
			truth, covered, small := 2/math.Pi*math.Asin(rho), 0, 0
			for range experiments {
				x, y := make([]float64, n), make([]float64, n)
				for i := range x {
					x[i] = rng.NormFloat64()
					y[i] = rho*x[i] + math.Sqrt(1-rho*rho)*rng.NormFloat64()
				}
				tau, p := Kendall(x, y)
				if tau.Low <= truth && truth <= tau.High {
					covered++
				}
				if p <= 0.05 {
					small++
				}
			}
			share, error := float64(covered)/experiments, float64(small)/experiments
			t.Logf("%d items, ρ = %v: %.4f covered, %.4f of p ≤ 0.05", n, rho, share, error)
			if share < 0.88 {
				t.Errorf("%d items, ρ = %v: %.4f of the intervals cover τ, expected at least 0.88", n, rho, share)
			}
			if rho == 0 && error > 0.062 {
				t.Errorf("%d items: %.4f of independent measures have p ≤ 0.05", n, error)
			}
		}
	}
}
