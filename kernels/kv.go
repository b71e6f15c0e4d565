package kernels

import (
	"fmt"

	"slimlab/internal/nearest"
	"slimlab/kernels/memory"
	"slimlab/kernels/parallel"
)

// KVFormat is how a cache keeps keys and values. The zero value is the one to serve with.
type KVFormat int

const (
	KVBFloat16 KVFormat = iota // rounded to bfloat16, to nearest even
	KVFloat32                  // as they were computed
	KVInt8                     // symmetric int8, a float32 scale for each position and KV head
)

func (f KVFormat) String() string {
	if f < 0 || int(f) >= len(kvFormats) {
		return fmt.Sprintf("KVFormat(%d)", int(f))
	}
	return kvFormats[f]
}

var kvFormats = []string{"bfloat16", "float32", "int8"}

// ParseKVFormat returns the format of that name: bfloat16, float32 or int8.
func ParseKVFormat(name string) (KVFormat, error) {
	for i, n := range kvFormats {
		if n == name {
			return KVFormat(i), nil
		}
	}
	return 0, nearest.Unknown("kernels: KV format", name, kvFormats)
}

// Check reports why pages of pageSize positions with heads of headDim cannot be kept in format f:
// PageSize has to divide KVBlock, and the formats below float32, which interleave pairs, need an
// even page size and head dim.
func (f KVFormat) Check(pageSize, headDim int) error {
	switch {
	case f < 0 || int(f) >= len(kvFormats):
		return fmt.Errorf("KV format %d is unknown", int(f))
	case pageSize < 1 || KVBlock%pageSize != 0:
		return fmt.Errorf("page size is %d, expected a divisor of %d", pageSize, KVBlock)
	case headDim < 1:
		return fmt.Errorf("head dim is %d, expected at least 1", headDim)
	case f != KVFloat32 && pageSize%2 != 0:
		return fmt.Errorf("page size is %d, %v interleaves pairs of positions and needs an even one", pageSize, f)
	case f != KVFloat32 && headDim%2 != 0:
		return fmt.Errorf("head dim is %d, %v interleaves pairs of dimensions and needs an even one", headDim, f)
	}
	return nil
}

// KVLayer is the memory of one layer's paged cache. A page holds PageSize positions of all KV
// heads, one head after the other:
//
//	float32   K [headDim, PageSize], transposed so that the scores of a block need no packing,
//	          V [PageSize, headDim]
//	bfloat16  K [headDim/2, PageSize, 2] and V [PageSize/2, headDim, 2]: the pairs that their
//	          products add up are adjacent
//	int8      K and V as in bfloat16, and a scale each for each position
//
// Whole pages may be copied; StoreKV writes single positions.
type KVLayer struct {
	Format           KVFormat
	Pages, PageSize  int
	KVHeads, HeadDim int

	k, v           []float32
	k16, v16       []uint16
	k8, v8         []int8
	kScale, vScale []float32 // [Pages, KVHeads, PageSize]
}

// NewKVLayer allocates pages. It panics with what format.Check reports.
func NewKVLayer(format KVFormat, pages, pageSize, kvHeads, headDim int) *KVLayer {
	if err := format.Check(pageSize, headDim); err != nil {
		panic("kernels: NewKVLayer: " + err.Error())
	}
	if pages < 1 || kvHeads < 1 {
		panic(fmt.Sprintf("kernels: NewKVLayer of %d pages and %d KV heads", pages, kvHeads))
	}
	l := &KVLayer{Format: format, Pages: pages, PageSize: pageSize, KVHeads: kvHeads, HeadDim: headDim}
	n := pages * kvHeads * pageSize
	switch format {
	case KVFloat32:
		l.k, l.v = memory.Aligned[float32](n*headDim), memory.Aligned[float32](n*headDim)
	case KVBFloat16:
		l.k16, l.v16 = memory.Aligned[uint16](n*headDim), memory.Aligned[uint16](n*headDim)
	case KVInt8:
		l.k8, l.v8 = memory.Aligned[int8](n*headDim), memory.Aligned[int8](n*headDim)
		l.kScale, l.vScale = memory.Aligned[float32](n), memory.Aligned[float32](n)
	}
	return l
}

