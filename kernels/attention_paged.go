package kernels

import "fmt"

// KVPages is one layer's paged KV cache as one sequence sees it. K and V are the layer's whole pool; Table
// maps the sequence's page number to a page of the pool. PageSize divides KVBlock. A page of V is
// [kvHeads, PageSize, headDim]; a page of K is [kvHeads, headDim, PageSize], transposed so that the scores of a block need no
// packing. Whole pages may be copied; single positions are StoreKV's business.
type KVPages struct {
	K, V     []float32
	PageSize int
	Table    []int32
}

func (p KVPages) check(what string, positions int) {
	if p.PageSize < 1 || KVBlock%p.PageSize != 0 || len(p.Table)*p.PageSize < positions {
		panic(fmt.Sprintf("kernels: %s has %d pages of %d positions, needs %d positions in pages that divide %d", what, len(p.Table), p.PageSize, positions, KVBlock))
	}
}

// StoreKV writes k and v [rows, kvHeads, headDim] of positions start, start+1, … into the pages.
func StoreKV(p KVPages, k, v []float32, rows, start, kvHeads, headDim int) {
	checkLen("StoreKV k", k, rows*kvHeads*headDim)
	checkLen("StoreKV v", v, rows*kvHeads*headDim)
	p.check("StoreKV", start+rows)
	for r := range rows {
		page, slot := int(p.Table[(start+r)/p.PageSize]), (start+r)%p.PageSize
		for g := range kvHeads {
			head, from := (page*kvHeads+g)*p.PageSize*headDim, (r*kvHeads+g)*headDim
			copy(p.V[head+slot*headDim:][:headDim], v[from:])
			keys := p.K[head : head+p.PageSize*headDim]
			for i, x := range k[from : from+headDim] {
				keys[i*p.PageSize+slot] = x
			}
		}
	}
}

// AttentionPaged computes causal attention of rows new queries at positions start, start+1, … of one sequence over its
// pages, which hold positions 0 … start+rows-1 already. q and out are [rows, heads, headDim]. A row's bits depend
// only on its query and the cached keys and values: not on rows, start of the chunk, or PageSize.
func AttentionPaged(out, q []float32, p KVPages, rows, start, heads, kvHeads, headDim int) {
	checkLen("AttentionPaged out", out, rows*heads*headDim)
	checkLen("AttentionPaged q", q, rows*heads*headDim)
	checkHeads("AttentionPaged", heads, kvHeads)
	p.check("AttentionPaged", start+rows)
	group := heads / kvHeads
	a := pagedAttention{&active.Load().rows, p, heads, kvHeads, headDim, group, scoreScale(headDim)}

	// A unit of work is the query heads of one KV head for some rows within one block of positions, at most KVBlock
	// queries where the group allows it. Every query of a unit sees at least one key of each block that the unit visits.
	step := max(1, KVBlock/group)
	units := 0
	for r := 0; r < rows; r = a.unitEnd(r, rows, start, step) {
		units++
	}
	unit := func(i int) {
		r := 0
		for range i / kvHeads {
			r = a.unitEnd(r, rows, start, step)
		}
		a.unit(out, q, r, a.unitEnd(r, rows, start, step), start, i%kvHeads)
	}
	if rows*(start+rows)*heads*headDim <= 4*blockElements {
		for i := range units * kvHeads {
			unit(i)
		}
		return
	}
	Parallel(units*kvHeads, unit)
}

type pagedAttention struct {
	rk             *rowKernels
	pages          KVPages
	heads, kvHeads int
	headDim, group int
	scale          float32
}

// unitEnd returns the end of the unit that begins at row r.
func (a *pagedAttention) unitEnd(r, rows, start, step int) int {
	toBoundary := KVBlock - (start+r)%KVBlock
	return min(rows, r+min(step, toBoundary))
}

// unit runs rows from…to and the query heads of KV head g, stacked [row, head of the group], over all their blocks.
func (a *pagedAttention) unit(out, q []float32, from, to, start, g int) {
	d, rk := a.headDim, a.rk
	width := a.group * d // a row's queries of this KV head lie together
	stack := (to - from) * a.group
	s := newScratch(stack*(3*d+KVBlock+4) + 2*KVBlock*d)
	defer s.free()
	queries, sums, part, scores := s.take(stack*d), s.take(stack*d), s.take(stack*d), s.take(stack*KVBlock)
	state := softmaxState{s.take(stack), s.take(stack), s.take(stack), s.take(stack)}
	gathered := s.take(2 * KVBlock * d)
	for r := from; r < to; r++ {
		copy(queries[(r-from)*width:][:width], q[r*a.heads*d+g*width:])
	}
	clear(sums)
	state.reset(stack)
	first, end := start+from, start+to // positions
	for j := 0; j < end; j += KVBlock {
		cols := min(KVBlock, end-j)
		keys, values := a.block(gathered, j, cols, g)
		rk.product(scores, queries, keys, blockShape{m: stack, n: cols, k: d, ldc: KVBlock, aRow: d, aCol: 1, ldb: KVBlock})
		state.add(rk, scores, stack, cols, first-j, a.group, a.scale)
		rk.product(part, scores, values, blockShape{m: stack, n: d, k: cols, ldc: d, aRow: KVBlock, aCol: 1, ldb: d})
		for r := range stack {
			rk.scaleAdd(sums[r*d:][:d], part[r*d:][:d], state.shrink[r])
		}
	}
	for r := range stack {
		rk.scale(sums[r*d:][:d], sums[r*d:][:d], 1/state.sum[r])
	}
	for r := from; r < to; r++ {
		copy(out[r*a.heads*d+g*width:][:width], sums[(r-from)*width:])
	}
}

// block returns the keys [headDim, KVBlock] and values [KVBlock, headDim] of positions j…j+cols-1, j a multiple of KVBlock: the page
// itself where it is a whole block, else gathered from the pages that hold them. What lies beyond cols is of any content.
func (a *pagedAttention) block(gathered []float32, j, cols, g int) (keys, values []float32) {
	d, size := a.headDim, a.pages.PageSize
	if size == KVBlock {
		at := (int(a.pages.Table[j/size])*a.kvHeads + g) * size * d
		return a.pages.K[at : at+size*d], a.pages.V[at : at+size*d]
	}
	keys, values = gathered[:KVBlock*d], gathered[KVBlock*d:]
	for c := 0; c < cols; c += size {
		at := (int(a.pages.Table[(j+c)/size])*a.kvHeads + g) * size * d
		copy(values[c*d:], a.pages.V[at:at+size*d])
		page := a.pages.K[at : at+size*d]
		for i := range d {
			copy(keys[i*KVBlock+c:][:size], page[i*size:])
		}
	}
	return keys, values
}
