package kernels

import (
	"math"
	"unsafe"
)

// grid divides a product of rows by panels into tasks. Weights are read once by each row task, so columns are divided first.
type grid struct{ rows, panels, rowTasks, columnTasks int }

func newGrid(rows, out, work int) grid {
	if work < serialWork {
		return grid{rows, panelsOf(out), 1, 1}
	}
	tasks := min(8*Threads(), 2*Threads()+work/(4*taskWork))
	columnTasks := min(tasks, (panelsOf(out)+7)/8)
	return grid{rows, panelsOf(out), min((tasks+columnTasks-1)/columnTasks, (rows+15)/16), columnTasks}
}

func (g grid) tasks() int { return g.rowTasks * g.columnTasks }

// strips calls f for each strip of at most height rows (row0, m) of a task and each run of panels (panel0, n) of at most
// panelBytes·n ≈ blockBytes, the strips inside the runs.
func (g grid) strips(task, height, panelBytes int, f func(row0, m, panel0, n int)) {
	row0, row1 := task/g.columnTasks*g.rows/g.rowTasks, (task/g.columnTasks+1)*g.rows/g.rowTasks
	first, last := task%g.columnTasks*g.panels/g.columnTasks, (task%g.columnTasks+1)*g.panels/g.columnTasks
	const blockBytes = 1 << 18 // what the second cache holds easily beside the activations
	run := max(8, blockBytes/panelBytes/8*8)
	rows := row1 - row0
	strips := (rows + height - 1) / height
	if strips == 1 {
		run = last - first
	}
	for panel0 := first; panel0 < last; panel0 += run {
		for s := range strips {
			lo, hi := s*rows/strips, (s+1)*rows/strips
			f(row0+lo, hi-lo, panel0, min(run, last-panel0))
		}
	}
}

// int8Call is a product with a PackedInt8 on its way.
type int8Call struct {
	kernels  *gemmKernels
	w        *PackedInt8
	y, x     []float32
	q        []byte // x quantized, rows of stride bytes
	stride   int
	rowScale []float32
	grid     grid

	// Bound once: a method value would be allocated in each call.
	quantize func(lo, hi int)
	task     func(task int)
}

var freeInt8 = newFreeList(64, func() *int8Call {
	c := new(int8Call)
	c.quantize, c.task = c.quantizeRows, c.multiply
	return c
})

func (c *int8Call) begin(w *PackedInt8, y, x []float32, rows int) {
	c.kernels, c.w, c.y, c.x = &active.Load().gemm, w, y, x
	c.stride = fours(w.In) * 4 * c.kernels.activation
	if len(c.q) < rows*c.stride {
		c.q = make([]byte, rows*c.stride)
	}
	if len(c.rowScale) < rows {
		c.rowScale = make([]float32, rows)
	}
}

func (c *int8Call) end() {
	c.w, c.y, c.x = nil, nil, nil
	freeInt8.put(c)
}

func (c *int8Call) quantizeRows(lo, hi int) {
	in := c.w.In
	for r := lo; r < hi; r++ {
		row := c.q[r*c.stride : (r+1)*c.stride]
		clear(row[in*c.kernels.activation:])
		c.rowScale[r] = c.kernels.quantize(row[:in*c.kernels.activation], c.x[r*in:(r+1)*in])
	}
}

func (c *int8Call) multiply(task int) {
	w, panel := c.w, c.w.panel()
	c.grid.strips(task, c.kernels.int8Height, panel, func(row0, m, panel0, panels int) {
		j := panel0 * panelWidth
		c.kernels.mulInt8(c.y[row0*w.Out+j:], w.Out, c.q[row0*c.stride:], c.stride, w.q[panel0*panel:], panel,
			w.correction[j:], w.scale[j:], c.rowScale[row0:], m, min(panels*panelWidth, w.Out-j), fours(w.In))
	})
}

// int4Call is a product with a PackedInt4 on its way.
type int4Call struct {
	kernels *gemmKernels
	w       *PackedInt4
	y, x    []float32
	grid    grid
	task    func(task int) // bound once
}

var freeInt4 = newFreeList(64, func() *int4Call {
	c := new(int4Call)
	c.task = c.multiply
	return c
})

func (c *int4Call) begin(w *PackedInt4, y, x []float32, rows int) {
	c.kernels, c.w, c.y, c.x = &active.Load().gemm, w, y, x
}

func (c *int4Call) end() {
	c.w, c.y, c.x = nil, nil, nil
	freeInt4.put(c)
}

func (c *int4Call) multiply(task int) {
	w, panel, groups := c.w, c.w.panel(), c.w.In/c.w.Group
	c.grid.strips(task, c.kernels.int4Height, 4*panel, func(row0, m, panel0, panels int) {
		j := panel0 * panelWidth
		c.kernels.mulInt4(c.y[row0*w.Out+j:], w.Out, c.x[row0*w.In:], w.In, w.q[panel0*panel:], panel,
			w.scale[panel0*groups*panelWidth:], groups*panelWidth, m, min(panels*panelWidth, w.Out-j), groups, w.Group)
	})
}

// QuantizeRowInt8 quantizes one row symmetrically to int8, q = x/s to the nearest, ties to even, and returns its scale
// s = max|x|/127 (SmoothQuant's per-token dynamic scale). A row of zeros, or of values so small that s underflows, gives
// zeros and scale 0; a row with a NaN or an infinity gives zeros and scale NaN, so that products show it.
func QuantizeRowInt8(q []int8, x []float32) float32 {
	var m uint32
	for _, v := range x {
		m = max(m, math.Float32bits(v)&^(1<<31))
	}
	s, ok := scaleInt8(m)
	if !ok {
		clear(q[:len(x)])
		return s
	}
	for i, v := range x {
		q[i] = int8(max(-127, min(127, math.RoundToEven(float64(v/s)))))
	}
	return s
}

// scaleInt8 returns the scale of a row whose greatest magnitude has these bits, and whether there is anything to
// quantize.
func scaleInt8(greatest uint32) (scale float32, ok bool) {
	m := math.Float32frombits(greatest)
	if greatest >= math.Float32bits(float32(math.Inf(1))) {
		return float32(math.NaN()), false
	}
	return m / 127, m/127 > 0
}

// alignedFloats returns n zeros that begin at a cache line.
func alignedFloats(n int) []float32 {
	const line = 16
	x := make([]float32, n+line-1)
	skip := 0
	if n > 0 {
		if past := int(uintptr(unsafe.Pointer(&x[0])) / 4 % line); past > 0 {
			skip = line - past
		}
	}
	return x[skip : skip+n : skip+n]
}
