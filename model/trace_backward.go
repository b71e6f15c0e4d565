package model

import (
	"context"
	"fmt"

	"slimlab/kernels"
)

// Backward runs the recorded pass backward from dHidden [tokens, hidden] (overwritten) and adds to
// g. The loss adds the gradient of the head; with a tied head both add to the same view. The
// record is used up: one Backward follows a Forward.
func (t *Trace) Backward(ctx context.Context, m *Model, dHidden []float32, g *Gradients) {
	t.BackwardThrough(ctx, m, dHidden, nil, g)
}

// BackwardThrough is Backward for a loss that reads streams as well: dStreams[layer] is its
// gradient [tokens, hidden] with respect to Stream(layer). A nil one, or a list that ends before
// it, is zero.
func (t *Trace) BackwardThrough(ctx context.Context, m *Model, dHidden []float32, dStreams [][]float32, g *Gradients) {
	rows := len(t.batch.Tokens)
	for layer, d := range dStreams {
		if d != nil && (layer >= len(t.layers) || len(d) != rows*m.Hidden) {
			panic(fmt.Sprintf("model: Trace.BackwardThrough: gradient of %d elements of the stream into layer %d, the pass had %d tokens of %d and %d layers", len(d), layer, rows, m.Hidden, len(t.layers)))
		}
	}
	if len(dHidden) != rows*m.Hidden {
		panic(fmt.Sprintf("model: Trace.Backward: gradient of %d elements, the pass had %d tokens of %d", len(dHidden), rows, m.Hidden))
	}
	if len(g.Flat) != m.Config.Parameters() {
		panic(fmt.Sprintf("model: Trace.Backward: %d gradients for %d parameters", len(g.Flat), m.Config.Parameters()))
	}
	clear(t.dx)
	m.rmsNorm(m.FinalNorm).Backward(t.dx, g.views.FinalNorm, dHidden, t.last, t.rstd, rows)
	t.backward(ctx, m, dHidden, dStreams, g)
	kernels.ScatterAdd(g.views.Embedding, t.dx, t.batch.Tokens, m.Hidden)
}

// BackwardStream runs the recorded ForwardStream backward from the gradient of what it returned,
// dOut [tokens, hidden] (overwritten), and adds the gradients of the layers to g.
func (t *Trace) BackwardStream(ctx context.Context, m *Model, dOut []float32, g *Gradients) {
	if len(dOut) != len(t.batch.Tokens)*m.Hidden {
		panic(fmt.Sprintf("model: Trace.BackwardStream: gradient of %d elements, the pass had %d tokens of %d", len(dOut), len(t.batch.Tokens), m.Hidden))
	}
	if len(g.Flat) != m.Config.Parameters() {
		panic(fmt.Sprintf("model: Trace.BackwardStream: %d gradients for %d parameters", len(g.Flat), m.Config.Parameters()))
	}
	copy(t.dx, dOut)
	t.backward(ctx, m, dOut, nil, g)
}

// backward takes dx, the gradient of the stream behind the last layer, through the layers.
func (t *Trace) backward(ctx context.Context, m *Model, scratch []float32, dStreams [][]float32, g *Gradients) {
	rows := len(t.batch.Tokens)
	for i := len(t.layers) - 1; i >= 0 && ctx.Err() == nil; i-- {
		l, bl := &t.layers[i], &m.Blocks[i]
		if t.options.Recompute && i+1 < len(t.layers) {
			m.rmsNorm(bl.AttentionNorm).Again(t.normed, l.rstd, l.x, rows)
			t.upToActivity(m, i)
		}
		t.mlpBackward(m, i, scratch, g)
		if ctx.Err() != nil {
			break
		}
		t.attentionBackward(m, i, scratch, g)
		if i < len(dStreams) && dStreams[i] != nil {
			kernels.Add(t.dx, dStreams[i])
		}
	}
}

