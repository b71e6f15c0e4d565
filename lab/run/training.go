package run

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"slimlab/internal/plural"
	"slimlab/kd"
	"slimlab/kd/teachercache"
	"slimlab/kernels"
	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/rollout"
	"slimlab/lab/scenario"
	"slimlab/model"
	"slimlab/quant"
)

// training is a planned step that trains: from which weights, on which losses, by which teacher.
type training struct {
	*worker
	step      scenario.Step
	keys      *Training
	seed      uint64
	data      *dataset // that it learns from: the worker's, or another world's, with its weights
	from      *start
	scheme    quant.Scheme // that the weights are rounded to
	objective kd.Objective
	teaching  *teaching // nil where there are labels alone
	samples   Samples
	of        recipe.Recipe
	trial     *trial // of a search; nil where the training is the step's own
	outages   outageLog
}

// trainFacts are stored with a trained model.
type trainFacts struct {
	Tokens  int     `json:"tokens"`
	Seconds float64 `json:"seconds"`
	Loss    float64 `json:"loss"`
	Run     string  `json:"run"` // that took the time
	// the file that the model learned from; nil where it asked the teacher
	Cache *cacheFacts `json:"cache,omitempty"`
	observed
	// Curves is nil in artifacts of earlier versions.
	Curves []keptCurve `json:"curves,omitempty"`
	// Validated is how many examples all of the validation curve is over; 0 is not known, or none.
	Validated int `json:"validated,omitempty"`
	// Samples are a few of the answers that were sampled; nil in artifacts of earlier versions.
	Samples []keptSample `json:"samples,omitempty"`
}

// train plans supervised training, or by a teacher distillation.
func (w *worker) train(ctx context.Context, s scenario.Step, keys *Training, teaching *teaching, objective kd.Objective, samples Samples) (*training, error) {
	t := &training{worker: w, step: s, keys: keys, seed: uint64(w.cell.Seed), data: w.data, objective: objective, teaching: teaching, samples: samples}
	if keys.Seed != 0 {
		t.seed = uint64(keys.Seed)
	}
	t.objective.Hidden.Seed = t.seed
	var err error
	if t.from, err = w.start(s, keys.Into, t.seed); err == nil {
		err = checkTrainable(keys.student(s.From), t.from.shape)
	}
	if err != nil {
		return nil, err
	}
	if err := w.checkSamples(samples); err != nil {
		return nil, err
	}
	if t.scheme, err = keys.Through.scheme(); err == nil && keys.Packs() {
		err = checkThrough(t.scheme, t.from.shape)
	}
	if err != nil {
		return nil, keyError{"through", fmt.Errorf("is %s: %w", keys.Through, err)}
	}
	if keys.World != 0 {
		if t.data, err = w.run.elsewhere(ctx, w.data, w.cell.Point, keys.World); err != nil {
			return nil, keyError{"world", err}
		}
	}
	if t.data, err = t.data.weighted(keys.TaskWeights); err != nil {
		return nil, keyError{"task_weights", err}
	}
	if teaching != nil && teaching.expected {
		if _, err := t.data.expected(); err != nil {
			return nil, err
		}
	}
	if n := t.data.TrainSize(); n > 0 && keys.Data > n {
		w.run.noteOnce(lab.Info, fmt.Sprintf("%s: data is %d, and there are %d training examples: all are used", s.Name, keys.Data, n))
	}
	t.of = t.data.recipe(s.Kind, trainVersion)
	t.of.Parameters, t.of.Seed = recipe.Of(s.Work), t.seed
	delete(t.of.Parameters, "seed") // the same training, whoever says its seed
	delete(t.of.Parameters, "world")
	if keys.Packs() {
		t.of.Parameters["scales"] = "bfloat16" // they were float32 once
	}
	if t.from.fresh != nil {
		t.of.Parameters["shape"] = t.from.fresh
	} else {
		t.of.Inputs["model"] = t.from.key
	}
	if teaching != nil {
		teaching.decide(&t.of)
	}
	return t, nil
}

// checkThrough reports a format that a model of a shape cannot have.
func checkThrough(scheme quant.Scheme, c model.Config) error {
	frame, err := model.Skeleton(c)
	if err != nil {
		return err
	}
	if _, err = quant.Uniform(scheme).Schemes(frame); err != nil && scheme.HasGroups() && !scheme.Channel {
		err = fmt.Errorf("%w; %s", err, expectedGroups(quant.Groups(frame)))
	}
	return err
}

