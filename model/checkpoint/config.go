package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"strconv"

	"slimlab/model"
)

const (
	llama   = "LlamaForCausalLM"
	qwen2   = "Qwen2ForCausalLM"
	qwen3   = "Qwen3ForCausalLM"
	mistral = "MistralForCausalLM"

	maxLayers = 1 << 12 // checked before a list of layers is made; model.Config.Validate checks the other sizes
)

// ReadConfig reads the config.json of a folder.
func ReadConfig(fsys fs.FS, dir string) (model.Config, error) {
	c, _, err := readConfig(fsys, dir)
	return c, err
}

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

// parseConfig reads a config.json with Hugging Face's defaults. The sizes of a model have none: a file without them is not a config.
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
	c.HeadDim = k.integer("head_dim", c.Hidden/max(1, heads))
	c.NormEps = float32(k.number("rms_norm_eps", 1e-6))
	c.TiedHead = k.boolean("tie_word_embeddings", false)
	c.RopeTheta = k.ropeTheta()
	c.BOS, c.EOS = k.token("bos_token_id"), k.token("eos_token_id")
	switch c.Architecture {
	case llama:
		c.MaxPositions = k.integer("max_position_embeddings", 2048)
		k.refuse("attention_bias", false)
		k.refuse("mlp_bias", false)
	case qwen2:
		c.MaxPositions = k.integer("max_position_embeddings", 32768)
		c.QKVBias = true
		k.refuse("use_sliding_window", false)
	}
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

// required is the fallback of a key that must be there.
const required = math.MinInt

// keys reads values by key and keeps the first error.
type keys struct {
	raw map[string]json.RawMessage
	err error
}

func (k *keys) fail(key, format string, args ...any) {
	if k.err == nil {
		k.err = fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...))
	}
}

// present reports whether a key is there and not null.
func (k *keys) present(key string) bool {
	raw := k.raw[key]
	return len(raw) > 0 && string(raw) != "null"
}

func (k *keys) integer(key string, fallback int) int {
	if !k.present(key) {
		if fallback == required {
			k.fail(key, "the key is missing")
			return 0
		}
		return fallback
	}
	n, err := whole(k.raw[key])
	if err != nil {
		k.fail(key, "%v", err)
	}
	return n
}

// whole reads an integer, also one that was written as a float (4096.0).
func whole(raw json.RawMessage) (int, error) {
	if n, err := strconv.Atoi(string(raw)); err == nil {
		return n, nil
	}
	var f float64
	if err := json.Unmarshal(raw, &f); err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<52 {
		return 0, fmt.Errorf("found %s, expected a whole number", clip(raw))
	}
	return int(f), nil
}

func (k *keys) number(key string, fallback float64) float64 {
	if !k.present(key) {
		return fallback
	}
	var f float64
	if err := json.Unmarshal(k.raw[key], &f); err != nil {
		k.fail(key, "found %s, expected a number", clip(k.raw[key]))
	}
	return f
}

func (k *keys) boolean(key string, fallback bool) bool {
	if !k.present(key) {
		return fallback
	}
	var b bool
	if err := json.Unmarshal(k.raw[key], &b); err != nil {
		k.fail(key, "found %s, expected true or false", clip(k.raw[key]))
	}
	return b
}

func (k *keys) text(key, fallback string) string {
	if !k.present(key) {
		return fallback
	}
	var s string
	if err := json.Unmarshal(k.raw[key], &s); err != nil {
		k.fail(key, "found %s, expected a string", clip(k.raw[key]))
	}
	return s
}

// refuse fails where a switch is not in the one position that the model has.
func (k *keys) refuse(key string, only bool) {
	if k.boolean(key, only) != only {
		k.fail(key, "%t is not supported, expected %t", !only, only)
	}
}

// architecture takes the one entry of architectures, or what model_type implies.
func (k *keys) architecture() string {
	if k.present("architectures") {
		var names []string
		if err := json.Unmarshal(k.raw["architectures"], &names); err != nil || len(names) != 1 {
			k.fail("architectures", "found %s, expected a list of one name", clip(k.raw["architectures"]))
			return ""
		}
		if names[0] != llama && names[0] != qwen2 {
			k.fail("architectures", "%q is not supported, expected %s or %s", names[0], llama, qwen2)
		}
		return names[0]
	}
	switch kind := k.text("model_type", ""); kind {
	case "llama":
		return llama
	case "qwen2":
		return qwen2
	default:
		k.fail("architectures", "the key is missing, and model_type %q is not supported, expected llama or qwen2", kind)
	}
	return ""
}

