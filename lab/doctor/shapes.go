package doctor

import (
	"context"
	"slices"

	"slimlab/internal/nearest"
	"slimlab/model"
	"slimlab/model/weight"
)

// Shapes lists the names of the shapes that ExamineModel knows.
func Shapes() []string { return model.Shapes() }

// WeightFormats lists the names of the formats that ExamineModel knows.
func WeightFormats() []string {
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = f.name
	}
	return names
}

// newModel makes a model of random weights of one format. The head, which is the embedding too, may
// have another.
func newModel(ctx context.Context, g *generator, c model.Config, f format) (*model.Model, error) {
	m, err := model.Skeleton(c)
	if err != nil {
		return nil, err
	}
	for _, l := range m.Linears() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		l.Weight = f.weight(g, l.Out, l.In)
	}
	m.TieHead(f.ofHead().weight(g, c.Vocab, c.Hidden))
	return m, ctx.Err()
}

// ofHead is the format of the head of a model whose other weights are in f.
func (f format) ofHead() format {
	if f.head == "" {
		return f
	}
	return formats[slices.Index(WeightFormats(), f.head)]
}

func (f format) weight(g *generator, out, in int) weight.Weight {
	return &randomWeight{multiplier: f.random(g, out, in), out: out, in: in, format: f.name}
}

// find returns the shape and the format of these names.
func find(shape, weights string) (c model.Config, f format, err error) {
	if c, err = model.Shape(shape); err != nil {
		return c, f, err
	}
	i := slices.Index(WeightFormats(), weights)
	if i < 0 {
		return c, f, nearest.Unknown("weight format", weights, WeightFormats())
	}
	return c, formats[i], nil
}

// passOperations are the multiplications and additions of the layers in a pass over n tokens of a
// sequence from position start on, as model.Extender.Extend makes it: of the last layer only keys
// and values for all tokens, the rest for the last.
func passOperations(c *model.Config, n, start int) float64 {
	var total float64
	tokens := float64(n)
	for i, l := range c.Layers {
		q, kv := l.Heads*c.HeadDim, l.KVHeads*c.HeadDim
		rows, pairs := tokens, tokens*float64(start)+tokens*(tokens+1)/2
		if i == len(c.Layers)-1 {
			rows, pairs = 1, float64(start+n)
		}
		total += tokens*float64(4*c.Hidden*kv) + rows*float64(4*c.Hidden*q+6*c.Hidden*l.MLP) + 4*pairs*float64(q)
	}
	return total
}

// headOperations are those of the logits of a token.
func headOperations(c *model.Config) float64 { return 2 * float64(c.Vocab) * float64(c.Hidden) }
