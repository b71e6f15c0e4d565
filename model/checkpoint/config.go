package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"slimlab/model"
)

const (
	llama   = "LlamaForCausalLM"
	mistral = "MistralForCausalLM"
	qwen2   = "Qwen2ForCausalLM"
	qwen3   = "Qwen3ForCausalLM"

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

// family reads what the families have of their own.
func (k *keys) family(c *model.Config, heads int) {
	none := []int{}
	bos, eos := none, none // Hugging Face's defaults
	headDim := c.Hidden / max(1, heads)
	switch c.Architecture {
	case llama:
		bos, eos = []int{1}, []int{2}
		c.MaxPositions = k.integer("max_position_embeddings", 2048)
		c.QKVBias = k.boolean("attention_bias", false)
		c.OBias = c.QKVBias
		k.refuse("mlp_bias", false)
	case mistral:
		bos, eos = []int{1}, []int{2}
		c.MaxPositions = k.integer("max_position_embeddings", 131072)
		k.window(c.MaxPositions)
	case qwen2:
		c.MaxPositions = k.integer("max_position_embeddings", 32768)
		c.QKVBias = true
		k.refuse("use_sliding_window", false)
		k.refuse("use_mrope", false)
	case qwen3:
		c.MaxPositions = k.integer("max_position_embeddings", 32768)
		c.QKVBias = k.boolean("attention_bias", false)
		c.OBias, c.QKNorm, headDim = c.QKVBias, true, 128
		k.refuse("use_sliding_window", false)
	}
	k.fullAttention()
	c.HeadDim = k.integer("head_dim", headDim)
	if c.Architecture != qwen3 && !k.present("head_dim") && heads > 0 && c.Hidden%heads != 0 {
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

// families are the architectures by model_type.
var families = []struct{ kind, architecture string }{{"llama", llama}, {"mistral", mistral}, {"qwen2", qwen2}, {"qwen3", qwen3}}

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
	RopeTheta        float               `json:"rope_theta"`
	RopeScaling      *ropeScaling        `json:"rope_scaling"`
	RMSNormEps       json.Number         `json:"rms_norm_eps"`
	HiddenAct        string              `json:"hidden_act"`
	AttentionBias    *bool               `json:"attention_bias,omitempty"`
	MLPBias          *bool               `json:"mlp_bias,omitempty"`
	UseSlidingWindow *bool               `json:"use_sliding_window,omitempty"`
	SlidingWindow    json.RawMessage     `json:"sliding_window,omitempty"`
	Tied             bool                `json:"tie_word_embeddings"`
	BOS              *int                `json:"bos_token_id"`
	EOS              any                 `json:"eos_token_id"` // a number, a list or null
	TorchDType       string              `json:"torch_dtype"`
	SlimlabLayers    []layerWidths       `json:"slimlab_layers,omitempty"`
	Quantization     *quantizationConfig `json:"quantization_config,omitempty"`
}

// newConfigFile says what a model is in Hugging Face's keys. Where layers differ the plain keys
// hold the largest widths, and slimlab_layers those of each layer.
func newConfigFile(c model.Config, dtype DType) (configFile, error) {
	if err := c.Validate(); err != nil {
		return configFile{}, err
	}
	f := configFile{
		Architectures: []string{c.Architecture}, VocabSize: c.Vocab, HiddenSize: c.Hidden, HeadDim: c.HeadDim, Layers: len(c.Layers),
		MaxPositions: c.MaxPositions, RopeTheta: float(c.RopeTheta), RopeScaling: newRopeScaling(c.Rope), HiddenAct: "silu", Tied: c.TiedHead,
		// The shortest decimal that reads back as the same float32.
		RMSNormEps: json.Number(strconv.FormatFloat(float64(c.NormEps), 'g', -1, 32)),
	}
	for _, family := range families {
		if family.architecture == c.Architecture {
			f.ModelType = family.kind
		}
	}
	no, bias := false, c.QKVBias
	var fits bool
	switch c.Architecture {
	case llama:
		f.AttentionBias, f.MLPBias = &bias, &no
		fits = c.QKVBias == c.OBias && !c.QKNorm
	case mistral:
		f.SlidingWindow = json.RawMessage("null")
		fits = !c.QKVBias && !c.OBias && !c.QKNorm
	case qwen2:
		f.UseSlidingWindow = &no
		fits = c.QKVBias && !c.OBias && !c.QKNorm
	case qwen3:
		f.AttentionBias, f.UseSlidingWindow = &bias, &no
		fits = c.QKVBias == c.OBias && c.QKNorm
	}
	if !fits {
		return f, fmt.Errorf("model config: q/k/v bias is %t, o bias %t and q/k norm %t, which %s does not have so", c.QKVBias, c.OBias, c.QKNorm, c.Architecture)
	}
	if c.BOS >= 0 {
		f.BOS = &c.BOS
	}
	switch {
	case len(c.MoreEOS) > 0:
		f.EOS = append([]int{c.EOS}, c.MoreEOS...)
	case c.EOS >= 0:
		f.EOS = c.EOS
	}
	f.TorchDType = map[DType]string{F32: "float32", F16: "float16", BF16: "bfloat16"}[dtype]
	if f.TorchDType == "" {
		return f, errors.New("dtype is " + string(dtype) + ", expected F32, F16 or BF16")
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

// clip quotes the beginning of data for an error.
func clip(data []byte) string {
	if len(data) > 40 {
		return fmt.Sprintf("%q…", data[:40])
	}
	return fmt.Sprintf("%q", data)
}
