package doctor

import (
	"context"
	"slices"
	"time"
)

// stopwatch measures. When ctx has ended it does no more work, and what it returns has no meaning.
type stopwatch struct {
	ctx     context.Context
	now     func() time.Duration // since some moment
	samples int                  // of each quantity
	least   time.Duration        // that a sample takes
}

// work is something to measure: it does it so many times over.
type work func(times int)

// interleave measures the seconds that each work takes once. The samples of all works are
// interleaved, so that what slows the machine slows all of them. Before each sample the work is
// done once untimed, for what it reads to be in the caches that hold it; work that takes a whole
// sample is not.
func (s *stopwatch) interleave(works ...work) [][]float64 {
	times := make([]int, len(works))
	for i, w := range works {
		times[i] = s.calibrate(w)
	}
	seconds := make([][]float64, len(works))
	for range s.samples {
		for i, w := range works {
			if s.ctx.Err() != nil {
				seconds[i] = append(seconds[i], 1)
				continue
			}
			if times[i] > 1 {
				w(1)
			}
			start := s.now()
			w(times[i])
			seconds[i] = append(seconds[i], (s.now()-start).Seconds()/float64(times[i]))
		}
	}
	return seconds
}

// calibrate returns how many times fill a sample.
func (s *stopwatch) calibrate(w work) int {
	times := 1
	for s.ctx.Err() == nil {
		start := s.now()
		w(times)
		took := s.now() - start
		if took >= s.least {
			return times
		}
		times *= int(min(max(s.least/max(took, 1)+1, 2), 100))
	}
	return times
}

// newSample is the spread of values, of which there is at least one.
func newSample(values []float64) Sample {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return Sample{(v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1], n}
}

// rates turns seconds for an amount of work into amounts per second.
func rates(seconds []float64, amount float64) []float64 {
	r := make([]float64, len(seconds))
	for i, s := range seconds {
		r[i] = amount / s
	}
	return r
}
