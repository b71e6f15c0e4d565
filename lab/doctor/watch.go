package doctor

import (
	"context"
	"time"

	"slimlab/internal/process"
	"slimlab/kernels"
	"slimlab/kernels/machine"
	"slimlab/kernels/parallel"
)

// Watch observes the machine while something else is timed on it.
type Watch struct {
	pulse     pulse
	limits    limits
	stopwatch stopwatch
	threads   int
	others    *process.Watch
}

// Samples of a Watch: it may take tens of milliseconds, before and after what is timed.
const (
	watchSamples = 5
	watchLeast   = time.Millisecond
)

// NewWatch begins to observe, and takes the first samples of the state of the machine.
func NewWatch(ctx context.Context) *Watch {
	start := time.Now()
	w := &Watch{
		limits:    limits{loops: machine.Loops(kernels.Implementation())},
		stopwatch: stopwatch{ctx, func() time.Duration { return time.Since(start) }, watchSamples, watchLeast},
		threads:   parallel.Threads(),
		others:    process.Begin("slimlab"),
	}
	w.pulse.measure(&w.limits, &w.stopwatch, w.threads)
	return w
}

// End takes the last samples. It returns the state of the machine by the samples before and after,
// and how many other slimlab processes worked meanwhile. Where the system does not tell of
// processes, others is 0. What it returns after the end of the context has no meaning.
func (w *Watch) End() (state MachineState, others int) {
	w.pulse.measure(&w.limits, &w.stopwatch, w.threads)
	return w.pulse.assess(w.threads), w.others.Worked()
}
