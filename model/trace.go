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

// TraceOptions says how a Trace computes.
type TraceOptions struct {
	Precision  kernels.Precision // of all products, forward and backward; weights, activations and gradients are float32 in either
	Checkpoint bool              // keeps no more of a layer than its input and computes the rest again in the backward pass: the same gradients, bit for bit
}

// Trace records one training forward pass, with buffers that are planned once and reused from step to step. What a layer's products read is not
// recorded where it costs one pass over memory to make it again: the normed streams and silu(gate)∘up.
type Trace struct {
	options   TraceOptions
	batch     Batch // a copy, for the backward pass
	positions []int32
	longest   int // sequence of the batch
	layers    []layerTrace
	last      []float32 // residual stream before the final norm [tokens, hidden]
	rstd      []float32 // of the final norm [tokens]
	hidden    []float32 // what Forward returned [tokens, hidden]

	normed   []float32 // input of the products at hand, and output of those that write to the residual stream [tokens, hidden]
	activity []float32 // silu(gate)∘up or its gradient [tokens, mlp]

	// gradients on their way down, one layer at a time
	dx, dheads, dq, dk, dv []float32
}

// layerTrace is what one layer's backward pass needs.
type layerTrace struct {
	x, rstd      []float32 // residual stream into the layer and its norm's 1/rms
	*activations           // with checkpoints shared by all layers
}

// activations is what lies between a layer's input and its output.
type activations struct {
	q, k, v      []float32 // after rotation
	heads, lse   []float32 // what attention gave
	mid, midRstd []float32 // residual stream between the halves and its norm's 1/rms
	gate, up     []float32
}

// size sets the lengths for a layer.
func (a *activations) size(m *Model, c LayerConfig, rows int) {
	width, kvWidth := rows*c.Heads*m.HeadDim, rows*c.KVHeads*m.HeadDim
	sized(&a.q, width)
	sized(&a.k, kvWidth)
	sized(&a.v, kvWidth)
	sized(&a.heads, width)
	sized(&a.lse, rows*c.Heads)
	sized(&a.mid, rows*m.Hidden)
	sized(&a.midRstd, rows)
	sized(&a.gate, rows*c.MLP)
	sized(&a.up, rows*c.MLP)
}

// NewTrace plans buffers for batches of up to tokens tokens; a larger batch grows them.
func NewTrace(m *Model, tokens int, options TraceOptions) *Trace {
	if err := m.Trainable(); err != nil {
		panic("model: NewTrace: " + err.Error())
	}
	t := &Trace{options: options, layers: make([]layerTrace, len(m.Blocks))}
	for i := range t.layers {
		t.layers[i].activations = new(activations)
		if options.Checkpoint {
			t.layers[i].activations = t.layers[0].activations
		}
	}
	t.plan(m, tokens)
	return t
}

// plan sizes the buffers for a number of tokens.
func (t *Trace) plan(m *Model, rows int) {
	d, w := m.Hidden, m.widest()
	for i := range t.layers {
		l := &t.layers[i]
		sized(&l.x, rows*d)
		sized(&l.rstd, rows)
		l.size(m, m.Layers[i], rows)
	}
	sized(&t.last, rows*d)
	sized(&t.rstd, rows)
	sized(&t.hidden, rows*d)
	sized(&t.normed, rows*d)
	sized(&t.activity, rows*w.MLP)
	sized(&t.dx, rows*d)
	sized(&t.dheads, rows*w.Heads*m.HeadDim)
	sized(&t.dq, rows*w.Heads*m.HeadDim)
	sized(&t.dk, rows*w.KVHeads*m.HeadDim)
	sized(&t.dv, rows*w.KVHeads*m.HeadDim)
}

