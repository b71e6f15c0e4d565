package model

import (
	"fmt"
	"slices"

	"slimlab/kernels"
	"slimlab/model/weight"
)

// Site names the four distinct linear-layer inputs of a block.
type Site int

const (
	SiteQKV    Site = iota // input of q_proj, k_proj and v_proj: the normed stream [rows, hidden]
	SiteO                  // input of o_proj: the heads' outputs [rows, heads·headDim]
	SiteGateUp             // input of gate_proj and up_proj: the normed stream [rows, hidden]
	SiteDown               // input of down_proj: [rows, mlp]
)

// Tap sees the input x [rows, width] of the linear layers at a site during a forward pass. It must
// not keep x. Where it returns false the half of the layer ends there and leaves the stream as it
// was.
type Tap func(layer int, site Site, x []float32, rows, width int) (more bool)

// Batch is packed sequences without padding: Starts [sequences+1] are offsets into Tokens.
// Positions start at 0 in each sequence.
type Batch struct {
	Tokens []int32
	Starts []int
}

// check panics with the numbers when the batch does not fit itself or the model, and returns the
// longest sequence.
func (b Batch) check(c *Config) (longest int) {
	n := len(b.Starts)
	if n == 0 || b.Starts[0] != 0 || b.Starts[n-1] != len(b.Tokens) {
		panic(fmt.Sprintf("model: batch starts %v do not run from 0 to the %d tokens", b.Starts, len(b.Tokens)))
	}
	for s := range n - 1 {
		length := b.Starts[s+1] - b.Starts[s]
		if length < 0 || length > c.MaxPositions {
			panic(fmt.Sprintf("model: sequence %d of the batch has %d tokens, expected 0 to %d", s, length, c.MaxPositions))
		}
		longest = max(longest, length)
	}
	return longest
}

// positions writes each token's position to p, which it grows.
func (b Batch) positions(p []int32) []int32 {
	p = p[:0]
	for s := range len(b.Starts) - 1 {
		for i := range b.Starts[s+1] - b.Starts[s] {
			p = append(p, int32(i))
		}
	}
	return p
}

// workspace is the buffers of one pass through a layer.
type workspace struct {
	normed, q, k, v, heads, gate, up, delta []float32
	positions                               []int32
}

func (m *Model) getWorkspace() *workspace {
	if w, ok := m.workspace.Get().(*workspace); ok {
		return w
	}
	return new(workspace)
}

// sized returns buf with n elements whose content is arbitrary; a buffer that is too short is
// replaced.
func sized(buf *[]float32, n int) []float32 {
	if cap(*buf) < n {
		*buf = make([]float32, n)
	}
	*buf = (*buf)[:n]
	return *buf
}

// Embed writes the embeddings of tokens to x [tokens, hidden]. A token outside the vocabulary
// panics.
func (m *Model) Embed(x []float32, tokens []int32) {
	for i, t := range tokens {
		if t < 0 || int(t) >= m.Vocab {
			panic(fmt.Sprintf("model: token %d is %d, expected 0 to %d", i, t, m.Vocab-1))
		}
		row := x[i*m.Hidden : (i+1)*m.Hidden]
		if m.embedsByHead() {
			m.Head.Row(row, int(t))
			continue
		}
		copy(row, m.Embedding[int(t)*m.Hidden:])
	}
}

// Attention adds the attention half of a layer to the residual stream x [tokens, hidden]. tap may
// be nil.
func (m *Model) Attention(layer int, x []float32, b Batch, tap Tap) {
	longest := b.check(&m.Config)
	w := m.getWorkspace()
	defer m.workspace.Put(w)
	bl, c, rows := &m.Blocks[layer], m.Layers[layer], len(b.Tokens)
	width, kvWidth := c.Heads*m.HeadDim, c.KVHeads*m.HeadDim

	normed := sized(&w.normed, rows*m.Hidden)
	m.rmsNorm(bl.AttentionNorm).Forward(normed, nil, x, rows)
	if tap != nil && !tap(layer, SiteQKV, normed, rows, m.Hidden) {
		return
	}
	q, k, v := sized(&w.q, rows*width), sized(&w.k, rows*kvWidth), sized(&w.v, rows*kvWidth)
	kernels.Run(bl.Q.begin(q, normed, rows), bl.K.begin(k, normed, rows), bl.V.begin(v, normed, rows))
	bl.Q.addBias(q, rows)
	bl.K.addBias(k, rows)
	bl.V.addBias(v, rows)
	w.positions = b.positions(w.positions)
	table := m.rope(longest)
	m.normHeads(q, bl.QNorm)
	m.normHeads(k, bl.KNorm)
	kernels.Rope(q, w.positions, c.Heads, table)
	kernels.Rope(k, w.positions, c.KVHeads, table)
	heads := sized(&w.heads, rows*width)
	attention := kernels.Attention{Q: q, K: k, V: v, Starts: b.Starts, Heads: c.Heads, KVHeads: c.KVHeads, HeadDim: m.HeadDim, Precision: m.attention}
	if m.cached {
		attention.ForwardCached(m.kv, heads)
	} else {
		attention.Forward(heads, nil)
	}
	if tap != nil && !tap(layer, SiteO, heads, rows, width) {
		return
	}
	m.project(&bl.O, x, heads, rows, w)
}