// ropeTheta reads the base of the rotary positions in its two spellings: rope_theta beside rope_scaling, or both within rope_parameters.
func (k *keys) ropeTheta() float64 {
	theta := k.number("rope_theta", 10000)
	for _, key := range []string{"rope_scaling", "rope_parameters"} {
		if !k.present(key) {
			continue
		}
		var in keys
		if err := json.Unmarshal(k.raw[key], &in.raw); err != nil {
			k.fail(key, "found %s, expected an object", clip(k.raw[key]))
			continue
		}
		if kind := in.text("rope_type", in.text("type", "default")); kind != "default" {
			k.fail(key, "rope type %q is not supported, expected null", kind)
		}
		if key == "rope_parameters" {
			theta = in.number("rope_theta", theta)
		}
		if in.err != nil {
			k.fail(key, "%v", in.err)
		}
	}
	if f := k.number("partial_rotary_factor", 1); f != 1 {
		k.fail("partial_rotary_factor", "%g is not supported, expected 1", f)
	}
	return theta
}

// token reads a token id: a number, a list, of which the first counts, or null. Llama's defaults are 1 and 2.
func (k *keys) token(key string) int {
	raw, ok := k.raw[key]
	if !ok {
		if k.architecture() != llama {
			return -1
		}
		return map[string]int{"bos_token_id": 1, "eos_token_id": 2}[key]
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil {
		if len(list) == 0 {
			return -1
		}
		raw = list[0]
	}
	id, err := whole(raw)
	if err != nil || id < 0 {
		k.fail(key, "found %s, expected a token id, a list of them or null", clip(raw))
	}
	return id
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

// configFile is a config.json as it is written.
type configFile struct {
	Architectures    []string            `json:"architectures"`
	ModelType        string              `json:"model_type"`
	VocabSize        int                 `json:"vocab_size"`
	HiddenSize       int                 `json:"hidden_size"`
	IntermediateSize int                 `json:"intermediate_size"`
	Layers           int                 `json:"num_hidden_layers"`
	Heads            int                 `json:"num_attention_heads"`
	KVHeads          int                 `json:"num_key_value_heads"`
	HeadDim          int                 `json:"head_dim"`
	MaxPositions     int                 `json:"max_position_embeddings"`
	RopeTheta        float64             `json:"rope_theta"`
	RopeScaling      *struct{}           `json:"rope_scaling"`
	RMSNormEps       json.Number         `json:"rms_norm_eps"`
	HiddenAct        string              `json:"hidden_act"`
	AttentionBias    *bool               `json:"attention_bias,omitempty"`
	MLPBias          *bool               `json:"mlp_bias,omitempty"`
	SlidingWindow    *bool               `json:"use_sliding_window,omitempty"`
	Tied             bool                `json:"tie_word_embeddings"`
	BOS              *int                `json:"bos_token_id"`
	EOS              *int                `json:"eos_token_id"`
	TorchDType       string              `json:"torch_dtype"`
	SlimlabLayers    []layerWidths       `json:"slimlab_layers,omitempty"`
	Quantization     *quantizationConfig `json:"quantization_config,omitempty"`
}

// newConfigFile says what a model is in Hugging Face's keys. Where layers differ the plain keys hold the largest widths, and
// slimlab_layers those of each layer.
func newConfigFile(c model.Config, dtype DType) (configFile, error) {
	if err := c.Validate(); err != nil {
		return configFile{}, err
	}
	no := false
	f := configFile{
		Architectures: []string{c.Architecture}, VocabSize: c.Vocab, HiddenSize: c.Hidden, HeadDim: c.HeadDim, Layers: len(c.Layers),
		MaxPositions: c.MaxPositions, RopeTheta: c.RopeTheta, HiddenAct: "silu", Tied: c.TiedHead,
		// The shortest decimal that reads back as the same float32.
		RMSNormEps: json.Number(strconv.FormatFloat(float64(c.NormEps), 'g', -1, 32)),
	}
	switch c.Architecture {
	case llama:
		f.ModelType, f.AttentionBias, f.MLPBias = "llama", &no, &no
	case qwen2:
		f.ModelType, f.SlidingWindow = "qwen2", &no
	}
	if want := c.Architecture == qwen2; c.QKVBias != want {
		return f, fmt.Errorf("model config: q/k/v bias is %t, expected %t for %s", c.QKVBias, want, c.Architecture)
	}
	if c.BOS >= 0 {
		f.BOS = &c.BOS
	}
	if c.EOS >= 0 {
		f.EOS = &c.EOS
	}
	f.TorchDType = map[DType]string{F32: "float32", BF16: "bfloat16"}[dtype]
	if f.TorchDType == "" {
		return f, errors.New("dtype is " + string(dtype) + ", expected F32 or BF16")
	}
	uniform := true
	for _, l := range c.Layers {
		uniform = uniform && l == c.Layers[0]
		f.Heads, f.KVHeads, f.IntermediateSize = max(f.Heads, l.Heads), max(f.KVHeads, l.KVHeads), max(f.IntermediateSize, l.MLP)
		f.SlimlabLayers = append(f.SlimlabLayers, layerWidths(l))
	}
	if uniform {
		f.SlimlabLayers = nil
	}
	return f, nil
}