// Forward runs a batch over float32 weights, records what the backward pass needs and returns the final hidden states
// [tokens, hidden], valid until the next Forward. The model has the layers of the one that the Trace was made for.
func (t *Trace) Forward(m *Model, b Batch) (hidden []float32) {
	if err := m.Trainable(); err != nil {
		panic("model: Trace.Forward: " + err.Error())
	}
	if len(m.Blocks) != len(t.layers) {
		panic(fmt.Sprintf("model: Trace.Forward: model of %d layers, the trace is for %d", len(m.Blocks), len(t.layers)))
	}
	t.longest = b.check(&m.Config)
	rows := len(b.Tokens)
	t.plan(m, rows)
	t.batch.Tokens = append(t.batch.Tokens[:0], b.Tokens...)
	t.batch.Starts = append(t.batch.Starts[:0], b.Starts...)
	t.positions = b.positions(t.positions)

	m.Embed(t.layers[0].x, b.Tokens)
	kernels.RMSNorm(t.normed, t.layers[0].rstd, t.layers[0].x, m.Blocks[0].AttentionNorm, rows, m.Hidden, m.NormEps)
	for i := range t.layers {
		l, bl := &t.layers[i], &m.Blocks[i]
		t.upToActivity(m, i)
		activity := t.activity[:len(l.gate)]
		kernels.SwiGLU(activity, l.gate, l.up)
		t.mulT(t.normed, activity, &bl.Down)
		if i+1 < len(t.layers) {
			next := &t.layers[i+1]
			kernels.AddRMSNorm(t.normed, next.rstd, next.x, l.mid, t.normed, m.Blocks[i+1].AttentionNorm, rows, m.Hidden, m.NormEps)
		} else {
			kernels.AddRMSNorm(t.hidden, t.rstd, t.last, l.mid, t.normed, m.FinalNorm, rows, m.Hidden, m.NormEps)
		}
	}
	return t.hidden
}

// upToActivity computes a layer's activations from its input, whose norm is in normed.
func (t *Trace) upToActivity(m *Model, layer int) {
	l, bl, c, rows := &t.layers[layer], &m.Blocks[layer], m.Layers[layer], len(t.batch.Tokens)
	l.size(m, c, rows)
	t.mulT(l.q, t.normed, &bl.Q)
	t.mulT(l.k, t.normed, &bl.K)
	t.mulT(l.v, t.normed, &bl.V)
	table := m.rope(t.longest)
	kernels.Rope(l.q, t.positions, c.Heads, table, false)
	kernels.Rope(l.k, t.positions, c.KVHeads, table, false)
	t.options.Precision.Attention(l.heads, l.lse, l.q, l.k, l.v, t.batch.Starts, c.Heads, c.KVHeads, m.HeadDim)
	t.mulT(t.normed, l.heads, &bl.O)
	kernels.AddRMSNorm(t.normed, l.midRstd, l.mid, l.x, t.normed, bl.MLPNorm, rows, m.Hidden, m.NormEps)
	t.mulT(l.gate, t.normed, &bl.Gate)
	t.mulT(l.up, t.normed, &bl.Up)
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
	clear(t.dx)
	kernels.RMSNormBackward(t.dx, g.views.FinalNorm, dHidden, t.last, m.FinalNorm, t.rstd, rows, m.Hidden)
	for i := len(t.layers) - 1; i >= 0; i-- {
		l, bl := &t.layers[i], &m.Blocks[i]
		if t.options.Checkpoint && i+1 < len(t.layers) {
			kernels.RMSNormAgain(t.normed, l.rstd, l.x, bl.AttentionNorm, rows, m.Hidden)
			t.upToActivity(m, i)
		}
		t.mlpBackward(m, i, dHidden, g)
		t.attentionBackward(m, i, dHidden, g)
	}
	kernels.ScatterAdd(g.views.Embedding, t.dx, t.batch.Tokens, m.Hidden)
}

