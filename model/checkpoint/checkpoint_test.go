package checkpoint

import (
	"context"
	"encoding/json"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"slimlab/internal/half"
	"slimlab/model"
	"slimlab/model/checkpoint/safetensors"
	"slimlab/model/tokenizer"
)

func shapes() map[string]model.Config {
	base := model.Config{Architecture: model.Llama, Vocab: 300, Hidden: 16, HeadDim: 4, Layers: model.Uniform(2, 4, 2, 24),
		MaxPositions: 64, RopeTheta: 10000, NormEps: 1e-5, BOS: 0, EOS: 1}
	tied, qwen, pruned := base, base, base
	tied.TiedHead = true
	qwen.Architecture, qwen.QKVBias, qwen.BOS = model.Qwen2, true, -1
	pruned.TiedHead = true
	pruned.Layers = []model.LayerConfig{{Heads: 4, KVHeads: 2, MLP: 24}, {Heads: 2, KVHeads: 1, MLP: 17}}
	norms, biased, window := tied, base, base
	norms.Architecture, norms.QKNorm, norms.HeadDim, norms.MoreEOS = model.Qwen3, true, 6, []int{7, 8}
	norms.Rope = model.RopeScaling{Kind: model.RopeYarn, Factor: 4, OriginalMaxPositions: 16}
	biased.QKVBias, biased.OBias, biased.Rope = true, true, llama3Scaling
	window.Architecture, window.Rope = model.Mistral, model.RopeScaling{Kind: model.RopeLinear, Factor: 2}
	return map[string]model.Config{"untied": base, "tied": tied, "qwen2": qwen, "pruned": pruned, "qwen3": norms, "llama with bias": biased, "mistral": window}
}

// wide is a shape whose linear layers have multiples of 32 inputs and outputs.
func wide() model.Config {
	c := shapes()["untied"]
	c.Hidden, c.HeadDim, c.Layers = 32, 8, model.Uniform(2, 4, 4, 64)
	return c
}

// random is a model of random weights; biases too.
func random(t testing.TB, c model.Config) *model.Model {
	t.Helper()
	m, err := model.New(c)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(7, 11))
	for _, p := range m.Parameters() {
		for i := range p.Data {
			p.Data[i] = float32(rng.NormFloat64())
		}
	}
	m.Changed()
	return m
}

func smallTokenizer(t testing.TB) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.Train(slices.Values([]string{"one two one two one two"}), 262, []string{"<s>", "</s>"})
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestRoundTrip(t *testing.T) {
	for name, c := range shapes() {
		t.Run(name, func(t *testing.T) {
			m, tok := random(t, c), smallTokenizer(t)
			dir := filepath.Join(t.TempDir(), "new", "folder")
			if err := Save(context.Background(), dir, m, tok, SaveOptions{}); err != nil {
				t.Fatal(err)
			}
			got, gotTok, err := load(dir)
			if err != nil {
				t.Fatal(err)
			}
			if !sameConfig(got.Config, c) {
				t.Errorf("config %+v, expected %+v", got.Config, c)
			}
			if !slices.Equal(got.Flat(), m.Flat()) {
				t.Error("weights differ")
			}
			if gotTok.Hash() != tok.Hash() {
				t.Error("tokenizers differ")
			}
			stored, err := storedBytes(dir)
			if err != nil {
				t.Fatal(err)
			}
			planned := plannedBytes(t, m, F32)
			if stored != planned || stored != int64(4*c.Parameters()) {
				t.Errorf("%d bytes stored, %d planned, expected %d", stored, planned, 4*c.Parameters())
			}
		})
	}
}

