package loadreport

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"

	"slimlab/lab/stat"
)

// Latency is what requests had of one latency, in seconds.
type Latency struct {
	Definition
	N               int
	Mean, Deviation float64 // of a sample
	Min, Max        float64
	Percentiles     []Percentile // P50, P90, P95, P99; none of an empty sample
	WithoutInterval string       // why the percentiles have no interval; "" where they have
	values          []float64    // sorted
}

// Percentile is one of a sample, by linear interpolation at rank p/100·(n−1), with its 95%
// bootstrap interval.
type Percentile struct {
	P                float64
	Value, Low, High float64
	Warning          string // why to take it with care
}

// At is the percentile p; NaN where there is none.
func (l *Latency) At(p float64) float64 {
	for _, q := range l.Percentiles {
		if q.P == p {
			return q.Value
		}
	}
	return math.NaN()
}

var percentiles = []float64{50, 90, 95, 99}

const (
	resamples  = 2000
	fewForP99  = 100
	mostGaps   = 250_000 // pooled values of which resamples of requests are drawn
	gapSamples = 400
)

// newLatency is of values of which each request has one.
func newLatency(id string, values []float64, seed uint64) Latency {
	l := begin(id, values)
	for i, p := range percentiles {
		if l.N == 0 {
			break
		}
		q := l.percentile(p)
		q.Low, q.High = bootstrap(l.values, p, rand.New(rand.NewPCG(seed, uint64(i))))
		l.Percentiles = append(l.Percentiles, q)
	}
	return l
}

func begin(id string, values []float64) Latency {
	l := Latency{Definition: definition(id), N: len(values), Mean: stat.Mean(values), Deviation: stat.Deviation(values)}
	l.values = slices.Sorted(slices.Values(values))
	if l.N > 0 {
		l.Min, l.Max = l.values[0], l.values[l.N-1]
	}
	return l
}

func (l *Latency) percentile(p float64) Percentile {
	q := Percentile{P: p, Value: interpolate(l.values, p), Low: math.NaN(), High: math.NaN()}
	if p == 99 && l.N < fewForP99 {
		q.Warning = fmt.Sprintf("P99 of %d samples", l.N)
	}
	return q
}

// interpolate is the percentile of sorted values.
func interpolate(sorted []float64, p float64) float64 {
	rank := p / 100 * float64(len(sorted)-1)
	low := int(rank)
	high := min(low+1, len(sorted)-1)
	return sorted[low] + (rank-float64(low))*(sorted[high]-sorted[low])
}

// bootstrap is the 95% percentile interval of a percentile of sorted values over resamples (Efron,
// Tibshirani 1993). The two order statistics of a resample between which the percentile lies are
// drawn as what they are: the values at two order statistics of n uniform ranks, of which the k-th
// is Beta(k, n−k+1) and the next the least of the n−k above it. So a resample costs two draws.
func bootstrap(sorted []float64, p float64, rng *rand.Rand) (low, high float64) {
	n := len(sorted)
	rank := p / 100 * float64(n-1)
	k := int(rank) + 1 // the lower of the two, from 1
	beta := distuv.Beta{Alpha: float64(k), Beta: float64(n - k + 1), Src: rng}
	at := func(u float64) float64 { return sorted[min(int(u*float64(n)), n-1)] }
	drawn := make([]float64, resamples)
	for i := range drawn {
		u := beta.Rand()
		drawn[i] = at(u)
		if k < n {
			next := u + (1-u)*(1-math.Pow(rng.Float64(), 1/float64(n-k)))
			drawn[i] += (rank - float64(k-1)) * (at(next) - drawn[i])
		}
	}
	slices.Sort(drawn)
	return interpolate(drawn, 2.5), interpolate(drawn, 97.5)
}

// newPooled is of values of which a request has several: [requests][values]. The intervals are over
// resamples of requests, since the values of one are alike.
func newPooled(id string, groups [][]float64, seed uint64) Latency {
	l := begin(id, slices.Concat(groups...))
	if l.N == 0 {
		return l
	}
	for _, p := range percentiles {
		l.Percentiles = append(l.Percentiles, l.percentile(p))
	}
	if l.N > mostGaps {
		l.WithoutInterval = fmt.Sprintf("intervals are over resamples of requests, and not drawn of more than %d values", mostGaps)
		return l
	}
	type member struct {
		value float64
		group int
	}
	members := make([]member, 0, l.N)
	for g, values := range groups {
		for _, v := range values {
			members = append(members, member{v, g})
		}
	}
	slices.SortFunc(members, func(a, b member) int { return cmp.Compare(a.value, b.value) })
	intervals := stat.Resample(len(groups), gapSamples, rand.New(rand.NewPCG(seed, 0)), func(count []float64) []float64 {
		total := 0.0
		for _, m := range members {
			total += count[m.group]
		}
		out := make([]float64, len(percentiles))
		seen, at := 0.0, 0 // values before members[at], each as often as its request was drawn
		value := func(rank float64) float64 {
			for at+1 < len(members) && seen+count[members[at].group] <= rank {
				seen += count[members[at].group]
				at++
			}
			return members[at].value
		}
		for i, p := range percentiles {
			rank := p / 100 * (total - 1)
			low := math.Floor(rank)
			out[i] = value(low)
			if rest := rank - low; rest > 0 {
				// the next percentile may begin before it
				back, backAt := seen, at
				out[i] += rest * (value(low+1) - out[i])
				seen, at = back, backAt
			}
			if total == 0 {
				out[i] = math.NaN()
			}
		}
		return out
	})
	for i := range l.Percentiles {
		l.Percentiles[i].Low, l.Percentiles[i].High = intervals[i].Low, intervals[i].High
	}
	return l
}
