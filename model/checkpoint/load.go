package checkpoint

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"slimlab/model"
	"slimlab/model/tokenizer"
	"slimlab/model/weight"
)

// LoadOptions says how to make the weights of quantized checkpoints. Without a constructor such a
// checkpoint is refused.
type LoadOptions struct {
	// Int8 makes a weight of codes q [out, in] and scale [out].
	Int8 func(q []int8, scale []float32, out, in int) (weight.Weight, error)
	// Int4 makes a weight of codes q [out, in], each −8…7, and scale [out, in/group], W4A8 where
	// int8Activations, else W4A16.
	Int4 func(q []int8, scale []float32, out, in, group int, int8Activations bool) (weight.Weight, error)
	// Uint4 makes a weight of codes q [out, in], each at most 15, with zero points and scales [out,
	// in/group], and the group of each input, [in], nil for consecutive ones. Without it such
	// weights become float32.
	Uint4 func(q, zero []byte, scale []float32, groupOf []int32, out, in, group int) (weight.Weight, error)
	// FP8 makes a weight of E4M3FN codes q [out, in] and scale [out]. input is the scale of all
	// activations, or 0 where each token has its own.
	FP8 func(q []byte, scale []float32, input float32, out, in int) (weight.Weight, error)
}

// Load reads a model and its tokenizer, nil where there is none: Open, Model and Tokenizer.
func Load(name string, o LoadOptions) (*model.Model, *tokenizer.Tokenizer, error) {
	c, err := Open(name, o)
	if err != nil {
		return nil, nil, err
	}
	m, t, err := c.load()
	if err != nil {
		return nil, nil, fmt.Errorf("checkpoint %s: %w", name, err)
	}
	return m, t, nil
}

// LoadFS is Load from a folder of a file system.
func LoadFS(fsys fs.FS, dir string, o LoadOptions) (*model.Model, *tokenizer.Tokenizer, error) {
	c, err := OpenFS(fsys, dir, o)
	if err != nil {
		return nil, nil, err
	}
	return c.load()
}

// load reads the model and the tokenizer, and closes the checkpoint.
func (c *Checkpoint) load() (*model.Model, *tokenizer.Tokenizer, error) {
	defer c.Close()
	m, err := c.Model(context.Background())
	if err != nil {
		return nil, nil, err
	}
	t, err := c.Tokenizer()
	if err != nil {
		return nil, nil, err
	}
	return m, t, nil
}

// LoadModel reads the model alone.
func LoadModel(fsys fs.FS, dir string, o LoadOptions) (*model.Model, error) {
	c, err := OpenFS(fsys, dir, o)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Model(context.Background())
}

// checkTokenizer reports a tokenizer whose ids have no embedding.
func checkTokenizer(t *tokenizer.Tokenizer, vocab int) error {
	if last := t.Vocab() - 1; last >= vocab {
		return fmt.Errorf("tokenizer does not fit the model: its ids go to %d (%q), expected at most %d: the embedding has %d rows",
			last, t.Token(int32(last)), vocab-1, vocab)
	}
	return nil
}

const (
	embeddingName = "model.embed_tokens.weight"
	finalNormName = "model.norm.weight"
	headName      = "lm_head.weight"
)

// expectation is a tensor that the config asks for, in one of the shapes in which it is found.
type expectation struct {
	name     string
	shapes   [][]int
	optional bool
}

func expect(name string, shape ...int) expectation {
	return expectation{name: name, shapes: [][]int{shape}}
}

func (e expectation) fits(shape []int) bool {
	return slices.ContainsFunc(e.shapes, func(s []int) bool { return slices.Equal(s, shape) })
}

// linear is a linear layer that the config asks for.
type linear struct {
	name    string // "model.layers.0.self_attn.q_proj"
	out, in int
	bias    bool
}

