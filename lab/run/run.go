package run

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/sourcegraph/conc/panics"
	"github.com/sourcegraph/conc/pool"

	"slimlab/lab"
	"slimlab/lab/scenario"
	"slimlab/lab/store"
)

// Options say how to run a plan.
type Options struct {
	Fresh bool            // make every artifact anew
	Jobs  int             // cells at once; 0 is one a core
	Sink  func(lab.Event) // called for every event, one at a time, after it is in the log; may be nil
	Now   func() time.Time
}

// Outcome is how a run ended.
type Outcome struct {
	Run    string
	Board  *lab.Board
	State  lab.State
	Failed []string // expectations that did not hold
}

// Run is a run in progress.
type Run struct {
	ID    string
	Board *lab.Board

	lab      *Lab
	plan     *scenario.Plan
	options  Options
	log      logWriter
	early    []lab.Event // emitted before there was a log
	started  time.Time
	mu       sync.Mutex // orders events
	logErr   error
	flushed  float64 // when the log was last flushed, seconds since the start
	stop     context.CancelFunc
	tasks    keyed[*dataset]
	building keyedLocks
	made     sync.Map // keys of the artifacts that this run made
	// quiet is held for reading by whoever computes, and for writing while a timing is taken.
	quiet sync.RWMutex
}

// logWriter is what a run needs of its log.
type logWriter interface {
	Append(lab.Event) error
	Flush() error
	Close() error
}

// InputError is what Start returns where a plan cannot be worked on: a model or a file that is missing or does not fit. Nothing was begun.
type InputError struct{ Err error }

func (e InputError) Error() string { return e.Err.Error() }
func (e InputError) Unwrap() error { return e.Err }

// Start opens what the plan needs (see InputError), then the run's log, and announces the plan. The caller then calls Work once.
func (l *Lab) Start(plan *scenario.Plan, o Options) (*Run, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &Run{Board: lab.NewBoard(), lab: l, plan: plan, options: o, started: o.Now()}
	if _, err := r.check(); err != nil {
		return nil, InputError{err}
	}
	begin := plan.Begin()
	begin.Version, begin.Machine, begin.Started = l.Version, Machine(), o.Now().Unix()
	begin.Run = store.NewID(begin.Scenario, o.Now(), rand.Uint64())
	log, err := l.logs.Create(begin)
	if err != nil {
		return nil, err
	}
	r.ID, r.log = begin.Run, log
	r.show(lab.Event{Kind: lab.KindBegin, Name: begin.Scenario, Begin: &begin}) // the log begins with it already
	for _, e := range r.early {
		r.emit(e)
	}
	return r, nil
}

// Work does the plan's cells and returns how the run ended. The error is nil when all cells were done, whether or not expectations
// held; it wraps ctx's error when the run was interrupted. The log is complete and closed in any case.
func (r *Run) Work(ctx context.Context) (Outcome, error) {
	ctx, r.stop = context.WithCancel(ctx)
	defer r.stop()
	workers := pool.New().WithMaxGoroutines(r.jobs())
	errs := make([]error, len(r.plan.Cells))
	for i := range r.plan.Cells {
		workers.Go(func() { errs[i] = r.cell(ctx, &r.plan.Cells[i]) })
	}
	workers.Wait()
	out := Outcome{Run: r.ID, Board: r.Board, State: lab.Done}
	err := r.firstError(ctx, errs)
	switch {
	case errors.Is(err, context.Canceled):
		out.State = lab.Cancelled
	case err != nil:
		out.State = lab.Failed
	}
	if out.State == lab.Done {
		out.Failed = r.verdicts()
	}
	end := lab.Event{Kind: lab.KindEnd, State: out.State}
	if err != nil {
		end.Text = err.Error()
	}
	r.emit(end)
	if closeErr := r.log.Close(); err == nil && closeErr != nil {
		err = closeErr
	}
	return out, err
}

