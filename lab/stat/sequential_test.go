package stat

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// law is what the values of an experiment are drawn from.
type law struct {
	name string
	mean float64
	draw func(*rand.Rand) float64
}

// unbounded are laws of paired differences: of latencies whose logarithms differ normally, of
// skewed ones, of heavy tails, and of a clock with coarse ticks.
func unbounded() []law {
	lognormal := func(r *rand.Rand) float64 { return math.Exp(r.NormFloat64()) }
	return []law{
		{"normal", 0, func(r *rand.Rand) float64 { return r.NormFloat64() }},
		{"difference of lognormals", 0, func(r *rand.Rand) float64 {
			a, b := lognormal(r), lognormal(r)
			return a - b
		}},
		{"Student t of 3, heavy tails", 0, func(r *rand.Rand) float64 {
			return r.NormFloat64() / math.Sqrt((square(r)+square(r)+square(r))/3)
		}},
		{"1% of stalls, 30 times as far", 0, func(r *rand.Rand) float64 {
			if r.Float64() < 0.01 {
				return 30 * r.NormFloat64()
			}
			return r.NormFloat64()
		}},
		{"ties: three quarters are 0", 0, func(r *rand.Rand) float64 {
			a, b := r.IntN(8)/7, r.IntN(8)/7
			return float64(a - b)
		}},
		{"exponential, skewed", 0, func(r *rand.Rand) float64 { return r.ExpFloat64() - 1 }},
		{"lognormal, much skewed", 0, func(r *rand.Rand) float64 { return lognormal(r) - math.Exp(0.5) }},
	}
}

func square(r *rand.Rand) float64 { x := r.NormFloat64(); return x * x }

// bounded are laws of differences of quality.
func bounded() []law {
	wins := func(better, worse float64) law {
		return law{fmt.Sprintf("wins %.3g, losses %.3g", better, worse), better - worse, func(r *rand.Rand) float64 {
			switch u := r.Float64(); {
			case u < better:
				return 1
			case u < better+worse:
				return -1
			}
			return 0
		}}
	}
	return []law{
		wins(0.25, 0.25), wins(0.02, 0.02), wins(0.5, 0.5), wins(0.002, 0.002),
		{"difference of two F1", 0, func(r *rand.Rand) float64 {
			a, b := math.Sqrt(r.Float64()), math.Sqrt(r.Float64())
			return a - b
		}},
		{"rare and skewed", 0, func(r *rand.Rand) float64 {
			if r.Float64() < 0.1 {
				return 0.9
			}
			return -0.1
		}},
	}
}

const experiments, looks = 1000, 2000

// misses runs experiments, looks after every value, and returns in which share the mean was outside
// of an interval at any time.
func misses(l law, mean float64, begin func() sequence) float64 {
	missed := 0
	for e := range experiments {
		rng, s := rand.New(rand.NewPCG(uint64(e), 1)), begin()
		for range looks {
			s.Add(l.draw(rng))
			if i := s.Interval(); !(i.Low <= mean && mean <= i.High) {
				missed++
				break
			}
		}
	}
	return float64(missed) / experiments
}

type sequence = interface {
	Add(float64)
	Interval() Interval
}

// TestMeanSequence: equal arms are found different, and a mean is outside of its interval at any
// time, in at most 5% of experiments, although they are looked at after each of 2000 values; a
// t-test at each look is wrong many times as often.
func TestMeanSequence(t *testing.T) {
	for _, l := range unbounded() {
		missed := misses(l, l.mean, func() sequence {
			s, err := NewMeanSequence(0.05, 20, 500)
			if err != nil {
				t.Fatal(err)
			}
			return s
		})
		t.Logf("%s: %.1f%%", l.name, 100*missed)
		if missed > 0.05 {
			t.Errorf("%s: the mean is outside at some time in %.1f%% of %d sequences, expected at most 5%%", l.name, 100*missed, experiments)
		}
		peeking := misses(l, l.mean, func() sequence { return &peeked{} })
		t.Logf("%s, a t-test at each look: %.1f%%", l.name, 100*peeking)
		if peeking < 0.2 {
			t.Errorf("%s: a t-test at each look errs in %.1f%%, expected many", l.name, 100*peeking)
		}
	}
}

// peeked is what an interval for one sample size gives when it is looked at at each.
type peeked struct{ n, mean, moves float64 }

func (p *peeked) Add(x float64) {
	p.n++
	from := x - p.mean
	p.mean += from / p.n
	p.moves += from * (x - p.mean)
}

func (p *peeked) Interval() Interval {
	if p.n < 20 {
		return Interval{Low: math.Inf(-1), High: math.Inf(1)}
	}
	half := 1.96 * math.Sqrt(p.moves/(p.n-1)/p.n)
	return Interval{Low: p.mean - half, High: p.mean + half}
}

