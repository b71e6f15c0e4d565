package checkpoint

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"slimlab/model"
)

// The tokens that end a text are those of generation_config.json, then those of config.json.
func TestEndTokens(t *testing.T) {
	none := "-"
	for _, c := range []struct {
		config     map[string]any
		generation string
		ends       []int
		note       string
	}{
		{map[string]any{"eos_token_id": []int{8, 9}}, none, []int{8, 9}, ""},
		{map[string]any{"eos_token_id": 8}, `{"eos_token_id": [9, 8], "temperature": 0.6}`, []int{9, 8}, ""},
		{map[string]any{"eos_token_id": []int{8, 9}}, `{"eos_token_id": 9}`, []int{9, 8}, ""},
		{map[string]any{"eos_token_id": 8}, `{"eos_token_id": 9}`, []int{9, 8}, "generation_config.json: eos_token_id is [9], in config.json [8]: all of them end a text"},
		{nil, `{"eos_token_id": [9, 10]}`, []int{9, 10}, ""}, // the usual 2 is a guess
		{map[string]any{"eos_token_id": 8}, `{"eos_token_id": null}`, []int{8}, ""},
		{map[string]any{"eos_token_id": 8}, `{"_from_model_config": true}`, []int{8}, ""},
		{map[string]any{"eos_token_id": []int{}}, `{"eos_token_id": []}`, nil, ""},
		{map[string]any{"eos_token_id": []int{8, 99}}, none, []int{8}, "config.json: eos_token_id is 99, outside the vocabulary of 32 tokens"},
		{map[string]any{"eos_token_id": 8}, `{"eos_token_id": [8, 32]}`, []int{8}, "generation_config.json: eos_token_id is 32, outside the vocabulary"},
		{map[string]any{"eos_token_id": 8, "pad_token_id": 32}, none, []int{8}, "config.json: pad_token_id is 32, outside the vocabulary"},
		{map[string]any{"eos_token_id": 8, "pad_token_id": -1}, none, []int{8}, ""},
		{map[string]any{"eos_token_id": 8, "bos_token_id": 3}, `{"bos_token_id": 4}`, []int{8}, "generation_config.json: bos_token_id is 4, in config.json 3: that of config.json counts"},
		{map[string]any{"eos_token_id": 8}, `{"eos_token_id": 8, "top_zz": 1}`, []int{8}, "generation_config.json: top_zz is no key that slimlab knows"},
	} {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "config.json"), edit(t, plainConfig, c.config))
		if c.generation != none {
			writeFile(t, filepath.Join(dir, "generation_config.json"), c.generation)
		}
		var n notes
		d, err := readConfig(os.DirFS(dir), ".", &n)
		if err != nil {
			t.Errorf("%v %s: %v", c.config, c.generation, err)
			continue
		}
		if got := d.Ends(); !slices.Equal(got, c.ends) {
			t.Errorf("%v %s: %d end a text, expected %d", c.config, c.generation, got, c.ends)
		}
		wantNote(t, n, c.note)
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "config.json"), plainConfig)
	for content, want := range map[string]string{
		`{"repetition_penalty": 1.1, "temperature": 0.5, "num_beams": 1, "no_repeat_ngram_size": 0, "suppress_tokens": []}`: "repetition_penalty 1.1",
		`{"repetition_penalty": 1.0, "do_sample": true, "forced_eos_token_id": null}`:                                       "",
		`{"num_beams": 4, "bad_words_ids": [[3]]}`:                                                                          "num_beams 4, bad_words_ids [[3]]",
	} {
		writeFile(t, filepath.Join(dir, "generation_config.json"), content)
		d, err := readConfig(os.DirFS(dir), ".", nil)
		if got := strings.Join(d.settings, ", "); err != nil || got != want {
			t.Errorf("%s: settings %q (%v), expected %q", content, got, err, want)
		}
	}
	for content, want := range map[string]string{
		`{"eos_token_id": "x"}`: `generation_config.json: eos_token_id: found "x", expected a token id, a list of them or null`,
		`[1]`:                   `generation_config.json: found a list, expected an object`,
		"version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 3\n": `generation_config.json: found a Git LFS pointer, not the file: git lfs pull fetches it`,
	} {
		writeFile(t, filepath.Join(dir, "generation_config.json"), content)
		if _, err := readConfig(os.DirFS(dir), ".", nil); err == nil || err.Error() != want {
			t.Errorf("found %v, expected %s", err, want)
		}
	}
}

