package run

import (
	"context"
	"fmt"

	"slimlab/internal/nearest"
	"slimlab/internal/plural"
	"slimlab/kd"
	"slimlab/lab/scenario"
	"slimlab/lab/task"
	"slimlab/quant"
)

// Training is what supervised training and distillation have in common.
type Training struct {
	Into            string  `key:"into" ref:"start" doc:"the model to train, instead of from; a shape gets fresh weights from the cell's seed"`
	Sequence        float64 `key:"sequence" default:"0.05" min:"0" max:"1" doc:"weight of the loss over the whole sequence; the rest is that of the answer tokens"`
	Steps           int     `key:"steps" required:"true" min:"1" max:"100000000" doc:"optimizer steps"`
	Batch           int     `key:"batch" default:"16" min:"1" max:"65536" doc:"sequences per step"`
	LearningRate    float64 `key:"learning_rate" default:"1e-3" above:"0" max:"1" doc:"peak learning rate"`
	MinLearningRate float64 `key:"min_learning_rate" default:"0.1" min:"0" max:"1" doc:"end of the cosine decay, as a share of the peak"`
	Warmup          int     `key:"warmup" default:"0" min:"0" max:"100000000" doc:"steps of linear warm-up"`
	WeightDecay     float64 `key:"weight_decay" default:"0.01" min:"0" max:"1" doc:"decoupled weight decay of the linear layers"`
	Clip            float64 `key:"clip" default:"1" min:"0" doc:"largest norm of the gradient; 0 disables clipping"`
	Precision       string  `key:"precision" default:"float32" one:"float32|bfloat16" doc:"number format of the operands of products; weights and gradients are float32"`
	Checkpoint      bool    `key:"checkpoint" default:"false" doc:"gradient checkpointing: recompute activations in the backward pass; less memory, more time, the same weights"`
	Data            int     `key:"data" default:"0" min:"0" doc:"number of distinct labelled examples; 0 is all, without limit in a generated world"`
	Every           int     `key:"every" default:"0" min:"0" doc:"steps between two evaluations of the validation loss; 0 is a twentieth of the steps"`
	KeepBest        bool    `json:",omitempty" key:"keep_best" default:"false" doc:"keep the weights with the lowest validation loss, not the last ones"`
	Later           `json:",omitzero"`
}

// Later are keys that came after models were trained and runs were logged. Where they have their
// defaults they are in no recipe and in no canonical text of a scenario, so that those models are
// still found and those runs stay comparable.
type Later struct {
	Schedule schedule `json:",omitzero" key:"schedule" default:"cosine" omit:"default" one:"cosine|linear|wsd|constant" doc:"how the learning rate falls after the warm-up: wsd stays at the peak and falls at the end"`
	Decay    float64  `json:",omitzero" key:"decay" default:"0" omit:"default" min:"0" max:"1" doc:"share of the steps over which schedule wsd falls; 0 is a fifth"`
	Patience int      `json:",omitzero" key:"patience" default:"0" omit:"default" min:"0" max:"1000000" doc:"stop after so many evaluations in a row without a lower validation loss; 0 is never"`
	Through  through  `json:",omitzero" key:"through" default:"none" omit:"default" doc:"number format that the weights are rounded to while they are trained, with scales that are learned: w8a8, w8a16, w4a16, w4a16-asym, w4a8 or w3a16, all but the first with groups such as w4a16-g32; the step leaves packed weights"`
	Search   Search   `json:",omitzero" key:"search" omit:"default" doc:"tunes settings of the step: trains it with several and keeps the one of the lowest validation loss"`
	Seed     int      `json:",omitempty" key:"seed" default:"0" omit:"default" min:"0" max:"1000000000" doc:"seed of the step's fresh weights, samples and order of the data, the same in every cell, so that they share its model; 0 is the cell's"`
	World    int      `json:",omitempty" key:"world" default:"0" omit:"default" min:"0" max:"1000000000" doc:"of a task with generated worlds: train on another world than the one that is measured, for a base that knows the language alone; 0 is the task's"`

	TaskWeights factors `json:",omitzero" key:"task_weights" list:", " default:"" omit:"default" doc:"of task recsys: factors of the tasks' losses, such as like feed=2, share feed=0.5, or as a list [like feed=2, share feed=0.5]; a task that is not named has 1. Validation losses along the training are weighted so too, the metrics are not"`
}

type factors string

// IsZero reports the default.
func (w factors) IsZero() bool { return w == "" }

type through string

// IsZero reports the default.
func (t through) IsZero() bool { return t == "" || t == "none" }

// throughs are the formats that training rounds to.
var throughs = []string{"w8a8", "w8a16", "w4a16", "w4a16-asym", "w4a8", "w3a16"}

