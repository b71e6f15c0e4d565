package kernels

import (
	"fmt"

	"slimlab/kernels/memory"
	"slimlab/kernels/parallel"
)

// KVLayer is the memory of one layer's paged cache. A page holds PageSize positions of all KV
// heads, one head after the other:
//
//	float32   K [headDim, PageSize], transposed so that the scores of a block need no packing,
//	          V [PageSize, headDim]
//	bfloat16  K [headDim/2, PageSize, 2] and V [PageSize/2, headDim, 2]: the pairs that their
//	          products add up are adjacent
//	int8      K and V as in bfloat16, and a scale each for each position
//	int4      as int8 of a head of headDim/2: a byte has dimension i of a position in its lower
//	          half and i + headDim/2 in its upper one, both plus 8, so that no two positions share
//	          a byte, which segments write at one time
//
// K and V may have different formats. Whole pages may be copied; StoreKV writes single positions.
type KVLayer struct {
	Format           KVFormat
	Pages, PageSize  int
	KVHeads, HeadDim int

	k, v     kvHalf
	rotation *headRotation[float32] // nil where neither half is rotated
}

// kvHalf is the keys or the values of a layer. Of the slices only those of its code are there.
type kvHalf struct {
	kvKind
	floats []float32
	words  []uint16
	codes  []int8
	packed []uint8   // two int4 codes each
	scale  []float32 // [Pages, KVHeads, PageSize], of int8
	scales []uint16  // the same of int4, in bfloat16
}

// NewKVLayer allocates pages. It panics with what format.Check reports.
func NewKVLayer(format KVFormat, pages, pageSize, kvHeads, headDim int) *KVLayer {
	l := new(KVLayer)
	l.reshape("NewKVLayer", format, pages, pageSize, kvHeads, headDim)
	return l
}

// reshape makes pages of arbitrary content, in memory that l has where it is enough.
func (l *KVLayer) reshape(what string, format KVFormat, pages, pageSize, kvHeads, headDim int) {
	if err := format.Check(pageSize, headDim); err != nil {
		panic(fmt.Sprintf("kernels: %s: %v", what, err))
	}
	if pages < 1 || kvHeads < 1 {
		panic(fmt.Sprintf("kernels: %s of %d pages and %d KV heads", what, pages, kvHeads))
	}
	kinds := kvFormats[format]
	if kinds.k.rotated || kinds.v.rotated {
		if l.rotation == nil || len(l.rotation.signs) != headDim {
			l.rotation = newHeadRotation[float32](headDim)
		}
	}
	l.Format, l.Pages, l.PageSize, l.KVHeads, l.HeadDim = format, pages, pageSize, kvHeads, headDim
	l.k.reshape(kinds.k, pages*kvHeads*pageSize, headDim)
	l.v.reshape(kinds.v, pages*kvHeads*pageSize, headDim)
}

func (h *kvHalf) reshape(kind kvKind, n, headDim int) {
	h.kvKind = kind
	switch h.code {
	case kvFloat32:
		h.floats = memory.Grown(h.floats, n*headDim)
	case kvBFloat16:
		h.words = memory.Grown(h.words, n*headDim)
	case kvInt8:
		h.codes, h.scale = memory.Grown(h.codes, n*headDim), memory.Grown(h.scale, n)
	case kvInt4:
		h.packed, h.scales = memory.Grown(h.packed, n*headDim/2), memory.Grown(h.scales, n)
	}
}

// Bytes is the memory that the layer's pages take.
func (l *KVLayer) Bytes() int64 {
	return int64(l.Pages) * int64(l.PageSize) * int64(l.Format.PositionBytes(l.KVHeads, l.HeadDim))
}

// Reuse makes the layer's memory that of another layer, whose KV heads may be fewer or more; what
// the pages held is lost.
func (l *KVLayer) Reuse(kvHeads int) {
	l.reshape("KVLayer.Reuse", l.Format, l.Pages, l.PageSize, kvHeads, l.HeadDim)
}

// PageCopy is a page and the one that becomes its copy.
type PageCopy struct{ From, To int32 }

// CopyPages copies the keys and values of whole pages, one after the other.
func (l *KVLayer) CopyPages(copies []PageCopy) {
	for i, c := range copies {
		if min(c.From, c.To) < 0 || int(max(c.From, c.To)) >= l.Pages {
			panic(fmt.Sprintf("kernels: CopyPages: copy %d is of page %d to page %d, the layer has %d", i, c.From, c.To, l.Pages))
		}
		l.k.copyPage(c, l.Pages)
		l.v.copyPage(c, l.Pages)
	}
}

