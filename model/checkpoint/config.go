package checkpoint

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"slimlab/model"
)

const (
	// checked before a list of layers is made; model.Config.Validate checks the other sizes
	maxLayers = 1 << 12
)

// readConfig reads the config.json of a folder.
func readConfig(fsys fs.FS, dir string) (model.Config, *quantization, error) {
	data, err := fs.ReadFile(fsys, path.Join(dir, "config.json"))
	if err != nil {
		return model.Config{}, nil, err
	}
	c, q, err := parseConfig(data)
	if err != nil {
		return c, nil, fmt.Errorf("config.json: %w", err)
	}
	return c, q, nil
}

// parseConfig reads a config.json with Hugging Face's defaults. The sizes of a model have none: a
// file without them is not a config.
func parseConfig(data []byte) (model.Config, *quantization, error) {
	var k keys
	if err := json.Unmarshal(data, &k.raw); err != nil {
		return model.Config{}, nil, err
	}
	c := model.Config{Architecture: k.architecture()}
	c.Vocab = k.integer("vocab_size", required)
	c.Hidden = k.integer("hidden_size", required)
	heads := k.integer("num_attention_heads", required)
	layer := model.LayerConfig{
		Heads:   heads,
		KVHeads: k.integer("num_key_value_heads", heads),
		MLP:     k.integer("intermediate_size", required),
	}
	layers := k.integer("num_hidden_layers", required)
	c.NormEps = float32(k.number("rms_norm_eps", 1e-6))
	c.TiedHead = k.boolean("tie_word_embeddings", false)
	c.RopeTheta, c.Rope = k.rope()
	k.family(&c, heads)
	if act := k.text("hidden_act", "silu"); act != "silu" {
		k.fail("hidden_act", "found %q, expected \"silu\"", act)
	}
	if layers < 1 || layers > maxLayers {
		k.fail("num_hidden_layers", "found %d, expected 1 to %d", layers, maxLayers)
	}
	if k.err != nil {
		return c, nil, k.err
	}
	c.Layers = model.Uniform(layers, layer.Heads, layer.KVHeads, layer.MLP)
	if err := k.ownLayers(c.Layers); err != nil {
		return c, nil, err
	}
	if err := c.Validate(); err != nil {
		return c, nil, err
	}
	q, err := parseQuantization(k.raw["quantization_config"])
	return c, q, err
}

// family reads the keys that differ between families.
func (k *keys) family(c *model.Config, heads int) {
	none := []int{}
	bos, eos := none, none // Hugging Face's defaults
	headDim := c.Hidden / max(1, heads)
	switch c.Architecture {
	case model.Llama:
		bos, eos = []int{1}, []int{2}
		c.MaxPositions = k.integer("max_position_embeddings", 2048)
		c.QKVBias = k.boolean("attention_bias", false)
		c.OBias = c.QKVBias
		k.refuse("mlp_bias", false)
	case model.Mistral:
		bos, eos = []int{1}, []int{2}
		c.MaxPositions = k.integer("max_position_embeddings", 131072)
		k.window(c.MaxPositions)
	case model.Qwen2:
		c.MaxPositions = k.integer("max_position_embeddings", 32768)
		c.QKVBias = true
		k.refuse("use_sliding_window", false)
		k.refuse("use_mrope", false)
	case model.Qwen3:
		c.MaxPositions = k.integer("max_position_embeddings", 32768)
		c.QKVBias = k.boolean("attention_bias", false)
		c.OBias, c.QKNorm, headDim = c.QKVBias, true, 128
		k.refuse("use_sliding_window", false)
	}
	k.fullAttention()
	c.HeadDim = k.integer("head_dim", headDim)
	if c.Architecture != model.Qwen3 && !k.present("head_dim") && heads > 0 && c.Hidden%heads != 0 {
		k.fail("head_dim", "the key is missing, and hidden_size %d does not divide into %d heads", c.Hidden, heads)
	}
	if bos = k.tokens("bos_token_id", bos); len(bos) > 0 {
		c.BOS = bos[0]
	} else {
		c.BOS = -1
	}
	if eos = k.tokens("eos_token_id", eos); len(eos) > 0 {
		c.EOS = eos[0]
	} else {
		c.EOS = -1
	}
	if len(eos) > 1 {
		c.MoreEOS = eos[1:]
	}
}

