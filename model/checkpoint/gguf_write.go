package checkpoint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slimlab/model"
	"slimlab/model/checkpoint/gguf"
	"slimlab/model/tokenizer"
	"slimlab/model/weight"
)

// ggufFileTypes are what general.file_type says of a file most of whose matrices have a type.
var ggufFileTypes = map[gguf.Type]uint32{gguf.F32: 0, gguf.F16: 1, gguf.Q4_0: 2, gguf.Q8_0: 7, gguf.BF16: 32}

// GGUFOptions says how a GGUF file is written.
type GGUFOptions struct {
	Type gguf.Type // of the matrices: F32, F16, BF16, Q8_0 or Q4_0
}

// ReadRows reads rows first to first+rows−1 of a tensor by its Hugging Face name into dst, [rows,
// in]; a vector is one row.
type ReadRows func(dst []float32, name string, first, rows int) error

// until reads until ctx ends.
func (r ReadRows) until(ctx context.Context) ReadRows {
	return func(dst []float32, name string, first, rows int) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return r(dst, name, first, rows)
	}
}

// SaveGGUF writes a model in memory as a GGUF file: see WriteGGUF. Quantized weights are decoded,
// and encoded in the type asked for.
func SaveGGUF(ctx context.Context, name string, m *model.Model, v tokenizer.Vocabulary, o GGUFOptions) (notes []string, err error) {
	if err := m.Check(); err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	c := m.Config
	if _, dense := m.Head.(*weight.Dense); !dense && m.Embedding != nil {
		c.TiedHead = false // a head of another format than the embedding is not the embedding
	}
	return WriteGGUF(ctx, name, c, modelRows(m), v, o)
}

// modelRows reads rows of a model's tensors.
func modelRows(m *model.Model) ReadRows {
	vectors, weights := map[string][]float32{}, map[string]weight.Weight{headName: m.Head}
	for _, p := range m.Tensors() {
		vectors[p.Name] = p.Data
	}
	for _, l := range m.Linears() {
		weights[l.Name+".weight"] = l.Weight
	}
	if m.Embedding == nil {
		weights[embeddingName] = m.Head
	}
	return func(dst []float32, name string, first, rows int) error {
		if w, ok := weights[name]; ok {
			width := len(dst) / rows
			for i := range rows {
				w.Row(dst[i*width:(i+1)*width], first+i)
			}
			return nil
		}
		width := len(dst) / rows
		copy(dst, vectors[name][first*width:])
		return nil
	}
}

// WriteGGUF writes a model of configuration c, whose tensors read gives, as a GGUF file that
// llama.cpp loads, in one step and a few rows at a time. A vocabulary without Model is none.
//
// Matrices have the type asked for, vectors are F32. Two matrices are otherwise, as llama.cpp's own
// quantizer does: with Q4_0, the output head, or the embedding that is tied to it, is Q8_0; and a
// matrix whose rows are not whole blocks is F16. The notes name the second kind, and whatever else
// is not as asked for. The file is read again and compared with its source before WriteGGUF
// returns; one that differs is removed, as is one that was not compared when ctx ended.
//
// What GGUF or its readers cannot say is an error before anything is written: layers of different
// widths, Qwen2 without biases, and the like.
func WriteGGUF(ctx context.Context, name string, c model.Config, read ReadRows, v tokenizer.Vocabulary, o GGUFOptions) (notes []string, err error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	read = read.until(ctx)
	architecture := ggufArchitecture(c.Architecture)
	metadata, notes, err := ggufMetadata(name, architecture, c, v, o)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	var tensors []gguf.NewTensor
	for _, t := range ggufShapes(c) {
		stored, ok := toGGUFName(t.Name)
		if !ok {
			return nil, fmt.Errorf("write %s: tensor %q has no name in GGUF", name, t.Name)
		}
		n := gguf.NewTensor{Name: stored, Type: ggufType(t, c.TiedHead, o.Type), Shape: t.Shape}
		if in := t.Shape[len(t.Shape)-1]; len(t.Shape) == 2 && in%n.Type.Block() != 0 {
			notes = append(notes, fmt.Sprintf("%s is F16: its rows of %d are not whole blocks of %s", t.Name, in, n.Type))
			n.Type = gguf.F16
		}
		n.ReadRows = func(dst []float32, first, rows int) error { return read(dst, t.Name, first, rows) }
		if turnsPairs(ggufArchitectures[architecture], t.Name) {
			n.ReadRows = turnedRows(t, c.HeadDim, read)
		}
		tensors = append(tensors, n)
	}
	if c.Rope.Kind == model.RopeLlama3 {
		factors := llama3Factors(c.Rope, c.RopeTheta, c.HeadDim)
		tensors = append(tensors, gguf.NewTensor{Name: ggufRopeFactors, Type: gguf.F32, Shape: []int{len(factors)},
			ReadRows: func(dst []float32, _, _ int) error { copy(dst, factors); return nil }})
	}
	if err := gguf.Write(name, metadata, tensors); err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	if err := gguf.Verify(name, metadata, tensors); err != nil {
		return nil, errors.Join(fmt.Errorf("verify %s: %w", name, err), os.Remove(name))
	}
	return notes, nil
}

