package model

import (
	"slices"

	"slimlab/internal/nearest"
)

// shapes are those of published models.
var shapes = []struct {
	name   string
	config Config
}{
	{"qwen2.5-0.5b", Config{
		Architecture: "Qwen2ForCausalLM", Vocab: 151936, Hidden: 896, HeadDim: 64, Layers: Uniform(24, 14, 2, 4864),
		MaxPositions: 32768, RopeTheta: 1e6, NormEps: 1e-6, TiedHead: true, QKVBias: true, BOS: 151643, EOS: 151643,
	}},
	{"llama-3.2-1b", Config{
		Architecture: "LlamaForCausalLM", Vocab: 128256, Hidden: 2048, HeadDim: 64, Layers: Uniform(16, 32, 8, 8192),
		MaxPositions: 131072, RopeTheta: 5e5, NormEps: 1e-5, TiedHead: true, BOS: 128000, EOS: 128001,
		Rope: RopeScaling{Kind: RopeLlama3, Factor: 32, LowFrequencyFactor: 1, HighFrequencyFactor: 4, OriginalMaxPositions: 8192},
	}},
	{"stories15m", Config{
		Architecture: "LlamaForCausalLM", Vocab: 32000, Hidden: 288, HeadDim: 48, Layers: Uniform(6, 6, 6, 768),
		MaxPositions: 8192, RopeTheta: 1e4, NormEps: 1e-5, TiedHead: true, BOS: -1, EOS: -1,
	}},
	{"qwen3-0.6b", Config{
		Architecture: "Qwen3ForCausalLM", Vocab: 151936, Hidden: 1024, HeadDim: 128, Layers: Uniform(28, 16, 8, 3072),
		MaxPositions: 40960, RopeTheta: 1e6, NormEps: 1e-6, TiedHead: true, QKNorm: true, BOS: 151643, EOS: 151645,
	}},
}

// Shapes lists the names that Shape knows.
func Shapes() []string {
	names := make([]string, len(shapes))
	for i, s := range shapes {
		names[i] = s.name
	}
	return names
}

// Shape returns the shape of a published model.
func Shape(name string) (Config, error) {
	for _, s := range shapes {
		if s.name == name {
			c := s.config
			c.Layers = slices.Clone(c.Layers)
			return c, nil
		}
	}
	return Config{}, nearest.Unknown("shape", name, Shapes())
}