// job is the training as the work of its step.
func (t *training) job(ctx context.Context) job {
	return job{
		model: stepModel(t.step, t.of, t.from.origin, t.from.shape),
		build: func(dir string) error { return t.build(ctx, dir) },
		built: func() { t.run.forgetState(t.of) }, measures: t.measures,
		reused:  func(dir string) error { return t.showCurves(t.step.Name, dir) },
		prepare: func() error { return t.prepare(ctx) }, prepares: t.prepares,
	}
}

// prepare makes what the training reads, without the lock of computing.
func (t *training) prepare(ctx context.Context) error {
	if t.teaching == nil || t.teaching.cache == nil {
		return nil
	}
	return t.prepareCache(ctx)
}

// prepares says which artifact prepare makes, "" for none, and its size at most.
func (t *training) prepares() (key string, bytes int64, err error) {
	if t.teaching == nil || t.teaching.cache == nil {
		return "", 0, nil
	}
	_, most, err := t.cacheSize(t.teaching.cache)
	return t.teaching.cache.of.Key(), most, err
}

// measures adds how fast the training was, and how large the file that it learned from.
func (t *training) measures(dir string, row *measured) error {
	var facts trainFacts
	if err := readFacts(dir, &facts); err != nil {
		return err
	}
	if facts.Run != t.run.ID && t.run.options.Retime {
		t.run.noteOnce(lab.Info, "training speeds are not measured again: they are of the runs that trained the models")
	}
	row.values["train_tokens_per_s"] = lab.Measure{Value: float64(facts.Tokens) / facts.Seconds, Warning: t.timed(row, facts.timing("train", facts.Run))}
	if facts.Cache != nil {
		row.values["cache_bytes_per_token"] = lab.Measure{Value: facts.Cache.bytesPerToken(), N: facts.Cache.Rows}
	}
	return nil
}

// build trains and writes the model to a folder.
func (t *training) build(ctx context.Context, dir string) error {
	o, err := t.open(ctx)
	if err != nil {
		return err
	}
	defer o.close()
	facts, scales, err := t.runSteps(ctx, o, t.keys.Steps)
	if err == nil && o.learned != nil {
		err = o.learned.Pack(o.config.Student, scales)
	}
	if err != nil {
		return err
	}
	if t.teaching != nil && t.teaching.cache != nil {
		facts.Cache = &t.teaching.cache.facts
	}
	return saveModel(ctx, dir, o.config.Student, t.data, facts)
}

// advance trains up to a step and keeps the state there.
func (t *training) advance(ctx context.Context, until int) error {
	o, err := t.open(ctx)
	if err != nil {
		return err
	}
	defer o.close()
	_, _, err = t.runSteps(ctx, o, until)
	return err
}

// opened is what a training works on.
type opened struct {
	config  kd.TrainConfig
	source  source               // of the teacher; the zero one without
	sampler *rollout.Sampler     // nil where no answers are sampled
	learned *quant.LearnedScales // nil where weights are not rounded
}

func (o *opened) close() {
	if o.sampler != nil {
		o.sampler.Close()
	}
	if o.source.closes != nil {
		o.source.closes()
	}
}

// open loads student and teacher.
func (t *training) open(ctx context.Context) (_ *opened, err error) {
	student, err := t.from.model(ctx)
	if err != nil {
		return nil, err
	}
	o := &opened{config: t.config(student)}
	defer func() {
		if err != nil {
			o.close()
		}
	}()
	if t.teaching != nil {
		if o.source, err = t.teaching.open(ctx, t, &o.config); err != nil {
			return nil, err
		}
		o.config.Teacher = o.source.rows
	}
	if o.sampler, err = t.sampler(o.config.Next, student, o.source); err != nil {
		return nil, err
	}
	if o.sampler != nil {
		o.config.Next = o.sampler.Next
	}
	if t.keys.Packs() {
		if o.learned, err = quant.NewLearnedScales(student, quant.Uniform(t.scheme), kernels.BFloat16); err != nil {
			return nil, err
		}
		o.config.Rounding = o.learned
	}
	return o, nil
}

