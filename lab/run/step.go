package run

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"time"

	"slimlab/kd"
	"slimlab/lab"
	"slimlab/lab/scenario"
	"slimlab/lab/store"
	"slimlab/model"
	"slimlab/pruning"
	"slimlab/quant"
)

// worker works on one cell.
type worker struct {
	run    *Run
	cell   *scenario.Cell
	stage  string // the step that is being worked on
	data   *dataset
	models map[string]*artifactModel // of loaded models and finished steps, by name
	base   *measured                 // the baseline row, once it is measured
	early  []*measured               // rows that were measured before the baseline
	ticked time.Time
}

func (w *worker) work(ctx context.Context) (err error) {
	w.stage = "data"
	w.progress(0, 0, "")
	if w.data, err = w.run.dataset(w.cell.Point); err != nil {
		return err
	}
	for _, s := range w.cell.Point.Steps {
		w.stage = s.Name
		w.ticked = time.Time{}
		w.progress(0, 0, "")
		if err := w.step(ctx, s); err != nil {
			return fmt.Errorf("step %s: %w", s.Name, err)
		}
	}
	return nil
}

// step makes a step's model, or finds it, and measures it.
func (w *worker) step(ctx context.Context, s scenario.Step) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j, err := w.job(ctx, s)
	if err != nil {
		return err
	}
	dir := ""
	if j.build != nil {
		var made bool
		dir, made, err = w.run.artifact(j.model.key, s.Kind+" "+s.Name, j.build)
		if err != nil {
			return err
		}
		j.model.open(os.DirFS(dir))
		if made && j.after != nil {
			if err := j.after(dir); err != nil {
				return err
			}
		}
	}
	w.models[s.Name] = j.model
	return w.measure(ctx, s, j.model, dir)
}

// job is what a step comes down to: the artifact that its model will be, and how to make it.
type job struct {
	model *artifactModel
	build func(dir string) error // nil when the model is there already: a baseline
	after func(dir string) error // what to tell of an artifact that this run made
}

// job plans a step. It computes nothing that takes time, so that a plan can be checked without running it.
func (w *worker) job(ctx context.Context, s scenario.Step) (job, error) {
	switch work := s.Work.(type) {
	case *scenario.Baseline:
		m, err := w.weights(work.Model)
		return job{model: m}, err
	case *scenario.Train:
		return w.train(ctx, s, &work.Training, nil, kd.Objective{CE: 1, Sequence: work.Sequence})
	case *scenario.Distil:
		objective, err := kd.ParseObjective(work.Loss)
		if err != nil {
			return job{}, err
		}
		objective.CE, objective.Sequence, objective.Temperature = work.CE, work.Sequence, work.Temperature
		teacher, err := w.weights(work.Teacher)
		if err != nil {
			return job{}, err
		}
		return w.train(ctx, s, &work.Training, teacher, objective)
	case *scenario.Prune:
		return w.prune(ctx, s, work)
	case *scenario.Quantize:
		return w.quantize(ctx, s, work)
	}
	panic(fmt.Sprintf("run: step of kind %q", s.Kind))
}

// trainFacts are kept with a trained model.
type trainFacts struct {
	Tokens  int     `json:"tokens"`
	Seconds float64 `json:"seconds"`
	Loss    float64 `json:"loss"`
}

// weights finds the model of an earlier step or opens a loaded one.
func (w *worker) weights(name string) (*artifactModel, error) {
	if m, ok := w.models[name]; ok {
		return m, nil
	}
	model, ok := w.cell.Point.Model(name)
	if !ok || model.Fresh() {
		return nil, fmt.Errorf("model %s has no weights", name)
	}
	m, err := w.run.lab.loadModel(model.Load)
	if err != nil {
		return nil, err
	}
	w.models[name] = m
	return m, nil
}

// shape is the config of a fresh model for the task.
func (w *worker) shape(m scenario.Model) model.Config {
	return model.Config{
		Architecture: "LlamaForCausalLM",
		Vocab:        w.data.tokenizer.Vocab(),
		Hidden:       m.Hidden,
		HeadDim:      m.HeadDim,
		Layers:       model.Uniform(m.Layers, m.Heads, m.KVHeads, m.MLP),
		MaxPositions: w.data.positions,
		RopeTheta:    m.RopeTheta,
		NormEps:      1e-5,
		TiedHead:     m.Tied,
		BOS:          int(w.data.tokenizer.BOS()),
		EOS:          int(w.data.tokenizer.EOS()),
	}
}

