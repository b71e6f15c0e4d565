package run

import (
	"math"
	"sync"
	"time"

	"slimlab/lab"
)

// logWriter is what a run needs of its log.
type logWriter interface {
	Append(lab.Event) error
	Flush() error
	Close() error
}

// emit stamps an event, writes it to the log and folds it. When the log can no longer be written
// the run stops: its further work could not be reported.
func (r *Run) emit(e lab.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.log == nil {
		r.unlogged = append(r.unlogged, e)
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

// flushEvery is the time between flushes of a run that reports nothing.
const flushEvery = time.Second

// beat flushes the log, which shows other processes that this one lives, until rest is called.
func (r *Run) beat() (rest func()) {
	var beating sync.WaitGroup
	over := make(chan struct{})
	beating.Go(func() {
		ticker := time.NewTicker(flushEvery)
		defer ticker.Stop()
		for {
			select {
			case <-over:
				return
			case <-ticker.C:
				r.flush()
			}
		}
	})
	return func() {
		close(over)
		beating.Wait()
	}
}

func (r *Run) flush() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.logErr != nil {
		return
	}
	if r.logErr = r.log.Flush(); r.logErr != nil && r.stop != nil {
		r.stop()
	}
}

// show folds an event and hands it on. The caller holds mu, or is alone.
func (r *Run) show(e lab.Event) {
	r.Board.Apply(e)
	if r.options.Sink != nil {
		r.options.Sink(e)
	}
}

func (r *Run) note(cell string, level lab.Level, text string) {
	r.emit(lab.Event{Kind: lab.KindNote, Cell: cell, Level: level, Text: text})
}

// noteOnce notes what all cells would say alike.
func (r *Run) noteOnce(level lab.Level, text string) {
	if _, said := r.noted.LoadOrStore(text, true); !said {
		r.note("", level, text)
	}
}

// end reports how the run ended and closes its log. It returns err, or why the log cannot be
// written.
func (r *Run) end(state lab.State, err error) error {
	e := lab.Event{Kind: lab.KindEnd, State: state}
	switch {
	case state == lab.Stopped:
		e.Text = lab.Interrupted
	case err != nil:
		e.Text = err.Error()
	}
	r.emit(e)
	r.mu.Lock()
	defer r.mu.Unlock()
	if closeErr := r.log.Close(); r.logErr == nil {
		r.logErr = closeErr
	}
	if r.logErr != nil && err == nil { // all was done, but the log ends before it
		e.State, e.Text = lab.Failed, r.logErr.Error()
		r.show(e)
		return r.logErr
	}
	return err
}
