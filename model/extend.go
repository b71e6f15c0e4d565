package model

import (
	"context"
	"fmt"

	"slimlab/kernels"
)

// Segment is a run of new tokens of one sequence in a step.
type Segment struct {
	Tokens []int32
	// absolute position of the first token; positions before it are in the pages already
	Start int
	Pages []int32 // the sequence's page table: position p is in page Pages[p/PageSize]
	Last  int     // Extend returns the states of so many last tokens; 0 is 1
}

// last is the number of tokens whose states are asked for.
func (seg *Segment) last() int { return max(1, seg.Last) }

// Extender is scratch memory for extending sequences; one per goroutine. Buffers are reused from
// call to call.
type Extender struct {
	x, last   []float32 // residual stream of all rows, and of those that are asked for
	w         workspace
	all, ends rows
	reach     int // positions that the rotation table must hold
}

// rows is what is known of the rows of a buffer: all rows of a step, or those at the end of each
// segment that are asked for.
type rows struct {
	positions []int32
	segments  []kernels.KVSegment
}

func (r *rows) add(pages []int32, count, start int) {
	r.segments = append(r.segments, kernels.KVSegment{Table: pages, Row: len(r.positions), Rows: count, Start: start})
	for p := range count {
		r.positions = append(r.positions, int32(start+p))
	}
}

func (r *rows) clear() { r.positions, r.segments = r.positions[:0], r.segments[:0] }

// NewExtender plans scratch for steps of up to tokens tokens; a larger step grows it.
func NewExtender(c Config, tokens int) *Extender {
	e, w := new(Extender), c.widest()
	sized(&e.x, tokens*c.Hidden)
	for _, buf := range []*[]float32{&e.w.normed, &e.w.delta} {
		sized(buf, tokens*c.Hidden)
	}
	for _, buf := range []*[]float32{&e.w.q, &e.w.heads} {
		sized(buf, tokens*w.Heads*c.HeadDim)
	}
	for _, buf := range []*[]float32{&e.w.k, &e.w.v} {
		sized(buf, tokens*w.KVHeads*c.HeadDim)
	}
	for _, buf := range []*[]float32{&e.w.gate, &e.w.up} {
		sized(buf, tokens*w.MLP)
	}
	return e
}

// Extend runs the new tokens of all segments through m in one pass, writes their keys and values
// into the pool, and returns the final normed hidden states [rows, hidden] of each segment's last
// token, or of its Last ones, valid until the next call. A segment's bits do not depend on the
// others, nor a token's on how many are asked for. The caller computes logits with Model.Logits, or
// for a few labels only with LabelLogits.
//
// A segment may continue another of the same call, as all keys and values of a layer are written
// before any query reads them. An empty segment, a position beyond MaxPositions or the page table,
// a page outside the pool and a token outside the vocabulary panic with the numbers.
func (e *Extender) Extend(m *Model, pool *KVPool, segments []Segment) (hidden []float32) {
	if len(segments) == 0 {
		return nil
	}
	e.begin(m, pool, segments)
	final := len(m.Blocks) - 1
	for layer := range final {
		e.layer(m, pool, layer)
	}
	// Of the last layer only the keys and values of every row are needed, and the rows that are
	// asked for.
	e.store(m, pool, final, false)
	n, d := len(e.ends.positions), m.Hidden
	last, normed := sized(&e.last, n*d), e.w.normed
	for i, to := range e.ends.segments {
		all := e.all.segments[i]
		from := all.Row + all.Rows - to.Rows // at least to.Row: no row is overwritten before it is read
		copy(last[to.Row*d:(to.Row+to.Rows)*d], e.x[from*d:])
		copy(normed[to.Row*d:(to.Row+to.Rows)*d], normed[from*d:])
	}
	m.Blocks[final].Q.mulT(sized(&e.w.q, n*m.Layers[final].Heads*m.HeadDim), normed[:n*d], n)
	e.attend(m, pool, final, last, &e.ends)
	m.mlp(final, last, n, nil, &e.w)
	m.Norm(last, n)
	return last
}

// ExtendAll is Extend but returns the hidden states [tokens, hidden] of every new token, in the
// order of the segments. When ctx ends it returns soon, with its error.
func (e *Extender) ExtendAll(ctx context.Context, m *Model, pool *KVPool, segments []Segment) (hidden []float32, err error) {
	if len(segments) == 0 {
		return nil, nil
	}
	e.begin(m, pool, segments)
	for layer := range m.Blocks {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e.store(m, pool, layer, true)
		e.attend(m, pool, layer, e.x, &e.all)
		const piece = 512 // rows between two looks at ctx
		for x := e.x; len(x) > 0; {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			rows := min(piece, len(x)/m.Hidden)
			m.mlp(layer, x, rows, nil, &e.w)
			x = x[rows*m.Hidden:]
		}
	}
	m.Norm(e.x, len(e.all.positions))
	return e.x, nil
}

