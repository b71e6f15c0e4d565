// Package sensitivity measures what each layer of a model loses by each way to make it smaller, and
// chooses one way for each layer under a budget of bytes. A way (Choice) is a share of the layer's
// MLP neurons removed, or a number format of its linear layers. Each is done to one layer at a time
// with the others as they are, on statistics of the dense model, and costs a divergence of the
// model's predictions (KL, from the dense model's) and an error of the layer's output. Allocate
// adds up these costs, as if what one layer loses did not change what another does; how far that is
// from the truth is for the caller to measure on the model that was chosen. Formats of the KV cache
// are of all layers at once (MeasureCaches).
//
// It leaves out gradients, retraining, and what a choice gains in time.
package sensitivity

import (
	"context"
	"fmt"
	"math"
	"time"

	"slimlab/kd"
	"slimlab/kernels"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/pruning"
	"slimlab/quant"
)

// Choice is a way to make a layer smaller: one of its fields is set.
type Choice struct {
	Name   string       `json:"name"`
	MLP    float64      `json:"mlp,omitempty"` // the share of the MLP neurons that is removed
	Scheme quant.Scheme `json:"-"`
}

// Table is what was measured, by layer and choice.
type Table struct {
	Choices []string    `json:"choices"`
	KL      [][]float64 `json:"kl"`    // nats a prediction
	Error   [][]float64 `json:"error"` // squared error of the layer's output relative to what the layer adds
	Bytes   [][]int64   `json:"bytes"` // of the layer's linear weights as they would be stored
	// of the dense model's layers
	DenseBytes  []int64 `json:"dense_bytes"`
	Predictions int     `json:"predictions"`
	Tokens      int     `json:"tokens"` // calibration tokens
}

// Options say how a Table is measured.
type Options struct {
	Align    int             // pruned widths are rounded up to a multiple; 0 is 1
	Store    calibrate.Store // of statistics of the model; may be nil
	Progress func(done, total int, text string)
	// is told, after the first pass, how long all passes take at its pace; may be nil
	Estimate func(time.Duration)
}

