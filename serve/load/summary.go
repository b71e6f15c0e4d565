package load

import (
	"slices"
	"time"
)

// Summary is what a run of an open loop came to. Each request was answered, or failed, or was
// dropped.
type Summary struct {
	Requests, Answered, Failed, Dropped int
	Duration                            time.Duration // until the last has ended
	PromptTokens, CachedTokens, Tokens  int           // of those answered

	// Of those answered, from the time for which each was scheduled: what it waited for its turn to
	// be sent is waited too, as it is by whoever asks.
	First, Latency Quantiles
	// Service is from when each was sent, which hides what the generator was late.
	Service Quantiles
	Lag     Quantiles // by how much those sent were late

	// Late says that the generator did not keep to its schedule: the lag at P99 is more than 10% of
	// the median time to the first token. Its other figures are not the server's alone then.
	Late bool
	// Saturated says that more came than was answered, so that the latencies are those of a run of
	// this length and grow with it: requests were dropped, or from the first third of those
	// answered to the last the median latency has doubled and has grown by more than 5% of the time
	// between them, which is how it grows where arrivals are 5% above capacity.
	Saturated bool
}

// Quantiles are of a sample, by linear interpolation at rank p·(n−1); 0 of an empty one. P99 of
// fewer than 100 lies between its two largest.
type Quantiles struct{ P50, P90, P99, Max time.Duration }

const (
	lateShare      = 0.1
	saturatedShare = 0.05
)

// Summarize computes a summary of records in the order of their schedule.
func Summarize(records []Record) Summary {
	s := Summary{Requests: len(records)}
	var first, latency, service, lag, scheduled []time.Duration
	for _, r := range records {
		if r.Dropped {
			s.Dropped++
			continue
		}
		s.Duration = max(s.Duration, r.End)
		lag = append(lag, r.Sent-r.Scheduled)
		if r.Err != nil {
			s.Failed++
			continue
		}
		s.Answered++
		s.PromptTokens += r.Prompt
		s.CachedTokens += r.Cached
		s.Tokens += r.Tokens
		scheduled = append(scheduled, r.Scheduled)
		first = append(first, r.First-r.Scheduled)
		latency = append(latency, r.End-r.Scheduled)
		service = append(service, r.End-r.Sent)
	}
	s.Saturated = s.Dropped > 0 || grows(scheduled, latency)
	s.First, s.Latency, s.Service, s.Lag = quantiles(first), quantiles(latency), quantiles(service), quantiles(lag)
	s.Late = s.Answered > 0 && float64(s.Lag.P99) > lateShare*float64(s.First.P50)
	return s
}

// grows reports whether latencies grow with the time at which requests come. It compares medians,
// which a stall shorter than a sixth of the run does not move.
func grows(scheduled, latency []time.Duration) bool {
	third := len(latency) / 3
	if third == 0 {
		return false
	}
	last := len(latency) - third
	before, after := quantiles(latency[:third]).P50, quantiles(latency[last:]).P50
	between := quantiles(scheduled[last:]).P50 - quantiles(scheduled[:third]).P50
	return after > 2*before && float64(after-before) > saturatedShare*float64(between)
}

func quantiles(x []time.Duration) Quantiles {
	if len(x) == 0 {
		return Quantiles{}
	}
	sorted := slices.Sorted(slices.Values(x))
	at := func(p float64) time.Duration {
		rank := p * float64(len(sorted)-1)
		low := int(rank)
		high := min(low+1, len(sorted)-1)
		return sorted[low] + time.Duration((rank-float64(low))*float64(sorted[high]-sorted[low]))
	}
	return Quantiles{at(0.5), at(0.9), at(0.99), sorted[len(sorted)-1]}
}
