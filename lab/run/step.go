package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"slimlab/lab"
	"slimlab/lab/scenario"
)

// worker works on one cell.
type worker struct {
	run     *Run
	cell    *scenario.Cell
	stage   string // the step that is being worked on
	data    *dataset
	models  map[string]*artifactModel // of loaded models and finished steps, by name
	base    *measured                 // the baseline row, once it is measured
	pending []*measured               // rows that were measured before the baseline
	// what rows that were reported have, by name
	reported map[string]map[string]lab.Measure
	at, of   int       // how far progress was told that the stage is
	ticked   time.Time // when that was emitted
	held     []func()  // release the artifacts of finished steps, which later ones read
}

// work does the cell's steps.
func (w *worker) work(ctx context.Context) error {
	defer func() {
		for _, release := range w.held {
			release()
		}
	}()
	w.stage = "data"
	w.progress(0, 0, "")
	jobs, err := w.plan(ctx)
	if err != nil {
		w.progress(0, 0, "") // whose row it is
		return err
	}
	for i, s := range w.cell.Point.Steps {
		if jobs[i].before == nil {
			continue
		}
		w.stage = s.Name
		if err := jobs[i].before(); err != nil {
			w.progress(0, 0, "")
			return w.planError(s, err)
		}
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

// plan opens the cell's data and plans all its steps, so that an error of the last one is reported
// before the first has taken an hour.
func (w *worker) plan(ctx context.Context) (jobs []job, err error) {
	point := w.cell.Point
	w.models = map[string]*artifactModel{}
	if point.Task.Kind != "" {
		if err := w.openData(ctx); err != nil {
			return nil, err
		}
	}
	for _, s := range point.Steps {
		j, err := w.job(ctx, s)
		if err != nil {
			return nil, w.planError(s, err)
		}
		if !s.Alone {
			w.models[s.Name] = j.model
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

// openData opens the task, and what its models are asked and served.
func (w *worker) openData(ctx context.Context) (err error) {
	point := w.cell.Point
	if w.data, err = w.run.dataset(ctx, point); err != nil {
		return err
	}
	if _, err := w.run.questions(ctx, point); err != nil {
		return err
	}
	if _, err := w.openQuestions(); err != nil {
		return err
	}
	_, err = w.workload(ctx)
	return err
}

// keyError is what is wrong with a key of a step, found as the step was planned: its text goes on
// from "step NAME's KEY ".
type keyError struct {
	key string
	err error
}

func (e keyError) Error() string { return e.key + " " + e.err.Error() }
func (e keyError) Unwrap() error { return e.err }

// planError says where in the scenario's file a step stands that cannot be done.
func (w *worker) planError(s scenario.Step, err error) error {
	w.stage = s.Name
	at := func(key ...string) string {
		return w.run.plan.Scenario.At(append([]string{"pipeline", s.Name}, key...)...)
	}
	var of keyError
	if errors.As(err, &of) {
		return fmt.Errorf("%s: step %s %w", at(strings.Split(of.key, ".")...), scenario.Possessive(s.Name), err)
	}
	return fmt.Errorf("%s: step %s: %w", at(), s.Name, err)
}

// step builds a step's model, or finds it, and measures it. The model is always loaded from its
// artifact.
func (w *worker) step(ctx context.Context, s scenario.Step, j job) error {
	if j.figures != nil {
		values, err := j.figures()
		if err == nil {
			w.run.emit(lab.Event{Kind: lab.KindRow, Cell: w.cell.ID, Row: s.Name, Values: values, Machine: w.run.machine})
		}
		return err
	}
	dir := ""
	if j.build != nil {
		here := false // the artifact is built by this cell
		build := func(dir string) error {
			here = true
			if j.prepare != nil {
				if err := j.prepare(); err != nil {
					return err
				}
			}
			return w.run.compute(func() error { return j.build(dir) })
		}
		a, err := w.run.artifact(ctx, j.model.recipe, s.Kind+" "+s.Name, build)
		if err != nil {
			return err
		}
		if here && j.built != nil {
			j.built()
		}
		dir = a.dir
		w.held = append(w.held, a.release)
		if !a.built {
			w.progress(0, 0, lab.FromCache)
		}
		j.model.open = folderOpener(dir)
		if !here && j.reused != nil {
			if err := j.reused(dir); err != nil {
				return err
			}
		}
		if _, reported := w.run.reported.LoadOrStore(j.model.key, true); !reported && j.report != nil {
			if err := j.report(dir); err != nil {
				return err
			}
		}
	}
	return w.measure(ctx, s, j, dir)
}

// forget releases the memory of models that no step after the i-th needs.
func (w *worker) forget(i int) {
	rest := w.cell.Point.Steps[i+1:]
	for name, m := range w.models {
		needed := slices.ContainsFunc(rest, func(s scenario.Step) bool { return slices.Contains(s.Inputs(), name) })
		if !needed && !m.shared && (w.base == nil || m != w.base.model) {
			m.forget()
		}
	}
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
	m, err := w.run.model(context.Background(), model.Load) // it was opened with the data
	if err == nil {
		err = m.checkFit(w.data)
	}
	if err != nil {
		return nil, err
	}
	w.models[name] = m
	return m, nil
}

func (w *worker) warnings(texts []string) {
	for _, t := range texts {
		w.run.note(w.cell.ID, lab.Warning, w.stage+": "+t)
	}
}

// progress emits how far the cell is, at most ten times a second.
func (w *worker) progress(step, total int, text string) {
	w.at, w.of = step, total
	now := w.run.options.Now()
	if step < total && now.Sub(w.ticked) < 100*time.Millisecond {
		return
	}
	w.ticked = now
	w.run.emit(w.far(text))
}

// far is how far progress was told that the cell is, with a text.
func (w *worker) far(text string) lab.Event {
	return lab.Event{Kind: lab.KindCell, Cell: w.cell.ID, State: lab.Running, Stage: w.stage, Step: w.at, Total: w.of, Text: text}
}

func (w *worker) point(series string, step int, value float64) {
	w.run.emit(lab.Event{Kind: lab.KindPoint, Cell: w.cell.ID, Stage: w.stage, Name: w.stage + "." + series, Step: step, Value: value})
}