// Project adds to the residual stream x [rows, hidden] what the linear layer that reads SiteO or
// SiteDown makes of that input, [rows, width]: the end of a half of a layer, with the bits that
// Attention and MLP have for the same input.
func (m *Model) Project(layer int, site Site, x, input []float32, rows int) {
	w := m.getWorkspace()
	defer m.workspace.Put(w)
	l := &m.Blocks[layer].Down
	switch site {
	case SiteO:
		l = &m.Blocks[layer].O
	case SiteDown:
	default:
		panic(fmt.Sprintf("model: Project of site %d, expected %d or %d", site, SiteO, SiteDown))
	}
	m.project(l, x, input, rows, w)
}

func (m *Model) project(l *Linear, x, input []float32, rows int, w *workspace) {
	delta := sized(&w.delta, rows*m.Hidden)
	l.mulT(delta, input, rows)
	kernels.Add(x[:rows*m.Hidden], delta)
}

// rmsNorm is the norm with a weight of this model.
func (m *Model) rmsNorm(weight []float32) kernels.RMSNorm {
	return kernels.RMSNorm{Weight: weight, Epsilon: m.NormEps}
}

// normHeads norms each head of queries or keys x, [rows, heads·headDim], in place where the model
// has a norm of them.
func (m *Model) normHeads(x, norm []float32) {
	if m.QKNorm {
		m.rmsNorm(norm).Forward(x, nil, x, len(x)/m.HeadDim)
	}
}

// MLP adds the feed-forward half of a layer to the residual stream x [rows, hidden]. tap may be
// nil.
func (m *Model) MLP(layer int, x []float32, rows int, tap Tap) {
	w := m.getWorkspace()
	defer m.workspace.Put(w)
	m.mlp(layer, x, rows, tap, w)
}

func (m *Model) mlp(layer int, x []float32, rows int, tap Tap, w *workspace) {
	bl, width := &m.Blocks[layer], m.Layers[layer].MLP
	normed := sized(&w.normed, rows*m.Hidden)
	m.rmsNorm(bl.MLPNorm).Forward(normed, nil, x, rows)
	if tap != nil && !tap(layer, SiteGateUp, normed, rows, m.Hidden) {
		return
	}
	gate, up := sized(&w.gate, rows*width), sized(&w.up, rows*width)
	kernels.Run(bl.Gate.begin(gate, normed, rows), bl.Up.begin(up, normed, rows))
	bl.Gate.addBias(gate, rows)
	bl.Up.addBias(up, rows)
	kernels.SwiGLU(gate, gate, up)
	if tap != nil && !tap(layer, SiteDown, gate, rows, width) {
		return
	}
	m.project(&bl.Down, x, gate, rows, w)
}

// Forward runs a batch from tokens to the final norm and returns hidden states [tokens, hidden], on
// any weights. It is Embed, Attention and MLP of every layer, and the final norm.
func (m *Model) Forward(b Batch, tap Tap) []float32 {
	x := make([]float32, len(b.Tokens)*m.Hidden)
	m.ForwardInto(x, b, tap)
	return x
}

// ForwardInto is Forward into the caller's memory x [tokens, hidden].
func (m *Model) ForwardInto(x []float32, b Batch, tap Tap) {
	rows := len(b.Tokens)
	if len(x) != rows*m.Hidden {
		panic(fmt.Sprintf("model: ForwardInto: memory of %d elements for %d tokens of %d", len(x), rows, m.Hidden))
	}
	m.Embed(x, b.Tokens)
	for layer := range m.Blocks {
		m.Attention(layer, x, b, tap)
		m.MLP(layer, x, rows, tap)
	}
	m.Norm(x, rows)
}

// Norm applies the final norm to the residual stream x [rows, hidden] in place.
func (m *Model) Norm(x []float32, rows int) {
	m.rmsNorm(m.FinalNorm).Forward(x, nil, x, rows)
}

// Logits computes logits [rows, vocab] of final hidden states [rows, hidden].
func (m *Model) Logits(logits, hidden []float32, rows int) { m.Head.MulT(logits, hidden, rows) }

// LabelLogits computes the logits of the given token ids only, [rows, labels], bit-identical to the
// same columns of Logits. The last choice of labels stays packed: ranking asks for the same ones
// each time. A label outside the vocabulary panics.
func (m *Model) LabelLogits(logits, hidden []float32, rows int, labels []int32) {
	for i, l := range labels {
		if l < 0 || int(l) >= m.Vocab {
			panic(fmt.Sprintf("model: label %d is token %d, expected 0 to %d", i, l, m.Vocab-1))
		}
	}
	if rows == 0 || len(labels) == 0 {
		return
	}
	c := m.labels.Load()
	if c == nil || c.of != m.Head || !slices.Equal(c.outputs, labels) {
		c = &selection{m.Head, slices.Clone(labels), m.Head.Select(labels)}
		m.labels.Store(c)
	}
	c.weight.MulT(logits, hidden, rows)
}

// selection is a few outputs of the head.
type selection struct {
	of      weight.Weight
	outputs []int32
	weight  weight.Weight
}
