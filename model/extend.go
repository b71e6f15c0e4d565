package model

import (
	"context"
	"fmt"

	"github.com/sourcegraph/conc"

	"slimlab/kernels"
)

// Segment is a run of new tokens of one sequence in a step.
type Segment struct {
	Tokens []int32
	// absolute position of the first token; positions before it are in the pages already
	Start int
	Pages []int32 // the sequence's page table: position p is in page Pages[p/PageSize]
	// The page table of a sequence with the same tokens before Start, of which this one is a fork,
	// or nil. Where Start is inside a page, that page begins as a copy of the other's. What it
	// holds before Start may be computed in the same call, by a segment that is no fork.
	Fork []int32
	Last int // Extend returns the states of so many last tokens; 0 is 1
}

// last is the number of tokens whose states are asked for.
func (seg *Segment) last() int { return max(1, seg.Last) }

// Extender is scratch memory for extending sequences; one per goroutine. Buffers are reused from
// call to call.
type Extender struct {
	x, last []float32 // residual stream of all rows, and of those that are asked for
	// of all ranks: a norm's output, the heads' outputs, the neurons, what is added to the stream
	normed, heads, neurons, delta []float32
	work                          []workspace // of each rank: its part of them, queries, keys and values
	all, ends                     rows
	stores                        stores
	reach                         int // positions that the rotation table must hold

	// What is being computed, on what:
	ranks *Ranks
	pool  *KVPool
	layer int
	count int   // rows
	rows  *rows // of attend
	alone Ranks // of one model
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

// stores is the order in which keys and values are written: those of segments that are no forks,
// then copies of their pages, then those of forks.
type stores struct {
	plain, forks []kernels.KVSegment
	copies       []kernels.PageCopy
}

func (s *stores) clear() { s.plain, s.forks, s.copies = s.plain[:0], s.forks[:0], s.copies[:0] }

func (s *stores) add(to kernels.KVSegment, fork []int32, pageSize int) {
	if page := to.Start / pageSize; len(fork) > 0 && to.Start%pageSize > 0 {
		s.forks = append(s.forks, to)
		s.copies = append(s.copies, kernels.PageCopy{From: fork[page], To: to.Table[page]})
		return
	}
	s.plain = append(s.plain, to)
}

func (s *stores) write(l *kernels.KVLayer, k, v []float32) {
	kernels.StoreKV(l, k, v, s.plain)
	l.CopyPages(s.copies)
	kernels.StoreKV(l, k, v, s.forks)
}

// NewExtender plans scratch for steps of up to tokens tokens; a larger step grows it.
func NewExtender(c Config, tokens int) *Extender {
	w := c.widest()
	e := &Extender{work: make([]workspace, 1)}
	for _, buf := range []*[]float32{&e.x, &e.normed, &e.delta} {
		sized(buf, tokens*c.Hidden)
	}
	for _, buf := range []*[]float32{&e.work[0].q, &e.heads} {
		sized(buf, tokens*w.Heads*c.HeadDim)
	}
	for _, buf := range []*[]float32{&e.work[0].k, &e.work[0].v} {
		sized(buf, tokens*w.KVHeads*c.HeadDim)
	}
	for _, buf := range []*[]float32{&e.neurons, &e.work[0].up} {
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
	return e.ExtendRanks(e.undivided(m), pool, segments)
}

// ExtendRanks is Extend of a model that is divided between ranks, over a pool of theirs.
func (e *Extender) ExtendRanks(r *Ranks, pool *KVPool, segments []Segment) (hidden []float32) {
	if len(segments) == 0 {
		return nil
	}
	e.begin(r, pool, segments)
	final := len(r.whole.Blocks) - 1
	for e.layer = range final {
		e.store(true)
		e.attend(e.x, &e.all)
		e.mlp(e.x, len(e.all.positions))
	}
	// Of the last layer only the keys and values of every row are needed, and the rows that are
	// asked for.
	e.layer = final
	e.store(false)
	return e.finish(e.lastRows())
}

// ExtendAll is Extend but returns the hidden states [tokens, hidden] of every new token, in the
// order of the segments. When ctx ends it returns soon, with its error.
func (e *Extender) ExtendAll(ctx context.Context, m *Model, pool *KVPool, segments []Segment) (hidden []float32, err error) {
	if len(segments) == 0 {
		return nil, nil
	}
	e.begin(e.undivided(m), pool, segments)
	for e.layer = range m.Blocks {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		e.store(true)
		e.attend(e.x, &e.all)
		const piece = 512 // rows between two looks at ctx
		for x := e.x; len(x) > 0; {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			rows := min(piece, len(x)/m.Hidden)
			e.mlp(x[:rows*m.Hidden], rows)
			x = x[rows*m.Hidden:]
		}
	}
	m.Norm(e.x, len(e.all.positions))
	return e.x, nil
}

// undivided is a model as one rank, valid until the next call.
func (e *Extender) undivided(m *Model) *Ranks {
	e.alone.whole, e.alone.shares = m, append(e.alone.shares[:0], m)
	return &e.alone
}

// begin checks the segments, lists their rows and embeds their tokens.
func (e *Extender) begin(r *Ranks, pool *KVPool, segments []Segment) {
	m := r.whole
	if len(pool.ranks) != len(r.shares) || len(pool.ranks[0]) != len(m.Blocks) {
		panic(fmt.Sprintf("model: step over a pool of %d ranks and %d layers, the model has %d and %d", len(pool.ranks), len(pool.ranks[0]), len(r.shares), len(m.Blocks)))
	}
	e.on(r, pool)
	for i, seg := range segments {
		seg.check(i, &m.Config, pool)
		e.addRows(seg.Pages, len(seg.Tokens), seg.Start, seg.Fork)
		e.ends.add(seg.Pages, seg.last(), seg.Start+len(seg.Tokens)-seg.last())
	}
	sized(&e.x, len(e.all.positions)*m.Hidden)
	for i, seg := range segments {
		m.Embed(e.x[e.all.segments[i].Row*m.Hidden:], seg.Tokens)
	}
}

// on begins work over a pool, without rows.
func (e *Extender) on(r *Ranks, pool *KVPool) {
	e.ranks, e.pool, e.reach = r, pool, 0
	for len(e.work) < len(r.shares) {
		e.work = append(e.work, workspace{})
	}
	e.all.clear()
	e.ends.clear()
	e.stores.clear()
}

// addRows lists the rows of a segment.
func (e *Extender) addRows(pages []int32, count, start int, fork []int32) {
	e.all.add(pages, count, start)
	e.stores.add(e.all.segments[len(e.all.segments)-1], fork, e.pool.PageSize)
	e.reach = max(e.reach, start+count)
}

func (seg Segment) check(i int, c *Config, pool *KVPool) {
	end := seg.Start + len(seg.Tokens)
	if len(seg.Tokens) == 0 || seg.Start < 0 || end > c.MaxPositions {
		panic(fmt.Sprintf("model: segment %d has positions %d to %d, expected at least one within 0 to %d", i, seg.Start, end-1, c.MaxPositions-1))
	}
	if seg.Last < 0 || seg.Last > len(seg.Tokens) {
		panic(fmt.Sprintf("model: segment %d asks for the states of %d of its %d tokens", i, seg.Last, len(seg.Tokens)))
	}
	checkTable := func(what string, table []int32, end int) {
		if len(table)*pool.PageSize < end {
			panic(fmt.Sprintf("model: segment %d %s at position %d, its %d pages of %d hold %d", i, what, end-1, len(table), pool.PageSize, len(table)*pool.PageSize))
		}
		for _, p := range table[:(end+pool.PageSize-1)/pool.PageSize] {
			if p < 0 || int(p) >= pool.Pages {
				panic(fmt.Sprintf("model: segment %d %s in page %d, the pool has 0 to %d", i, what, p, pool.Pages-1))
			}
		}
	}
	checkTable("ends", seg.Pages, end)
	if len(seg.Fork) > 0 {
		checkTable("forks", seg.Fork, seg.Start)
	}
}

// each runs a part of a layer on all ranks at once.
func (e *Extender) each(part func(e *Extender, rank int)) {
	if len(e.ranks.shares) == 1 {
		part(e, 0)
		return
	}
	var ranks conc.WaitGroup
	for rank := range e.ranks.shares {
		ranks.Go(func() { part(e, rank) })
	}
	ranks.Wait()
}

// own is where a rank writes its columns of whole: one that is alone writes there, others to memory
// of theirs, from where join takes them.
func (e *Extender) own(buf *[]float32, whole []float32, n int) []float32 {
	if len(e.ranks.shares) == 1 {
		return whole
	}
	return sized(buf, n)
}

// join writes a rank's part to its columns of whole [count, width].
func (e *Extender) join(whole, part []float32, width, rank int) {
	if n := len(e.ranks.shares); n > 1 {
		first := firstOf(width, rank, n)
		putColumns(whole, part, e.count, width, first, firstOf(width, rank+1, n)-first)
	}
}

// store norms the residual stream of all rows and writes their keys and values into the pool; with
// queries, it makes those of all rows too.
func (e *Extender) store(queries bool) {
	m := e.ranks.whole
	e.count = len(e.all.positions)
	m.rmsNorm(m.Blocks[e.layer].AttentionNorm).Forward(sized(&e.normed, e.count*m.Hidden), nil, e.x, e.count)
	if queries {
		e.each((*Extender).storeAndAsk)
	} else {
		e.each((*Extender).storeOnly)
	}
}

func (e *Extender) storeAndAsk(rank int) {
	m, w, n := e.ranks.shares[rank], &e.work[rank], e.count
	bl, c := &m.Blocks[e.layer], m.Layers[e.layer]
	q, k, v := sized(&w.q, n*c.Heads*m.HeadDim), sized(&w.k, n*c.KVHeads*m.HeadDim), sized(&w.v, n*c.KVHeads*m.HeadDim)
	kernels.Run(bl.Q.begin(q, e.normed, n), bl.K.begin(k, e.normed, n), bl.V.begin(v, e.normed, n))
	bl.Q.addBias(q, n)
	e.storeRank(rank)
}

func (e *Extender) storeOnly(rank int) {
	m, w, n := e.ranks.shares[rank], &e.work[rank], e.count
	bl, width := &m.Blocks[e.layer], m.Layers[e.layer].KVHeads*m.HeadDim
	k, v := sized(&w.k, n*width), sized(&w.v, n*width)
	kernels.Run(bl.K.begin(k, e.normed, n), bl.V.begin(v, e.normed, n))
	e.storeRank(rank)
}

// storeRank writes a rank's keys and values, which are multiplied.
func (e *Extender) storeRank(rank int) {
	m, w, n := e.ranks.shares[rank], &e.work[rank], e.count
	bl := &m.Blocks[e.layer]
	bl.K.addBias(w.k, n)
	bl.V.addBias(w.v, n)
	m.normHeads(w.k, bl.KNorm)
	kernels.Rope(w.k, e.all.positions, m.Layers[e.layer].KVHeads, e.ranks.whole.rope(e.reach))
	e.stores.write(e.pool.ranks[rank][e.layer], w.k, w.v)
}

// lastRows moves the rows that are asked for to the front of normed, as store left it, and returns
// their residual stream.
func (e *Extender) lastRows() (last []float32) {
	d := e.ranks.whole.Hidden
	last = sized(&e.last, len(e.ends.positions)*d)
	for i, to := range e.ends.segments {
		all := e.all.segments[i]
		from := all.Row + all.Rows - to.Rows // at least to.Row: no row is overwritten before it is read
		copy(last[to.Row*d:(to.Row+to.Rows)*d], e.x[from*d:])
		copy(e.normed[to.Row*d:(to.Row+to.Rows)*d], e.normed[from*d:])
	}
	return last
}

// finish takes the last rows, whose keys and values are stored, through the last layer and the
// final norm.
func (e *Extender) finish(last []float32) []float32 {
	e.count = len(e.ends.positions)
	e.each((*Extender).ask)
	e.attend(last, &e.ends)
	e.mlp(last, e.count)
	e.ranks.whole.Norm(last, e.count)
	return last
}

// ask makes a rank's queries of normed.
func (e *Extender) ask(rank int) {
	m, w := e.ranks.shares[rank], &e.work[rank]
	m.Blocks[e.layer].Q.mulT(sized(&w.q, e.count*m.Layers[e.layer].Heads*m.HeadDim), e.normed, e.count)
}

// attend adds the attention half of a layer to x, the residual stream of the rows in r, whose
// queries are made.
func (e *Extender) attend(x []float32, r *rows) {
	m := e.ranks.whole
	e.rows, e.count = r, len(r.positions)
	sized(&e.heads, e.count*m.Layers[e.layer].Heads*m.HeadDim)
	sized(&e.delta, e.count*m.Hidden)
	e.each((*Extender).attendRank)
	e.each((*Extender).projectHeads)
	kernels.Add(x, e.delta)
}

func (e *Extender) attendRank(rank int) {
	m, w := e.ranks.shares[rank], &e.work[rank]
	c := m.Layers[e.layer]
	m.normHeads(w.q, m.Blocks[e.layer].QNorm)
	kernels.Rope(w.q, e.rows.positions, c.Heads, e.ranks.whole.rope(e.reach))
	heads := e.own(&w.heads, e.heads, e.count*c.Heads*m.HeadDim)
	kernels.AttentionPaged(heads, w.q, e.pool.ranks[rank][e.layer], e.rows.segments, c.Heads)
	e.join(e.heads, heads, e.ranks.whole.Layers[e.layer].Heads*m.HeadDim, rank)
}

func (e *Extender) projectHeads(rank int) {
	e.project(rank, &e.ranks.shares[rank].Blocks[e.layer].O, e.heads)
}

// project writes what a rank's part of a linear layer makes of input to delta.
func (e *Extender) project(rank int, l *Linear, input []float32) {
	out, _ := l.Weight.Shape()
	delta := e.own(&e.work[rank].delta, e.delta, e.count*out)
	l.mulT(delta, input, e.count)
	e.join(e.delta, delta, e.ranks.whole.Hidden, rank)
}

// mlp adds the feed-forward half of a layer to x, n rows of the residual stream.
func (e *Extender) mlp(x []float32, n int) {
	m := e.ranks.whole
	e.count = n
	m.rmsNorm(m.Blocks[e.layer].MLPNorm).Forward(sized(&e.normed, n*m.Hidden), nil, x, n)
	sized(&e.neurons, n*m.Layers[e.layer].MLP)
	sized(&e.delta, n*m.Hidden)
	e.each((*Extender).gateAndUp)
	e.each((*Extender).down)
	kernels.Add(x, e.delta)
}

func (e *Extender) gateAndUp(rank int) {
	m, w, n := e.ranks.shares[rank], &e.work[rank], e.count
	bl, width := &m.Blocks[e.layer], m.Layers[e.layer].MLP
	gate, up := e.own(&w.gate, e.neurons, n*width), sized(&w.up, n*width)
	kernels.Run(bl.Gate.begin(gate, e.normed, n), bl.Up.begin(up, e.normed, n))
	bl.Gate.addBias(gate, n)
	bl.Up.addBias(up, n)
	kernels.SwiGLU(gate, gate, up)
	e.join(e.neurons, gate, e.ranks.whole.Layers[e.layer].MLP, rank)
}

func (e *Extender) down(rank int) {
	e.project(rank, &e.ranks.shares[rank].Blocks[e.layer].Down, e.neurons)
}
