package run

import (
	"context"
	"fmt"
	"slices"
	"time"

	"slimlab/kd"
	"slimlab/lab"
	"slimlab/lab/scenario"
	"slimlab/model/calibrate"
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

// work does the cell's steps.
func (w *worker) work(ctx context.Context) error {
	w.stage = "data"
	w.progress(0, 0, "")
	jobs, err := w.plan(ctx)
	if err != nil {
		return err
	}
	for i, s := range w.cell.Point.Steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		w.stage = s.Name
		w.progress(0, 0, "")
		if err := w.step(ctx, s, jobs[i]); err != nil {
			return fmt.Errorf("step %s: %w", s.Name, err)
		}
		w.forget(i)
	}
	return nil
}

// plan opens the cell's data and plans all its steps, so that what is wrong with the last is told
// before the first has taken an hour.
func (w *worker) plan(ctx context.Context) (jobs []job, err error) {
	point := w.cell.Point
	w.models = map[string]*artifactModel{}
	if w.data, err = w.run.dataset(point); err != nil {
		return nil, err
	}
	if point.Serve != nil && w.data.recsys == nil {
		return nil, fmt.Errorf("serve: workload %s: found task %s, expected recsys: leave the section serve out", point.Serve.Workload, point.Task.Kind)
	}
	for _, s := range point.Steps {
		j, err := w.job(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("step %s: %w", s.Name, err)
		}
		w.models[s.Name] = j.model
		jobs = append(jobs, j)
	}
	return jobs, nil
}

// step makes a step's model, or finds it, and measures it. The model is always used as it was read
// from its artifact.
func (w *worker) step(ctx context.Context, s scenario.Step, j job) error {
	dir := ""
	if j.build != nil {
		build := func(dir string) error { return w.run.compute(func() error { return j.build(dir) }) }
		var made bool
		var err error
		dir, made, err = w.run.artifact(j.model.key, s.Kind+" "+s.Name, build)
		if err != nil {
			return err
		}
		if !made {
			w.progress(0, 0, "from the cache")
		}
		j.model.open = folderOpener(dir)
		if _, told := w.run.told.LoadOrStore(j.model.key, true); !told && j.tell != nil {
			if err := j.tell(dir); err != nil {
				return err
			}
		}
	}
	return w.measure(ctx, s, j.model, dir)
}

// forget lets the memory of models go that no step after the i-th needs.
func (w *worker) forget(i int) {
	rest := w.cell.Point.Steps[i+1:]
	for name, m := range w.models {
		needed := slices.ContainsFunc(rest, func(s scenario.Step) bool { return slices.Contains(s.Inputs(), name) })
		if !needed && !m.shared && (w.base == nil || m != w.base.model) {
			m.forget()
		}
	}
}

// job is what a step comes down to: the artifact that its model will be, and how to make it.
type job struct {
	model *artifactModel
	build func(dir string) error // nil when the model is there already: a baseline
	tell  func(dir string) error // tells what is to be known of the artifact; may be nil
}

// job plans a step. It computes nothing that takes time, so that a plan can be checked without
// running it.
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

// weights finds the model of an earlier step or opens a loaded one.
func (w *worker) weights(name string) (*artifactModel, error) {
	if m, ok := w.models[name]; ok {
		return m, nil
	}
	model, ok := w.cell.Point.Model(name)
	if !ok || model.Fresh() {
		return nil, fmt.Errorf("model %s has no weights", name)
	}
	m, err := w.run.model(model.Load)
	if err == nil {
		err = m.checkFit(w.data)
	}
	if err != nil {
		return nil, err
	}
	w.models[name] = m
	return m, nil
}

