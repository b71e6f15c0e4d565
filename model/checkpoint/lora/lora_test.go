package lora

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"slimlab/model/checkpoint/safetensors"
)

const q = "model.layers.0.self_attn.q_proj"

func modelShapes() map[string][]int {
	return map[string][]int{Embedding: {7, 4}, Head: {7, 4}, "model.norm.weight": {4}, q + ".weight": {6, 4}, q + ".bias": {6}}
}

// folder is an adapter in memory. Elements differ, or are as values gives them.
func folder(t testing.TB, config string, shapes map[string][]int, values map[string]float32) fstest.MapFS {
	t.Helper()
	var list []safetensors.Tensor
	for name, shape := range shapes {
		n := 1
		for _, d := range shape {
			n *= d
		}
		data := make([]float32, n)
		for i := range data {
			data[i] = float32(1 + i%5)
			if v, ok := values[name]; ok {
				data[i] = v
			}
		}
		list = append(list, safetensors.NewTensor(name, safetensors.F32, shape, func() any { return data }))
	}
	var b bytes.Buffer
	if err := safetensors.Encode(&b, list); err != nil {
		t.Fatal(err)
	}
	return fstest.MapFS{ConfigFile: {Data: []byte(config)}, weightsFile: {Data: b.Bytes()}}
}

func pair(r int) map[string][]int {
	return map[string][]int{"base_model.model." + q + ".lora_A.weight": {r, 4}, "base_model.model." + q + ".lora_B.weight": {6, r}}
}

func with(a map[string][]int, name string, shape ...int) map[string][]int {
	a = maps.Clone(a)
	a[name] = shape
	return a
}

func without(a map[string][]int, name string) map[string][]int {
	a = maps.Clone(a)
	delete(a, name)
	return a
}

// TestConfigKeys: each key that asks for more than a change of weights is refused by its name; a
// value that asks for nothing is not.
func TestConfigKeys(t *testing.T) {
	for _, c := range []struct{ key, value, want string }{
		{"peft_type", `"IA3"`, `peft_type: found "IA3", expected "LORA": no other kind of adapter is merged`},
		{"peft_type", `"ADALORA"`, `peft_type: found "ADALORA", expected "LORA"`},
		{"peft_type", `null`, `peft_type: the key is missing, expected "LORA"`},
		{"peft_type", `7`, `peft_type: found a number, expected a string`},
		{"init_lora_weights", `"pissa"`, `init_lora_weights: found "pissa": an initialization that changes the base model's weights (PiSSA,`},
		{"init_lora_weights", `"pissa_niter_16"`, "save it with path_initial_model_for_weight_conversion, which makes a plain LoRA of it"},
		{"init_lora_weights", `"olora"`, "OLoRA"},
		{"init_lora_weights", `"corda"`, "CorDA"},
		{"init_lora_weights", `"loftq"`, "LoftQ"},
		{"init_lora_weights", `"lora_ga"`, "LoRA-GA"},
		{"init_lora_weights", `"gaussian"`, ""},
		{"init_lora_weights", `"eva"`, ""},
		{"init_lora_weights", `false`, ""},
		{"trainable_token_indices", `[1, 2]`, `trainable_token_indices: found [1,2]: a change of single rows of the embedding is not supported`},
		{"trainable_token_indices", `null`, ""},
		{"target_parameters", `["experts.gate_up_proj"]`, "target_parameters: "},
		{"target_parameters", `[]`, ""},
		{"layer_replication", `[[0, 4]]`, "layer_replication: "},
		{"alora_invocation_tokens", `[1]`, "alora_invocation_tokens: "},
		{"arrow_config", `{"top_k": 3}`, "arrow_config: "},
		{"use_bdlora", `{"nblocks": 2}`, "use_bdlora: "},
		{"kasa_config", `{"beta": 1}`, "kasa_config: "},
		{"monteclora_config", `{"num_samples": 1}`, "monteclora_config: "},
		{"use_qalora", `true`, "use_qalora: "},
		{"use_qalora", `false`, ""},
		{"megatron_config", `{"a": 1}`, "megatron_config: "},
		{"megatron_core", `"megatron.core"`, ""},
		{"layers_to_transform", `[0, 1]`, ""},
		{"loftq_config", `{}`, ""},
		{"lora_dropout", `0.05`, ""},
		{"bias", `"some"`, `bias: found "some", expected "none", "all" or "lora_only"`},
		{"r", `0`, "r: found 0, expected a whole number from 1 to 2^20"},
		{"r", `"4"`, "r: found a string, expected a whole number"},
		{"r", `4.5`, "r: found the number 4.5, expected a whole number"},
		{"lora_alpha", `[8]`, "lora_alpha: found a list, expected a number"},
		{"rank_pattern", `{"q_proj": 0}`, "rank_pattern.q_proj: found 0"},
		{"rank_pattern", `{"q_proj": "x"}`, `"q_proj": found x, expected a number`},
		{"rank_pattern", `[1]`, "expected an object of numbers by module"},
		{"rank_pattern", `{"(?=x)": 4}`, `found "(?=x)", expected a regular expression`},
		{"rank_pattern", `{"k_proj": 2}`, ""},
		{"alpha_pattern", `null`, ""},
		{"use_dora", `true`, `adapter_config.json: use_dora is true, but "model.layers.0.self_attn.q_proj.weight" has a magnitude vector: false`},
	} {
		config := map[string]json.RawMessage{"peft_type": json.RawMessage(`"LORA"`), "r": json.RawMessage("4")}
		config[c.key] = json.RawMessage(c.value)
		data, err := json.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		a, err := OpenFS(folder(t, string(data), pair(4), nil), modelShapes())
		if err == nil {
			a.Close()
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: found %v, expected %q", c.key, c.value, err, c.want)
		}
	}
	for text, want := range map[string]string{`{"fine_tune_type": "lora", "lora_parameters": {"rank": 8}}`: `an adapter of mlx-lm`, "": "found nothing, expected JSON", "[]": "found a list, expected an object", "{": "not JSON"} {
		if _, err := OpenFS(folder(t, text, pair(4), nil), modelShapes()); err == nil || !strings.Contains(err.Error(), ConfigFile+": ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: found %v, expected %s", text, err, want)
		}
	}
}