// TestBoundedSequence: the same of values within bounds, for which it is exact from the first on.
func TestBoundedSequence(t *testing.T) {
	for _, l := range bounded() {
		missed := misses(l, l.mean, func() sequence {
			s, err := NewBoundedSequence(0.05, -1, 1, 41)
			if err != nil {
				t.Fatal(err)
			}
			return s
		})
		t.Logf("%s: %.1f%%", l.name, 100*missed)
		if missed > 0.05 {
			t.Errorf("%s: the mean is outside at some time in %.1f%% of %d sequences, expected at most 5%%", l.name, 100*missed, experiments)
		}
	}
	// a mean off the grid, and one at its end
	for _, x := range []float64{0.333, 1} {
		s, err := NewBoundedSequence(0.05, -1, 1, 41)
		if err != nil {
			t.Fatal(err)
		}
		last := 2.0
		for n := range looks {
			s.Add(x)
			i := s.Interval()
			if !(i.Low <= x && x <= i.High) || i.High-i.Low > last {
				t.Fatalf("%v after %d: %+v, the one before was %v wide", x, n+1, i, last)
			}
			last = i.High - i.Low
		}
		if last > 0.11 {
			t.Errorf("after %d of %v the interval is %v wide", looks, x, last)
		}
	}
	// no one mean explains these
	s, err := NewBoundedSequence(0.05, 0, 1, 101)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		s.Add(float64(i / 1000))
	}
	if i := s.Interval(); i.Warning == "" || i.Bounded() {
		t.Errorf("%+v of zeros and then ones, expected a warning", i)
	}
}

// TestSequencesFind: how many values it takes to find a mean that is not 0, half of the time.
func TestSequencesFind(t *testing.T) {
	found := func(begin func() sequence, l law) int {
		var all []float64
		for e := range 200 {
			rng, s, n := rand.New(rand.NewPCG(uint64(e), 2)), begin(), 0
			for n < 20_000 {
				n++
				s.Add(l.draw(rng))
				if i := s.Interval(); i.Low > 0 || i.High < 0 {
					break
				}
			}
			all = append(all, float64(n))
		}
		return int(Median(all))
	}
	for _, test := range []struct {
		mean float64
		most int
	}{{1, 20}, {0.5, 60}, {0.2, 350}, {0.1, 1500}} {
		n := found(func() sequence { s, _ := NewMeanSequence(0.05, 20, 250); return s }, law{draw: func(r *rand.Rand) float64 { return test.mean + r.NormFloat64() }})
		t.Logf("a mean of %g standard deviations is found after %d values, by a test of one look of power 1/2 after %.0f", test.mean, n, math.Pow(1.96/test.mean, 2))
		if n > test.most {
			t.Errorf("a mean of %g standard deviations is found after %d values, expected at most %d", test.mean, n, test.most)
		}
	}
	for _, test := range []struct {
		better, worse float64
		most          int
	}{{0.5, 0.1, 40}, {0.3, 0.1, 90}, {0.15, 0.05, 200}, {0.12, 0.08, 1500}} {
		l := law{draw: func(r *rand.Rand) float64 {
			switch u := r.Float64(); {
			case u < test.better:
				return 1
			case u < test.better+test.worse:
				return -1
			}
			return 0
		}}
		n := found(func() sequence { s, _ := NewBoundedSequence(0.05, -1, 1, 401); return s }, l)
		spread := test.better + test.worse - math.Pow(test.better-test.worse, 2)
		t.Logf("wins %g and losses %g are found after %d pairs, by a test of one look of power 1/2 after %.0f", test.better, test.worse, n, 3.84*spread/math.Pow(test.better-test.worse, 2))
		if n > test.most {
			t.Errorf("wins %g and losses %g are found after %d pairs, expected at most %d", test.better, test.worse, n, test.most)
		}
	}
}

// TestMeanSequenceShrinks: the interval narrows with the root of the number, is found where the
// boundary says, and takes the spread of values as they are.
func TestMeanSequenceShrinks(t *testing.T) {
	s, err := NewMeanSequence(0.05, 2, 100)
	if err != nil {
		t.Fatal(err)
	}
	if i := s.Interval(); !math.IsNaN(i.Value) || i.Bounded() {
		t.Errorf("of nothing: %+v", i)
	}
	var width [10001]float64
	for n := 1; n <= 10000; n++ {
		s.Add(3 + float64(n%2*2-1)) // 2 and 4 in turn: their skewness is 0 of an even number
		i := s.Interval()
		width[n] = i.High - i.Low
	}
	if i := s.Interval(); math.Abs(i.Value-3) > 1e-9 || i.N != 10000 {
		t.Errorf("%+v, expected a mean of 3", i)
	}
	// the root of x = ln(x+1) − 2 ln(0.05) is 8.21197, and the boundary there 3.03512
	if got := width[100] / 2 / math.Sqrt(100.0/99/100); math.Abs(got-3.03512) > 1e-5 {
		t.Errorf("%v standard errors at 100, expected 3.03512", got)
	}
	for _, n := range []int{200, 1000, 10000} {
		if !(width[n] < width[n/2]*0.75) {
			t.Errorf("width %v at %d, %v at %d", width[n], n, width[n/2], n/2)
		}
	}
	same, err := NewMeanSequence(0.05, 2, 100)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		same.Add(0.25)
	}
	if i := same.Interval(); i.Low != 0.25 || i.High != 0.25 || i.Warning == "" {
		t.Errorf("%+v of equal values", i)
	}
}

func TestSequencesRefuse(t *testing.T) {
	for _, level := range []float64{0, 1, -1, math.NaN()} {
		if _, err := NewMeanSequence(level, 2, 1); err == nil {
			t.Errorf("level %v is taken", level)
		}
		if _, err := NewBoundedSequence(level, 0, 1, 3); err == nil {
			t.Errorf("level %v is taken", level)
		}
	}
	if _, err := NewMeanSequence(0.05, 1, 1); err == nil {
		t.Error("a first look at one value is taken")
	}
	for _, bounds := range [][2]float64{{1, 1}, {1, 0}, {0, math.Inf(1)}, {math.NaN(), 1}} {
		if _, err := NewBoundedSequence(0.05, bounds[0], bounds[1], 3); err == nil {
			t.Errorf("bounds %v are taken", bounds)
		}
	}
}
