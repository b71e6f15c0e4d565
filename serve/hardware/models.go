package hardware

import (
	"slices"

	"slimlab/internal/nearest"
)

// Models returns the shapes that have a name, with weights and cache in BF16. Those of the paper
// are inferred from its parameter counts: they agree with it to two digits.
func Models() []Model {
	llama8 := func(name, about string, mlp int) Model {
		return dense(name, about, 32, 4096, 128256, 128, Layer{32, 8, mlp}, false)
	}
	llama3 := func(name, about string, heads, kv, mlp int) Model {
		return dense(name, about, 28, 3072, 128256, 128, Layer{heads, kv, mlp}, true)
	}
	fm := dense("fm", "stands for the paper's foundation model, of which it says only 100B+: a mixture of 8 experts of 22B, two active, "+
		"since a dense model of 100B would need more than any peak of its GPUs", 56, 6144, 32768, 128, Layer{48, 8, 16384}, false)
	fm.Experts, fm.Active = 8, 2
	return []Model{
		llama8("8b", "the paper's 8B; Llama 3 8B", 14336),
		llama8("6.8b", "the paper's 6.8B: MLP of 11264", 11264),
		llama8("6.4b", "the paper's 6.4B: MLP of 10240", 10240),
		llama8("6.0b", "the paper's 6.0B: MLP of 9216", 9216),
		llama3("3b", "the paper's 3B; Llama 3.2 3B", 24, 8, 8192),
		llama3("2.4b", "the paper's 2.4B: MLP of 5120", 24, 8, 5120),
		llama3("2.1b", "the paper's 2.1B: half the heads of its 2.4B", 12, 4, 5120),
		fm,
		dense("llama-3-70b", "Llama 3 70B", 80, 8192, 128256, 128, Layer{64, 8, 28672}, false),
		dense("llama-3.2-1b", "Llama 3.2 1B", 16, 2048, 128256, 64, Layer{32, 8, 8192}, true),
		dense("qwen2.5-0.5b", "Qwen2.5 0.5B", 24, 896, 151936, 64, Layer{14, 2, 4864}, true),
		dense("qwen2.5-7b", "Qwen2.5 7B", 28, 3584, 152064, 128, Layer{28, 4, 18944}, false),
		dense("qwen3-0.6b", "Qwen3 0.6B", 28, 1024, 151936, 128, Layer{16, 8, 3072}, true),
	}
}

// dense is a model of equal layers in BF16.
func dense(name, about string, layers, hidden, vocab, headDim int, layer Layer, tied bool) Model {
	return Model{
		Name: name, About: about, Hidden: hidden, HeadDim: headDim, Vocab: vocab, TiedHead: tied, Gated: true,
		Layers: slices.Repeat([]Layer{layer}, layers), Weights: BF16, KVBytes: 2,
	}
}

// ModelNames lists the names of Models.
func ModelNames() []string {
	var names []string
	for _, m := range Models() {
		names = append(names, m.Name)
	}
	return names
}

// FindModel returns the shape of a name, as Models lists them.
func FindModel(name string) (Model, error) {
	for _, m := range Models() {
		if m.Name == name {
			return m, nil
		}
	}
	return Model{}, nearest.Unknown("model shape", name, ModelNames())
}
