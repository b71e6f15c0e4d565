package doctor

import (
	"fmt"

	"slimlab/internal/plural"
	"slimlab/kernels/machine"
)

// MachineState says whether the machine gave all that it has while it was measured.
type MachineState struct {
	Verdict  Condition `json:"verdict"`
	Findings []string  `json:"findings,omitempty"` // reasons, as sentences
	// all threads' float32 peak over one thread's: the number of cores whose work they do
	Delivered float64 `json:"delivered,omitempty"`
	Clock     *Sample `json:"clock,omitempty"` // hertz of one busy core
	PerCycle  float64 `json:"operations_per_cycle,omitempty"`
}

// Condition is the worst that was found.
type Condition string

const (
	Steady Condition = "steady"
	// cores are worked on by others too, or are threads of one core
	Shared    Condition = "shared"
	Throttled Condition = "throttled" // the clock stays below what it reaches at times
)

// pulse is what the state is read from: samples of the clock in hertz (none where it cannot be had)
// and of the float32 peak in operations per second, by one thread and by all (none where there is
// one).
type pulse struct{ clock, one, all []float64 }

// measure takes samples and adds them to p: at the beginning and at the end, since a machine may
// change meanwhile.
func (p *pulse) measure(l *limits, s *stopwatch, threads int) {
	one, operations := compute(&l.loops[0], 1)
	works := []work{one}
	if threads > 1 {
		all, _ := compute(&l.loops[0], threads)
		works = append(works, all)
	}
	cycles, hasClock := machine.CycleLoop()
	const cycleRounds = 1 << 14
	if hasClock {
		works = append(works, func(times int) { cycles.Run(1, times*cycleRounds) })
	}
	seconds := s.interleave(works...)
	p.one = append(p.one, rates(seconds[0], operations)...)
	if threads > 1 {
		p.all = append(p.all, rates(seconds[1], operations*float64(threads))...)
	}
	if hasClock {
		p.clock = append(p.clock, rates(seconds[len(seconds)-1], float64(cycles.Operations)*cycleRounds)...)
	}
}

// What a steady machine may show: a shared one varies by some per cent.
const (
	fullDelivery = 0.8  // of what as many cores as threads would deliver
	steadyClock  = 0.93 // median over maximum
	steadyPeak   = 0.8  // median over maximum of one thread's peak, its clock being steady
)

// assess derives the state from the samples.
func (p *pulse) assess(threads int) MachineState {
	s := MachineState{Verdict: Steady}
	one := newSample(p.one)
	find := func(v Condition, format string, args ...any) {
		s.Findings = append(s.Findings, fmt.Sprintf(format, args...))
		if s.Verdict == Steady {
			s.Verdict = v
		}
	}
	if len(p.clock) > 0 {
		clock := newSample(p.clock)
		s.Clock, s.PerCycle = &clock, one.Max/clock.Max
		if clock.Median < steadyClock*clock.Max {
			find(Throttled, "the clock is %.2f GHz, at best it was %.2f", clock.Median/1e9, clock.Max/1e9)
		}
	}
	if len(p.all) > 0 {
		all := newSample(p.all)
		s.Delivered = all.Median / one.Median
		if s.Delivered < fullDelivery*float64(threads) {
			find(Shared, "%s %s the work of %.1f (at best %.1f)", plural.Of(threads, "thread"), plural.Words(threads, "delivers", "deliver"), s.Delivered, all.Max/one.Median)
		}
	}
	if s.Verdict != Throttled && one.Median < steadyPeak*one.Max {
		find(Shared, "one thread delivers %.0f%% of what it did at best, with its clock as it was", 100*one.Median/one.Max)
	}
	return s
}
