package kernels

import "fmt"

// Matrix is a view of float64 numbers: element (i, j) is Data[i*RowStride+j*ColStride]. Statistics
// of calibration are solved with in float64, whose products and factorisations these are.
type Matrix struct {
	Rows, Cols           int
	RowStride, ColStride int
	Data                 []float64
}

// NewMatrix returns a matrix with consecutive rows over data, or over new memory of zeros where
// data is nil.
func NewMatrix(rows, cols int, data []float64) Matrix {
	if data == nil {
		data = make([]float64, rows*cols)
	}
	return strided(rows, cols, cols, data)
}

// strided is a matrix whose rows are stride apart.
func strided(rows, cols, stride int, data []float64) Matrix {
	m := Matrix{rows, cols, stride, 1, data}
	m.check("NewMatrix")
	return m
}

// T is the transposed view.
func (m Matrix) T() Matrix { return Matrix{m.Cols, m.Rows, m.ColStride, m.RowStride, m.Data} }

// Block is the view of rows×cols elements from (i, j) on.
func (m Matrix) Block(i, j, rows, cols int) Matrix {
	if i < 0 || j < 0 || i+rows > m.Rows || j+cols > m.Cols {
		panic(fmt.Sprintf("kernels: block [%d+%d, %d+%d] of a matrix [%d, %d]", i, rows, j, cols, m.Rows, m.Cols))
	}
	b := Matrix{rows, cols, m.RowStride, m.ColStride, nil}
	if rows > 0 && cols > 0 {
		b.Data = m.Data[i*m.RowStride+j*m.ColStride:]
	}
	return b
}

// Row is row i of a matrix whose rows are consecutive.
func (m Matrix) Row(i int) []float64 {
	if m.ColStride != 1 {
		panic(fmt.Sprintf("kernels: row of a matrix with column stride %d", m.ColStride))
	}
	return m.Data[i*m.RowStride : i*m.RowStride+m.Cols]
}

func (m Matrix) check(what string) {
	if m.Rows > 0 && m.Cols > 0 && len(m.Data) <= (m.Rows-1)*m.RowStride+(m.Cols-1)*m.ColStride {
		panic(fmt.Sprintf("kernels: %s has %d elements, too few for [%d, %d] with strides %d and %d", what, len(m.Data), m.Rows, m.Cols, m.RowStride, m.ColStride))
	}
}

// AddProduct computes c += factor·a·b on all threads, c [m, n], a [m, k], b [k, n], whose elements
// lie apart from c's. The bits do not depend on the number of threads, and those of an element not
// on the size of c.
func AddProduct(c, a, b Matrix, factor float64) { addProduct(c, a, b, factor, false) }

// AddSymmetric is AddProduct for a result of which only the elements (i, j) with i ≤ j are wanted:
// below the diagonal some change and some do not.
func AddSymmetric(c, a, b Matrix, factor float64) { addProduct(c, a, b, factor, true) }

// A block of b of float64Depth rows by float64Columns columns, 1 MiB, and the strip of a that
// passes it, 28 KiB, are copied into panels.
const (
	float64Depth   = 256
	float64Columns = 512
)

func addProduct(c, a, b Matrix, factor float64, upper bool) {
	if a.Rows != c.Rows || b.Cols != c.Cols || a.Cols != b.Rows {
		panic(fmt.Sprintf("kernels: product [%d, %d] = [%d, %d]·[%d, %d]", c.Rows, c.Cols, a.Rows, a.Cols, b.Rows, b.Cols))
	}
	c.check("c of a product")
	a.check("a of a product")
	b.check("b of a product")
	if c.ColStride != 1 {
		if c.RowStride != 1 || upper {
			panic(fmt.Sprintf("kernels: product with strides %d and %d", c.RowStride, c.ColStride))
		}
		c, a, b = c.T(), b.T(), a.T()
	}
	if c.Rows == 0 || c.Cols == 0 || a.Cols == 0 {
		return
	}
	p := float64Product{c: c, a: a, b: b, factor: factor, upper: upper, kernels: active.Load().gemm.float64}
	buffer := freeBlocks.get()
	defer freeBlocks.put(buffer)
	for p.column0 = 0; p.column0 < c.Cols; p.column0 += float64Columns {
		p.columns = min(float64Columns, c.Cols-p.column0)
		for p.depth0 = 0; p.depth0 < a.Cols; p.depth0 += float64Depth {
			p.depth = min(float64Depth, a.Cols-p.depth0)
			p.block = (*buffer)[:panelsOf(p.columns)*p.depth*panelWidth]
			p.multiply()
		}
	}
}