func (h *kvHalf) copyPage(c PageCopy, pages int) {
	switch h.code {
	case kvFloat32:
		copyPage(h.floats, c, pages)
	case kvBFloat16:
		copyPage(h.words, c, pages)
	case kvInt8:
		copyPage(h.codes, c, pages)
		copyPage(h.scale, c, pages)
	case kvInt4:
		copyPage(h.packed, c, pages)
		copyPage(h.scales, c, pages)
	}
}

func copyPage[T any](x []T, c PageCopy, pages int) {
	n := len(x) / pages
	copy(x[int(c.To)*n:][:n], x[int(c.From)*n:][:n])
}

// KVSegment is a run of new rows of one sequence: rows Row … Row+Rows-1 of the call's buffers are
// its positions Start, Start+1, ….
type KVSegment struct {
	Table            []int32 // the layer's page that holds each page of the sequence
	Row, Rows, Start int
}

func (l *KVLayer) check(what string, segments []KVSegment) (rows int) {
	for i := range segments {
		s := &segments[i]
		end := s.Start + s.Rows
		if s.Row < 0 || s.Rows < 1 || s.Start < 0 || len(s.Table)*l.PageSize < end {
			panic(fmt.Sprintf("kernels: %s segment %d has rows %d to %d at position %d in %d pages of %d", what, i, s.Row, s.Row+s.Rows-1, s.Start, len(s.Table), l.PageSize))
		}
		for _, p := range s.Table[:(end+l.PageSize-1)/l.PageSize] {
			if p < 0 || int(p) >= l.Pages {
				panic(fmt.Sprintf("kernels: %s segment %d is in page %d, the layer has %d", what, i, p, l.Pages))
			}
		}
		rows = max(rows, s.Row+s.Rows)
	}
	return rows
}

// StoreKV writes k and v [rows, KVHeads, HeadDim] of the segments' new positions into their pages.
func StoreKV(l *KVLayer, k, v []float32, segments []KVSegment) {
	rows := l.check("StoreKV", segments)
	checkLen("StoreKV k", k, rows*l.KVHeads*l.HeadDim)
	checkLen("StoreKV v", v, rows*l.KVHeads*l.HeadDim)
	s := freeStores.Get()
	s.layer, s.k, s.v, s.segments, s.runs = l, k, v, segments, s.runs[:0]
	for i, seg := range segments {
		for r := 0; r < seg.Rows; {
			n := min(seg.Rows-r, KVBlock-(seg.Start+r)%KVBlock)
			s.runs = append(s.runs, storeRun{i, r, n})
			r += n
		}
	}
	if rows*l.KVHeads*l.HeadDim <= blockElements {
		for i := range s.runs {
			s.store(i)
		}
	} else {
		parallel.For(len(s.runs), s.task)
	}
	s.layer, s.k, s.v, s.segments = nil, nil, nil, nil
	freeStores.Put(s)
}

// kvStore is one call of StoreKV; a run is rows of a segment within one block of positions.
type kvStore struct {
	layer    *KVLayer
	k, v     []float32
	segments []KVSegment
	runs     []storeRun
	task     func(i int) // store, bound once
}

type storeRun struct{ segment, row, rows int }

var freeStores = memory.NewFreeList(16, func() *kvStore {
	s := new(kvStore)
	s.task = s.store
	return s
})

// kvBuffers is what a run needs to round one head.
type kvBuffers struct {
	words []uint16  // rows of a block
	codes []int8    // of a position
	head  []float32 // a rotated one, and work of its rotation
}

var freeKVBuffers = memory.NewFreeList(16, func() *kvBuffers { return new(kvBuffers) })

// store writes one run, page by page.
func (s *kvStore) store(i int) {
	l, run := s.layer, s.runs[i]
	seg := &s.segments[run.segment]
	b := freeKVBuffers.Get()
	b.codes, b.head = memory.Grown(b.codes, l.HeadDim), memory.Grown(b.head, 2*l.HeadDim)
	for r := run.row; r < run.row+run.rows; {
		position := seg.Start + r
		slot := position % l.PageSize
		n := min(run.row+run.rows-r, l.PageSize-slot)
		for g := range l.KVHeads {
			from, head := ((seg.Row+r)*l.KVHeads+g)*l.HeadDim, int(seg.Table[position/l.PageSize])*l.KVHeads+g
			l.storeKeys(b, head, slot, n, s.k[from:])
			l.storeValues(b, head, slot, n, s.v[from:])
		}
		r += n
	}
	freeKVBuffers.Put(b)
}