// window refuses Mistral's sliding window, which a missing key means too, unless no position lies
// beyond it.
func (k *keys) window(positions int) {
	raw, ok := k.raw["sliding_window"]
	if !ok && positions > 4096 {
		k.fail("sliding_window", "the key is missing, which means 4096: attention within a window is not supported, expected null")
	}
	if k.present("sliding_window") {
		if n := k.integer("sliding_window", 0); n < positions {
			k.fail("sliding_window", "found %s: attention within a window is not supported, expected null, or at least max_position_embeddings, %d", clip(raw), positions)
		}
	}
}

// fullAttention refuses layers that do not attend to all positions.
func (k *keys) fullAttention() {
	if !k.present("layer_types") {
		return
	}
	var kinds []string
	if err := json.Unmarshal(k.raw["layer_types"], &kinds); err != nil {
		k.fail("layer_types", "found %s, expected a list of strings", clip(k.raw["layer_types"]))
	}
	for i, kind := range kinds {
		if kind != "full_attention" {
			k.fail("layer_types", "layer %d has %q, expected \"full_attention\"", i, kind)
		}
	}
}

// families are the architectures by model_type.
var families = []struct{ kind, architecture string }{{"llama", model.Llama}, {"mistral", model.Mistral}, {"qwen2", model.Qwen2}, {"qwen3", model.Qwen3}}

// architecture takes the one entry of architectures, or what model_type implies.
func (k *keys) architecture() string {
	if k.present("architectures") {
		var names []string
		if err := json.Unmarshal(k.raw["architectures"], &names); err != nil || len(names) != 1 {
			k.fail("architectures", "found %s, expected a list of one name", clip(k.raw["architectures"]))
			return ""
		}
		if !slices.Contains(model.Architectures(), names[0]) {
			k.fail("architectures", "%q is not supported, expected one of %s", names[0], strings.Join(model.Architectures(), ", "))
		}
		return names[0]
	}
	kind := k.text("model_type", "")
	var kinds []string
	for _, f := range families {
		if f.kind == kind {
			return f.architecture
		}
		kinds = append(kinds, f.kind)
	}
	k.fail("architectures", "the key is missing, and model_type %q is not supported, expected one of %s", kind, strings.Join(kinds, ", "))
	return ""
}

// tokens reads token ids: a number, a list or null; fallback is for a missing key.
func (k *keys) tokens(key string, fallback []int) []int {
	raw, ok := k.raw[key]
	if !ok {
		return fallback
	}
	if !k.present(key) {
		return nil
	}
	list := []json.RawMessage{raw}
	if raw[0] == '[' {
		if err := json.Unmarshal(raw, &list); err != nil {
			k.fail(key, "%v", err)
		}
	}
	ids := make([]int, len(list))
	for i, one := range list {
		var err error
		if ids[i], err = whole(one); err != nil || ids[i] < 0 {
			k.fail(key, "found %s, expected a token id, a list of them or null", clip(one))
		}
	}
	return ids
}

// layerWidths is an entry of slimlab_layers.
type layerWidths struct {
	Heads   int `json:"heads"`
	KVHeads int `json:"kv_heads"`
	MLP     int `json:"mlp"`
}

// ownLayers reads the widths of layers that differ.
func (k *keys) ownLayers(layers []model.LayerConfig) error {
	if !k.present("slimlab_layers") {
		return nil
	}
	var list []layerWidths
	if err := json.Unmarshal(k.raw["slimlab_layers"], &list); err != nil {
		return fmt.Errorf("slimlab_layers: %w", err)
	}
	if len(list) != len(layers) {
		return fmt.Errorf("slimlab_layers: found %d layers, expected num_hidden_layers, %d", len(list), len(layers))
	}
	for i, l := range list {
		layers[i] = model.LayerConfig(l)
	}
	return nil
}
