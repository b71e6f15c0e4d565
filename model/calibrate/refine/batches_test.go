package refine

import (
	"math/rand/v2"
	"slices"
	"testing"

	"slimlab/model"
	"slimlab/model/calibrate"
)

// No batch is both learnt from and judged by, where there are enough: one of four judges, the
// others teach. Of fewer all do both.
func TestBatchesAreHeldOut(t *testing.T) {
	m, err := model.New(model.Config{Architecture: "LlamaForCausalLM", Vocab: 20, Hidden: 16, HeadDim: 8, Layers: model.Uniform(1, 2, 1, 24),
		MaxPositions: 8, RopeTheta: 1e4, NormEps: 1e-6, BOS: -1, EOS: -1})
	if err != nil {
		t.Fatal(err)
	}
	m.Init(rand.New(rand.NewPCG(1, 1)))
	for n, want := range map[int][2][]int{
		1: {{0}, {0}}, 3: {{0, 1, 2}, {0, 1, 2}}, 4: {{0, 1, 2}, {3}}, 9: {{0, 1, 2, 4, 5, 6, 8}, {3, 7}},
	} {
		b := &calibrate.Block{Dense: m.Blocks[0]}
		for i := range n {
			x := make([]float32, (i+1)*m.Hidden)
			y := make([]float32, len(x))
			y[0] = float32(i + 1)
			b.Batches = append(b.Batches, model.Batch{Tokens: make([]int32, i+1), Starts: []int{0, i + 1}})
			b.Inputs, b.Outputs = append(b.Inputs, x), append(b.Outputs, y)
		}
		l, err := newLayer(m, b, nil, Options{Steps: 1})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(l.taught, want[0]) || !slices.Equal(l.judges, want[1]) {
			t.Errorf("of %d batches %v teach and %v judge, expected %v and %v", n, l.taught, l.judges, want[0], want[1])
		}
		energy := 0.0 // of the outputs that judge: those of the others would make errors incomparable
		for _, i := range want[1] {
			energy += float64((i + 1) * (i + 1))
		}
		if l.energy != energy {
			t.Errorf("of %d batches the outputs have the energy %g, expected %g", n, l.energy, energy)
		}
	}
}
