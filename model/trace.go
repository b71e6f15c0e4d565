package model

import (
	"context"
	"fmt"

	"slimlab/kernels"
	"slimlab/model/weight"
)

// Gradients is the gradient of a Trainable model, one vector in the order and shape of Model.Flat.
type Gradients struct {
	Flat []float32
	// Head is the view of Flat for the output head [vocab, hidden] (with TiedHead: the
	// embedding's), which a loss adds to.
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
		l.Weight = &weight.Dense{Out: l.Out, In: l.In}
	}
	if !m.TiedHead {
		views.Head = &weight.Dense{Out: m.Vocab, In: m.Hidden}
	}
	views.Gather()
	return &Gradients{Flat: views.arena, Head: views.Head.Float32(), views: views}
}

// Zero sets all gradients to zero.
func (g *Gradients) Zero() { clear(g.Flat) }

// TraceOptions says how a Trace computes.
type TraceOptions struct {
	// of all products, forward and backward; weights, activations and gradients are float32 in
	// either
	Precision kernels.Precision
	// keeps no more of a layer than its input and computes the rest again in the backward pass
	// (gradient checkpointing): the same gradients, bit for bit
	Recompute bool
	// Activations rounds the inputs of linear layers as formats of these activations do:
	// weight.Token to int8, each token with a scale of its own. The gradient passes the rounding as
	// if it were not there (straight-through estimator). Others leave the inputs as they are.
	Activations weight.Activations
}

// Trace records one training forward pass, with buffers that are planned once and reused from step
// to step. What a layer's products read is not recorded where it costs one pass over memory to make
// it again: the normed streams and silu(gate)∘up.
type Trace struct {
	options   TraceOptions
	batch     Batch // a copy, for the backward pass
	positions []int32
	longest   int // sequence of the batch
	layers    []layerTrace
	last      []float32 // residual stream before the final norm [tokens, hidden]
	rstd      []float32 // of the final norm [tokens]
	hidden    []float32 // what Forward returned [tokens, hidden]

	of      *Model // whose weights are packed, as they were after this number of changes
	changes uint64
	weights []layerWeights

	// The operands of the products at hand: their input; the gradient of their outputs.
	input              kernels.Operand
	rounded            []float32 // input, with Activations [tokens, width]
	grad, gradK, gradV kernels.Operand

	// input of the products at hand, and output of those that write to the residual stream [tokens,
	// hidden]
	normed   []float32
	activity []float32 // silu(gate)∘up or its gradient [tokens, mlp]

	// gradients on their way down, one layer at a time
	dx, dheads, dq, dk, dv []float32
}

// layerWeights are a layer's weights as products read them.
type layerWeights struct {
	q, k, v, o, gate, up, down *kernels.TrainedWeight
}

// layerTrace is what one layer's backward pass needs.
type layerTrace struct {
	x, rstd      []float32 // residual stream into the layer and its norm's 1/rms
	*activations           // with Recompute shared by all layers
}

// activations are the values between a layer's input and its output.
type activations struct {
	q, k, v []float32 // after rotation
	// before their norms, which come before rotation; with Config.QKNorm alone
	rawQ, rawK   []float32
	rstdQ, rstdK []float32 // 1/rms of those norms, a head
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
	if m.QKNorm {
		sized(&a.rawQ, width)
		sized(&a.rawK, kvWidth)
		sized(&a.rstdQ, rows*c.Heads)
		sized(&a.rstdK, rows*c.KVHeads)
	}
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
	t := &Trace{options: options, layers: make([]layerTrace, len(m.Blocks)), weights: make([]layerWeights, len(m.Blocks))}
	for i := range t.layers {
		t.layers[i].activations = new(activations)
		if options.Recompute {
			t.layers[i].activations = t.layers[0].activations
		}
	}
	t.plan(m, tokens)
	return t
}