// blockLinears lists the linear layers of a layer.
func (c *Checkpoint) blockLinears(layer int) []linear {
	m, l := &c.config, c.config.Layers[layer]
	q, kv := l.Heads*m.HeadDim, l.KVHeads*m.HeadDim
	list := []linear{
		{"self_attn.q_proj", q, m.Hidden, m.QKVBias}, {"self_attn.k_proj", kv, m.Hidden, m.QKVBias}, {"self_attn.v_proj", kv, m.Hidden, m.QKVBias},
		{"self_attn.o_proj", m.Hidden, q, m.OBias},
		{"mlp.gate_proj", l.MLP, m.Hidden, false}, {"mlp.up_proj", l.MLP, m.Hidden, false}, {"mlp.down_proj", m.Hidden, l.MLP, false},
	}
	for i := range list {
		list[i].name = fmt.Sprintf("model.layers.%d.%s", layer, list[i].name)
	}
	return list
}

// linears lists all linear layers, an untied head last.
func (c *Checkpoint) linears() []linear {
	var list []linear
	for i := range c.config.Layers {
		list = append(list, c.blockLinears(i)...)
	}
	if !c.config.TiedHead {
		list = append(list, linear{"lm_head", c.config.Vocab, c.config.Hidden, false})
	}
	return list
}

// expected lists the tensors that the config asks for. It takes no memory for weights.
func (c *Checkpoint) expected() ([]expectation, error) {
	hidden := c.config.Hidden
	list := []expectation{expect(c.stored(embeddingName), c.config.Vocab, hidden), expect(finalNormName, hidden)}
	for i := range c.config.Layers {
		prefix := fmt.Sprintf("model.layers.%d.", i)
		list = append(list, expect(prefix+"input_layernorm.weight", hidden), expect(prefix+"post_attention_layernorm.weight", hidden))
		if c.config.QKNorm {
			list = append(list, expect(prefix+"self_attn.q_norm.weight", c.config.HeadDim), expect(prefix+"self_attn.k_norm.weight", c.config.HeadDim))
		}
	}
	for _, l := range c.linears() {
		tensors, err := c.quantization.of(l.name).tensors(l.name, l.out, l.in)
		if err != nil {
			return nil, err
		}
		list = append(list, tensors...)
		if l.bias {
			list = append(list, expect(l.name+".bias", l.out))
		}
	}
	return list, nil
}

// stored returns the name under which a tensor lies in the file: a tied embedding may have been
// stored as the head.
func (c *Checkpoint) stored(name string) string {
	if _, ok := c.files.tensor(embeddingName); name == embeddingName && !ok && c.config.TiedHead {
		if _, ok := c.files.tensor(headName); ok {
			return headName
		}
	}
	return name
}

// check compares what the config asks for with what the files hold, before any weight is read.
func (c *Checkpoint) check() error {
	want, err := c.expected()
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, e := range want {
		known[e.name] = true
		t, ok := c.files.tensor(e.name)
		if !ok && !e.optional {
			return fmt.Errorf("tensor %q is missing, expected shape %d", e.name, e.shapes[0])
		}
		if ok && !e.fits(t.Shape) {
			return fmt.Errorf("tensor %q: shape is %d, expected %d by the config", e.name, t.Shape, e.shapes[0])
		}
	}
	for _, t := range c.files.tensors() {
		switch {
		case known[t.Name]:
		case strings.HasSuffix(t.Name, ".rotary_emb.inv_freq"):
			// early Llama files store what follows from rope_theta
		case t.Name == headName && c.config.TiedHead:
			if want := []int{c.config.Vocab, c.config.Hidden}; !slices.Equal(t.Shape, want) {
				return fmt.Errorf("tensor %q: shape is %d, expected %d by the config", headName, t.Shape, want)
			}
		case c.isSpareBias(t.Name):
			if err := c.checkZero(t); err != nil {
				return err
			}
		default:
			return fmt.Errorf("tensor %q, shape %d, has no place in the model of the config", t.Name, t.Shape)
		}
	}
	return nil
}
