package run

import (
	"context"
	"fmt"
	"time"

	"slimlab/lab"
	"slimlab/lab/scenario"
)

// PlannedCell is one cell of a checked plan.
type PlannedCell struct {
	Cell  string
	Steps []PlannedStep
}

// PlannedStep says whether a step's model has to be made.
type PlannedStep struct {
	Name, Kind string
	State      string // "loaded", "cached" or "to build"
}

// Check opens what a plan needs and says which artifacts it would find. It trains and measures nothing.
func (l *Lab) Check(plan *scenario.Plan) ([]PlannedCell, error) {
	return (&Run{lab: l, plan: plan, Board: lab.NewBoard(), options: Options{Now: time.Now}}).check()
}

// check plans every step of every cell without doing any.
func (r *Run) check() ([]PlannedCell, error) {
	var cells []PlannedCell
	for i := range r.plan.Cells {
		c := &r.plan.Cells[i]
		w := &worker{run: r, cell: c, models: map[string]*artifactModel{}}
		var err error
		if w.data, err = r.dataset(c.Point); err != nil {
			return nil, err
		}
		planned := PlannedCell{Cell: c.ID}
		for _, s := range c.Point.Steps {
			j, err := w.job(context.Background(), s)
			if err != nil {
				return nil, fmt.Errorf("step %s: %w", s.Name, err)
			}
			state := "loaded"
			if j.build != nil {
				state = "to build"
				if _, ok := r.lab.artifacts.Get(j.model.key); ok {
					state = "cached"
				}
			}
			w.models[s.Name] = j.model
			planned.Steps = append(planned.Steps, PlannedStep{s.Name, s.Kind, state})
		}
		cells = append(cells, planned)
	}
	return cells, nil
}