// mlpBackward takes dx, the gradient of the stream after the layer, to that between the halves. dnormed is scratch.
func (t *Trace) mlpBackward(m *Model, layer int, dnormed []float32, g *Gradients) {
	l, bl, gr, rows := &t.layers[layer], &m.Blocks[layer], &g.views.Blocks[layer], len(t.batch.Tokens)
	activity := t.activity[:len(l.gate)]
	t.toInput(activity, t.dx, &bl.Down, false)
	kernels.SwiGLUBackward(l.gate, l.up, activity, l.gate, l.up)
	t.toWeight(&gr.Down, t.dx, activity)
	kernels.RMSNormAgain(t.normed, l.midRstd, l.mid, bl.MLPNorm, rows, m.Hidden)
	t.toWeight(&gr.Gate, l.gate, t.normed)
	t.toWeight(&gr.Up, l.up, t.normed)
	t.toInput(dnormed, l.gate, &bl.Gate, false)
	t.toInput(dnormed, l.up, &bl.Up, true)
	kernels.RMSNormBackward(t.dx, gr.MLPNorm, dnormed, l.mid, bl.MLPNorm, l.midRstd, rows, m.Hidden)
}

// attentionBackward takes dx, the gradient of the stream between the halves, to that before the layer.
func (t *Trace) attentionBackward(m *Model, layer int, dnormed []float32, g *Gradients) {
	l, bl, gr, c, rows := &t.layers[layer], &m.Blocks[layer], &g.views.Blocks[layer], m.Layers[layer], len(t.batch.Tokens)
	dheads, dq, dk, dv := t.dheads[:len(l.q)], t.dq[:len(l.q)], t.dk[:len(l.k)], t.dv[:len(l.v)]
	t.toWeight(&gr.O, t.dx, l.heads)
	t.toInput(dheads, t.dx, &bl.O, false)
	t.options.Precision.AttentionBackward(dq, dk, dv, dheads, l.heads, l.lse, l.q, l.k, l.v, t.batch.Starts, c.Heads, c.KVHeads, m.HeadDim)
	table := m.rope(t.longest)
	kernels.Rope(dq, t.positions, c.Heads, table, true)
	kernels.Rope(dk, t.positions, c.KVHeads, table, true)
	kernels.RMSNormAgain(t.normed, l.rstd, l.x, bl.AttentionNorm, rows, m.Hidden)
	t.toWeight(&gr.Q, dq, t.normed)
	t.toWeight(&gr.K, dk, t.normed)
	t.toWeight(&gr.V, dv, t.normed)
	t.toInput(dnormed, dq, &bl.Q, false)
	t.toInput(dnormed, dk, &bl.K, true)
	t.toInput(dnormed, dv, &bl.V, true)
	kernels.RMSNormBackward(t.dx, gr.AttentionNorm, dnormed, l.x, bl.AttentionNorm, l.rstd, rows, m.Hidden)
}

// mulT is y = x·wᵀ + bias on the raw data: training changes it every step, so a packed form would not live.
func (t *Trace) mulT(y, x []float32, l *Linear) {
	rows := len(t.batch.Tokens)
	out, in := l.Weight.Shape()
	t.options.Precision.MatMulT(y, x, l.Weight.Float32(), rows, out, in, false)
	if l.Bias != nil {
		kernels.AddRow(y, l.Bias, rows, out)
	}
}

// toInput takes dy, the gradient of a linear layer's output, to dx, that of its input, or adds to it.
func (t *Trace) toInput(dx, dy []float32, l *Linear, accumulate bool) {
	out, in := l.Weight.Shape()
	t.options.Precision.MatMul(dx, dy, l.Weight.Float32(), len(t.batch.Tokens), out, in, accumulate)
}

// toWeight adds the gradient of a linear layer's weight and bias to grad, from that of its output, dy, and its input x.
func (t *Trace) toWeight(grad *Linear, dy, x []float32) {
	rows := len(t.batch.Tokens)
	out, in := grad.Weight.Shape()
	t.options.Precision.MatTMul(grad.Weight.Float32(), dy, x, rows, out, in, true)
	if grad.Bias != nil {
		kernels.SumRows(grad.Bias, dy, rows, out)
	}
}