// scheme is the format; the rounder says only that there is one.
func (t through) scheme() (quant.Scheme, error) {
	if t.IsZero() {
		return quant.Scheme{}, nil
	}
	base, _, _ := quant.CutGroup(string(t))
	if err := nearest.Check("format", base, throughs); err != nil {
		return quant.Scheme{}, err
	}
	return quant.ParseScheme(string(t))
}

type schedule string

// IsZero reports the default.
func (s schedule) IsZero() bool { return s == "" || s == "cosine" }

// CheckTask implements scenario.TaskChecker.
func (t *Training) CheckTask(kind string, bad func(key, format string, args ...any)) {
	if kind != "recsys" && !t.TaskWeights.IsZero() {
		bad("task_weights", "is %q, and the task is %s: only recsys has such tasks, expected none; a record of a file has a weight of its own by task.weight_field", t.TaskWeights, kind)
	}
}

// Check implements scenario.Checker.
func (t *Training) Check(_ func(key string) bool, bad func(key, with, format string, args ...any)) {
	if t.Warmup > t.Steps {
		bad("warmup", "steps", "is %d, expected at most the %d steps of the step", t.Warmup, t.Steps)
	}
	if _, err := t.Through.scheme(); err != nil {
		bad("through", "", "is %s: %v", t.Through, err)
	}
	if !t.TaskWeights.IsZero() {
		if _, err := task.ParseTaskWeights(string(t.TaskWeights)); err != nil {
			bad("task_weights", "", "is %q: %v", t.TaskWeights, err)
		}
	}
	if t.Decay != 0 && t.Schedule != "wsd" {
		bad("decay", "schedule", "is %v, and schedule is %s, expected wsd: no other has it", t.Decay, t.Schedule)
	}
}

// Packs reports whether the step leaves quantized weights.
func (t *Training) Packs() bool { return !t.Through.IsZero() }

// Train trains on labels: fine-tuning, or from scratch.
type Train struct {
	Training
	Labels labels `json:",omitzero" key:"labels" default:"drawn" omit:"default" one:"drawn|expected" doc:"expected: the loss on answer tokens is the divergence from the probabilities that task recsys drew them with, so that training has none of the noise of the draws"`
}

// CheckTask implements scenario.TaskChecker.
func (t *Train) CheckTask(kind string, bad func(key, format string, args ...any)) {
	t.Training.CheckTask(kind, bad)
	if kind != "recsys" && t.Labels == "expected" {
		bad("labels", "is expected, and the probabilities of the answers of task %s are not known: expected drawn, or task recsys", kind)
	}
}

// trainVersion is that of the code below and of package kd: raise it when they compute other
// weights.
const trainVersion = 3

// Describe says what the step does.
func (t *Train) Describe(from string) string {
	on := "labels"
	if !t.Labels.IsZero() {
		on = "expected labels"
	}
	return fmt.Sprintf("train %s on %s%s, %s of %d%s", t.student(from), on, t.describeThrough(), plural.Of(t.Steps, "step"), t.Batch, t.Search.describe())
}

func (t *Training) describeThrough() string {
	if !t.Packs() {
		return ""
	}
	return " through " + string(t.Through)
}

// student names the model that is trained: that of into, or the step before.
func (t *Training) student(from string) string {
	if t.Into != "" {
		return t.Into
	}
	return from
}

// Check implements scenario.Checker.
func (t *Train) Check(given func(key string) bool, bad func(key, with, format string, args ...any)) {
	t.Training.Check(given, bad)
	checkSearch(t, given, bad)
}

func (t *Training) common() *Training { return t }

func (t *Train) plan(ctx context.Context, w *worker, s scenario.Step) (job, error) {
	return w.planTraining(ctx, s, t)
}

func (t *Train) training(ctx context.Context, w *worker, s scenario.Step) (*training, error) {
	if t.Labels.IsZero() {
		return w.train(ctx, s, &t.Training, nil, kd.Objective{CE: 1, Sequence: t.Sequence}, Samples{})
	}
	return w.train(ctx, s, &t.Training, &teaching{expected: true}, kd.Objective{Divergence: kd.ForwardKL, Sequence: t.Sequence}, Samples{})
}

// planTraining plans a step that trains: once, or as a search.
func (w *worker) planTraining(ctx context.Context, s scenario.Step, work trainingWork) (job, error) {
	t, err := work.training(ctx, w, s)
	if err != nil {
		return job{}, err
	}
	if work.common().Search.IsZero() {
		return t.job(ctx), nil
	}
	search, err := w.search(ctx, s, work, t)
	if err != nil {
		return job{}, err
	}
	return search.job(ctx), nil
}
