package checkpoint

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/model"
	"slimlab/model/checkpoint/safetensors"
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
	// a file that cannot be read counts where weights are quantized
	dense := t.TempDir()
	if err := Save(context.Background(), dense, random(t, shapes()["untied"]), nil, SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dense, "quantize_config.json"), `{"bits":5,"group_size":8}`)
	_, notes := read(t, dense)
	wantNote(t, notes, "quantize_config.json: bits: 5 is not supported, expected 3, 4 or 8; all weights are floats, and the file is not used")
	packed := t.TempDir()
	sampleFolder(t, packed, sampleOf(t, "GPTQ"))
	editFile(t, filepath.Join(packed, "config.json"), map[string]any{"quantization_config": nil})
	writeFile(t, filepath.Join(packed, "quantize_config.json"), `{"bits":5,"group_size":8}`)
	if _, err := Open(packed); err == nil || !strings.HasSuffix(err.Error(), "quantize_config.json: bits: 5 is not supported, expected 3, 4 or 8") {
		t.Errorf("found %v", err)
	}
	// both places: config.json counts, and a note names a difference
	dir := t.TempDir()
	_, weights := sampleFolder(t, dir, sampleOf(t, "GPTQ"))
	for content, note := range map[string]string{
		gptqSample: "",
		strings.Replace(gptqSample, `"bits":4`, `"bits":8`, 1):                                        "quantize_config.json: bits is 8, in config.json 4: config.json counts",
		strings.Replace(gptqSample, `"desc_act":false`, `"desc_act":true`, 1):                         "quantize_config.json: desc_act is true, in config.json false: config.json counts",
		strings.Replace(gptqSample, `"checkpoint_format":"gptq"`, `"checkpoint_format":"gptq_v2"`, 1): `quantize_config.json: checkpoint_format is "gptq_v2", in config.json "gptq": config.json counts`,
		`{"bits": "four", "desc_act": "no"}`:                                                          "",
	} {
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

// The tensors of a layer decide whether it is quantized, whatever the config says; a note says
// where the config differs.
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
		{"GPTQ", dynamic(`{"-:(?!x).*":{}}`), "without looks ahead"},
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
		if strings.HasPrefix(c.note, "without looks") {
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
		{strings.Replace(packed.config, `"compressed","ignore"`, `"frozen","ignore"`, 1), nil, []string{`quantization_status is "frozen" where "compressed" is usual: the tensors are read as they are there`}},
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
		section("mxfp8-quantized"): "MXFP8", section("marlin-24"): "Marlin", section("sparse-24-bitmask"): "2:4 sparse",
	} {
		_, err := parseQuantization("quantization_config", json.RawMessage(config), nil)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "take the model before it was") {
			t.Errorf("%s: %v, expected %s", config, err, want)
		}
	}
}
