package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/home"
	"slimlab/lab/recipe"
	"slimlab/lab/scenario"
	"slimlab/lab/store"
	"slimlab/model"
	"slimlab/pruning"
	"slimlab/pruning/timing"
)

// timesStage is the stage of artifacts that are the times of products on one machine.
const timesStage = "times"

// timer measures products.
func (r *Run) timer() pruning.Timer {
	if r.options.Timer != nil {
		return r.options.Timer
	}
	return timing.New(home.Machine())
}

// widthTimes are the times that a step's budget chooses widths by: an artifact, measured once on a
// machine, so that a run that goes on later chooses the same widths.
type widthTimes struct {
	worker  *worker
	step    scenario.Step
	shape   model.Config
	options *pruning.Options
}

// budgetTimes are those of a step; nil where its budget is none of time.
func (w *worker) budgetTimes(s scenario.Step, shape model.Config, o *pruning.Options) *widthTimes {
	if o.Budget == nil || o.Budget.Time == nil {
		return nil
	}
	return &widthTimes{w, s, shape, o}
}

// timesFacts is the artifact.
type timesFacts struct {
	Times pruning.Times `json:"times"`
	clocked
}

// clocked is what is kept with times: the run that measured them, and how the machine was.
type clocked struct {
	Run string `json:"run"`
	observed
}

// clock reads the facts of an artifact of times, of which on is a part; where there is none,
// measure fills them while nothing else of the run computes. before, nil for nothing, comes first.
func (w *worker) clock(ctx context.Context, of recipe.Recipe, title, progress string, facts any, on *clocked, before, measure func() error) error {
	a, err := w.run.artifact(ctx, of, title, func(dir string) error {
		w.progress(0, 0, progress)
		if before != nil {
			if err := before(); err != nil {
				return err
			}
		}
		on.Run = w.run.ID
		err := w.run.alone(func() error {
			end := w.run.observe(ctx)
			err := measure()
			if err == nil {
				on.add(end())
			}
			return err
		})
		if err != nil {
			return err
		}
		return writeFacts(dir, facts)
	})
	if err != nil {
		return err
	}
	defer a.release()
	return readFacts(a.dir, facts)
}

// doubt says once what is to be thought of times.
func (w *worker) doubt(what string, on *clocked) {
	if warning := on.timing(timesStage, on.Run).Warning(w.run.ID); warning != "" {
		w.run.noteOnce(lab.Warning, fmt.Sprintf("%s: %s", what, warning))
	}
}

// timesRecipe is that of a measurement on this machine.
func (w *worker) timesRecipe(of pruning.Timing) recipe.Recipe {
	r := w.data.recipe(timesStage, timesVersion)
	r.Task, r.Tokenizer = nil, "" // products know of neither
	r.Parameters = recipe.Values{"hidden": of.Hidden, "head_dim": of.HeadDim, "rows": of.Rows, "program": w.run.home.Version, "machine": w.run.timer().Machine()}
	for _, h := range of.Halves {
		r.Parameters[fmt.Sprintf("%s of %d queries", h.Part, h.Queries)] = recipe.Values{"layers": h.Layers, "widths": fmt.Sprint(h.Widths)}
	}
	return r
}

