package abtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sourcegraph/conc"

	"slimlab/internal/plural"
	"slimlab/serve/load"
)

// Settings of an experiment.
type Settings struct {
	Seed   uint64
	Level  float64 // with which probability the report errs anywhere, at most
	Split  float64 // of the prompts that go to B, each to one arm; 0 asks both
	WarmUp int     // requests to each arm before the first that counts, with other prompts
	// Together asks both arms at once, for such as have machines of their own.
	Together bool
	Stop     Stop
	// Margin is the change of a latency that does not matter, a share, and QualityMargin that of a
	// quality, in its own unit. 0 is none.
	Margin, QualityMargin float64
}

// Stop says when an experiment ends before its prompts do.
type Stop string

const (
	AtEnd   Stop = "end" // it does not
	AtFirst Stop = "first"
	AtAll   Stop = "all"
)

// Stops lists them: never, once a metric is decided, once all are.
func Stops() []string { return []string{string(AtEnd), string(AtFirst), string(AtAll)} }

// Experiment asks prompts of two arms.
type Experiment struct {
	Settings
	A, B    *Arm
	Prompts []Prompt
	Live    *Live // told of each prompt; nil is told nothing

	series []*series
	report Report
}

// failuresAtOnce end an experiment when nothing was answered before them.
const failuresAtOnce = 10

// Run asks the prompts and returns what came of it. With an error the report has what was asked
// until then; it is nil where nothing could be asked.
func (e *Experiment) Run(ctx context.Context) (*Report, error) {
	if err := e.begin(ctx); err != nil {
		return nil, err
	}
	var err error
	if e.A.simulated() {
		err = e.simulate(ctx)
	} else {
		err = e.ask(ctx)
	}
	e.finish()
	return &e.report, err
}

// begin checks the experiment and says what is compared.
func (e *Experiment) begin(ctx context.Context) error {
	switch {
	case len(e.Prompts) == 0:
		return errors.New("experiment: found no prompts")
	case e.Split < 0 || e.Split >= 1:
		return fmt.Errorf("experiment: found a split of %v, expected 0 to below 1", e.Split)
	case e.A.simulated() != e.B.simulated():
		return errors.New("experiment: found simulated devices and a clock of this machine, expected two arms of one sort")
	}
	referenced, asks := 0, e.A.simulated()
	for i := range e.Prompts {
		if e.Prompts[i].Referenced() {
			referenced++
		}
		if r := e.Prompts[i].Request; asks && r.Prompt == nil {
			return fmt.Errorf("experiment: prompt %d is a text, and simulated devices have no tokenizer: expected token ids", i+1)
		}
	}
	e.report = Report{A: e.A.Name, B: e.B.Name, Prompts: len(e.Prompts), Share: 0.5, Paired: e.Split == 0, Level: e.Level, Seed: e.Seed}
	if e.Split > 0 {
		e.report.Share = e.Split
	}
	answers, all := !e.A.simulated(), referenced == len(e.Prompts)
	switch {
	case !answers:
		e.note("simulated devices have latencies and no answers of meaning: quality is left out")
	case referenced == 0 && e.Split == 0:
		e.note("the prompts have no references: that answers differ says of no arm that it is the better one")
	case referenced == 0:
		e.note("the prompts have no references: quality is left out of a split")
	case !all:
		return fmt.Errorf("experiment: found references of %d of %d prompts, expected all or none", referenced, len(e.Prompts))
	}
	list := metrics(answers, referenced > 0, answers && e.tellsLogP(ctx, referenced > 0), e.Split > 0)
	e.report.LevelEach = e.Level / float64(len(list))
	for _, m := range list {
		margin := e.QualityMargin
		if m.latency {
			margin = logMargin(e.Margin)
		}
		s, err := newSeries(m, e.report.LevelEach, margin, e.Split)
		if err != nil {
			return err
		}
		e.series = append(e.series, s)
	}
	e.Live.begin(e)
	return ctx.Err()
}

func (e *Experiment) note(format string, args ...any) {
	e.report.Notes = append(e.report.Notes, fmt.Sprintf(format, args...))
}

// tellsLogP asks both arms for the log-probability of the first reference.
func (e *Experiment) tellsLogP(ctx context.Context, referenced bool) bool {
	if !referenced {
		return false
	}
	for _, a := range []*Arm{e.A, e.B} {
		err := errors.New("it has no way to")
		if a.logP != nil {
			_, err = a.logP(ctx, &e.Prompts[0])
		}
		if err != nil {
			e.note("%s does not tell the log-probability of a reference, which is left out: %v", a.Name, err)
			return false
		}
	}
	return true
}

// ask asks targets of this machine's clock.
func (e *Experiment) ask(ctx context.Context) error {
	of := load.Singles{Number: len(e.Prompts), Make: func(i int) load.Request { return e.Prompts[i].Request }}
	for _, a := range []*Arm{e.A, e.B} {
		if e.WarmUp > 0 {
			if err := load.WarmUp(ctx, a.target, of, e.WarmUp, a.vocabulary(), e.Seed); err != nil {
				return fmt.Errorf("%s: %w", a.Name, err)
			}
		}
	}
	draw := rand.New(rand.NewPCG(e.Seed, arms))
	for i := range e.Prompts {
		p := &e.Prompts[i]
		u := draw.Float64()
		if e.Split > 0 {
			arm := 0
			if u < e.Split {
				arm = 1
			}
			o := e.one(ctx, p, arm)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			e.single(arm, &o)
		} else {
			a, b := e.two(ctx, p, u < 0.5)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			e.pair(&a, &b)
		}
		if err := e.hopeless(); err != nil {
			return err
		}
		if e.stops() {
			break
		}
	}
	return nil
}

