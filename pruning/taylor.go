package pruning

import (
	"context"
	"errors"
	"runtime/debug"

	"slimlab/kernels"
	"slimlab/model"
	"slimlab/model/calibrate"
)

// place is an input of a layer.
type place struct {
	layer int
	site  model.Site
}

// passTokens go forward and backward together, unless a sequence has more.
const passTokens = 2048

// differentiate returns, by the input that they read, the gradients of the linear layers that the
// pruner changes. They are taken once, of the model as it was: a layer that is pruned later does
// not see what was removed before it.
func (p *pruner) differentiate(ctx context.Context, sequences []calibrate.Sequence) (map[place][]float32, error) {
	m := p.Whole
	if m == nil {
		return nil, errors.New("method taylor needs gradients, for which the whole model must be in memory: expected Options.Whole")
	}
	if err := m.Trainable(); err != nil {
		return nil, err
	}
	if err := calibrate.Check(m, sequences); err != nil {
		return nil, err
	}
	all, err := lossGradients(ctx, m, sequences)
	if err != nil {
		return nil, err
	}
	debug.FreeOSMemory() // activations and logits: the collector would wait for the statistics
	of, at := map[string][]float32{}, 0
	for _, t := range m.Parameters() {
		of[t.Name] = all.Flat[at:][:len(t.Data)]
		at += len(t.Data)
	}
	found := map[place][]float32{}
	for _, l := range m.Linears() {
		if p.Wants(l) {
			found[place{l.Layer, l.Site}] = of[l.Name+".weight"]
		}
	}
	return found, nil
}

// GradientBytes is what the pass takes, beside the model and its gradients, that Taylor makes
// over so many sequences of a length: activations, their gradients and logits.
func GradientBytes(c model.Config, sequences, length int) int64 {
	rows := max(length, min(sequences*length, passTokens))
	chunk := min(rows, headRows(c.Vocab))
	buffers := 4 * (int64(chunk)*int64(c.Vocab) + int64(rows)*int64(c.Hidden))
	for _, width := range []int{c.Hidden, c.Vocab} {
		buffers += kernels.OperandBytes(chunk, width, kernels.Float32, kernels.Rows)
	}
	return model.TraceBytes(c, rows) + buffers
}

// lossGradients is the gradient of the mean cross-entropy of the sequences' next tokens.
func lossGradients(ctx context.Context, m *model.Model, sequences []calibrate.Sequence) (*model.Gradients, error) {
	l, err := newNextTokens(m, sequences)
	if err != nil {
		return nil, err
	}
	return l.gradients, l.addAll(ctx, sequences)
}

// nextTokens adds up the gradient of the cross-entropy of next tokens, each with the same weight.
type nextTokens struct {
	model         *model.Model
	weight        float32
	head          *kernels.TrainedWeight
	trace         *model.Trace
	input, output kernels.Operand // of the head's products
	gradients     *model.Gradients
	// of one pass, used again by the next: the gradient of the hidden states, rows of logits
	gradient, logits []float32
}

// newNextTokens prepares passes over the sequences, of whose gradients it makes the mean.
func newNextTokens(m *model.Model, sequences []calibrate.Sequence) (*nextTokens, error) {
	targets, longest := 0, 0
	for _, s := range sequences {
		targets += len(s) - 1
		longest = max(longest, len(s))
	}
	if targets == 0 {
		return nil, errors.New("method taylor needs sequences of at least two tokens: every calibration sequence has one")
	}
	l := &nextTokens{model: m, weight: 1 / float32(targets), head: kernels.NewTrainedWeight(m.Vocab, m.Hidden, kernels.Float32), gradients: model.NewGradients(m)}
	l.head.Pack(m.Head.Float32())
	rows := max(longest, min(calibrate.Tokens(sequences), passTokens))
	l.trace = model.NewTrace(m, rows, model.TraceOptions{Recompute: true})
	return l, nil
}

// addAll adds the gradients of the sequences in passes of up to passTokens, or one sequence.
func (l *nextTokens) addAll(ctx context.Context, sequences []calibrate.Sequence) error {
	for len(sequences) > 0 {
		batch, n := model.Batch{Starts: []int{0}}, 0
		for _, s := range sequences {
			if n > 0 && len(batch.Tokens)+len(s) > passTokens {
				break
			}
			batch.Tokens, n = append(batch.Tokens, s...), n+1
			batch.Starts = append(batch.Starts, len(batch.Tokens))
		}
		sequences = sequences[n:]
		l.add(ctx, batch)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// headRows bounds the rows whose logits exist at once.
func headRows(vocab int) int { return max(16, (1<<22)/vocab) }

func (l *nextTokens) add(ctx context.Context, b model.Batch) {
	rows, d, vocab := len(b.Tokens), l.model.Hidden, l.model.Vocab
	labels, weights := make([]int32, rows), make([]float32, rows)
	for i, first := range b.Starts[:len(b.Starts)-1] {
		for r := first; r < b.Starts[i+1]-1; r++ {
			labels[r], weights[r] = b.Tokens[r+1], l.weight
		}
	}
	hidden := l.trace.Forward(ctx, l.model, b)
	chunk := min(rows, headRows(vocab))
	if len(l.gradient) < rows*d {
		l.gradient, l.logits = make([]float32, rows*d), make([]float32, chunk*vocab)
	}
	gradient, loss := l.gradient[:rows*d], make([]float32, chunk)
	for first := 0; first < rows && ctx.Err() == nil; first += chunk {
		n := min(chunk, rows-first)
		logits := l.logits[:n*vocab]
		l.input.Pack(hidden[first*d:][:n*d], n, d, kernels.Float32, kernels.Rows)
		kernels.Run(l.head.Begin(logits, &l.input))
		kernels.CrossEntropy(loss[:n], logits, labels[first:first+n], weights[first:first+n], n, vocab)
		l.output.Pack(logits, n, vocab, kernels.Float32, kernels.Rows)
		kernels.Run(l.head.BeginInput(gradient[first*d:][:n*d], &l.output))
	}
	l.trace.Backward(ctx, l.model, gradient, l.gradients)
}
