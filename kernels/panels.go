package kernels

import "unsafe"

// panels is a weight [out, in] laid out for repeated products: for each block of depthOf(words) words of the chain, the panels of 16 outputs one after
// another, for each word of the block 16 consecutive outputs, zero behind the last. What a word is see panelKernels.
type panels struct {
	out, in, words int
	elements       int // elements of the chain in a word
	data           []float32
}

func newPanels(out, in, elements int) panels {
	words := (in + elements - 1) / elements
	return panels{out, in, words, elements, aligned[float32](panelsOf(out) * panelWidth * words)}
}

// at returns the panel j of the block that begins with word, of depth words.
func (w *panels) at(j, word, depth int) []float32 {
	start := (word*panelsOf(w.out) + j*depth) * panelWidth
	return w.data[start : start+depth*panelWidth]
}

// each calls f for each panel of each block on all threads.
func (w *panels) each(f func(j, word, depth int)) {
	if w.words == 0 {
		return
	}
	depth := depthOf(w.words)
	ParallelRange(panelsOf(w.out), 16, func(lo, hi int) {
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

// mostRows bounds the rows that are multiplied at once, and so the memory that their rounded copies take: reading the weight again for so many more costs nothing.
const mostRows = 1024

// panelsCall is a product y = x·wᵀ with such a weight on its way. Weights that are larger than the caches are read once whatever the number of rows, each
// task a run of consecutive memory of each block.
type panelsCall struct {
	kernels *panelKernels
	gemm    *gemmKernels
	w       *panels
	y, x    []float32
	rows    int
	widens  bool // words of two elements for kernels of one

	a    []float32 // the rows of x as kernels reads them, aRow words apart
	aRow int

	size, rowTasks, columnTasks int

	buffer []float32 // kept for a

	convert func(lo, hi int) // bound once: a method value would be allocated in each call
}

var freePanelsCalls = newFreeList(64, func() *panelsCall {
	c := new(panelsCall)
	c.convert = c.convertRows
	return c
})

// begin begins y [rows, out] = x·wᵀ in the given precision; all but the last rows, if there are too many, are multiplied.
func (w *panels) begin(y, x []float32, rows int, precision Precision) Pending {
	for ; rows > mostRows; rows -= mostRows {
		Run(w.begin(y, x, mostRows, precision))
		y, x = y[mostRows*w.out:], x[mostRows*w.in:]
	}
	if trivial(y, rows, w.out, w.in) {
		return nothing{}
	}
	c := freePanelsCalls.get()
	c.gemm = &active.Load().gemm
	c.kernels = precision.panels(c.gemm)
	c.w, c.widens = w, c.kernels.elements < w.elements
	c.y, c.x, c.rows = y, x, rows
	// A word that is read once costs more than its arithmetic: from memory it takes the time of some 8 multiply-adds.
	c.size = (rows + 8) * w.out * w.words
	c.layRows()
	c.divide()
	return c
}

func (c *panelsCall) work() int  { return c.size }
func (c *panelsCall) tasks() int { return c.rowTasks * c.columnTasks }

func (c *panelsCall) end() {
	c.w, c.y, c.x, c.a = nil, nil, nil, nil
	freePanelsCalls.put(c)
}

// layRows sets a: x itself where it needs no rounding and its rows do not fall into few sets of the first cache.
func (c *panelsCall) layRows() {
	if c.kernels.inPlace && (c.w.in%256 != 0 || c.rows < 4) {
		c.a, c.aRow = c.x, c.w.in
		return
	}
	words := c.w.words
	if c.widens {
		words *= c.w.elements
	}
	lines := (words + 15) / 16
	c.aRow = (lines | 1) * 16 // an odd number of cache lines
	if len(c.buffer) < c.rows*c.aRow {
		c.buffer = make([]float32, c.rows*c.aRow)
	}
	c.a = c.buffer
	if c.size < serialWork {
		c.convertRows(0, c.rows)
	} else {
		ParallelRange(c.rows, 16, c.convert)
	}
}

func (c *panelsCall) convertRows(lo, hi int) {
	in := c.w.in
	for r := lo; r < hi; r++ {
		dst, src := c.a[r*c.aRow:(r+1)*c.aRow], c.x[r*in:(r+1)*in]
		switch {
		case c.kernels.inPlace:
			copy(dst, src)
		case c.kernels.elements == 2:
			pairs := halves(dst)
			c.gemm.roundBFloat16(pairs[:in], src)
			clear(pairs[in:])
		default:
			copy(dst, src)
			c.gemm.roundFloats(dst[:in])
			clear(dst[in:])
		}
	}
}

// divide sets the number of tasks: columns are divided first, since each row task reads the weight anew, in steps of the 8 panels that few rows take at once.
func (c *panelsCall) divide() {
	c.rowTasks, c.columnTasks = 1, 1
	if c.size < serialWork || Threads() == 1 {
		return
	}
	tasks := min(32*Threads(), 1+c.size/taskWork)
	c.columnTasks = min(tasks, (panelsOf(c.w.out)+7)/8)
	c.rowTasks = min((tasks+c.columnTasks-1)/c.columnTasks, (c.rows+c.kernels.height-1)/c.kernels.height)
}

// run computes one task: for each run of panels and each block of the chain, the run's panels of the block stay in the second cache while the
// strips pass.
func (c *panelsCall) run(task int) {
	w, g := c.w, c.kernels
	eights := (panelsOf(w.out) + 7) / 8
	column := task % c.columnTasks
	first, last := 8*(column*eights/c.columnTasks), min(8*((column+1)*eights/c.columnTasks), panelsOf(w.out))
	row := task / c.columnTasks
	row0, row1 := row*c.rows/c.rowTasks, (row+1)*c.rows/c.rowTasks
	strips := (row1 - row0 + g.height - 1) / g.height

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
	if strips > 1 || c.widens {
		run = max(8, runWords/(depth*widening*panelWidth)/8*8)
	}
	for j := first; j < last; j += run {
		panels := min(run, last-j)
		n := min(panels*panelWidth, w.out-j*panelWidth)
		for word := 0; word < w.words; word += depth {
			k := min(depth, w.words-word)
			b := w.data[(word*panelsOf(w.out)+j*k)*panelWidth:]
			if c.widens {
				c.gemm.widen(wide, b, panels*k)
				k, b = k*widening, wide
			}
			for s := range strips {
				i, end := row0+s*(row1-row0)/strips, row0+(s+1)*(row1-row0)/strips
				g.strip(c.y[i*w.out+j*panelWidth:], w.out, c.a[i*c.aRow+word*widening:], c.aRow, 1,
					b, panelWidth, k*panelWidth, end-i, n, k, word > 0)
			}
		}
	}
}

// halves returns the 16-bit halves of words.
func halves(words []float32) []uint16 {
	return unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(words))), 2*len(words))
}
