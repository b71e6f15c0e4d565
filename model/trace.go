package model

import (
	"fmt"

	"slimlab/kernels"
)

// Gradients is the gradient of a Trainable model, one vector in the order and shape of Model.Flat.
type Gradients struct {
	Flat []float32
	// Head is the view of Flat for the output head [vocab, hidden] (with TiedHead: the embedding's), which a loss adds to.
	Head []float32

	views *Model // a model whose weights are the gradients
}

// NewGradients allocates zero gradients for m.
func NewGradients(m *Model) *Gradients {
	if err := m.Trainable(); err != nil {
		panic("model: NewGradients: " + err.Error())
	}
	views := shell(m.Config)
	for _, l := range views.Linears() {
		l.Weight = &Dense{Out: l.Out, In: l.In}
	}
	if !m.TiedHead {
		views.Head = &Dense{Out: m.Vocab, In: m.Hidden}
	}
	views.Gather()
	return &Gradients{Flat: views.arena, Head: views.Head.Float32(), views: views}
}

// Zero clears all.
func (g *Gradients) Zero() { clear(g.Flat) }

// Parameters lists the gradients by the names of the parameters that they belong to.
func (g *Gradients) Parameters() []Parameter { return g.views.Parameters() }

// Trace records one training forward pass, with buffers that are planned once and reused from step to step.
type Trace struct {
	batch     Batch // a copy, for the backward pass
	positions []int32
	longest   int // sequence of the batch
	layers    []layerTrace
	last      []float32 // residual stream before the final norm [tokens, hidden]
	rstd      []float32 // of the final norm [tokens]
	hidden    []float32 // what Forward returned [tokens, hidden]

	// gradients on their way down, one layer at a time
	dx, dheads, dq, dk, dv, dact []float32
}

// layerTrace is what one layer's backward pass needs.
type layerTrace struct {
	x, normed, rstd    []float32 // residual stream into the layer, normed, and the norm's 1/rms
	q, k, v            []float32 // after rotation
	heads, lse         []float32 // what attention gave
	mid, midNormed     []float32 // residual stream between the halves
	midRstd            []float32
	gate, up, activity []float32 // activity is silu(gate)∘up
}

// NewTrace plans buffers for batches of up to tokens tokens; a larger batch grows them.
func NewTrace(m *Model, tokens int) *Trace {
	if err := m.Trainable(); err != nil {
		panic("model: NewTrace: " + err.Error())
	}
	t := new(Trace)
	t.plan(m, tokens)
	return t
}

// plan sizes the buffers for a number of tokens.
func (t *Trace) plan(m *Model, rows int) {
	d := m.Hidden
	if len(t.layers) != len(m.Blocks) {
		t.layers = make([]layerTrace, len(m.Blocks))
	}
	for i := range t.layers {
		l, c := &t.layers[i], m.Layers[i]
		width, kvWidth := c.Heads*m.HeadDim, c.KVHeads*m.HeadDim
		for _, buf := range [...]struct {
			data  *[]float32
			width int
		}{
			{&l.x, d}, {&l.normed, d}, {&l.rstd, 1},
			{&l.q, width}, {&l.k, kvWidth}, {&l.v, kvWidth}, {&l.heads, width}, {&l.lse, c.Heads},
			{&l.mid, d}, {&l.midNormed, d}, {&l.midRstd, 1},
			{&l.gate, c.MLP}, {&l.up, c.MLP}, {&l.activity, c.MLP},
		} {
			sized(buf.data, rows*buf.width)
		}
	}
	sized(&t.last, rows*d)
	sized(&t.rstd, rows)
	sized(&t.hidden, rows*d)
	sized(&t.dx, rows*d)
	w := m.widest()
	sized(&t.dheads, rows*w.Heads*m.HeadDim)
	sized(&t.dq, rows*w.Heads*m.HeadDim)
	sized(&t.dk, rows*w.KVHeads*m.HeadDim)
	sized(&t.dv, rows*w.KVHeads*m.HeadDim)
	sized(&t.dact, rows*w.MLP)
}

