package calibrate

import (
	"context"

	"slimlab/model"
)

// Refiner is a Method that changes a layer as a whole once more, when its linear layers are
// compressed.
type Refiner interface {
	// Refines reports whether it will; else Refine is not called.
	Refines() bool
	// Refine replaces weights of the layer.
	Refine(ctx context.Context, b *Block) error
}

// Block is what a compressed layer gets and what it is to make of it.
type Block struct {
	Layer   int
	Batches []model.Batch
	Inputs  [][]float32 // one a batch: the residual stream into the layer [tokens, hidden]
	// one a batch, [tokens, hidden]: what the layer as it was makes of the inputs, blended with the
	// dense model's stream by the target; in parallel mode that of the dense model, as the inputs
	Outputs [][]float32
	Dense   model.Block // the layer as it was, with weights to be read alone
}

// refine lets the method change a layer whose linear layers are compressed. before are the streams
// into it, denseBefore those of the dense model, the same where nothing was changed before it. The
// streams behind it are computed again where something is gathered there.
func (p *pass[R]) refine(ctx context.Context, layer int, before, denseBefore *streams) error {
	b := &Block{Layer: layer, Batches: before.batches, Inputs: before.x, Dense: p.dense.Blocks[layer]}
	outputs := before.clone(p.dense)
	if err := outputs.through(ctx, layer); err != nil {
		return err
	}
	if p.options.Target > 0 && denseBefore != before {
		dense := denseBefore.clone(p.dense)
		if err := dense.through(ctx, layer); err != nil {
			return err
		}
		share := float32(p.options.Target)
		for i, x := range outputs.x {
			for j, v := range dense.x[i] {
				x[j] += share * (v - x[j])
			}
		}
	}
	b.Outputs = outputs.x
	if err := p.refiner.Refine(ctx, b); err != nil {
		return err
	}
	if p.options.Parallel || !(half{layer, mlp}).before(p.plan.last) {
		return nil
	}
	p.streams.x = before.x
	return p.streams.through(ctx, layer)
}

// through moves all streams through a layer for good.
func (s *streams) through(ctx context.Context, layer int) error {
	for part := range sites {
		if err := s.advance(ctx, half{layer, part}, nil); err != nil {
			return err
		}
	}
	return nil
}
