// Package host executes an engine's batches on the cores of this machine: a model, the KV cache in
// its memory, and its clock.
//
// The name says where the work is done: another device, or a simulation of the time alone, is
// another package. It multiplies the head once for all rows whose logits are asked for, and once
// for each set of labels.
//
// The package promises that the bits of a segment's logits depend on its sequence alone, not on the
// batch, the page size or the number of threads.
package host

import (
	"fmt"
	"slices"
	"time"

	"slimlab/kernels"
	"slimlab/model"
	"slimlab/serve"
)

// Options shape an executor. Zero values mean the defaults.
type Options struct {
	KV       kernels.KVFormat // of the KV cache; that of the model's KV, which is bfloat16 unless it says otherwise
	PageSize int              // tokens of a page; a divisor of kernels.KVBlock; 16
	Pages    int              // of the KV cache; room for 32768 tokens
}

// usualPage is the tokens of a page where Options has none.
const usualPage = 16

// PagesFor is how many pages of the usual size requests take that run at once.
func PagesFor(requests []serve.Request) (pages int) {
	for i := range requests {
		pages += (len(requests[i].Prompt)+requests[i].MaxTokens)/usualPage + 1
	}
	return pages
}

// Executor is a model on this machine. It implements serve.Executor.
type Executor struct {
	model *model.Model
	pool  *model.KVPool
	step  *model.Extender

	// of one batch
	segments []model.Segment
	logits   [][]float32 // by segment
	chosen   []int       // segments whose logits are computed together
	hidden   []float32   // their hidden states, where they are not one run of those of the batch
	rows     []float32   // logits of the whole vocabulary
	labels   []float32   // logits of labels
}

// New plans the memory of a KV cache for a model, which must not change while it is served.
func New(m *model.Model, o Options) (*Executor, error) {
	if o.PageSize == 0 {
		o.PageSize = usualPage
	}
	if o.Pages == 0 {
		o.Pages = 32768 / max(1, o.PageSize)
	}
	if o.KV == 0 {
		o.KV, _ = m.KV()
	}
	pool, err := model.NewKVPool(m.Config, o.KV, o.Pages, o.PageSize)
	if err != nil {
		return nil, fmt.Errorf("host: %w", err)
	}
	return &Executor{model: m, pool: pool, step: new(model.Extender)}, nil
}

// NewEngine starts an engine on a model on this machine.
func NewEngine(m *model.Model, o Options, engine serve.Options) (*serve.Engine, error) {
	e, err := New(m, o)
	if err != nil {
		return nil, err
	}
	return serve.New(e, engine)
}

// Shape is what the model and the KV cache can hold.
func (e *Executor) Shape() serve.Shape {
	return serve.Shape{Vocabulary: e.model.Vocab, Positions: e.model.MaxPositions, Pages: e.pool.Pages, PageSize: e.pool.PageSize}
}

// Bytes is the memory of the KV cache.
func (e *Executor) Bytes() int64 { return e.pool.Bytes() }

// Now is the machine's time.
func (e *Executor) Now() time.Time { return time.Now() }

// Extend runs a batch through the model. It never fails.
func (e *Executor) Extend(batch []serve.Segment) ([][]float32, error) {
	e.segments = e.segments[:0]
	for _, s := range batch {
		e.segments = append(e.segments, model.Segment{Tokens: s.Tokens, Start: s.Start, Pages: s.Pages})
	}
	hidden := e.step.Extend(e.model, e.pool, e.segments)
	e.logits = slices.Grow(e.logits[:0], len(batch))[:len(batch)]
	clear(e.logits)
	e.wholeLogits(batch, hidden)
	e.labelLogits(batch, hidden)
	return e.logits, nil
}

// wholeLogits computes the logits of the segments that ask for those of the whole vocabulary.
func (e *Executor) wholeLogits(batch []serve.Segment, hidden []float32) {
	e.chosen = e.chosen[:0]
	for i := range batch {
		if batch[i].Logits {
			e.chosen = append(e.chosen, i)
		}
	}
	n, width := len(e.chosen), e.model.Vocab
	if n == 0 {
		return
	}
	e.rows = grown(e.rows, n*width)
	e.model.Logits(e.rows, e.gather(hidden), n)
	e.deliver(e.rows, width)
}

// labelLogits computes the logits of labels, for all segments that ask for the same ones at once.
func (e *Executor) labelLogits(batch []serve.Segment, hidden []float32) {
	e.labels = e.labels[:0]
	for first := range batch {
		labels := batch[first].Labels
		if batch[first].Logits || len(labels) == 0 || e.logits[first] != nil {
			continue
		}
		e.chosen = e.chosen[:0]
		for i := first; i < len(batch); i++ {
			if !batch[i].Logits && slices.Equal(batch[i].Labels, labels) {
				e.chosen = append(e.chosen, i)
			}
		}
		// Where this moves them, the rows before stay where they are.
		at, n := len(e.labels), len(e.chosen)*len(labels)
		e.labels = slices.Grow(e.labels, n)[:at+n]
		rows := e.labels[at:]
		e.model.LabelLogits(rows, e.gather(hidden), len(e.chosen), labels)
		e.deliver(rows, len(labels))
	}
}

// gather returns the hidden states of the chosen segments as one run.
func (e *Executor) gather(hidden []float32) []float32 {
	d, n, first := e.model.Hidden, len(e.chosen), e.chosen[0]
	if e.chosen[n-1]-first == n-1 {
		return hidden[first*d : (first+n)*d]
	}
	e.hidden = grown(e.hidden, n*d)
	for i, at := range e.chosen {
		copy(e.hidden[i*d:(i+1)*d], hidden[at*d:])
	}
	return e.hidden
}

// deliver gives each chosen segment its row of logits.
func (e *Executor) deliver(rows []float32, width int) {
	for i, at := range e.chosen {
		e.logits[at] = rows[i*width : (i+1)*width]
	}
}

// grown returns x with n elements of any content.
func grown(x []float32, n int) []float32 { return slices.Grow(x[:0], n)[:n] }
