package kd

import (
	"context"
	"fmt"
	"math"

	"slimlab/kernels"
	"slimlab/model"
)

// TrainConfig is one training run. Zero fields mean what their comments say.
type TrainConfig struct {
	Student *model.Model // float32 weights, changed in place
	// any format, never changed (with a Precision of bfloat16 its float32 weights are read in
	// bfloat16); nil where the objective has no divergence
	Teacher   *model.Model
	Objective Objective

	// Batches returns the whole batch of a step, from 1 to Steps; the losses are normalised over
	// it. It is read until the next call. See Shuffle.
	Batches func(step int) []Example
	// tokens that go through the models at once, which bounds memory and not the result; 0 is 512
	PassTokens int
	ChunkRows  int // rows whose logits exist at once; 0 chooses about 16 MB of them

	// of the student's matrix products; its weights, gradients and moments are float32 in either
	Precision kernels.Precision
	// keeps only the input of each layer for the backward pass and computes the rest again: less
	// memory, a third more time, the same bits
	Checkpoint bool

	Steps        int
	LearningRate float64 // the highest
	WarmUp       int     // steps of linear warm-up
	Floor        float64 // share of LearningRate at which the cosine ends, 0 to 1
	WeightDecay  float64 // decoupled; on the linear layers' matrices only
	Beta1, Beta2 float64 // of AdamW; 0 is 0.9 and 0.95
	Clip         float64 // largest global norm of the gradient; 0 is 1, +Inf is no clipping

	Validation []Example // may be empty
	EvalEvery  int       // steps between evaluations; 0 evaluates after the last step only
	KeepBest   bool      // ends with the weights of the lowest validation loss
}

// Step is what one optimizer step did. Losses are in nats.
type Step struct {
	Step, Total  int     // from 1
	Loss         float64 // the objective
	CE           float64 // cross-entropy per answer token; NaN when the batch has none
	Divergence   float64 // per answer token; NaN without a divergence
	LearningRate float64
	GradNorm     float64 // before clipping
	Tokens       int     // of the batches so far, prompts included
	// cross-entropy per answer token of the validation examples; NaN unless evaluated after this
	// step
	Validation float64
}

// Result is how a run ended.
type Result struct {
	Last           Step
	BestStep       int     // 0 without a validation
	BestValidation float64 // NaN without a validation
}

// Train minimises the objective. onStep, which may be nil, is called after every step, on the
// calling goroutine. ctx is looked at between steps: a cancelled run returns the steps that it
// finished and an error that wraps ctx.Err(). A loss or gradient that is not finite ends the run
// with an error before it touches the weights. In all cases the student holds the weights of the
// last step that was finished, or with KeepBest and no error those of the best.
func Train(ctx context.Context, config TrainConfig, onStep func(Step)) (Result, error) {
	result := Result{BestValidation: math.NaN()}
	t, err := newTrainer(config)
	if err != nil {
		return result, fmt.Errorf("train: %w", err)
	}
	defer t.Student.Changed()
	var best []float32
	for step := 1; step <= t.Steps; step++ {
		if err := ctx.Err(); err != nil {
			return result, fmt.Errorf("train: stopped after step %d of %d: %w", step-1, t.Steps, err)
		}
		s, err := t.step(step)
		if err != nil {
			return result, fmt.Errorf("train: step %d of %d: %w", step, t.Steps, err)
		}
		if s.Validation < result.BestValidation || result.BestStep == 0 && !math.IsNaN(s.Validation) {
			result.BestStep, result.BestValidation = step, s.Validation
			if t.KeepBest {
				best = append(best[:0], t.optimizer.parameters...)
			}
		}
		result.Last = s
		if onStep != nil {
			onStep(s)
		}
	}
	if t.KeepBest && best != nil {
		copy(t.optimizer.parameters, best)
	}
	return result, nil
}

// trainer is a run's state. All buffers are made once and grow to the largest batch.
type trainer struct {
	TrainConfig
	optimizer *optimizer
	gradients *model.Gradients
	trace     *model.Trace
	loss      *headLoss
	pass      pass
	dHidden   []float32
	teacher   teacherPass
	clear     bool // the gradients are zero, as an update leaves them
	tokens    int
}