// float64Kernels is the routine of float64 products, described with its assembly: strip adds a·b to
// up to height rows of c.
type float64Kernels struct {
	height int
	strip  func(c []float64, cRow int, a, b []float64, m, n, k int)
}

// float64Product is c += factor·a·b on its way, with the block of b in work.
type float64Product struct {
	kernels         float64Kernels
	c, a, b         Matrix
	factor          float64
	upper           bool
	column0, depth0 int
	columns, depth  int
	block           []float64 // panels of 16 columns, [depth, 16] each
}

var (
	freeBlocks = newFreeList(16, func() *[]float64 { b := make([]float64, float64Depth*float64Columns); return &b })
	freeStrips = newFreeList(64, func() *[]float64 { b := make([]float64, float64Depth*panelWidth); return &b })
)

func (p *float64Product) multiply() {
	rows := p.c.Rows
	if p.upper {
		rows = min(rows, p.column0+p.columns)
	}
	strips := (rows + p.kernels.height - 1) / p.kernels.height
	shared := rows*p.columns*p.depth >= serialWork/4
	pack := func(lo, hi int) {
		for j := lo; j < hi; j++ {
			width := min(panelWidth, p.columns-j*panelWidth)
			panel := p.block[j*p.depth*panelWidth : (j+1)*p.depth*panelWidth]
			packFloat64(panel, p.b.Block(p.depth0, p.column0+j*panelWidth, p.depth, width).T(), p.factor)
		}
	}
	work := func(lo, hi int) {
		buffer := freeStrips.get()
		defer freeStrips.put(buffer)
		for s := lo; s < hi; s++ {
			p.strip(*buffer, s*rows/strips, (s+1)*rows/strips)
		}
	}
	if !shared {
		pack(0, panelsOf(p.columns))
		work(0, strips)
		return
	}
	ParallelRange(panelsOf(p.columns), 4, pack)
	ParallelRange(strips, max(1, min(8, strips/(4*Threads()))), work)
}

// strip adds rows lo…hi-1 of the product with the block.
func (p *float64Product) strip(buffer []float64, lo, hi int) {
	first := 0
	if p.upper {
		// panels that begin right of all of the strip's diagonal begin behind it
		first = max(0, lo-p.column0) / panelWidth
	}
	from := first * panelWidth
	if from >= p.columns {
		return
	}
	a := buffer[:p.depth*panelWidth]
	packFloat64(a, p.a.Block(lo, p.depth0, hi-lo, p.depth), 1)
	c := p.c.Block(lo, p.column0+from, hi-lo, p.columns-from)
	p.kernels.strip(c.Data, c.RowStride, a, p.block[first*p.depth*panelWidth:], c.Rows, c.Cols, p.depth)
}

// packFloat64 writes dst[p*16+i] = factor·m(i, p), zero from i = m.Rows on.
func packFloat64(dst []float64, m Matrix, factor float64) {
	n := m.Rows
	if n < panelWidth {
		clear(dst)
	}
	if m.RowStride == 1 {
		for p := range m.Cols {
			out := dst[p*panelWidth:][:n]
			for i, v := range m.Data[p*m.ColStride:][:n] {
				out[i] = factor * v
			}
		}
		return
	}
	for i := range n {
		row := m.Data[i*m.RowStride:]
		if m.ColStride == 1 {
			for p, v := range row[:m.Cols] {
				dst[p*panelWidth+i] = factor * v
			}
			continue
		}
		for p := range m.Cols {
			dst[p*panelWidth+i] = factor * row[p*m.ColStride]
		}
	}
}

// stripFloat64Ref is float64Kernels.strip in plain Go. The conversion keeps compilers from fusing
// the product with the sum.
func stripFloat64Ref(c []float64, cRow int, a, b []float64, m, n, k int) {
	for j := 0; j < n; j += panelWidth {
		panel := b[j/panelWidth*k*panelWidth:]
		width := min(panelWidth, n-j)
		for i := range m {
			var sum [panelWidth]float64
			for p := range k {
				x := a[p*panelWidth+i]
				for l, v := range panel[p*panelWidth:][:panelWidth] {
					sum[l] += float64(x * v)
				}
			}
			row := c[i*cRow+j:][:width]
			for l := range row {
				row[l] += sum[l]
			}
		}
	}
}
