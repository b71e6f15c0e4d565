package quant_test

import (
	"context"
	"fmt"
	"math/rand/v2"

	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/weight"
	"slimlab/quant"
)

// A plan of mixed precision: down_proj, whose inputs vary most, gets 8 bits, the first layer stays
// as it is, and the rest gets 4.
func ExampleQuantize() {
	m, err := model.New(model.Config{Architecture: "LlamaForCausalLM", Vocab: 40, Hidden: 32, HeadDim: 8, Layers: model.Uniform(2, 4, 2, 64),
		MaxPositions: 64, RopeTheta: 1e4, NormEps: 1e-6, BOS: -1, EOS: -1})
	if err != nil {
		panic(err)
	}
	m.Init(rand.New(rand.NewPCG(1, 2)))
	eight, err := quant.ParseScheme("w8a8")
	if err != nil {
		panic(err)
	}
	four := quant.Scheme{Format: weight.Format{Bits: 4, Group: 16}, Rounder: quant.GPTQ{Damping: 0.05, ActOrder: true}}
	plan := func(l model.LinearLayer) quant.Scheme {
		switch {
		case l.Layer == 0:
			return quant.Scheme{}
		case l.Site == model.SiteDown:
			return eight
		}
		return four
	}
	layers, err := calibrate.NewInMemory(m)
	if err != nil {
		panic(err)
	}
	text := []calibrate.Sequence{{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3}, {2, 7, 1, 8, 2, 8, 1, 8, 2, 8, 4, 5, 9, 0, 4, 5}}
	report, err := quant.Quantize(context.Background(), layers, plan, text, quant.Options{}, nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(report.Schemes)
	for _, l := range report.Linears {
		fmt.Println(l.Name, l.Format)
	}
	// Output:
	// [none w4a16-gptq-act-g16 w8a8-rtn]
	// model.layers.1.self_attn.q_proj w4a16-g16
	// model.layers.1.self_attn.k_proj w4a16-g16
	// model.layers.1.self_attn.v_proj w4a16-g16
	// model.layers.1.self_attn.o_proj w4a16-g16
	// model.layers.1.mlp.gate_proj w4a16-g16
	// model.layers.1.mlp.up_proj w4a16-g16
	// model.layers.1.mlp.down_proj w8a8
}