// early measures before the cell's first step, so that a budget that cannot be met is refused then;
// a model that is there already has met it.
func (t *widthTimes) early(ctx context.Context, of recipe.Recipe) error {
	if !t.worker.run.ignores(of) {
		if _, release, err := t.worker.run.find(ctx, of.Key(), t.step.Kind+" "+t.step.Name); err == nil {
			release()
			return nil
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return t.measure(ctx)
}

// measure gives the budget its times.
func (t *widthTimes) measure(ctx context.Context) error {
	w, b := t.worker, t.options.Budget
	question := b.Timing(t.shape, t.options.Align)
	var facts timesFacts
	err := w.clock(ctx, w.timesRecipe(question), "times of widths", "times of widths", &facts, &facts.clocked, t.noteOthers, func() error {
		times, err := w.run.timer().Table(ctx, question)
		if err == nil {
			facts.Times = *times
		}
		return err
	})
	if err != nil {
		return err
	}
	w.doubt(t.step.Name+": the times of widths", &facts.clocked)
	b.Time.Times = &facts.Times
	if err := errors.Join(b.Fits(t.shape, t.options.Align, b.Time.Times), b.CheckTimes(t.shape, t.options.Align)); err != nil {
		return keyError{"budget", fmt.Errorf("is %s: %w", t.step.Work.(*Prune).Budget, err)}
	}
	return nil
}

// noteOthers says where another machine has measured the same widths: what is chosen by its times
// is another model.
func (t *widthTimes) noteOthers() error {
	r, b := t.worker.run, t.options.Budget
	entries, err := r.home.Artifacts.Entries()
	if err != nil {
		return err
	}
	for _, e := range entries {
		var other timesFacts
		if e.Stage != timesStage || e.Condition != store.Complete || readFacts(filepath.Join(r.home.Folder, "artifacts", e.Name), &other) != nil {
			continue
		}
		if here := r.timer().Machine(); other.Times.Machine != "" && other.Times.Machine != here && b.Fits(t.shape, t.options.Align, &other.Times) == nil {
			r.noteOnce(lab.Warning, fmt.Sprintf("%s: its widths were chosen before by the times of another machine, %s; they are chosen anew by those of this one, %s", t.step.Name, other.Times.Machine, here))
		}
	}
	return nil
}

// noteEarlier says where the widths of a model that is there were chosen by other times of this
// machine than those that are kept now. A model's key has the machine, the kernels and the version
// of the measurement, and not the times, which come out a little otherwise each time: a model would
// be made anew whenever they are measured.
func (t *widthTimes) noteEarlier(ctx context.Context, r *pruning.TimeReport) error {
	run, b := t.worker.run, *t.options.Budget
	dir, release, err := run.find(ctx, t.worker.timesRecipe(b.Timing(t.shape, t.options.Align)).Key(), "times of widths")
	if errors.Is(err, store.ErrNotFound) { // the model's are the only ones
		return nil
	}
	if err != nil {
		return err
	}
	defer release()
	var facts timesFacts
	if err := readFacts(dir, &facts); err != nil {
		return err
	}
	of := *b.Time
	of.Times, b.Time = &facts.Times, &of
	same, err := r.ChosenBy(b, t.shape, t.options.Align)
	if err == nil && !same {
		run.noteOnce(lab.Warning, fmt.Sprintf("%s: its widths were chosen before by other times of this machine than those that are kept now: slimlab run --fresh chooses them anew", t.step.Name))
	}
	return err
}

// passesFacts is the artifact of the products of a model before and after its widths were chosen.
type passesFacts struct {
	Passes pruning.PassTimes `json:"passes"`
	clocked
}

// reportTimes states what a budget of time came to, and measures the products of both models.
func (w *worker) reportTimes(ctx context.Context, name string, before model.Config, b *pruning.Budget, r *pruning.BudgetReport) error {
	after := slices.Clone(before.Layers)
	for _, l := range r.Layers {
		after[l.Layer].MLP = l.Kept
	}
	question := b.Timing(before, 1)
	for i := range question.Halves {
		question.Halves[i].Widths = question.Halves[i].Widths[:1] // the widest bounds the others
	}
	of := w.timesRecipe(question)
	of.Parameters["passes"] = fmt.Sprintf("%+v, %+v", before.Layers, after)
	var facts passesFacts
	err := w.clock(ctx, of, "times of "+name, "times of products", &facts, &facts.clocked, nil, func() (err error) {
		facts.Passes, err = pruning.PassesOf(ctx, w.run.timer(), question, before.Layers, after)
		return err
	})
	if err != nil {
		return err
	}
	r.Time.Passes = &facts.Passes
	w.run.note(w.cell.ID, lab.Info, fmt.Sprintf("%s: %s; of the neurons %s stay", name, r.Errors(), plural.Of(r.Kept, "parameter")))
	for _, line := range r.Time.Lines() {
		w.run.note(w.cell.ID, lab.Info, name+": "+line)
	}
	w.doubt(name+": its products", &facts.clocked)
	return nil
}
