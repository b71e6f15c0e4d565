package kernels

import (
	"slimlab/kernels/memory"
	"slimlab/kernels/parallel"
)

// The algorithm is that of Goto and van de Geijn ("Anatomy of high-performance matrix
// multiplication", 2008) with the inner loops in assembly: a block of b of maxDepth rows by
// maxColumns columns is packed in panels that stay in the second cache; strips of a few rows of a
// run over all its panels, the strip's own piece of a staying in the first. Work is shared out over
// strips, or over panels where the strips are few; nothing is split along k.
//
// The chain of an element depends on k alone: k is cut into equal blocks of at most maxDepth, each
// block is one chain of fused multiply-adds from zero, and the blocks' sums are added in ascending
// order.

const (
	maxDepth   = 512 // 14 rows of a are 28 KiB of the first cache
	maxColumns = 512 // a block of b is 1 MiB at most

	// serialWork is the number of multiply-adds below which a product stays on its caller's thread:
	// some 20 µs.
	serialWork = 1 << 20
	// taskWork is about the number of multiply-adds of a task of a shared product.
	taskWork = 1 << 19
)

// product is a float32 matrix product c [m, n] (+)= a·b on its way.
type product struct {
	kernels    *panelKernels
	m, n, k    int
	accumulate bool

	c          []float32
	cRow       int
	a          []float32 // a(i, p) is a[i*aRow+p*aCol]
	aRow, aCol int
	b          []float32 // b(p, j) is b[p*bStride+j], transposed b[j*bStride+p]
	bStride    int
	transB     bool

	// The block of b in work: elements depth0… of the chain, depth words of it, and columns
	// column0…, and where its panels are.
	depth0, depth, column0, columns int
	block                           []float32
	blockRow, blockPanel            int
	rowTasks, columnTasks           int

	// Set for shared products only, bound once: a method value would be allocated in each call.
	packTask, strips func(task int)
}

var freeProducts = memory.NewFreeList(64, func() *product {
	p := new(product)
	p.packTask, p.strips = p.packPanels, p.runTask
	return p
})

// depthOf returns the length of the blocks that a chain of so many words is cut into; the last may
// be shorter.
func depthOf(words int) int {
	blocks := (words + maxDepth - 1) / maxDepth
	return (words + blocks - 1) / blocks
}

func panelsOf(columns int) int { return (columns + panelWidth - 1) / panelWidth }

func (p *product) run() {
	if p.m == 0 || p.n == 0 {
		return
	}
	if p.k == 0 {
		if !p.accumulate {
			for i := range p.m {
				clear(p.c[i*p.cRow : i*p.cRow+p.n])
			}
		}
		return
	}
	depth := depthOf(p.k)
	if !p.direct(depth) {
		size := depth * panelWidth * panelsOf(min(p.n, maxColumns))
		buffer := borrow(size)
		p.block = *buffer
		defer giveBack(buffer)
	}
	for p.column0 = 0; p.column0 < p.n; p.column0 += maxColumns {
		p.columns = min(maxColumns, p.n-p.column0)
		for p.depth0 = 0; p.depth0 < p.k; p.depth0 += depth {
			p.depth = min(depth, p.k-p.depth0)
			p.locate(depth)
			p.multiply()
		}
	}
}

// direct reports whether b is read where it stands: rows of b are contiguous, and with few strips
// to come, or a block that fits the first cache, packing costs more than it saves.
func (p *product) direct(depth int) bool {
	if p.transB || !p.kernels.ragged && p.n%panelWidth != 0 {
		return false
	}
	return p.m <= 2*p.kernels.height || depth*p.n <= 4096
}

// locate sets block to the block of b in work, packing it where it is not read in place.
func (p *product) locate(depth int) {
	if p.direct(depth) {
		p.block = p.b[p.depth0*p.bStride+p.column0:]
		p.blockRow, p.blockPanel = p.bStride, panelWidth
		return
	}
	p.blockRow, p.blockPanel = panelWidth, p.depth*panelWidth
	panels := panelsOf(p.columns)
	if p.packTask != nil && panels*p.blockPanel >= 1<<15 {
		parallel.For(panels, p.packTask)
		return
	}
	for j := range panels {
		p.packPanels(j)
	}
}