// start returns what names the weights that training starts from, and how to make them.
func (w *worker) start(s scenario.Step, into string) (key string, origin model.Config, fresh func() (*model.Model, error), err error) {
	if shape, ok := w.cell.Point.Model(into); ok && into != "" && shape.Fresh() {
		config := w.shape(shape)
		fresh = func() (*model.Model, error) {
			m, err := model.New(config)
			if err != nil {
				return nil, err
			}
			m.Init(rand.New(rand.NewPCG(uint64(w.cell.Seed), 1)))
			return m, nil
		}
		return shape.Recipe(), config, fresh, config.Validate()
	}
	from := s.From
	if into != "" {
		from = into
	}
	source, err := w.weights(from)
	if err != nil {
		return "", model.Config{}, nil, err
	}
	fresh = func() (*model.Model, error) {
		m, err := source.load()
		if err != nil {
			return nil, err
		}
		if err := m.Trainable(); err != nil {
			return nil, fmt.Errorf("%s cannot be trained: %w", from, err)
		}
		return m.Clone(), nil
	}
	return source.key, source.origin, fresh, nil
}

// train plans supervised training, or with a teacher distillation.
func (w *worker) train(ctx context.Context, s scenario.Step, t *scenario.Training, teacher *artifactModel, objective kd.Objective) (job, error) {
	from, origin, fresh, err := w.start(s, t.Into)
	if err != nil {
		return job{}, err
	}
	teacherKey := ""
	if teacher != nil {
		teacherKey = teacher.key
	}
	key := store.Key(s.Kind, trainVersion, s.Recipe(), objective.Formula(), from, teacherKey, w.data.key, fmt.Sprint(w.cell.Seed))
	build := func(dir string) error {
		student, err := fresh()
		if err != nil {
			return err
		}
		config := kd.TrainConfig{
			Student: student, Objective: objective,
			Batches: w.data.batches(uint64(w.cell.Seed), t.Batch, t.Data),
			Steps:   t.Steps, LearningRate: t.LearningRate, WarmUp: t.Warmup, Floor: t.MinLearningRate,
			WeightDecay: t.WeightDecay, Clip: t.Clip, EvalEvery: t.Every,
		}
		if t.Clip == 0 {
			config.Clip = math.Inf(1)
		}
		if teacher != nil {
			if config.Teacher, err = teacher.load(); err != nil {
				return err
			}
		}
		if w.data.recsys == nil || t.Every > 0 {
			config.Validation = w.data.validation(w.cell.Point.Evaluate.Validation)
			if t.Every == 0 {
				config.EvalEvery = max(1, t.Steps/20)
			}
		}
		facts, err := w.runTraining(ctx, config)
		if err != nil {
			return err
		}
		student.Changed()
		return saveModel(dir, student, w.data, facts)
	}
	return job{model: &artifactModel{key: key, origin: origin}, build: build}, nil
}

// runTraining trains and reports curves. While a timing is taken elsewhere in the run, training pauses between steps.
func (w *worker) runTraining(ctx context.Context, config kd.TrainConfig) (trainFacts, error) {
	every := max(1, config.Steps/pointsPerCurve)
	quiet := &w.run.quiet
	quiet.RLock()
	defer quiet.RUnlock()
	start, paused := time.Now(), time.Duration(0)
	result, err := kd.Train(ctx, config, func(s kd.Step) {
		if s.Step%every == 0 || s.Step == s.Total {
			w.point("loss", s.Step, s.Loss)
			if config.Teacher != nil {
				w.point("divergence", s.Step, s.Divergence)
			}
		}
		if !math.IsNaN(s.Validation) {
			w.point("validation", s.Step, s.Validation)
		}
		w.progress(s.Step, s.Total, "")
		quiet.RUnlock()
		before := time.Now()
		quiet.RLock()
		paused += time.Since(before)
	})
	if err != nil {
		return trainFacts{}, err
	}
	return trainFacts{Tokens: result.Last.Tokens, Seconds: (time.Since(start) - paused).Seconds(), Loss: result.Last.Loss}, nil
}

// pointsPerCurve bounds what a curve adds to a run's log.
const pointsPerCurve = 400

