package run

import (
	"context"

	"slimlab/kd"
	"slimlab/model"
)

// teaching is whom a distillation learns from.
type teaching struct {
	model *artifactModel
}

// open gives a training its teacher, and returns the model that can write answers, nil where there
// is none.
func (t *teaching) open(ctx context.Context, config *kd.TrainConfig) (writes *model.Model, err error) {
	m, err := t.model.load(ctx)
	if err != nil {
		return nil, err
	}
	config.Teacher = kd.NewModelTeacher(m, config.Precision)
	return m, nil
}
