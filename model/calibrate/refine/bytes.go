package refine

import "slimlab/model"

// weightCopies is the number of float32 copies of a layer's weights that Layer holds: the weights
// as they are read, their form for products forward and backward, the gradient, the best weights so
// far, and four of the optimizer.
const weightCopies = 9

// Bytes is what Layer takes at most, for a layer of a model of a shape and batches of up to so many
// tokens, beside the layer itself and the streams of its Block.
func Bytes(c model.Config, tokens int) (most int64) {
	layers := c.Layers
	c.Vocab, c.TiedHead = 1, true
	for _, l := range layers {
		c.Layers = []model.LayerConfig{l}
		widest := max(c.Hidden, l.Heads*c.HeadDim, l.MLP)
		rows := int64(tokens) * int64(c.Hidden+widest) // a gradient, and inputs as a format rounds them
		most = max(most, 4*(weightCopies*int64(c.Parameters())+rows)+model.TraceBytes(c, tokens))
	}
	return most
}