func (r *Run) jobs() int {
	if r.options.Jobs > 0 {
		return r.options.Jobs
	}
	return max(1, min(runtime.NumCPU(), len(r.plan.Cells)))
}

// firstError is the reason why the run ended badly: its log could not be written, it was interrupted, or cells failed.
func (r *Run) firstError(ctx context.Context, errs []error) error {
	if r.logErr != nil {
		return r.logErr
	}
	failed, first := 0, error(nil)
	for i, err := range errs {
		if err == nil || errors.Is(err, context.Canceled) {
			continue
		}
		if failed++; first == nil {
			first = fmt.Errorf("cell %s: %w", r.plan.Cells[i].ID, err)
		}
	}
	if first != nil {
		if failed > 1 {
			return fmt.Errorf("%w (and %d more cells)", first, failed-1)
		}
		return first
	}
	return ctx.Err()
}

// cell works on one cell and reports its state.
func (r *Run) cell(ctx context.Context, c *scenario.Cell) error {
	state := func(s lab.State, text string) {
		r.emit(lab.Event{Kind: lab.KindCell, Cell: c.ID, State: s, Text: text})
	}
	if ctx.Err() != nil {
		state(lab.Cancelled, "")
		return ctx.Err()
	}
	var err error
	w := &worker{run: r, cell: c, models: map[string]*artifactModel{}}
	if p := panics.Try(func() { err = w.work(ctx) }); p != nil {
		err = fmt.Errorf("step %s: %w", w.stage, p.AsError())
	}
	switch {
	case err == nil:
		state(lab.Done, "")
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		state(lab.Cancelled, "")
	default:
		r.note(c.ID, lab.Error, err.Error())
		state(lab.Failed, err.Error())
	}
	return err
}

// verdicts judges the expectations on the finished Board and returns those that do not hold.
func (r *Run) verdicts() (failed []string) {
	view := r.Board.Snapshot()
	for _, event := range r.plan.Scenario.Verdicts(view) {
		if !event.Held {
			failed = append(failed, event.Name)
		}
		r.emit(event)
	}
	return failed
}

// emit stamps an event, writes it to the log and folds it. When the log can no longer be written the run stops: what it would go on to do
// could not be seen by anyone.
func (r *Run) emit(e lab.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.log == nil {
		r.early = append(r.early, e)
		return
	}
	e.Time = r.options.Now().Sub(r.started).Seconds()
	if math.IsNaN(e.Value) {
		e.Value = math.NaN() // one bit pattern, so that logs of equal runs are equal
	}
	if r.logErr == nil {
		r.logErr = r.log.Append(e)
		if r.logErr == nil && e.Time-r.flushed >= 1 {
			r.logErr, r.flushed = r.log.Flush(), e.Time
		}
		if r.logErr != nil && r.stop != nil {
			r.stop()
		}
	}
	r.show(e)
}

func (r *Run) show(e lab.Event) {
	r.Board.Apply(e)
	if r.options.Sink != nil {
		r.options.Sink(e)
	}
}

func (r *Run) note(cell string, level lab.Level, text string) {
	r.emit(lab.Event{Kind: lab.KindNote, Cell: cell, Level: level, Text: text})
}

// keyed makes each value once, however many ask for it at once.
type keyed[V any] struct {
	mu      sync.Mutex
	entries map[string]func() (V, error)
}

func (k *keyed[V]) get(key string, make_ func() (V, error)) (V, error) {
	k.mu.Lock()
	if k.entries == nil {
		k.entries = map[string]func() (V, error){}
	}
	once, ok := k.entries[key]
	if !ok {
		once = sync.OnceValues(make_)
		k.entries[key] = once
	}
	k.mu.Unlock()
	return once()
}

// keyedLocks keeps two cells from building one artifact at the same time.
type keyedLocks struct {
	locks sync.Map
}

func (k *keyedLocks) lock(key string) (unlock func()) {
	m, _ := k.locks.LoadOrStore(key, &sync.Mutex{})
	m.(*sync.Mutex).Lock()
	return m.(*sync.Mutex).Unlock
}
