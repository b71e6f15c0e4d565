package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"slimlab/internal/await"
	"slimlab/lab"
	"slimlab/lab/home"
	"slimlab/lab/recipe"
	"slimlab/lab/scenario"
	"slimlab/lab/store"
)

// PlannedCell is one cell of a checked plan.
type PlannedCell struct {
	Cell  string
	Steps []PlannedStep
}

// PlannedStep says whether a step's model has to be made.
type PlannedStep struct {
	Name, Kind string
	// State is "loaded", "cached", "to build", or "shared": an earlier cell of the plan builds it.
	// Of a step that makes tables and no model it is "to measure", or "measured" where all are
	// there or an earlier cell measures them.
	State string
	// Bytes bound what a model that is to be built takes on the disk: its parameters in bfloat16. A
	// quantized one takes less. With it are the trials of a search, and the file of the teacher's
	// distributions, where one is to be built first; those of equal examples are one file, of the
	// first step.
	Bytes int64
	// Trials is how many trainings a search is that is to be done; 0 for other steps.
	Trials int
}

// Check opens what a plan needs and says which artifacts it would find, and what a run would note
// of its data and of damage. It writes nothing, measures nothing and trains nothing but a
// tokenizer, whose tokens are part of what names the artifacts.
func Check(ctx context.Context, h *home.Home, plan *scenario.Plan) (cells []PlannedCell, notes []lab.Event, err error) {
	r := &Run{home: h, plan: plan, Board: lab.NewBoard(), options: Options{Now: time.Now}, readOnly: true}
	defer r.letGo()
	if cells, err = r.check(ctx); err != nil {
		return nil, nil, err
	}
	for _, e := range r.unlogged {
		if e.Kind == lab.KindNote {
			notes = append(notes, e)
		}
	}
	return cells, notes, nil
}

// check plans every step of every cell without doing any. For the plan files are read and
// tokenized, and a tokenizer may be trained, which the end of ctx does not interrupt.
func (r *Run) check(ctx context.Context) ([]PlannedCell, error) {
	return await.Do(ctx, func() ([]PlannedCell, error) { return r.plannedCells(ctx) })
}

// noneJudged is the note of a quick version whose expectations were removed.
const noneJudged = "the quick version judges none of the scenario's expectations: a full run does"

func (r *Run) plannedCells(ctx context.Context) ([]PlannedCell, error) {
	if r.plan.Scenario.Unjudged {
		r.noteOnce(lab.Info, noneJudged)
	}
	var cells []PlannedCell
	built := map[string]bool{}
	for i := range r.plan.Cells {
		c := &r.plan.Cells[i]
		w := &worker{run: r, cell: c}
		jobs, err := w.plan(ctx)
		if err != nil {
			return nil, err
		}
		planned := PlannedCell{Cell: c.ID}
		for i, s := range c.Point.Steps {
			state, err := r.state(ctx, s, jobs[i], built)
			if err != nil {
				return nil, fmt.Errorf("step %s: %w", s.Name, err)
			}
			if state == "to build" || state == "to measure" {
				if err := r.checkFree(ctx, w, s, jobs[i]); err != nil {
					return nil, err
				}
			}
			step := PlannedStep{Name: s.Name, Kind: s.Kind, State: state}
			if state == "to build" {
				step.Bytes = 2*int64(jobs[i].model.shape.Parameters()) + jobs[i].bytes
				step.Trials = jobs[i].trials
				more, err := r.prepared(ctx, jobs[i], built)
				if err != nil {
					return nil, fmt.Errorf("step %s: %w", s.Name, err)
				}
				step.Bytes += more
			}
			planned.Steps = append(planned.Steps, step)
		}
		cells = append(cells, planned)
	}
	return cells, nil
}

// prepared is what the artifact takes that a job prepares, 0 where it is there, or an earlier one
// makes it.
func (r *Run) prepared(ctx context.Context, j job, built map[string]bool) (bytes int64, err error) {
	if j.prepares == nil {
		return 0, nil
	}
	key, bytes, err := j.prepares()
	if err != nil || key == "" || built[key] {
		return 0, err
	}
	switch _, release, err := r.find(ctx, key, "teacher's cache"); {
	case err == nil:
		release()
		return 0, nil
	case !errors.Is(err, store.ErrNotFound):
		return 0, err
	}
	built[key] = true
	return bytes, nil
}

// reuses notes for each cell which models it need not make.
func reuses(b *lab.Begin, planned []PlannedCell, fresh bool) {
	for i := range min(len(b.Cells), len(planned)) {
		for _, s := range planned[i].Steps {
			if s.State == "shared" || s.State == "cached" && !fresh {
				b.Cells[i].Reuses = append(b.Cells[i].Reuses, s.Name)
			}
		}
	}
}

// state says what a job comes down to after those whose keys are in built.
func (r *Run) state(ctx context.Context, s scenario.Step, j job, built map[string]bool) (string, error) {
	if len(j.tables) > 0 {
		return r.stateOfTables(ctx, s, j.tables, built)
	}
	if j.build == nil {
		return "loaded", nil
	}
	key := j.model.key
	if built[key] {
		return "shared", nil
	}
	if there, err := r.there(ctx, key, s); err != nil || there {
		return "cached", err
	}
	built[key] = true
	for _, other := range j.makes {
		built[other] = true
	}
	return "to build", nil
}

// there reports whether the artifact of a key can be used.
func (r *Run) there(ctx context.Context, key string, s scenario.Step) (bool, error) {
	switch _, release, err := r.find(ctx, key, s.Kind+" "+s.Name); {
	case err == nil:
		release()
		return true, nil
	case !errors.Is(err, store.ErrNotFound):
		return false, err
	}
	return false, nil
}

// stateOfTables is the state of a step that makes tables.
func (r *Run) stateOfTables(ctx context.Context, s scenario.Step, tables []recipe.Recipe, built map[string]bool) (string, error) {
	state := "measured"
	for _, of := range tables {
		key := of.Key()
		if built[key] {
			continue
		}
		there, err := r.there(ctx, key, s)
		if err != nil {
			return "", err
		}
		if !there {
			built[key], state = true, "to measure"
		}
	}
	return state, nil
}
