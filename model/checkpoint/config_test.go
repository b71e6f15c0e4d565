package checkpoint

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"slimlab/model"
	"slimlab/model/weight"
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

var (
	llama3        = map[string]any{"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
	llama3Scaling = model.RopeScaling{Kind: model.RopeLlama3, Factor: 32, LowFrequencyFactor: 1, HighFrequencyFactor: 4, OriginalMaxPositions: 8192}
)

// with is an object with one more key.
func with(object map[string]any, key string, value any) map[string]any {
	object = maps.Clone(object)
	object[key] = value
	return object
}

// rewritten writes a config and reads it again.
func rewritten(t *testing.T, c model.Config) model.Config {
	t.Helper()
	file, err := newConfigFile(c, F32)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := parsed(data)
	if err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return again
}

func TestConfigDefaults(t *testing.T) {
	base := model.Config{Architecture: model.Llama, Vocab: 32, Hidden: 16, HeadDim: 4, Layers: model.Uniform(2, 4, 4, 24),
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
		{"qwen2", map[string]any{"architectures": []string{model.Qwen2}, "tie_word_embeddings": true, "use_sliding_window": false, "sliding_window": 4096},
			func(c *model.Config) {
				c.Architecture, c.QKVBias, c.TiedHead, c.MaxPositions, c.BOS, c.EOS = model.Qwen2, true, true, 32768, -1, -1
			}},
		{"qwen3", map[string]any{"architectures": []string{model.Qwen3}, "layer_types": []string{"full_attention", "full_attention"}}, func(c *model.Config) {
			c.Architecture, c.QKNorm, c.HeadDim, c.MaxPositions, c.BOS, c.EOS = model.Qwen3, true, 128, 32768, -1, -1
		}},
		{"qwen3 with bias", map[string]any{"architectures": nil, "model_type": "qwen3", "attention_bias": true, "head_dim": 4}, func(c *model.Config) {
			c.Architecture, c.QKNorm, c.QKVBias, c.OBias, c.MaxPositions, c.BOS, c.EOS = model.Qwen3, true, true, true, 32768, -1, -1
		}},
		{"llama with bias", map[string]any{"attention_bias": true}, func(c *model.Config) { c.QKVBias, c.OBias = true, true }},
		{"mistral", map[string]any{"architectures": []string{model.Mistral}, "sliding_window": 131072}, func(c *model.Config) { c.Architecture, c.MaxPositions = model.Mistral, 131072 }},
		{"short mistral", map[string]any{"architectures": []string{model.Mistral}, "max_position_embeddings": 4096}, func(c *model.Config) { c.Architecture, c.MaxPositions = model.Mistral, 4096 }},
		{"several ends", map[string]any{"eos_token_id": []int{8, 9, 10}, "dtype": "bfloat16"}, func(c *model.Config) { c.EOS, c.MoreEOS = 8, []int{9, 10} }},
		{"linear", map[string]any{"rope_scaling": map[string]any{"type": "linear", "factor": 4.0, "original_max_position_embeddings": 512}},
			func(c *model.Config) { c.Rope = model.RopeScaling{Kind: model.RopeLinear, Factor: 4} }},
		{"llama3", map[string]any{"rope_scaling": llama3}, func(c *model.Config) { c.Rope = llama3Scaling }},
		{"llama3 in parameters", map[string]any{"rope_parameters": with(llama3, "rope_theta", 5e5)}, func(c *model.Config) { c.Rope, c.RopeTheta = llama3Scaling, 5e5 }},
		{"llama3 twice", map[string]any{"rope_parameters": with(llama3, "rope_theta", 5e5), "rope_scaling": llama3}, func(c *model.Config) { c.Rope, c.RopeTheta = llama3Scaling, 5e5 }},
		{"yarn", map[string]any{"rope_scaling": map[string]any{"type": "yarn", "factor": 4, "original_max_position_embeddings": 32768}},
			func(c *model.Config) {
				c.Rope = model.RopeScaling{Kind: model.RopeYarn, Factor: 4, OriginalMaxPositions: 32768}
			}},
		{"yarn in full", map[string]any{"rope_scaling": map[string]any{"rope_type": "yarn", "factor": 4, "beta_fast": 16, "beta_slow": 2, "attention_factor": 1.5, "truncate": true}},
			func(c *model.Config) {
				c.Rope = model.RopeScaling{Kind: model.RopeYarn, Factor: 4, BetaFast: 16, BetaSlow: 2, AttentionFactor: 1.5}
			}},
		{"own layers", map[string]any{"slimlab_layers": []layerWidths{{2, 1, 5}, {4, 4, 7}}}, func(c *model.Config) {
			c.Layers = []model.LayerConfig{{Heads: 2, KVHeads: 1, MLP: 5}, {Heads: 4, KVHeads: 4, MLP: 7}}
		}},
		{"a layer's config", map[string]any{"per_layer_config": map[string]any{"1": map[string]any{"intermediate_size": 9}}}, func(c *model.Config) {
			c.Layers = slices.Clone(c.Layers)
			c.Layers[1].MLP = 9
		}},
		{"every layer's config", map[string]any{"serialize_explicit_per_layer_config": true, "per_layer_config": map[string]any{
			"00": map[string]any{"num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 5, "skip": []string{}},
			"01": map[string]any{"num_attention_heads": 4, "num_key_value_heads": 4, "intermediate_size": 7, "rms_norm_eps": base.NormEps}},
			"rms_norm_eps": base.NormEps, "slimlab_layers": []layerWidths{{2, 1, 5}, {4, 4, 7}}}, func(c *model.Config) {
			c.Layers = []model.LayerConfig{{Heads: 2, KVHeads: 1, MLP: 5}, {Heads: 4, KVHeads: 4, MLP: 7}}
		}},
		// neither the most heads nor the most KV heads of all layers divide each other
		{"layers that do not divide", map[string]any{"slimlab_layers": []layerWidths{{6, 2, 5}, {4, 4, 7}}, "head_dim": 2}, func(c *model.Config) {
			c.HeadDim, c.Layers = 2, []model.LayerConfig{{Heads: 6, KVHeads: 2, MLP: 5}, {Heads: 4, KVHeads: 4, MLP: 7}}
		}},
	} {
		want := base
		c.want(&want)
		got, _, err := parsed([]byte(edit(t, plainConfig, c.keys)))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if !sameConfig(got, want) {
			t.Errorf("%s: found %+v, expected %+v", c.name, got, want)
		} else if again := rewritten(t, got); !sameConfig(again, want) {
			t.Errorf("%s: written and read again it is %+v, expected %+v", c.name, again, want)
		}
	}
	null := strings.Replace(plainConfig, "{", `{"bos_token_id":null,`, 1)
	if got, _, err := parsed([]byte(null)); err != nil || got.BOS != -1 || got.EOS != 2 {
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
		{"architectures", []string{"MixtralForCausalLM"}, `architectures: found "MixtralForCausalLM", a mixture of experts: expected one of LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM`},
		{"architectures", []string{model.Mistral}, `sliding_window: the key is missing, which means 4096: attention within a window is not supported, expected null`},
		{"architectures", nil, `architectures: the key is missing, and model_type is "": expected one of llama, mistral, qwen2, qwen3`},
		{"architectures", "x", `architectures: found "x", expected a list of one name`},
		{"vocab_size", nil, `vocab_size: the key is missing`},
		{"hidden_size", "big", `hidden_size: found "big", expected a whole number`},
		{"hidden_size", 16.5, `hidden_size: found 16.5, expected a whole number`},
		{"num_hidden_layers", 1_000_000_000, `num_hidden_layers: found 1000000000, expected a whole number from 1 to 4096`},
		{"num_hidden_layers", -1, `num_hidden_layers: found -1, expected a whole number from 1 to 4096`},
		{"num_attention_heads", 0, `num_attention_heads: found 0, expected a whole number from 1 to 16384`},
		{"hidden_act", "gelu", `hidden_act: "gelu" is not supported, expected silu or swish`},
		{"attention_bias", "yes", `attention_bias: found "yes", expected true or false`},
		{"num_attention_heads", 3, `head_dim: the key is missing, and hidden_size 16 does not divide into 3 heads`},
		{"layer_types", []string{"full_attention", "sliding_attention"}, `layer_types: layer 1 has "sliding_attention", expected "full_attention"`},
		{"layer_types", 1, `layer_types: found 1, expected a list of strings`},
		{"partial_rotary_factor", 0.5, `partial_rotary_factor: 0.5 is not supported, expected 1`},
		{"mlp_bias", true, `mlp_bias: true is not supported, expected false`},
		{"tie_word_embeddings", 1, `tie_word_embeddings: found 1, expected true or false`},
		{"rms_norm_eps", "x", `rms_norm_eps: found "x", expected a number`},
		{"rope_scaling", map[string]any{"rope_type": "llama3", "factor": 8}, `rope_scaling.low_freq_factor: the key is missing for rope type "llama3"`},
		{"rope_scaling", map[string]any{"type": "linear"}, `rope_scaling.factor: the key is missing for rope type "linear"`},
		{"rope_scaling", map[string]any{"type": "dynamic", "factor": 2}, `rope_scaling.rope_type: "dynamic" is not supported, expected default, linear, llama3 or yarn: frequencies that follow the length of each text (dynamic NTK)`},
		{"rope_scaling", with(llama3, "original_max_position_embeddings", nil), `rope_scaling.original_max_position_embeddings: the key is missing`},
		{"rope_scaling", with(llama3, "mscale", 1), `rope_scaling.mscale: the key is not supported for rope type "llama3"`},
		{"rope_scaling", with(llama3, "factor", 0.5), `rope_scaling.factor: found 0.5, expected a number of at least 1`},
		{"rope_scaling", map[string]any{"rope_type": "yarn", "factor": 2, "truncate": false}, `rope_scaling.truncate: false is not supported, expected true`},
		{"rope_scaling", map[string]any{"rope_type": "yarn", "factor": "x"}, `rope_scaling.factor: found "x", expected a number`},
		{"rope_parameters", map[string]any{"partial_rotary_factor": 0.5}, `rope_parameters.partial_rotary_factor: 0.5 is not supported, expected 1`},
		{"rope_parameters", 1, `rope_parameters: found 1, expected an object`},
		{"rope_parameters", map[string]any{"full_attention": map[string]any{"rope_type": "dynamic"}}, `rope_parameters.rope_type: "dynamic" is not supported, expected default, linear, llama3 or yarn: frequencies that follow the length of each text (dynamic NTK)`},
		{"rope_parameters", map[string]any{"sliding_attention": map[string]any{"rope_type": "default"}}, `rope_parameters.sliding_attention: the key is not supported for rope type "default"`},
		{"rope_scaling", map[string]any{"rope_type": "default", "type": "mrope"}, `rope_scaling.rope_type: found "default", but type is "mrope"`},
		{"rope_scaling", map[string]any{"factor": 4}, `rope_scaling.rope_type: the key is missing beside factor, expected default, linear, llama3 or yarn`},
		{"rope_scaling", map[string]any{"type": "default", "mrope_section": []int{1, 1}}, `rope_scaling.mrope_section: the key is not supported for rope type "default"`},
		{"eos_token_id", "x", `eos_token_id: found "x", expected a token id, a list of them or null`},
		{"slimlab_layers", []layerWidths{{1, 1, 1}}, `slimlab_layers: found 1 layer, expected num_hidden_layers, 2`},
		{"slimlab_layers", []layerWidths{{1, 1, 1}, {0, 1, 1}}, `slimlab_layers[1].heads: found 0, expected a whole number from 1 to 16384`},
		{"per_layer_config", []int{1}, `per_layer_config: found [1], expected an object`},
		{"per_layer_config", ownLayer("2", "intermediate_size", 5), `per_layer_config: found the key "2", expected a layer's number from 0 to 1`},
		{"per_layer_config", ownLayer("-1", "intermediate_size", 5), `per_layer_config: found the key "-1", expected a layer's number from 0 to 1`},
		{"per_layer_config", ownLayer("full_attention", "head_dim", 5), `per_layer_config: found the key "full_attention", expected a layer's number from 0 to 1`},
		{"per_layer_config", map[string]any{"1": map[string]any{}, "01": map[string]any{}}, `per_layer_config: layer 1 stands under "01" and "1", expected one of them`},
		{"per_layer_config", map[string]any{"1": 3}, `per_layer_config.1: found 3, expected an object`},
		{"per_layer_config", ownLayer("1", "intermediate_size", 0), `per_layer_config.1.intermediate_size: found 0, expected a whole number from 1 to 1048576`},
		{"per_layer_config", ownLayer("1", "num_attention_heads", 0), `per_layer_config.1.num_attention_heads: found 0, expected a whole number from 1 to 16384`},
		{"per_layer_config", ownLayer("1", "num_attention_heads", 2.5), `per_layer_config.1.num_attention_heads: found 2.5, expected a whole number`},
		{"per_layer_config", ownLayer("1", "num_key_value_heads", 3), `per_layer_config.1.num_key_value_heads: found 3, expected a divisor of the layer's num_attention_heads, 4`},
		{"per_layer_config", ownLayer("1", "head_dim", 8), `per_layer_config.1.head_dim: found 8, expected that of the model, 4: heads of different widths are not supported`},
		{"per_layer_config", ownLayer("1", "skip", []string{"mlp"}), `per_layer_config.1.skip: found ["mlp"], expected none: layers without attention or MLP are not supported`},
		{"per_layer_config", ownLayer("0", "sliding_window", 8), `per_layer_config.0.sliding_window: found 8, expected that of the model: it may not differ in a layer`},
		{"quantization_config", map[string]any{"quant_method": "quip"}, `quantization_config.quant_method: "quip" is not supported, expected compressed-tensors, gptq, awq or fp8: codes of QuIP#'s lattice; take the model before it was quantized, or one in a form that is read`},
	} {
		_, _, err := parsed([]byte(edit(t, plainConfig, map[string]any{c.key: c.value})))
		if err == nil || err.Error() != c.want {
			t.Errorf("%s %v:\nfound    %v\nexpected %s", c.key, c.value, err, c.want)
		}
	}
	for _, c := range []struct {
		keys map[string]any
		want string
	}{
		{map[string]any{"architectures": []string{model.Qwen2}, "use_sliding_window": true}, `use_sliding_window: true is not supported, expected false`},
		{map[string]any{"architectures": []string{model.Qwen3}, "use_sliding_window": true}, `use_sliding_window: true is not supported, expected false`},
		{map[string]any{"architectures": []string{model.Mistral}, "sliding_window": 4096, "max_position_embeddings": 32768},
			`sliding_window: found 4096: attention within a window is not supported, expected null, or at least max_position_embeddings, 32768`},
		{map[string]any{"slimlab_layers": []layerWidths{{4, 2, 5}, {4, 2, 7}}, "per_layer_config": ownLayer("1", "intermediate_size", 9)},
			`per_layer_config: its widths are not those of slimlab_layers, expected equal ones, or one of the keys`},
		{map[string]any{"rope_scaling": llama3, "rope_parameters": map[string]any{"rope_type": "linear", "factor": 2}},
			`rope_parameters: found {"factor":2,"rope_type":"linear"}, which differs from rope_scaling`},
	} {
		if _, _, err := parsed([]byte(edit(t, plainConfig, c.keys))); err == nil || err.Error() != c.want {
			t.Errorf("%v:\nfound    %v\nexpected %s", c.keys, err, c.want)
		}
	}
}

// What a family's config cannot say is not written.
func TestConfigThatDoesNotFit(t *testing.T) {
	for _, c := range []struct {
		architecture string
		qkv, o, norm bool
		fits         bool
		file         string
	}{
		{model.Llama, true, true, false, true, `"attention_bias":true,"mlp_bias":false`},
		{model.Llama, true, false, false, false, ""},
		{model.Llama, false, false, true, false, ""},
		{model.Mistral, false, false, false, true, `"sliding_window":null`},
		{model.Mistral, true, true, false, false, ""},
		{model.Qwen2, true, false, false, true, `"use_sliding_window":false`},
		{model.Qwen2, true, true, false, false, ""},
		{model.Qwen3, true, true, true, true, `"attention_bias":true,"use_sliding_window":false`},
		{model.Qwen3, false, false, false, false, ""},
	} {
		m := shapes()["untied"]
		m.Architecture, m.QKVBias, m.OBias, m.QKNorm = c.architecture, c.qkv, c.o, c.norm
		file, err := newConfigFile(m, F32)
		if (err == nil) != c.fits {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if data, err := json.Marshal(file); err != nil || !strings.Contains(string(data), c.file) {
			t.Errorf("%+v: written as %s: %v", c, data, err)
		}
	}
	m := shapes()["untied"]
	m.Rope, m.RopeTheta, m.EOS, m.MoreEOS = llama3Scaling, 5e5, 8, []int{9}
	file, err := newConfigFile(m, F32)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(file)
	if want := `"rope_theta":500000.0,"rope_scaling":{"rope_type":"llama3","factor":32.0,"low_freq_factor":1.0,"high_freq_factor":4.0,"original_max_position_embeddings":8192}`; err != nil || !strings.Contains(string(data), want) {
		t.Errorf("found %s (%v), expected %s in it", data, err, want)
	}
	if want := `"eos_token_id":[8,9]`; !strings.Contains(string(data), want) {
		t.Errorf("found %s, expected %s in it", data, want)
	}
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(plainConfig))
	f.Add([]byte(edit(f, plainConfig, map[string]any{"slimlab_layers": []layerWidths{{2, 1, 5}, {4, 4, 7}}, "rope_theta": 1e6})))
	several, err := newQuantizationConfig([]layer{{"a", Storage{Packing: IntQuantized, Format: weight.Format{Bits: 8, Activations: weight.Token}}}, {"b", Storage{Packing: PackQuantized, Format: weight.Format{Bits: 4, Group: 8}}},
		{"c", Storage{Packing: PackQuantized, Format: weight.Format{Bits: 4, Group: 8, Activations: weight.Token}}}, {"d", Storage{Packing: FloatQuantized, Format: weight.Format{Float: true, Bits: 8, Activations: weight.Static}}}, {"lm_head", Storage{}}})
	if err != nil {
		f.Fatal(err)
	}
	for _, q := range []string{string(*several), w4Config, gptqSample, awqSample, fp8Sample} {
		f.Add([]byte(edit(f, plainConfig, map[string]any{"quantization_config": json.RawMessage(q)})))
	}
	f.Add([]byte(`{"architectures":["Qwen2ForCausalLM"],"vocab_size":1e99}`))
	f.Add([]byte(edit(f, plainConfig, map[string]any{"rope_scaling": llama3, "attention_bias": true, "eos_token_id": []int{3, 4}})))
	f.Add([]byte(edit(f, plainConfig, map[string]any{"architectures": []string{model.Mistral}, "sliding_window": 1 << 20, "rope_parameters": map[string]any{"rope_type": "yarn", "factor": 4, "beta_fast": 16}})))
	f.Add([]byte(edit(f, plainConfig, map[string]any{"architectures": []string{model.Qwen3}, "layer_types": []string{"full_attention"}})))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, q, err := parsed(data)
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
		again, _, err := parsed(written)
		if err != nil || !sameConfig(again, c) {
			t.Fatalf("%+v was written as %s and read as %+v: %v", c, written, again, err)
		}
	})
}