// storeKeys writes n rows of one head, KVHeads·HeadDim apart in k, to slots slot … of a page's
// head.
func (l *KVLayer) storeKeys(b *kvBuffers, head, slot, n int, k []float32) {
	d, size, rk := l.HeadDim, l.PageSize, &active.Load().rows
	at, stride := head*size*d, l.KVHeads*d
	switch l.k.code {
	case kvFloat32:
		rk.transpose(l.k.floats[at+slot:at+size*d], k, n, d, size, stride)
	case kvBFloat16:
		page := l.k.words[at : at+size*d]
		if rk.attend == nil || d%16 != 0 {
			for r := range n {
				for i, x := range k[r*stride:][:d] {
					page[i/2*2*size+2*(slot+r)+i%2] = toBFloat16(x)
				}
			}
			return
		}
		b.words = memory.Grown(b.words, KVBlock*d)
		rk.roundRows(b.words, k, n, d, stride)
		transposePairs(rk, page[2*slot:], b.words, n, d/2, size)
	case kvInt8:
		for r := range n {
			l.k.scale[head*size+slot+r] = QuantizeRowInt8(b.codes, l.rotated(b, l.k.rotated, k[r*stride:][:d]))
			storeKeyPairs(l.k.codes[at:at+size*d], slot+r, size, b.codes[:d])
		}
	case kvInt4:
		for r := range n {
			l.k.scales[head*size+slot+r] = quantizeRowInt4(b.codes, l.rotated(b, l.k.rotated, k[r*stride:][:d]))
			storeKeyPairs(l.k.packed[at/2:(at+size*d)/2], slot+r, size, packInt4(b.codes[:d]))
		}
	}
}

// storeValues is storeKeys for values.
func (l *KVLayer) storeValues(b *kvBuffers, head, slot, n int, v []float32) {
	d, size, rk := l.HeadDim, l.PageSize, &active.Load().rows
	at, stride := head*size*d, l.KVHeads*d
	switch l.v.code {
	case kvFloat32:
		for r := range n {
			copy(l.v.floats[at+(slot+r)*d:][:d], v[r*stride:])
		}
	case kvBFloat16:
		page := l.v.words[at : at+size*d]
		if rk.attend == nil || d%16 != 0 {
			for r := range n {
				for i, x := range v[r*stride:][:d] {
					page[(slot+r)/2*2*d+2*i+(slot+r)%2] = toBFloat16(x)
				}
			}
			return
		}
		b.words = memory.Grown(b.words, KVBlock*d)
		// Whole pairs of positions at once, and one at an end whose partner is not among the rows.
		first := slot % 2
		if pairs := (n - first) / 2; pairs > 0 {
			rk.interleave(page[(slot+first)*d:], v[first*stride:], pairs, d, stride)
		}
		for _, r := range [...]int{0, n - 1} {
			if at := slot + r; r == 0 && first == 1 || r == n-1 && at%2 == 0 {
				rk.roundRows(b.words, v[r*stride:], 1, d, d)
				storeValuePairs(page, at, b.words[:d])
			}
		}
	case kvInt8:
		for r := range n {
			l.v.scale[head*size+slot+r] = QuantizeRowInt8(b.codes, l.rotated(b, l.v.rotated, v[r*stride:][:d]))
			storeValuePairs(l.v.codes[at:at+size*d], slot+r, b.codes[:d])
		}
	case kvInt4:
		for r := range n {
			l.v.scales[head*size+slot+r] = quantizeRowInt4(b.codes, l.rotated(b, l.v.rotated, v[r*stride:][:d]))
			storeValuePairs(l.v.packed[at/2:(at+size*d)/2], slot+r, packInt4(b.codes[:d]))
		}
	}
}

// rotated is a head as it is kept: x itself, or in memory of b, rotated.
func (l *KVLayer) rotated(b *kvBuffers, is bool, x []float32) []float32 {
	if !is {
		return x
	}
	head := b.head[:len(x)]
	copy(head, x)
	l.rotation.apply(head, b.head[len(x):])
	return head
}

// storeKeyPairs writes one position of a head into K [len(k)/2, size, 2].
func storeKeyPairs[T any](keys []T, slot, size int, k []T) {
	for i := 0; i < len(k); i += 2 {
		pair := keys[i*size+2*slot:][:2]
		pair[0], pair[1] = k[i], k[i+1]
	}
}

// storeValuePairs writes one position of a head into V [size/2, len(v), 2].
func storeValuePairs[T any](values []T, slot int, v []T) {
	row := values[slot/2*2*len(v):][:2*len(v)]
	for i, x := range v {
		row[2*i+slot%2] = x
	}
}