// A note names what differs between two places, or has no meaning; the right one counts.
func TestConfigNotes(t *testing.T) {
	text := map[string]any{"architectures": []string{"LlavaForConditionalGeneration"}, "model_type": "llava", "vocab_size": nil, "hidden_size": nil, "intermediate_size": nil,
		"num_hidden_layers": nil, "num_attention_heads": nil, "vision_config": map[string]any{}, "tie_word_embeddings": true,
		"text_config": map[string]any{"model_type": "llama", "vocab_size": 32, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}}
	plain, _, err := parsed([]byte(plainConfig))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		keys map[string]any
		note string
		want func(c *model.Config)
	}{
		{map[string]any{"rope_scaling": map[string]any{"rope_type": "default", "factor": 1}}, "config.json: rope_scaling has type default, which scales nothing: factor beside it not read", nil},
		{map[string]any{"rope_scaling": map[string]any{"type": "default", "factor": 8, "low_freq_factor": 1}}, "factor, low_freq_factor beside it not read", nil},
		{map[string]any{"rope_scaling": map[string]any{"rope_type": "default", "original_max_position_embeddings": nil}}, "", nil},
		{map[string]any{"rope_parameters": map[string]any{"full_attention": map[string]any{"rope_type": "default", "rope_theta": 7}}}, "rope_parameters stands for each kind of layer", func(c *model.Config) { c.RopeTheta = 7 }},
		{map[string]any{"rope_theta": 9, "rope_parameters": map[string]any{"rope_theta": 7}}, "config.json: rope_theta is 9, within rope_parameters 7: the latter counts", func(c *model.Config) { c.RopeTheta = 7 }},
		{map[string]any{"rope_scaling": with(llama3, "type", "llama3")}, "", func(c *model.Config) { c.Rope = llama3Scaling }},
		{map[string]any{"layer_types": []string{"full_attention"}}, "config.json: layer_types lists 1 layer, num_hidden_layers is 2: the latter counts", nil},
		{map[string]any{"torch_dtype": "float16", "dtype": "bfloat16"}, `config.json: torch_dtype is "float16" and dtype "bfloat16"`, nil},
		{map[string]any{"torch_dtype": "float16", "dtype": "float16"}, "", nil},
		{map[string]any{"hidden_act": "swish", "use_cache": true, "temperature": 0.6, "pretraining_tp": 1, "mlp_bias": false, "num_local_experts": 0}, "", nil},
		{map[string]any{"model_type": "qwen2"}, `config.json: model_type is "qwen2", architectures "LlamaForCausalLM": the latter counts`, nil},
		{map[string]any{"model_type": "llama"}, "", nil},
		{map[string]any{"wonder": 1}, "config.json: wonder is no key that slimlab knows, and was not read", nil},
		{map[string]any{"wonder": 1, "amaze": 2}, "config.json: amaze, wonder are no keys that slimlab knows", nil},
		{map[string]any{"sliding_window": 4096}, "sliding_window is no key", nil}, // of Llama
		{text, "config.json: the language model is that of text_config", func(c *model.Config) { c.TiedHead = true }},
	} {
		want := plain
		if c.want != nil {
			c.want(&want)
		}
		var n notes
		d, err := parseConfig([]byte(edit(t, plainConfig, c.keys)), &n)
		if err != nil || !sameConfig(d.Config, want) {
			t.Errorf("%v: %v, %+v", c.keys, err, d.Config)
		}
		wantNote(t, n, c.note)
	}
	for key, value := range map[string]any{"final_logit_softcapping": 30, "num_experts": 8, "logit_scale": 0.5, "position_embedding_type": "alibi", "qkv_bias": true, "no_rope_layers": []int{1}} {
		_, _, err := parsed([]byte(edit(t, plainConfig, map[string]any{key: value})))
		if err == nil || !strings.HasPrefix(err.Error(), key+": found ") || !strings.Contains(err.Error(), "is not supported, expected no such key or null") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// A byte order mark is taken; a file of settings is bounded.
func TestFilesOfSettings(t *testing.T) {
	if _, _, err := parsed([]byte("\xef\xbb\xbf" + plainConfig)); err != nil {
		t.Error(err)
	}
	dir := t.TempDir()
	big, err := os.Create(filepath.Join(dir, "config.json"))
	if err := errors.Join(err, big.Truncate(65<<20), big.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil || !strings.HasSuffix(err.Error(), "config.json: the file has more than 64 MiB, expected at most so many of a file of settings") {
		t.Errorf("found %v", err)
	}
}

// The configs of published models ask for nothing unusual: no note.
func TestUsualConfigsHaveNoNotes(t *testing.T) {
	gptq := `{"batch_size":1,"bits":4,"block_name_to_quantize":null,"cache_block_outputs":true,"damp_percent":0.01,"dataset":null,"desc_act":false,"exllama_config":{"version":1},
		"group_size":128,"max_input_length":null,"model_seqlen":null,"module_name_preceding_first_block":null,"modules_in_block_to_quantize":null,"pad_token_id":null,
		"quant_method":"gptq","sym":true,"tokenizer":null,"true_sequential":true,"use_cuda_fp16":false,"use_exllama":true}`
	autoGPTQ := `{"bits":4,"group_size":128,"damp_percent":0.1,"desc_act":true,"static_groups":false,"sym":true,"true_sequential":true,"model_name_or_path":null,"model_file_base_name":"model","quant_method":"gptq"}`
	awq := `{"backend":"autoawq","bits":4,"do_fuse":false,"exllama_config":null,"fuse_max_seq_len":null,"group_size":128,"modules_to_fuse":null,"modules_to_not_convert":null,"quant_method":"awq","version":"gemm","zero_point":true}`
	fp8 := `{"activation_scheme":"dynamic","fmt":"e4m3","quant_method":"fp8","weight_block_size":[128,128]}`
	compressed := `{"config_groups":{"group_0":{"input_activations":{"actorder":null,"block_structure":null,"dynamic":true,"group_size":null,"num_bits":8,"observer":null,"observer_kwargs":{},"strategy":"token","symmetric":true,"type":"float"},
		"output_activations":null,"targets":["Linear"],"weights":{"actorder":null,"block_structure":null,"dynamic":false,"group_size":null,"num_bits":8,"observer":"minmax","observer_kwargs":{},"strategy":"channel","symmetric":true,"type":"float"}}},
		"format":"float-quantized","global_compression_ratio":1.24,"ignore":["lm_head"],"kv_cache_scheme":null,"quant_method":"compressed-tensors","quantization_status":"compressed","sparsity_config":{},"transform_config":{},"version":"0.11.0"}`
	for name, keys := range map[string]map[string]any{
		"Llama 3.2": {"attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 1, "eos_token_id": []int{2, 3}, "head_dim": 4, "hidden_act": "silu", "initializer_range": 0.02,
			"max_position_embeddings": 131072, "mlp_bias": false, "model_type": "llama", "num_key_value_heads": 2, "pretraining_tp": 1, "rms_norm_eps": 1e-5,
			"rope_scaling": map[string]any{"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"},
			"rope_theta":   500000.0, "tie_word_embeddings": true, "torch_dtype": "bfloat16", "transformers_version": "4.45.0.dev0", "use_cache": true},
		"SmolLM2": {"model_type": "llama", "is_llama_config": true, "rope_interleaved": false, "transformers.js_config": map[string]any{"kv_cache_dtype": map[string]any{}}, "pad_token_id": 2},
		"Qwen2.5": {"architectures": []string{model.Qwen2}, "model_type": "qwen2", "attention_dropout": 0.0, "max_window_layers": 21, "sliding_window": 32768, "use_sliding_window": false, "use_mrope": false},
		"Qwen3": {"architectures": []string{model.Qwen3}, "model_type": "qwen3", "attention_bias": false, "max_window_layers": 28, "sliding_window": nil, "use_sliding_window": false, "head_dim": 4,
			"rope_scaling": nil, "layer_types": []string{"full_attention", "full_attention"}, "dtype": "bfloat16", "rope_parameters": map[string]any{"rope_theta": 1e6, "rope_type": "default"}},
		"Mistral": {"architectures": []string{model.Mistral}, "model_type": "mistral", "sliding_window": json.RawMessage("null"), "head_dim": 4, "attention_dropout": 0.0},
		"GPTQ":    {"quantization_config": json.RawMessage(gptq)}, "AutoGPTQ": {"quantization_config": json.RawMessage(autoGPTQ)}, "AWQ": {"quantization_config": json.RawMessage(awq)},
		"fp8": {"quantization_config": json.RawMessage(fp8)}, "FP8 dynamic": {"quantization_config": json.RawMessage(compressed)},
	} {
		var n notes
		if _, err := parseConfig([]byte(edit(t, plainConfig, keys)), &n); err != nil || len(n) > 0 {
			t.Errorf("%s: %v, notes %q", name, err, n)
		}
	}
}

// A key that stands twice in a file of a folder is noted where its values are equal, and refused
// where they differ.
func TestKeysThatStandTwice(t *testing.T) {
	for _, c := range []struct{ file, text, note, err string }{
		{"config.json", `"hidden_size":16,"hidden_size":16`, "config.json: hidden_size stands twice, with equal values", ""},
		{"config.json", `"hidden_size":16,"hidden_size":32`, "", "config.json: line 1, column 19: hidden_size stands twice, with the values 16 and 32, expected it once: remove one of them"},
		{"config.json", `"rope_scaling":{"rope_type":"default","rope_type":"linear"}`, "", `rope_scaling.rope_type stands twice, with the values "default" and "linear"`},
		{"config.json", `"hidden_size":16,"hidden\u005fsize":16`, `config.json: ["hidden\u005fsize"] stands twice, with equal values`, ""},
		{"generation_config.json", `"eos_token_id":[1,2],"eos_token_id":[1, 2]`, "generation_config.json: eos_token_id stands twice, with equal values", ""},
		{"generation_config.json", `"eos_token_id":1,"eos_token_id":2`, "", "generation_config.json: line 1, column 19: eos_token_id stands twice, with the values 1 and 2"},
	} {
		files := fstest.MapFS{"config.json": {Data: []byte(plainConfig)}}
		text := "{" + c.text + "}"
		switch {
		case c.file != "config.json":
		case strings.Contains(c.text, "hidden_size"):
			text = "{" + c.text + "," + strings.Replace(plainConfig[1:], `"hidden_size":16,`, "", 1)
		default:
			text = "{" + c.text + "," + plainConfig[1:]
		}
		files[c.file] = &fstest.MapFile{Data: []byte(text)}
		var n notes
		_, err := readConfig(files, ".", &n)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v, expected %s", text, err, c.err)
		}
		if c.note != "" && !slices.Contains(n, c.note) {
			t.Errorf("%s: found %q, expected %q", text, n, c.note)
		}
	}
}

// Where the keys around text_config describe the model, those of text_config are not read, and a
// note names those that say something else.
func TestTextConfigBesideTheModel(t *testing.T) {
	for _, c := range []struct {
		text map[string]any
		want string
	}{
		{map[string]any{"hidden_size": 64}, "config.json: the keys around text_config count, which contradicts them: hidden_size 16, in text_config 64"},
		{map[string]any{"hidden_size": 16, "num_hidden_layers": 3, "vocab_size": 31}, "config.json: the keys around text_config count, which contradicts them: num_hidden_layers 2, in text_config 3, vocab_size 32, in text_config 31"},
		{map[string]any{"hidden_size": 16.0}, "config.json: text_config is not read: the keys around it describe the model"},
		{map[string]any{"head_dim": 8}, "config.json: text_config is not read: the keys around it describe the model"},
		{map[string]any{}, ""},
	} {
		var n notes
		d, err := parseConfig([]byte(edit(t, plainConfig, map[string]any{"text_config": c.text})), &n)
		if err != nil || d.Hidden != 16 || len(d.Layers) != 2 || d.HeadDim != 4 || strings.Join(n, "") != c.want {
			t.Errorf("%v: found %q, %v, expected %s", c.text, n, err, c.want)
		}
	}
}