// TraceBytes is what the buffers of a Trace with Recompute and float32 products take for passes of
// so many tokens over a model of a shape, beside the weights as products read them.
func TraceBytes(c Config, tokens int) int64 {
	w := c.widest()
	d, heads, kv := c.Hidden, w.Heads*c.HeadDim, w.KVHeads*c.HeadDim
	// those of all layers; mid, last, hidden, normed, dx and the table of rotations
	streams := (len(c.Layers)+6)*d + 2*w.MLP
	row := streams + 5*heads + 4*kv + w.MLP
	if c.QKNorm {
		row += heads + kv
	}
	operand := func(forms kernels.Forms, widths ...int) (most int64) {
		for _, width := range widths {
			most = max(most, kernels.OperandBytes(tokens, width, kernels.Float32, forms))
		}
		return most
	}
	inputs := operand(kernels.Rows, d, heads, w.MLP) + operand(kernels.RightSide, d, heads, w.MLP)
	gradient := kernels.Rows | kernels.LeftSide
	return 4*int64(tokens)*int64(row) + inputs + operand(gradient, d, heads, w.MLP) + operand(gradient, kv, w.MLP) + operand(gradient, kv)
}

// pack packs the weights of m, unless they are packed and have not changed.
func (t *Trace) pack(ctx context.Context, m *Model) {
	if changes := m.changes.Load(); t.of != m || t.changes != changes {
		t.of, t.changes = m, changes
		for i := range t.weights {
			if ctx.Err() != nil {
				t.of = nil
				return
			}
			w, b := &t.weights[i], &m.Blocks[i]
			for _, l := range [...]struct {
				packed **kernels.TrainedWeight
				of     *Linear
			}{{&w.q, &b.Q}, {&w.k, &b.K}, {&w.v, &b.V}, {&w.o, &b.O}, {&w.gate, &b.Gate}, {&w.up, &b.Up}, {&w.down, &b.Down}} {
				if *l.packed == nil {
					out, in := l.of.Weight.Shape()
					*l.packed = kernels.NewTrainedWeight(out, in, t.options.Precision)
				}
				(*l.packed).Pack(l.of.Weight.Float32())
			}
		}
	}
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

// Forward runs a batch over float32 weights, records what the backward pass needs and returns the
// final hidden states [tokens, hidden], valid until the next Forward. The model has the layers of
// the one that the Trace was made for. The Trace keeps the weights as products read them: code that
// writes to them calls Model.Changed. When ctx ends Forward and Backward return soon, with wrong
// numbers: the caller looks at ctx.
func (t *Trace) Forward(ctx context.Context, m *Model, b Batch) (hidden []float32) {
	t.begin(ctx, m, b)
	m.Embed(t.layers[0].x, b.Tokens)
	t.forward(ctx, m)
	return t.hidden
}

// ForwardStream is Forward of the layers alone: it begins with the residual stream x [tokens,
// hidden] in the place of the embeddings, of sequences that begin at starts, and returns what the
// last layer leaves, [tokens, hidden]. BackwardStream follows it.
func (t *Trace) ForwardStream(ctx context.Context, m *Model, x []float32, starts []int) []float32 {
	t.begin(ctx, m, Batch{Tokens: make([]int32, starts[len(starts)-1]), Starts: starts})
	if len(x) != len(t.batch.Tokens)*m.Hidden {
		panic(fmt.Sprintf("model: Trace.ForwardStream: stream of %d elements, expected %d tokens of %d", len(x), len(t.batch.Tokens), m.Hidden))
	}
	copy(t.layers[0].x, x)
	t.forward(ctx, m)
	return t.last
}

// begin takes a batch and packs the weights.
func (t *Trace) begin(ctx context.Context, m *Model, b Batch) {
	if err := m.Trainable(); err != nil {
		panic("model: Trace.Forward: " + err.Error())
	}
	if len(m.Blocks) != len(t.layers) {
		panic(fmt.Sprintf("model: Trace.Forward: model of %d layers, the trace is for %d", len(m.Blocks), len(t.layers)))
	}
	t.longest = b.check(&m.Config)
	rows := len(b.Tokens)
	t.pack(ctx, m)
	t.plan(m, rows)
	t.batch.Tokens = append(t.batch.Tokens[:0], b.Tokens...)
	t.batch.Starts = append(t.batch.Starts[:0], b.Starts...)
	t.positions = b.positions(t.positions)
}

// forward runs the layers and the final norm from the stream into the first layer.
func (t *Trace) forward(ctx context.Context, m *Model) {
	rows := len(t.batch.Tokens)
	m.rmsNorm(m.Blocks[0].AttentionNorm).Forward(t.normed, t.layers[0].rstd, t.layers[0].x, rows)
	for i := range t.layers {
		if ctx.Err() != nil {
			break
		}
		l, c := &t.layers[i], m.Layers[i]
		t.upToActivity(m, i)
		activity := t.activity[:len(l.gate)]
		kernels.SwiGLU(activity, l.gate, l.up)
		t.packInput(activity, c.MLP, kernels.Rows)
		kernels.Run(t.weights[i].down.Begin(t.normed, &t.input))
		m.Blocks[i].Down.addBias(t.normed, rows)
		if i+1 < len(t.layers) {
			next := &t.layers[i+1]
			m.rmsNorm(m.Blocks[i+1].AttentionNorm).AddForward(t.normed, next.rstd, next.x, l.mid, t.normed, rows)
		} else {
			m.rmsNorm(m.FinalNorm).AddForward(t.hidden, t.rstd, t.last, l.mid, t.normed, rows)
		}
	}
}

// upToActivity computes a layer's activations from its input, whose norm is in normed.
func (t *Trace) upToActivity(m *Model, layer int) {
	l, w, bl, c, rows := &t.layers[layer], &t.weights[layer], &m.Blocks[layer], m.Layers[layer], len(t.batch.Tokens)
	l.size(m, c, rows)
	t.packInput(t.normed, m.Hidden, kernels.Rows)
	q, k := l.q, l.k
	if m.QKNorm {
		q, k = l.rawQ, l.rawK
	}
	kernels.Run(w.q.Begin(q, &t.input), w.k.Begin(k, &t.input), w.v.Begin(l.v, &t.input))
	bl.Q.addBias(q, rows)
	bl.K.addBias(k, rows)
	bl.V.addBias(l.v, rows)
	if m.QKNorm {
		m.rmsNorm(bl.QNorm).Forward(l.q, l.rstdQ, q, rows*c.Heads)
		m.rmsNorm(bl.KNorm).Forward(l.k, l.rstdK, k, rows*c.KVHeads)
	}
	table := m.rope(t.longest)
	kernels.Rope(l.q, t.positions, c.Heads, table)
	kernels.Rope(l.k, t.positions, c.KVHeads, table)
	t.attention(m, layer).Forward(l.heads, l.lse)
	t.packInput(l.heads, c.Heads*m.HeadDim, kernels.Rows)
	kernels.Run(w.o.Begin(t.normed, &t.input))
	bl.O.addBias(t.normed, rows)
	m.rmsNorm(bl.MLPNorm).AddForward(t.normed, l.midRstd, l.mid, l.x, t.normed, rows)
	t.packInput(t.normed, m.Hidden, kernels.Rows)
	kernels.Run(w.gate.Begin(l.gate, &t.input), w.up.Begin(l.up, &t.input))
	bl.Gate.addBias(l.gate, rows)
	bl.Up.addBias(l.up, rows)
}

// Stream is the residual stream [tokens, hidden] into a layer, from 0, in the last Forward: the
// tokens' embeddings for the first, else what the layer before has left. It is valid until the next
// Forward and may not be changed.
func (t *Trace) Stream(layer int) []float32 { return t.layers[layer].x }

// attention is that of a layer on its recorded queries, keys and values.
func (t *Trace) attention(m *Model, layer int) kernels.Attention {
	l, c := &t.layers[layer], m.Layers[layer]
	return kernels.Attention{
		Q: l.q, K: l.k, V: l.v, Starts: t.batch.Starts,
		Heads: c.Heads, KVHeads: c.KVHeads, HeadDim: m.HeadDim, Precision: t.options.Precision,
	}
}

// packOperand packs x, [tokens, width], for products.
func (t *Trace) packOperand(o *kernels.Operand, x []float32, width int, forms kernels.Forms) {
	o.Pack(x, len(t.batch.Tokens), width, t.options.Precision, forms)
}

// packInput packs the input of linear layers.
func (t *Trace) packInput(x []float32, width int, forms kernels.Forms) {
	if t.options.Activations == weight.Token {
		rows := len(t.batch.Tokens)
		rounded := sized(&t.rounded, rows*width)
		kernels.RoundRowsInt8(rounded, x, rows, width)
		x = rounded
	}
	t.packOperand(&t.input, x, width, forms)
}