// ggufType is the type in which a tensor is written, if its rows allow.
func ggufType(t TensorInfo, tied bool, wanted gguf.Type) gguf.Type {
	switch {
	case len(t.Shape) == 1:
		return gguf.F32
	case wanted == gguf.Q4_0 && (t.Name == headName || tied && t.Name == embeddingName):
		return gguf.Q8_0
	}
	return wanted
}

// turnedRows reads rows of a query or key projection, or its bias, in GGUF's order.
func turnedRows(t TensorInfo, headDim int, read ReadRows) func(dst []float32, first, rows int) error {
	return func(dst []float32, first, rows int) error {
		if len(t.Shape) == 1 {
			if err := read(dst, t.Name, 0, 1); err != nil {
				return err
			}
			inOrder := slices.Clone(dst)
			for i := range dst {
				dst[i] = inOrder[huggingFaceRow(i, headDim)]
			}
			return nil
		}
		width := t.Shape[1]
		for i := range rows {
			if err := read(dst[i*width:(i+1)*width], t.Name, huggingFaceRow(first+i, headDim), 1); err != nil {
				return err
			}
		}
		return nil
	}
}

// ggufShapes lists the tensors of a model by their Hugging Face names, in the order in which they
// are used.
func ggufShapes(c model.Config) []TensorInfo {
	list := []TensorInfo{{Name: embeddingName, Shape: []int{c.Vocab, c.Hidden}}}
	for i, l := range c.Layers {
		add := func(name string, shape ...int) {
			list = append(list, TensorInfo{Name: fmt.Sprintf("model.layers.%d.%s", i, name), Shape: shape})
		}
		linear := func(name string, bias bool, out, in int) {
			add(name+".weight", out, in)
			if bias {
				add(name+".bias", out)
			}
		}
		q, kv := l.Heads*c.HeadDim, l.KVHeads*c.HeadDim
		add("input_layernorm.weight", c.Hidden)
		linear("self_attn.q_proj", c.QKVBias, q, c.Hidden)
		linear("self_attn.k_proj", c.QKVBias, kv, c.Hidden)
		linear("self_attn.v_proj", c.QKVBias, kv, c.Hidden)
		if c.QKNorm {
			add("self_attn.q_norm.weight", c.HeadDim)
			add("self_attn.k_norm.weight", c.HeadDim)
		}
		linear("self_attn.o_proj", c.OBias, c.Hidden, q)
		add("post_attention_layernorm.weight", c.Hidden)
		linear("mlp.gate_proj", false, l.MLP, c.Hidden)
		linear("mlp.up_proj", false, l.MLP, c.Hidden)
		linear("mlp.down_proj", false, c.Hidden, l.MLP)
	}
	list = append(list, TensorInfo{Name: "model.norm.weight", Shape: []int{c.Hidden}})
	if !c.TiedHead {
		list = append(list, TensorInfo{Name: headName, Shape: []int{c.Vocab, c.Hidden}})
	}
	return list
}

// ggufArchitecture is GGUF's name of an architecture; Mistral is llama's.
func ggufArchitecture(architecture string) string {
	if architecture == mistral {
		architecture = llama
	}
	for name, a := range ggufArchitectures {
		if a == architecture {
			return name
		}
	}
	return ""
}

