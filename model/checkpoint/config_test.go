package checkpoint

import (
	"encoding/json"
	"strings"
	"testing"

	"slimlab/model"
)

const plainConfig = `{"architectures":["LlamaForCausalLM"],"vocab_size":32,"hidden_size":16,"intermediate_size":24,"num_hidden_layers":2,"num_attention_heads":4}`

// edit replaces or adds keys of a JSON object.
func edit(t testing.TB, object string, keys map[string]any) string {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(object), &m); err != nil {
		t.Fatal(err)
	}
	for k, v := range keys {
		if v == nil {
			delete(m, k)
		} else {
			m[k] = v
		}
	}
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestConfigDefaults(t *testing.T) {
	base := model.Config{Architecture: llama, Vocab: 32, Hidden: 16, HeadDim: 4, Layers: model.Uniform(2, 4, 4, 24),
		MaxPositions: 2048, RopeTheta: 10000, NormEps: 1e-6, BOS: 1, EOS: 2}
	for _, c := range []struct {
		name string
		keys map[string]any
		want func(*model.Config)
	}{
		{"plain", nil, func(*model.Config) {}},
		{"by type", map[string]any{"architectures": nil, "model_type": "llama"}, func(*model.Config) {}},
		{"grouped", map[string]any{"num_key_value_heads": 2, "head_dim": 8.0}, func(c *model.Config) { c.Layers, c.HeadDim = model.Uniform(2, 4, 2, 24), 8 }},
		{"tokens", map[string]any{"bos_token_id": []int{5, 6}, "eos_token_id": []int{}}, func(c *model.Config) { c.BOS, c.EOS = 5, -1 }},
		{"rope parameters", map[string]any{"rope_parameters": map[string]any{"rope_type": "default", "rope_theta": 5e5}}, func(c *model.Config) { c.RopeTheta = 5e5 }},
		{"rope scaling default", map[string]any{"rope_theta": 7, "rope_scaling": map[string]any{"type": "default"}}, func(c *model.Config) { c.RopeTheta = 7 }},
		{"qwen2", map[string]any{"architectures": []string{qwen2}, "tie_word_embeddings": true, "use_sliding_window": false, "sliding_window": 4096},
			func(c *model.Config) {
				c.Architecture, c.QKVBias, c.TiedHead, c.MaxPositions, c.BOS, c.EOS = qwen2, true, true, 32768, -1, -1
			}},
		{"own layers", map[string]any{"slimlab_layers": []layerWidths{{2, 1, 5}, {4, 4, 7}}}, func(c *model.Config) {
			c.Layers = []model.LayerConfig{{Heads: 2, KVHeads: 1, MLP: 5}, {Heads: 4, KVHeads: 4, MLP: 7}}
		}},
	} {
		want := base
		c.want(&want)
		got, _, err := parseConfig([]byte(edit(t, plainConfig, c.keys)))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if !sameConfig(got, want) {
			t.Errorf("%s: found %+v, expected %+v", c.name, got, want)
		}
	}
	null := strings.Replace(plainConfig, "{", `{"bos_token_id":null,`, 1)
	if got, _, err := parseConfig([]byte(null)); err != nil || got.BOS != -1 || got.EOS != 2 {
		t.Errorf("bos null: %d, %d, %v; expected -1, 2", got.BOS, got.EOS, err)
	}
}

func sameConfig(a, b model.Config) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

func TestConfigRefusals(t *testing.T) {
	for _, c := range []struct {
		key   string
		value any
		want  string
	}{
		{"architectures", []string{"MistralForCausalLM"}, `architectures: "MistralForCausalLM" is not supported, expected LlamaForCausalLM or Qwen2ForCausalLM`},
		{"architectures", nil, `architectures: the key is missing, and model_type "" is not supported, expected llama or qwen2`},
		{"architectures", "x", `architectures: found "\"x\"", expected a list of one name`},
		{"vocab_size", nil, `vocab_size: the key is missing`},
		{"hidden_size", "big", `hidden_size: found "\"big\"", expected a whole number`},
		{"hidden_size", 16.5, `hidden_size: found "16.5", expected a whole number`},
		{"num_hidden_layers", 1_000_000_000, `num_hidden_layers: found 1000000000, expected 1 to 4096`},
		{"num_hidden_layers", -1, `num_hidden_layers: found -1, expected 1 to 4096`},
		{"num_attention_heads", 0, `model config: layer 0: number of heads is 0, expected 1 to 16384`},
		{"hidden_act", "gelu", `hidden_act: found "gelu", expected "silu"`},
		{"attention_bias", true, `attention_bias: true is not supported, expected false`},
		{"mlp_bias", true, `mlp_bias: true is not supported, expected false`},
		{"tie_word_embeddings", 1, `tie_word_embeddings: found "1", expected true or false`},
		{"rms_norm_eps", "x", `rms_norm_eps: found "\"x\"", expected a number`},
		{"rope_scaling", map[string]any{"rope_type": "llama3", "factor": 8}, `rope_scaling: rope type "llama3" is not supported, expected null`},
		{"rope_scaling", map[string]any{"type": "linear"}, `rope_scaling: rope type "linear" is not supported, expected null`},
		{"rope_parameters", 1, `rope_parameters: found "1", expected an object`},
		{"eos_token_id", "x", `eos_token_id: found "\"x\"", expected a token id, a list of them or null`},
		{"eos_token_id", 99, `model config: EOS token is 99, expected -1 (none) to 31`},
		{"slimlab_layers", []layerWidths{{1, 1, 1}}, `slimlab_layers: found 1 layers, expected num_hidden_layers, 2`},
		{"slimlab_layers", []layerWidths{{1, 1, 1}, {0, 1, 1}}, `model config: layer 1: number of heads is 0, expected 1 to 16384`},
		{"quantization_config", map[string]any{"quant_method": "gptq"}, `quantization_config.quant_method: "gptq" is not supported, expected "compressed-tensors"`},
	} {
		_, _, err := parseConfig([]byte(edit(t, plainConfig, map[string]any{c.key: c.value})))
		if err == nil || err.Error() != c.want {
			t.Errorf("%s %v:\nfound    %v\nexpected %s", c.key, c.value, err, c.want)
		}
	}
	window := edit(t, plainConfig, map[string]any{"architectures": []string{qwen2}, "use_sliding_window": true})
	if _, _, err := parseConfig([]byte(window)); err == nil || err.Error() != `use_sliding_window: true is not supported, expected false` {
		t.Errorf("sliding window: %v", err)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(plainConfig))
	f.Add([]byte(edit(f, plainConfig, map[string]any{"slimlab_layers": []layerWidths{{2, 1, 5}, {4, 4, 7}}, "rope_theta": 1e6})))
	f.Add([]byte(edit(f, plainConfig, map[string]any{"quantization_config": newQuantizationConfig([]string{"a", "b", "c", "lm_head"}, []scheme{{8, 0, true}, {4, 8, false}, {4, 8, true}, {}})})))
	f.Add([]byte(`{"architectures":["Qwen2ForCausalLM"],"vocab_size":1e99}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, q, err := parseConfig(data)
		if err != nil {
			return
		}
		q.of("model.layers.0.self_attn.q_proj")
		// What was read can be written, and reads as the same.
		file, err := newConfigFile(c, F32)
		if err != nil {
			t.Fatal(err)
		}
		written, err := json.Marshal(file)
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := parseConfig(written)
		if err != nil || !sameConfig(again, c) {
			t.Fatalf("%+v was written as %s and read as %+v: %v", c, written, again, err)
		}
	})
}
