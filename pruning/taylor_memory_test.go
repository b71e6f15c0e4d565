package pruning

import (
	"runtime"
	"testing"

	"slimlab/kernels"
	"slimlab/model"
	"slimlab/model/calibrate"
)

// TestGradientBytes: what is foreseen of the gradient pass is what it holds at its end, with every
// implementation of the kernels.
func TestGradientBytes(t *testing.T) {
	for _, x := range []struct {
		what                                  string
		hidden, heads, kv, mlp, layers, vocab int
		sequences, length                     int
	}{
		{"few tokens of a wide vocabulary", 64, 4, 2, 96, 2, 20_480, 2, 64},
		{"several batches", 48, 2, 1, 128, 1, 512, 34, 128},
		{"a long sequence", 64, 2, 2, 256, 2, 100, 1, 1200},
	} {
		c := config(model.Llama)
		c.Hidden, c.HeadDim, c.Vocab, c.MaxPositions = x.hidden, x.hidden/x.heads, x.vocab, 4096
		c.Layers = model.Uniform(x.layers, x.heads, x.kv, x.mlp)
		m := newModel(t, c)
		list := make([]calibrate.Sequence, x.sequences)
		for i := range list {
			list[i] = make(calibrate.Sequence, x.length)
		}
		for _, name := range kernels.Implementations() {
			t.Run(x.what+"/"+name, func(t *testing.T) {
				restore, err := kernels.Use(name)
				if err != nil {
					t.Fatal(err)
				}
				defer restore()
				// the gradients, and the weights for products forward and backward
				found := heldByPass(t, m, list) - 3*4*int64(c.Parameters())
				if !c.TiedHead {
					// of the embedding there are no products
					found += 2 * 4 * int64(c.Vocab*c.Hidden)
				}
				want := GradientBytes(c, x.sequences, x.length)
				t.Logf("%d bytes are held, %d foreseen", found, want)
				if found > want*6/5 || found < want*9/10 {
					t.Errorf("%d bytes are held, %d foreseen", found, want)
				}
			})
		}
	}
}

// heldByPass is the live memory that the pass over the sequences holds at its end.
func heldByPass(t *testing.T, m *model.Model, list []calibrate.Sequence) int64 {
	before := liveHeap()
	l, err := newNextTokens(m, list)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.addAll(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	after := liveHeap()
	runtime.KeepAlive(l)
	return after - before
}

// liveHeap is the heap that is in use. The second collection sweeps what the first one marked.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}
