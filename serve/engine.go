package serve

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/sourcegraph/conc"
	"github.com/sourcegraph/conc/panics"

	"slimlab/serve/pages"
)

// Engine serves requests on one executor. It is safe for concurrent use.
type Engine struct {
	shape  Shape
	passer bool
	shares bool // prefixes

	inbox chan func(*core)
	stop  chan struct{}
	once  sync.Once // closes stop
	wait  conc.WaitGroup
	ended chan struct{} // closed when the goroutine has ended
	err   error         // why it ended; set before ended is closed
}

// ErrClosed is returned for requests to an engine that was closed.
var ErrClosed = errors.New("serve: the engine is closed")

// New starts an engine on an executor, which is the engine's alone from now on. Close it to free
// its goroutine and memory.
func New(executor Executor, o Options) (*Engine, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	if err := o.Draft.check(executor.Shape()); err != nil {
		return nil, err
	}
	_, passer := executor.(Passer)
	e := &Engine{shape: executor.Shape(), passer: passer, shares: o.PrefixCache, inbox: make(chan func(*core)), stop: make(chan struct{}), ended: make(chan struct{})}
	c := newCore(executor, o)
	e.wait.Go(func() { e.run(c) })
	return e, nil
}

// run is the engine's goroutine, the only one that touches the core.
func (e *Engine) run(c *core) {
	defer close(e.ended)
	var err error
	if r := panics.Try(func() { err = e.loop(c) }); r != nil {
		err = &DiedError{Cause: r.Value, Stack: string(r.Stack)}
	}
	e.err = err
}

// DiedError is the error of an engine that has ended by a fault of its own.
type DiedError struct {
	Cause any    // of the panic
	Stack string // where it was, for a log: it is no part of the error's text
}

func (e *DiedError) Error() string { return fmt.Sprintf("serve: the engine died: %v", e.Cause) }

// loop runs until the engine is closed or the executor fails, and returns why it ended.
func (e *Engine) loop(c *core) error {
	for c.broken == nil {
		if c.paused || c.idle() {
			select {
			case f := <-e.inbox:
				f(c)
			case <-e.stop:
				return ErrClosed
			}
			continue
		}
		select {
		case f := <-e.inbox:
			f(c)
		case <-e.stop:
			return ErrClosed
		default:
			c.broken = c.step()
			// on few cores: let those that wait for a result read it before the next step
			runtime.Gosched()
		}
	}
	return c.broken
}

// Close stops the engine; requests in flight get ErrClosed.
func (e *Engine) Close() {
	e.once.Do(func() { close(e.stop) })
	e.wait.Wait()
}

// Ended is closed when the engine has ended, by Close or by a fault: see Err.
func (e *Engine) Ended() <-chan struct{} { return e.ended }

// Err is why the engine has ended, or nil while it runs.
func (e *Engine) Err() error {
	select {
	case <-e.ended:
		return e.err
	default:
		return nil
	}
}

// do runs f on the engine's goroutine.
func (e *Engine) do(f func(*core)) error {
	select {
	case e.inbox <- f:
		return nil
	case <-e.ended:
		return e.err
	}
}

// ask runs f on the engine's goroutine and waits for its answer.
func ask(e *Engine, f func(*core) error) error {
	got := make(chan error, 1)
	if err := e.do(func(c *core) { got <- f(c) }); err != nil {
		return err
	}
	select {
	case err := <-got:
		return err
	case <-e.ended:
		return e.err
	}
}

// Do serves one request and waits for its answer. When ctx ends first, it returns what was
// generated so far and the context's error.
func (e *Engine) Do(ctx context.Context, r Request) (Result, error) {
	results, err := e.DoAll(ctx, []Request{r})
	if len(results) == 0 {
		return Result{}, err
	}
	return results[0], err
}

