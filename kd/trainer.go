package kd

import (
	"context"
	"fmt"
	"math"
	"time"

	"slimlab/kernels"
	"slimlab/model"
)

// Trainer is a training run that the caller advances step by step. Between two steps the student
// holds the weights so far and may be read and sampled from. All buffers are allocated once and
// grow to the largest batch.
//
// The ranks of a Group meet in each step, in this order: they add up their counts of tokens, which
// the losses are divided by; their losses; their gradients, of which each rank receives its shard
// (ReduceScatter); the gradient's norm. Each updates its shard, and all receive the parameters
// (AllGather). The projections of a hidden-state loss are a second vector, with shards of its own.
type Trainer struct {
	config TrainConfig // with its defaults set
	group  Group
	bounds []int // of the ranks' shards of parameters and gradients
	// what the optimizer changes: the student's parameters, or what rounded says
	flat      []float32
	rounded   *rounded // nil without a rounding
	optimizer *optimizer
	gradients *model.Gradients
	trace     *model.Trace
	loss      *headLoss
	hidden    *hiddenLoss // nil without one
	comparer  Comparer    // the teacher, where it is one
	pass      pass
	dHidden   []float32
	clear     bool // the gradients are zero, as an update leaves them
	spent     Spent
	reduced   [12]float64 // see sumOverRanks

	result Result
	best   []float32 // with KeepBest: the parameters after BestStep
}

