package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/model"
	"slimlab/model/checkpoint/gguf"
	"slimlab/model/tokenizer"
)

func TestGGUFRefusesToWrite(t *testing.T) {
	small := tokenizer.Vocabulary{Model: "gpt2", Tokens: []string{"a", "b"}, BOS: -1, EOS: -1, Unknown: -1, Padding: -1}
	large, short := small, small
	large.Tokens = make([]string, 301)
	short.Types = []int32{1}
	for _, c := range []struct {
		shape  string
		change func(*model.Config)
		v      tokenizer.Vocabulary
		kind   gguf.Type
		want   string
	}{
		{"pruned", func(c *model.Config) { c.QKVBias, c.OBias = true, true }, tokenizer.Vocabulary{}, gguf.F16,
			"layer 1 has 2 heads, 1 kv heads and 17 neurons, layer 0 4, 2 and 24: GGUF's llama holds layers of one shape alone, and deci, which holds others, is a Llama or Mistral without biases"},
		{"qwen2", func(c *model.Config) {
			c.Layers = []model.LayerConfig{{Heads: 4, KVHeads: 2, MLP: 24}, {Heads: 4, KVHeads: 2, MLP: 17}}
		}, tokenizer.Vocabulary{}, gguf.F16,
			"layer 1 has 4 heads, 2 kv heads and 17 neurons, layer 0 4, 2 and 24: GGUF's qwen2 holds layers of one shape alone, and deci, which holds others, is a Llama or Mistral without biases"},
		{"untied", nil, tokenizer.Vocabulary{}, gguf.Q5_0, "type Q5_0 is not written, expected one of F32, F16, BF16, Q8_0, Q6_K, Q5_K, Q4_K, Q3_K, Q4_0, Q4_1"},
		{"untied", nil, large, gguf.F16, "tokenizer does not fit the model: it has 301 tokens, expected at most 300: the embedding has 300 rows"},
		{"untied", nil, short, gguf.F16, "tokenizer: found 1 types for 2 tokens"},
		{"qwen2", func(c *model.Config) { c.QKVBias = false }, small, gguf.F16, "q/k/v bias is false, expected true: llama.cpp's qwen2 is so"},
		{"qwen3", func(c *model.Config) { c.OBias = true }, small, gguf.F16, "o bias is true, expected false: llama.cpp's qwen3 is so"},
		{"qwen2", func(c *model.Config) { c.Layers = model.Uniform(2, 2, 1, 24) }, small, gguf.F16,
			"2 heads of 4 are 8 wide beside a hidden size of 16: llama.cpp's qwen2 takes biased heads of the hidden size alone, so no heads may be pruned"},
		{"qwen3", func(c *model.Config) { c.Rope = llama3Scaling }, small, gguf.F16, "rope scaling llama3: llama.cpp's qwen3 has no tensor for it, expected none, linear or yarn"},
		{"untied", func(c *model.Config) { c.QKNorm = true }, small, gguf.F16, "q/k norm is true, expected false: llama.cpp's llama is so"},
	} {
		config := shapes()[c.shape]
		if c.change != nil {
			c.change(&config)
		}
		dir := t.TempDir()
		_, err := SaveGGUF(context.Background(), filepath.Join(dir, "model.gguf"), random(t, config), c.v, GGUFOptions{Type: c.kind})
		if err == nil || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%s: found %v, expected %s", c.shape, err, c.want)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: %s was left behind", c.shape, left[0].Name())
		}
	}
}

