package stat

import (
	"fmt"
	"math"
	"slices"
)

// MeanSequence is an asymptotic confidence sequence for the mean of independent values: with
// probability 1 − level, in the limit of a late first look, its interval covers the mean at all
// times from the first look on. So it may be looked at after every value, and stopped at any.
//
//	mean ± σ √( 2(nρ²+1)/(n²ρ²) · ln(√(nρ²+1)/level) )
//
// It is that of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (Time-uniform central limit theory
// and asymptotic confidence sequences, 2021): the boundary of a mixture of Gaussians, with the
// sample's standard deviation σ. Where the mean drifts it covers the mean of the means until then.
// Values need a variance and no bounds.
//
// Of skewed values the limit comes late: of a lognormal law with σ = 1 that interval misses the
// mean in 13% of sequences where it was to be 5%, from a first look at 30 on. So each bound is also
// computed by Hall's transformation for skewness (1992), and the outer of the two is taken.
type MeanSequence struct {
	level, rho  float64 // rho is ρ²
	first       int
	n           int
	mean, moves float64 // moves is the sum of squared distances from the mean
	cubes       float64 // and cubes that of cubed ones
	least       float64 // of the variance
}

// NewMeanSequence returns a sequence whose intervals are narrowest at tight values, in proportion
// to the spread, and tell nothing before the first look. The level is between 0 and 1.
func NewMeanSequence(level float64, first, tight int) (*MeanSequence, error) {
	if err := checkLevel(level); err != nil {
		return nil, err
	}
	if first < 2 || tight < 1 {
		return nil, fmt.Errorf("sequence: found a first look at %d values and the narrowest interval at %d, expected at least 2 and 1", first, tight)
	}
	// The derivative of the width by nρ² = x is 0 where x = ln(x+1) − 2 ln(level); this iteration
	// is a contraction.
	c := -2 * math.Log(level)
	x := c
	for range 50 {
		x = c + math.Log1p(x)
	}
	return &MeanSequence{level: level, rho: x / float64(tight), first: first}, nil
}

func checkLevel(level float64) error {
	if !(level > 0 && level < 1) {
		return fmt.Errorf("sequence: found the level %v, expected a number between 0 and 1", level)
	}
	return nil
}

// Add takes a value, which must be a number.
func (s *MeanSequence) Add(x float64) {
	n := float64(s.n)
	s.n++
	from := x - s.mean
	step := from / (n + 1)
	s.cubes += from*step*step*n*(n-1) - 3*step*s.moves
	s.moves += from * step * n
	s.mean += step
}

// AtLeast says that the variance is no smaller than so much, where that is known from elsewhere:
// the interval is then no narrower.
func (s *MeanSequence) AtLeast(variance float64) { s.least = variance }

// Interval is the mean with its interval of the sequence's level, infinite before the first look.
func (s *MeanSequence) Interval() Interval {
	out := Interval{Value: s.mean, Low: math.Inf(-1), High: math.Inf(1), N: s.n}
	if s.n == 0 {
		out.Value = math.NaN()
	}
	if s.n < s.first {
		out.Warning = fmt.Sprintf("n=%d: no interval before %d", s.n, s.first)
		return out
	}
	n := float64(s.n)
	x := n * s.rho
	if s.moves == 0 {
		out.Low, out.High, out.Warning = s.mean, s.mean, fmt.Sprintf("all %d values are the same", s.n)
		return out
	}
	far := math.Sqrt(2 * (x + 1) / x * math.Log(math.Sqrt(x+1)/s.level)) // standard errors
	skew := s.cubes / n / math.Pow(s.moves/n, 1.5) / math.Sqrt(n)
	unit := math.Sqrt(max(s.moves/(n-1), s.least) / n)
	out.Low, out.High = s.mean-unit*max(far, unskewed(far, skew)), s.mean+unit*max(far, -unskewed(-far, skew))
	return out
}