func (w *worker) prune(ctx context.Context, s scenario.Step, p *scenario.Prune) (job, error) {
	method, err := pruning.ParseMethod(p.Method)
	if err != nil {
		return job{}, err
	}
	source, err := w.weights(s.From)
	if err != nil {
		return job{}, err
	}
	if err := w.data.checkSource(p.Calibration.Source); err != nil {
		return job{}, err
	}
	seed := uint64(0)
	if method == pruning.Random {
		seed = uint64(w.cell.Seed)
	}
	key := artifactKey(s.Kind, pruneVersion, s.Recipe(), source.key, w.data.key, fmt.Sprint(seed))
	build := func(dir string) error {
		sequences, err := w.data.calibration(p.Calibration)
		if err != nil {
			return err
		}
		m, err := source.load(ctx)
		if err != nil {
			return err
		}
		layers, err := calibrate.NewInMemory(m)
		if err != nil {
			return err
		}
		cut := pruning.LayerCut{MLP: pruning.Cut{Ratio: p.MLP}, Heads: pruning.Cut{Ratio: p.Heads}}
		options := pruning.Options{Method: method, Cuts: pruning.Uniform(len(m.Layers), cut), Align: p.Align, Seed: seed}
		report, err := pruning.Prune(ctx, layers, sequences, options, func(d pruning.LayerDone) { w.progress(d.Done, d.Total, "") })
		if err != nil {
			return err
		}
		return saveModel(ctx, dir, layers.Compressed(), w.data, report)
	}
	tell := func(dir string) error {
		var report pruning.CutReport
		if err := readFacts(dir, &report); err != nil {
			return err
		}
		// Papers mix up the bases of a ratio, so all are told.
		w.run.note(w.cell.ID, lab.Info, fmt.Sprintf("%s: %s cut %.1f%% of MLP neurons, %.1f%% of KV heads, %.1f%% of all parameters",
			s.Name, report.Method, report.Neurons.Cut(), report.KVGroups.Cut(), report.Parameters.Cut()))
		w.warnings(report.Warnings)
		return nil
	}
	return job{&artifactModel{name: s.Name, key: key, origin: source.origin}, build, tell}, nil
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
	looked := ""
	if scheme.Calibrated() { // round to nearest looks at no data
		if err := w.data.checkSource(q.Calibration.Source); err != nil {
			return job{}, err
		}
		looked = fmt.Sprint(q.Calibration)
	}
	key := artifactKey(s.Kind, quantizeVersion, scheme.String(), looked, source.key, w.data.key)
	build := func(dir string) error {
		var sequences [][]int32
		if scheme.Calibrated() {
			var err error
			if sequences, err = w.data.calibration(q.Calibration); err != nil {
				return err
			}
		}
		m, err := source.load(ctx)
		if err != nil {
			return err
		}
		layers, err := calibrate.NewInMemory(m)
		if err != nil {
			return err
		}
		report, err := quant.Quantize(ctx, layers, quant.Uniform(scheme), sequences, quant.Options{}, func(d quant.LinearDone) { w.progress(d.Done, d.Total, "") })
		if err != nil {
			return err
		}
		return saveModel(ctx, dir, layers.Compressed(), w.data, report)
	}
	tell := func(dir string) error {
		var report quant.RoundingReport
		if err := readFacts(dir, &report); err != nil {
			return err
		}
		w.warnings(report.Warnings)
		return nil
	}
	return job{&artifactModel{name: s.Name, key: key, origin: source.origin}, build, tell}, nil
}

func (w *worker) warnings(texts []string) {
	for _, t := range texts {
		w.run.note(w.cell.ID, lab.Warning, w.stage+": "+t)
	}
}

// progress tells where the cell stands, at most ten times a second.
func (w *worker) progress(step, total int, text string) {
	now := w.run.options.Now()
	if step < total && now.Sub(w.ticked) < 100*time.Millisecond {
		return
	}
	w.ticked = now
	w.run.emit(lab.Event{Kind: lab.KindCell, Cell: w.cell.ID, State: lab.Running, Stage: w.stage, Step: step, Total: total, Text: text})
}

func (w *worker) point(series string, step int, value float64) {
	w.run.emit(lab.Event{Kind: lab.KindPoint, Cell: w.cell.ID, Stage: w.stage, Name: w.stage + "." + series, Step: step, Value: value})
}