func newTrainer(c TrainConfig) (*trainer, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if !c.Objective.needsTeacher() {
		c.Teacher = nil
	}
	if c.Teacher != nil && c.Precision == kernels.BFloat16 {
		c.Teacher = c.Teacher.InBFloat16()
	}
	if c.Beta1 == 0 {
		c.Beta1 = 0.9
	}
	if c.Beta2 == 0 {
		c.Beta2 = 0.95
	}
	if c.Clip == 0 {
		c.Clip = 1
	}
	if c.PassTokens == 0 {
		c.PassTokens = passTokens
	}
	t := &trainer{TrainConfig: c, optimizer: newOptimizer(c.Student)}
	if err := checkExamples(c.Validation, t.vocab(), t.positions()); err != nil {
		return nil, fmt.Errorf("validation %w", err)
	}
	if n := countAll(c.Validation); len(c.Validation) > 0 && n.answers == 0 {
		return nil, fmt.Errorf("none of the %d validation examples has an answer token", len(c.Validation))
	}
	t.gradients = model.NewGradients(c.Student)
	t.trace = model.NewTrace(c.Student, 0, model.TraceOptions{Precision: c.Precision, Checkpoint: c.Checkpoint})
	t.loss = newHeadLoss(c.Objective, c.Student, c.Teacher, c.ChunkRows, c.Precision)
	return t, nil
}

// passTokens is how many tokens go through a model at once unless the caller says otherwise.
const passTokens = 512

func (c *TrainConfig) check() error {
	if err := c.Objective.Validate(); err != nil {
		return err
	}
	shares := func(x float64) bool { return x >= 0 && x < 1 }
	switch {
	case c.Student == nil:
		return fmt.Errorf("there is no student")
	case c.Objective.needsTeacher() && c.Teacher == nil:
		return fmt.Errorf("objective %s needs a teacher", c.Objective)
	case c.Teacher == c.Student:
		return fmt.Errorf("the teacher is the student itself: it would change with every step; give a clone")
	case c.Batches == nil:
		return fmt.Errorf("there are no batches")
	case c.Steps < 1:
		return fmt.Errorf("%d steps, expected at least 1", c.Steps)
	case c.WarmUp < 0 || c.WarmUp > c.Steps:
		return fmt.Errorf("warm-up of %d steps, expected 0 to the %d of the run", c.WarmUp, c.Steps)
	case !(c.LearningRate > 0) || math.IsInf(c.LearningRate, 0):
		return fmt.Errorf("learning rate %v, expected a number above 0", c.LearningRate)
	case !(c.Floor >= 0 && c.Floor <= 1):
		return fmt.Errorf("learning-rate floor %v, expected a share from 0 to 1", c.Floor)
	case !(c.WeightDecay >= 0) || math.IsInf(c.WeightDecay, 0):
		return fmt.Errorf("weight decay %v, expected 0 or more", c.WeightDecay)
	case !shares(c.Beta1) || !shares(c.Beta2):
		return fmt.Errorf("AdamW betas %v and %v, expected shares from 0 to below 1", c.Beta1, c.Beta2)
	case !(c.Clip >= 0):
		return fmt.Errorf("clipping norm %v, expected 0 or more", c.Clip)
	case c.PassTokens < 0 || c.ChunkRows < 0 || c.EvalEvery < 0:
		return fmt.Errorf("pass of %d tokens, chunk of %d rows, evaluation every %d steps: expected 0 or more each", c.PassTokens, c.ChunkRows, c.EvalEvery)
	}
	return c.Student.Trainable()
}

// vocab is the vocabulary that examples may use.
func (t *trainer) vocab() int { return commonVocab(t.Student, t.Teacher) }

// positions is the longest sequence that both models can read.
func (t *trainer) positions() int {
	if t.Teacher == nil {
		return t.Student.MaxPositions
	}
	return min(t.Student.MaxPositions, t.Teacher.MaxPositions)
}