func TestRoundTripBF16(t *testing.T) {
	c := shapes()["qwen2"]
	m := random(t, c)
	dir := t.TempDir()
	if err := Save(context.Background(), dir, m, nil, SaveOptions{DType: BF16}); err != nil {
		t.Fatal(err)
	}
	got, tok, err := load(dir)
	if err != nil || tok != nil {
		t.Fatal(tok, err)
	}
	for i, v := range m.Flat() {
		if want := half.FromBFloat16(half.ToBFloat16(v)); got.Flat()[i] != want {
			t.Fatalf("parameter %d: %g, expected %g", i, got.Flat()[i], want)
		}
	}
	if n, err := storedBytes(dir); err != nil || n != int64(2*c.Parameters()) {
		t.Errorf("%d bytes, %v; expected %d", n, err, 2*c.Parameters())
	}
	if err := Save(context.Background(), dir, m, nil, SaveOptions{DType: safetensors.I8}); err == nil || !strings.HasSuffix(err.Error(), "dtype is I8, expected F32, F16 or BF16") {
		t.Errorf("I8: %v", err)
	}
}

// tensorsOf lists a model's tensors for WriteSafetensors.
func tensorsOf(t testing.TB, m *model.Model) []Tensor {
	t.Helper()
	list, _, err := plan(m, SaveOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestTiedSpellings(t *testing.T) {
	c := shapes()["tied"]
	c.Vocab = 70_000 // more than is compared at a time
	m := random(t, c)
	dir := t.TempDir()
	if err := Save(context.Background(), dir, m, nil, SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	at := func(list []Tensor, name string) *Tensor {
		return &list[slices.IndexFunc(list, func(t Tensor) bool { return t.Name == name })]
	}
	load := func(list []Tensor) (*model.Model, error) {
		if err := safetensors.Write(context.Background(), filepath.Join(dir, "model.safetensors"), list); err != nil {
			t.Fatal(err)
		}
		got, _, err := loadFS(os.DirFS(dir), ".")
		return got, err
	}
	only := tensorsOf(t, m)
	at(only, embeddingName).Name = headName
	both := tensorsOf(t, m)
	head := *at(both, embeddingName)
	head.Name = headName
	both = append(both, head)
	for name, list := range map[string][]Tensor{"only the head": only, "both": both} {
		got, err := load(list)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !slices.Equal(got.Flat(), m.Flat()) {
			t.Errorf("%s: weights differ", name)
		}
	}
	other := slices.Clone(m.Embedding)
	other[len(other)-1]++
	at(both, headName).Data = func() any { return other }
	want := `tensor "lm_head.weight" differs from "model.embed_tokens.weight", but config.json has tie_word_embeddings true`
	if _, err := load(both); err == nil || err.Error() != want {
		t.Errorf("found %v, expected %s", err, want)
	}
}

// reshaped gives a tensor of a list another shape.
func reshaped(list []Tensor, name string, shape ...int) []Tensor {
	i := slices.IndexFunc(list, func(t Tensor) bool { return t.Name == name })
	n := 1
	for _, d := range shape {
		n *= d
	}
	list[i].Shape, list[i].Data = shape, func() any { return make([]float32, n) }
	return list
}

func TestWrongTensors(t *testing.T) {
	m := random(t, shapes()["untied"])
	dir := t.TempDir()
	if err := Save(context.Background(), dir, m, nil, SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	const q = "model.layers.1.self_attn.q_proj.weight"
	for _, c := range []struct {
		name   string
		change func(list []Tensor, i int) []Tensor
		want   string
	}{
		{"missing", func(list []Tensor, i int) []Tensor { return slices.Delete(list, i, i+1) }, `tensor "` + q + `" is missing, expected shape [16 16]`},
		{"misshaped", func(list []Tensor, i int) []Tensor { list[i].Shape = []int{8, 32}; return list }, `tensor "` + q + `": shape is [8 32], expected [16 16] by the config`},
		{"another number of rows", func(list []Tensor, i int) []Tensor {
			return reshaped(list, "lm_head.weight", 299, 16)
		}, `tensor "lm_head.weight": shape is [299 16], expected [300 16] by the config: it has 299 rows, vocab_size is 300`},
		{"another width", func(list []Tensor, i int) []Tensor { return reshaped(list, "lm_head.weight", 300, 8) },
			`tensor "lm_head.weight": shape is [300 8], expected [300 16] by the config`},
		{"a vector", func(list []Tensor, i int) []Tensor { return reshaped(list, "lm_head.weight", 4800) },
			`tensor "lm_head.weight": shape is [4800], expected [300 16] by the config`},
		{"extra", func(list []Tensor, i int) []Tensor {
			return append(list, safetensors.NewTensor("model.layers.2.extra", safetensors.I8, []int{1}, func() any { return []byte{1} }))
		}, `tensor "model.layers.2.extra", shape [1], has no place in the model of the config: the config says 2 layers`},
		{"integers", func(list []Tensor, i int) []Tensor {
			list[i].DType, list[i].Data = safetensors.I8, func() any { return make([]byte, 256) }
			return list
		}, `tensor "` + q + `": dtype is I8, expected F32, F16 or BF16`},
		{"frequencies", func(list []Tensor, i int) []Tensor {
			return append(list, safetensors.NewTensor("model.layers.0.self_attn.rotary_emb.inv_freq", F32, []int{1}, func() any { return []float32{1} }))
		}, ""},
	} {
		list := tensorsOf(t, m)
		list = c.change(list, slices.IndexFunc(list, func(t Tensor) bool { return t.Name == q }))
		if err := safetensors.Write(context.Background(), filepath.Join(dir, "model.safetensors"), list); err != nil {
			t.Fatal(err)
		}
		_, _, err := load(dir)
		if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != "checkpoint "+dir+": "+c.want) {
			t.Errorf("%s:\nfound    %v\nexpected %s", c.name, err, c.want)
		}
	}
}

// A config that asks for a giant is refused by the tensors of the file, before memory is taken.
func TestHostileConfig(t *testing.T) {
	m := random(t, shapes()["untied"])
	dir := t.TempDir()
	if err := Save(context.Background(), dir, m, nil, SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "config.json")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	giant := edit(t, string(data), map[string]any{"vocab_size": 1 << 20, "hidden_size": 1 << 20, "intermediate_size": 1 << 20, "num_hidden_layers": 4096})
	if err := os.WriteFile(name, []byte(giant), 0o644); err != nil {
		t.Fatal(err)
	}
	_, _, err = load(dir)
	if want := `tensor "model.embed_tokens.weight": shape is [300 16], expected [1048576 1048576] by the config`; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("found %v, expected %s", err, want)
	}
}

func TestTokenizerMisfit(t *testing.T) {
	c := shapes()["tied"]
	c.Vocab = 261
	m, tok := random(t, c), smallTokenizer(t)
	if tok.Vocab() != 262 {
		t.Fatalf("tokenizer of %d ids, expected 262", tok.Vocab())
	}
	dir := t.TempDir()
	if err := Save(context.Background(), t.TempDir(), m, tok, SaveOptions{}); err != nil {
		t.Errorf("a tokenizer with tokens that the model lacks is saved: %v", err)
	}
	if err := Save(context.Background(), dir, m, nil, SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := tok.Save(dir); err != nil {
		t.Fatal(err)
	}
	// it is read, with a note; a text that uses the token is refused
	misfit, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer misfit.Close()
	note := `the tokenizer has ids to 261 ("` + tok.Token(261) + `"), the embedding has 261 rows: a text with one of the ids from 261 on is refused`
	if notes := misfit.Notes(); len(notes) != 1 || notes[0] != note {
		t.Errorf("notes %q, expected %q", notes, note)
	}
	read, err := misfit.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	if err := read.CheckIDs([]int32{0, 260}, misfit.Config().Vocab); err != nil {
		t.Error(err)
	}
	want := `token 3 of the text is 261 ("` + tok.Token(261) + `"), which the model does not have: its vocabulary is 261 tokens`
	if err := read.CheckIDs([]int32{0, 260, 261}, misfit.Config().Vocab); err == nil || err.Error() != want {
		t.Errorf("found %v, expected %s", err, want)
	}
}

func TestShards(t *testing.T) {
	m := random(t, shapes()["untied"])
	dir := t.TempDir()
	if err := Save(context.Background(), dir, m, nil, SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "model.safetensors")); err != nil {
		t.Fatal(err)
	}
	list := tensorsOf(t, m)
	weightMap := map[string]string{}
	for i, part := range [][]Tensor{list[:5], list[5:]} {
		file := []string{"model-1.safetensors", "model-2.safetensors"}[i]
		for _, tensor := range part {
			weightMap[tensor.Name] = file
		}
		if err := safetensors.Write(context.Background(), filepath.Join(dir, file), part); err != nil {
			t.Fatal(err)
		}
	}
	index := func() {
		data, err := json.Marshal(map[string]any{"weight_map": weightMap})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "model.safetensors.index.json"), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	index()
	got, _, err := load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Flat(), m.Flat()) {
		t.Error("weights differ")
	}
	second := weightMap[list[7].Name]
	for _, c := range []struct{ tensor, file, want string }{
		{"x", "../model-1.safetensors", `weight_map "x": "../model-1.safetensors" is not the name of a file beside the index`},
		{"x", "model-1.safetensors", `weight_map "x": model-1.safetensors has no such tensor`},
		{list[7].Name, "model-1.safetensors", `weight_map "` + list[7].Name + `": model-1.safetensors has no such tensor`},
		{"x", "model-3.safetensors", `1 of 3 files with tensors are missing: model-3.safetensors: file does not exist`},
	} {
		weightMap[c.tensor] = c.file
		index()
		if _, _, err := load(dir); err == nil || !strings.HasSuffix(err.Error(), "model.safetensors.index.json: "+c.want) {
			t.Errorf("found %v, expected %s", err, c.want)
		}
		delete(weightMap, "x")
		weightMap[list[7].Name] = second
	}
	double := append(slices.Clone(list[5:]), list[0])
	if err := safetensors.Write(context.Background(), filepath.Join(dir, "model-2.safetensors"), double); err != nil {
		t.Fatal(err)
	}
	index()
	want := `model-1.safetensors: tensor "` + list[0].Name + `" is also in another file`
	if _, _, err := load(dir); err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("found %v, expected %s", err, want)
	}
}

