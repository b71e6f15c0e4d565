package matrix

import (
	"context"
	"fmt"

	"slimlab/kernels"
	"slimlab/kernels/memory"
	"slimlab/kernels/parallel"
)

// AddProduct computes c += factor·a·b on all threads, c [m, n], a [m, k], b [k, n], whose elements
// lie apart from c's. The bits do not depend on the number of threads, and those of an element not
// on the size of c.
func AddProduct(ctx context.Context, c, a, b Dense, factor float64) {
	addProduct(ctx, c, a, b, factor, false)
}

// AddSymmetric is AddProduct for a result of which only the elements (i, j) with i ≤ j are wanted:
// below the diagonal some elements change and some do not.
func AddSymmetric(ctx context.Context, c, a, b Dense, factor float64) {
	addProduct(ctx, c, a, b, factor, true)
}

const (
	panelWidth = 16 // columns of a panel of b, and places of a packed row of a

	// A block of b, 4 MiB for the last cache, and the strip of a that passes it, 28 KiB, are copied
	// into panels. A block of fewer rows than blockDepth has more columns. With 512 columns, for
	// the second cache, strips are copied four times as often: 2 to 5% more CPU time in large
	// products.
	blockDepth = 256
	blockSize  = 2048 * blockDepth

	// sharedWork is the number of multiply-adds from which the product of a block is shared between
	// threads.
	sharedWork = 1 << 18

	// taskWork is about the number of multiply-adds of a task: threads that end together lose less
	// than that.
	taskWork = 1 << 21
)

func panelsOf(columns int) int { return (columns + panelWidth - 1) / panelWidth }

func addProduct(ctx context.Context, c, a, b Dense, factor float64, upper bool) {
	if a.Rows != c.Rows || b.Cols != c.Cols || a.Cols != b.Rows {
		panic(fmt.Sprintf("matrix: product [%d, %d] = [%d, %d]·[%d, %d]", c.Rows, c.Cols, a.Rows, a.Cols, b.Rows, b.Cols))
	}
	c.check("c of a product")
	a.check("a of a product")
	b.check("b of a product")
	if c.ColStride != 1 {
		if c.RowStride != 1 || upper {
			panic(fmt.Sprintf("matrix: product with strides %d and %d", c.RowStride, c.ColStride))
		}
		c, a, b = c.T(), b.T(), a.T()
	}
	if c.Rows == 0 || c.Cols == 0 || a.Cols == 0 {
		return
	}
	p := blockProduct{c: c, a: a, b: b, factor: factor, upper: upper, routines: routinesOf(kernels.Implementation())}
	buffer := freeBlocks.Get()
	defer freeBlocks.Put(buffer)
	blockColumns := blockSize / min(blockDepth, a.Cols) / panelWidth * panelWidth
	for p.column0 = 0; p.column0 < c.Cols; p.column0 += blockColumns {
		p.columns = min(blockColumns, c.Cols-p.column0)
		for p.depth0 = 0; p.depth0 < a.Cols; p.depth0 += blockDepth {
			if ctx.Err() != nil {
				return
			}
			p.depth = min(blockDepth, a.Cols-p.depth0)
			p.block = (*buffer)[:panelsOf(p.columns)*p.depth*panelWidth]
			p.multiply()
		}
	}
}

// blockProduct is a running c += factor·a·b with its present block of b.
type blockProduct struct {
	routines
	c, a, b         Dense
	factor          float64
	upper           bool
	column0, depth0 int
	columns, depth  int
	block           []float64 // panels of 16 columns, [depth, 16] each
}

var (
	freeBlocks = memory.NewFreeList(16, func() *[]float64 { b := make([]float64, blockSize); return &b })
	freeStrips = memory.NewFreeList(64, func() *[]float64 { b := make([]float64, blockDepth*panelWidth); return &b })
)

func (p *blockProduct) multiply() {
	rows := p.c.Rows
	if p.upper {
		rows = min(rows, p.column0+p.columns)
	}
	strips := (rows + p.height - 1) / p.height
	shared := rows*p.columns*p.depth >= sharedWork
	pack := func(lo, hi int) {
		for j := lo; j < hi; j++ {
			width := min(panelWidth, p.columns-j*panelWidth)
			panel := p.block[j*p.depth*panelWidth : (j+1)*p.depth*panelWidth]
			p.packStrip(panel, p.b.Block(p.depth0, p.column0+j*panelWidth, p.depth, width).T(), p.factor)
		}
	}
	work := func(lo, hi int) {
		buffer := freeStrips.Get()
		defer freeStrips.Put(buffer)
		for s := lo; s < hi; s++ {
			p.rows(*buffer, s*rows/strips, (s+1)*rows/strips)
		}
	}
	if !shared {
		pack(0, panelsOf(p.columns))
		work(0, strips)
		return
	}
	parallel.Range(panelsOf(p.columns), 4, pack)
	parallel.Range(strips, max(1, min(8, taskWork/(p.height*p.columns*p.depth))), work)
}