func (w *worker) prune(ctx context.Context, s scenario.Step, p *scenario.Prune) (job, error) {
	method, err := pruning.ParseMethod(p.Method)
	if err != nil {
		return job{}, err
	}
	source, err := w.weights(s.From)
	if err != nil {
		return job{}, err
	}
	seed := uint64(0)
	if method == pruning.Random {
		seed = uint64(w.cell.Seed)
	}
	key := store.Key(s.Kind, pruneVersion, s.Recipe(), source.key, w.data.key, fmt.Sprint(seed))
	build := func(dir string) error {
		return w.compress(p.Calibration, source, func(m *model.Model, sequences [][]int32) error {
			options := pruning.Options{Method: method, MLP: pruning.Cut{Ratio: p.MLP}, Heads: pruning.Cut{Ratio: p.Heads}, Align: p.Align, Seed: seed}
			small, report, err := pruning.Prune(ctx, m, sequences, options, func(s pruning.Step) { w.progress(s.Done, s.Total, "") })
			if err != nil {
				return err
			}
			return saveModel(dir, small, w.data, report)
		})
	}
	after := func(dir string) error {
		var report pruning.Report
		if err := readFacts(dir, &report); err != nil {
			return err
		}
		// Papers mix up the bases of a ratio, so all are told.
		w.run.note(w.cell.ID, lab.Info, fmt.Sprintf("%s: %s cut %.1f%% of MLP neurons, %.1f%% of KV heads, %.1f%% of all parameters",
			s.Name, report.Method, report.Neurons.Cut(), report.KVGroups.Cut(), report.Parameters.Cut()))
		w.warnings(report.Warnings)
		return nil
	}
	return job{&artifactModel{key: key, origin: source.origin}, build, after}, nil
}

func (w *worker) quantize(ctx context.Context, s scenario.Step, q *scenario.Quantize) (job, error) {
	scheme, err := quant.ParseScheme(q.Scheme)
	if err != nil {
		return job{}, err
	}
	if scheme.Bits == 4 && scheme.Group == 0 {
		scheme.Group = q.Group
	}
	source, err := w.weights(s.From)
	if err != nil {
		return job{}, err
	}
	key := store.Key(s.Kind, quantizeVersion, s.Recipe(), source.key, w.data.key)
	build := func(dir string) error {
		return w.compress(q.Calibration, source, func(m *model.Model, sequences [][]int32) error {
			if !scheme.GPTQ {
				sequences = nil // round to nearest looks at no data
			}
			small, report, err := quant.Quantize(ctx, m, sequences, quant.Options{Scheme: scheme}, func(s quant.Step) { w.progress(s.Done, s.Total, "") })
			if err != nil {
				return err
			}
			return saveModel(dir, small, w.data, report)
		})
	}
	after := func(dir string) error {
		var report quant.Report
		if err := readFacts(dir, &report); err != nil {
			return err
		}
		w.warnings(report.Warnings)
		return nil
	}
	return job{&artifactModel{key: key, origin: source.origin}, build, after}, nil
}

// compress loads what a one-shot method needs and runs it while no timing is taken.
func (w *worker) compress(c scenario.Calibration, source *artifactModel, method func(*model.Model, [][]int32) error) error {
	sequences, err := w.data.calibration(c)
	if err != nil {
		return err
	}
	m, err := source.load()
	if err != nil {
		return err
	}
	w.run.quiet.RLock()
	defer w.run.quiet.RUnlock()
	return method(m, sequences)
}

func (w *worker) warnings(texts []string) {
	for _, t := range texts {
		w.run.note(w.cell.ID, lab.Warning, w.stage+": "+t)
	}
}

// progress tells where the cell stands, at most ten times a second.
func (w *worker) progress(step, total int, text string) {
	now := time.Now()
	if step < total && now.Sub(w.ticked) < 100*time.Millisecond {
		return
	}
	w.ticked = now
	w.run.emit(lab.Event{Kind: lab.KindCell, Cell: w.cell.ID, State: lab.Running, Stage: w.stage, Step: step, Total: total, Text: text})
}

func (w *worker) point(series string, step int, value float64) {
	w.run.emit(lab.Event{Kind: lab.KindPoint, Cell: w.cell.ID, Stage: w.stage, Name: w.stage + "." + series, Step: step, Value: value})
}