func TestLoadFS(t *testing.T) {
	m := random(t, shapes()["tied"])
	dir := t.TempDir()
	if err := Save(context.Background(), dir, m, smallTokenizer(t), SaveOptions{}); err != nil {
		t.Fatal(err)
	}
	memory := fstest.MapFS{}
	for _, name := range []string{"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		memory["models/fm/"+name] = &fstest.MapFile{Data: data}
	}
	got, tok, err := loadFS(memory, "models/fm")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Flat(), m.Flat()) || tok == nil {
		t.Error("the model from memory differs")
	}
	if _, _, err := loadFS(streams{memory}, "models/fm"); err == nil || !strings.Contains(err.Error(), "cannot be read at an offset") {
		t.Errorf("a stream: %v", err)
	}
	if _, _, err := load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "config.json") {
		t.Errorf("an empty folder: %v", err)
	}
	delete(memory, "models/fm/model.safetensors")
	if _, _, err := loadFS(memory, "models/fm"); err == nil || !strings.HasPrefix(err.Error(), "found neither model.safetensors nor model.safetensors.index.json") {
		t.Errorf("no weights: %v", err)
	}
	memory["models/fm/pytorch_model.bin"] = &fstest.MapFile{}
	if _, _, err := loadFS(memory, "models/fm"); err == nil || !strings.Contains(err.Error(), "index.json, only pytorch_model.bin, and pickled weights are not read") {
		t.Errorf("pickled weights: %v", err)
	}
}

// streams is a file system whose files have no ReadAt.
type streams struct{ fs.FS }

func (s streams) Open(name string) (fs.File, error) {
	f, err := s.FS.Open(name)
	return struct{ fs.File }{f}, err
}

func storedBytes(dir string) (int64, error) {
	c, err := Open(dir)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return c.Bytes(), nil
}