// NewTrainer checks a config and prepares the first step.
func NewTrainer(c TrainConfig) (*Trainer, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if !c.Objective.needsTeacher() {
		c.Teacher = nil
	}
	if c.Clip == 0 {
		c.Clip = 1
	}
	if c.passTokens == 0 {
		c.passTokens = passTokens
	}
	if c.Group == nil {
		c.Group = Alone{}
	}
	if err := checkExamples(c.Validation, c.vocab(), c.positions()); err != nil {
		return nil, fmt.Errorf("validation %w", err)
	}
	if n := countAll(c.Validation); len(c.Validation) > 0 && n.answers == 0 {
		return nil, fmt.Errorf("none of the %d validation examples has an answer token", len(c.Validation))
	}
	t := &Trainer{
		config: c, group: c.Group, flat: c.Student.Flat(), result: Result{BestValidation: math.NaN()},
		gradients: model.NewGradients(c.Student),
		trace:     model.NewTrace(c.Student, 0, traceOptions(&c)),
		loss:      newHeadLoss(c.Objective, c.Student, c.Teacher, c.chunkRows, c.Precision),
	}
	ranges := decayRanges(c.Student)
	if c.Rounding != nil {
		t.rounded = &rounded{Rounding: c.Rounding}
		t.flat = t.rounded.begin(t.flat)
		ranges = append(ranges, decayRange{from: t.rounded.weights, to: len(t.flat)})
		t.changed()
	}
	t.bounds = shardBounds(len(t.flat), c.Group.Size())
	from, to := t.shard()
	t.optimizer = newOptimizer(t.flat, ranges, from, to)
	if c.Objective.needsRows() {
		t.comparer, _ = c.Teacher.(Comparer)
	}
	if c.Objective.Hidden.used() {
		var err error
		if t.hidden, err = newHiddenLoss(&c); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// traceOptions are those of the student's passes.
func traceOptions(c *TrainConfig) model.TraceOptions {
	o := model.TraceOptions{Precision: c.Precision, Recompute: c.Recompute}
	if c.Rounding != nil {
		o.Activations = c.Rounding.Activations()
	}
	return o
}

// changed gives the student what the optimizer has made of its parameters.
func (t *Trainer) changed() {
	if t.rounded != nil {
		t.rounded.write(t.flat)
	}
	t.config.Student.Changed()
}

// RoundingParameters are the numbers that the config's Rounding has learned; nil without one. They
// may not be changed.
func (t *Trainer) RoundingParameters() []float32 {
	if t.rounded == nil {
		return nil
	}
	return t.flat[t.rounded.weights:]
}

// gradientVector is the gradient of what the optimizer changes.
func (t *Trainer) gradientVector() []float32 {
	if t.rounded != nil {
		return t.rounded.gradient
	}
	return t.gradients.Flat
}

// passTokens is how many tokens go through a model at once.
const passTokens = 512

// Done reports whether all steps of the config are finished, or the training has stopped early.
func (t *Trainer) Done() bool { return t.result.Last.Step == t.config.Steps || t.result.Stopped }

// Spent is the time of steps that went into batches, which a source may sample or fetch, and into
// the teacher's distributions. What is left of a training's time is the student's.
type Spent struct{ Batches, Teacher time.Duration }

// Spent returns the time that the steps so far have spent.
func (t *Trainer) Spent() Spent {
	return Spent{t.spent.Batches, t.spent.Teacher + t.loss.spent}
}

// Result returns the last step so far and the best.
func (t *Trainer) Result() Result { return t.result }

// RestoreBest gives the student the weights of Result().BestStep. Without KeepBest, or before the
// first validation, it does nothing. The projections of a hidden-state loss, which are no part of
// the student, stay those of the last step.
func (t *Trainer) RestoreBest() {
	if t.best != nil {
		copy(t.flat, t.best)
		t.changed()
	}
}

// Step runs the next step: it asks for the batch, computes the gradient and updates the student. A
// cancelled ctx is noticed between the layers of a pass. When a step fails, because of its batch, a
// loss or gradient that is not finite, or ctx, the weights are those before it, and it may be tried
// again, but for a failure of the Group. When the validation after an update fails, the step is
// finished all the same.
func (t *Trainer) Step(ctx context.Context) (StepReport, error) {
	if t.Done() {
		if t.result.Stopped {
			return StepReport{}, fmt.Errorf("the training stopped early, after step %d of %d", t.result.Last.Step, t.config.Steps)
		}
		return StepReport{}, fmt.Errorf("all %d steps are done", t.config.Steps)
	}
	step := t.result.Last.Step + 1
	err := t.step(ctx, step)
	if err == nil {
		return t.result.Last, nil
	}
	if cancelled := ctx.Err(); cancelled != nil {
		return StepReport{}, fmt.Errorf("stopped after step %d of %d: %w", t.result.Last.Step, t.config.Steps, cancelled)
	}
	return StepReport{}, fmt.Errorf("step %d of %d: %w", step, t.config.Steps, err)
}

func (t *Trainer) step(ctx context.Context, step int) error {
	start := time.Now()
	asked := t.spent.Teacher
	batch, err := t.next(ctx, step)
	t.spent.Batches += time.Since(start) - (t.spent.Teacher - asked)
	n, err := t.count(ctx, batch, err)
	if err != nil {
		return err
	}
	total, err := t.gradient(ctx, batch, n)
	if err != nil {
		return err
	}
	norm, err := t.gradientNorm(ctx)
	if err != nil {
		return err
	}
	c := &t.config
	s := StepReport{
		Step: step, Total: c.Steps, Loss: total.loss, LearningRate: c.rate(step), GradNorm: norm,
		CE: total.ce / n.labels, Divergence: math.NaN(), Hidden: math.NaN(), Compared: math.NaN(), Tokens: t.result.Last.Tokens + int(n.tokens), Validation: math.NaN(),
	}
	if c.Objective.needsRows() {
		s.Divergence = total.divergence / n.compared()
	}
	if t.comparer != nil {
		s.Compared = n.compared() / n.answers
	}
	if t.hidden != nil {
		s.Hidden = total.hidden / n.answers
	}
	switch {
	case finite(s.Loss) && finite(s.GradNorm):
	case step == 1: // nothing was learned yet
		model := "student"
		// the cross-entropy is the student's alone
		if finite(s.CE) && (c.Objective.needsRows() && !finite(s.Divergence) || t.hidden != nil && !finite(s.Hidden)) {
			model = "teacher"
		}
		return fmt.Errorf("loss %v and gradient norm %v are not finite: the %s's numbers are %w", s.Loss, s.GradNorm, model, ErrNotFinite)
	default:
		return fmt.Errorf("%w: loss %v and gradient norm %v are not finite: a lower learning rate than %.3g or a longer warm-up may help", ErrDiverged, s.Loss, s.GradNorm, c.LearningRate)
	}
	if err := t.update(ctx, s.LearningRate, norm); err != nil {
		return err
	}
	t.result.Last = s
	if len(c.Validation) > 0 && (step == c.Steps || c.EvalEvery > 0 && step%c.EvalEvery == 0) {
		t.result.Last.Validation, err = t.validate(ctx, step)
	}
	return err
}

// next returns this rank's part of a step's batch.
func (t *Trainer) next(ctx context.Context, step int) ([]Example, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	batch, err := t.config.Next(ctx, step)
	if err != nil {
		return nil, fmt.Errorf("batch: %w", err)
	}
	if err := checkExamples(batch, t.config.vocab(), t.config.positions()); err != nil {
		return batch, err
	}
	for i := range batch {
		if err := batch[i].checkFor(t.config.Objective); err != nil {
			return batch, fmt.Errorf("example %d: %w", i, err)
		}
	}
	if t.config.Teacher != nil {
		start := time.Now()
		err := t.config.Teacher.Prepare(ctx, batch)
		t.spent.Teacher += time.Since(start)
		if err != nil {
			return batch, fmt.Errorf("teacher: %w", err)
		}
	}
	return batch, nil
}

// count counts the tokens of the batch on all ranks, before any loss is divided by them: a mean of
// the ranks' means would be wrong, as their numbers of answer tokens differ. failed is the error of
// this rank's batch.
func (t *Trainer) count(ctx context.Context, batch []Example, failed error) (counts, error) {
	var n counts
	if failed == nil {
		n = t.countOwn(batch)
	}
	examples := float64(len(batch))
	if err := t.sumOverRanks(ctx, failed, &n.answers, &n.labels, &n.sequence, &n.tokens, &n.apart, &n.apartSequence, &examples); err != nil {
		return n, err
	}
	if t.hidden != nil && n.answers > 0 {
		return n, nil
	}
	for k := range kinds {
		if n.of(k) > 0 && t.config.Objective.weights(k, n) != (weights{}) {
			return n, nil
		}
	}
	if n.apart > 0 {
		return n, fmt.Errorf("batch of %.0f examples has no token with a loss: none of its answer tokens begins where one of the teacher's does. A larger batch or a share of cross-entropy may help", examples)
	}
	return n, fmt.Errorf("batch of %.0f examples has no token with a loss", examples)
}

// countOwn counts the tokens of this rank's batch.
func (t *Trainer) countOwn(batch []Example) counts {
	n := countAll(batch)
	if t.comparer != nil {
		n.addApart(batch, t.comparer)
	}
	return n
}

// gradient sets the gradients to this rank's part of those of the objective, pass by pass, and
// returns the losses of all ranks.
func (t *Trainer) gradient(ctx context.Context, batch []Example, n counts) (sums, error) {
	if !t.clear {
		t.gradients.Zero()
	}
	t.clear = false
	c := &t.config
	t.loss.pack(c.Student)
	reading, streams := Reading{}, [][]float32(nil)
	if t.hidden != nil {
		t.hidden.pack()
		clear(t.hidden.gradient)
		reading.States, streams = t.hidden.asked, t.hidden.streams
	}
	var total sums
	failed := eachPass(&t.pass, batch, c.passTokens, c.Objective.Sequence > 0, func(p *pass) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if t.needsTeacher(p) {
			start := time.Now()
			reading.Examples, reading.Batch = p.examples, p.batch
			err := c.Teacher.Read(ctx, reading)
			t.spent.Teacher += time.Since(start)
			if err != nil {
				return fmt.Errorf("teacher: %w", err)
			}
		}
		student := states{c.Student, t.trace.Forward(ctx, c.Student, p.batch)}
		dHidden := sized(&t.dHidden, len(student.hidden))
		clear(dHidden)
		if err := t.loss.add(ctx, &total, headPass{pass: p, counts: n, student: student, dHidden: dHidden, head: t.gradients.Head}); err != nil {
			return fmt.Errorf("teacher: %w", err)
		}
		if t.hidden != nil {
			if err := t.hidden.add(&total, hiddenPass{p, n.answers, t.trace, student.hidden, dHidden}); err != nil {
				return fmt.Errorf("teacher: %w", err)
			}
		}
		t.trace.BackwardThrough(ctx, c.Student, dHidden, streams, t.gradients)
		return ctx.Err() // the numbers may be wrong
	})
	if t.rounded != nil {
		t.rounded.take(t.gradients.Flat, t.flat)
	}
	err := t.sumOverRanks(ctx, failed, &total.loss, &total.divergence, &total.ce, &total.hidden)
	return total, err
}

// needsTeacher reports whether any target of a pass carries a divergence, or a hidden-state loss.
func (t *Trainer) needsTeacher(p *pass) bool {
	answers := len(p.targets[labels]) + len(p.targets[samples])
	o := &t.config.Objective
	return t.config.Teacher != nil && (answers > 0 || o.needsRows() && o.SequenceLoss == SequenceMixture)
}

// gradientNorm sums this rank's shards of the gradients over the ranks and returns the norm of all
// shards, those of the projections included.
func (t *Trainer) gradientNorm(ctx context.Context) (float64, error) {
	squares, err := t.shardSquares(ctx, t.gradientVector(), t.bounds)
	if err == nil && t.hidden != nil {
		var more float64
		more, err = t.shardSquares(ctx, t.hidden.gradient, t.hidden.bounds)
		squares += more
	}
	if err != nil {
		return 0, err
	}
	err = t.sumOverRanks(ctx, nil, &squares)
	return math.Sqrt(squares), err
}

// shardSquares sums this rank's shard of a gradient over the ranks and returns the sum of its
// squares.
func (t *Trainer) shardSquares(ctx context.Context, gradient []float32, bounds []int) (float64, error) {
	if err := t.group.ReduceScatter(ctx, gradient, bounds); err != nil {
		return 0, err
	}
	rank := t.group.Rank()
	return kernels.SumSquares(gradient[bounds[rank]:bounds[rank+1]]), nil
}

// update updates this rank's shard of the parameters and receives those of the others.
func (t *Trainer) update(ctx context.Context, rate, norm float64) error {
	scale := 1.0
	if norm > t.config.Clip {
		scale = t.config.Clip / norm
	}
	from, to := t.shard()
	gradient, by := t.gradientVector(), optimizerStep{rate, t.config.WeightDecay, scale}
	t.optimizer.update(gradient[from:to], by)
	if t.rounded == nil {
		clear(gradient[:from]) // the update has cleared the shard
		clear(gradient[to:])
		t.clear = true
	}
	err := t.group.AllGather(ctx, t.flat, t.bounds)
	t.changed()
	if l := t.hidden; l != nil && err == nil {
		rank := t.group.Rank()
		l.optimizer.update(l.gradient[l.bounds[rank]:l.bounds[rank+1]], by)
		err = t.group.AllGather(ctx, l.flat, l.bounds)
	}
	return err
}

// shard is the range of parameters that this rank owns.
func (t *Trainer) shard() (from, to int) {
	rank := t.group.Rank()
	return t.bounds[rank], t.bounds[rank+1]
}

// validate measures the student after a step, each rank a part of the examples, and keeps the best.
func (t *Trainer) validate(ctx context.Context, step int) (float64, error) {
	examples, rank, ranks := t.config.Validation, t.group.Rank(), t.group.Size()
	part := examples[len(examples)*rank/ranks : len(examples)*(rank+1)/ranks]
	total, failed := lossSum(ctx, t.config.Student, part, func([]float32) {})
	if err := t.sumOverRanks(ctx, failed, &total.weighted, &total.weight); err != nil {
		return 0, fmt.Errorf("validation: %w", err)
	}
	loss := total.weighted / total.weight
	if !finite(loss) {
		return 0, fmt.Errorf("%w: validation loss %v is not finite: a lower learning rate than %.3g may help", ErrDiverged, loss, t.config.LearningRate)
	}
	if r := &t.result; r.BestStep == 0 || loss < r.BestValidation {
		r.BestStep, r.BestValidation = step, loss
		if t.config.KeepBest {
			t.best = append(t.best[:0], t.flat...)
		}
	}
	if c := &t.config; c.Patience > 0 {
		t.result.Stopped = step-t.result.BestStep >= c.Patience*c.EvalEvery && step < c.Steps
	}
	return loss, nil
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
