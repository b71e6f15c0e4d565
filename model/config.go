package model

import (
	"fmt"
	"math"

	"slimlab/internal/nearest"
)

// Config is the shape of a model. The zero value is not valid; see Validate.
type Config struct {
	Architecture string // one of Architectures
	Vocab        int
	Hidden       int
	HeadDim      int
	Layers       []LayerConfig // one a layer: widths differ after pruning
	MaxPositions int
	RopeTheta    float64
	Rope         RopeScaling // of the rotary positions; the zero value is none
	NormEps      float32
	TiedHead     bool  // the output head is the embedding
	QKVBias      bool  // q_proj, k_proj and v_proj have a bias: Qwen2, or attention_bias
	OBias        bool  // o_proj has a bias: attention_bias
	QKNorm       bool  // RMSNorm of each head's query and key before they are rotated: Qwen3
	BOS, EOS     int   // token ids; -1 is none
	MoreEOS      []int // further token ids that end a text
}

// The families, by the names of their classes.
const (
	Llama   = "LlamaForCausalLM"
	Mistral = "MistralForCausalLM"
	Qwen2   = "Qwen2ForCausalLM"
	Qwen3   = "Qwen3ForCausalLM"
)

// Architectures lists the families.
func Architectures() []string { return []string{Llama, Mistral, Qwen2, Qwen3} }

// LayerConfig is the widths of one layer.
type LayerConfig struct {
	Heads   int // query heads; a multiple of KVHeads
	KVHeads int
	MLP     int // neurons
}

// Uniform returns n equal layers.
func Uniform(n, heads, kvHeads, mlp int) []LayerConfig {
	layers := make([]LayerConfig, n)
	for i := range layers {
		layers[i] = LayerConfig{heads, kvHeads, mlp}
	}
	return layers
}

// The largest sizes that Validate lets through. They are far above any real model, and low enough
// that no product of sizes overflows: a config comes from a file.
const (
	MaxWidth     = 1 << 20 // of the vocabulary, the hidden size and the neurons of a layer
	MaxHeads     = 1 << 14 // of a layer
	MaxHeadDim   = 1 << 12
	MaxLayers    = 1 << 12
	MaxPositions = 1 << 30
)

// Validate reports the first thing that makes the shape impossible.
func (c Config) Validate() error {
	if err := nearest.Check("model config: architecture", c.Architecture, Architectures()); err != nil {
		return err
	}
	for _, size := range []struct {
		name         string
		value, limit int
	}{
		{"vocabulary", c.Vocab, MaxWidth},
		{"hidden size", c.Hidden, MaxWidth},
		{"head dim", c.HeadDim, MaxHeadDim},
		{"number of layers", len(c.Layers), MaxLayers},
		{"number of positions", c.MaxPositions, MaxPositions},
	} {
		if err := checkSize(size.name, size.value, size.limit); err != nil {
			return fmt.Errorf("model config: %w", err)
		}
	}
	if c.HeadDim%2 != 0 {
		return fmt.Errorf("model config: head dim is %d, expected an even number for rotary positions", c.HeadDim)
	}
	if !(c.RopeTheta > 0) || math.IsInf(c.RopeTheta, 0) {
		return fmt.Errorf("model config: rope theta is %v, expected a positive number", c.RopeTheta)
	}
	if err := c.Rope.validate(c.RopeTheta); err != nil {
		return fmt.Errorf("model config: %w", err)
	}
	if !(c.NormEps > 0) || math.IsInf(float64(c.NormEps), 0) {
		return fmt.Errorf("model config: norm epsilon is %v, expected a positive number", c.NormEps)
	}
	for _, token := range []struct {
		name string
		id   int
	}{{"BOS", c.BOS}, {"EOS", c.EOS}} {
		if token.id < -1 || token.id >= c.Vocab {
			return fmt.Errorf("model config: %s token is %d, expected -1 (none) to %d", token.name, token.id, c.Vocab-1)
		}
	}
	for _, id := range c.MoreEOS {
		if id < 0 || id >= c.Vocab || c.EOS < 0 {
			return fmt.Errorf("model config: after EOS token %d another is %d, expected 0 to %d", c.EOS, id, c.Vocab-1)
		}
	}
	for i, l := range c.Layers {
		if err := l.validate(); err != nil {
			return fmt.Errorf("model config: layer %d: %w", i, err)
		}
	}
	return nil
}

func (l LayerConfig) validate() error {
	if err := checkSize("number of heads", l.Heads, MaxHeads); err != nil {
		return err
	}
	if err := checkSize("number of kv heads", l.KVHeads, MaxHeads); err != nil {
		return err
	}
	if l.Heads%l.KVHeads != 0 {
		return fmt.Errorf("%d heads over %d kv heads, expected a multiple", l.Heads, l.KVHeads)
	}
	return checkSize("number of mlp neurons", l.MLP, MaxWidth)
}

func checkSize(name string, value, limit int) error {
	if value < 1 || value > limit {
		return fmt.Errorf("%s is %d, expected 1 to %d", name, value, limit)
	}
	return nil
}

// Parameters counts the stored parameters by formula (a tied head once).
func (c Config) Parameters() int {
	n := c.Vocab*c.Hidden + c.Hidden
	if !c.TiedHead {
		n += c.Vocab * c.Hidden
	}
	for _, l := range c.Layers {
		q, kv := l.Heads*c.HeadDim, l.KVHeads*c.HeadDim
		n += 2*c.Hidden + 2*(q+kv)*c.Hidden + 3*l.MLP*c.Hidden
		if c.QKVBias {
			n += q + 2*kv
		}
		if c.OBias {
			n += c.Hidden
		}
		if c.QKNorm {
			n += 2 * c.HeadDim
		}
	}
	return n
}

// biased reports whether the linear layers at a site have a bias.
func (c *Config) biased(site Site) bool {
	return site == SiteQKV && c.QKVBias || site == SiteO && c.OBias
}

// Ends lists the token ids that end a text: EOS and MoreEOS, none where there is no EOS.
func (c Config) Ends() []int {
	if c.EOS < 0 {
		return nil
	}
	return append([]int{c.EOS}, c.MoreEOS...)
}

// widest returns the largest widths of any layer, for which scratch memory is planned.
func (c Config) widest() LayerConfig {
	var w LayerConfig
	for _, l := range c.Layers {
		w.Heads = max(w.Heads, l.Heads)
		w.KVHeads = max(w.KVHeads, l.KVHeads)
		w.MLP = max(w.MLP, l.MLP)
	}
	return w
}
