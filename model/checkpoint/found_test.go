package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/model"
	"slimlab/model/checkpoint/gguf"
	"slimlab/model/checkpoint/safetensors"
	"slimlab/model/tokenizer"
)

// sampleOf returns a sample by its name.
func sampleOf(t testing.TB, name string) sample {
	t.Helper()
	all := samples()
	i := slices.IndexFunc(all, func(s sample) bool { return s.name == name })
	if i < 0 {
		t.Fatalf("no sample %q", name)
	}
	return all[i]
}

// read opens a folder with its notes.
func read(t testing.TB, dir string) (*model.Model, []string) {
	t.Helper()
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m, err := c.Model(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return m, c.Notes()
}

// wantNote expects one note that holds the text, or no notes for "".
func wantNote(t testing.TB, notes []string, want string) {
	t.Helper()
	if want == "" && len(notes) > 0 || want != "" && (len(notes) != 1 || !strings.Contains(notes[0], want)) {
		t.Errorf("notes %q, expected one with %q", notes, want)
	}
}

// sameNumbers compares the linear layers of the blocks with the numbers that they stand for.
func sameNumbers(t testing.TB, m *model.Model, weights map[string][]float32) {
	t.Helper()
	for _, l := range m.Linears() {
		if !slices.Equal(l.Weight.Float32(), weights[l.Name]) {
			t.Errorf("%s: other weights", l.Name)
		}
	}
}

// layerByLayer reads a model a layer at a time.
func layerByLayer(t testing.TB, dir string) *model.Model {
	t.Helper()
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m, err := c.Skeleton()
	if err != nil {
		t.Fatal(err)
	}
	for layer := range m.Blocks {
		if err := c.LoadBlock(context.Background(), m, layer); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// editFile changes keys of a JSON file; nil removes one.
func editFile(t testing.TB, name string, keys map[string]any) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, name, edit(t, string(data), keys))
}

func writeFile(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The quantization is found wherever tools have written it, and a note says where.
func TestQuantizationFiles(t *testing.T) {
	oldAWQ := `{"zero_point":true,"q_group_size":8,"w_bit":4,"version":"GEMM"}`
	for _, c := range []struct{ sample, file, content, note string }{
		{"GPTQ", "quantize_config.json", edit(t, gptqSample, map[string]any{"quant_method": nil, "checkpoint_format": nil}), "the quantization is that of quantize_config.json: config.json has no quantization_config"},
		{"GPTQ", "quantize_config.json", gptqSample, "quantize_config.json"},
		{"GPTQ", "quant_config.json", edit(t, gptqSample, map[string]any{"quant_method": nil}), "the quantization is that of quant_config.json"},
		{"GPTQ version 2 symmetric", "quantize_config.json", strings.Replace(gptqSample, `"checkpoint_format":"gptq"`, `"checkpoint_format":"gptq_v2"`, 1), "quantize_config.json"},
		{"AWQ", "quant_config.json", oldAWQ, "quant_config.json"},
		{"pack-quantized", "", "", "compression_config, the former name of quantization_config"},
		{"float-quantized static", "", "", "compression_config"},
	} {
		s, dir := sampleOf(t, c.sample), t.TempDir()
		_, weights := sampleFolder(t, dir, s)
		config := filepath.Join(dir, "config.json")
		editFile(t, config, map[string]any{"quantization_config": nil})
		if c.file == "" {
			editFile(t, config, map[string]any{"compression_config": json.RawMessage(s.config)})
		} else {
			writeFile(t, filepath.Join(dir, c.file), c.content)
		}
		m, notes := read(t, dir)
		sameNumbers(t, m, weights)
		wantNote(t, notes, c.note)
	}
	// a section that does not name its method is known by its keys
	for _, name := range []string{"GPTQ", "AWQ", "fp8 static", "int-quantized"} {
		s, dir := sampleOf(t, name), t.TempDir()
		s.config = edit(t, s.config, map[string]any{"quant_method": nil})
		_, weights := sampleFolder(t, dir, s)
		m, notes := read(t, dir)
		sameNumbers(t, m, weights)
		wantNote(t, notes, "quantization_config.quant_method is missing: by the other keys the method is ")
	}
	// both places: config.json counts, and a difference is told
	dir := t.TempDir()
	_, weights := sampleFolder(t, dir, sampleOf(t, "GPTQ"))
	for content, note := range map[string]string{gptqSample: "", strings.Replace(gptqSample, `"bits":4`, `"bits":8`, 1): "quantize_config.json: bits is 8, in config.json 4: config.json counts"} {
		writeFile(t, filepath.Join(dir, "quantize_config.json"), content)
		m, notes := read(t, dir)
		sameNumbers(t, m, weights)
		wantNote(t, notes, note)
	}
}

// asFloats replaces the tensors of one layer by a float weight of the same numbers.
func asFloats(list []Tensor, layer string, weight []float32, out, in int) []Tensor {
	list = slices.DeleteFunc(slices.Clone(list), func(t Tensor) bool { return strings.HasPrefix(t.Name, layer+".") })
	return append(list, safetensors.NewTensor(layer+".weight", F32, []int{out, in}, func() any { return weight }))
}

// A layer is quantized or not as its tensors are, whatever the config says; a note tells where it
// says otherwise.
func TestTensorsSayWhatIsQuantized(t *testing.T) {
	const layer = "model.layers.1.mlp.up_proj"
	gptq := func(key, value string) string {
		return strings.Replace(gptqSample, `"meta":{}`, `"meta":{},"`+key+`":`+value, 1)
	}
	dynamic := func(rules string) string { return strings.Replace(gptqSample, `"dynamic":{}`, `"dynamic":`+rules, 1) }
	ignore := func(list string) string {
		return strings.Replace(sampleOf(t, "pack-quantized").config, `"ignore":["lm_head"]`, `"ignore":["lm_head",`+list+`]`, 1)
	}
	const some = "1 linear layers have float weights that the quantization's config does not except, and are read as they are there: " + layer
	for _, c := range []struct{ sample, config, note string }{
		{"GPTQ", gptqSample, some},
		{"GPTQ", gptq("modules_in_block_to_quantize", `[["self_attn.q_proj","self_attn.k_proj","self_attn.v_proj","self_attn.o_proj"],["mlp.gate_proj","mlp.down_proj"]]`),
			"1 linear layers are quantized that the quantization's config excepts, and are read as they are there: model.layers.0.mlp.up_proj"},
		{"GPTQ", gptq("modules_in_block_to_quantize", `["self_attn.q_proj","self_attn.k_proj","self_attn.v_proj","self_attn.o_proj","mlp.gate_proj","mlp.up_proj","mlp.down_proj"]`), some},
		{"GPTQ", gptq("modules_to_not_convert", `["layers.1.mlp.up"]`), ""},
		{"GPTQ", dynamic(`{"-:.*layers\\.1\\.mlp\\.up_proj":{}}`), ""},
		{"GPTQ", dynamic(`{"-:(?!x).*":{}}`), "error parsing regexp"},
		{"AWQ", strings.Replace(awqSample, `["k_proj"]`, `["layers.1.mlp.up_proj"]`, 1), ""},
		{"AWQ", strings.Replace(awqSample, `["k_proj"]`, `null`, 1), some},
		{"fp8", strings.Replace(fp8Sample, "model.layers.0.mlp.up_proj", layer, 1), ""},
		{"fp8", strings.Replace(fp8Sample, "model.layers.0.mlp.up_proj", "lm_head", 1), some},
		{"pack-quantized", ignore(`"` + layer + `"`), ""},
		{"pack-quantized", ignore(`"re:.*layers\\.1\\.mlp\\.up_proj$"`), ""},
		{"pack-quantized", ignore(`"layers.1.mlp.up_proj"`), ""},
		{"pack-quantized", ignore(`"re:.*\\.mlp\\.gate$"`), some},
		{"pack-quantized", ignore(`"` + layer + `","model.layers.0.mlp.down_proj"`), "1 linear layers are quantized that the quantization's config excepts, and are read as they are there: model.layers.0.mlp.down_proj"},
		{"int-quantized", sampleOf(t, "int-quantized").config, some},
	} {
		s, dir := sampleOf(t, c.sample), t.TempDir()
		s.config = c.config
		tensors, weights := sampleFolder(t, dir, s)
		tensors = asFloats(tensors, layer, weights[layer], 24, 16)
		if err := safetensors.Write(context.Background(), filepath.Join(dir, "model.safetensors"), tensors); err != nil {
			t.Fatal(err)
		}
		m, notes := read(t, dir)
		sameNumbers(t, m, weights)
		if c.note != "" && strings.HasPrefix(c.note, "error") {
			if len(notes) != 2 || !strings.Contains(notes[0], c.note) {
				t.Errorf("notes %q, expected %q and the layer", notes, c.note)
			}
			continue
		}
		wantNote(t, notes, c.note)
	}
}

// GPTQModel's rules for single modules: other bits, another group.
func TestDynamicRules(t *testing.T) {
	s := sampleOf(t, "GPTQ")
	s.config = strings.Replace(gptqSample, `"dynamic":{}`, `"dynamic":{"+:.*mlp\\.down_proj":{"bits":8,"group_size":-1},".*mlp\\.down_proj":{"bits":2}}`, 1)
	store, other := s.store, gptqLayer(8, 0, true, false, true)
	s.store = func(from *sampler, name string, out, in int) []float32 {
		if strings.HasSuffix(name, "down_proj") {
			return other(from, name, out, in)
		}
		return store(from, name, out, in)
	}
	s.config = strings.Replace(s.config, `,".*mlp\\.down_proj":{"bits":2}`, "", 1)
	dir := t.TempDir()
	_, weights := sampleFolder(t, dir, s)
	m, notes := read(t, dir)
	sameNumbers(t, m, weights)
	wantNote(t, notes, "")
}

// Zero points of the other version of GPTQ's format are known by their values where all of them are
// to be the middle of the codes.
func TestZeroPointVersions(t *testing.T) {
	const v1, v2 = `"checkpoint_format":"gptq"`, `"checkpoint_format":"gptq_v2"`
	eight := strings.Replace(gptqSample, `"bits":4`, `"bits":8`, 1)
	for _, c := range []struct {
		config string
		bits   int
		first  bool // the tensors are of version 1
		note   string
		right  bool
	}{
		{gptqSample, 4, true, "", true},
		{gptqSample, 4, false, "the config says gptq, but with sym true every zero point is the middle of the codes, as in gptq_v2", true},
		{strings.Replace(gptqSample, v1+",", "", 1), 4, false, "as in gptq_v2", true},
		{strings.Replace(gptqSample, `"sym":true,`, "", 1), 4, false, "as in gptq_v2", true},
		{strings.Replace(gptqSample, v1, v2, 1), 4, true, "the config says gptq_v2, but with sym true every zero point is the middle of the codes, as in gptq:", true},
		{eight, 8, false, "as in gptq_v2", true},
		{strings.Replace(eight, v1, v2, 1), 8, true, "as in gptq:", true},
		{strings.Replace(gptqSample, `"sym":true`, `"sym":false`, 1), 4, false, "", false},
	} {
		dir := t.TempDir()
		_, weights := sampleFolder(t, dir, sample{config: c.config, store: gptqLayer(c.bits, 8, c.first, false, true)})
		m, notes := read(t, dir)
		if c.right {
			sameNumbers(t, m, weights)
		}
		wantNote(t, notes, c.note)
	}
}

// Scales of a quantized cache are left out, with a note; what is not yet compressed is refused.
func TestCompressedTensorsAsSaved(t *testing.T) {
	const attention = "model.layers.0.self_attn."
	scheme := `"kv_cache_scheme":{"num_bits":8,"type":"float","strategy":"tensor","dynamic":false,"symmetric":true},"ignore"`
	packed := sampleOf(t, "pack-quantized")
	for _, c := range []struct {
		config string
		scales []string
		notes  []string
	}{
		{strings.Replace(packed.config, `"compressed","ignore"`, `"frozen","ignore"`, 1), nil, nil},
		{strings.Replace(packed.config, `"ignore"`, scheme, 1), nil, []string{"kv_cache_scheme: "}},
		{strings.Replace(packed.config, `"ignore"`, scheme, 1), []string{"k_scale", "v_scale"}, []string{"kv_cache_scheme: ", "2 scales of a quantized cache of keys and values were left out: " + attention + "k_scale, " + attention + "v_scale"}},
		{packed.config, []string{"k_proj.output_scale", "v_proj.output_scale", "attn.k_scale", "k_proj.k_scale"}, []string{"4 scales of a quantized cache"}},
	} {
		s, dir := packed, t.TempDir()
		s.config = c.config
		tensors, weights := sampleFolder(t, dir, s)
		for _, name := range c.scales {
			tensors = append(tensors, safetensors.NewTensor(attention+name, F32, []int{1}, func() any { return []float32{1} }))
		}
		if err := safetensors.Write(context.Background(), filepath.Join(dir, "model.safetensors"), tensors); err != nil {
			t.Fatal(err)
		}
		m, notes := read(t, dir)
		sameNumbers(t, m, weights)
		if len(notes) != len(c.notes) {
			t.Fatalf("notes %q, expected %q", notes, c.notes)
		}
		for i, want := range c.notes {
			wantNote(t, notes[i:i+1], want)
		}
	}
	dir := t.TempDir()
	tensors, weights := sampleFolder(t, dir, packed)
	const layer = "model.layers.0.mlp.up_proj"
	tensors = append(asFloats(tensors, layer, weights[layer], 24, 16), safetensors.NewTensor(layer+".weight_scale", F32, []int{24, 2}, func() any { return make([]float32, 48) }))
	if err := safetensors.Write(context.Background(), filepath.Join(dir, "model.safetensors"), tensors); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), `tensor "`+layer+`.weight" is a float tensor beside scales: the weights were saved before they were compressed`) {
		t.Errorf("not compressed: %v", err)
	}
}