// Forward runs a batch over float32 weights, records what the backward pass needs and returns the final hidden states
// [tokens, hidden], valid until the next Forward.
func (t *Trace) Forward(m *Model, b Batch) (hidden []float32) {
	if err := m.Trainable(); err != nil {
		panic("model: Trace.Forward: " + err.Error())
	}
	t.longest = b.check(&m.Config)
	rows := len(b.Tokens)
	t.plan(m, rows)
	t.batch.Tokens = append(t.batch.Tokens[:0], b.Tokens...)
	t.batch.Starts = append(t.batch.Starts[:0], b.Starts...)
	t.positions = b.positions(t.positions)
	table := m.rope(t.longest)

	m.Embed(t.layers[0].x, b.Tokens)
	for i := range t.layers {
		l, bl := &t.layers[i], &m.Blocks[i]
		t.attention(m, i, table)
		kernels.RMSNorm(l.midNormed, l.midRstd, l.mid, bl.MLPNorm, rows, m.Hidden, m.NormEps)
		mulT(l.gate, l.midNormed, &bl.Gate, rows)
		mulT(l.up, l.midNormed, &bl.Up, rows)
		kernels.SwiGLU(l.activity, l.gate, l.up)
		out := t.last
		if i+1 < len(t.layers) {
			out = t.layers[i+1].x
		}
		copy(out, l.mid)
		addMulT(out, l.activity, &bl.Down, rows)
	}
	kernels.RMSNorm(t.hidden, t.rstd, t.last, m.FinalNorm, rows, m.Hidden, m.NormEps)
	return t.hidden
}

func (t *Trace) attention(m *Model, layer int, table *kernels.RopeTable) {
	l, bl, c, rows := &t.layers[layer], &m.Blocks[layer], m.Layers[layer], len(t.batch.Tokens)
	kernels.RMSNorm(l.normed, l.rstd, l.x, bl.AttentionNorm, rows, m.Hidden, m.NormEps)
	mulT(l.q, l.normed, &bl.Q, rows)
	mulT(l.k, l.normed, &bl.K, rows)
	mulT(l.v, l.normed, &bl.V, rows)
	kernels.Rope(l.q, t.positions, c.Heads, table, false)
	kernels.Rope(l.k, t.positions, c.KVHeads, table, false)
	kernels.Attention(l.heads, l.lse, l.q, l.k, l.v, t.batch.Starts, c.Heads, c.KVHeads, m.HeadDim)
	copy(l.mid, l.x)
	addMulT(l.mid, l.heads, &bl.O, rows)
}

// Backward runs the recorded pass backward from dHidden [tokens, hidden] (overwritten) and adds to g. The gradient of the head is the
// loss's to add; with a tied head both add to the same view. The record is used up: one Backward follows a Forward.
func (t *Trace) Backward(m *Model, dHidden []float32, g *Gradients) {
	rows := len(t.batch.Tokens)
	if len(dHidden) != rows*m.Hidden {
		panic(fmt.Sprintf("model: Trace.Backward: gradient of %d elements, the pass had %d tokens of %d", len(dHidden), rows, m.Hidden))
	}
	if len(g.Flat) != m.Config.Parameters() {
		panic(fmt.Sprintf("model: Trace.Backward: %d gradients for %d parameters", len(g.Flat), m.Config.Parameters()))
	}
	dx := t.dx[:rows*m.Hidden]
	clear(dx)
	kernels.RMSNormBackward(dx, g.views.FinalNorm, dHidden, t.last, m.FinalNorm, t.rstd, rows, m.Hidden)
	for i := len(t.layers) - 1; i >= 0; i-- {
		t.mlpBackward(m, i, dx, dHidden, g)
		t.attentionBackward(m, i, dx, dHidden, g)
	}
	d := m.Hidden
	for i, token := range t.batch.Tokens {
		row := g.views.Embedding[int(token)*d:][:d]
		for j, v := range dx[i*d:][:d] {
			row[j] += v
		}
	}
}