// config is what package kd reads of the keys.
func (t *training) config(student *model.Model) kd.TrainConfig {
	keys := t.keys
	config := kd.TrainConfig{
		Student: student, Objective: t.objective,
		Next:  t.data.batches(t.seed, keys.Batch, keys.Data),
		Steps: keys.Steps, LearningRate: keys.LearningRate, WarmUp: keys.Warmup, Floor: keys.MinLearningRate,
		WeightDecay: keys.WeightDecay, Clip: keys.Clip, EvalEvery: keys.Every, Recompute: keys.Checkpoint, KeepBest: keys.KeepBest,
		Schedule: kd.Schedule(max(0, slices.Index(kd.Schedules(), string(keys.Schedule)))), Decay: keys.Decay, Patience: keys.Patience,
	}
	if keys.Precision == kernels.BFloat16.String() {
		config.Precision = kernels.BFloat16
	}
	if keys.Clip == 0 {
		config.Clip = math.Inf(1)
	}
	if t.data.recsys == nil || keys.Every > 0 || keys.KeepBest || keys.Patience > 0 || t.samples.Replay || t.trial != nil {
		config.Validation = t.data.validation(t.cell.Point.Evaluate.Validation)
		config.EvalEvery = keys.evaluatedEvery()
	}
	return config
}

// runSteps trains up to a step and reports curves; scales are what a rounding has learned. Between
// steps it lets a timing be taken: that need not wait for the end of a training. A training that an
// earlier run of the same recipe left unfinished goes on where its state was saved; one that is to
// end before its last step leaves its state.
func (t *training) runSteps(ctx context.Context, o *opened, until int) (facts trainFacts, scales []float32, err error) {
	config, sampler := o.config, o.sampler
	var around observed
	end := t.run.observe(ctx)
	paused := time.Duration(0)
	kept := &keptCurves{}
	curves := curves{every: max(1, config.Steps/pointsPerCurve), hidden: config.Objective.Hidden.Weight > 0, point: func(series string, step int, value float64) {
		kept.add(series, step, value)
		if t.trial == nil {
			t.point(series, step, value)
		}
	}}
	trainer, err := kd.NewTrainer(config)
	if err != nil {
		return trainFacts{}, nil, fmt.Errorf("train: %w", err)
	}
	if err := t.signal(ctx, trainer, config); err != nil {
		return trainFacts{}, nil, fmt.Errorf("train: %w", err)
	}
	shown := t.newWritten(config.Steps)
	state := t.trainingState(trainer, sampler, &curves, kept, shown)
	state.validated = len(config.Validation)
	before, err := state.restore(ctx)
	if err != nil {
		return trainFacts{}, nil, err
	}
	if sampler != nil && t.samples.Replay && state.step == 0 {
		loss, err := kd.WeightedLoss(ctx, config.Student, config.Validation)
		if err != nil {
			return trainFacts{}, nil, fmt.Errorf("train: validation before the first step: %w", err)
		}
		sampler.Validated(loss)
	}
	if t.trial != nil {
		t.trial.begin(state.step)
	}
	start := time.Now()
	var counted rollout.Stats // when points were made last
	for !trainer.Done() && trainer.Result().Last.Step < until {
		s, err := trainer.Step(ctx)
		took := before + time.Since(start) - paused
		if err != nil {
			err = fmt.Errorf("train: %w", err)
			if t.trial != nil && errors.Is(err, kd.ErrDiverged) {
				state.diverged(took, err)
			} else {
				state.keep(took, t.teaching != nil && t.teaching.remote != nil)
			}
			return trainFacts{}, nil, err
		}
		curves.add(s)
		text := ""
		if sampler != nil {
			sampler.Validated(s.Validation)
			counted = t.sampled(sampler, s.Step, &curves, counted)
			shown.add(sampler, s.Step, s.Total)
			text = lately(sampler.Late())
		}
		t.show(s, text)
		around.Beside = around.Beside || t.run.computing.Load() > 1
		paused += state.tick(took) + t.run.pause()
	}
	took := before + time.Since(start) - paused
	result := trainer.Result()
	if until < config.Steps {
		if result.Last.Step > state.step {
			state.save(took)
		}
		if result.Last.Step > state.step {
			return trainFacts{}, nil, fmt.Errorf("train: %s cannot go on later: its state after step %d was not kept", t.name(), result.Last.Step)
		}
		return trainFacts{}, nil, nil
	}
	trainer.RestoreBest()
	if result.Stopped {
		t.run.note(t.cell.ID, lab.Info, fmt.Sprintf("%s: stopped after step %d of %d: no lower validation loss than %.4f, of step %d, in %s",
			t.name(), result.Last.Step, config.Steps, result.BestValidation, result.BestStep, plural.Of(config.Patience, "evaluation")))
	}
	if sampler != nil {
		t.sayTime(sampler, trainer.Spent(), (took - before).Seconds())
	} else if t.teaching != nil && t.teaching.remote != nil && t.teaching.cache == nil {
		share := trainer.Spent().Teacher.Seconds() / max((took-before).Seconds(), 1e-9)
		t.run.note(t.cell.ID, lab.Info, fmt.Sprintf("%s: %s of the time went into the teacher's answers", t.stage, percent(share)))
	}
	t.sayOutages()
	around.add(end())
	facts = trainFacts{
		Tokens: result.Last.Tokens, Seconds: took.Seconds(), Loss: result.Last.Loss, Run: t.run.ID, observed: around,
		Curves: kept.list, Validated: state.validated, Samples: shown.list,
	}
	return facts, trainer.RoundingParameters(), nil
}

