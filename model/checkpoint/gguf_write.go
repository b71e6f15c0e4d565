package checkpoint

import (
	"context"
	"fmt"
	"slices"

	"slimlab/model"
	"slimlab/model/checkpoint/gguf"
	"slimlab/model/tokenizer"
	"slimlab/model/weight"
)

// GGUFOptions says how a GGUF file is written.
type GGUFOptions struct {
	// of most matrices, which names the file's form (GGUFForms): Q4_K is the mix Q4_K_M
	Type gguf.Type
	// the weights of the squared errors of a matrix's input channels, by its Hugging Face name; a
	// matrix without has equal ones
	Importance map[string][]float32
	// is asked before anything is written, with the bytes of the file; its error ends the writing.
	// nil asks nothing
	Room func(bytes int64) error
}

// room asks for the bytes of a file.
func (o *GGUFOptions) room(m gguf.Metadata, tensors []gguf.NewTensor) error {
	if o.Room == nil {
		return nil
	}
	bytes, err := gguf.Bytes(m, tensors)
	if err == nil {
		err = o.Room(bytes)
	}
	return err
}

// ReadRows reads rows first to first+rows−1 of a tensor by its Hugging Face name into dst, [rows,
// in]; a vector is one row.
type ReadRows func(dst []float32, name string, first, rows int) error

// until returns r with an error once ctx has ended.
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
// Matrices have the type asked for, vectors are F32. Two kinds of matrices have another, as
// llama.cpp's own quantizer gives them: the output head, or the embedding that is tied to it, and
// in a mix v_proj and down_proj of some layers, have more bits; and a matrix whose rows are not
// whole blocks has a type of shorter blocks, or is F16. The notes name the second kind, and
// whatever else is not as asked for, and the matrices with blocks so small that their scales
// underflow. The file is read again and compared with its
// source before WriteGGUF returns; one that differs is removed, as is one that was not compared
// when ctx ended.
//
// Layers of different widths are written as architecture deci. What GGUF or its readers cannot say
// is an error before anything is written: such layers of a Qwen, Qwen2 without biases, and the
// like.
func WriteGGUF(ctx context.Context, name string, c model.Config, read ReadRows, v tokenizer.Vocabulary, o GGUFOptions) (notes []string, err error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	read = read.until(ctx)
	architecture, err := ggufArchitecture(c)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	metadata, notes, err := ggufMetadata(name, architecture, c, v, o)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	var tensors []gguf.NewTensor
	var short fallbacks
	for _, t := range ggufShapes(c) {
		stored, ok := toGGUFName(t.Name)
		if !ok {
			return nil, fmt.Errorf("write %s: tensor %q has no name in GGUF", name, t.Name)
		}
		n := gguf.NewTensor{Name: stored, Type: ggufType(t, len(c.Layers), c.TiedHead, o.Type), Shape: t.Shape, Importance: o.Importance[t.Name]}
		if in := t.Shape[len(t.Shape)-1]; in%n.Type.Block() != 0 {
			used := ggufFallback(n.Type, in)
			short.add(t.Name, fallback{in, n.Type, used})
			n.Type = used
		}
		n.ReadRows = func(dst []float32, first, rows int) error { return read(dst, t.Name, first, rows) }
		if permutesRows(ggufArchitectures[architecture], t.Name) {
			n.ReadRows = permutedRows(t, c.HeadDim, read)
		}
		tensors = append(tensors, n)
	}
	notes = append(notes, short.notes()...)
	if c.Rope.Kind == model.RopeLlama3 {
		factors := llama3Factors(c.Rope, c.RopeTheta, c.HeadDim)
		tensors = append(tensors, gguf.NewTensor{Name: ggufRopeFactors, Type: gguf.F32, Shape: []int{len(factors)},
			ReadRows: func(dst []float32, _, _ int) error { copy(dst, factors); return nil }})
	}
	if err := o.room(metadata, tensors); err != nil {
		return nil, err
	}
	counted, err := gguf.WriteVerified(name, metadata, tensors)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	return append(notes, faintNotes(tensors, counted)...), nil
}

// permutedRows reads rows of a query or key projection, or its bias, in GGUF's order.
func permutedRows(t TensorInfo, headDim int, read ReadRows) func(dst []float32, first, rows int) error {
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

// WriteGGUF writes a checkpoint as a GGUF file, a few rows at a time: see the function of that
// name.
func (c *Checkpoint) WriteGGUF(ctx context.Context, name string, v tokenizer.Vocabulary, o GGUFOptions) (notes []string, err error) {
	return WriteGGUF(ctx, name, c.Config(), c.ReadRows, v, o)
}

// ReadRows reads rows of a tensor by its name in the model, [rows, in]; a vector is one row.
func (c *Checkpoint) ReadRows(dst []float32, name string, first, rows int) error {
	stored := c.stored(name)
	if t, ok := c.files.tensor(stored); ok && len(t.Shape) == 1 {
		return c.files.ReadFloat32(dst, stored)
	}
	return c.files.ReadRows(dst, stored, first, rows)
}