// TestTensorsThatDoNotFit: what does not belong to the model, or to a whole adapter, is named.
func TestTensorsThatDoNotFit(t *testing.T) {
	const a, b = "base_model.model." + q + ".lora_A.weight", "base_model.model." + q + ".lora_B.weight"
	for _, c := range []struct {
		config  string
		tensors map[string][]int
		want    string
	}{
		{"", with(pair(4), "base_model.model.model.layers.9.self_attn.q_proj.lora_A.weight", 4, 4), `changes "model.layers.9.self_attn.q_proj.weight", which the model does not have`},
		{"", with(pair(4), "base_model.model.score.weight", 2, 4), `tensor "base_model.model.score.weight" changes "score.weight", which the model does not have`},
		{"", with(pair(4), "base_model.model."+q+".lora_E", 4, 1), `tensor "base_model.model.model.layers.0.self_attn.q_proj.lora_E" is of no kind that a LoRA adapter is known to have`},
		{"", with(pair(4), "prompt_embeddings", 4, 1), `tensor "prompt_embeddings" is of no kind`},
		{"", without(pair(4), b), `has one factor alone`},
		{"", without(pair(4), a), `has one factor alone`},
		{"", pair(2), `tensor "` + a + `" has rank 2, expected 4 by r and rank_pattern of adapter_config.json`},
		{"", with(pair(4), b, 5, 4), `tensor "` + b + `": shape is [5 4], expected [6 4]`},
		{"", with(pair(4), a, 4, 5), `tensor "` + a + `": shape is [4 5], expected [4 4]`},
		{"", with(pair(4), q+".lora_A.other.weight", 4, 4), `are the same part of "model.layers.0.self_attn.q_proj.weight": the file holds several adapters, expected one`},
		{"", with(pair(4), "base_model.model.model.norm.weight", 5), `shape is [5], expected [4]`},
		{"", with(pair(4), "base_model.model."+q+".lora_magnitude_vector", 6), `use_dora is false, but "model.layers.0.self_attn.q_proj.weight" has a magnitude vector: true`},
		{`, "use_dora": true`, with(pair(4), "base_model.model."+q+".lora_magnitude_vector", 5), `shape is [5], expected [6]`},
		{"", with(pair(4), "base_model.model.model.embed_tokens.lora_A.weight", 4, 4), `has one factor alone`},
		{"", map[string][]int{}, "adapter_model.safetensors holds no tensors"},
		{"", with(with(pair(4), "base_model.model.model.embed_tokens.weight", 9, 4), "base_model.model.lm_head.weight", 8, 4), "the adapter's embedding has 9 rows and its head 8, expected as many"},
		{"", with(pair(4), "base_model.model.model.embed_tokens.weight", 9, 5), "shape is [9 5], expected [7 4]"},
	} {
		f := folder(t, `{"peft_type": "LORA", "r": 4`+c.config+`}`, c.tensors, nil)
		if opened, err := OpenFS(f, modelShapes()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("found %+v, %v\nexpected %s", opened, err, c.want)
		}
	}
	f := folder(t, `{"peft_type": "LORA"}`, pair(8), nil)
	delete(f, weightsFile)
	if _, err := OpenFS(f, modelShapes()); err == nil || err.Error() != "found no adapter_model.safetensors beside adapter_config.json" {
		t.Errorf("found %v", err)
	}
	f[pickleFile] = &fstest.MapFile{Data: []byte("\x80\x02")}
	if _, err := OpenFS(f, modelShapes()); err == nil || !strings.Contains(err.Error(), "found adapter_model.bin, a pickle") {
		t.Errorf("found %v", err)
	}
}

