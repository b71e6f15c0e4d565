package kernels

import (
	"cmp"
	"fmt"
	"slices"

	"slimlab/kernels/memory"
	"slimlab/kernels/parallel"
)

// AttentionPaged computes causal attention of the segments' new queries over the pages of their
// sequences, which hold the keys and values of all positions up to each query's own already. q and
// out are [rows, heads, HeadDim]. Segments whose tables begin with the same pages read the blocks
// that they share once, together. A row's bits depend only on its query and on the cached keys and
// values: not on the other rows and segments, how a prompt was chunked, the page size or threads.
//
// In the formats below float32 a CPU that multiplies bfloat16 rounds queries and softmax weights to
// it; elsewhere keys and values are widened and everything is computed in float32.
func AttentionPaged(out, q []float32, l *KVLayer, segments []KVSegment, heads int) {
	attendPages(out, nil, q, l, segments, heads)
}

// attendPages is AttentionPaged with the log-sum-exp of the scores, lse [rows, heads], unless it is
// nil.
func attendPages(out, lse, q []float32, l *KVLayer, segments []KVSegment, heads int) {
	checkHeads("AttentionPaged", heads, l.KVHeads)
	rows := l.check("AttentionPaged", segments)
	checkLen("AttentionPaged out", out, rows*heads*l.HeadDim)
	checkLen("AttentionPaged q", q, rows*heads*l.HeadDim)
	a := freePaged.Get()
	a.rk, a.layer, a.out, a.lse, a.q, a.segments = &active.Load().rows, l, out, lse, q, segments
	a.heads, a.group, a.scale = heads, heads/l.KVHeads, scoreScale(l.HeadDim)
	a.plan()
	tasks := len(a.units) * l.KVHeads
	if a.work()*heads*l.HeadDim <= 4*blockElements {
		for i := range tasks {
			a.run(i)
		}
	} else {
		parallel.For(tasks, a.task)
	}
	a.rk, a.layer, a.out, a.lse, a.q, a.segments = nil, nil, nil, nil, nil, nil
	freePaged.Put(a)
}

// pagedAttention is one call of AttentionPaged. Queries are stacked: a piece is rows of one segment
// within one block of positions, each row with the query heads of a KV head; a unit is pieces that
// begin with a common block, or one alone, and with one KV head a task. What a query computes does
// not depend on what it is stacked with.
type pagedAttention struct {
	rk       *rowKernels
	layer    *KVLayer
	out, q   []float32
	lse      []float32
	segments []KVSegment

	heads, group int
	scale        float32

	order  []int32 // segments by their tables
	pieces []piece
	units  []pagedUnit

	task func(i int) // run and byTable, bound once
	less func(i, j int32) int
}

type piece struct {
	table    []int32
	row      int // in q and out
	rows     int
	position int // of the first row
	stacked  int // queries of the unit before it
}

// full is the number of blocks that every row of the piece sees whole, end the number of positions
// that the last one sees.
func (p *piece) full() int { return (p.position + 1) / KVBlock }
func (p *piece) end() int  { return p.position + p.rows }

// pagedUnit is pieces from … to-1, stack queries in all; cost is about the number of queries times
// blocks.
type pagedUnit struct{ from, to, stack, cost int }

var freePaged = memory.NewFreeList(16, func() *pagedAttention {
	a := new(pagedAttention)
	a.task, a.less = a.run, a.byTable
	return a
})

// byTable orders segments so that those with a common prefix of pages are neighbours.
func (a *pagedAttention) byTable(i, j int32) int {
	s, t := &a.segments[i], &a.segments[j]
	size := a.layer.PageSize
	if c := slices.Compare(s.Table[:s.Start/size], t.Table[:t.Start/size]); c != 0 {
		return c
	}
	return cmp.Compare(i, j)
}

