package run

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"slimlab/internal/nearest"
	"slimlab/kd"
	"slimlab/kernels"
	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/rollout"
	"slimlab/lab/scenario"
	"slimlab/model"
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
	Through  through  `json:",omitzero" key:"through" default:"none" omit:"default" doc:"number format that the weights are rounded to while they are trained, with scales that are learned: w8a8, w4a16, w4a16-asym or w4a8, the last three with groups such as w4a16-g32; the step leaves packed weights"`
}

type through string

// IsZero reports the default.
func (t through) IsZero() bool { return t == "" || t == "none" }

// throughs are the formats that training rounds to.
var throughs = []string{"w8a8", "w4a16", "w4a16-asym", "w4a8"}

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

// Check implements scenario.Checker.
func (t *Training) Check(_ func(key string) bool, bad func(key, with, format string, args ...any)) {
	if t.Warmup > t.Steps {
		bad("warmup", "steps", "is %d, expected at most the %d steps of the step", t.Warmup, t.Steps)
	}
	if _, err := t.Through.scheme(); err != nil {
		bad("through", "", "is %s: %v", t.Through, err)
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
}

// trainVersion is that of the code below and of package kd: raise it when they compute other
// weights.
const trainVersion = 3

// Describe says what the step does.
func (t *Train) Describe(from string) string {
	return fmt.Sprintf("train %s on labels%s, %d steps of %d", t.student(from), t.describeThrough(), t.Steps, t.Batch)
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

func (t *Train) plan(ctx context.Context, w *worker, s scenario.Step) (job, error) {
	return w.train(ctx, s, &t.Training, nil, kd.Objective{CE: 1, Sequence: t.Sequence}, Samples{})
}

// trainFacts are stored with a trained model.
type trainFacts struct {
	Tokens  int     `json:"tokens"`
	Seconds float64 `json:"seconds"`
	Loss    float64 `json:"loss"`
	Run     string  `json:"run"` // that took the time
	observed
	// Curves is nil in artifacts of earlier versions.
	Curves []keptCurve `json:"curves,omitempty"`
}

// start is what training starts from.
type start struct {
	key    string        // of the weights, empty for a fresh shape
	fresh  recipe.Values // the parameters of a fresh shape
	origin model.Config  // as in artifactModel
	shape  model.Config
	model  func(ctx context.Context) (*model.Model, error) // the caller may change it
}

// start opens what a training step starts from: the model named into, else the step's own.
func (w *worker) start(s scenario.Step, into string) (*start, error) {
	if shape, ok := w.cell.Point.Model(into); ok && into != "" && shape.Fresh() {
		return w.fresh(shape)
	}
	from := s.From
	if into != "" {
		from = into
	}
	source, err := w.weights(from)
	if err == nil {
		err = source.checkFloat("trained")
	}
	if err != nil {
		return nil, err
	}
	return &start{key: source.key, origin: source.origin, shape: source.shape, model: func(ctx context.Context) (*model.Model, error) {
		m, err := source.load(ctx)
		if err != nil {
			return nil, err
		}
		if err := m.Trainable(); err != nil {
			return nil, fmt.Errorf("%s cannot be trained: %w", from, err)
		}
		return m.Clone(), nil
	}}, nil
}

// fresh starts from random weights.
func (w *worker) fresh(shape scenario.Model) (*start, error) {
	config := w.data.shape(shape)
	return &start{fresh: recipe.Of(shape), origin: config, shape: config, model: func(context.Context) (*model.Model, error) {
		m, err := model.New(config)
		if err != nil {
			return nil, err
		}
		m.Init(rand.New(rand.NewPCG(uint64(w.cell.Seed), 1)))
		return m, nil
	}}, config.Validate()
}

// train plans supervised training, or with a teacher distillation.
func (w *worker) train(ctx context.Context, s scenario.Step, t *Training, teacher *artifactModel, objective kd.Objective, samples Samples) (job, error) {
	from, err := w.start(s, t.Into)
	if err == nil {
		err = checkTrainable(t.student(s.From), from.shape)
	}
	if err != nil {
		return job{}, err
	}
	if err := w.checkSamples(samples); err != nil {
		return job{}, err
	}
	scheme, err := t.Through.scheme()
	if err == nil && t.Packs() {
		err = checkThrough(scheme, from.shape)
	}
	if err != nil {
		return job{}, keyError{"through", fmt.Errorf("is %s: %w", t.Through, err)}
	}
	if n := w.data.TrainSize(); n > 0 && t.Data > n {
		w.run.noteOnce(lab.Info, fmt.Sprintf("%s: data is %d, and there are %d training examples: all are used", s.Name, t.Data, n))
	}
	of := w.data.recipe(s.Kind, trainVersion)
	of.Parameters, of.Seed = recipe.Of(s.Work), uint64(w.cell.Seed)
	if from.fresh != nil {
		of.Parameters["shape"] = from.fresh
	} else {
		of.Inputs["model"] = from.key
	}
	if teacher != nil {
		of.Inputs["teacher"] = teacher.key
	}
	build := func(dir string) error {
		student, err := from.model(ctx)
		if err != nil {
			return err
		}
		config := kd.TrainConfig{
			Student: student, Objective: objective,
			Next:  w.data.batches(uint64(w.cell.Seed), t.Batch, t.Data),
			Steps: t.Steps, LearningRate: t.LearningRate, WarmUp: t.Warmup, Floor: t.MinLearningRate,
			WeightDecay: t.WeightDecay, Clip: t.Clip, EvalEvery: t.Every, Recompute: t.Checkpoint, KeepBest: t.KeepBest,
			Schedule: kd.Schedule(max(0, slices.Index(kd.Schedules(), string(t.Schedule)))), Decay: t.Decay, Patience: t.Patience,
		}
		if t.Precision == kernels.BFloat16.String() {
			config.Precision = kernels.BFloat16
		}
		if t.Clip == 0 {
			config.Clip = math.Inf(1)
		}
		var writes *model.Model // beside the student
		if teacher != nil {
			of, err := teacher.load(ctx)
			if err != nil {
				return err
			}
			config.Teacher = kd.NewModelTeacher(of, config.Precision)
			writes = of
		}
		sampler, err := w.sampler(samples, config.Next, student, writes)
		if err != nil {
			return err
		}
		if sampler != nil {
			defer sampler.Close()
			config.Next = sampler.Next
		}
		if w.data.recsys == nil || t.Every > 0 || t.KeepBest || t.Patience > 0 {
			config.Validation = w.data.validation(w.cell.Point.Evaluate.Validation)
			if t.Every == 0 {
				config.EvalEvery = max(1, t.Steps/20)
			}
		}
		var learned *quant.LearnedScales
		if t.Packs() {
			if learned, err = quant.NewLearnedScales(student, quant.Uniform(scheme), kernels.Float32); err != nil {
				return err
			}
			config.Rounding = learned
		}
		facts, scales, err := w.runTraining(ctx, of, config, sampler)
		if err == nil && learned != nil {
			err = learned.Pack(student, scales)
		}
		if err != nil {
			return err
		}
		return saveModel(ctx, dir, student, w.data, facts)
	}
	speed := func(dir string, row *measured) error {
		var facts trainFacts
		if err := readFacts(dir, &facts); err != nil {
			return err
		}
		if facts.Run != w.run.ID && w.run.options.Retime {
			w.run.noteOnce(lab.Info, "training speeds are not measured again: they are of the runs that trained the models")
		}
		row.values["train_tokens_per_s"] = lab.Measure{Value: float64(facts.Tokens) / facts.Seconds, Warning: w.timed(row, facts.timing("train", facts.Run))}
		return nil
	}
	reused := func(dir string) error { return w.showCurves(s.Name, dir) }
	return job{model: stepModel(s, of, from.origin, from.shape), build: build, trains: true, reused: reused, measures: speed}, nil
}

// checkThrough reports a format that a model of a shape cannot have.
func checkThrough(scheme quant.Scheme, c model.Config) error {
	frame, err := model.Skeleton(c)
	if err == nil {
		_, err = quant.Uniform(scheme).Schemes(frame)
	}
	return err
}

// runTraining trains and reports curves; scales are what a rounding has learned. Between steps it
// lets a timing be taken: that need not wait for the end of a training. A training that an earlier
// run of the same recipe left unfinished goes on where its state was saved.
func (w *worker) runTraining(ctx context.Context, of recipe.Recipe, config kd.TrainConfig, sampler *rollout.Sampler) (facts trainFacts, scales []float32, err error) {
	var around observed
	end := w.run.observe(ctx)
	paused := time.Duration(0)
	kept := &keptCurves{}
	curves := curves{every: max(1, config.Steps/pointsPerCurve), distils: config.Teacher != nil, point: func(series string, step int, value float64) {
		kept.add(series, step, value)
		w.point(series, step, value)
	}}
	trainer, err := kd.NewTrainer(config)
	if err != nil {
		return trainFacts{}, nil, fmt.Errorf("train: %w", err)
	}
	if err := w.signal(ctx, trainer, config); err != nil {
		return trainFacts{}, nil, fmt.Errorf("train: %w", err)
	}
	state := w.trainingState(of, trainer, &curves, kept)
	before, err := state.restore(ctx)
	if err != nil {
		return trainFacts{}, nil, err
	}
	start := time.Now()
	var written rollout.Stats
	for !trainer.Done() {
		s, err := trainer.Step(ctx)
		took := before + time.Since(start) - paused
		if err != nil {
			state.keep(took)
			return trainFacts{}, nil, fmt.Errorf("train: %w", err)
		}
		curves.add(s)
		text := ""
		if sampler != nil {
			written = w.sampled(sampler, s.Step, curves.every, written)
			text = fmt.Sprintf("%s of answers end, %.0f tokens", percent(written.EndRate()), written.Length())
		}
		w.progress(s.Step, s.Total, text)
		around.Beside = around.Beside || w.run.computing.Load() > 1
		paused += state.tick(took) + w.run.pause()
	}
	trainer.RestoreBest()
	result := trainer.Result()
	if result.Stopped {
		w.run.note(w.cell.ID, lab.Info, fmt.Sprintf("%s: stopped after step %d of %d: no lower validation loss than %.4f, of step %d, in %d evaluations",
			w.stage, result.Last.Step, config.Steps, result.BestValidation, result.BestStep, config.Patience))
	}
	took := before + time.Since(start) - paused
	if sampler != nil {
		w.sayTime(sampler, trainer.Spent(), (took - before).Seconds())
	}
	around.add(end())
	facts = trainFacts{Tokens: result.Last.Tokens, Seconds: took.Seconds(), Loss: result.Last.Loss, Run: w.run.ID, observed: around, Curves: kept.list}
	return facts, trainer.RoundingParameters(), nil
}

// signal says what the steps minimise and what the teacher tells over the first batch. A teacher
// that tells nothing ends the training before it takes time.
func (w *worker) signal(ctx context.Context, trainer *kd.Trainer, config kd.TrainConfig) error {
	w.run.noteOnce(lab.Info, w.stage+" minimises "+config.Objective.Formula())
	for _, note := range config.Objective.Notes() {
		w.run.noteOnce(lab.Warning, w.stage+": "+note)
	}
	if config.Teacher == nil {
		return nil
	}
	s, err := trainer.Signal(ctx, w.data.eos)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%s: first batch: %d examples of %d tokens, %d of them answers", w.stage, s.Examples, s.Tokens, s.Answers)
	if s.Masked > 0 {
		text += fmt.Sprintf(", %d of these masked", s.Masked)
	}
	if s.Sampled > 0 {
		text += fmt.Sprintf("; the student wrote %d of the answers", s.Sampled)
	}
	if w.data.eos >= 0 {
		text += fmt.Sprintf("; %d answers end with %q", s.Ended, w.data.tokenizer.Token(w.data.eos))
	}
	w.run.noteOnce(lab.Info, fmt.Sprintf("%s; divergence %.4g nats an answer token, its gradient's norm %.3g", text, s.Divergence, s.GradNorm))
	if s.Equal {
		w.run.noteOnce(lab.Warning, w.stage+": the teacher is the student, weight for weight: the divergence is 0 until the labels change the student")
	}
	return nil
}

// curves makes the points of a training's curves from its steps.
type curves struct {
	every   int  // steps, of which a point is the mean
	distils bool // there is a divergence
	point   func(series string, step int, value float64)
	// sums since the last point: a point of one step would be all noise of its batch
	loss, divergence, steps float64
}

func (c *curves) add(s kd.StepReport) {
	c.loss, c.divergence, c.steps = c.loss+s.Loss, c.divergence+s.Divergence, c.steps+1
	if s.Step%c.every == 0 || s.Step == s.Total {
		c.point("loss", s.Step, c.loss/c.steps)
		if c.distils {
			c.point("divergence", s.Step, c.divergence/c.steps)
		}
		c.loss, c.divergence, c.steps = 0, 0, 0
	}
	if !math.IsNaN(s.Validation) {
		c.point("validation", s.Step, s.Validation)
	}
}

// pointsPerCurve bounds what a curve adds to a run's log, and says over how many steps a point is
// the mean.
const pointsPerCurve = 200
