package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"slimlab/model"
)

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
	PerLayer         map[string]ownKeys  `json:"per_layer_config,omitempty"`
	Quantization     *quantizationConfig `json:"quantization_config,omitempty"`
}

// ownKeys are the keys of a layer that differ from those of the model.
type ownKeys struct {
	IntermediateSize int `json:"intermediate_size,omitempty"`
	Heads            int `json:"num_attention_heads,omitempty"`
	KVHeads          int `json:"num_key_value_heads,omitempty"`
}

// newConfigFile says what a model is in Hugging Face's keys. Where layers differ the plain keys
// hold the largest widths, those of the heads of one layer, and per_layer_config what differs.
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
	case model.Llama:
		f.AttentionBias, f.MLPBias = &bias, &no
		fits = c.QKVBias == c.OBias && !c.QKNorm
	case model.Mistral:
		f.SlidingWindow = json.RawMessage("null")
		fits = !c.QKVBias && !c.OBias && !c.QKNorm
	case model.Qwen2:
		f.UseSlidingWindow = &no
		fits = c.QKVBias && !c.OBias && !c.QKNorm
	case model.Qwen3:
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
	for _, l := range c.Layers {
		f.IntermediateSize = max(f.IntermediateSize, l.MLP)
		if l.Heads > f.Heads || l.Heads == f.Heads && l.KVHeads > f.KVHeads {
			f.Heads, f.KVHeads = l.Heads, l.KVHeads // which divide
		}
	}
	f.PerLayer = map[string]ownKeys{}
	digits := len(strconv.Itoa(len(c.Layers) - 1)) // so that the keys sort as numbers do
	for i, l := range c.Layers {
		own := ownKeys{differs(l.MLP, f.IntermediateSize), differs(l.Heads, f.Heads), differs(l.KVHeads, f.KVHeads)}
		if own != (ownKeys{}) {
			f.PerLayer[fmt.Sprintf("%0*d", digits, i)] = own
		}
	}
	return f, nil
}

// differs is a layer's value, 0 where it is that of the model.
func differs(own, all int) int {
	if own == all {
		return 0
	}
	return own
}