// Where only the prefix of the names differs, the model is read, its config's names of layers
// included.
func TestPrefixes(t *testing.T) {
	for _, prefix := range []struct{ model, head string }{
		{"model.language_model.", ""}, {"language_model.model.", "language_model."}, {"base_model.model.model.", "base_model.model."},
		{"module.model.", "module."}, {"_orig_mod.model.", "_orig_mod."}, {"", ""}, {"module._orig_mod.model.", "module._orig_mod."},
	} {
		for _, name := range []string{"GPTQ", "fp8", "pack-quantized"} {
			s, dir := sampleOf(t, name), t.TempDir()
			const layer = "model.layers.1.mlp.up_proj"
			stored := prefix.model + strings.TrimPrefix(layer, "model.")
			s.config = strings.NewReplacer(`["lm_head"]`, `["`+prefix.head+`lm_head","`+stored+`"]`, "model.layers.0.mlp.up_proj", stored, `"meta":{}`, `"modules_to_not_convert":["`+stored+`"]`).Replace(s.config)
			tensors, weights := sampleFolder(t, dir, s)
			tensors = asFloats(tensors, layer, weights[layer], 24, 16)
			for i := range tensors {
				if rest, ok := strings.CutPrefix(tensors[i].Name, "model."); ok {
					tensors[i].Name = prefix.model + rest
				} else {
					tensors[i].Name = prefix.head + tensors[i].Name
				}
			}
			if err := safetensors.Write(context.Background(), filepath.Join(dir, "model.safetensors"), tensors); err != nil {
				t.Fatal(err)
			}
			m, notes := read(t, dir)
			sameNumbers(t, m, weights)
			wantNote(t, notes, `the files name the tensors "`+prefix.model+`layers…" where "model.layers…" is usual`)
			sameNumbers(t, layerByLayer(t, dir), weights)
		}
	}
	// a tower for images is no prefix
	dir := t.TempDir()
	tensors, _ := sampleFolder(t, dir, sampleOf(t, "GPTQ"))
	for i := range tensors {
		tensors[i].Name = "language_model." + tensors[i].Name
	}
	tensors = append(tensors, safetensors.NewTensor("vision_tower.patch_embed.weight", F32, []int{1}, func() any { return []float32{1} }))
	if err := safetensors.Write(context.Background(), filepath.Join(dir, "model.safetensors"), tensors); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), `tensor "vision_tower.patch_embed.weight", shape [1], has no place in the model of the config: it reads images or sound`) {
		t.Errorf("a tower: %v", err)
	}
}

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
		`{"eos_token_id": "x"}`: `generation_config.json: eos_token_id: found "\"x\"", expected a token id, a list of them or null`,
		`[1]`:                   `generation_config.json: line 1, column 1: found a list, expected an object`,
		"version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 3\n": `generation_config.json: found a Git LFS pointer, not the file: git lfs pull fetches it`,
	} {
		writeFile(t, filepath.Join(dir, "generation_config.json"), content)
		if _, err := readConfig(os.DirFS(dir), ".", nil); err == nil || err.Error() != want {
			t.Errorf("found %v, expected %s", err, want)
		}
	}
}

