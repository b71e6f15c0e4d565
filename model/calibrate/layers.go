package calibrate

import (
	"context"

	"slimlab/model"
	"slimlab/model/weight"
)

// Layers brings the layers of a model into memory one at a time, and its embeddings.
type Layers interface {
	// Model is where the layers come and go: only the one that was loaded last has weights.
	Model() *model.Model
	// Embed writes the embeddings of tokens to x [tokens, hidden].
	Embed(x []float32, tokens []int32) error
	// Load brings a layer into the model, in ascending order. A finished one comes as it was left.
	Load(ctx context.Context, layer int) (finished bool, err error)
	// Source brings a layer as it was before any method into m, which has the model's shape of
	// then. The memory of its weights may be shared with what Load brings.
	Source(ctx context.Context, m *model.Model, layer int) error
	// Leave is called when the pass needs the layer no more, with all that the method did to it.
	Leave(ctx context.Context, layer int) error
}

// InMemory is the Layers of a model in memory, which stays as it is.
type InMemory struct {
	source *model.Model
	frame  *model.Model // at most one layer has weights
	left   []model.Block
}

// NewInMemory returns the layers of m.
func NewInMemory(m *model.Model) (*InMemory, error) {
	frame, err := model.Skeleton(m.Config)
	if err != nil {
		return nil, err
	}
	return &InMemory{source: m, frame: frame, left: make([]model.Block, len(m.Blocks))}, nil
}

// Model implements Layers.
func (l *InMemory) Model() *model.Model { return l.frame }

// Embed implements Layers.
func (l *InMemory) Embed(x []float32, tokens []int32) error {
	l.source.Embed(x, tokens)
	return nil
}

// Load implements Layers: no layer is finished before.
func (l *InMemory) Load(_ context.Context, layer int) (finished bool, err error) {
	l.frame.Blocks[layer] = l.source.Blocks[layer]
	for _, linear := range l.frame.BlockLinears(layer) {
		linear.Weight = unpacked(linear.Weight)
	}
	return false, nil
}

// Source implements Layers.
func (l *InMemory) Source(_ context.Context, m *model.Model, layer int) error {
	m.Blocks[layer] = l.source.Blocks[layer]
	for _, linear := range m.BlockLinears(layer) {
		linear.Linear.Weight = unpacked(linear.Weight)
	}
	return nil
}

// Leave implements Layers.
func (l *InMemory) Leave(_ context.Context, layer int) error {
	for _, linear := range l.frame.BlockLinears(layer) {
		linear.Weight = unpacked(linear.Weight)
	}
	l.left[layer], l.frame.Blocks[layer] = l.frame.Blocks[layer], model.Block{}
	return nil
}

// unpacked is a float32 weight over the same numbers, without the form for products that the
// original may hold; other formats are returned as they are.
func unpacked(w weight.Weight) weight.Weight {
	if d, ok := w.(*weight.Dense); ok {
		return weight.NewDense(d.Data, d.Out, d.In)
	}
	return w
}

// Compressed is the model of the layers as they were left, in memory of its own. It takes them: a
// second pass needs a new InMemory.
func (l *InMemory) Compressed() *model.Model {
	m := l.frame
	m.Embedding, m.FinalNorm, m.Head = l.source.Embedding, l.source.FinalNorm, unpacked(l.source.Head)
	copy(m.Blocks, l.left)
	m.Gather()
	return m
}
