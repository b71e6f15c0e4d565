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

// point sets the strip's keys and values to those of a block's pages: bfloat16 in place where a
// page holds 16 positions or more, else gathered; codes widened. next are the pages after them.
func (w *queryStack) point(pages, next []int32, cols int) {
	l, s := w.a.layer, &w.strip
	d, size := l.HeadDim, l.PageSize
	s.kScale, s.vScale, s.kStride = nil, nil, 4*KVBlock
	for j := range s.k {
		s.k[j], s.v[j] = &w.k16[j*stripRun*2], &w.v16[j*stripRun*d]
	}
	inPlace := size >= stripRun
	if l.k.code == kvBFloat16 && inPlace {
		for j := range s.k {
			// Beyond cols there may be no page; scores of any other are hidden.
			i := min(j*stripRun/size, len(pages)-1)
			s.k[j] = &l.k.words[(int(pages[i])*l.KVHeads+w.g)*size*d+j*stripRun%size*2]
		}
		s.kStride = 4 * size
	} else {
		w.gatherKeys(pages, next)
	}
	switch {
	case l.v.code == kvBFloat16 && inPlace:
		for j := range s.v {
			i := min(j*stripRun/size, len(pages)-1)
			s.v[j] = &l.v.words[(int(pages[i])*l.KVHeads+w.g)*size*d+j*stripRun%size*d]
		}
		if last := cols / stripRun; cols%2 != 0 {
			// The partner of the last position has not been stored: whatever it is, it must not
			// meet a weight of zero as a NaN.
			i := last * stripRun / size
			head := (int(pages[i])*l.KVHeads+w.g)*size*d + last*stripRun%size*d
			n := (cols%stripRun + 1) * d
			copy(w.v16, l.v.words[head:head+n])
			clearSecond(w.v16[n-2*d : n])
			s.v[last] = &w.v16[0]
		}
	default:
		w.gatherValues(pages, next, cols)
	}
}

// gatherKeys copies a block's keys to k16, codes widened and their scales beside.
func (w *queryStack) gatherKeys(pages, next []int32) {
	l := w.a.layer
	d, size := l.HeadDim, l.PageSize
	for i, page := range pages {
		head, c := int(page)*l.KVHeads+w.g, i*size
		if l.k.code == kvBFloat16 {
			at := head * size * d
			for p := range d / 2 {
				copy(w.k16[p*2*KVBlock+2*c:], l.k.words[at+p*2*size:][:2*size])
			}
			continue
		}
		codes := l.k.page(w.codes, head, size, d, 1)
		w.a.rk.unpackInt8(w.k16[2*c:], codes, w.then(&l.k, codes, next, i), d/2, 2*size, 2*KVBlock)
		for j := range size {
			w.kvScales[c+j] = l.k.scaleOf(head*size + j)
		}
		w.strip.kScale = &w.kvScales[0]
	}
}

// gatherValues is gatherKeys for values. Beyond cols nothing is left that could be a NaN.
func (w *queryStack) gatherValues(pages, next []int32, cols int) {
	l := w.a.layer
	d, size := l.HeadDim, l.PageSize
	for i, page := range pages {
		head, c := int(page)*l.KVHeads+w.g, i*size
		if l.v.code == kvBFloat16 {
			copy(w.v16[c*d:], l.v.words[head*size*d:][:size*d])
			continue
		}
		codes := l.v.page(w.codes, head, size, d, size/2)
		w.a.rk.unpackInt8(w.v16[c*d:], codes, w.then(&l.v, codes, next, i), 1, size*d, 0)
		for j := range size {
			w.kvScales[KVBlock+c+j] = l.v.scaleOf(head*size + j)
		}
	}
	if l.v.code == kvBFloat16 {
		if cols%2 != 0 {
			clearSecond(w.v16[(cols-1)*d : (cols+1)*d])
		}
		return
	}
	clear(w.kvScales[KVBlock+cols:])
	w.strip.vScale = &w.kvScales[KVBlock]
}

// then is the codes to fetch while those of page i are unpacked: of the page that comes a block
// later, or the same again.
func (w *queryStack) then(h *kvHalf, codes []int8, next []int32, i int) []int8 {
	if l := w.a.layer; h.code == kvInt8 && i < len(next) {
		return h.codes[(int(next[i])*l.KVHeads+w.g)*l.PageSize*l.HeadDim:]
	}
	return codes
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
		s.kNext[j] = &l.k.words[(int(pages[i])*l.KVHeads+w.g)*l.PageSize*l.HeadDim+j*stripRun%l.PageSize*2]
	}
	s.linesAhead = l.HeadDim / 2
}

// clearSecond zeroes the second of each pair.
func clearSecond(pairs []uint16) {
	for i := 1; i < len(pairs); i += 2 {
		pairs[i] = 0
	}
}
