package loadtest

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"slimlab/lab/loadreport"
)

// Bound is what a percentile of a latency must keep (a service level objective).
type Bound struct {
	ID     string  // loadreport.TTFT, TPOT or E2E
	P      float64 // percentile: 50, 90, 95 or 99
	Within time.Duration
}

// ParseBounds reads bounds such as ttft:p99:500ms,tpot:p50:20ms.
func ParseBounds(text string) (list []Bound, err error) {
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		fields := strings.Split(part, ":")
		bad := func(what string) error {
			return fmt.Errorf("found %q, %s, expected a latency (ttft, tpot, e2el), a percentile and a time, such as ttft:p99:500ms", part, what)
		}
		if len(fields) != 3 {
			return nil, bad(fmt.Sprintf("which has %d parts", len(fields)))
		}
		b := Bound{ID: fields[0]}
		if !slices.Contains([]string{loadreport.TTFT, loadreport.TPOT, loadreport.E2E}, b.ID) {
			return nil, bad("whose latency is none")
		}
		p, isPercentile := strings.CutPrefix(fields[1], "p")
		if b.P, err = strconv.ParseFloat(p, 64); err != nil || !isPercentile || !slices.Contains([]float64{50, 90, 95, 99}, b.P) {
			return nil, bad("whose percentile is none of p50, p90, p95 and p99")
		}
		if b.Within, err = time.ParseDuration(fields[2]); err != nil || b.Within <= 0 {
			return nil, bad("whose time is none")
		}
		list = append(list, b)
	}
	return list, nil
}

// String is the bound as ParseBounds reads it.
func (b Bound) String() string {
	return fmt.Sprintf("%s:p%s:%v", b.ID, strconv.FormatFloat(b.P, 'g', -1, 64), b.Within)
}

// Keeps reports whether a run kept all bounds: none of its requests failed, no queue grew, and each
// percentile is within. broken says what was not.
func Keeps(s *loadreport.Summary, bounds []Bound) (broken string) {
	switch {
	case s.Failed+s.Dropped > 0:
		return fmt.Sprintf("%d of %d requests were not answered", s.Failed+s.Dropped, s.Requests)
	case s.Has(loadreport.OverSaturated):
		return "more came than was answered"
	}
	for _, b := range bounds {
		at := s.Latency(b.ID).At(b.P)
		if math.IsNaN(at) {
			return fmt.Sprintf("no answer has a %s", b.ID)
		}
		if at > b.Within.Seconds() {
			return fmt.Sprintf("%s P%g is %v", b.ID, b.P, time.Duration(at*float64(time.Second)).Round(time.Microsecond))
		}
	}
	return ""
}

// Capacity is the largest rate of arrivals at which bounds are kept.
type Capacity struct {
	// Rate is the mean over seeds of the largest rate of each, Low and High the smallest and the
	// largest of them.
	Rate, Low, High float64
	Probes          []Probe
	At              []*loadreport.Summary // of each seed, at its rate
	// Never says what a request that has the target to itself does not keep; then all rates are 0.
	Never string
}

// Probe is a run of a search.
type Probe struct {
	Seed   uint64
	Rate   float64
	Broken string // what was not kept; "" where all was
}

// precision is the share by which the rate that was kept and the one that was not differ at the
// end.
const precision = 0.01

// mostProbes bounds the runs of a seed: a factor of 2 for each of the first, then halvings.
const mostProbes = 48

// FindCapacity searches for it, for each of a number of seeds from a first rate on: by doubling or
// halving until a rate was kept and another not, then by bisection of their logarithms. A seed's
// requests and the proportions of their gaps are the same at each rate. Of an arrival so many
// requests come together: where bounds are broken though no more are there at once, no rate keeps
// them.
func FindCapacity(ctx context.Context, first float64, together int, seeds []uint64, bounds []Bound, run func(ctx context.Context, rate float64, seed uint64) (*loadreport.Summary, error), told func(Probe)) (*Capacity, error) {
	c := &Capacity{Low: math.Inf(1)}
	for _, seed := range seeds {
		kept, summary, err := c.search(ctx, first, together, seed, bounds, run, told)
		if err != nil {
			return nil, err
		}
		if kept == 0 {
			return &Capacity{Probes: c.Probes, Never: c.Probes[len(c.Probes)-1].Broken}, nil
		}
		c.At = append(c.At, summary)
		c.Rate += kept / float64(len(seeds))
		c.Low, c.High = min(c.Low, kept), max(c.High, kept)
	}
	return c, nil
}

func (c *Capacity) search(ctx context.Context, rate float64, together int, seed uint64, bounds []Bound, run func(ctx context.Context, rate float64, seed uint64) (*loadreport.Summary, error), told func(Probe)) (kept float64, at *loadreport.Summary, err error) {
	lost := math.Inf(1)
	for range mostProbes {
		s, err := run(ctx, rate, seed)
		if err != nil {
			return 0, nil, err
		}
		p := Probe{Seed: seed, Rate: rate, Broken: Keeps(s, bounds)}
		c.Probes = append(c.Probes, p)
		if told != nil {
			told(p)
		}
		if p.Broken == "" {
			kept, at = rate, s
		} else {
			lost = rate
		}
		switch {
		case kept > 0 && lost/kept <= 1+precision:
			return kept, at, nil
		case kept == 0 && s.Figure(loadreport.PeakConcurrency) <= float64(together):
			return 0, nil, nil
		case kept == 0:
			rate = lost / 2
		case math.IsInf(lost, 1):
			rate = 2 * kept
		default:
			rate = math.Sqrt(kept * lost)
		}
	}
	if kept == 0 {
		return 0, nil, fmt.Errorf("capacity: at %.3g arrivals a second not kept: %s; expected bounds that are kept at some rate", rate, c.Probes[len(c.Probes)-1].Broken)
	}
	return 0, nil, fmt.Errorf("capacity: still kept at %.3g arrivals a second, with %d requests: expected more requests, so that a queue has time to grow", kept, at.Requests)
}