// ggufMetadata says what a model is in GGUF's keys, and refuses what they cannot say.
func ggufMetadata(name, architecture string, c model.Config, v tokenizer.Vocabulary, o GGUFOptions) (m gguf.Metadata, notes []string, err error) {
	fileType, ok := ggufFileTypes[o.Type]
	if !ok {
		return nil, nil, fmt.Errorf("type %s is not written, expected F32, F16, BF16, Q8_0 or Q4_0", o.Type)
	}
	layer := c.Layers[0]
	for i, l := range c.Layers {
		if l != layer {
			return nil, nil, fmt.Errorf("layer %d has %d heads, %d kv heads and %d neurons, layer 0 %d, %d and %d: GGUF's %s holds layers of one shape alone",
				i, l.Heads, l.KVHeads, l.MLP, layer.Heads, layer.KVHeads, layer.MLP, architecture)
		}
	}
	for _, has := range []struct {
		what         string
		found, wants bool
	}{
		{"q/k norm", c.QKNorm, architecture == "qwen3"},
		{"q/k/v bias", c.QKVBias, architecture == "qwen2" || architecture == "llama" && c.QKVBias},
		{"o bias", c.OBias, architecture == "llama" && c.OBias},
	} {
		if has.found != has.wants {
			return nil, nil, fmt.Errorf("%s is %t, expected %t: llama.cpp's %s is so", has.what, has.found, has.wants, architecture)
		}
	}
	if wide := layer.Heads * c.HeadDim; c.QKVBias && wide != c.Hidden {
		return nil, nil, fmt.Errorf("%d heads of %d are %d wide beside a hidden size of %d: llama.cpp's %s takes biased heads of the hidden size alone, so no heads may be pruned",
			layer.Heads, c.HeadDim, wide, c.Hidden, architecture)
	}
	if c.Rope.Kind == model.RopeLlama3 && architecture != "llama" {
		return nil, nil, fmt.Errorf("rope scaling llama3: llama.cpp's %s has no tensor for it, expected none, linear or yarn", architecture)
	}
	m = gguf.Metadata{
		{Key: "general.architecture", Value: architecture},
		{Key: "general.type", Value: "model"},
		{Key: "general.name", Value: strings.TrimSuffix(filepath.Base(name), ".gguf")},
		{Key: "general.file_type", Value: fileType},
		{Key: "general.quantization_version", Value: uint32(2)}, // of the block formats
	}
	prefix := architecture + "."
	for _, size := range []struct {
		key   string
		value int
	}{
		{"context_length", c.MaxPositions}, {"embedding_length", c.Hidden}, {"block_count", len(c.Layers)}, {"feed_forward_length", layer.MLP},
		{"attention.head_count", layer.Heads}, {"attention.head_count_kv", layer.KVHeads}, {"attention.key_length", c.HeadDim},
		{"attention.value_length", c.HeadDim}, {"rope.dimension_count", c.HeadDim}, {"vocab_size", c.Vocab},
	} {
		m = append(m, gguf.Pair{Key: prefix + size.key, Value: uint32(size.value)})
	}
	m = append(m, gguf.Pair{Key: prefix + "attention.layer_norm_rms_epsilon", Value: c.NormEps},
		gguf.Pair{Key: prefix + "rope.freq_base", Value: float32(c.RopeTheta)})
	scaling, err := ggufRopeKeys(prefix+"rope.scaling.", c)
	if err != nil {
		return nil, nil, err
	}
	m = append(m, scaling...)
	// The ids of the model count, where it has them: generation ends by them.
	if v.Model == "" {
		v = tokenizer.Vocabulary{Model: "none", BOS: -1, EOS: -1, Unknown: -1, Padding: -1}
	}
	v.BOS, v.EOS = or(c.BOS, v.BOS), or(c.EOS, v.EOS)
	keys, err := ggufTokenizerKeys(v, c.Vocab)
	if err != nil {
		return nil, nil, err
	}
	m = append(m, keys...)
	for _, id := range c.MoreEOS {
		key := ggufTokenizer + "eot_token_id"
		// Llama 3's end of a message that calls a tool
		if id < len(v.Tokens) && strings.Contains(v.Tokens[id], "eom") {
			key = ggufTokenizer + "eom_token_id"
		}
		if _, taken := m.Get(key); taken {
			notes = append(notes, fmt.Sprintf("token %d ends a text too, for which GGUF has no further key: readers find it by its spelling or not at all", id))
			continue
		}
		m = append(m, gguf.Pair{Key: key, Value: uint32(id)})
	}
	return m, notes, nil
}

// or is a, or b where a is none.
func or(a, b int) int {
	if a >= 0 {
		return a
	}
	return b
}

// ggufRopeKeys says how rotary positions are scaled. llama3 is a tensor and has no key.
func ggufRopeKeys(prefix string, c model.Config) (gguf.Metadata, error) {
	r := c.Rope
	switch r.Kind {
	case "", model.RopeLlama3:
		return nil, nil
	case model.RopeLinear:
		return gguf.Metadata{{Key: prefix + "type", Value: "linear"}, {Key: prefix + "factor", Value: float32(r.Factor)}}, nil
	case model.RopeYarn:
		m := gguf.Metadata{
			{Key: prefix + "type", Value: "yarn"},
			{Key: prefix + "factor", Value: float32(r.Factor)},
			{Key: prefix + "original_context_length", Value: uint32(cmp.Or(r.OriginalMaxPositions, c.MaxPositions))},
		}
		for _, beta := range []struct {
			key          string
			value, usual float64
		}{{"yarn_beta_fast", r.BetaFast, 32}, {"yarn_beta_slow", r.BetaSlow, 1}} {
			if beta.value != 0 && beta.value != beta.usual {
				m = append(m, gguf.Pair{Key: prefix + beta.key, Value: float32(beta.value)})
			}
		}
		if r.AttentionFactor != 0 {
			if a := float32(r.AttentionFactor / yarnAttention(r.Factor)); a != 1 {
				m = append(m, gguf.Pair{Key: prefix + "attn_factor", Value: a})
			}
		}
		return m, nil
	}
	return nil, errors.New("rope scaling " + r.Kind + " has no name in GGUF")
}

// WriteGGUF writes a checkpoint as a GGUF file, a few rows at a time: see the function of that
// name.
func (c *Checkpoint) WriteGGUF(ctx context.Context, name string, v tokenizer.Vocabulary, o GGUFOptions) (notes []string, err error) {
	return WriteGGUF(ctx, name, c.Config(), c.readRows, v, o)
}

// readRows reads rows of a tensor by its name in the model, [rows, in]; a vector is one row.
func (c *Checkpoint) readRows(dst []float32, name string, first, rows int) error {
	stored := c.stored(name)
	if t, ok := c.files.tensor(stored); ok && len(t.Shape) == 1 {
		return c.files.ReadFloat32(dst, stored)
	}
	return c.files.ReadRows(dst, stored, first, rows)
}
