package kernels

import (
	"math"
	"unsafe"

	"slimlab/kernels/memory"
)

// queryStack is the state of a unit's queries with one KV head while they go through the blocks.
type queryStack struct {
	a    *pagedAttention
	g    int
	fast bool // attend takes them, else the products of float32

	sums     []float32 // [stack, HeadDim]
	state    softmaxState
	queries  []float32 // [stack, HeadDim]
	spun     []float32 // work of a rotation
	keys     []float32 // [HeadDim, KVBlock], gathered or widened
	values   []float32 // [KVBlock, HeadDim], likewise
	scores   []float32 // [stack, KVBlock]
	part     []float32 // [stack, HeadDim]
	memory   []float32
	strip    attentionStrip
	q16      []uint16
	k16, v16 []uint16 // a block gathered or widened
	codes    []int8   // of a page in int4
	lanes    []float32
	kvScales []float32 // [2, KVBlock]
	work     []float32 // attend's
}

var freeStacks = memory.NewFreeList(64, func() *queryStack {
	return &queryStack{work: memory.Aligned[float32](stripWork), kvScales: memory.Aligned[float32](2 * KVBlock)}
})

// begin gathers the unit's queries and clears the state.
func (w *queryStack) begin(a *pagedAttention, u pagedUnit, g int) {
	d, l := a.layer.HeadDim, a.layer
	w.a, w.g = a, g
	w.fast = !l.Format.has(kvFloat32) && a.rk.attend != nil && d%16 == 0
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
	width := a.group * d // a row's queries of this KV head are consecutive
	for i := u.from; i < u.to; i++ {
		p := &a.pieces[i]
		for r := range p.rows {
			copy(w.queries[p.stacked*d+r*width:][:width], a.q[(p.row+r)*a.heads*d+g*width:])
		}
	}
	if l.k.rotated || l.v.rotated {
		w.spun = memory.Grown(w.spun, d)
	}
	if l.k.rotated {
		for at := 0; at < n*d; at += d {
			l.rotation.apply(w.queries[at:at+d], w.spun)
		}
	}
	if l.Format.has(kvInt4) {
		w.codes = memory.Grown(w.codes, l.PageSize*d)
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
			// Added to zero, so that a sum that underflowed to -0 and one that was never there give
			// the same bits.
			clear(row)
			a.rk.axpy(row, w.sums[at*d:][:d], 1/sum)
			if a.layer.v.rotated {
				a.layer.rotation.undo(row, w.spun)
			}
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

// fewQueries is the most queries for which keys and values in bfloat16 are widened in registers,
// once for every four, and not gathered.
const fewQueries = 16

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
	state := softmaxState{w.state.max[lo:hi], w.state.sum[lo:hi], w.state.shrink[lo:hi], w.state.new[lo:hi]}
	direct := n <= fewQueries && rk.widened != nil && d%panelWidth == 0 && l.PageSize%panelWidth == 0
	if direct && l.k.code == kvBFloat16 {
		w.scorePairs(pages, lo, n, cols)
	} else {
		rk.product(w.scores, w.queries[lo*d:], w.floatKeys(pages, cols), blockShape{m: n, n: cols, k: d, ldc: KVBlock, aRow: d, aCol: 1, ldb: KVBlock})
	}
	state.add(rk, w.scores, n, cols, first, w.a.group, w.a.scale)
	if direct && l.v.code == kvBFloat16 {
		w.sumPairs(pages, table[block*KVBlock/l.PageSize:][len(pages):], n, cols)
	} else {
		rk.product(w.part, w.scores, w.floatValues(pages, cols), blockShape{m: n, n: d, k: cols, ldc: d, aRow: KVBlock, aCol: 1, ldb: d})
	}
	for r := range n {
		rk.scaleAdd(w.sums[(lo+r)*d:][:d], w.part[r*d:][:d], state.shrink[r])
	}
}

// scorePairs is the product of few queries, from lo on, with a block's keys in bfloat16 where they
// are. Beyond cols the scores are arbitrary. The values of the same positions are fetched.
func (w *queryStack) scorePairs(pages []int32, lo, n, cols int) {
	l, d := w.a.layer, w.a.layer.HeadDim
	size := l.PageSize
	for i, page := range pages {
		at, c := (int(page)*l.KVHeads+w.g)*size*d, i*size
		keys := l.k.words[at : at+size*d]
		ahead := 0
		if l.v.code == kvBFloat16 {
			ahead = bytesBetween(keys, l.v.words[at:])
		}
		columns := min(size, (cols-c+panelWidth-1)/panelWidth*panelWidth)
		w.a.rk.widened(w.scores[c:], KVBlock, w.queries[lo*d:], d, keys, size, panelWidth, ahead, n, columns, d/2, storeEnd)
	}
}

// sumPairs is the product of few queries' weights with a block's values in bfloat16 where they are:
// one chain for each sum, whatever the pages. The keys of the pages after them are fetched.
func (w *queryStack) sumPairs(pages, next []int32, n, cols int) {
	l, d := w.a.layer, w.a.layer.HeadDim
	size := l.PageSize
	end := storeEnd
	for i, page := range pages {
		at, c := (int(page)*l.KVHeads+w.g)*size*d, i*size
		values := l.v.words[at : at+size*d]
		ahead := 0
		if l.k.code == kvBFloat16 && i < len(next) {
			ahead = bytesBetween(values, l.k.words[(int(next[i])*l.KVHeads+w.g)*size*d:])
		}
		positions := min(size, cols-c)
		if pairs := positions / 2; pairs > 0 {
			w.a.rk.widened(w.part, d, w.scores[c:], KVBlock, values, d, panelWidth, ahead, n, d, pairs, end)
			end = continueEnd
		}
		if positions%2 == 0 {
			continue
		}
		// The partner of the last position has not been stored: whatever it is, it must not meet a
		// weight of zero as a NaN.
		w.v16 = memory.Grown(w.v16, KVBlock*d)
		last := w.v16[:2*d]
		copy(last, values[(positions-1)*d:])
		clearSecond(last)
		for r := range n {
			w.scores[r*KVBlock+cols] = 0
		}
		w.a.rk.widened(w.part, d, w.scores[cols-1:], KVBlock, last, d, panelWidth, 0, n, d, 1, end)
	}
}

// bytesBetween is the distance from the first element of x to that of y.
func bytesBetween(x, y []uint16) int {
	return int(uintptr(unsafe.Pointer(&y[0])) - uintptr(unsafe.Pointer(&x[0])))
}

// floatKeys returns a block's keys [HeadDim, KVBlock] in float32: the page itself where it is a
// whole block of them, else gathered. Beyond cols the content is arbitrary.
func (w *queryStack) floatKeys(pages []int32, cols int) []float32 {
	l, d := w.a.layer, w.a.layer.HeadDim
	size := l.PageSize
	if l.k.code == kvFloat32 && size == KVBlock {
		at := (int(pages[0])*l.KVHeads + w.g) * size * d
		return l.k.floats[at : at+size*d]
	}
	keys := w.keys
	for i, page := range pages {
		head, c := int(page)*l.KVHeads+w.g, i*size
		at := head * size * d
		switch l.k.code {
		case kvFloat32:
			page := l.k.floats[at : at+size*d]
			for i := range d {
				copy(keys[i*KVBlock+c:][:size], page[i*size:])
			}
		case kvBFloat16:
			w.a.rk.widenPairs(keys[c:], l.k.words[at:at+size*d], d/2, size, KVBlock)
		default:
			widenCodes(keys[c:], l.k.page(w.codes, head, size, d, 1), d/2, size, KVBlock)
			for s := range min(size, cols-c) {
				scale := l.k.scaleOf(head*size + s)
				for i := range d {
					keys[i*KVBlock+c+s] *= scale
				}
			}
		}
	}
	return keys
}

// floatValues is floatKeys for values [KVBlock, HeadDim].
func (w *queryStack) floatValues(pages []int32, cols int) []float32 {
	l, d := w.a.layer, w.a.layer.HeadDim
	size := l.PageSize
	if l.v.code == kvFloat32 && size == KVBlock {
		at := (int(pages[0])*l.KVHeads + w.g) * size * d
		return l.v.floats[at : at+size*d]
	}
	values := w.values
	for i, page := range pages {
		head, c := int(page)*l.KVHeads+w.g, i*size
		at := head * size * d
		switch l.v.code {
		case kvFloat32:
			copy(values[c*d:], l.v.floats[at:at+size*d])
		case kvBFloat16:
			w.a.rk.widenPairs(values[c*d:], l.v.words[at:at+size*d], size/2, d, d)
		default:
			widenCodes(values[c*d:], l.v.page(w.codes, head, size, d, size/2), size/2, d, d)
			for s := range min(size, cols-c) {
				w.a.rk.scale(values[(c+s)*d:][:d], values[(c+s)*d:][:d], l.v.scaleOf(head*size+s))
			}
		}
	}
	return values
}

// page is the int8 codes of a page's head, in place, or unpacked from int4 into codes. An int4 page
// has rows, of each of which the lower halves come first.
func (h *kvHalf) page(codes []int8, head, size, d, rows int) []int8 {
	at, n := head*size*d, size*d
	if h.code == kvInt8 {
		return h.codes[at : at+n]
	}
	unpackInt4(codes, h.packed[at/2:(at+n)/2], rows, n/2/rows)
	return codes[:n]
}

// scaleOf is the scale of a position's codes.
func (h *kvHalf) scaleOf(at int) float32 {
	if h.code == kvInt8 {
		return h.scale[at]
	}
	return fromBFloat16(h.scales[at])
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