// Measure fills a Table for a model of float32 weights. KL is the mean over the answer tokens of
// the examples.
func Measure(ctx context.Context, m *model.Model, calibration []calibrate.Sequence, examples []kd.Example, choices []Choice, o Options) (*Table, error) {
	if o.Progress == nil {
		o.Progress = func(int, int, string) {}
	}
	layers := len(m.Blocks)
	t := &Table{Tokens: calibrate.Tokens(calibration), KL: make([][]float64, layers), Error: make([][]float64, layers), Bytes: make([][]int64, layers)}
	for i := range layers {
		t.DenseBytes = append(t.DenseBytes, layerBytes(m, i))
	}
	start := time.Now()
	p, err := newProbe(ctx, m, examples)
	if err != nil {
		return nil, err
	}
	t.Predictions = p.targets
	if o.Estimate != nil {
		o.Estimate(estimated(time.Since(start), layers, len(choices), t.Tokens, p.tokens()))
	}
	total, done := layers*len(choices), 0
	for _, c := range choices {
		t.Choices = append(t.Choices, c.Name)
		o.Progress(done, total, "compress by "+c.Name)
		compressed, err := compress(ctx, m, calibration, c, o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
		for layer := range layers {
			kl, relative, err := p.replace(ctx, compressed, layer)
			if err != nil {
				return nil, fmt.Errorf("%s, layer %d: %w", c.Name, layer, err)
			}
			t.KL[layer] = append(t.KL[layer], kl)
			t.Error[layer] = append(t.Error[layer], relative)
			t.Bytes[layer] = append(t.Bytes[layer], layerBytes(compressed, layer))
			done++
			o.Progress(done, total, fmt.Sprintf("%s, layer %d: KL %.3g", c.Name, layer, kl))
		}
	}
	return t, nil
}

// estimated is how long passes take after one of some tokens: the calibration text goes through the
// model once, and the examples for each layer and choice through that layer and those behind it.
func estimated(pass time.Duration, layers, choices, calibration, tokens int) time.Duration {
	passes := float64(calibration)/float64(max(1, tokens)) + float64(choices)*float64(layers+1)/2
	return time.Duration(passes * float64(pass))
}

// compress does a choice to all layers, each on the dense model's inputs.
func compress(ctx context.Context, m *model.Model, calibration []calibrate.Sequence, c Choice, o Options) (*model.Model, error) {
	layers, err := calibrate.NewInMemory(m)
	if err != nil {
		return nil, err
	}
	settings := calibrate.Settings{Parallel: true, Store: o.Store}
	if c.Scheme.Rounder != nil {
		_, err = quant.Quantize(ctx, layers, quant.Uniform(c.Scheme), calibration, quant.Options{Scales: kernels.BFloat16, Statistics: settings}, nil)
	} else {
		cuts := pruning.Uniform(len(m.Blocks), pruning.LayerCut{MLP: pruning.Cut{Ratio: c.MLP}})
		_, err = pruning.Prune(ctx, layers, calibration, pruning.Options{Method: pruning.OSSCAR, Cuts: cuts, Align: o.Align, Precision: kernels.BFloat16, Statistics: settings}, nil)
	}
	if err != nil {
		return nil, err
	}
	return layers.Compressed(), nil
}

// layerBytes are those of a layer's linear weights: floats in bfloat16, as checkpoints hold them,
// and others in their format.
func layerBytes(m *model.Model, layer int) (bytes int64) {
	for _, l := range m.BlockLinears(layer) {
		if l.Weight.Format() == "float32" {
			bytes += 2 * int64(l.Out) * int64(l.In)
		} else {
			bytes += l.Weight.Bytes()
		}
	}
	return bytes
}

// probe is a dense model on its examples: the streams into each layer, and its predictions.
type probe struct {
	dense   *model.Model
	passes  []probePass
	targets int // in all
}

// probePass is some examples that run together.
type probePass struct {
	batch   model.Batch
	rows    []int       // that predict answer tokens
	into    [][]float32 // by layer and behind the last: the stream [tokens, hidden]
	logits  []float32   // [rows, vocab]
	scratch []float32
}

// passTokens bounds the tokens of examples that run together.
const passTokens = 2048

func newProbe(ctx context.Context, m *model.Model, examples []kd.Example) (*probe, error) {
	p := &probe{dense: m}
	for _, e := range examples {
		if len(e.Tokens) > m.MaxPositions {
			return nil, fmt.Errorf("an example has %d tokens, the model takes at most %d", len(e.Tokens), m.MaxPositions)
		}
		if n := len(p.passes); n == 0 || len(p.passes[n-1].batch.Tokens)+len(e.Tokens) > passTokens {
			p.passes = append(p.passes, probePass{batch: model.Batch{Starts: []int{0}}})
		}
		of := &p.passes[len(p.passes)-1]
		for i := range e.Tokens {
			if i > 0 && e.Learned(i) {
				of.rows = append(of.rows, len(of.batch.Tokens)+i-1)
				p.targets++
			}
		}
		of.batch.Tokens = append(of.batch.Tokens, e.Tokens...)
		of.batch.Starts = append(of.batch.Starts, len(of.batch.Tokens))
	}
	if p.targets == 0 {
		return nil, fmt.Errorf("%d examples have no answer token to predict", len(examples))
	}
	for i := range p.passes {
		of := &p.passes[i]
		x := make([]float32, len(of.batch.Tokens)*m.Hidden)
		m.Embed(x, of.batch.Tokens)
		for layer := range m.Blocks {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			of.into = append(of.into, append([]float32(nil), x...))
			through(m, layer, x, of.batch)
		}
		of.into = append(of.into, x)
		of.logits = of.predict(m, x)
	}
	return p, nil
}

// tokens are those of all examples.
func (p *probe) tokens() (n int) {
	for _, of := range p.passes {
		n += len(of.batch.Tokens)
	}
	return n
}

func through(m *model.Model, layer int, x []float32, b model.Batch) {
	m.Attention(layer, x, b, nil)
	m.MLP(layer, x, len(b.Tokens), nil)
}

// predict computes the logits of the rows that predict, from the stream behind the last layer.
func (of *probePass) predict(m *model.Model, x []float32) []float32 {
	hidden := make([]float32, len(of.rows)*m.Hidden)
	for i, row := range of.rows {
		copy(hidden[i*m.Hidden:], x[row*m.Hidden:(row+1)*m.Hidden])
	}
	m.Norm(hidden, len(of.rows))
	logits := make([]float32, len(of.rows)*m.Vocab)
	m.Logits(logits, hidden, len(of.rows))
	return logits
}

// replace measures the dense model with one layer of another: the mean KL, and the squared error of
// the layer's output relative to what the dense layer adds to its input.
func (p *probe) replace(ctx context.Context, other *model.Model, layer int) (kl, relative float64, err error) {
	difference, energy := 0.0, 0.0
	for i := range p.passes {
		of := &p.passes[i]
		x := append(of.scratch[:0], of.into[layer]...)
		of.scratch = x
		through(other, layer, x, of.batch)
		for j, v := range of.into[layer+1] {
			d, e := float64(x[j])-float64(v), float64(v)-float64(of.into[layer][j])
			difference, energy = difference+d*d, energy+e*e
		}
		for next := layer + 1; next < len(p.dense.Blocks); next++ {
			if err := ctx.Err(); err != nil {
				return 0, 0, err
			}
			through(p.dense, next, x, of.batch)
		}
		kl += of.divergence(p.dense, x)
	}
	kl /= float64(p.targets)
	if energy > 0 {
		difference /= energy
	}
	if math.IsNaN(kl) || math.IsInf(kl, 0) || math.IsNaN(difference) {
		return 0, 0, fmt.Errorf("KL is %v, error %v, expected finite numbers", kl, difference)
	}
	return kl, difference, ctx.Err()
}

// divergence is the sum over the rows of the KL of the predictions that a model makes of the stream
// behind its last layer.
func (of *probePass) divergence(m *model.Model, x []float32) (kl float64) {
	n := len(of.rows)
	if n == 0 {
		return 0
	}
	q := of.predict(m, x)
	divergence, ce, none := make([]float32, n), make([]float32, n), make([]float32, n)
	kernels.Distillation{Divergence: kernels.ForwardKL}.Loss(kernels.DistillationRows{
		Divergence: divergence, CE: ce, Logits: q, Teacher: append([]float32(nil), of.logits...), Labels: make([]int32, n),
		DivergenceWeight: none, CEWeight: none, Vocab: m.Vocab,
	})
	for _, d := range divergence {
		kl += float64(d)
	}
	return kl
}