// What stands in two places and differs, or has no meaning, is told; the right one counts.
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
		{map[string]any{"layer_types": []string{"full_attention"}}, "config.json: layer_types lists 1 layers, num_hidden_layers is 2: the latter counts", nil},
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

const lfsPointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"

// An error names the cause: what a folder is, or holds, instead of a model.
func TestFoldersThatAreNoModels(t *testing.T) {
	m := random(t, shapes()["untied"])
	whole := t.TempDir()
	if err := Save(context.Background(), whole, m, nil, SaveOptions{ShardBytes: 20_000}); err != nil {
		t.Fatal(err)
	}
	remove := func(names ...string) func(dir string) {
		return func(dir string) {
			for _, name := range names {
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	const index = "model.safetensors.index.json"
	shard := func(i int) string { return safetensors.ShardName(i, 3) }
	all := []string{shard(0), shard(1), shard(2)}
	place := func(name, content string, gone ...string) func(dir string) {
		return func(dir string) {
			remove(gone...)(dir)
			writeFile(t, filepath.Join(dir, name), content)
		}
	}
	without := append([]string{index}, all...)
	for _, c := range []struct {
		name   string
		change func(dir string)
		want   string
	}{
		{"a shard gone", remove(shard(2)), index + ": 1 of 3 files with tensors are missing: " + shard(2) + ": "},
		{"shards gone", remove(shard(1), shard(2)), index + ": 2 of 3 files with tensors are missing: " + shard(1) + ", " + shard(2) + ": "},
		{"index and a shard gone", remove(index, shard(2)), index + " is missing too, and 1 of 3 files with tensors are missing: " + shard(2) + ": "},
		{"pickled", place("pytorch_model.bin", "PK", without...), "only pytorch_model.bin, and pickled weights are not read: save the model as safetensors"},
		{"pickled shards", place("pytorch_model-00001-of-00002.bin", "PK", without...), "only pytorch_model-00001-of-00002.bin, and pickled weights"},
		{"Meta's", place("consolidated.00.pth", "PK", without...), "only consolidated.00.pth, in Meta's or Mistral's own format"},
		{"Mistral's", place("consolidated.safetensors", "", without...), "only consolidated.safetensors, in Meta's or Mistral's own format"},
		{"GGUF beside a config", place("model-q8.gguf", "GGUF", without...), "only model-q8.gguf, a GGUF file, which is a MODEL by itself"},
		{"TensorFlow", place("tf_model.h5", "", without...), "only tf_model.h5, weights of TensorFlow"},
		{"a name of its own", place("weights.safetensors", "", without...), "only weights.safetensors, a name that neither"},
		{"an adapter with a config", place("adapter_model.safetensors", "", without...), "only adapter_model.safetensors, a LoRA adapter and no model: slimlab import BASE FOLDER --adapter ADAPTER merges it"},
		{"an adapter", place("adapter_config.json", `{"base_model_name_or_path": "meta-llama/Llama-3.2-1B"}`, append(without, "config.json")...),
			"a LoRA adapter of meta-llama/Llama-3.2-1B (adapter_config.json) and no model: slimlab import BASE FOLDER --adapter ADAPTER merges the two"},
		{"a broken adapter", place("adapter_config.json", `[`, append(without, "config.json")...), "a LoRA adapter (adapter_config.json) and no model"},
		{"GGUF alone", place("model.gguf", "GGUF", append(without, "config.json")...), "found no config.json; model.gguf is a MODEL by itself: name that file"},
		{"Mistral's config", place("params.json", "{}", append(without, "config.json")...), "found no config.json, only params.json, Meta's or Mistral's own format"},
		{"a pointer for a shard", place(shard(1), lfsPointer), shard(1) + ": safetensors: found a Git LFS pointer, not the file: git lfs pull fetches it"},
		{"a pointer for the config", place("config.json", lfsPointer), "config.json: found a Git LFS pointer, not the file"},
		{"a pointer for the index", place(index, lfsPointer), index + ": found a Git LFS pointer, not the file"},
		{"a pointer for the single file", place("model.safetensors", lfsPointer, without...), "safetensors: found a Git LFS pointer, not the file"},
		{"a page", place("config.json", "<!DOCTYPE html>\n<html>"), "config.json: found a page of HTML"},
		{"pickled under another name", place(shard(1), "PK\x03\x04 archive/data.pkl"), shard(1) + ": safetensors: found a ZIP archive"},
		{"nothing", place("config.json", ""), "config.json: found nothing, expected JSON"},
		{"index without names", place(index, `{"metadata":{}}`), index + ": weight_map names no files"},
		{"index of another kind", place(index, `{"weight_map":{"a":1}}`), index + ": weight_map: found a number, expected a string"},
	} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
			t.Fatal(err)
		}
		c.change(dir)
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: found %v, expected %s", c.name, err, c.want)
		}
	}
	// a set without its index is whole
	remove(index)(whole)
	got, notes := read(t, whole)
	if !slices.Equal(got.Flat(), m.Flat()) {
		t.Error("without the index: other weights")
	}
	wantNote(t, notes, index+" is missing: the tensors are those of all 3 numbered files")
	// a single file counts before an index
	if err := Save(context.Background(), whole, m, nil, SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(whole, index), "{}")
	_, notes = read(t, whole)
	wantNote(t, notes, "model.safetensors is read, not the files of "+index+" beside it")
	// an adapter beside a whole model
	writeFile(t, filepath.Join(whole, "adapter_config.json"), "{}")
	if _, notes := read(t, whole); len(notes) != 2 || !strings.Contains(notes[1], "the LoRA adapter is not applied") {
		t.Errorf("notes %q", notes)
	}
	name := filepath.Join(t.TempDir(), "model.gguf")
	writeFile(t, name, lfsPointer)
	if _, err := Open(name); err == nil || !strings.Contains(err.Error(), "gguf: found a Git LFS pointer, not the file") {
		t.Errorf("a pointer for a GGUF file: %v", err)
	}
}

