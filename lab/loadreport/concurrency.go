package loadreport

import (
	"cmp"
	"math"
	"slices"
	"time"

	"slimlab/serve/load"
)

// Step is how many requests are in flight from a time on.
type Step struct {
	At time.Duration
	N  int
}

// concurrency is the requests in flight over time, by a sweep over their half-open intervals: one
// that ends when another is sent is not in flight beside it.
func concurrency(records []load.Record) []Step {
	type change struct {
		at time.Duration
		by int
	}
	var changes []change
	for i := range records {
		if r := &records[i]; !r.Dropped && r.End > r.Sent {
			changes = append(changes, change{r.Sent, 1}, change{r.End, -1})
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.by, b.by)) })
	var steps []Step
	n := 0
	for i, c := range changes {
		if n += c.by; i+1 == len(changes) || changes[i+1].at != c.at {
			steps = append(steps, Step{c.at, n})
		}
	}
	return steps
}

// peakOutput is the most tokens in one second counted from the start. Without the times of chunks
// an answer's tokens are taken to be even between its first and its last; even is true then.
func peakOutput(records []load.Record) (peak float64, even bool) {
	buckets := map[int64]float64{}
	for i := range records {
		r := &records[i]
		if r.Dropped || r.Err != nil || r.Tokens == 0 {
			continue
		}
		if n := len(r.Chunks); n > 0 {
			for _, at := range r.Chunks {
				buckets[int64(at/time.Second)] += float64(r.Tokens) / float64(n)
			}
			continue
		}
		even = even || r.Tokens > 1
		for k := range r.Tokens {
			at := r.First + time.Duration(float64(r.End-r.First)*float64(k)/float64(max(1, r.Tokens-1)))
			buckets[int64(at/time.Second)]++
		}
	}
	for _, n := range buckets {
		peak = max(peak, n)
	}
	return peak, even
}

// growth is how a run goes on: more in flight and longer latencies the later, or not.
type growth struct {
	concurrency float64 // slope, in arrivals
	ttft        float64 // slope, seconds a second
	grows       bool    // see saturated
}

// A run is over-saturated where more comes than is answered: the requests in flight grow by more
// than saturatedShare of what comes, latencies by more than saturatedShare of the time, and the
// median latency of the last third of requests is more than saturatedTimes that of the first. The
// slopes alone would take a stall near the end for it, the medians alone a server that warms up.
const (
	saturatedShare = 0.03
	saturatedTimes = 2
)

func growthOf(records []load.Record, steps []Step) growth {
	var answered []*load.Record
	for i := range records {
		if r := &records[i]; !r.Dropped && r.Err == nil {
			answered = append(answered, r)
		}
	}
	slices.SortStableFunc(answered, func(a, b *load.Record) int { return cmp.Compare(a.Scheduled, b.Scheduled) })
	n := len(answered)
	if n < 3 || answered[n-1].Scheduled == answered[0].Scheduled {
		return growth{}
	}
	at, ttft, e2e, inFlight := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	for i, r := range answered {
		at[i] = r.Scheduled.Seconds()
		ttft[i], e2e[i] = (r.First - r.Scheduled).Seconds(), (r.End - r.Scheduled).Seconds()
		if k, found := slices.BinarySearchFunc(steps, r.Sent, func(s Step, t time.Duration) int { return cmp.Compare(s.At, t) }); found {
			inFlight[i] = float64(steps[k].N)
		} else if k > 0 {
			inFlight[i] = float64(steps[k-1].N)
		}
	}
	rate := float64(n-1) / (at[n-1] - at[0])
	g := growth{concurrency: slope(at, inFlight) / rate, ttft: slope(at, ttft)}
	third := n / 3
	before, after := median(e2e[:third]), median(e2e[n-third:])
	g.grows = g.concurrency > saturatedShare && max(g.ttft, slope(at, e2e)) > saturatedShare && after > saturatedTimes*before
	return g
}

func median(x []float64) float64 { return interpolate(slices.Sorted(slices.Values(x)), 50) }

// slope is that of the least-squares line of y by x; 0 of values without one.
func slope(x, y []float64) float64 {
	mx, my := 0.0, 0.0
	for i := range x {
		mx += x[i] / float64(len(x))
		my += y[i] / float64(len(x))
	}
	above, below := 0.0, 0.0
	for i := range x {
		above += (x[i] - mx) * (y[i] - my)
		below += (x[i] - mx) * (x[i] - mx)
	}
	if s := above / below; !math.IsNaN(s) {
		return s
	}
	return 0
}