// show reports how far the training is.
func (t *training) show(s kd.StepReport, text string) {
	if t.trial != nil {
		t.trial.show(s.Step, text)
		return
	}
	t.progress(s.Step, s.Total, text)
}

// name is the step, and of a search the trial.
func (t *training) name() string {
	if t.trial != nil {
		return t.stage + ", " + t.trial.settings
	}
	return t.stage
}

// formula is what the steps minimise, by whose answers they learn from.
func (t *training) formula(o kd.Objective) string {
	answers := t.samples.origins()
	text := o.FormulaOf(answers...)
	if o.SampleShare() < 1 && slices.Equal(answers, []kd.Origin{kd.OfStudent}) {
		text += fmt.Sprintf("; its own answers are no labels: ce %v and sequence %v have no other effect than the factor", o.CE, o.Sequence)
	}
	if t.teaching != nil && !t.teaching.align.IsZero() {
		text += "; p and q are of the next byte"
	}
	if t.teaching != nil && t.teaching.expected {
		text += "; p is what the world draws its answers with"
	}
	if t.keys != nil && !t.keys.TaskWeights.IsZero() {
		text += fmt.Sprintf("; examples are weighted by task: %s", t.keys.TaskWeights)
	}
	return text
}

// signal says what the steps minimise and what the teacher tells over the first batch. A teacher
// that tells nothing ends the training before it takes time.
func (t *training) signal(ctx context.Context, trainer *kd.Trainer, config kd.TrainConfig) error {
	t.run.noteOnce(lab.Info, t.stage+" minimises "+t.formula(config.Objective))
	for _, note := range config.Objective.Notes() {
		t.run.noteOnce(lab.Warning, t.stage+": "+note)
	}
	if config.Teacher == nil {
		return nil
	}
	s, err := trainer.Signal(ctx, t.data.eos)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%s: first batch: %s of %s, %d of them answers, each learned from the row before it (targets are shifted by 1)", t.stage, plural.Of(s.Examples, "example"), plural.Of(s.Tokens, "token"), s.Answers)
	if s.Masked > 0 {
		text += fmt.Sprintf(", %d of these masked", s.Masked)
	}
	if t.teaching != nil && !t.teaching.align.IsZero() {
		text += fmt.Sprintf("; %s of them begin where a token of the teacher does, and are compared", percent(float64(s.Compared)/float64(max(1, s.Answers))))
	}
	if s.Sampled > 0 {
		text += fmt.Sprintf("; the student wrote %d of the answers", s.Sampled)
	}
	if t.data.eos >= 0 {
		text += fmt.Sprintf("; of %s the end is %q", plural.Of(s.Ended, "answer"), t.data.tokenizer.Token(t.data.eos))
	}
	of := "divergence"
	if t.teaching != nil && t.teaching.cache != nil && t.teaching.cache.spec.Codec == teachercache.Sampled {
		of = "divergence, by the file's draws,"
	}
	t.run.noteOnce(lab.Info, fmt.Sprintf("%s; %s %.4g nats an answer token, its gradient's norm %.3g", text, of, s.Divergence, s.GradNorm))
	if s.Equal {
		moved := "until the labels change the student"
		if o := config.Objective; o.CE == 0 && o.Sequence == 0 {
			moved = "and weight decay and rounding alone, which the optimizer scales up, move the student: expected another teacher"
		}
		t.run.noteOnce(lab.Warning, t.stage+": the teacher is the student, weight for weight: the divergence is 0 "+moved)
	}
	return nil
}
