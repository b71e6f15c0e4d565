package load

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"gonum.org/v1/gonum/stat/distuv"
)

// Schedule holds the times at which requests are sent, from the start of a run, ascending.
type Schedule []time.Duration

// Arrivals is a process by which requests arrive, whatever the server does.
type Arrivals struct {
	Rate float64 // requests a second, on average
	// Burstiness is the shape of the gamma distribution of the gaps, whose squared coefficient of
	// variation is its inverse: 1 is a Poisson process, less comes in bursts, +Inf has equal gaps.
	Burstiness float64
	Seed       uint64 // of the gaps
}

// Schedule draws the times of n requests, of which the first is sent at once. The gaps are
// summed before they are rounded to nanoseconds, so that the rounding does not add up.
func (a Arrivals) Schedule(n int) (Schedule, error) {
	switch {
	case n < 1:
		return nil, fmt.Errorf("load: found %d requests, expected at least 1", n)
	case !(a.Rate > 0) || math.IsInf(a.Rate, 1):
		return nil, fmt.Errorf("load: found a rate of %v requests a second, expected a number above 0", a.Rate)
	case !(a.Burstiness > 0):
		return nil, fmt.Errorf("load: found a burstiness of %v, expected a number above 0, or +Inf for equal gaps", a.Burstiness)
	}
	gap := func() float64 { return 1 / a.Rate }
	if !math.IsInf(a.Burstiness, 1) {
		gap = distuv.Gamma{Alpha: a.Burstiness, Beta: a.Rate * a.Burstiness, Src: rand.NewPCG(a.Seed, gapStream)}.Rand
	}
	schedule := make(Schedule, n)
	at := 0.0
	for i := 1; i < n; i++ {
		if at += gap(); at > maxSeconds {
			return nil, fmt.Errorf("load: request %d of %d at %v requests a second would be sent after %.3g s, expected at most %.3g s: lower the number or raise the rate", i, n, a.Rate, at, maxSeconds)
		}
		schedule[i] = time.Duration(math.Round(at * float64(time.Second)))
	}
	return schedule, nil
}

// maxSeconds is the longest schedule: 10 years, which a time.Duration holds.
const maxSeconds = 10 * 365 * 24 * 3600.0

// Streams of random numbers of one seed.
const (
	gapStream = iota
	pickStream
	prefixStream
	suffixStream
)