// A number outside its key's bounds is refused by the key, what was found and the bounds.
func TestConfigBounds(t *testing.T) {
	for key, b := range configBounds {
		for _, found := range []string{fmt.Sprint(b.low - 1), fmt.Sprint(b.high + 1), "1099511627776", "-3", "99999999999999999999", "-99999999999999999999", "1e30", "1e400"} {
			_, _, err := parsed([]byte(edit(t, plainConfig, map[string]any{key: json.RawMessage(found)})))
			want := fmt.Sprintf("%s: found %s, expected a whole number from %d to %d", key, found, b.low, b.high)
			if err == nil || err.Error() != want {
				t.Errorf("found    %v\nexpected %s", err, want)
			}
		}
	}
	for _, c := range []struct{ key, found, want string }{
		{"rms_norm_eps", "-1e-5", "a number above 0"},
		{"rms_norm_eps", "1e400", "a number from -1.8e+308 to 1.8e+308"},
		{"rope_theta", "0", "a number above 0"},
		{"head_dim", "7", "an even number for rotary positions"},
		{"num_key_value_heads", "3", "a divisor of num_attention_heads, 4"},
		{"bos_token_id", "99999999999999999999", "a whole number from -9007199254740992 to 9007199254740992"},
	} {
		_, _, err := parsed([]byte(edit(t, plainConfig, map[string]any{c.key: json.RawMessage(c.found)})))
		if want := c.key + ": found " + c.found + ", expected " + c.want; err == nil || err.Error() != want {
			t.Errorf("found    %v\nexpected %s", err, want)
		}
	}
}