// rows adds rows lo…hi-1 of the product with the block.
func (p *blockProduct) rows(buffer []float64, lo, hi int) {
	first := 0
	if p.upper {
		// skips the panels left of the strip's diagonal
		first = max(0, lo-p.column0) / panelWidth
	}
	from := first * panelWidth
	if from >= p.columns {
		return
	}
	a := buffer[:p.depth*panelWidth]
	p.packStrip(a, p.a.Block(lo, p.depth0, hi-lo, p.depth), 1)
	c := p.c.Block(lo, p.column0+from, hi-lo, p.columns-from)
	p.strip(c.Data, c.RowStride, a, p.block[first*p.depth*panelWidth:], c.Rows, c.Cols, p.depth)
}

// packStrip writes dst[p*16+i] = factor·m(i, p), i < m.Rows.
func (r *routines) packStrip(dst []float64, m Dense, factor float64) {
	n := m.Rows
	if m.RowStride == 1 {
		r.pack(dst, m.Data, m.ColStride, n, m.Cols, factor)
		return
	}
	if m.ColStride == 1 {
		r.packTransposed(dst, m.Data, m.RowStride, n, m.Cols, factor)
		return
	}
	for i := range n {
		row := m.Data[i*m.RowStride:]
		for p := range m.Cols {
			dst[p*panelWidth+i] = factor * row[p*m.ColStride]
		}
	}
}

// Subtract computes y −= f[0]·x₀, then f[1]·x₁, and so on with the rows xᵢ of x [len(f), len(y)],
// which must be consecutive. Each product is rounded before it is subtracted: all implementations
// have the same bits.
func Subtract(y, f []float64, x Dense) {
	if x.Rows != len(f) || x.Cols != len(y) || x.ColStride != 1 {
		panic(fmt.Sprintf("matrix: %d elements less %d times a matrix [%d, %d] with column stride %d", len(y), len(f), x.Rows, x.Cols, x.ColStride))
	}
	x.check("x of Subtract")
	if len(f) > 0 && len(y) > 0 {
		routinesOf(kernels.Implementation()).subtract(y, f, x.Data, x.RowStride)
	}
}

// RoundNearest chooses codes on grids of integers: codes[i], the bits of an int8, is the integer
// nearest to y[i]/scale[i] + zero[i] in lowest…highest, and y[i] becomes what is left of it,
// y[i] − (code − zero[i])·scale[i]. Slices have the length of codes, the ends lie in −128…127. All
// implementations have the same bits.
func RoundNearest(codes []byte, y, scale, zero []float64, lowest, highest float64) {
	n := len(codes)
	for _, x := range [][]float64{y, scale, zero} {
		if len(x) != n {
			panic(fmt.Sprintf("matrix: RoundNearest of %d codes with a slice of %d", n, len(x)))
		}
	}
	whole := n &^ 7
	if whole > 0 {
		routinesOf(kernels.Implementation()).nearest(codes[:whole], y[:whole], scale, zero, lowest, highest)
	}
	nearestRef(codes[whole:], y[whole:], scale[whole:], zero[whole:], lowest, highest)
}

// Dot is the sum of x[i]·y[i], in four sums that end as (0 + 2) + (1 + 3).
func Dot(x, y []float64) float64 {
	if len(x) != len(y) {
		panic(fmt.Sprintf("matrix: dot product of %d and %d elements", len(x), len(y)))
	}
	var s0, s1, s2, s3 float64
	i := 0
	for ; i+4 <= len(x); i += 4 {
		a, b := x[i:i+4:i+4], y[i:i+4:i+4]
		s0 += float64(a[0] * b[0]) // the conversions keep compilers from fusing
		s1 += float64(a[1] * b[1])
		s2 += float64(a[2] * b[2])
		s3 += float64(a[3] * b[3])
	}
	for ; i < len(x); i++ {
		s0 += float64(x[i] * y[i])
	}
	return (s0 + s2) + (s1 + s3)
}