// step computes the gradient of a whole batch and updates the student once.
func (t *trainer) step(step int) (Step, error) {
	batch := t.Batches(step)
	total, err := t.gradient(batch)
	if err != nil {
		return Step{}, err
	}
	s := Step{
		Step: step, Total: t.Steps, Loss: total.loss, LearningRate: t.rate(step), Validation: math.NaN(),
		CE: total.ce / float64(total.answers), Divergence: math.NaN(),
		GradNorm: math.Sqrt(kernels.SumSquares(t.gradients.Flat)),
	}
	if t.Teacher != nil {
		s.Divergence = total.divergence / float64(total.answers)
	}
	if !finite(s.Loss) || !finite(s.GradNorm) {
		return Step{}, fmt.Errorf("loss %v and gradient norm %v are not finite: a lower learning rate than %.3g or a longer warm-up may help", s.Loss, s.GradNorm, t.LearningRate)
	}
	scale := 1.0
	if s.GradNorm > t.Clip {
		scale = t.Clip / s.GradNorm
	}
	t.optimizer.update(t.gradients.Flat, &t.TrainConfig, s.LearningRate, scale)
	t.clear = true
	t.Student.Changed()
	t.tokens += countTokens(batch)
	s.Tokens = t.tokens
	if len(t.Validation) > 0 && (step == t.Steps || t.EvalEvery > 0 && step%t.EvalEvery == 0) {
		loss, _, err := Loss(t.Student, t.Validation)
		if err != nil {
			return Step{}, err
		}
		if !finite(loss) {
			return Step{}, fmt.Errorf("validation loss %v is not finite: a lower learning rate than %.3g may help", loss, t.LearningRate)
		}
		s.Validation = loss
	}
	return s, nil
}

// gradient sets the gradients to those of the objective over a whole batch, pass by pass, and
// returns its losses.
func (t *trainer) gradient(batch []Example) (sums, error) {
	if err := checkExamples(batch, t.vocab(), t.positions()); err != nil {
		return sums{}, err
	}
	n := countAll(batch)
	if !(n.answers > 0 && t.Objective.Sequence < 1) && !(n.sequence > 0 && t.Objective.Sequence > 0) {
		return sums{}, fmt.Errorf("batch of %d examples has no token with a loss", len(batch))
	}
	if !t.clear {
		t.gradients.Zero()
	}
	t.clear = false
	t.loss.pack(t.Student)
	var total sums
	err := eachPass(&t.pass, batch, t.PassTokens, t.Objective.Sequence > 0, func(p *pass) error {
		teacher := states{model: t.Teacher}
		if t.needsTeacher(p) {
			teacher.hidden = t.teacher.forward(t.Teacher, p.batch)
		}
		student := states{t.Student, t.trace.Forward(t.Student, p.batch)}
		dHidden := sized(&t.dHidden, len(student.hidden))
		clear(dHidden)
		t.loss.add(&total, n, p, student, teacher, dHidden, t.gradients.Head)
		t.trace.Backward(t.Student, dHidden, t.gradients)
		return nil
	})
	return total, err
}

// needsTeacher reports whether any target of a pass carries a divergence.
func (t *trainer) needsTeacher(p *pass) bool {
	return t.Teacher != nil && (len(p.answers) > 0 || t.Objective.SequenceLoss == SequenceMixture)
}

// teacherTokens is how many tokens the teacher reads at once: enough to pay for going through its
// weights, few enough for its activations to stay in the last cache. Its hidden states do not
// depend on it.
const teacherTokens = 1024

// teacherPass is the memory of a teacher's passes.
type teacherPass struct {
	hidden []float32 // [tokens, hidden]
	starts []int
}

// forward returns the hidden states of a batch, valid until the next call. It takes as many
// sequences at once as make teacherTokens, at least one.
func (p *teacherPass) forward(m *model.Model, b model.Batch) []float32 {
	hidden := sized(&p.hidden, len(b.Tokens)*m.Hidden)
	for first := 0; first+1 < len(b.Starts); {
		from, next := b.Starts[first], first+1
		p.starts = append(p.starts[:0], 0, b.Starts[next]-from)
		for next+1 < len(b.Starts) && b.Starts[next+1]-from <= teacherTokens {
			next++
			p.starts = append(p.starts, b.Starts[next]-from)
		}
		to := b.Starts[next]
		m.ForwardInto(hidden[from*m.Hidden:to*m.Hidden], model.Batch{Tokens: b.Tokens[from:to], Starts: p.starts}, nil)
		first = next
	}
	return hidden
}

func countTokens(batch []Example) (n int) {
	for _, e := range batch {
		n += len(e.Tokens)
	}
	return n
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