// DoAll submits requests together, in order, and waits for all. With an error, the first of theirs,
// it returns what there is of each. Where they do not all fit the queue's bounds, none is taken,
// and the error is a *QueueFullError.
func (e *Engine) DoAll(ctx context.Context, requests []Request) ([]Result, error) {
	contexts := make([]context.Context, len(requests))
	for i := range contexts {
		contexts[i] = ctx
	}
	all, err := e.Submit(contexts, requests)
	if err != nil {
		return nil, err
	}
	results := make([]Result, len(requests))
	for i, p := range all {
		var failed error
		if results[i], failed = p.Wait(); err == nil {
			err = failed
		}
	}
	return results, err
}

// Submitted is a request that the engine has taken.
type Submitted struct {
	engine *Engine
	ctx    context.Context
	done   <-chan outcome
}

// Submit has the engine take requests together, in order, each with a context of its own: when it
// ends, that request does, and the others go on. Where they do not all fit the queue's bounds, none
// is taken, and the error is a *QueueFullError. Each that is taken has to be waited for.
func (e *Engine) Submit(contexts []context.Context, requests []Request) ([]*Submitted, error) {
	for i := range requests {
		if err := requests[i].check(e.shape, e.passer); err != nil {
			return nil, fmt.Errorf("request %d: %w", i, err)
		}
	}
	all := make([]*Submitted, len(requests))
	sequences := make([]*sequence, len(requests))
	for i, r := range requests {
		done := make(chan outcome, 1)
		all[i] = &Submitted{e, contexts[i], done}
		var hashes []uint64
		if e.shares && !r.NoReuse {
			hashes = pages.Hashes(r.Namespace, r.Prompt, e.shape.PageSize)
		}
		sequences[i] = newSequence(contexts[i], r, hashes, func(o outcome) { done <- o })
	}
	if err := ask(e, func(c *core) error { return c.submit(sequences...) }); err != nil {
		return nil, err
	}
	return all, nil
}

// Wait waits for the answer. When the request's context ends first, it returns what was generated
// so far and the context's error.
func (s *Submitted) Wait() (Result, error) {
	left := s.ctx.Done()
	for {
		select {
		case o := <-s.done:
			return o.result, o.err
		case <-left:
			left = nil
			s.engine.callerLeft()
		case <-s.engine.ended:
			select {
			case o := <-s.done: // before the engine ended
				return o.result, o.err
			default:
				return Result{}, s.engine.err
			}
		}
	}
}

// Score returns, for each prompt, the logits of the label tokens as its next token:
// [prompts][labels]. The difference of two labels' logits is their log-odds. Only the labels' rows
// of the head are computed.
func (e *Engine) Score(ctx context.Context, prompts [][]int32, labels []int32) ([][]float32, error) {
	requests := make([]Request, len(prompts))
	for i, p := range prompts {
		requests[i] = Request{Prompt: p, Labels: labels}
	}
	results, err := e.DoAll(ctx, requests)
	if err != nil {
		return nil, err
	}
	scores := make([][]float32, len(prompts))
	for i, r := range results {
		scores[i] = r.LabelLogits
	}
	return scores, nil
}

// Shares reports whether requests share prefixes.
func (e *Engine) Shares() bool { return e.shares }

// Stats returns the engine's counters.
func (e *Engine) Stats() (stats Stats, err error) {
	err = ask(e, func(c *core) error {
		stats = c.now()
		return nil
	})
	return stats, err
}

// Snapshot returns what the engine is doing, for a screen: the prefix tree and the requests, at
// most so many nodes and so many requests. When ctx ends first it is not made, and the error is the
// context's.
func (e *Engine) Snapshot(ctx context.Context, most int) (Snapshot, error) {
	got := make(chan Snapshot, 1)
	describe := func(c *core) {
		if ctx.Err() == nil {
			got <- c.snapshot(most)
		}
	}
	select {
	case e.inbox <- describe:
	case <-ctx.Done():
		return Snapshot{}, ctx.Err()
	case <-e.ended:
		return Snapshot{}, e.err
	}
	select {
	case s := <-got:
		return s, nil
	case <-ctx.Done():
		return Snapshot{}, ctx.Err()
	case <-e.ended:
		return Snapshot{}, e.err
	}
}

// Flush empties the prefix cache of all that no running request holds.
func (e *Engine) Flush() error {
	return e.do(func(c *core) { c.flush() })
}