// A missing or foreign tensor is explained by those that are there.
func TestCausesOfMissingTensors(t *testing.T) {
	const q = "model.layers.0.self_attn.q_proj"
	m := random(t, shapes()["untied"])
	rename := func(old, name string) func(list []Tensor) []Tensor {
		return func(list []Tensor) []Tensor {
			for i := range list {
				list[i].Name = strings.Replace(list[i].Name, old, name, 1)
			}
			return list
		}
	}
	for _, c := range []struct {
		change func(list []Tensor) []Tensor
		want   string
	}{
		{rename(q+".weight", q+".qweight"), `tensor "` + q + `.weight" is missing, expected shape [16 16]: the files hold its qweight, a weight of GPTQ or AWQ, and neither config.json (quantization_config) nor quantize_config.json`},
		{rename(q+".weight", q+".weight_packed"), "its weight_packed, a weight of compressed-tensors, and config.json has no quantization_config"},
		{rename(q+".weight", q+".SCB"), "a weight of bitsandbytes, which is not read"},
		{rename(q+".weight", q+".W_q"), "a weight of HQQ"},
		{rename(q+".weight", q+".base_layer.weight"), "beside which a LoRA adapter lies"},
		{rename(q+".weight", "model.layers.0.self_attn.qkv_proj.weight"), "model.layers.0.self_attn.qkv_proj, several projections in one tensor, as Phi-3 has them"},
		{rename("lm_head.weight", "head.weight"), `tensor "lm_head.weight" is missing, expected shape [300 16]: config.json has tie_word_embeddings false`},
		{rename("model.layers.0.", "model.decoder.layers.0."), `tensor "model.layers.0.input_layernorm.weight" is missing, expected shape [16]: the files hold model.decoder.layers.0.input_layernorm.weight`},
		{rename("layers.0.self_attn.q_proj", "layers.0.attention.q_proj"), `tensor "` + q + `.weight" is missing, expected shape [16 16]: the files hold model.layers.0.attention.q_proj.weight`},
		{rename("model.layers.1.", "model.layers.5."), `tensor "model.layers.1.input_layernorm.weight" is missing`},
		{func(list []Tensor) []Tensor { return list[:0] }, "the files hold no tensors"},
		{func([]Tensor) []Tensor {
			return []Tensor{safetensors.NewTensor("layers.0.attention.wq.weight", F32, []int{1}, func() any { return []float32{1} })}
		}, "by the names of Meta's and Mistral's own format"},
	} {
		dir := t.TempDir()
		if err := Save(context.Background(), dir, m, nil, SaveOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := safetensors.Write(context.Background(), filepath.Join(dir, "model.safetensors"), c.change(tensorsOf(t, m))); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("found %v, expected %s", err, c.want)
		}
	}
}