// BoundedSequence is a confidence sequence for the mean of values within bounds: whatever their
// law, with probability at least 1 − level its interval covers the mean at all times. So it may be
// looked at after every value, and stopped at any.
//
// It is the hedged capital process of Waudby-Smith and Ramdas (Estimating means of bounded random
// variables by betting, 2024). For each mean of a grid somebody bets that it is larger, and
// somebody that it is smaller; a mean is out once half of either's capital has reached 1/level, and
// stays out. A capital is divided evenly among bets that suit several numbers of values, by the
// variance of the values before. The mean must be the same for all values.
type BoundedSequence struct {
	low, high, level float64
	n                int
	total            float64 // of the values
	sum, moves       float64 // of the values on [0, 1], and of their squared distances from the mean then
	from, to         float64 // the mean on [0, 1] is between them
	means            []bets  // from there to there
}

// horizons are the numbers of values for which bets are sized.
var horizons = [...]float64{25, 150, 900, 5400}

// bets are what those have who bet that the mean is larger or smaller than one of the grid.
type bets struct {
	mean            float64
	larger, smaller [len(horizons)]float64
}

// NewBoundedSequence returns a sequence of values from low to high, with a grid of so many means:
// bounds are exact to a step of it, to the outside. The level is between 0 and 1.
func NewBoundedSequence(level, low, high float64, means int) (*BoundedSequence, error) {
	if err := checkLevel(level); err != nil {
		return nil, err
	}
	if !(low < high) || !finite(high-low) || means < 3 {
		return nil, fmt.Errorf("sequence: found values from %v to %v and %d means, expected a range and at least 3", low, high, means)
	}
	s := &BoundedSequence{low: low, high: high, level: level, to: 1, means: make([]bets, means)}
	for i := range s.means {
		m := &s.means[i]
		m.mean = float64(i) / float64(means-1)
		for j := range horizons {
			m.larger[j], m.smaller[j] = 1, 1
		}
	}
	return s, nil
}

// leastCapital keeps a capital above 0, from where it could not come back.
const leastCapital = 1e-280

// Add takes a value, which must be within the bounds.
func (s *BoundedSequence) Add(x float64) {
	s.total += x
	x = (x - s.low) / (s.high - s.low)
	n := float64(s.n + 1)
	// the bets are by what came before this value alone
	variance := (0.25 + s.moves) / n
	var stakes [len(horizons)]float64
	for j, h := range horizons {
		stakes[j] = math.Sqrt(2 * math.Log(2/s.level) / (variance * h))
	}
	out := 2 / s.level * float64(len(horizons)) // a capital in all
	for i := range s.means {
		m := &s.means[i]
		larger, smaller := 0.0, 0.0
		for j, stake := range stakes {
			m.larger[j] = max(leastCapital, m.larger[j]*(1+min(stake, 0.5/m.mean)*(x-m.mean)))
			m.smaller[j] = max(leastCapital, m.smaller[j]*(1-min(stake, 0.5/(1-m.mean))*(x-m.mean)))
			larger, smaller = larger+m.larger[j], smaller+m.smaller[j]
		}
		if larger >= out {
			s.from = max(s.from, m.mean)
		}
		if smaller >= out {
			s.to = min(s.to, m.mean)
		}
	}
	s.means = slices.DeleteFunc(s.means, func(m bets) bool { return m.mean < s.from || m.mean > s.to })
	s.n++
	s.sum += x
	from := x - (0.5+s.sum)/(n+1)
	s.moves += from * from
}

// Interval is the mean with its interval of the sequence's level. With a warning it has NaN for
// bounds: no mean of all values explains them.
func (s *BoundedSequence) Interval() Interval {
	out := Interval{Value: s.total / float64(s.n), N: s.n, Low: s.low + (s.high-s.low)*s.from, High: s.low + (s.high-s.low)*s.to}
	if s.from >= s.to {
		out.Low, out.High, out.Warning = math.NaN(), math.NaN(), "the mean has changed"
	}
	return out
}

// unskewed is the z of which Hall's transformation (1992) is far: z + az² + a²z³/3 + skew/6 with
// a = skew/3, where skew is that of a standardised mean. The transformed one is nearer to normal.
func unskewed(far, skew float64) float64 {
	a := skew / 3
	if math.Abs(a) < 1e-9 {
		return far
	}
	return (math.Cbrt(1+3*a*(far-skew/6)) - 1) / a
}