// TestNotes: where the config and the tensors disagree, the tensors count and a note says so.
func TestNotes(t *testing.T) {
	for _, c := range []struct{ config, want string }{
		{`"target_modules": ["q_proj"], "layers_to_transform": [0]`, ""},
		{`"target_modules": "all-linear"`, ""},
		{`"target_modules": ["q_proj", "model.layers.0.mlp.up_proj"]`, "adapter_config.json names model.layers.0.mlp.up_proj, for which the adapter has no tensors"},
		{`"modules_to_save": ["lm_head"]`, "adapter_config.json names lm_head, for which the adapter has no tensors"},
		{`"layers_to_transform": 3`, "layers_to_transform is [3], but the adapter has tensors of the layers [0], which are merged"},
		{`"layers_to_transform": [0, 1]`, "layers_to_transform is [0 1], but the adapter has tensors of the layers [0], which are merged"},
		{`"fan_in_fan_out": true`, "fan_in_fan_out is true, which means nothing for these linear layers: they hold their weights as [out, in]"},
		{`"unsloth_fixed": true, "zz": null`, "adapter_config.json has keys of which nothing is known: unsloth_fixed, zz"},
		{`"revision": "main"`, ""},
		{`"revision": "v2"`, `the adapter was trained on revision "v2" of its base model`},
	} {
		a, err := OpenFS(folder(t, `{"peft_type": "LORA", "r": 4, `+c.config+`}`, pair(4), nil), modelShapes())
		if err != nil {
			t.Errorf("%s: %v", c.config, err)
			continue
		}
		want := "LoRA of r 4 and alpha 8 on matrices: 1"
		if c.want != "" {
			want += "\n" + c.want
		}
		if got := strings.Join(a.Notes(), "\n"); got != want {
			t.Errorf("%s:\nfound    %s\nexpected %s", c.config, got, want)
		}
	}
}