// TestGGUFRefuses changes one thing in a good file at a time.
func TestGGUFRefuses(t *testing.T) {
	c := shapes()["untied"]
	good := filepath.Join(t.TempDir(), "good.gguf")
	if _, err := SaveGGUF(context.Background(), good, random(t, c), tokenizer.Vocabulary{}, GGUFOptions{Type: gguf.F32}); err != nil {
		t.Fatal(err)
	}
	file := openContainer(t, good)
	for _, c := range []struct {
		// to be set, or removed where the value is nil; "tensor NAME" is a tensor to be added, or
		// removed where the value is nil
		key   string
		value any
		want  string
	}{
		{"general.architecture", "falcon", `metadata key "general.architecture": "falcon", a decoder of another form, is not supported, expected llama, deci, qwen2 or qwen3`},
		{"general.architecture", nil, `metadata key "general.architecture": "" is not supported, expected llama, deci, qwen2 or qwen3`},
		{"general.architecture", true, `metadata key "general.architecture": found true, expected a text`},
		{"general.type", "adapter", `metadata key "general.type": "adapter" is not supported, expected "model"`},
		{"split.count", uint16(3), `metadata key "split.count": the model is split into 3 files, which is not supported: join them first`},
		{"llama.block_count", nil, `metadata key "llama.block_count": the key is missing`},
		{"llama.block_count", uint32(1 << 31), `metadata key "llama.block_count": found 2147483648, expected a whole number from 1 to 4096`},
		{"llama.block_count", uint32(3), `tensor "blk.2.attn_norm.weight" is missing, expected shape [16]: metadata key "llama.block_count" says 3 layers, and the file has none of layer 2`},
		{"llama.embedding_length", "16", `metadata key "llama.embedding_length": found the text "16", expected a whole number`},
		{"llama.attention.head_count", []int32{4, 4, 4}, `metadata key "llama.attention.head_count": found an array of 3 int32s, expected a whole number, or 2 of them`},
		{"llama.attention.head_count", uint32(0), `metadata key "llama.attention.head_count": found 0, expected a whole number from 1 to 16384`},
		{"llama.attention.head_count", float32(4), `metadata key "llama.attention.head_count": found the float32 4, expected a whole number, or 2 of them`},
		{"llama.attention.head_count", []float32{4, 4}, `metadata key "llama.attention.head_count": found an array of 2 float32s, expected a whole number, or 2 of them`},
		{"llama.attention.head_count_kv", []int32{2, -2}, `metadata key "llama.attention.head_count_kv": found -2, expected a whole number from 1 to 16384`},
		{"llama.embedding_length", float32(64), `metadata key "llama.embedding_length": found the float32 64, expected a whole number`},
		{"llama.embedding_length", "64", `metadata key "llama.embedding_length": found the text "64", expected a whole number`},
		{"llama.embedding_length", uint64(1) << 40, `metadata key "llama.embedding_length": found 1099511627776, expected a whole number from 1 to 1048576`},
		{"llama.context_length", uint64(math.MaxUint64), `metadata key "llama.context_length": found the uint64 18446744073709551615, expected a whole number of at most 9223372036854775807`},
		{"llama.context_length", []uint32{8}, `metadata key "llama.context_length": found an array of 1 uint32, expected a whole number`},
		{"llama.rope.freq_base", "x", `metadata key "llama.rope.freq_base": found the text "x", expected a number`},
		{"llama.feed_forward_length", nil, `metadata key "llama.feed_forward_length": the key is missing`},
		{"llama.attention.value_length", uint32(8), `metadata key "llama.attention.value_length": 8 is not supported, expected 4`},
		{"llama.attention.key_length", uint32(3), `metadata key "llama.attention.value_length": 4 is not supported, expected 3`},
		{"llama.rope.dimension_count", uint32(2), `metadata key "llama.rope.dimension_count": 2 is not supported, expected 4`},
		{"llama.expert_count", uint32(8), `metadata key "llama.expert_count": found 8: a mixture of experts is not supported, expected 0`},
		{"llama.attention.sliding_window", uint32(32), `metadata key "llama.attention.sliding_window": attention within a window of 32 is not supported, expected none`},
		{"llama.attention.layer_norm_rms_epsilon", nil, `metadata key "llama.attention.layer_norm_rms_epsilon": the key is missing, or 0`},
		{"llama.rope.scaling.type", "longrope", `metadata key "llama.rope.scaling.type": "longrope" is not supported, expected none, linear or yarn`},
		{"llama.rope.scaling.factor", float32(0.5), `metadata key "llama.rope.scaling.factor": found 0.5, expected 1 to 2^20`},
		{"tensor token_embd.weight", nil, `tensor "token_embd.weight" is missing`},
		{"tensor output_norm.weight", nil, `tensor "output_norm.weight" is missing, expected shape [16] by the metadata key llama.embedding_length`},
		{"tensor blk.1.ffn_up.weight", nil, `tensor "blk.1.ffn_up.weight" is missing, expected shape [24 16] by the metadata keys llama.feed_forward_length and llama.embedding_length`},
		{"tensor blk.1.ffn_up.weight", []int{24, 15}, `tensor "blk.1.ffn_up.weight": shape is [24 15], expected [24 16] by the metadata keys llama.feed_forward_length and llama.embedding_length`},
		{"llama.attention.head_count_kv", nil, `tensor "blk.0.attn_k.weight": shape is [8 16], expected [16 16] by the metadata keys llama.attention.head_count_kv (missing), llama.attention.key_length and llama.embedding_length`},
		{"llama.attention.head_count_kv", uint32(1), `tensor "blk.0.attn_k.weight": shape is [8 16], expected [4 16] by the metadata keys llama.attention.head_count_kv, llama.attention.key_length and llama.embedding_length`},
		{"llama.feed_forward_length", uint32(40), `tensor "blk.0.ffn_gate.weight": shape is [24 16], expected [40 16] by the metadata keys llama.feed_forward_length and llama.embedding_length`},
		{"tensor blk.0.attn_q.weight", []int{15, 16}, `tensor "blk.0.attn_q.weight": 15 rows of F32, shape [15 16], expected whole heads of 4`},
		{"tensor blk.0.ffn_gate_inp.weight", []int{8, 16}, `tensor "blk.0.ffn_gate_inp.weight", shape [8 16], has no place in a model of architecture LlamaForCausalLM`},
		{"tensor rope_freqs.weight", []int{3}, `tensor "rope_freqs.weight": 3 elements, expected 2`},
	} {
		metadata := slices.DeleteFunc(slices.Clone(file.Metadata), func(p gguf.Pair) bool { return p.Key == c.key })
		added, isTensor := strings.CutPrefix(c.key, "tensor ")
		if c.value != nil && !isTensor {
			metadata = append(metadata, gguf.Pair{Key: c.key, Value: c.value})
		}
		var tensors []gguf.NewTensor
		add := func(name string, shape []int) {
			tensors = append(tensors, gguf.NewTensor{Name: name, Type: gguf.F32, Shape: shape, ReadRows: func([]float32, int, int) error { return nil }})
		}
		for _, tensor := range file.Tensors {
			if !isTensor || tensor.Name != added {
				add(tensor.Name, tensor.Shape)
			}
		}
		if shape, ok := c.value.([]int); ok {
			add(added, shape)
		}
		name := filepath.Join(t.TempDir(), "bad.gguf")
		if err := gguf.Write(name, metadata, tensors); err != nil {
			t.Fatal(err)
		}
		_, err := Open(name)
		if want := "checkpoint " + name + ": " + c.want; err == nil || err.Error() != want {
			t.Errorf("%s %v:\n found    %v\n expected %s", c.key, c.value, err, want)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none.gguf")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := Open(t.TempDir() + "/.gguf"); err == nil {
		t.Error("a file that is not there was opened")
	}
}

// TestDeciRefuses: arrays of a deci file that contradict its tensors, the number of layers or
// themselves, and layers that deci allows and slimlab has not.
func TestDeciRefuses(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good.gguf")
	if _, err := SaveGGUF(context.Background(), good, random(t, shapes()["pruned"]), tokenizer.Vocabulary{}, GGUFOptions{Type: gguf.F32}); err != nil {
		t.Fatal(err)
	}
	file := openContainer(t, good)
	for _, c := range []struct {
		key   string
		value any
		want  string
	}{
		{"deci.attention.head_count", []int32{4, 2}, ""},
		{"deci.attention.head_count", []uint32{4, 2}, ""},
		{"deci.attention.head_count", []int32{4}, `metadata key "deci.attention.head_count": found an array of 1 int32, expected a whole number, or 2 of them`},
		{"deci.attention.head_count", []int32{4, 2, 2}, `metadata key "deci.attention.head_count": found an array of 3 int32s, expected a whole number, or 2 of them`},
		{"deci.attention.head_count", []int32{4, 0}, `metadata key "deci.attention.head_count": layer 1 has 0: layers without attention or MLP, and of linear attention, which deci allows, are not supported`},
		{"deci.attention.head_count_kv", []int32{0, 1}, `metadata key "deci.attention.head_count_kv": layer 0 has 0: layers without attention or MLP, and of linear attention, which deci allows, are not supported`},
		{"deci.feed_forward_length", []int32{0, 17}, `metadata key "deci.feed_forward_length": layer 0 has 0: layers without attention or MLP, and of linear attention, which deci allows, are not supported`},
		{"deci.feed_forward_length", []int32{24, -17}, `metadata key "deci.feed_forward_length": found -17, expected a whole number from 1 to 1048576`},
		{"deci.feed_forward_length", []string{"24", "17"}, `metadata key "deci.feed_forward_length": found an array of 2 strings, expected a whole number, or 2 of them`},
		{"deci.feed_forward_length", []int32{24, 24}, `tensor "blk.1.ffn_gate.weight": shape is [17 16], expected [24 16] by the metadata keys deci.feed_forward_length and deci.embedding_length`},
		{"deci.feed_forward_length", []int32{17, 24}, `tensor "blk.0.ffn_gate.weight": shape is [24 16], expected [17 16] by the metadata keys deci.feed_forward_length and deci.embedding_length`},
		{"deci.attention.head_count", []int32{4, 4}, `tensor "blk.1.attn_q.weight": shape is [8 16], expected [16 16] by the metadata keys deci.attention.head_count, deci.attention.key_length and deci.embedding_length`},
		{"deci.attention.head_count_kv", []int32{2, 2}, `tensor "blk.1.attn_k.weight": shape is [4 16], expected [8 16] by the metadata keys deci.attention.head_count_kv, deci.attention.key_length and deci.embedding_length`},
		{"deci.attention.head_count", []int32{3, 2}, `model config: layer 0: 3 heads over 2 kv heads, expected a multiple`},
		{"deci.block_count", uint32(3), `metadata key "deci.attention.head_count": found an array of 2 int32s, expected a whole number, or 3 of them`},
		{"deci.feed_forward_length", nil, `metadata key "deci.feed_forward_length": the key is missing`},
	} {
		metadata := slices.DeleteFunc(slices.Clone(file.Metadata), func(p gguf.Pair) bool { return p.Key == c.key })
		if c.value != nil {
			metadata = append(metadata, gguf.Pair{Key: c.key, Value: c.value})
		}
		var tensors []gguf.NewTensor
		for _, tensor := range file.Tensors {
			tensors = append(tensors, gguf.NewTensor{Name: tensor.Name, Type: gguf.F32, Shape: tensor.Shape, ReadRows: func([]float32, int, int) error { return nil }})
		}
		name := filepath.Join(t.TempDir(), "bad.gguf")
		if err := gguf.Write(name, metadata, tensors); err != nil {
			t.Fatal(err)
		}
		_, err := Open(name)
		if want := "checkpoint " + name + ": " + c.want; c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%s %v:\n found    %v\n expected %s", c.key, c.value, err, want)
		}
	}
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut.gguf")
	for n := 0; n < len(data); n += 1 + len(data)/400 {
		if err := os.WriteFile(cut, data[:n], 0o644); err != nil {
			t.Fatal(err)
		}
		if c, err := Open(cut); err == nil {
			c.Close()
			t.Errorf("%d of %d bytes were opened", n, len(data))
		}
	}
}

