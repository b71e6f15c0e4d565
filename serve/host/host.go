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
	Ranks    int              // that the model is divided between, see model.Ranks; 1
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

// Executor is a model on this machine. It implements serve.Executor and serve.Passer.
type Executor struct {
	model *model.Model
	ranks *model.Ranks
	kv    kernels.KVFormat
	pool  *model.KVPool
	step  *model.Extender
	most  int // rows of logits that are given to Each at once

	// of one batch
	segments []model.Segment
	ends     []int       // where the hidden states of each segment end, in rows
	logits   [][]float32 // by segment
	chosen   []state     // whose logits are computed together
	hidden   []float32   // the chosen hidden states, where they are not one run of those of the batch
	rows     []float32   // logits of the whole vocabulary that are returned
	few      []float32   // those that are given to Each
	labels   []float32   // logits of labels
}

// state is one hidden state of a batch.
type state struct {
	segment int
	row     int // among all that the model returned
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
	if o.Ranks == 0 {
		o.Ranks = 1
	}
	ranks, err := m.Divide(o.Ranks)
	if err != nil {
		return nil, fmt.Errorf("host: %w", err)
	}
	pool, err := ranks.NewKVPool(o.KV, o.Pages, o.PageSize)
	if err != nil {
		return nil, fmt.Errorf("host: %w", err)
	}
	return &Executor{model: m, ranks: ranks, kv: o.KV, pool: pool, step: new(model.Extender), most: max(16, fewLogits/m.Vocab)}, nil
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
	return serve.Shape{Vocabulary: e.model.Vocab, Positions: e.model.MaxPositions, Pages: e.pool.Pages, PageSize: e.pool.PageSize, Hidden: e.model.Hidden}
}

// Bytes is the memory of the KV cache.
func (e *Executor) Bytes() int64 { return e.pool.Bytes() }

// Now is the machine's time.
func (e *Executor) Now() time.Time { return time.Now() }

// Extend runs a batch through the model. It never fails.
func (e *Executor) Extend(batch []serve.Segment) ([][]float32, error) {
	e.segments, e.ends = e.segments[:0], e.ends[:0]
	rows := 0
	for i := range batch {
		s := &batch[i]
		last := states(s)
		rows += last
		e.segments = append(e.segments, model.Segment{Tokens: s.Tokens, Start: s.Start, Pages: s.Pages, Fork: s.Fork, Last: last})
		e.ends = append(e.ends, rows)
	}
	hidden := e.step.ExtendRanks(e.ranks, e.pool, e.segments)
	e.logits = slices.Grow(e.logits[:0], len(batch))[:len(batch)]
	clear(e.logits)
	e.eachLogits(batch, hidden)
	e.wholeLogits(batch, hidden)
	e.labelLogits(batch, hidden)
	return e.logits, nil
}

// CopyPages copies pages of the KV cache, one after another.
func (e *Executor) CopyPages(copies []kernels.PageCopy) { e.pool.CopyPages(copies) }

// states is the number of last tokens of a segment whose hidden states are needed.
func states(s *serve.Segment) int {
	n := 1
	if s.Logits {
		n = max(n, s.Rows)
	}
	if s.Each != nil {
		n = max(n, len(s.Tokens)-s.From)
	}
	return n
}

// choose adds the last n states of a segment to those that are chosen.
func (e *Executor) choose(segment, n int) {
	for row := e.ends[segment] - n; row < e.ends[segment]; row++ {
		e.chosen = append(e.chosen, state{segment, row})
	}
}

// fewLogits is about how many logits are given to Each at once: 64 MB of them.
const fewLogits = 1 << 24

// eachLogits gives the rows of logits or states that segments want to be given as they come.
func (e *Executor) eachLogits(batch []serve.Segment, hidden []float32) {
	e.chosen = e.chosen[:0]
	for i := range batch {
		switch s, d := &batch[i], e.model.Hidden; {
		case s.Each == nil:
		case s.States:
			s.Each(s.From, hidden[(e.ends[i]-len(s.Tokens)+s.From)*d:e.ends[i]*d])
		default:
			e.choose(i, len(s.Tokens)-s.From)
		}
	}
	width := e.model.Vocab
	for few := range slices.Chunk(e.chosen, e.most) {
		e.few = grown(e.few, len(few)*width)
		e.ranks.Logits(e.few, e.gather(hidden, few), len(few))
		for from, to := 0, 0; from < len(few); from = to {
			of := few[from].segment
			for to < len(few) && few[to].segment == of {
				to++
			}
			s := &batch[of]
			s.Each(len(s.Tokens)-(e.ends[of]-few[from].row), e.few[from*width:to*width])
		}
	}
}

// wholeLogits computes the logits of the segments that ask for those of the whole vocabulary.
func (e *Executor) wholeLogits(batch []serve.Segment, hidden []float32) {
	e.chosen = e.chosen[:0]
	for i := range batch {
		if batch[i].Logits {
			e.choose(i, max(1, batch[i].Rows))
		}
	}
	n, width := len(e.chosen), e.model.Vocab
	if n == 0 {
		return
	}
	e.rows = grown(e.rows, n*width)
	e.ranks.Logits(e.rows, e.gather(hidden, e.chosen), n)
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
				e.choose(i, 1)
			}
		}
		// Where this moves them, the rows before stay where they are.
		at, n := len(e.labels), len(e.chosen)*len(labels)
		e.labels = slices.Grow(e.labels, n)[:at+n]
		rows := e.labels[at:]
		e.model.LabelLogits(rows, e.gather(hidden, e.chosen), len(e.chosen), labels)
		e.deliver(rows, len(labels))
	}
}

// gather returns chosen hidden states as one run.
func (e *Executor) gather(hidden []float32, chosen []state) []float32 {
	d, n, first := e.model.Hidden, len(chosen), chosen[0].row
	if chosen[n-1].row-first == n-1 {
		return hidden[first*d : (first+n)*d]
	}
	e.hidden = grown(e.hidden, n*d)
	for i, c := range chosen {
		copy(e.hidden[i*d:(i+1)*d], hidden[c.row*d:])
	}
	return e.hidden
}

// deliver gives each chosen segment its rows of logits.
func (e *Executor) deliver(rows []float32, width int) {
	for i, c := range e.chosen {
		before := len(e.logits[c.segment])
		e.logits[c.segment] = rows[i*width-before : (i+1)*width]
	}
}

// grown returns x with n elements of any content.
func grown(x []float32, n int) []float32 { return slices.Grow(x[:0], n)[:n] }