// The tokens that end a text go into a GGUF file and come back, the tokenizer's own among them, and
// into a folder that is made of it.
func TestGGUFEndTokens(t *testing.T) {
	c := shapes()["tied"]
	c.EOS, c.MoreEOS = 5, nil
	name := filepath.Join(t.TempDir(), "m.gguf")
	v := tokenizer.Vocabulary{Model: "none", BOS: -1, EOS: 9, Unknown: -1, Padding: -1}
	if _, err := SaveGGUF(context.Background(), name, random(t, c), v, GGUFOptions{Type: gguf.F32}); err != nil {
		t.Fatal(err)
	}
	file, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if got := file.Config().Ends(); !slices.Equal(got, []int{5, 9}) {
		t.Errorf("%d end a text, expected [5 9]", got)
	}
	dir := t.TempDir()
	if err := file.CopyOtherFiles(dir); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "generation_config.json"))
	var written struct {
		Ends []int `json:"eos_token_id"`
	}
	if err := errors.Join(err, json.Unmarshal(data, &written)); err != nil || !slices.Equal(written.Ends, []int{5, 9}) {
		t.Errorf("generation_config.json holds %s (%v)", data, err)
	}
	// ids that have no embedding are left out, with a note
	k := &ggufKeys{metadata: gguf.Metadata{{Key: "tokenizer.ggml.eos_token_id", Value: uint32(999)}, {Key: "tokenizer.ggml.eot_token_id", Value: uint32(3)}}}
	var n notes
	small := model.Config{Vocab: 10}
	k.tokens(&small, &n)
	if k.err != nil || small.BOS != -1 || !slices.Equal(small.Ends(), []int{3}) {
		t.Errorf("found %d, %d (%v), expected -1, [3]", small.BOS, small.Ends(), k.err)
	}
	wantNote(t, n, "metadata: tokenizer.ggml.eos_token_id is 999, outside the vocabulary of 10 tokens")
}

