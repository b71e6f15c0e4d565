package kernels

import (
	"unsafe"

	"slimlab/kernels/memory"
	"slimlab/kernels/parallel"
)

// panels is the right side of a product, [out, in] with the chain along in, as float kernels read
// it: for each block of depth words of the chain, the panels one after another, and for each word
// of the block the width consecutive outputs of the panel, zero behind the last. See floatKernels
// for what a word is.
type panels struct {
	out, in, words int
	elements       int // of the chain in a word
	width          int // outputs of a panel
	depth          int // words of a block; the last may be shorter
	count          int // of panels
	packed         *productKernels
	data           []float32
}

// newPanels makes room for a matrix in words of elements elements.
func newPanels(g *productKernels, precision Precision, out, in, elements int) panels {
	var w panels
	w.shape(g, precision.kernels(g), out, in, elements)
	return w
}

// shape makes room for a matrix, in the memory that is there if it is enough.
func (w *panels) shape(g *productKernels, f *floatKernels, out, in, elements int) {
	w.out, w.in, w.elements, w.width, w.packed = out, in, elements, g.width, g
	w.words, w.count = (in+elements-1)/elements, panelsOf(out, w.width)
	w.depth = f.blockDepth(w.words)
	w.data = memory.Grown(w.data, w.count*w.width*w.words)
}

// blockDepth returns the length of the blocks that a chain of words is cut into: as few as the
// kernels allow, of equal lengths to within a step.
func (f *floatKernels) blockDepth(words int) int {
	if words == 0 {
		return f.step
	}
	blocks := (words + f.depth - 1) / f.depth
	depth := (words + blocks - 1) / blocks
	return (depth + f.step - 1) / f.step * f.step
}

// reader returns the kernels that multiply with the panels in a precision: those in use if they
// read the layout, else those that packed it.
func (w *panels) reader(precision Precision) *productKernels {
	g := &active.Load().products
	if w.readBy(g, precision) {
		return g
	}
	return w.packed
}

// readBy reports whether the kernels read the panels' layout.
func (w *panels) readBy(g *productKernels, precision Precision) bool {
	f := precision.kernels(g)
	return g == w.packed || g.width == w.width && (w.depth >= w.words || w.depth*w.elements/f.elements%f.step == 0)
}

// at returns the panel j of the block that begins with word, of depth words.
func (w *panels) at(j, word, depth int) []float32 {
	start := (word*w.count + j*depth) * w.width
	return w.data[start : start+depth*w.width]
}

// bounds returns the outputs of panel j.
func (w *panels) bounds(j int) (lo, hi int) { return j * w.width, min((j+1)*w.width, w.out) }

// packAlong fills panel j from src, [out, in] row-major with rows stride apart.
func (w *panels) packAlong(f *floatKernels, j int, src []float32, stride int) {
	lo, hi := w.bounds(j)
	for word := 0; word < w.words; word += w.depth {
		n := min(w.depth, w.words-word)
		f.packAlong(w.at(j, word, n), src[lo*stride+word*w.elements:], stride, hi-lo, min(n*w.elements, w.in-word*w.elements))
	}
}

// packAcross fills n words of the chain of all panels, from word on, from src: [in, out] row-major
// from that word's first element on, with rows stride apart.
func (w *panels) packAcross(f *floatKernels, src []float32, stride, word, n int) {
	for first := word; n > 0; {
		block := word / w.depth * w.depth
		length := min(w.depth, w.words-block)
		k := min(n, block+length-word)
		rows := src[(word-first)*w.elements*stride:]
		for j := range w.count {
			lo, hi := w.bounds(j)
			f.packAcross(w.at(j, block, length)[(word-block)*w.width:], rows[lo:], stride, hi-lo, min(k*w.elements, w.in-word*w.elements))
		}
		word, n = word+k, n-k
	}
}

// each calls f for each panel of each block on all threads.
func (w *panels) each(f func(j, word, depth int)) {
	parallel.Range(w.count, 16, func(lo, hi int) {
		for j := lo; j < hi; j++ {
			for word := 0; word < w.words; word += w.depth {
				f(j, word, min(w.depth, w.words-word))
			}
		}
	})
}

// column calls f with the words of output o, in ascending order.
func (w *panels) column(o int, f func(word int, v float32)) {
	for word := 0; word < w.words; word += w.depth {
		n := min(w.depth, w.words-word)
		panel := w.at(o/w.width, word, n)
		for p := range n {
			f(word+p, panel[p*w.width+o%w.width])
		}
	}
}

// halves returns the 16-bit halves of words.
func halves(words []float32) []uint16 {
	return unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(words))), 2*len(words))
}
