package kernels

import (
	"unsafe"

	"slimlab/kernels/memory"
	"slimlab/kernels/parallel"
)

// panels is a matrix of a product, [out, in] with the chain along in, laid out for its kernels: for
// each block of depthOf(words) words of the chain, the panels one after another, for each word of
// the block the 16 consecutive outputs of the panel, zero behind the last. What a word is see
// panelKernels. On the left side of a product panels hold fewer outputs, the strips that a kernel
// takes at once.
type panels struct {
	out, in, words int
	elements       int // elements of the chain in a word
	count          int // of panels
	strips         bool
	data           []float32
}

// newPanels makes room for a matrix in panels of 16 outputs.
func newPanels(out, in, elements int) panels {
	var w panels
	w.shape(out, in, elements, panelWidth)
	return w
}

// shape makes room for a matrix in panels of at most width outputs, in the memory that is there if
// it is enough.
func (w *panels) shape(out, in, elements, width int) {
	w.out, w.in, w.elements = out, in, elements
	w.words, w.count, w.strips = (in+elements-1)/elements, (out+width-1)/width, width < panelWidth
	size := w.count * panelWidth * w.words
	if cap(w.data) < size {
		w.data = memory.Aligned[float32](size)
	}
	w.data = w.data[:size]
}

// at returns the panel j of the block that begins with word, of depth words.
func (w *panels) at(j, word, depth int) []float32 {
	start := (word*w.count + j*depth) * panelWidth
	return w.data[start : start+depth*panelWidth]
}

// bounds returns the outputs of panel j: 16, or of strips about the same number each, instead of
// full ones and a remainder.
func (w *panels) bounds(j int) (lo, hi int) {
	if w.strips {
		return j * w.out / w.count, (j + 1) * w.out / w.count
	}
	return j * panelWidth, min((j+1)*panelWidth, w.out)
}

// packColumns fills panel j from src, [out, in] row-major with rows stride apart.
func (w *panels) packColumns(g *panelKernels, j int, src []float32, stride int) {
	lo, hi := w.bounds(j)
	depth := depthOf(w.words)
	for word := 0; word < w.words; word += depth {
		n := min(depth, w.words-word)
		g.packColumns(w.at(j, word, n), src[lo*stride+word*w.elements:], stride, hi-lo, min(n*w.elements, w.in-word*w.elements))
	}
}

// packRows fills n words of the chain of all panels, from word on, from src: [in, out] row-major
// from that word's first element on, with rows stride apart.
func (w *panels) packRows(g *panelKernels, src []float32, stride, word, n int) {
	depth := depthOf(w.words)
	for first := word; n > 0; {
		block := word / depth * depth
		length := min(depth, w.words-block)
		k := min(n, block+length-word)
		rows := src[(word-first)*w.elements*stride:]
		for j := range w.count {
			lo, hi := w.bounds(j)
			g.packRows(w.at(j, block, length)[(word-block)*panelWidth:], rows[lo:], stride, hi-lo, min(k*w.elements, w.in-word*w.elements))
		}
		word, n = word+k, n-k
	}
}

// each calls f for each panel of each block on all threads.
func (w *panels) each(f func(j, word, depth int)) {
	if w.words == 0 {
		return
	}
	depth := depthOf(w.words)
	parallel.Range(w.count, 16, func(lo, hi int) {
		for j := lo; j < hi; j++ {
			for word := 0; word < w.words; word += depth {
				f(j, word, min(depth, w.words-word))
			}
		}
	})
}

// column calls f with the words of output o, in ascending order.
func (w *panels) column(o int, f func(word int, v float32)) {
	if w.words == 0 {
		return
	}
	depth := depthOf(w.words)
	for word := 0; word < w.words; word += depth {
		n := min(depth, w.words-word)
		panel := w.at(o/panelWidth, word, n)
		for p := range n {
			f(word+p, panel[p*panelWidth+o%panelWidth])
		}
	}
}

// mostRows bounds the rows that are multiplied at once, and so the memory that their rounded copies
// take: reading the weight again for so many more costs nothing.
const mostRows = 1024

// panelsCall is a product y = a·wᵀ of rows by panels on its way. Weights that are larger than the
// caches are read once whatever the number of rows, each task a run of consecutive memory of each
// block.
type panelsCall struct {
	kernels *panelKernels
	gemm    *gemmKernels
	w       *panels
	y       []float32
	rows    int
	widens  bool // words of two elements for kernels of one

	// The left side: rows aRow words apart, or panels.
	a    []float32
	aRow int
	left *panels

	accumulate bool // adds to y

	size, strips, rowTasks, columnTasks int

	own Operand // memory for a
}

