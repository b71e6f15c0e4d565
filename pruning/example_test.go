package pruning_test

import (
	"context"
	"fmt"
	"math/rand/v2"

	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/pruning"
)

// A quarter of the neurons of the first layer goes, and one KV group of the second.
func ExamplePrune() {
	m, err := model.New(model.Config{Architecture: "LlamaForCausalLM", Vocab: 40, Hidden: 32, HeadDim: 8, Layers: model.Uniform(2, 8, 4, 64),
		MaxPositions: 64, RopeTheta: 1e4, NormEps: 1e-6, BOS: -1, EOS: -1})
	if err != nil {
		panic(err)
	}
	m.Init(rand.New(rand.NewPCG(1, 2)))
	layers, err := calibrate.NewInMemory(m)
	if err != nil {
		panic(err)
	}
	text := []calibrate.Sequence{{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3}, {2, 7, 1, 8, 2, 8, 1, 8, 2, 8, 4, 5, 9, 0, 4, 5}}
	report, err := pruning.Prune(context.Background(), layers, text, pruning.Options{
		Method: pruning.OSSCAR,
		Cuts:   []pruning.LayerCut{{MLP: pruning.Cut{Ratio: 0.25}}, {Heads: pruning.Cut{Count: 1}}},
	}, nil)
	if err != nil {
		panic(err)
	}
	small := layers.Compressed()
	fmt.Println(report.Summary())
	fmt.Printf("%+v\n", small.Layers)
	// Output:
	// osscar: 12.5% of MLP neurons, 12.5% of KV groups, 11.3% of all parameters (27296 to 24224)
	// [{Heads:8 KVHeads:4 MLP:48} {Heads:6 KVHeads:3 MLP:64}]
}