// packPanels packs panel j of the block.
func (p *product) packPanels(j int) {
	column := p.column0 + j*panelWidth
	width := min(panelWidth, p.n-column)
	panel := p.block[j*p.blockPanel : (j+1)*p.blockPanel]
	if p.transB {
		p.kernels.packColumns(panel, p.b[column*p.bStride+p.depth0:], p.bStride, width, p.depth)
	} else {
		p.kernels.packRows(panel, p.b[p.depth0*p.bStride+column:], p.bStride, width, p.depth)
	}
}

// multiply multiplies with the block in work.
func (p *product) multiply() {
	strips := (p.m + p.kernels.height - 1) / p.kernels.height
	if p.strips == nil {
		p.rowTasks, p.columnTasks = 1, 1
		p.runTask(0)
		return
	}
	tasks := min(32*parallel.Threads(), 1+(p.m+8)*p.columns*p.depth/taskWork)
	p.rowTasks = min(strips, tasks)
	p.columnTasks = max(1, min(tasks/p.rowTasks, panelsOf(p.columns)/8))
	parallel.For(p.rowTasks*p.columnTasks, p.strips)
}

// runTask computes the strips of one task over its panels of the block.
func (p *product) runTask(task int) {
	g := p.kernels
	rowTask, columnTask := task/p.columnTasks, task%p.columnTasks
	panels := panelsOf(p.columns)
	firstPanel, lastPanel := columnTask*panels/p.columnTasks, (columnTask+1)*panels/p.columnTasks
	j := firstPanel * panelWidth
	n := min(lastPanel*panelWidth, p.columns) - j
	b := p.block[firstPanel*p.blockPanel:]
	accumulate := p.accumulate || p.depth0 > 0

	var packedA []float32
	if p.packsA(n) {
		buffer := borrow(p.depth * panelWidth)
		defer giveBack(buffer)
		packedA = *buffer
	}
	strips := (p.m + g.height - 1) / g.height
	for s := rowTask * strips / p.rowTasks; s < (rowTask+1)*strips/p.rowTasks; s++ {
		// Strips of equal height, to within a row, instead of full ones and a remainder.
		i, end := s*p.m/strips, (s+1)*p.m/strips
		a, aRow, aCol := p.a[i*p.aRow+p.depth0*p.aCol:], p.aRow, p.aCol
		if packedA != nil {
			if aCol == 1 {
				g.packColumns(packedA, a, aRow, end-i, p.depth)
			} else {
				g.packRows(packedA, a, aCol, end-i, p.depth)
			}
			a, aRow, aCol = packedA, 1, panelWidth
		}
		g.strip(p.c[i*p.cRow+p.column0+j:], p.cRow, a, aRow, aCol, b, p.blockRow, p.blockPanel, end-i, n, p.depth, accumulate)
	}
}

// packsA reports whether a task over n columns copies its strips of a to consecutive memory first.
// Read in place, columns of a cost a cache line for a few of its elements, and rows a power of two
// apart fall into few sets of the first cache.
func (p *product) packsA(n int) bool {
	if p.aCol != 1 && p.aRow != 1 || n < 4*panelWidth || p.depth < 2*panelWidth {
		return false
	}
	if p.aCol == 1 {
		return p.aRow%256 == 0 && n >= 8*panelWidth
	}
	return true
}

// Scratch memory comes in two sizes, so that the many small requests do not hold on to large
// buffers.
const smallScratch = 16 * maxDepth

var (
	freeSmall = memory.NewFreeList(64, func() *[]float32 { b := make([]float32, smallScratch); return &b })
	freeLarge = memory.NewFreeList(16, func() *[]float32 { b := make([]float32, maxDepth*maxColumns); return &b })
)

// borrow returns memory of at least n elements, not cleared, for giveBack.
func borrow(n int) *[]float32 {
	if n <= smallScratch {
		return freeSmall.Get()
	}
	return freeLarge.Get()
}

func giveBack(b *[]float32) {
	if len(*b) == smallScratch {
		freeSmall.Put(b)
	} else {
		freeLarge.Put(b)
	}
}
