package run

import (
	"context"

	"slimlab/lab/scenario"
)

// Baseline measures a loaded model as it is.
type Baseline struct {
	Model string `key:"model" ref:"weights" required:"true" doc:"the loaded model"`
}

// Describe says what the step does.
func (b *Baseline) Describe(string) string { return "measure " + b.Model + " as it is" }

func (b *Baseline) plan(_ context.Context, w *worker, _ scenario.Step) (job, error) {
	m, err := w.weights(b.Model)
	return job{model: m}, err
}