// Methods and forms that are not read are refused in the words of their makers.
func TestOtherMethodsAreNamed(t *testing.T) {
	section := func(format string) string {
		return strings.Replace(sampleOf(t, "pack-quantized").config, `"format":"pack-quantized"`, `"format":"`+format+`"`, 1)
	}
	for config, want := range map[string]string{
		`{"quant_method":"bitsandbytes","load_in_4bit":true}`: "bitsandbytes (NF4, FP4 or LLM.int8)", `{"load_in_8bit":true}`: "bitsandbytes",
		`{"quant_method":"hqq"}`: "HQQ", `{"quant_method":"exl2","bits":4.0}`: "ExLlamaV2", `{"quant_method":"quanto"}`: "Quanto", `{"quant_method":"torchao"}`: "torchao",
		`{"quant_method":"aqlm"}`: "AQLM", `{"quant_method":"eetq"}`: "EETQ", `{"quant_method":"fbgemm_fp8"}`: "FBGEMM", `{"quant_method":"modelopt","quant_algo":"NVFP4"}`: "ModelOpt",
		`{"quant_method":"mxfp4"}`: "MXFP4", `{"quantization":{"quant_algo":"FP8"}}`: "ModelOpt",
		section("nvfp4-pack-quantized"): "NVFP4", section("mxfp4-pack-quantized"): "MXFP4", section("marlin-24"): "Marlin", section("sparse-24-bitmask"): "2:4 sparse",
	} {
		_, err := parseQuantization("quantization_config", json.RawMessage(config), nil)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "take the model before it was") {
			t.Errorf("%s: %v, expected %s", config, err, want)
		}
	}
}
