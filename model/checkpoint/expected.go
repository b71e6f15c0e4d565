package checkpoint

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/plural"
)

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
	form     string // what else is known of it, to be said where a shape does not fit
}

func expect(name string, shape ...int) expectation {
	return expectation{name: name, shapes: [][]int{shape}}
}

func (e expectation) fits(shape []int) bool {
	return slices.ContainsFunc(e.shapes, func(s []int) bool {
		return slices.EqualFunc(s, shape, func(want, found int) bool { return want == found || want == anySize })
	})
}

// anySize is a size that the config does not say.
const anySize = -1

// shape is the first shape that fits, as errors have it.
func (e expectation) shape() string {
	return strings.ReplaceAll(fmt.Sprint(e.shapes[0]), strconv.Itoa(anySize), "any")
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
		tensors, err := c.storage(l.name).tensors(l.name, l.out, l.in)
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

// stored returns the name of a tensor in the file: a tied embedding may have been
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
	if err := c.checkForms(&c.notes); err != nil {
		return err
	}
	want, err := c.expected()
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for _, e := range want {
		known[e.name] = true
		t, ok := c.files.tensor(e.name)
		if g, is := c.files.(*ggufFile); is && (!ok && !e.optional || ok && !e.fits(t.Shape)) {
			return g.misshapen(e, len(c.config.Layers))
		}
		if !ok && !e.optional {
			return c.missing(e)
		}
		if ok && !e.fits(t.Shape) {
			return fmt.Errorf("tensor %q: shape is %d, expected %s by the config%s%s", e.name, t.Shape, e.shape(), e.form, c.rowsHint(e, t))
		}
	}
	var scales []string
	for _, t := range c.files.tensors() {
		switch {
		case known[t.Name]:
		case strings.HasSuffix(t.Name, ".rotary_emb.inv_freq"):
			// early Llama files store what follows from rope_theta
		case cacheScale.MatchString(t.Name):
			scales = append(scales, t.Name)
		case t.Name == headName && c.config.TiedHead:
			if want := []int{c.config.Vocab, c.config.Hidden}; !slices.Equal(t.Shape, want) {
				return fmt.Errorf("tensor %q: shape is %d, expected %d by the config", headName, t.Shape, want)
			}
		case c.isSpareBias(t.Name):
			if err := c.checkZero(t); err != nil {
				return err
			}
		default:
			return c.misplaced(t)
		}
	}
	if len(scales) > 0 {
		c.notes.add("%s of a quantized cache of keys and values %s left out: %s; keys and values are kept as the verb says", plural.Of(len(scales), "scale"), plural.Words(len(scales), "was", "were"), some(scales))
	}
	return nil
}

// rowsHint names the key of the config that a matrix of another number of rows contradicts.
func (c *Checkpoint) rowsHint(e expectation, t TensorInfo) string {
	for _, suffix := range []string{".qzeros", ".scales", ".weight_scale", ".weight_zero_point"} {
		if layer, ok := strings.CutSuffix(e.name, suffix); ok {
			if group := c.storage(layer).Format.Group; group > 0 {
				return fmt.Sprintf(": its group_size is %d", group)
			}
		}
	}
	if (e.name == embeddingName || e.name == headName) && len(t.Shape) == 2 && t.Shape[1] == c.config.Hidden {
		return fmt.Sprintf(": it has %d rows, vocab_size is %d", t.Shape[0], c.config.Vocab)
	}
	return ""
}

// cacheScale are the names of scales of a quantized KV cache.
var cacheScale = regexp.MustCompile(`\.self_attn\.(?:(?:attn|[qkv]_proj|qkv_proj|o_proj)\.)?(?:(?:k|v|q|kv|prob)_|[kv]_proj\.output_)(?:scale|zero_point)$`)

// misplaced is the error of a tensor that the model does not have, with the reason where its name
// shows it.
func (c *Checkpoint) misplaced(t TensorInfo) error {
	reason := ""
	switch {
	case strings.Contains(t.Name, "lora_"):
		reason = ": it is a LoRA adapter's, which slimlab import BASE FOLDER --adapter ADAPTER merges"
	case strings.Contains(t.Name, "vision") || strings.Contains(t.Name, "visual") || strings.Contains(t.Name, "audio"):
		reason = ": it reads images or sound, and slimlab reads language models alone: save the language model by itself"
	case strings.Contains(t.Name, ".experts.") || strings.Contains(t.Name, "block_sparse_moe"):
		reason = ": mixtures of experts are not supported"
	case strings.HasSuffix(t.Name, "_proj.bias"):
		reason = ": the config has no bias there (attention_bias, mlp_bias)"
	case c.layerOf(t.Name) >= len(c.config.Layers):
		reason = fmt.Sprintf(": the config says %s", plural.Of(len(c.config.Layers), "layer"))
	}
	return fmt.Errorf("tensor %q, shape %d, has no place in the model of the config%s", t.Name, t.Shape, reason)
}

// isSpareBias reports whether a tensor is the bias that GPTQ's tools store with layers that have
// none.
func (c *Checkpoint) isSpareBias(name string) bool {
	layer, ok := strings.CutSuffix(name, ".bias")
	_, packed := c.files.tensor(layer + ".qweight")
	return ok && packed
}

// checkZero reports an element that is not zero.
func (c *Checkpoint) checkZero(t TensorInfo) error {
	list := make([]float32, t.Elements())
	if err := c.files.ReadFloat32(list, t.Name); err != nil {
		return err
	}
	if i := slices.IndexFunc(list, func(v float32) bool { return v != 0 }); i >= 0 {
		return fmt.Errorf("tensor %q: element %d is %v, expected 0: the model has no bias there", t.Name, i, list[i])
	}
	return nil
}
