package serve

import (
	"context"
	"fmt"
	"time"

	"slimlab/serve/pages"
)

// Simulated is an executor without a model, on a clock of its own: Extend moves the clock by the
// time that a batch would take, and gives zeros as the logits of labels.
type Simulated interface {
	Executor
	// Wait moves the clock on to a time, where it is not there yet.
	Wait(until time.Time)
	// Token is the token that comes in a place of the answer to the request of that number.
	Token(request, place int) int32
}

// Simulation is the engine on a simulated executor: the same scheduler, prefix cache and steps,
// without a goroutine. Its caller says when requests come and when it takes a step. It is not safe
// for concurrent use.
type Simulation struct {
	core     *core
	executor Simulated
	ended    func(id int, r Result, err error)
}

// NewSimulation starts a simulation. The function is called for each request that has ended, within
// a Step.
func NewSimulation(executor Simulated, o Options, ended func(id int, r Result, err error)) (*Simulation, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	if o.Draft.Executor != nil {
		return nil, fmt.Errorf("serve: found a draft, which a simulation has no tokens to compare with")
	}
	o.RecallBytes = 0 // there are no logits to keep
	return &Simulation{core: newCore(executor, o), executor: executor, ended: ended}, nil
}

// Submit has the simulation take a request now, which came at a time before or now: that is when
// its latency begins. Where a bound of the queue refuses it, the error is a *QueueFullError.
func (s *Simulation) Submit(id int, came time.Time, r Request) error {
	shape := s.executor.Shape()
	if err := r.check(shape, false); err != nil {
		return err
	}
	if r.PromptLogP != nil || r.Pool != "" || r.Constraint != nil || r.LabelLogP || r.LogP || r.ScaledLogP || r.TopLogP > 0 {
		return fmt.Errorf("serve: the request asks for log-probabilities, states or constrained tokens, which a simulation does not compute")
	}
	var hashes []uint64
	if s.core.scheduler.options.PrefixCache && !r.NoReuse {
		hashes = pages.Hashes(r.Namespace, r.Prompt, shape.PageSize)
	}
	q := newSequence(context.Background(), r, hashes, func(o outcome) { s.ended(id, o.result, o.err) })
	if err := s.core.submit(q); err != nil {
		return err
	}
	q.result.Submitted = came
	return nil
}

// Idle reports whether no request runs or waits.
func (s *Simulation) Idle() bool { return s.core.idle() }

// Step computes one batch and moves the clock by its time.
func (s *Simulation) Step() error { return s.core.step() }

// Now is the time by the executor's clock.
func (s *Simulation) Now() time.Time { return s.executor.Now() }

// Wait moves the clock on to a time, where it is not there yet.
func (s *Simulation) Wait(until time.Time) { s.executor.Wait(until) }

// Held counts the leading tokens of a prompt that the prefix cache holds, in whole pages.
func (s *Simulation) Held(namespace string, prompt []int32) int {
	size := s.executor.Shape().PageSize
	return s.core.scheduler.pages.Held(pages.Hashes(namespace, prompt, size)) * size
}

// Load counts the tokens of the requests that run or wait that are not computed yet, those to be
// generated among them.
func (s *Simulation) Load() (tokens int) {
	for _, list := range [][]*sequence{s.core.scheduler.running, s.core.scheduler.waiting.list} {
		for _, q := range list {
			tokens += len(q.tokens) - q.computed + q.MaxTokens - q.generated()
		}
	}
	return tokens
}

// Stats returns the engine's counters.
func (s *Simulation) Stats() Stats { return s.core.now() }
