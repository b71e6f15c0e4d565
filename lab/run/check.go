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
	r := &Run{lab: l, plan: plan, Board: lab.NewBoard(), log: nowhere{}, options: Options{Now: time.Now}}
	var cells []PlannedCell
	for i := range plan.Cells {
		c := &plan.Cells[i]
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
				if _, ok := l.artifacts.Get(j.model.key); ok {
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

// nowhere is the log of a run that only plans.
type nowhere struct{}

func (nowhere) Append(lab.Event) error { return nil }
func (nowhere) Flush() error           { return nil }
func (nowhere) Close() error           { return nil }