// TestApplyRefuses: numbers that are not finite, and rows that have no direction, are named.
func TestApplyRefuses(t *testing.T) {
	const a = "base_model.model." + q + ".lora_A.weight"
	nan := float32(math.NaN())
	for _, c := range []struct {
		config  string
		tensors map[string][]int
		values  map[string]float32
		want    string
	}{
		{"", pair(4), map[string]float32{a: nan}, `tensor "` + a + `": element 0 is NaN, expected a finite number`},
		{`, "use_dora": true`, with(pair(4), "base_model.model."+q+".lora_magnitude_vector", 6), map[string]float32{a: 0}, "row 0: the merged row is zero"},
	} {
		opened, err := OpenFS(folder(t, `{"peft_type": "LORA", "r": 4`+c.config+`}`, c.tensors, c.values), modelShapes())
		if err != nil {
			t.Fatal(err)
		}
		if err := opened.Apply(make([]float32, 24), q+".weight", 0); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("found %v, expected %s", err, c.want)
		}
		if err := opened.Apply(make([]float32, 8), q+".weight", 5); err == nil {
			t.Error("rows beyond the tensor were changed")
		}
		if err := opened.Apply(nil, "none", 0); err != nil {
			t.Errorf("a tensor that is not changed: %v", err)
		}
	}
}

// TestBiases: a bias of B is added with the scale, one of a module that was trained whole replaces
// the model's; both change the bias alone, and have its shape.
func TestBiases(t *testing.T) {
	const ofB, ofModule = "base_model.model." + q + ".lora_B.bias", "base_model.model." + q + ".bias"
	for _, c := range []struct {
		name     string
		replaces bool
		pattern  string
		want     float32 // of 10, the value of the adapter's bias being 3 and the scale 2
	}{
		{ofB, false, "", 16}, {ofB, false, `, "alpha_pattern": {"q_proj": 16}`, 22}, {ofB, false, `, "alpha_pattern": {"k_proj": 16}`, 16},
		{ofModule, true, "", 3}, {"base_model.model." + q + ".base_layer.bias", true, "", 3},
	} {
		config := `{"peft_type": "LORA", "r": 4, "lora_alpha": 8, "bias": "lora_only", "lora_bias": true` + c.pattern + `}`
		a, err := OpenFS(folder(t, config, with(pair(4), c.name, 6), map[string]float32{c.name: 3}), modelShapes())
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		bias := []float32{10, 10, 10, 10, 10, 10}
		if err := a.Apply(bias, q+".bias", 0); err != nil || slices.ContainsFunc(bias, func(v float32) bool { return v != c.want }) {
			t.Errorf("%s: %v, %v, expected %v", c.name, bias, err, c.want)
		}
		if !a.Changes(q+".bias") || a.Replaces(q+".bias") != c.replaces || a.Replaces(q+".weight") {
			t.Errorf("%s: the bias is changed %v, replaced %v", c.name, a.Changes(q+".bias"), a.Replaces(q+".bias"))
		}
		a.Close()
		if _, err := OpenFS(folder(t, config, with(pair(4), c.name, 5), nil), modelShapes()); err == nil || !strings.Contains(err.Error(), `tensor "`+c.name+`": shape is [5], expected [6]`) {
			t.Errorf("%s of another length: %v", c.name, err)
		}
	}
}

// TestRowsApart: the rows of a tensor are changed alike whether they come at once or one by one.
func TestRowsApart(t *testing.T) {
	tensors := with(with(pair(4), "base_model.model.lm_head.lora_embedding_A", 4, 7), "base_model.model.lm_head.lora_embedding_B", 4, 4)
	plain, err := OpenFS(folder(t, `{"peft_type": "LORA", "r": 4, "lora_alpha": 3}`, with(tensors, Embedding, 9, 4), nil), modelShapes())
	if err == nil {
		t.Fatalf("an embedding of 9 rows beside a head of 7 was opened: %+v", plain)
	}
	stretched := map[string][]int{"base_model.model." + q + ".lora_magnitude_vector": {6}}
	maps.Copy(stretched, pair(4))
	dora, err := OpenFS(folder(t, `{"peft_type": "LORA", "r": 4, "use_dora": true}`, stretched, nil), modelShapes())
	if err != nil {
		t.Fatal(err)
	}
	plain, err = OpenFS(folder(t, `{"peft_type": "LORA", "r": 4, "lora_alpha": 3}`, with(tensors, "model.embed_tokens.weight", 7, 4), nil), modelShapes())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		a    *Adapter
		name string
		rows int
	}{{plain, q + ".weight", 6}, {plain, Embedding, 7}, {plain, Head, 7}, {dora, q + ".weight", 6}} {
		a, name, rows := c.a, c.name, c.rows
		whole, single := make([]float32, rows*4), make([]float32, rows*4)
		if err := a.Apply(whole, name, 0); err != nil {
			t.Fatal(err)
		}
		for i := range rows {
			if err := a.Apply(single[i*4:(i+1)*4], name, i); err != nil {
				t.Fatal(err)
			}
		}
		for i, v := range whole {
			if v == 0 || single[i] != v {
				t.Errorf("%s: element %d is %g and, by itself, %g", name, i, v, single[i])
			}
		}
	}
}