// Bytes is the memory that the layer's pages take.
func (l *KVLayer) Bytes() int64 {
	return 4*int64(len(l.k)+len(l.v)+len(l.kScale)+len(l.vScale)) + 2*int64(len(l.k16)+len(l.v16)) + int64(len(l.k8)+len(l.v8))
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

var freeCodes = memory.NewFreeList(16, func() *[]int8 { return new([]int8) })

// store writes one run, page by page.
func (s *kvStore) store(i int) {
	l, run := s.layer, s.runs[i]
	seg := &s.segments[run.segment]
	for r := run.row; r < run.row+run.rows; {
		position := seg.Start + r
		slot := position % l.PageSize
		n := min(run.row+run.rows-r, l.PageSize-slot)
		for g := range l.KVHeads {
			from, head := ((seg.Row+r)*l.KVHeads+g)*l.HeadDim, int(seg.Table[position/l.PageSize])*l.KVHeads+g
			switch l.Format {
			case KVFloat32:
				l.storeFloat32(head, slot, n, s.k[from:], s.v[from:])
			case KVBFloat16:
				l.storeBFloat16(head, slot, n, s.k[from:], s.v[from:])
			case KVInt8:
				l.storeInt8(head, slot, n, s.k[from:], s.v[from:])
			}
		}
		r += n
	}
}

// storeFloat32 writes n rows of one head, KVHeads·HeadDim apart in k and v, to slots slot … of a
// page's head.
func (l *KVLayer) storeFloat32(head, slot, n int, k, v []float32) {
	d, size := l.HeadDim, l.PageSize
	at, stride := head*size*d, l.KVHeads*d
	for r := range n {
		copy(l.v[at+(slot+r)*d:][:d], v[r*stride:])
	}
	active.Load().rows.transpose(l.k[at+slot:at+size*d], k, n, d, size, stride)
}

func (l *KVLayer) storeBFloat16(head, slot, n int, k, v []float32) {
	d, size, rk := l.HeadDim, l.PageSize, &active.Load().rows
	at, stride := head*size*d, l.KVHeads*d
	keys, values := l.k16[at:at+size*d], l.v16[at:at+size*d]
	if rk.attend == nil || d%16 != 0 {
		for r := range n {
			storePairs(keys, values, slot+r, size, k[r*stride:][:d], v[r*stride:][:d], toBFloat16)
		}
		return
	}
	buffer := freeRounded.Get()
	defer freeRounded.Put(buffer)
	*buffer = memory.Grown(*buffer, KVBlock*d)
	rounded := *buffer
	rk.roundRows(rounded, k, n, d, stride)
	transposePairs(rk, keys[2*slot:], rounded, n, d/2, size)
	// Whole pairs of positions at once, and one at an end whose partner is not among the rows.
	first := slot % 2
	if pairs := (n - first) / 2; pairs > 0 {
		rk.interleave(values[(slot+first)*d:], v[first*stride:], pairs, d, stride)
	}
	for _, r := range [...]int{0, n - 1} {
		if at := slot + r; r == 0 && first == 1 || r == n-1 && at%2 == 0 {
			rk.roundRows(rounded, v[r*stride:], 1, d, d)
			for i, x := range rounded[:d] {
				values[at/2*2*d+2*i+at%2] = x
			}
		}
	}
}

var freeRounded = memory.NewFreeList(16, func() *[]uint16 { return new([]uint16) })

func (l *KVLayer) storeInt8(head, slot, n int, k, v []float32) {
	d, size := l.HeadDim, l.PageSize
	at, stride := head*size*d, l.KVHeads*d
	buffer := freeCodes.Get()
	defer freeCodes.Put(buffer)
	*buffer = memory.Grown(*buffer, 2*d)
	keys, values := (*buffer)[:d], (*buffer)[d:]
	for r := range n {
		l.kScale[head*size+slot+r] = QuantizeRowInt8(keys, k[r*stride:][:d])
		l.vScale[head*size+slot+r] = QuantizeRowInt8(values, v[r*stride:][:d])
		storePairs(l.k8[at:at+size*d], l.v8[at:at+size*d], slot+r, size, keys, values, func(c int8) int8 { return c })
	}
}

// storePairs writes one position of a head into K [len(k)/2, size, 2] and V [size/2, len(k), 2].
func storePairs[T, U any](keys, values []T, slot, size int, k, v []U, as func(U) T) {
	for i := 0; i < len(k); i += 2 {
		pair := keys[i*size+2*slot:][:2]
		pair[0], pair[1] = as(k[i]), as(k[i+1])
	}
	row := values[slot/2*2*len(v):][:2*len(v)]
	for i, x := range v {
		row[2*i+slot%2] = as(x)
	}
}
