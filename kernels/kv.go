package kernels

import (
	"fmt"
	"math"
	"slices"
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
	return 0, fmt.Errorf("kernels: no KV format %q, expected one of %v", name, kvFormats)
}

// Check reports why pages of pageSize positions with heads of headDim cannot be kept in format f: PageSize has to divide KVBlock, and the
// formats below float32, which interleave pairs, need an even page size and head dim.
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

// KVLayer is the memory of one layer's paged cache. A page holds PageSize positions of all KV heads, one head after the other:
//
//	float32   K [headDim, PageSize], transposed so that the scores of a block need no packing; V [PageSize, headDim]
//	bfloat16  K [headDim/2, PageSize, 2] and V [PageSize/2, headDim, 2]: pairs of what their products add up lie together
//	int8      K and V as in bfloat16, and a scale each for each position
//
// Whole pages may be copied; single positions are StoreKV's business.
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
		l.k, l.v = aligned[float32](n*headDim), aligned[float32](n*headDim)
	case KVBFloat16:
		l.k16, l.v16 = aligned[uint16](n*headDim), aligned[uint16](n*headDim)
	case KVInt8:
		l.k8, l.v8 = aligned[int8](n*headDim), aligned[int8](n*headDim)
		l.kScale, l.vScale = aligned[float32](n), aligned[float32](n)
	}
	return l
}

// Bytes is the memory that the layer's pages take.
func (l *KVLayer) Bytes() int64 {
	return 4*int64(len(l.k)+len(l.v)+len(l.kScale)+len(l.vScale)) + 2*int64(len(l.k16)+len(l.v16)) + int64(len(l.k8)+len(l.v8))
}

// KVSegment is a run of new rows of one sequence: rows Row … Row+Rows-1 of the call's buffers are its positions Start, Start+1, ….
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
				panic(fmt.Sprintf("kernels: %s segment %d lies in page %d, the layer has %d", what, i, p, l.Pages))
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
	s := freeStores.get()
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
		Parallel(len(s.runs), s.task)
	}
	s.layer, s.k, s.v, s.segments = nil, nil, nil, nil
	freeStores.put(s)
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

var freeStores = newFreeList(16, func() *kvStore {
	s := new(kvStore)
	s.task = s.store
	return s
})

var freeCodes = newFreeList(16, func() *[]int8 { return new([]int8) })

func (s *kvStore) store(i int) {
	l, run := s.layer, s.runs[i]
	seg := &s.segments[run.segment]
	d, size := l.HeadDim, l.PageSize
	var codes []int8
	if l.Format == KVInt8 {
		buffer := freeCodes.get()
		defer freeCodes.put(buffer)
		*buffer = slices.Grow((*buffer)[:0], d)[:d]
		codes = *buffer
	}
	for r := run.row; r < run.row+run.rows; r++ {
		position := seg.Start + r
		page, slot := int(seg.Table[position/size]), position%size
		for g := range l.KVHeads {
			from, head := ((seg.Row+r)*l.KVHeads+g)*d, page*l.KVHeads+g
			k, v := s.k[from:from+d], s.v[from:from+d]
			at := head * size * d
			switch l.Format {
			case KVFloat32:
				copy(l.v[at+slot*d:][:d], v)
				keys := l.k[at : at+size*d]
				for i, x := range k {
					keys[i*size+slot] = x
				}
			case KVBFloat16:
				keys, values := l.k16[at:at+size*d], l.v16[at+slot/2*2*d:][:2*d]
				for i := 0; i < d; i += 2 {
					pair := keys[i*size+2*slot:][:2]
					pair[0], pair[1] = toBFloat16(k[i]), toBFloat16(k[i+1])
				}
				for i, x := range v {
					values[2*i+slot%2] = toBFloat16(x)
				}
			case KVInt8:
				keys, values := l.k8[at:at+size*d], l.v8[at+slot/2*2*d:][:2*d]
				l.kScale[head*size+slot] = QuantizeRowInt8(codes, k)
				for i := 0; i < d; i += 2 {
					pair := keys[i*size+2*slot:][:2]
					pair[0], pair[1] = codes[i], codes[i+1]
				}
				l.vScale[head*size+slot] = QuantizeRowInt8(codes, v)
				for i, x := range codes {
					values[2*i+slot%2] = x
				}
			}
		}
	}
}

// toBFloat16 returns the bits of x rounded to bfloat16, to nearest even; NaN stays NaN.
func toBFloat16(x float32) uint16 {
	b := math.Float32bits(x)
	if b&0x7fffffff > 0x7f800000 {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

func fromBFloat16(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }
