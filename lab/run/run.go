package run

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sourcegraph/conc/panics"
	"github.com/sourcegraph/conc/pool"

	"slimlab/lab"
	"slimlab/lab/doctor"
	"slimlab/lab/home"
	"slimlab/lab/scenario"
	"slimlab/lab/store"
	"slimlab/pruning"
)

// Options say how to run a plan.
type Options struct {
	Fresh bool // make every artifact anew
	// Retime keeps the artifacts of models and of their quality, and serves each model anew: no
	// timing of serving is another run's. Fresh makes that and all else anew.
	Retime bool
	Jobs   int // cells at once; 0 is one a core
	// called for every event, one at a time, after it is in the log; may be nil
	Sink func(lab.Event)
	Now  func() time.Time
	// Observe begins to observe the machine around a timing; end says how it was. nil is
	// doctor.Watch.
	Observe func(ctx context.Context) (end func() (state doctor.MachineState, others int))
	// Timer measures the products that a budget of time chooses widths by; nil is this machine's.
	Timer pruning.Timer
	// Memory is what memory is free, in bytes, 0 where that is not known; nil asks the system.
	Memory func() int64
	// Sleep waits between two attempts to reach a teacher at a URL; nil is a timer.
	Sleep func(ctx context.Context, d time.Duration) error
}

// Outcome is how a run ended.
type Outcome struct {
	Run    string
	Board  *lab.Board
	State  lab.State
	Failed []string // expectations that did not hold
	// expectations that failed cells left without what they compare
	Unjudged int
}

// Run is a run in progress.
type Run struct {
	ID    string
	Board *lab.Board

	home     *home.Home
	machine  string // that measures the rows
	plan     *scenario.Plan
	options  Options
	log      logWriter
	unlogged []lab.Event // emitted before there was a log
	readOnly bool        // a Check: nothing is written
	started  time.Time
	mu       sync.Mutex // orders events
	logErr   error
	flushed  float64 // when the log was last flushed, seconds since the start
	stop     context.CancelFunc
	models   keyed[*artifactModel] // that are loaded, by name
	tasks    keyed[*dataset]
	asked    keyed[*questions]
	building keyedLocks
	built    sync.Map // keys of the artifacts that this run made
	noted    sync.Map // texts of noteOnce
	reported sync.Map // keys of the artifacts whose figures this run has already emitted
	// timing is held for reading while something computes, and for writing while a timing is taken.
	// No other lock is waited for while it is held.
	timing    sync.RWMutex
	computing atomic.Int32 // that hold timing for reading
	held      []func()     // release the artifacts that the plan loads; mu guards it
}

// hold keeps what release releases until the run ends.
func (r *Run) hold(release func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = append(r.held, release)
}

// letGo releases what is held.
func (r *Run) letGo() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, release := range r.held {
		release()
	}
	r.held = nil
}

// InputError is what Start returns where a plan cannot be worked on: a model or a file that is
// missing or does not fit, and nothing was begun. Work's error has one where a model has numbers
// that cannot be computed with.
type InputError struct{ Err error }

func (e InputError) Error() string { return e.Err.Error() }
func (e InputError) Unwrap() error { return e.Err }

// unkept is the error of a run that cannot write what it needs into its home.
func unkept(h *home.Home, err error) error {
	return fmt.Errorf("the run cannot be kept in the home %s, which SLIMLAB_HOME chooses: %w", h.Folder, err)
}

// Start opens what the plan needs (see InputError), then the run's log, and announces the plan. The
// caller then calls Work once.
func Start(ctx context.Context, h *home.Home, plan *scenario.Plan, o Options) (*Run, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if err := h.Check(); err != nil {
		return nil, InputError{err}
	}
	r := &Run{Board: lab.NewBoard(), home: h, plan: plan, options: o, started: o.Now()}
	planned, err := r.check(ctx)
	if err != nil {
		r.letGo()
		var write *store.WriteError
		switch {
		case ctx.Err() != nil:
			return nil, err
		case errors.As(err, &write):
			return nil, unkept(h, err)
		}
		return nil, InputError{err}
	}
	begin := plan.Begin()
	reuses(&begin, planned, o.Fresh)
	r.machine = home.Machine()
	now := o.Now()
	begin.Process = os.Getpid()
	begin.Host, _ = os.Hostname() // without it the process is named alone
	begin.Version, begin.Machine, begin.Started, begin.Nanoseconds = h.Version, r.machine, now.Unix(), int64(now.Nanosecond())
	log, err := createLog(h.Logs, &begin, now, rand.Uint64)
	if err != nil {
		return nil, unkept(h, err)
	}
	r.ID, r.log = begin.Run, log
	// the log begins with it already
	r.show(lab.Event{Kind: lab.KindBegin, Name: begin.Scenario, Begin: &begin})
	for _, e := range r.unlogged {
		r.emit(e)
	}
	if o.Retime && !slices.ContainsFunc(plan.Cells, func(c scenario.Cell) bool { return c.Point.Serve != nil }) {
		r.note("", lab.Info, "no timing is measured again: the scenario has no section serve")
	}
	return r, nil
}

