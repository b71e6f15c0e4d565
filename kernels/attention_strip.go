package kernels

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