// mlpBackward takes dx, the gradient of the stream after the layer, to that between the halves. dnormed is scratch.
func (t *Trace) mlpBackward(m *Model, layer int, dx, dnormed []float32, g *Gradients) {
	l, bl, gr, rows := &t.layers[layer], &m.Blocks[layer], &g.views.Blocks[layer], len(t.batch.Tokens)
	dact := t.dact[:len(l.gate)]
	backward(dact, dx, l.activity, &bl.Down, &gr.Down, rows, false)
	kernels.SwiGLUBackward(l.gate, l.up, dact, l.gate, l.up)
	backward(dnormed, l.gate, l.midNormed, &bl.Gate, &gr.Gate, rows, false)
	backward(dnormed, l.up, l.midNormed, &bl.Up, &gr.Up, rows, true)
	kernels.RMSNormBackward(dx, gr.MLPNorm, dnormed, l.mid, bl.MLPNorm, l.midRstd, rows, m.Hidden)
}

// attentionBackward takes dx, the gradient of the stream between the halves, to that before the layer.
func (t *Trace) attentionBackward(m *Model, layer int, dx, dnormed []float32, g *Gradients) {
	l, bl, gr, c, rows := &t.layers[layer], &m.Blocks[layer], &g.views.Blocks[layer], m.Layers[layer], len(t.batch.Tokens)
	dheads, dq, dk, dv := t.dheads[:len(l.q)], t.dq[:len(l.q)], t.dk[:len(l.k)], t.dv[:len(l.v)]
	backward(dheads, dx, l.heads, &bl.O, &gr.O, rows, false)
	kernels.AttentionBackward(dq, dk, dv, dheads, l.heads, l.lse, l.q, l.k, l.v, t.batch.Starts, c.Heads, c.KVHeads, m.HeadDim)
	table := m.rope(t.longest)
	kernels.Rope(dq, t.positions, c.Heads, table, true)
	kernels.Rope(dk, t.positions, c.KVHeads, table, true)
	backward(dnormed, dq, l.normed, &bl.Q, &gr.Q, rows, false)
	backward(dnormed, dk, l.normed, &bl.K, &gr.K, rows, true)
	backward(dnormed, dv, l.normed, &bl.V, &gr.V, rows, true)
	kernels.RMSNormBackward(dx, gr.AttentionNorm, dnormed, l.x, bl.AttentionNorm, l.rstd, rows, m.Hidden)
}

// mulT is y = x·wᵀ + bias on the raw data: training changes it every step, so a packed form would not live.
func mulT(y, x []float32, l *Linear, rows int) {
	out, in := l.Weight.Shape()
	kernels.MatMulT(y, x, l.Weight.Float32(), rows, out, in, false)
	if l.Bias != nil {
		kernels.AddRow(y, l.Bias, rows, out)
	}
}

// addMulT is y += x·wᵀ, for the layers that write to the residual stream; they have no bias.
func addMulT(y, x []float32, l *Linear, rows int) {
	out, in := l.Weight.Shape()
	kernels.MatMulT(y, x, l.Weight.Float32(), rows, out, in, true)
}

// backward runs a linear layer backward: dx (or dx +=) from dy, and the weight's and bias's gradients added to grad.
func backward(dx, dy, x []float32, l, grad *Linear, rows int, accumulate bool) {
	out, in := l.Weight.Shape()
	kernels.MatTMul(grad.Weight.Float32(), dy, x, rows, out, in, true)
	if grad.Bias != nil {
		kernels.SumRows(grad.Bias, dy, rows, out)
	}
	kernels.MatMul(dx, dy, l.Weight.Float32(), rows, out, in, accumulate)
}
