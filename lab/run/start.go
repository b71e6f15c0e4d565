package run

import (
	"context"
	"fmt"
	"math/rand/v2"

	"slimlab/kd"
	"slimlab/lab/recipe"
	"slimlab/lab/scenario"
	"slimlab/model"
)

// start is what training starts from.
type start struct {
	key    string        // of the weights, empty for a fresh shape
	fresh  recipe.Values // the parameters of a fresh shape
	origin model.Config  // as in artifactModel
	shape  model.Config
	model  func(ctx context.Context) (*model.Model, error) // the caller may change it
}

// start opens what a training step starts from: the model named into, else the step's own.
func (w *worker) start(s scenario.Step, into string, seed uint64) (*start, error) {
	if shape, ok := w.cell.Point.Model(into); ok && into != "" && shape.Fresh() {
		return w.fresh(shape, seed)
	}
	from := s.From
	if into != "" {
		from = into
	}
	source, err := w.weights(from)
	if err == nil {
		err = source.checkFloat("trained")
	}
	if err != nil {
		return nil, err
	}
	return &start{key: source.key, origin: source.origin, shape: source.shape, model: func(ctx context.Context) (*model.Model, error) {
		m, err := source.load(ctx)
		if err != nil {
			return nil, err
		}
		if err := m.Trainable(); err != nil {
			return nil, fmt.Errorf("%s cannot be trained: %w", from, err)
		}
		if err := kd.CheckFinite(m); err != nil {
			return nil, fmt.Errorf("student %s: %w", from, err)
		}
		return m.Clone(), nil
	}}, nil
}

// fresh starts from random weights.
func (w *worker) fresh(shape scenario.Model, seed uint64) (*start, error) {
	config := w.data.shape(shape)
	return &start{fresh: recipe.Of(shape), origin: config, shape: config, model: func(context.Context) (*model.Model, error) {
		m, err := model.New(config)
		if err != nil {
			return nil, err
		}
		m.Init(rand.New(rand.NewPCG(seed, 1)))
		return m, nil
	}}, config.Validate()
}
