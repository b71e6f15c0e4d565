package checkpoint

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/model/checkpoint/safetensors"
)

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
		{"index of another kind", place(index, `{"weight_map":{"a":1}}`), index + ": weight_map.a: found a number, expected a string"},
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
	editFile(t, filepath.Join(whole, index), map[string]any{"wonder": 1})
	_, notes := read(t, whole)
	wantNote(t, notes, index+": wonder: not known to slimlab, and not read")
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
