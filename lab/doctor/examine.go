package doctor

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"slimlab/internal/plural"
	"slimlab/kernels"
	"slimlab/kernels/machine"
	"slimlab/kernels/parallel"
)

// Options are how to examine.
type Options struct {
	Version string // of the program, for the report
	// that kernels are measured with, beside one; 0 is one for each logical processor
	Threads  int
	Quick    bool // fewer sizes and samples
	Progress func(text string)

	stopwatch *stopwatch
	sizes     *sizes
	buffer    int // bytes that memory is read from
}

func (o *Options) complete(ctx context.Context) {
	if o.Threads == 0 {
		o.Threads = runtime.NumCPU()
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	if o.buffer == 0 {
		o.buffer = bufferSize(machine.ThisCPU().L3, o.Threads)
	}
	if o.stopwatch == nil {
		start := time.Now()
		o.stopwatch = &stopwatch{ctx, func() time.Duration { return time.Since(start) }, 7, 4 * time.Millisecond}
		if o.Quick {
			o.stopwatch.samples, o.stopwatch.least = 5, 2*time.Millisecond
		}
	}
	if o.sizes == nil {
		o.sizes = &fullSizes
		if o.Quick {
			quick := quickSizes()
			o.sizes = &quick
		}
	}
}

// Examine measures the machine's peaks and each kernel beside them, in about a minute on two cores.
// It needs the machine for itself, and some 2.5 GB of memory. The error is that of a ctx that
// ended.
func Examine(ctx context.Context, o Options) (*Diagnosis, error) {
	o.complete(ctx)
	defer parallel.SetThreads(o.Threads)()
	e, err := newExamination(ctx, o)
	if err != nil {
		return nil, err
	}
	for _, f := range o.sizes.families(o.Threads) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		o.Progress(f.name)
		if err := e.family(ctx, f); err != nil {
			return nil, err
		}
		e.generator = generator{draws: e.generator.draws}
		debug.FreeOSMemory() // else weights of half a GB would pile up
	}
	return e.finish(ctx)
}

// examination is the state of measuring.
type examination struct {
	Options
	limits    *limits
	pulse     pulse
	report    *Diagnosis
	generator generator
}

// newExamination measures the peaks.
func newExamination(ctx context.Context, o Options) (*examination, error) {
	cpu := machine.ThisCPU()
	o.Progress("peaks")
	buffer, err := machine.NewReadBuffer(ctx, o.buffer)
	if err != nil {
		return nil, err
	}
	e := &examination{Options: o, limits: &limits{cpu, machine.Loops(kernels.Implementation()), buffer}, report: &Diagnosis{Version: o.Version, Machine: newMachine(cpu, o.Threads)}}
	e.pulse.measure(e.limits, o.stopwatch, o.Threads)
	e.report.Peaks = e.limits.peaks(o.stopwatch, o.Threads)
	return e, ctx.Err()
}

func (e *examination) finish(ctx context.Context) (*Diagnosis, error) {
	e.pulse.measure(e.limits, e.stopwatch, e.Threads)
	e.report.State = e.pulse.assess(e.Threads)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return e.report, nil
}

func newMachine(c machine.CPU, threads int) Machine {
	names := kernels.Implementations()
	m := Machine{
		Vendor: c.Vendor, CPU: c.Name, Family: c.Family, Model: c.Model, Stepping: c.Stepping, System: runtime.GOOS + "/" + runtime.GOARCH,
		Features: c.Features, CPUs: c.Threads, L1: c.L1, L2: c.L2, L3: c.L3,
		Threads: threads, Implementation: kernels.Implementation(), Implementations: names,
	}
	fastest := names[len(names)-1]
	switch {
	case len(names) == 1:
		m.Reason = "the only one of this build on this CPU"
	case m.Implementation == fastest:
		m.Reason = "the fastest that this CPU runs"
	default:
		m.Reason = fmt.Sprintf("asked for by SLIMLAB_KERNELS=%s, though this CPU runs %s", os.Getenv("SLIMLAB_KERNELS"), fastest)
	}
	return m
}

// tooLong is the time of a call above which a case is left out: the reference kernels take minutes
// for what others do in a moment.
func (e *examination) tooLong() time.Duration {
	if e.Quick {
		return 100 * time.Millisecond
	}
	return 500 * time.Millisecond
}

// family measures the cases of a family on one thread and on all.
func (e *examination) family(ctx context.Context, f family) error {
	for _, c := range f.make(&e.generator) {
		k := Kernel{Name: c.name, Format: c.format, Shape: c.shape, Rows: c.rows, Operations: c.operations, Bytes: c.bytes}
		for _, threads := range e.threads(c) {
			if err := ctx.Err(); err != nil {
				return err
			}
			if expected := c.operations / e.peak(c.arithmetic, threads); expected > e.tooLong().Seconds() {
				e.report.LeftOut = append(e.report.LeftOut, fmt.Sprintf("%s %s × %d on %s: it would take %.1f s a call at best", c.name, c.shape, c.rows, plural.Of(threads, "thread"), expected))
				continue
			}
			restore := parallel.SetThreads(threads)
			t, _ := e.limits.compare(e.stopwatch, func(times int) {
				for range times {
					c.run()
				}
			}, demand{c.arithmetic, c.operations, c.bytes, 1}, threads)
			restore()
			k.Timings = append(k.Timings, t)
		}
		if len(k.Timings) > 0 {
			e.report.Kernels = append(e.report.Kernels, k)
		}
	}
	return nil
}

// threads lists the numbers of threads for a case. To start and end a parallel region is of
// interest with several threads only.
func (e *examination) threads(c kernelCase) []int {
	if e.Threads == 1 || c.bytes == 0 && c.operations == 0 {
		return []int{e.Threads}
	}
	return []int{1, e.Threads}
}

// peak is the rate of a format's arithmetic as it was measured at the beginning.
func (e *examination) peak(format string, threads int) float64 {
	name := e.limits.loop(format).Format
	p := e.report.Peaks[slices.IndexFunc(e.report.Peaks, func(p Peak) bool { return p.Name == name })]
	if threads > 1 && p.All != nil {
		return p.All.Median
	}
	return p.One.Median
}