// arms is the stream of a seed's random numbers by which arms are chosen.
const arms = 0xab

// two asks both arms for a prompt, and what log-probability they give its reference afterwards, so
// that this comes between no two answers that are compared.
func (e *Experiment) two(ctx context.Context, p *Prompt, firstA bool) (a, b outcome) {
	send := func(arm *Arm, o *outcome) {
		asked := time.Now()
		answer, err := arm.target.Send(ctx, p.Request)
		*o = newOutcome(p, asked, answer, err)
	}
	switch {
	case e.Together:
		var wait conc.WaitGroup
		wait.Go(func() { send(e.A, &a) })
		wait.Go(func() { send(e.B, &b) })
		wait.Wait()
	case firstA:
		send(e.A, &a)
		send(e.B, &b)
	default:
		send(e.B, &b)
		send(e.A, &a)
	}
	e.tell(ctx, p, e.A, &a)
	e.tell(ctx, p, e.B, &b)
	return a, b
}

// one asks one arm.
func (e *Experiment) one(ctx context.Context, p *Prompt, arm int) outcome {
	of := []*Arm{e.A, e.B}[arm]
	asked := time.Now()
	answer, err := of.target.Send(ctx, p.Request)
	o := newOutcome(p, asked, answer, err)
	e.tell(ctx, p, of, &o)
	return o
}

// tell adds the log-probability of the reference, where it is compared.
func (e *Experiment) tell(ctx context.Context, p *Prompt, arm *Arm, o *outcome) {
	if o.err != nil || e.series[len(e.series)-1].key != LogP {
		return
	}
	if o.logP, o.err = arm.logP(ctx, p); o.err != nil {
		o.err = fmt.Errorf("log-probability of the reference: %w", o.err)
	}
}

// simulate has both simulated places answer all prompts, each on its own clock.
func (e *Experiment) simulate(ctx context.Context) error {
	of := load.Singles{Number: len(e.Prompts), Make: func(i int) load.Request { return e.Prompts[i].Request }}
	a, errA := e.A.place.Alone(ctx, of)
	b, errB := e.B.place.Alone(ctx, of)
	if err := errors.Join(errA, errB); err != nil {
		return err
	}
	outcomes := func(r *load.Record) (o outcome) {
		if o = unknown(r.Err); r.Err == nil {
			o.take(r.First-r.Sent, r.End-r.Sent, r.Tokens)
		}
		return o
	}
	draw := rand.New(rand.NewPCG(e.Seed, arms))
	for i := range e.Prompts {
		oA, oB := outcomes(&a[i]), outcomes(&b[i])
		switch u := draw.Float64(); {
		case e.Split == 0:
			e.pair(&oA, &oB)
		case u < e.Split:
			e.single(1, &oB)
		default:
			e.single(0, &oA)
		}
		if e.stops() {
			break
		}
	}
	return e.hopeless()
}

// pair counts a prompt that both arms were asked. One that an arm has not answered is no pair.
func (e *Experiment) pair(a, b *outcome) {
	e.Live.lock()
	defer e.Live.unlock()
	e.report.Asked++
	e.counts(0, a)
	e.counts(1, b)
	if a.err != nil || b.err != nil {
		return
	}
	e.report.Pairs++
	for _, s := range e.series {
		s.pair(a, b, e.report.Pairs)
	}
}

// single counts a prompt that one arm was asked.
func (e *Experiment) single(arm int, o *outcome) {
	e.Live.lock()
	defer e.Live.unlock()
	e.report.Asked++
	e.counts(arm, o)
	if o.err != nil {
		return
	}
	for _, s := range e.series {
		s.single(arm, o, e.Split, e.report.Asked)
	}
}

// counts counts an answer or a failure of an arm.
func (e *Experiment) counts(arm int, o *outcome) {
	c := &e.report.Arms[arm]
	c.Requests++
	if o.err != nil {
		if c.Failed++; c.Failure == "" {
			c.Failure = o.err.Error()
		}
		return
	}
	c.Tokens += o.tokens
}

// hopeless ends an experiment of which an arm has answered nothing.
func (e *Experiment) hopeless() error {
	for i, c := range e.report.Arms {
		if c.Failed == c.Requests && c.Failed >= min(failuresAtOnce, len(e.Prompts)) {
			return fmt.Errorf("%s has answered none of its first %s: %s", [2]*Arm{e.A, e.B}[i].Name, plural.Of(c.Failed, "request"), c.Failure)
		}
	}
	return nil
}

// stops reports whether the experiment has decided what it is to decide.
func (e *Experiment) stops() bool {
	if e.Stop == AtEnd || e.Stop == "" {
		return false
	}
	open, decided := 0, 0
	for _, s := range e.series {
		switch {
		case s.verdict != "":
			decided++
		case s.open() && (s.taken > 0 || e.report.Pairs+e.report.Asked < 2*firstLook): // TPOT of one token is never known
			open++
		}
	}
	if decided > 0 && (e.Stop == AtFirst || open == 0) {
		e.report.Stopped = e.report.Asked < len(e.Prompts)
		return true
	}
	return false
}

// vocabulary is below the arm's number of tokens.
func (a *Arm) vocabulary() int {
	if a.place == nil {
		return 1
	}
	return a.place.Vocabulary
}
