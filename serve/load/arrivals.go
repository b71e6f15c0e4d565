package load

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"gonum.org/v1/gonum/stat/distuv"
)

// Arrivals says when the arrivals of a workload come: a Process, a Schedule, AtOnce or Closed.
type Arrivals interface{ arrivals() }

func (Process) arrivals()  {}
func (Schedule) arrivals() {}
func (AtOnce) arrivals()   {}
func (Closed) arrivals()   {}

// begins draws the times of n arrivals; users, where there are any, bring them in turn instead.
func begins(a Arrivals, n int) (times Schedule, users int, err error) {
	switch a := a.(type) {
	case Process:
		times, err = a.Schedule(n)
	case Schedule:
		times, err = a, a.check(n)
	case AtOnce:
		times = make(Schedule, n)
	case Closed:
		if users = a.Users; users < 1 {
			err = fmt.Errorf("load: found %d users, expected at least 1", users)
		}
	default:
		err = fmt.Errorf("load: found arrivals %v, expected a Process, a Schedule, AtOnce or Closed", a)
	}
	return times, users, err
}

// Schedule holds the times at which arrivals come, from the start of a run, ascending: those of a
// trace.
type Schedule []time.Duration

func (s Schedule) check(n int) error {
	if len(s) != n {
		return fmt.Errorf("load: found the times of %d arrivals, expected %d", len(s), n)
	}
	for i, at := range s {
		if at < 0 || i > 0 && at < s[i-1] {
			return fmt.Errorf("load: arrival %d comes after %v, expected at least 0 and not before the one before it", i, at)
		}
	}
	return nil
}

// AtOnce has all arrivals come at the start: it measures throughput, and its latencies are those of
// the queue.
type AtOnce struct{}

// Closed is a closed loop: so many users, each of whom brings an arrival when the one before is
// answered. A server that stalls holds its users up too, who then ask less, so that its latencies
// are better than those of people who do not wait for each other (coordinated omission).
type Closed struct{ Users int }

// Process is an open loop: a process by which arrivals come, whatever the server does.
type Process struct {
	Rate float64 // arrivals a second, on average
	// To is the rate at which a ramp ends, 0 of none: over its length the rate goes from Rate to To
	// evenly, or with Exponential by an even factor. The length is that in which as many arrivals
	// are expected as there are.
	To          float64
	Exponential bool
	// Burstiness is the shape of the gamma distribution of the gaps, whose squared coefficient of
	// variation is its inverse: 1 is a Poisson process, less comes in bursts, +Inf has equal gaps.
	// Gaps of a ramp are so in terms of the arrivals expected between.
	Burstiness float64
	Seed       uint64 // of the gaps
}

// Schedule draws the times of n arrivals, of which the first comes at once. The gaps are summed
// before they are rounded to nanoseconds, so that the rounding does not add up.
func (p Process) Schedule(n int) (Schedule, error) {
	switch {
	case n < 1:
		return nil, fmt.Errorf("load: found %d requests, expected at least 1", n)
	case !(p.Rate > 0) || math.IsInf(p.Rate, 1):
		return nil, fmt.Errorf("load: found a rate of %v requests a second, expected a number above 0", p.Rate)
	case !(p.To >= 0) || math.IsInf(p.To, 1):
		return nil, fmt.Errorf("load: found a ramp to %v requests a second, expected a number above 0, or 0 for none", p.To)
	case !(p.Burstiness > 0):
		return nil, fmt.Errorf("load: found a burstiness of %v, expected a number above 0, or +Inf for equal gaps", p.Burstiness)
	}
	gap := func() float64 { return 1 }
	if !math.IsInf(p.Burstiness, 1) {
		gap = distuv.Gamma{Alpha: p.Burstiness, Beta: p.Burstiness, Src: rand.NewPCG(p.Seed, gapStream)}.Rand
	}
	when := p.inverse(float64(n))
	schedule := make(Schedule, n)
	expected := 0.0 // arrivals until the time of the i-th
	for i := 1; i < n; i++ {
		expected += gap()
		at := when(expected)
		if !(at <= maxSeconds) {
			return nil, fmt.Errorf("load: request %d of %d at %v requests a second would be sent after %.3g s, expected at most %.3g s: lower the number or raise the rate", i, n, p.Rate, at, maxSeconds)
		}
		schedule[i] = time.Duration(math.Round(at * float64(time.Second)))
	}
	return schedule, nil
}

// inverse gives the time in seconds until which so many arrivals are expected: with a unit process
// in its argument it is the process of the rate (Çinlar 1975, 7.4). After the ramp's end, at n, the
// rate stays as it is there.
func (p Process) inverse(n float64) func(expected float64) float64 {
	from, to := p.Rate, p.To
	if to == 0 || to == from {
		return func(x float64) float64 { return x / from }
	}
	var length float64
	var ramp func(x float64) float64
	if p.Exponential {
		// rate a·e^(ct) with c = ln(b/a)/D; expected (a/c)(e^(ct) − 1), n of them at D =
		// n·ln(b/a)/(b−a)
		length = n * math.Log(to/from) / (to - from)
		c := math.Log(to/from) / length
		ramp = func(x float64) float64 { return math.Log1p(x*c/from) / c }
	} else {
		// rate a + gt with g = (b−a)/D; expected at + gt²/2, n of them at D = 2n/(a+b)
		length = 2 * n / (from + to)
		g := (to - from) / length
		// the root in the form that does not cancel
		ramp = func(x float64) float64 { return 2 * x / (from + math.Sqrt(max(0, from*from+2*g*x))) }
	}
	return func(x float64) float64 {
		if x <= n {
			return ramp(x)
		}
		return length + (x-n)/to
	}
}

// maxSeconds is the longest schedule: 10 years, which a time.Duration holds.
const maxSeconds = 10 * 365 * 24 * 3600.0