// createLog begins a log under an id that no other run has: two that begin in one second can draw
// the same digits.
func createLog(logs *store.Store, begin *lab.Begin, now time.Time, random func() uint64) (log *store.Log, err error) {
	for range 10 {
		begin.Run = store.NewID(begin.Scenario, now, random())
		if log, err = logs.Create(*begin); !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	return log, err
}

// Work does the plan's cells and returns how the run ended. The error is nil when all cells were
// done, whether or not expectations held; it wraps ctx's error when the run was interrupted. The
// log is complete and closed in any case.
func (r *Run) Work(ctx context.Context) (Outcome, error) {
	defer r.letGo()
	ctx, r.stop = context.WithCancel(ctx)
	defer r.stop()
	rest := r.beat()
	workers := pool.New().WithMaxGoroutines(r.jobs())
	errs := make([]error, len(r.plan.Cells))
	for i := range r.plan.Cells {
		workers.Go(func() { errs[i] = r.cell(ctx, &r.plan.Cells[i]) })
	}
	workers.Wait()
	rest()
	out := Outcome{Run: r.ID, Board: r.Board, State: lab.Done}
	err := r.outcome(ctx, errs)
	switch {
	case err == nil:
		out.Failed, out.Unjudged = r.verdicts()
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		out.State = lab.Stopped
	default:
		out.State = lab.Failed
		if r.logErr == nil {
			out.Failed, out.Unjudged = r.verdicts()
		}
	}
	if err = r.end(out.State, err); err != nil && out.State == lab.Done {
		out.State = lab.Failed
	}
	return out, err
}

func (r *Run) jobs() int {
	if r.options.Jobs > 0 {
		return r.options.Jobs
	}
	return max(1, min(runtime.NumCPU(), len(r.plan.Cells)))
}

// outcome is the reason why the run ended badly: its log could not be written, it was interrupted,
// or cells failed.
func (r *Run) outcome(ctx context.Context, errs []error) error {
	if r.logErr != nil {
		return r.logErr
	}
	var causes []*failure
	for i, err := range errs {
		switch id := r.plan.Cells[i].ID; {
		case err == nil:
		case ctx.Err() != nil && errors.Is(err, ctx.Err()):
			return ctx.Err()
		default:
			at := slices.IndexFunc(causes, func(f *failure) bool { return f.err.Error() == err.Error() })
			if at < 0 {
				at = len(causes)
				causes = append(causes, &failure{err: err})
			}
			causes[at].cells = append(causes[at].cells, id)
		}
	}
	var all []error
	for _, f := range causes {
		all = append(all, f)
	}
	return errors.Join(all...)
}

// failure is why cells failed: a line for each cause.
type failure struct {
	err   error
	cells []string
}

func (f *failure) Error() string {
	if len(f.cells) == 1 {
		return fmt.Sprintf("cell %s: %v", f.cells[0], f.err)
	}
	return fmt.Sprintf("%d cells: %v (%s)", len(f.cells), f.err, strings.Join(f.cells, ", "))
}

func (f *failure) Unwrap() error { return f.err }

// cell works on one cell and reports its state.
func (r *Run) cell(ctx context.Context, c *scenario.Cell) error {
	state := func(s lab.State, text string) {
		r.emit(lab.Event{Kind: lab.KindCell, Cell: c.ID, State: s, Text: text})
	}
	if ctx.Err() != nil {
		state(lab.Stopped, "")
		return ctx.Err()
	}
	var err error
	w := &worker{run: r, cell: c}
	if p := panics.Try(func() { err = w.work(ctx) }); p != nil {
		err = fmt.Errorf("step %s: panic: %v (%s)", w.stage, p.Value, where(p.Callers))
	}
	switch {
	case err == nil:
		state(lab.Done, "")
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		state(lab.Stopped, "")
	default:
		r.note(c.ID, lab.Error, err.Error())
		state(lab.Failed, err.Error())
	}
	return err
}

// verdicts judges the expectations on the finished Board and returns those that do not hold, and
// how many cannot be judged.
func (r *Run) verdicts() (failed []string, unjudged int) {
	view := r.Board.Snapshot()
	for _, event := range r.plan.Scenario.Verdicts(view) {
		switch {
		case event.Unjudged:
			unjudged++
		case !event.Held:
			failed = append(failed, event.Name)
		}
		r.emit(event)
	}
	return failed, unjudged
}

// where names the places of this program that a panic went through, the innermost first.
func where(callers []uintptr) string {
	var places []string
	for frames := runtime.CallersFrames(callers); len(places) < 6; {
		f, more := frames.Next()
		if strings.HasPrefix(f.Function, "slimlab/") {
			places = append(places, fmt.Sprintf("%s:%d", path.Base(f.File), f.Line))
		}
		if !more {
			break
		}
	}
	return strings.Join(places, " < ")
}