// mlpBackward takes dx, the gradient of the stream after the layer, to that between the halves.
// dnormed is scratch.
func (t *Trace) mlpBackward(m *Model, layer int, dnormed []float32, g *Gradients) {
	l, w, bl, gr, c, rows := &t.layers[layer], &t.weights[layer], &m.Blocks[layer], &g.views.Blocks[layer], m.Layers[layer], len(t.batch.Tokens)
	activity := t.activity[:len(l.gate)]
	t.packOperand(&t.grad, t.dx, m.Hidden, kernels.Rows|kernels.LeftSide)
	kernels.Run(w.down.BeginInput(activity, &t.grad))
	kernels.SwiGLUBackward(l.gate, l.up, activity, l.gate, l.up)
	t.packInput(activity, c.MLP, kernels.RightSide)
	kernels.Run(beginGradient(&gr.Down, &t.grad, &t.input))
	gr.Down.sumBias(t.dx, rows)

	m.rmsNorm(bl.MLPNorm).Again(t.normed, l.midRstd, l.mid, rows)
	t.packInput(t.normed, m.Hidden, kernels.RightSide)
	t.packOperand(&t.grad, l.gate, c.MLP, kernels.Rows|kernels.LeftSide)
	t.packOperand(&t.gradK, l.up, c.MLP, kernels.Rows|kernels.LeftSide)
	kernels.Run(beginGradient(&gr.Gate, &t.grad, &t.input), beginGradient(&gr.Up, &t.gradK, &t.input), w.gate.BeginInput(dnormed, &t.grad))
	kernels.Run(w.up.BeginInputAdd(dnormed, &t.gradK))
	gr.Gate.sumBias(l.gate, rows)
	gr.Up.sumBias(l.up, rows)
	m.rmsNorm(bl.MLPNorm).Backward(t.dx, gr.MLPNorm, dnormed, l.mid, l.midRstd, rows)
}

// attentionBackward takes dx, the gradient of the stream between the halves, to that before the
// layer.
func (t *Trace) attentionBackward(m *Model, layer int, dnormed []float32, g *Gradients) {
	l, w, bl, gr, c, rows := &t.layers[layer], &t.weights[layer], &m.Blocks[layer], &g.views.Blocks[layer], m.Layers[layer], len(t.batch.Tokens)
	dheads, dq, dk, dv := t.dheads[:len(l.q)], t.dq[:len(l.q)], t.dk[:len(l.k)], t.dv[:len(l.v)]
	width, kvWidth := c.Heads*m.HeadDim, c.KVHeads*m.HeadDim
	t.packOperand(&t.grad, t.dx, m.Hidden, kernels.Rows|kernels.LeftSide)
	t.packInput(l.heads, width, kernels.RightSide)
	kernels.Run(beginGradient(&gr.O, &t.grad, &t.input), w.o.BeginInput(dheads, &t.grad))
	gr.O.sumBias(t.dx, rows)
	t.attention(m, layer).Backward(dq, dk, dv, dheads, l.heads, l.lse)
	table := m.rope(t.longest)
	kernels.RopeBackward(dq, t.positions, c.Heads, table)
	kernels.RopeBackward(dk, t.positions, c.KVHeads, table)
	if m.QKNorm {
		// The gradients before the norms take memory that is free by now: dheads, then dq.
		clear(dheads)
		m.rmsNorm(bl.QNorm).Backward(dheads, gr.QNorm, dq, l.rawQ, l.rstdQ, rows*c.Heads)
		before := dq[:len(dk)]
		clear(before)
		m.rmsNorm(bl.KNorm).Backward(before, gr.KNorm, dk, l.rawK, l.rstdK, rows*c.KVHeads)
		dq, dk = dheads, before
	}

	m.rmsNorm(bl.AttentionNorm).Again(t.normed, l.rstd, l.x, rows)
	t.packInput(t.normed, m.Hidden, kernels.RightSide)
	t.packOperand(&t.grad, dq, width, kernels.Rows|kernels.LeftSide)
	t.packOperand(&t.gradK, dk, kvWidth, kernels.Rows|kernels.LeftSide)
	t.packOperand(&t.gradV, dv, kvWidth, kernels.Rows|kernels.LeftSide)
	kernels.Run(beginGradient(&gr.Q, &t.grad, &t.input), beginGradient(&gr.K, &t.gradK, &t.input), beginGradient(&gr.V, &t.gradV, &t.input),
		w.q.BeginInput(dnormed, &t.grad))
	kernels.Run(w.k.BeginInputAdd(dnormed, &t.gradK))
	kernels.Run(w.v.BeginInputAdd(dnormed, &t.gradV))
	gr.Q.sumBias(dq, rows)
	gr.K.sumBias(dk, rows)
	gr.V.sumBias(dv, rows)
	m.rmsNorm(bl.AttentionNorm).Backward(t.dx, gr.AttentionNorm, dnormed, l.x, l.rstd, rows)
}

// beginGradient begins to add the gradient of a linear layer's weight to grad, from that of its
// output, dy, and its input x.
func beginGradient(grad *Linear, dy, x *kernels.Operand) kernels.Pending {
	return kernels.BeginGradient(grad.Weight.Float32(), dy, x)
}

// sumBias adds the gradient of the bias to a Linear of gradients, from that of the output.
func (l *Linear) sumBias(dy []float32, rows int) {
	if l.Bias != nil {
		kernels.SumRows(l.Bias, dy, rows, len(l.Bias))
	}
}
