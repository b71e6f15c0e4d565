package model

import (
	"fmt"

	"slimlab/model/weight"
)

// Parameter is one trainable tensor by its Hugging Face name, a view into the model's own memory.
type Parameter struct {
	Name  string // "model.layers.0.self_attn.q_proj.weight"
	Kind  ParameterKind
	Shape []int
	Data  []float32
}

// ParameterKind says what a parameter does, which optimizers treat differently.
type ParameterKind int

// The kinds of parameters.
const (
	Matrix    ParameterKind = iota // the weight of a linear layer, or a head that is not tied
	Embedding                      // and a head tied to it
	Norm
	Bias
)

// LinearLayer is one of a model's linear layers with its place and its shape by the Config.
type LinearLayer struct {
	Name    string // "model.layers.0.self_attn.q_proj"
	Layer   int
	Site    Site // where its input is seen by a Tap
	Out, In int
	*Linear // of the model itself: setting Weight sets it in the model
}

var (
	linearNames = [...]string{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"}
	linearSites = [...]Site{SiteQKV, SiteQKV, SiteQKV, SiteO, SiteGateUp, SiteGateUp, SiteDown}
)

// Linears lists the linear layers in their order of use: q, k, v, o, gate, up, down of every layer.
// The head is not among them.
func (m *Model) Linears() []LinearLayer {
	var list []LinearLayer
	for i := range m.Blocks {
		list = append(list, m.BlockLinears(i)...)
	}
	return list
}

// BlockLinears lists the linear layers of one layer.
func (m *Model) BlockLinears(layer int) []LinearLayer {
	b, c := &m.Blocks[layer], m.Layers[layer]
	q, kv := c.Heads*m.HeadDim, c.KVHeads*m.HeadDim
	outs := [...]int{q, kv, kv, m.Hidden, c.MLP, c.MLP, m.Hidden}
	ins := [...]int{m.Hidden, m.Hidden, m.Hidden, q, m.Hidden, m.Hidden, c.MLP}
	list := make([]LinearLayer, 0, len(linearNames))
	for j, l := range [...]*Linear{&b.Q, &b.K, &b.V, &b.O, &b.Gate, &b.Up, &b.Down} {
		name := fmt.Sprintf("model.layers.%d.%s", layer, linearNames[j])
		list = append(list, LinearLayer{name, layer, linearSites[j], outs[j], ins[j], l})
	}
	return list
}

// Tensors lists the model's float32 tensors in a fixed order, Hugging Face's names: the embedding,
// the norms, the biases, and those linear weights that are Dense. A tied head is not listed again.
func (m *Model) Tensors() []Parameter {
	return parameters(m.slots())
}

// BlockTensors lists those of Tensors that belong to one layer.
func (m *Model) BlockTensors(layer int) []Parameter { return parameters(m.blockSlots(layer)) }

func parameters(slots []slot) []Parameter {
	list := make([]Parameter, len(slots))
	for i, s := range slots {
		list[i] = Parameter{s.name, s.kind, s.shape, *s.data}
	}
	return list
}

// Parameters lists the trainable tensors in a fixed order. It panics when the model is not
// Trainable.
func (m *Model) Parameters() []Parameter {
	if err := m.Trainable(); err != nil {
		panic("model: Parameters: " + err.Error())
	}
	return m.Tensors()
}

// Flat returns the arena: all parameters of a Trainable model as one vector, in the order of
// Parameters. Tensors that were replaced since New are first gathered into a new arena.
func (m *Model) Flat() []float32 {
	for at, p := 0, m.Parameters(); ; p = p[1:] {
		if len(p) == 0 && at == len(m.arena) {
			return m.arena
		}
		if len(p) == 0 || at+len(p[0].Data) > len(m.arena) || &p[0].Data[0] != &m.arena[at] {
			m.Gather()
			return m.arena
		}
		at += len(p[0].Data)
	}
}

// Gather moves all float32 tensors into one fresh arena, in the order of Tensors, which frees
// the memory of weights that were replaced by others. A tied Dense head follows the embedding.
func (m *Model) Gather() {
	n := 0
	for _, s := range m.slots() {
		n += s.len()
	}
	m.move(make([]float32, n))
}

// move copies every float32 tensor to its place in arena, which becomes its memory.
func (m *Model) move(arena []float32) {
	m.arena = arena
	for _, s := range m.slots() {
		n := s.len()
		copy(arena[:n], *s.data)
		*s.data = arena[:n:n]
		arena = arena[n:]
	}
	if m.headIsEmbedding() {
		m.Head = weight.NewDense(m.Embedding, m.Vocab, m.Hidden)
	}
	m.Changed()
}

// Check reports the first tensor that is missing or has another shape than the Config says.
func (m *Model) Check() error {
	for _, l := range m.Linears() {
		if err := checkWeight(l.Name, l.Weight, l.Out, l.In); err != nil {
			return err
		}
	}
	if err := checkWeight("lm_head", m.Head, m.Vocab, m.Hidden); err != nil {
		return err
	}
	for _, s := range m.slots() {
		if len(*s.data) != s.len() {
			return fmt.Errorf("model: %s has %d elements, expected %v", s.name, len(*s.data), s.shape)
		}
	}
	return nil
}

func checkWeight(name string, w weight.Weight, out, in int) error {
	if w == nil {
		return fmt.Errorf("model: %s.weight is not set, expected [%d, %d]", name, out, in)
	}
	if o, i := w.Shape(); o != out || i != in {
		return fmt.Errorf("model: %s.weight is [%d, %d], expected [%d, %d]", name, o, i, out, in)
	}
	return nil
}

// slot is a place in the model that holds a float32 tensor.
type slot struct {
	name  string
	kind  ParameterKind
	shape []int
	data  *[]float32
}

func (s slot) len() int {
	n := 1
	for _, d := range s.shape {
		n *= d
	}
	return n
}

// slots lists the places of the float32 tensors, in the order of Tensors.
func (m *Model) slots() []slot {
	var list []slot
	if !m.embedsByHead() {
		list = append(list, slot{"model.embed_tokens.weight", Embedding, []int{m.Vocab, m.Hidden}, &m.Embedding})
	}
	for i := range m.Blocks {
		list = append(list, m.blockSlots(i)...)
	}
	list = append(list, slot{"model.norm.weight", Norm, []int{m.Hidden}, &m.FinalNorm})
	if d, ok := m.Head.(*weight.Dense); ok && !m.headIsEmbedding() {
		list = append(list, denseSlot(d, "lm_head.weight"))
	}
	return list
}

// blockSlots lists the places of a layer.
func (m *Model) blockSlots(layer int) []slot {
	var list []slot
	b, prefix := &m.Blocks[layer], fmt.Sprintf("model.layers.%d.", layer)
	for _, l := range m.BlockLinears(layer) {
		switch l.Linear {
		case &b.Q:
			list = append(list, slot{prefix + "input_layernorm.weight", Norm, []int{m.Hidden}, &b.AttentionNorm})
		case &b.Gate:
			list = append(list, slot{prefix + "post_attention_layernorm.weight", Norm, []int{m.Hidden}, &b.MLPNorm})
		}
		if d, ok := l.Weight.(*weight.Dense); ok {
			list = append(list, denseSlot(d, l.Name+".weight"))
		}
		if m.biased(l.Site) {
			list = append(list, slot{l.Name + ".bias", Bias, []int{l.Out}, &l.Bias})
		}
		switch {
		case !m.QKNorm:
		case l.Linear == &b.Q:
			list = append(list, slot{prefix + "self_attn.q_norm.weight", Norm, []int{m.HeadDim}, &b.QNorm})
		case l.Linear == &b.K:
			list = append(list, slot{prefix + "self_attn.k_norm.weight", Norm, []int{m.HeadDim}, &b.KNorm})
		}
	}
	return list
}

func denseSlot(d *weight.Dense, name string) slot {
	return slot{name, Matrix, []int{d.Out, d.In}, &d.Data}
}