// TestNumberOfLayers: one layer is a model, none is not.
func TestNumberOfLayers(t *testing.T) {
	for n, accepted := range map[int]bool{-1: false, 0: false, 1: true, model.MaxLayers: true, model.MaxLayers + 1: false} {
		c, _, err := parsed([]byte(fmt.Sprintf(`{"architectures": ["LlamaForCausalLM"], "vocab_size": 8, "hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2, "num_hidden_layers": %d}`, n)))
		if accepted != (err == nil) || accepted && len(c.Layers) != n || !accepted && !strings.Contains(err.Error(), "num_hidden_layers") {
			t.Errorf("%d layers: %v", n, err)
		}
	}
}

// TestGGUFFileTypes: the numbers of general.file_type are those of llama.cpp's llama_ftype.
func TestGGUFFileTypes(t *testing.T) {
	want := map[string]uint32{"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q3_K_M": 12, "Q4_K_M": 15, "Q5_K_M": 17, "Q6_K": 18, "BF16": 32}
	got := map[string]uint32{}
	for _, f := range ggufForms {
		got[f.name] = f.fileType
		if n, err := fileTypeOf(f.of); err != nil || n != f.fileType {
			t.Errorf("%s: %d, %v", f.name, n, err)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("found %v, expected %v", got, want)
	}
}

// ownLayer is a per_layer_config of one key.
func ownLayer(layer, key string, value any) map[string]any {
	return map[string]any{layer: map[string]any{key: value}}
}

// TestPerLayerConfigIsWritten: what differs stands under the layers' numbers, which sort as they
// count, and the model's own keys are widths that layers have.
func TestPerLayerConfigIsWritten(t *testing.T) {
	c := shapes()["pruned"]
	c.Layers = slices.Repeat([]model.LayerConfig{{Heads: 4, KVHeads: 2, MLP: 24}}, 12)
	c.Layers[2].MLP, c.Layers[11] = 17, model.LayerConfig{Heads: 3, KVHeads: 3, MLP: 30}
	f, err := newConfigFile(c, BF16)
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(f.PerLayer)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(data), `"02":{"intermediate_size":17}`) || !strings.HasSuffix(string(data), `"10":{"intermediate_size":24},"11":{"num_attention_heads":3,"num_key_value_heads":3}}`) ||
		f.Heads != 4 || f.KVHeads != 2 || f.IntermediateSize != 30 || len(f.PerLayer) != 12 {
		t.Errorf("found %s beside %d heads, %d kv heads and %d neurons", data, f.Heads, f.KVHeads, f.IntermediateSize)
	}
	c.Layers = c.Layers[:2]
	if f, err = newConfigFile(c, BF16); err != nil || len(f.PerLayer) > 0 {
		t.Errorf("equal layers have the keys %v (%v)", f.PerLayer, err)
	}
}
