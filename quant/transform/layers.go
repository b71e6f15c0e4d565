package transform

import (
	"context"

	"slimlab/model"
	"slimlab/model/calibrate"
)

// reader is the layers of a model as they were, none of them finished, to look at.
type reader struct {
	calibrate.Layers
	frame *model.Model
}

func newReader(inner calibrate.Layers) (*reader, error) {
	frame, err := model.Skeleton(inner.Model().Config)
	if err != nil {
		return nil, err
	}
	return &reader{inner, frame}, nil
}

// Model implements calibrate.Layers.
func (r *reader) Model() *model.Model { return r.frame }

// Load implements calibrate.Layers.
func (r *reader) Load(ctx context.Context, layer int) (finished bool, err error) {
	return false, r.Source(ctx, r.frame, layer)
}

// Leave implements calibrate.Layers.
func (r *reader) Leave(_ context.Context, layer int) error {
	r.frame.Blocks[layer] = model.Block{}
	return nil
}

// changing is layers that are changed as they are read.
type changing struct {
	calibrate.Layers
	change func(b *block[float32], layer int)
	embed  func(x []float32) // changes embeddings [tokens, hidden]; nil changes none
}

// Inner implements calibrate.Around.
func (c *changing) Inner() calibrate.Layers { return c.Layers }

// Embed implements calibrate.Layers.
func (c *changing) Embed(x []float32, tokens []int32) error {
	if err := c.Layers.Embed(x, tokens); err != nil {
		return err
	}
	if c.embed != nil {
		c.embed(x)
	}
	return nil
}

// Load implements calibrate.Layers.
func (c *changing) Load(ctx context.Context, layer int) (finished bool, err error) {
	finished, err = c.Layers.Load(ctx, layer)
	if finished || err != nil {
		return finished, err
	}
	return false, c.apply(c.Model(), layer)
}

// Source implements calibrate.Layers.
func (c *changing) Source(ctx context.Context, m *model.Model, layer int) error {
	if err := c.Layers.Source(ctx, m, layer); err != nil {
		return err
	}
	return c.apply(m, layer)
}

func (c *changing) apply(m *model.Model, layer int) error {
	b, err := copyOf(m, layer)
	if err != nil {
		return err
	}
	c.change(b, layer)
	put(b, m, layer)
	return nil
}

// After is a store for statistics of a model that was changed, as by names: they have keys of their
// own, beside those of the model as it was. nil stays nil.
func After(store calibrate.Store, by string) calibrate.Store {
	if store == nil {
		return nil
	}
	return after{store, by + ": "}
}

type after struct {
	calibrate.Store
	begins string
}

func (s after) Has(key string) bool { return s.Store.Has(s.begins + key) }

func (s after) Keeps(bool) bool { return s.Store.Keeps(true) }

func (s after) Load(ctx context.Context, key string) (*calibrate.Stats, error) {
	return s.Store.Load(ctx, s.begins+key)
}

func (s after) Save(ctx context.Context, key string, stats *calibrate.Stats) error {
	return s.Store.Save(ctx, s.begins+key, stats)
}
