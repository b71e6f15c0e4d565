package loadreport

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"slimlab/lab/stat"
)

func exponential(n int, seed uint64) []float64 {
	rng := rand.New(rand.NewPCG(seed, 1))
	x := make([]float64, n)
	for i := range x {
		x[i] = rng.ExpFloat64()
	}
	return x
}

func TestPercentilesEqualTheReference(t *testing.T) {
	for _, n := range []int{1, 2, 3, 10, 99, 100, 101, 5000} {
		x := exponential(n, 1)
		l := newLatency(TTFT, x, 1)
		if l.N != n || l.Min != slices.Min(x) || l.Max != slices.Max(x) || len(l.Percentiles) != 4 {
			t.Fatalf("%+v", l)
		}
		for _, p := range l.Percentiles {
			if want := stat.Percentile(x, p.P); math.Abs(p.Value-want) > 1e-12 {
				t.Errorf("P%v of %d: %v, expected %v", p.P, n, p.Value, want)
			}
			if !(p.Low <= p.Value && p.Value <= p.High) && n > 10 {
				t.Errorf("P%v of %d: %v to %v around %v", p.P, n, p.Low, p.High, p.Value)
			}
			if (p.Warning != "") != (p.P == 99 && n < 100) {
				t.Errorf("P%v of %d: warning %q", p.P, n, p.Warning)
			}
		}
	}
	if l := newLatency(TTFT, nil, 1); l.N != 0 || len(l.Percentiles) != 0 || !math.IsNaN(l.At(99)) {
		t.Errorf("an empty sample: %+v", l)
	}
}

// The interval that is drawn from order statistics is that of resamples drawn value by value.
func TestTheBootstrapIsTheBootstrap(t *testing.T) {
	for _, n := range []int{20, 150} {
		x := slices.Sorted(slices.Values(exponential(n, 7)))
		for _, p := range []float64{50, 90, 99} {
			want := stat.Bootstrap(x, func(x []float64) float64 { return stat.Percentile(x, p) }, 10_000, rand.New(rand.NewPCG(3, 4)))
			// the mean over several draws, since an interval of 2000 resamples has noise of its own
			low, high := 0.0, 0.0
			for i := range 20 {
				l, h := bootstrap(x, p, rand.New(rand.NewPCG(uint64(i), 9)))
				low, high = low+l/20, high+h/20
			}
			width := want.High - want.Low
			if math.Abs(low-want.Low) > 0.04*width || math.Abs(high-want.High) > 0.04*width {
				t.Errorf("P%v of %d: %v to %v, expected %v to %v", p, n, low, high, want.Low, want.High)
			}
		}
	}
}

// The interval of a median covers the truth about as often as it says.
func TestIntervalsCover(t *testing.T) {
	covered := 0
	const runs = 200
	for i := range runs {
		l := newLatency(TTFT, exponential(200, uint64(i)), uint64(i))
		if p := l.Percentiles[0]; p.Low <= math.Ln2 && math.Ln2 <= p.High {
			covered++
		}
	}
	if share := float64(covered) / runs; share < 0.89 || share > 0.99 {
		t.Errorf("%.3f of the intervals cover the median", share)
	}
}

// Gaps of one answer are alike: intervals over requests are wider than over gaps, and as wide as
// those of as many values as there are requests where all of a request are the same.
func TestPooledIntervalsAreOverRequests(t *testing.T) {
	x := exponential(300, 2)
	var groups [][]float64
	for _, v := range x {
		groups = append(groups, slices.Repeat([]float64{v}, 20))
	}
	pooled, single := newPooled(ITL, groups, 1), newLatency(ITL, x, 1)
	for i := range 2 { // P50 and P90
		a, b := pooled.Percentiles[i], single.Percentiles[i]
		if ratio := (a.High - a.Low) / (b.High - b.Low); ratio < 0.75 || ratio > 1.3 {
			t.Errorf("P%v: %v to %v of the gaps, %v to %v of the requests", a.P, a.Low, a.High, b.Low, b.High)
		}
	}
	if pooled.N != 6000 || pooled.WithoutInterval != "" {
		t.Errorf("%+v", pooled)
	}
	// of the same values, each of a request of its own, it is the plain bootstrap, ties too
	var apart [][]float64
	for i := range 300 {
		apart = append(apart, []float64{float64(i % 2)})
	}
	for i, p := range newPooled(ITL, apart, 1).Percentiles {
		if p.Low > p.Value || p.High < p.Value {
			t.Errorf("P%v of two values in turn: %v in %v to %v", percentiles[i], p.Value, p.Low, p.High)
		}
	}
	large := newPooled(ITL, slices.Repeat([][]float64{make([]float64, 1000)}, 251), 1)
	if large.WithoutInterval == "" || !math.IsNaN(large.Percentiles[0].Low) {
		t.Errorf("of %d gaps: %q", large.N, large.WithoutInterval)
	}
	if l := newPooled(ITL, nil, 1); l.N != 0 || len(l.Percentiles) != 0 {
		t.Errorf("no gaps: %+v", l)
	}
}
