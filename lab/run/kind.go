package run

import (
	"context"
	"fmt"

	"slimlab/kernels"
	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/scenario"
)

// stepWork is the work of a step as this package runs it. Each kind of step has a file with its
// struct, its description, the version of its code and its plan.
type stepWork interface {
	scenario.Work
	// plan opens the step's inputs and computes nothing that takes time, so that a whole plan can
	// be checked before it runs.
	plan(ctx context.Context, w *worker, s scenario.Step) (job, error)
}

// job is a planned step: the artifact that its model will be, and how to build it.
type job struct {
	model *artifactModel
	build func(dir string) error // nil where the model exists already
	kv    kernels.KVFormat       // of the KV cache that its row is measured with
	// before measures what may refuse the step, before any step of the cell is begun; it may be nil
	before func() error
	// prepare makes the artifacts that build reads, before build and without the lock of computing,
	// which they take themselves; it may be nil
	prepare func() error
	// prepares says which artifact prepare makes, "" for none, and how many bytes it takes at most;
	// it may be nil
	prepares func() (key string, bytes int64, err error)
	// built is called once the artifact is there, in the cell that built it; it may be nil
	built func()
	// trials says how many trainings a search is; 0 where the step is none
	trials int
	// makes are the keys of the other artifacts that are there once this one is built
	makes []string
	// bytes bound what these take on the disk at one time
	bytes int64
	// memory refuses the step where its work needs more memory than is free; it may be nil
	memory func(free int64) error
	// tables are what the step measures and keeps, where it makes no model; it may be nil
	tables []recipe.Recipe
	// report emits what is known of the artifact, once in a run; it may be nil
	report func(dir string) error
	// reused emits what building the artifact had shown, in a cell that did not build it; it may be
	// nil
	reused func(dir string) error
	// figures measures the row of a step that makes no model; nil of those that make one
	figures func() (map[string]lab.Measure, error)
	// measures adds the step's own metrics to its row; it may be nil
	measures func(dir string, row *measured) error
}

// job plans a step.
func (w *worker) job(ctx context.Context, s scenario.Step) (job, error) {
	work, ok := s.Work.(stepWork)
	if !ok {
		return job{}, fmt.Errorf("a step of kind %s cannot be run", s.Kind)
	}
	return work.plan(ctx, w, s)
}

// Kinds is the table of the kinds of steps.
func Kinds() []scenario.Kind {
	return []scenario.Kind{
		{Name: "baseline", About: "measures a loaded model as it is", Loads: true, New: func() scenario.Work { return &Baseline{} }},
		{Name: "train", About: "trains on labels, from fresh weights or a step's", New: func() scenario.Work { return &Train{} }},
		{Name: "distil", About: "trains on a teacher's distributions", New: func() scenario.Work { return &Distil{} }},
		{Name: "prune", About: "removes MLP neurons and attention heads", New: func() scenario.Work { return &Prune{} }},
		{Name: "quantize", About: "stores the weights in fewer bits", New: func() scenario.Work { return &Quantize{} }},
		{Name: "sensitivity", About: "measures what each layer loses by each way to make it smaller", New: func() scenario.Work { return &Sensitivity{} }},
		{Name: "simulate", About: "runs the engine on simulated devices under a workload, for a model of a shape; it makes no model", Alone: true, New: func() scenario.Work { return &Simulate{} }},
		{Name: "ab", About: "compares the answers of two models by a test that may be looked at all the time; it makes no model", Alone: true, New: func() scenario.Work { return &AB{} }},
	}
}
