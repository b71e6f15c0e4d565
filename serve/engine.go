package serve

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/sourcegraph/conc"
	"github.com/sourcegraph/conc/panics"

	"slimlab/kernels"
	"slimlab/model"
)

// Options shape an engine. Zero values stand for the defaults.
type Options struct {
	PageSize    int              // tokens a page; a divisor of kernels.KVBlock; 16
	KV          kernels.KVFormat // of the KV cache; bfloat16
	Pages       int              // pages of the KV cache; room for 32768 tokens
	BatchTokens int              // tokens computed in one step, at most; 2048
	Chunk       int              // tokens of one prompt in one step, at most; BatchTokens
	Running     int              // requests that run at once, at most; 256
	PrefixCache bool             // share the KV of common prefixes; Defaults sets it
	Now         func() time.Time
}

// Defaults are the options of an engine that caches prefixes.
func Defaults() Options { return Options{PrefixCache: true} }

func (o Options) complete() (Options, error) {
	set := func(v *int, to int) {
		if *v == 0 {
			*v = to
		}
	}
	set(&o.PageSize, 16)
	set(&o.Pages, 32768/max(1, o.PageSize))
	set(&o.BatchTokens, 2048)
	set(&o.Chunk, o.BatchTokens)
	set(&o.Running, 256)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.PageSize < 1 || kernels.KVBlock%o.PageSize != 0 {
		return o, fmt.Errorf("serve: page size %d does not divide %d", o.PageSize, kernels.KVBlock)
	}
	if o.Pages < 1 || o.BatchTokens < 1 || o.Chunk < 1 || o.Running < 1 {
		return o, fmt.Errorf("serve: pages %d, batch tokens %d, chunk %d and running %d must be positive", o.Pages, o.BatchTokens, o.Chunk, o.Running)
	}
	// Every running request decodes one token a step, so the budget must have room for all of them.
	o.Running = min(o.Running, o.BatchTokens)
	return o, nil
}

// Stats are an engine's counters since its start.
type Stats struct {
	Requests, Steps                                             int
	PromptTokens, CachedTokens, ComputedTokens, GeneratedTokens int
	EvictedPages                                                int
	Waiting, Running                                            int // now
	FreePages, TreePages                                        int // now
}

// Engine serves requests on one model. It is safe for concurrent use.
type Engine struct {
	inbox chan func(*scheduler)
	stop  chan struct{}
	once  sync.Once // closes stop
	wait  conc.WaitGroup
	ended chan struct{} // closed when the goroutine has ended
	err   error         // why it ended; set before ended is closed
	check func(Request) error
}

// ErrClosed is returned for requests to an engine that was closed.
var ErrClosed = errors.New("serve: the engine is closed")

// New starts an engine. Close it to free its goroutine and memory.
func New(m *model.Model, o Options) (*Engine, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	s, err := newScheduler(m, o)
	if err != nil {
		return nil, err
	}
	e := &Engine{inbox: make(chan func(*scheduler)), stop: make(chan struct{}), ended: make(chan struct{}), check: s.refuse}
	e.wait.Go(func() { e.run(s) })
	return e, nil
}

// run is the engine's goroutine, the only one that touches the scheduler.
func (e *Engine) run(s *scheduler) {
	defer close(e.ended)
	e.err = ErrClosed
	if r := panics.Try(func() { e.loop(s) }); r != nil {
		e.err = fmt.Errorf("serve: the engine died: %w", r.AsError())
	}
}

func (e *Engine) loop(s *scheduler) {
	for {
		if s.idle() {
			select {
			case f := <-e.inbox:
				f(s)
			case <-e.stop:
				return
			}
		}
		for drained := false; !drained; {
			select {
			case f := <-e.inbox:
				f(s)
			case <-e.stop:
				return
			default:
				drained = true
			}
		}
		s.step()
		// on few cores: let those who wait for a result read it before the next step
		runtime.Gosched()
	}
}

// Close stops the engine; requests in flight get ErrClosed.
func (e *Engine) Close() {
	e.once.Do(func() { close(e.stop) })
	e.wait.Wait()
}

// do runs f on the engine's goroutine.
func (e *Engine) do(f func(*scheduler)) error {
	select {
	case e.inbox <- f:
		return nil
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

// DoAll submits requests together, in order, and waits for all. The first error ends the others'
// waiting.
func (e *Engine) DoAll(ctx context.Context, requests []Request) ([]Result, error) {
	for i, r := range requests {
		if err := e.check(r); err != nil {
			return nil, fmt.Errorf("request %d: %w", i, err)
		}
	}
	done := make([]chan outcome, len(requests))
	for i := range done {
		done[i] = make(chan outcome, 1)
	}
	err := e.do(func(s *scheduler) {
		for i, r := range requests {
			q := &sequence{Request: r, ctx: ctx, done: done[i]}
			q.result.Submitted = s.now()
			s.submit(q)
		}
	})
	if err != nil {
		return nil, err
	}
	results := make([]Result, len(requests))
	for i := range results {
		select {
		case o := <-done[i]:
			results[i] = o.result
			err = errors.Join(err, o.err)
		case <-e.ended:
			return nil, e.err
		}
	}
	if err != nil {
		return results, ctx.Err()
	}
	return results, nil
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

// Stats returns the engine's counters.
func (e *Engine) Stats() (stats Stats, err error) {
	got := make(chan Stats, 1)
	if err := e.do(func(s *scheduler) {
		s.stats.Waiting, s.stats.Running, s.stats.FreePages = len(s.waiting), len(s.running), len(s.free)
		if s.tree != nil {
			s.stats.TreePages = s.tree.evictable + s.tree.protected
		}
		got <- s.stats
	}); err != nil {
		return Stats{}, err
	}
	select {
	case stats = <-got:
		return stats, nil
	case <-e.ended:
		return Stats{}, e.err
	}
}

// Flush empties the prefix cache of all that no running request holds.
func (e *Engine) Flush() error {
	return e.do(func(s *scheduler) { s.flush() })
}
