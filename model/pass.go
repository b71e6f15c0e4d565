package model

import (
	"fmt"

	"slimlab/kernels"
)

// PassRows is how many tokens a Pass takes through a layer at a time.
const PassRows = 256

// Pass is a prompt, and sequences that continue it, on their way through a model without a KV
// cache: layer by layer, a few rows at a time, with the keys and values of one layer in memory and
// the residual stream of all tokens. Its bits are those of Extend over a pool of the same format.
type Pass struct {
	e        Extender
	ranks    *Ranks
	pool     *KVPool // every layer of a rank is the same memory
	x        []float32
	segments []passSegment
	tokens   int
	answers  []int // the segment whose last row answers each branch
	row      int   // of the layer that is next
	done     bool
}

// passSegment is the prompt or a branch, from row on; of the prompt fork is nil.
type passSegment struct {
	count, start, row int
	pages, fork       []int32
}

// NewPass begins a pass over a prompt and the branches that continue it, of which each sees the
// prompt and itself. An empty branch is answered by the prompt's last row, and so is a pass without
// branches. A prompt without tokens, a token outside the vocabulary and a branch that ends after
// MaxPositions are errors.
func (r *Ranks) NewPass(format kernels.KVFormat, prompt []int32, branches [][]int32) (*Pass, error) {
	c := &r.whole.Config
	if len(prompt) == 0 {
		return nil, fmt.Errorf("model: pass over an empty prompt")
	}
	if err := format.Check(kernels.KVBlock, c.HeadDim); err != nil {
		return nil, fmt.Errorf("model: pass: %w", err)
	}
	p := &Pass{ranks: r}
	page := int32(0)
	// table lists new pages until a sequence of so many tokens has room.
	table := func(begun []int32, tokens int) []int32 {
		for len(begun)*kernels.KVBlock < tokens {
			begun, page = append(begun, page), page+1
		}
		return begun
	}
	add := func(tokens, pages, fork []int32, start int) error {
		if end := start + len(tokens); end > c.MaxPositions {
			return fmt.Errorf("model: pass over %d tokens, the model has %d positions", end, c.MaxPositions)
		}
		for i, t := range tokens {
			if t < 0 || int(t) >= c.Vocab {
				return fmt.Errorf("model: pass: token %d at position %d, the vocabulary has %d", t, start+i, c.Vocab)
			}
		}
		p.segments = append(p.segments, passSegment{len(tokens), start, p.tokens, pages, fork})
		p.tokens += len(tokens)
		return nil
	}
	whole := table(nil, len(prompt))
	if err := add(prompt, whole, nil, 0); err != nil {
		return nil, err
	}
	if len(branches) == 0 {
		p.answers = []int{0}
	}
	shared := whole[:len(prompt)/kernels.KVBlock]
	for _, b := range branches {
		if len(b) == 0 {
			p.answers = append(p.answers, 0)
			continue
		}
		p.answers = append(p.answers, len(p.segments))
		if err := add(b, table(shared[:len(shared):len(shared)], len(prompt)+len(b)), whole, len(prompt)); err != nil {
			return nil, err
		}
	}
	p.pool = &KVPool{Format: format, Pages: int(page), PageSize: kernels.KVBlock}
	w := c.widest()
	for range r.shares {
		one := kernels.NewKVLayer(format, p.pool.Pages, kernels.KVBlock, w.KVHeads/len(r.shares), c.HeadDim)
		layers := make([]*kernels.KVLayer, len(c.Layers))
		for i := range layers {
			layers[i] = one
		}
		p.pool.ranks = append(p.pool.ranks, layers)
	}
	p.x = make([]float32, p.tokens*c.Hidden)
	r.whole.Embed(p.x, prompt)
	at := len(prompt)
	for _, b := range branches {
		r.whole.Embed(p.x[at*c.Hidden:], b)
		at += len(b)
	}
	return p, nil
}

// Tokens is the number of tokens of the prompt and all branches.
func (p *Pass) Tokens() int { return p.tokens }

// Step takes the next rows through a layer, and reports whether they were the last. Then hidden is
// the final normed hidden states [branches, hidden] of the last token of each branch, or without
// branches that of the prompt.
func (p *Pass) Step() (hidden []float32, done bool) {
	e, m := &p.e, p.ranks.whole
	if p.done {
		panic("model: step of a pass that is done")
	}
	final := e.layer == len(m.Blocks)-1
	if p.row == 0 {
		for rank, share := range p.ranks.shares {
			p.pool.ranks[rank][0].Reuse(share.Layers[e.layer].KVHeads)
		}
	}
	to := min(p.row+PassRows, p.tokens)
	e.on(p.ranks, p.pool)
	p.add(p.row, to)
	e.x = p.x[p.row*m.Hidden : to*m.Hidden]
	e.store(!final)
	if !final {
		e.attend(e.x, &e.all)
		e.mlp(e.x, to-p.row)
	}
	if p.row = to; p.row < p.tokens {
		return nil, false
	}
	p.row = 0
	if !final {
		e.layer++
		return nil, false
	}
	p.done = true
	return p.finish(), true
}

// add lists the rows from … to-1 for the extender.
func (p *Pass) add(from, to int) {
	for _, s := range p.segments {
		lo, hi := max(from, s.row), min(to, s.row+s.count)
		if lo >= hi {
			continue
		}
		fork := s.fork
		if lo > s.row { // its page is copied
			fork = nil
		}
		p.e.addRows(s.pages, hi-lo, s.start+lo-s.row, fork)
	}
}

// finish takes the last row of each segment through the last layer.
func (p *Pass) finish() []float32 {
	e, m := &p.e, p.ranks.whole
	d, n := m.Hidden, len(p.segments)
	last := make([]float32, n*d)
	for i, s := range p.segments {
		copy(last[i*d:(i+1)*d], p.x[(s.row+s.count-1)*d:])
		e.ends.add(s.pages, 1, s.start+s.count-1)
		e.reach = max(e.reach, s.start+s.count)
	}
	p.x = nil
	m.rmsNorm(m.Blocks[e.layer].AttentionNorm).Forward(sized(&e.normed, n*d), nil, last, n)
	e.finish(last)
	hidden := make([]float32, 0, len(p.answers)*d)
	for _, i := range p.answers {
		hidden = append(hidden, last[i*d:(i+1)*d]...)
	}
	return hidden
}

// LongestPrompts says how many tokens of a prompt fit into so many bytes beside the weights of a
// model of shape c: of one that is generated from, with the keys and values of all layers in a
// pool, and of one that a Pass scores. Both take PassRows tokens at a time, and whole blocks of
// positions.
func LongestPrompts(c Config, format kernels.KVFormat, bytes int64) (generated, scored int) {
	w := c.widest()
	stream := int64(4 * c.Hidden)
	// an Extender's of a row: normed and delta, queries and heads, keys and values, gate and up
	row := 2*stream + 8*int64((w.Heads+w.KVHeads)*c.HeadDim+w.MLP)
	longest := func(fixed, position int64) int {
		return int(max(0, (bytes-fixed)/(kernels.KVBlock*position))) * kernels.KVBlock
	}
	generated = longest(PassRows*(row+stream), PositionBytes(c, format))
	scored = longest(PassRows*row, stream+int64(format.PositionBytes(w.KVHeads, c.HeadDim)))
	return generated, scored
}