// TestPatterns: a pattern is for the end of a module's name, from the beginning of one of its parts
// on, and of several the first in the file counts.
func TestPatterns(t *testing.T) {
	c, err := parseConfig([]byte(`{"peft_type": "LORA", "r": 8, "lora_alpha": 16, "rank_pattern": {"proj": 1, "z.*": 2, "self_attn.q_proj": 4, "q_proj": 2, "mlp.*": 16},
		"alpha_pattern": {"layers.1.self_attn.q_proj": 1}}`))
	if err != nil {
		t.Fatal(err)
	}
	for module, want := range map[string]struct {
		rank  int
		scale float32
	}{
		"model.layers.0.self_attn.q_proj": {4, 4}, "model.layers.1.self_attn.q_proj": {4, 0.25}, "model.layers.11.self_attn.q_proj": {4, 4},
		"model.layers.0.self_attn.k_proj": {8, 2}, "model.layers.0.mlp.up_proj": {16, 1}, "lm_head": {8, 2},
	} {
		if rank, scale := c.scale(module); rank != want.rank || scale != want.scale {
			t.Errorf("%s: rank %d, scale %g, expected %v", module, rank, scale, want)
		}
	}
}

// TestNames: modules are found under the names that programs write.
func TestNames(t *testing.T) {
	for _, name := range []string{
		"base_model.model." + q, q, "base_model." + q, "base_model.model." + strings.TrimPrefix(q, "model."),
		"base_model.model.language_model." + q, "base_model.model.model.language_model." + strings.TrimPrefix(q, "model."), "base_model.model.language_model." + strings.TrimPrefix(q, "model."),
	} {
		a, err := OpenFS(folder(t, `{"peft_type": "LORA", "r": 4}`, map[string][]int{name + ".lora_A.weight": {4, 4}, name + ".lora_B.weight": {6, 4}}, nil), modelShapes())
		if err != nil || !a.Changes(q+".weight") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzAdapter: whatever config and tensors hold, opening ends in an adapter that can be applied, or
// an error in the file's words.
func FuzzAdapter(f *testing.F) {
	for _, config := range []string{`{"peft_type": "LORA", "r": 4}`, `{"peft_type": "LORA", "r": 4, "use_rslora": true, "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"^model.*": 1e3}}`,
		`{"peft_type": "LORA", "use_dora": true, "bias": "all", "target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}`, `{"peft_type": 1, "init_lora_weights": "pissa"}`} {
		for _, tensors := range []map[string][]int{pair(4), with(pair(4), "base_model.model.model.embed_tokens.lora_embedding_A", 4, 7), with(pair(8), "base_model.model."+q+".lora_magnitude_vector", 6)} {
			f.Add([]byte(config), folder(f, config, tensors, nil)[weightsFile].Data)
		}
	}
	f.Fuzz(func(t *testing.T, config, weights []byte) {
		a, err := OpenFS(fstest.MapFS{ConfigFile: {Data: config}, weightsFile: {Data: weights}}, modelShapes())
		if err != nil {
			if text := err.Error(); strings.Contains(text, "Go ") || strings.Contains(text, "unmarshal") {
				t.Fatal("words of Go:", err)
			}
			return
		}
		defer a.Close()
		for name := range modelShapes() {
			shape := a.Shape(name)
			n := 1
			for _, d := range shape {
				n *= d
			}
			if n > 1<<16 {
				continue
			}
			_ = a.Apply(make([]float32, n), name, 0) // may refuse numbers that are not finite
		}
	})
}
