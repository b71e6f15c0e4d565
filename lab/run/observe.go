package run

import (
	"context"

	"slimlab/lab"
	"slimlab/lab/doctor"
)

// observed is what is kept with a timing: how the machine was before and after, and what else
// worked. All is empty in artifacts of earlier versions.
type observed struct {
	Machine  string   `json:"machine,omitempty"`
	Findings []string `json:"findings,omitempty"`
	Others   int      `json:"others,omitempty"`
	Beside   bool     `json:"beside,omitempty"` // other cells of the run
}

// observe looks at the machine before a timing; the func that it returns looks after it.
func (r *Run) observe(ctx context.Context) (end func() (doctor.MachineState, int)) {
	if r.options.Observe != nil {
		return r.options.Observe(ctx)
	}
	return doctor.NewWatch(ctx).End
}

func (o *observed) add(state doctor.MachineState, others int) {
	o.Machine, o.Findings, o.Others = string(state.Verdict), state.Findings, others
}

func (o *observed) timing(stage, run string) lab.Timing {
	return lab.Timing{Stage: stage, Run: run, Machine: o.Machine, Findings: o.Findings, Others: o.Others, Beside: o.Beside}
}

// timed adds to a row how a stage of it was timed, and returns the warning of these timings.
func (w *worker) timed(row *measured, t lab.Timing) string {
	row.timings = append(row.timings, t)
	return t.Warning(w.run.ID)
}
