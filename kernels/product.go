package kernels

import (
	"math"

	"slimlab/kernels/memory"
	"slimlab/kernels/parallel"
)

// maxRows is the most rows that are multiplied at once. It bounds the memory of their rounded
// copies; with that many rows, reading the weight again costs nothing.
const maxRows = 1024

// floatCall is a running product y = a·wᵀ of rows with panels. Weights that are larger than the
// caches are read once whatever the number of rows, each task a run of consecutive memory of each
// block.
type floatCall struct {
	products *productKernels
	kernels  *floatKernels
	w        *panels
	left     *left[float32]
	y        []float32

	// words of the kernels in a word of w: 2 for bfloat16 weights without bfloat16 kernels
	widening   int
	few        bool // words are widened as they are multiplied
	accumulate bool // adds to y
	upper      bool // elements left of the diagonal of y are not wanted

	size, strips, rowTasks, columnTasks int

	own Operand // memory for a left side of its own
}

var freeFloatCalls = memory.NewFreeList(64, func() *floatCall { return new(floatCall) })

// begin begins y [rows, out] = x·wᵀ in the given precision; all but the last rows, if there are too
// many, are multiplied at once.
func (w *panels) begin(y, x []float32, rows int, precision Precision) Pending {
	for ; rows > maxRows; rows -= maxRows {
		Run(w.begin(y, x, maxRows, precision))
		y, x = y[maxRows*w.out:], x[maxRows*w.in:]
	}
	if isEmpty(y, rows, w.out, w.in) {
		return empty{}
	}
	c := freeFloatCalls.Get()
	g := w.reader(precision)
	c.own.pack(g, x, rows, w.in, precision, Rows, w.elements)
	c.begin(g, c.own.kernels, w, &c.own.along, y)
	c.divide()
	return c
}

func (c *floatCall) begin(g *productKernels, f *floatKernels, w *panels, a *left[float32], y []float32) {
	c.products, c.kernels, c.w, c.left, c.y = g, f, w, a, y
	c.widening, c.accumulate, c.upper = w.elements/f.elements, false, false
	c.few = c.widening > 1 && a.n <= fewWidened && g.widened != nil
	// A word that is read once costs more than its arithmetic: from memory it takes the time of
	// some 8 multiply-adds.
	c.size = (a.n + 8) * w.out * w.words
}

func (c *floatCall) work() int  { return c.size }
func (c *floatCall) tasks() int { return c.rowTasks * c.columnTasks }

func (c *floatCall) end() {
	c.w, c.y, c.left = nil, nil, nil
	c.own.x, c.own.along.data = nil, nil
	freeFloatCalls.Put(c)
}

// divide sets the number of tasks: columns are divided first, since each row task reads the weight
// anew. Where the left side is as large, as in a Gram matrix, both are divided alike: with few
// columns in a task the strips of all rows pass through the caches for little work (11% of the time
// with 4,864 rows).
func (c *floatCall) divide() {
	tiles := c.left.tiles(c.left.n)
	tilesInStrip := c.kernels.height / c.left.rows
	c.strips = (tiles + tilesInStrip - 1) / tilesInStrip
	c.rowTasks, c.columnTasks = 1, 1
	if c.size < serialWork || parallel.Threads() == 1 {
		return
	}
	tasks := min(32*parallel.Threads(), 1+c.size/taskWork)
	columns := tasks
	if c.upper || c.left.n > maxRows {
		columns = int(math.Ceil(math.Sqrt(float64(tasks))))
	}
	c.columnTasks = min(columns, (c.w.count+c.kernels.panels-1)/c.kernels.panels)
	c.rowTasks = min((tasks+c.columnTasks-1)/c.columnTasks, c.strips)
}

// run computes one task: for each run of panels and each block of the chain, the run's panels of
// the block stay in the second cache while the strips pass.
func (c *floatCall) run(task int) {
	w, group := c.w, c.kernels.panels
	groups := (w.count + group - 1) / group
	column, row := task%c.columnTasks, task/c.columnTasks
	first, last := group*(column*groups/c.columnTasks), min(group*((column+1)*groups/c.columnTasks), w.count)
	strip0, strip1 := row*c.strips/c.rowTasks, (row+1)*c.strips/c.rowTasks

	const runWords = 1 << 17 // half a megabyte
	run, widens := last-first, c.widening > 1 && !c.few
	if strip1-strip0 > 1 || widens {
		run = max(group, runWords/(w.depth*c.widening*w.width)/group*group)
	}
	var wide []float32
	if widens {
		buffer := memory.NewScratch(min(run, last-first) * w.depth * c.widening * w.width)
		defer buffer.Free()
		wide = buffer.Take(min(run, last-first) * w.depth * c.widening * w.width)
	}
	for j := first; j < last; j += run {
		panels := min(run, last-j)
		for word := 0; word < w.words; word += w.depth {
			k := min(w.depth, w.words-word)
			b := w.data[(word*w.count+j*k)*w.width:]
			if widens {
				c.products.widen(wide, b, panels*k)
				k, b = k*c.widening, wide
			}
			for s := strip0; s < strip1; s++ {
				c.strip(s, j, panels, word, k, b)
			}
		}
	}
}

// strip multiplies strip s with panels j to j+n-1 of the block that begins with word, k words of
// the kernels, or of w where it widens them itself, whose panels begin at b.
func (c *floatCall) strip(s, j, n, word, k int, b []float32) {
	// Strips of equal height, to within a tile, instead of full ones and a remainder.
	tiles := c.left.tiles(c.left.n)
	first, last := s*tiles/c.strips, (s+1)*tiles/c.strips
	lo, hi := c.left.span(first, last)
	width := c.w.width
	if c.upper {
		skipped := max(lo/width-j, 0)
		if skipped >= n {
			return
		}
		j, n, b = j+skipped, n-skipped, b[skipped*k*width:]
	}
	row, element := c.left.strides()
	columns := min(n*width, c.w.out-j*width)
	if c.few {
		const ahead = 1024
		end := storeEnd
		if c.accumulate || word > 0 {
			end = addEnd
		}
		c.products.widened(c.y[lo*c.w.out+j*width:], c.w.out, c.left.from(first, word*c.widening), row, halves(b), width, k*width, ahead, hi-lo, columns, k, end)
		return
	}
	c.kernels.strip(c.y[lo*c.w.out+j*width:], c.w.out, c.left.from(first, word*c.widening), row, element, b, width, k*width, hi-lo, columns, k, c.accumulate || word > 0)
}
