package kd

import (
	"context"
	"errors"
	"fmt"
	"math"

	"slimlab/kernels"
	"slimlab/model"
)

// TrainConfig is one training run. Zero fields mean what their comments say.
type TrainConfig struct {
	Student   *model.Model // float32 weights, changed in place; with a Group the same on every rank
	Teacher   Teacher      // may be nil where the objective has no divergence
	Objective Objective
	Next      Batches // the losses are normalised over a whole batch, of all ranks
	Group     Group   // the ranks that train together; nil is Alone
	// Rounding, if it is not nil, rounds the student's weights: between two steps and at the end
	// the student holds the rounded ones.
	Rounding Rounding

	// of the student's matrix products; its weights, gradients and moments are float32 in either
	Precision kernels.Precision
	// keeps only the input of each layer for the backward pass and computes the rest again
	// (gradient checkpointing): less memory, a third more time, the same bits
	Recompute bool

	Steps        int
	LearningRate float64 // at its peak
	WarmUp       int     // steps of linear warm-up
	Schedule     Schedule
	Decay        float64 // share of Steps over which WarmupStableDecay decays; 0 is 0.2
	Floor        float64 // share of LearningRate at which the schedule ends, 0 to 1
	WeightDecay  float64 // decoupled; on matrices only
	Clip         float64 // largest global norm of the gradient; 0 is 1, +Inf is no clipping

	Validation []Example // may be empty; with a Group the same on every rank
	EvalEvery  int       // steps between evaluations; 0 evaluates after the last step only
	KeepBest   bool      // ends with the weights of the lowest validation loss
	// Patience ends the training early, after so many evaluations in a row without a lower
	// validation loss; 0 is never
	Patience int

	// Tests set these two, which bound memory and change nothing but rounding.
	passTokens int // tokens that go through the models at once; 0 is 512
	chunkRows  int // rows whose logits exist at once; 0 chooses about 16 MB of them
}

// StepReport says what one optimizer step did, on all ranks together. Losses are in nats.
type StepReport struct {
	Step, Total int     // from 1
	Loss        float64 // the objective
	// cross-entropy per answer token that is a label; NaN when the batch has none
	CE         float64
	Divergence float64 // per answer token that is compared; NaN without any, or a divergence
	// share of the answer tokens that are compared, by their weights; NaN without a divergence or
	// where the teacher is no Comparer
	Compared float64
	// the hidden-state loss per answer token, without its weight and units; NaN without one
	Hidden       float64
	LearningRate float64
	GradNorm     float64 // before clipping; the projections of a hidden-state loss are in it
	Tokens       int     // of the batches so far, prompts included
	// cross-entropy per answer token of the validation examples, weighted as in WeightedLoss; NaN
	// unless evaluated after this step
	Validation float64
}

var (
	// ErrDiverged is in the error of a training whose loss or gradient is no longer a finite
	// number.
	ErrDiverged = errors.New("training diverged")
	// ErrNotFinite is in the error of a training whose loss or gradient was not a finite number
	// before the first update: no setting of the training is the cause.
	ErrNotFinite = errors.New("too large to compute with")
)

// Result says how a run ended.
type Result struct {
	Last           StepReport
	BestStep       int     // 0 without a validation
	BestValidation float64 // NaN without a validation
	Stopped        bool    // early, see TrainConfig.Patience
}

// Train runs all steps of a Trainer, or those until it stops early, and calls onStep, which may be
// nil, after each, on the calling goroutine. A cancelled run returns the steps that it finished and
// an error that wraps ctx.Err(). The student then holds the weights of the last step that was
// finished, or with KeepBest and no error those of the best.
func Train(ctx context.Context, config TrainConfig, onStep func(StepReport)) (Result, error) {
	t, err := NewTrainer(config)
	if err != nil {
		return Result{BestValidation: math.NaN()}, fmt.Errorf("train: %w", err)
	}
	for !t.Done() {
		report, err := t.Step(ctx)
		if err != nil {
			return t.Result(), fmt.Errorf("train: %w", err)
		}
		if onStep != nil {
			onStep(report)
		}
	}
	t.RestoreBest()
	return t.Result(), nil
}

func (c *TrainConfig) check() error {
	if err := c.Objective.Validate(); err != nil {
		return err
	}
	switch {
	case c.Student == nil:
		return fmt.Errorf("there is no student")
	case c.Objective.needsRows() && c.Teacher == nil:
		return fmt.Errorf("objective %s needs a teacher", c.Objective)
	case c.Objective.needsTeacher() && c.Teacher == nil:
		return fmt.Errorf("the hidden-state loss of the objective needs a teacher")
	case c.teacherIs(c.Student):
		return fmt.Errorf("the teacher is the student itself: it would change with every step; give a clone")
	case c.Next == nil:
		return fmt.Errorf("there are no batches")
	case c.Steps < 1:
		return fmt.Errorf("%d steps, expected at least 1", c.Steps)
	case c.WarmUp < 0 || c.WarmUp > c.Steps:
		return fmt.Errorf("warm-up of %d steps, expected 0 to the %d of the run", c.WarmUp, c.Steps)
	case !(c.LearningRate > 0) || math.IsInf(c.LearningRate, 0):
		return fmt.Errorf("learning rate %v, expected a finite number above 0", c.LearningRate)
	case !(c.Floor >= 0 && c.Floor <= 1):
		return fmt.Errorf("learning-rate floor %v, expected a share from 0 to 1", c.Floor)
	case c.Schedule < Cosine || c.Schedule > Constant:
		return fmt.Errorf("unknown schedule %d", c.Schedule)
	case !(c.Decay >= 0 && c.Decay <= 1):
		return fmt.Errorf("decay over a share of %v of the steps, expected 0 to 1", c.Decay)
	case c.Patience < 0:
		return fmt.Errorf("patience of %d evaluations, expected 0 or more", c.Patience)
	case c.Patience > 0 && (len(c.Validation) == 0 || c.EvalEvery == 0):
		return fmt.Errorf("patience of %d evaluations, but there are none before the last step: expected validation examples and steps between evaluations", c.Patience)
	case !(c.WeightDecay >= 0) || math.IsInf(c.WeightDecay, 0):
		return fmt.Errorf("weight decay %v, expected 0 or more", c.WeightDecay)
	case !(c.Clip >= 0):
		return fmt.Errorf("clipping norm %v, expected 0 or more", c.Clip)
	case c.EvalEvery < 0:
		return fmt.Errorf("evaluation every %d steps, expected 0 or more", c.EvalEvery)
	case c.KeepBest && len(c.Validation) == 0:
		return fmt.Errorf("the best weights are to be kept, but there are no validation examples to find them by")
	}
	if checker, ok := c.Teacher.(ObjectiveChecker); ok && c.Objective.needsRows() {
		if err := checker.CheckObjective(c.Objective); err != nil {
			return fmt.Errorf("teacher: %w", err)
		}
	}
	return c.Student.Trainable()
}

// teacherIs reports whether the teacher is a model itself.
func (c *TrainConfig) teacherIs(m *model.Model) bool {
	switch t := c.Teacher.(type) {
	case *ModelTeacher:
		return t.model == m
	case *Aligned:
		return t.teacher.model == m
	}
	return false
}

// vocab is the vocabulary that examples may use.
func (c *TrainConfig) vocab() int { return commonVocab(c.Student, c.Teacher) }

// positions is the longest sequence that both models can read.
func (c *TrainConfig) positions() int {
	if c.Teacher == nil || c.Teacher.Positions() == 0 {
		return c.Student.MaxPositions
	}
	return min(c.Student.MaxPositions, c.Teacher.Positions())
}
