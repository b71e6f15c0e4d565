package convert

import (
	"context"

	"slimlab/model"
)

// Twin writes a small model of a checkpoint's architecture with random weights and its tokenizer to
// the new folder to: two layers, and widths of at most twinWidth. What a pipeline does with it says
// nothing of quality, and in seconds whether it comes to its end.
func Twin(ctx context.Context, from, to string, o Options) error {
	source, err := o.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	t, err := source.Tokenizer()
	if err != nil {
		return err
	}
	return writeRandom(ctx, to, twinOf(source.Config()), t)
}

// twinWidth bounds the hidden size and the neurons of a twin. It is a multiple of all usual groups.
const twinWidth = 256

// twinOf is the shape of a twin: the ratio of query heads to KV heads, the size of heads and the
// vocabulary stay.
func twinOf(c model.Config) model.Config {
	const layers, kvHeads = 2, 2
	if len(c.Layers) > layers {
		c.Layers = c.Layers[:layers]
	}
	list := make([]model.LayerConfig, len(c.Layers))
	for i, l := range c.Layers {
		kv := min(l.KVHeads, kvHeads)
		list[i] = model.LayerConfig{Heads: l.Heads / l.KVHeads * kv, KVHeads: kv, MLP: min(l.MLP, twinWidth)}
	}
	c.Layers, c.Hidden = list, min(c.Hidden, twinWidth)
	return c
}