var freePanelsCalls = memory.NewFreeList(64, func() *panelsCall { return new(panelsCall) })

// begin begins y [rows, out] = x·wᵀ in the given precision; all but the last rows, if there are too
// many, are multiplied.
func (w *panels) begin(y, x []float32, rows int, precision Precision) Pending {
	for ; rows > mostRows; rows -= mostRows {
		Run(w.begin(y, x, mostRows, precision))
		y, x = y[mostRows*w.out:], x[mostRows*w.in:]
	}
	if trivial(y, rows, w.out, w.in) {
		return nothing{}
	}
	c := freePanelsCalls.Get()
	c.own.lay(x, rows, w.in, precision, Rows, w.elements)
	c.gemm, c.kernels = c.own.gemm, c.own.kernels
	c.w, c.widens = w, c.kernels.elements < w.elements
	c.a, c.aRow, c.y, c.rows = c.own.a, c.own.aRow, y, rows
	// A word that is read once costs more than its arithmetic: from memory it takes the time of
	// some 8 multiply-adds.
	c.size = (rows + 8) * w.out * w.words
	c.divide()
	return c
}

func (c *panelsCall) work() int  { return c.size }
func (c *panelsCall) tasks() int { return c.rowTasks * c.columnTasks }

func (c *panelsCall) end() {
	c.w, c.y, c.a, c.left, c.own.x, c.own.a = nil, nil, nil, nil, nil, nil
	c.widens, c.accumulate = false, false
	freePanelsCalls.Put(c)
}

// divide sets the number of tasks: columns are divided first, since each row task reads the weight
// anew, in steps of the 8 panels that few rows take at once.
func (c *panelsCall) divide() {
	c.strips = (c.rows + c.kernels.height - 1) / c.kernels.height
	c.rowTasks, c.columnTasks = 1, 1
	if c.size < serialWork || parallel.Threads() == 1 {
		return
	}
	tasks := min(32*parallel.Threads(), 1+c.size/taskWork)
	c.columnTasks = min(tasks, (c.w.count+7)/8)
	c.rowTasks = min((tasks+c.columnTasks-1)/c.columnTasks, c.strips)
}

// run computes one task: for each run of panels and each block of the chain, the run's panels of
// the block stay in the second cache while the strips pass.
func (c *panelsCall) run(task int) {
	w := c.w
	eights := (w.count + 7) / 8
	column, row := task%c.columnTasks, task/c.columnTasks
	first, last := 8*(column*eights/c.columnTasks), min(8*((column+1)*eights/c.columnTasks), w.count)
	strip0, strip1 := row*c.strips/c.rowTasks, (row+1)*c.strips/c.rowTasks

	depth, widening := depthOf(w.words), 1
	var wide []float32
	if c.widens {
		widening = w.elements
		buffer := borrow(maxDepth * maxColumns)
		defer giveBack(buffer)
		wide = *buffer
	}
	const runWords = 1 << 17 // half a megabyte
	run := last - first
	if strip1-strip0 > 1 || c.widens {
		run = max(8, runWords/(depth*widening*panelWidth)/8*8)
	}
	for j := first; j < last; j += run {
		panels := min(run, last-j)
		n := min(panels*panelWidth, w.out-j*panelWidth)
		for word := 0; word < w.words; word += depth {
			k := min(depth, w.words-word)
			b := w.data[(word*w.count+j*k)*panelWidth:]
			if c.widens {
				c.gemm.widen(wide, b, panels*k)
				k, b = k*widening, wide
			}
			for s := strip0; s < strip1; s++ {
				// Strips of equal height, to within a row, instead of full ones and a remainder.
				lo, hi := s*c.rows/c.strips, (s+1)*c.rows/c.strips
				y := c.y[lo*w.out+j*panelWidth:]
				if c.left != nil {
					c.kernels.strip(y, w.out, c.left.at(s, word, k), 1, panelWidth, b, panelWidth, k*panelWidth, hi-lo, n, k, c.accumulate || word > 0)
				} else {
					c.kernels.strip(y, w.out, c.a[lo*c.aRow+word*widening:], c.aRow, 1, b, panelWidth, k*panelWidth, hi-lo, n, k, c.accumulate || word > 0)
				}
			}
		}
	}
}

// halves returns the 16-bit halves of words.
func halves(words []float32) []uint16 {
	return unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(words))), 2*len(words))
}