// FuzzGGUF: whatever the bytes, opening the model and its vocabulary ends in an answer or an error.
func FuzzGGUF(f *testing.F) {
	for _, name := range []string{"untied", "qwen3", "llama with bias", "pruned"} {
		c := shapes()[name]
		c.Vocab, c.Hidden, c.MoreEOS, c.Layers = 2, 4, nil, model.Uniform(1, 1, 1, 1)
		if name == "pruned" {
			c.Layers = []model.LayerConfig{{Heads: 2, KVHeads: 1, MLP: 1}, {Heads: 1, KVHeads: 1, MLP: 2}}
		}
		file := filepath.Join(f.TempDir(), "seed.gguf")
		v := tokenizer.Vocabulary{Model: "llama", Tokens: []string{"a", "b"}, Scores: []float32{0, -1}, Types: []int32{1, 3}, BOS: -1, EOS: 1, Unknown: -1, Padding: -1}
		if _, err := SaveGGUF(context.Background(), file, random(f, c), v, GGUFOptions{Type: gguf.F16}); err != nil {
			f.Fatal(err)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		g := &ggufFile{index: map[string]int{}, stored: map[string]string{}}
		if err := g.open(bytes.NewReader(data), int64(len(data))); err != nil {
			return
		}
		c := &Checkpoint{config: g.Config, files: g, vocabulary: g.tokenizer}
		if c.check() != nil {
			return
		}
		if _, err := c.Model(context.Background()); err != nil {
			t.Fatalf("a file that was opened does not load: %v", err)
		}
		_, _ = c.Tokenizer()
	})
}