// plan cuts the segments into pieces and gathers them into units of at most KVBlock queries where a
// group allows it, largest first.
func (a *pagedAttention) plan() {
	a.order, a.pieces, a.units = a.order[:0], a.pieces[:0], a.units[:0]
	for i := range a.segments {
		a.order = append(a.order, int32(i))
	}
	slices.SortFunc(a.order, a.less)
	step := max(1, KVBlock/a.group)
	for _, i := range a.order {
		s := &a.segments[i]
		for r := 0; r < s.Rows; {
			position := s.Start + r
			n := min(s.Rows-r, step, KVBlock-position%KVBlock)
			// Only as far as check has looked: the entries after that are arbitrary.
			a.add(piece{table: s.Table[:(position+n+a.layer.PageSize-1)/a.layer.PageSize], row: s.Row + r, rows: n, position: position})
			r += n
		}
	}
	slices.SortFunc(a.units, func(u, v pagedUnit) int {
		return cmp.Or(cmp.Compare(v.cost, u.cost), cmp.Compare(u.from, v.from))
	})
}

// add puts a piece into the last unit if it fits and shares a block with it, else into a new one.
func (a *pagedAttention) add(p piece) {
	stack := p.rows * a.group
	cost := stack * (p.end() + KVBlock - 1) / KVBlock
	if n := len(a.units); n > 0 {
		u := &a.units[n-1]
		if u.stack+stack <= KVBlock && a.common(&a.pieces[u.from], &p) > 0 {
			p.stacked = u.stack
			a.pieces = append(a.pieces, p)
			u.to, u.stack, u.cost = u.to+1, u.stack+stack, u.cost+cost
			return
		}
	}
	a.pieces = append(a.pieces, p)
	a.units = append(a.units, pagedUnit{len(a.pieces) - 1, len(a.pieces), stack, cost})
}

// common is the number of leading blocks that two pieces share and that all their rows see whole.
func (a *pagedAttention) common(p, q *piece) int {
	size := a.layer.PageSize
	blocks := min(p.full(), q.full())
	for i := range blocks * KVBlock / size {
		if p.table[i] != q.table[i] {
			return i * size / KVBlock
		}
	}
	return blocks
}

// work is the number of pairs of rows and positions, of one head.
func (a *pagedAttention) work() (pairs int) {
	for _, u := range a.units {
		pairs += u.cost * KVBlock / a.group
	}
	return pairs
}

// run computes one unit with one KV head.
func (a *pagedAttention) run(task int) {
	u, g := a.units[task/a.layer.KVHeads], task%a.layer.KVHeads
	w := freeStacks.Get()
	w.begin(a, u, g)
	a.visit(w, u.from, u.to, 0)
	w.end(u)
	freeStacks.Put(w)
}

// visit takes pieces from … to-1, which share the blocks before block, through the other blocks: as
// one stack as far as they share them, then in runs that share more.
func (a *pagedAttention) visit(w *queryStack, from, to, block int) {
	p := &a.pieces[from]
	if to-from == 1 {
		for ; block*KVBlock < p.end(); block++ {
			w.block(block, p.table, min(KVBlock, p.end()-block*KVBlock), p.stacked, p.stacked+p.rows*a.group, p.position-block*KVBlock)
		}
		return
	}
	shared := p.full()
	for i := from + 1; i < to; i++ {
		shared = min(shared, a.common(p, &a.pieces[i]))
	}
	last := &a.pieces[to-1]
	for ; block < shared; block++ {
		w.block(block, p.table, KVBlock, p.stacked, last.stacked+last.rows*a.group, KVBlock)
	}
	for from < to {
		end := from + 1
		for end < to && a.common(&a.pieces[from], &a.pieces[end]) > block {
			end++
		}
		a.visit(w, from, end, block)
		from = end
	}
}

func checkHeads(what string, heads, kvHeads int) {
	if kvHeads < 1 || heads < 1 || heads%kvHeads != 0 {
		panic(fmt.Sprintf("kernels: %s has %d heads over %d KV heads, needs a multiple", what, heads, kvHeads))
	}
}
