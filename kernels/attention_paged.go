package kernels

import (
	"cmp"
	"fmt"
	"math"
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

// byTable orders segments so that those with a common prefix of pages stand together.
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
			// No further than check has looked: what follows may be anything.
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

// visit takes pieces from … to-1, which share the blocks before block, through the others: together
// as far as they share them, then in runs that share more.
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

// attentionStrip is the argument of rowKernels.attend: at most stripRows queries and one block of
// positions.
type attentionStrip struct {
	q             *uint16 // [rows, 2·dimPairs] bfloat16
	out, sum, max *float32
	// of each run: dimPairs lines of K kStride apart, 8 pairs of V vStride apart
	k, v [KVBlock / stripRun]*uint16
	// K of the next block, to fetch linesAhead lines of each panel
	kNext            [KVBlock / stripRun]*uint16
	kScale, vScale   *float32 // [KVBlock], or nil
	work             *float32 // [stripWork], aligned to a line
	rows             int
	dimPairs         int
	pairs            int // of positions that are multiplied with V
	outPanels        int // HeadDim/16
	qStride, kStride int // bytes
	vStride          int
	outStride        int
	ahead            int // 0 to fetch the block's V, too, -1 not to
	linesAhead       int
	masked           int // whether any position is hidden
	hidden           [8]uint64
	scale            float32
}

const (
	stripRows = 7
	stripRun  = 16 // positions that attend finds together
	stripWork = (8*64 + 2*64 + stripRows*128) / 4
)

// queryStack is the state of a unit's queries with one KV head while they go through the blocks.
type queryStack struct {
	a    *pagedAttention
	g    int
	fast bool // attend takes them, else the products of float32

	sums     []float32 // [stack, HeadDim]
	state    softmaxState
	queries  []float32 // [stack, HeadDim]
	keys     []float32 // [HeadDim, KVBlock], gathered or widened
	values   []float32 // [KVBlock, HeadDim], likewise
	scores   []float32 // [stack, KVBlock]
	part     []float32 // [stack, HeadDim]
	memory   []float32
	strip    attentionStrip
	q16      []uint16
	k16, v16 []uint16 // a block gathered or widened
	lanes    []float32
	kvScales []float32 // [2, KVBlock]
	work     []float32 // attend's
}

var freeStacks = memory.NewFreeList(64, func() *queryStack {
	return &queryStack{work: memory.Aligned[float32](stripWork), kvScales: memory.Aligned[float32](2 * KVBlock)}
})

// grown returns x with n elements of any content, beginning at a line if it had to grow.
func grown[T any](x []T, n int) []T {
	if cap(x) < n {
		return memory.Aligned[T](n)
	}
	return x[:n]
}

// begin gathers the unit's queries and clears the state.
func (w *queryStack) begin(a *pagedAttention, u pagedUnit, g int) {
	d, l := a.layer.HeadDim, a.layer
	w.a, w.g = a, g
	w.fast = l.Format != KVFloat32 && a.rk.attend != nil && d%16 == 0
	n := u.stack
	w.memory = memory.Grown(w.memory, n*(2*d+KVBlock+4)+2*KVBlock*d)
	rest := w.memory
	take := func(n int) []float32 {
		x := rest[:n:n]
		rest = rest[n:]
		return x
	}
	w.sums, w.part, w.scores, w.keys, w.values = take(n*d), take(n*d), take(n*KVBlock), take(KVBlock*d), take(KVBlock*d)
	w.state = softmaxState{take(n), take(n), take(n), take(n)}
	w.queries = memory.Grown(w.queries, n*d)
	clear(w.sums)
	w.state.reset(n)
	width := a.group * d // a row's queries of this KV head lie together
	for i := u.from; i < u.to; i++ {
		p := &a.pieces[i]
		for r := range p.rows {
			copy(w.queries[p.stacked*d+r*width:][:width], a.q[(p.row+r)*a.heads*d+g*width:])
		}
	}
	if w.fast {
		w.q16, w.lanes = memory.Grown(w.q16, n*d), memory.Grown(w.lanes, n*16)
		a.rk.roundRows(w.q16, w.queries, n, d, d)
		clear(w.lanes)
		w.k16, w.v16 = memory.Grown(w.k16, KVBlock*d), memory.Grown(w.v16, KVBlock*d)
	}
}

// end writes the unit's rows of out.
func (w *queryStack) end(u pagedUnit) {
	a, d := w.a, w.a.layer.HeadDim
	width := a.group * d
	for i := u.from; i < u.to; i++ {
		p := &a.pieces[i]
		for r := range p.rows * a.group {
			at := p.stacked + r
			sum, unit := w.state.sum[at], 1.0 // of the maximum, in nats
			if w.fast {
				sum, unit = foldLanes(w.lanes[at*16:][:16]), math.Ln2
			}
			if a.lse != nil {
				a.lse[(p.row+r/a.group)*a.heads+w.g*a.group+r%a.group] = float32(float64(w.state.max[at])*unit + math.Log(float64(sum)))
			}
			row := a.out[(p.row+r/a.group)*a.heads*d+w.g*width+r%a.group*d:][:d]
			// Added to zero, so that no row tells a sum that vanished from below from one that was
			// never there.
			clear(row)
			a.rk.axpy(row, w.sums[at*d:][:d], 1/sum)
		}
	}
	w.a, w.strip = nil, attentionStrip{}
}

func foldLanes(x []float32) float32 {
	for n := len(x) / 2; n > 0; n /= 2 {
		for i := range n {
			x[i] += x[i+n]
		}
	}
	return x[0]
}

// block takes queries lo … hi-1 of the stack through cols positions of a block. Query lo+i sees the
// positions up to first + i/group.
func (w *queryStack) block(block int, table []int32, cols, lo, hi, first int) {
	l := w.a.layer
	pages := table[block*KVBlock/l.PageSize:][:(cols+l.PageSize-1)/l.PageSize]
	if w.fast {
		next := table[block*KVBlock/l.PageSize:][len(pages):]
		w.point(pages, next, cols)
		w.ahead(next)
		w.attend(cols, lo, hi, first)
		return
	}
	rk, d, n := w.a.rk, l.HeadDim, hi-lo
	keys, values := w.floats(pages, cols)
	state := softmaxState{w.state.max[lo:hi], w.state.sum[lo:hi], w.state.shrink[lo:hi], w.state.new[lo:hi]}
	rk.product(w.scores, w.queries[lo*d:], keys, blockShape{m: n, n: cols, k: d, ldc: KVBlock, aRow: d, aCol: 1, ldb: KVBlock})
	state.add(rk, w.scores, n, cols, first, w.a.group, w.a.scale)
	rk.product(w.part, w.scores, values, blockShape{m: n, n: d, k: cols, ldc: d, aRow: KVBlock, aCol: 1, ldb: d})
	for r := range n {
		rk.scaleAdd(w.sums[(lo+r)*d:][:d], w.part[r*d:][:d], state.shrink[r])
	}
}

// floats returns a block's keys [HeadDim, KVBlock] and values [KVBlock, HeadDim] in float32: the
// page itself where it is a whole block of float32, else gathered. What lies beyond cols is of any
// content.
func (w *queryStack) floats(pages []int32, cols int) (keys, values []float32) {
	l, d := w.a.layer, w.a.layer.HeadDim
	size := l.PageSize
	if l.Format == KVFloat32 && size == KVBlock {
		at := (int(pages[0])*l.KVHeads + w.g) * size * d
		return l.k[at : at+size*d], l.v[at : at+size*d]
	}
	keys, values = w.keys, w.values
	for i, page := range pages {
		head, c := int(page)*l.KVHeads+w.g, i*size
		at := head * size * d
		switch l.Format {
		case KVFloat32:
			copy(values[c*d:], l.v[at:at+size*d])
			page := l.k[at : at+size*d]
			for i := range d {
				copy(keys[i*KVBlock+c:][:size], page[i*size:])
			}
		case KVBFloat16:
			w.a.rk.widenPairs(keys[c:], l.k16[at:at+size*d], d/2, size, KVBlock)
			w.a.rk.widenPairs(values[c*d:], l.v16[at:at+size*d], size/2, d, d)
		case KVInt8:
			widenCodes(keys[c:], l.k8[at:at+size*d], d/2, size, KVBlock)
			widenCodes(values[c*d:], l.v8[at:at+size*d], size/2, d, d)
			for s := range min(size, cols-c) {
				for i := range d {
					keys[i*KVBlock+c+s] *= l.kScale[head*size+s]
				}
				w.a.rk.scale(values[(c+s)*d:][:d], values[(c+s)*d:][:d], l.vScale[head*size+s])
			}
		}
	}
	return keys, values
}

// widenCodes is rowKernels.widenPairs for codes.
func widenCodes(dst []float32, pairs []int8, n, width, stride int) {
	for i := range n {
		row, first, second := pairs[2*i*width:][:2*width], dst[2*i*stride:][:width], dst[(2*i+1)*stride:][:width]
		for j := range first {
			first[j], second[j] = float32(row[2*j]), float32(row[2*j+1])
		}
	}
}

// attend is block for bfloat16 products.
func (w *queryStack) attend(cols, lo, hi, first int) {
	d, s := w.a.layer.HeadDim, &w.strip
	s.work, s.scale = &w.work[0], w.a.scale*log2e
	s.dimPairs, s.pairs, s.outPanels = d/2, (cols+1)/2, d/16
	s.qStride, s.vStride, s.outStride = 2*d, 4*d, 4*d
	strips := (hi - lo + stripRows - 1) / stripRows
	for i := range strips {
		r, end := lo+i*(hi-lo)/strips, lo+(i+1)*(hi-lo)/strips
		s.rows, s.masked = end-r, 0
		if seen := first + (r-lo)/w.a.group + 1; seen < KVBlock {
			s.masked = 1
			for j := range s.rows {
				s.hidden[j] = ^uint64(0) << min(KVBlock, first+(r-lo+j)/w.a.group+1)
			}
		}
		s.q, s.out, s.sum, s.max = &w.q16[r*d], &w.sums[r*d], &w.lanes[r*16], &w.state.max[r]
		w.a.rk.attend(s)
		s.ahead, s.linesAhead = -1, 0
	}
}

const log2e = 1.442695040888963407359924681001892137

// point sets the strip's keys and values to those of a block's pages, in place where a page holds
// 16 positions or more, else gathered. next are the pages after them.
func (w *queryStack) point(pages, next []int32, cols int) {
	l, s := w.a.layer, &w.strip
	d, size := l.HeadDim, l.PageSize
	if l.Format == KVBFloat16 && size >= stripRun {
		for j := range s.k {
			// Beyond cols there may be no page; scores of any other are hidden.
			i := min(j*stripRun/size, len(pages)-1)
			head := (int(pages[i])*l.KVHeads + w.g) * size * d
			s.k[j], s.v[j] = &l.k16[head+j*stripRun%size*2], &l.v16[head+j*stripRun%size*d]
		}
		s.kStride = 4 * size
		if last := cols / stripRun; cols%2 != 0 {
			// The partner of the last position has not been stored: whatever it is, it must not
			// meet a weight of zero as a NaN.
			i := last * stripRun / size
			head := (int(pages[i])*l.KVHeads+w.g)*size*d + last*stripRun%size*d
			n := (cols%stripRun + 1) * d
			copy(w.v16, l.v16[head:head+n])
			clearSecond(w.v16[n-2*d : n])
			s.v[last] = &w.v16[0]
		}
		return
	}
	for i, page := range pages {
		head, c := int(page)*l.KVHeads+w.g, i*size
		at := head * size * d
		if l.Format == KVBFloat16 {
			copy(w.v16[c*d:], l.v16[at:at+size*d])
			for p := range d / 2 {
				copy(w.k16[p*2*KVBlock+2*c:], l.k16[at+p*2*size:][:2*size])
			}
			continue
		}
		then := at
		if i < len(next) {
			then = (int(next[i])*l.KVHeads + w.g) * size * d
		}
		w.a.rk.unpackInt8(w.v16[c*d:], l.v8[at:at+size*d], l.v8[then:], 1, size*d, 0)
		w.a.rk.unpackInt8(w.k16[2*c:], l.k8[at:at+size*d], l.k8[then:], d/2, 2*size, 2*KVBlock)
		copy(w.kvScales[c:KVBlock], l.kScale[head*size:][:size])
		copy(w.kvScales[KVBlock+c:], l.vScale[head*size:][:size])
	}
	if l.Format == KVInt8 {
		clear(w.kvScales[KVBlock+cols:])
		s.kScale, s.vScale = &w.kvScales[0], &w.kvScales[KVBlock]
	} else if cols%2 != 0 {
		clearSecond(w.v16[(cols-1)*d : (cols+1)*d])
	}
	for j := range s.k {
		s.k[j], s.v[j] = &w.k16[j*stripRun*2], &w.v16[j*stripRun*d]
	}
	s.kStride = 4 * KVBlock
}

// ahead lets the strip fetch the block's values and the keys of the pages after it, if they are
// read in place.
func (w *queryStack) ahead(pages []int32) {
	l, s := w.a.layer, &w.strip
	s.ahead, s.linesAhead = -1, 0
	if l.Format != KVBFloat16 || l.PageSize < stripRun {
		return
	}
	s.ahead = 0
	if len(pages) == 0 {
		return
	}
	for j := range s.kNext {
		i := min(j*stripRun/l.PageSize, len(pages)-1)
		s.kNext[j] = &l.k16[(int(pages[i])*l.KVHeads+w.g)*l.PageSize*l.HeadDim+j*stripRun%l.PageSize*2]
	}
	s.linesAhead = l.HeadDim / 2
}

// clearSecond zeroes the second of each pair.
func clearSecond(pairs []uint16) {
	for i := 1; i < len(pairs); i += 2 {
		pairs[i] = 0
	}
}

func checkHeads(what string, heads, kvHeads int) {
	if kvHeads < 1 || heads < 1 || heads%kvHeads != 0 {
		panic(fmt.Sprintf("kernels: %s has %d heads over %d KV heads, needs a multiple", what, heads, kvHeads))
	}
}