// begin checks the segments, lists their rows and embeds their tokens.
func (e *Extender) begin(m *Model, pool *KVPool, segments []Segment) {
	if len(pool.layers) != len(m.Blocks) {
		panic(fmt.Sprintf("model: step over a pool of %d layers, the model has %d", len(pool.layers), len(m.Blocks)))
	}
	e.all.clear()
	e.ends.clear()
	e.reach = 0
	for i, seg := range segments {
		seg.check(i, &m.Config, pool)
		end := seg.Start + len(seg.Tokens)
		e.all.add(seg.Pages, len(seg.Tokens), seg.Start)
		e.ends.add(seg.Pages, seg.last(), end-seg.last())
		e.reach = max(e.reach, end)
	}
	sized(&e.x, len(e.all.positions)*m.Hidden)
	for i, seg := range segments {
		m.Embed(e.x[e.all.segments[i].Row*m.Hidden:], seg.Tokens)
	}
}

func (seg Segment) check(i int, c *Config, pool *KVPool) {
	end := seg.Start + len(seg.Tokens)
	if len(seg.Tokens) == 0 || seg.Start < 0 || end > c.MaxPositions {
		panic(fmt.Sprintf("model: segment %d has positions %d to %d, expected at least one within 0 to %d", i, seg.Start, end-1, c.MaxPositions-1))
	}
	if seg.Last < 0 || seg.Last > len(seg.Tokens) {
		panic(fmt.Sprintf("model: segment %d asks for the states of %d of its %d tokens", i, seg.Last, len(seg.Tokens)))
	}
	if len(seg.Pages)*pool.PageSize < end {
		panic(fmt.Sprintf("model: segment %d ends at position %d, its %d pages of %d hold %d", i, end-1, len(seg.Pages), pool.PageSize, len(seg.Pages)*pool.PageSize))
	}
	for _, p := range seg.Pages[:(end+pool.PageSize-1)/pool.PageSize] {
		if p < 0 || int(p) >= pool.Pages {
			panic(fmt.Sprintf("model: segment %d is in page %d, the pool has 0 to %d", i, p, pool.Pages-1))
		}
	}
}

// layer runs all rows through one layer.
func (e *Extender) layer(m *Model, pool *KVPool, layer int) {
	e.store(m, pool, layer, true)
	e.attend(m, pool, layer, e.x, &e.all)
	m.mlp(layer, e.x, len(e.all.positions), nil, &e.w)
}

// store norms the residual stream of all rows and writes their keys and values into the pool; with
// queries, it makes those of all rows too.
func (e *Extender) store(m *Model, pool *KVPool, layer int, queries bool) {
	bl, c, n := &m.Blocks[layer], m.Layers[layer], len(e.all.positions)
	width := c.KVHeads * m.HeadDim
	normed := sized(&e.w.normed, n*m.Hidden)
	m.rmsNorm(bl.AttentionNorm).Forward(normed, nil, e.x, n)
	k, v := sized(&e.w.k, n*width), sized(&e.w.v, n*width)
	if queries {
		q := sized(&e.w.q, n*c.Heads*m.HeadDim)
		kernels.Run(bl.Q.begin(q, normed, n), bl.K.begin(k, normed, n), bl.V.begin(v, normed, n))
		bl.Q.addBias(q, n)
	} else {
		kernels.Run(bl.K.begin(k, normed, n), bl.V.begin(v, normed, n))
	}
	bl.K.addBias(k, n)
	bl.V.addBias(v, n)
	m.normHeads(k, bl.KNorm)
	kernels.Rope(k, e.all.positions, c.KVHeads, m.rope(e.reach))
	kernels.StoreKV(pool.layers[layer], k, v, e.all.segments)
}

// attend adds the attention half of a layer to x, the residual stream of the rows in r, whose
// queries are made.
func (e *Extender) attend(m *Model, pool *KVPool, layer int, x []float32, r *rows) {
	bl, c, n := &m.Blocks[layer], m.Layers[layer], len(r.positions)
	q, heads := e.w.q, sized(&e.w.heads, n*c.Heads*m.HeadDim)
	m.normHeads(q, bl.QNorm)
	kernels.Rope(q, r.positions, c.Heads, m.rope(e.reach))
	kernels.AttentionPaged(heads, q, pool.layers[layer], r.segments, c.Heads)
	delta := sized(&e.w.delta, n*m.Hidden)
	bl.O.mulT(delta, heads, n)
	kernels.Add(x, delta)
}
