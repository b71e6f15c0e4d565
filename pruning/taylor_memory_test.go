package pruning

import (
	"runtime"
	"testing"

	"slimlab/model"
	"slimlab/model/calibrate"
)

// TestGradientBytes: what is foreseen of the gradient pass is what it allocates.
func TestGradientBytes(t *testing.T) {
	for _, x := range []struct {
		what                                  string
		hidden, heads, kv, mlp, layers, vocab int
		sequences, length                     int
	}{
		{"few tokens of a wide vocabulary", 64, 4, 2, 96, 2, 20_480, 2, 64},
		{"several batches", 128, 8, 4, 384, 2, 2048, 9, 512},
		{"a long sequence", 64, 4, 4, 256, 6, 100, 1, 3000},
	} {
		c := config(model.Llama)
		c.Hidden, c.HeadDim, c.Vocab, c.MaxPositions = x.hidden, x.hidden/x.heads, x.vocab, 4096
		c.Layers = model.Uniform(x.layers, x.heads, x.kv, x.mlp)
		m := newModel(t, c)
		list := make([]calibrate.Sequence, x.sequences)
		for i := range list {
			list[i] = make(calibrate.Sequence, x.length)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := lossGradients(t.Context(), m, list); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		// the gradients, and the weights for products forward and backward
		found := int64(after.TotalAlloc-before.TotalAlloc) - 3*4*int64(c.Parameters())
		if !c.TiedHead {
			// of the embedding there are no products
			found += 2 * 4 * int64(c.Vocab*c.Hidden)
		}
		want := GradientBytes(c, x.sequences, x.length)
		if found > want*6/5 || found < want*7/10 {
			t.Errorf("%s: %d bytes were allocated, %d foreseen", x.what, found, want)
		}
	}
}
