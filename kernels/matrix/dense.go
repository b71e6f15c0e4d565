package matrix

import (
	"fmt"

	"slimlab/kernels/memory"
)

// Dense is a view of float64 numbers: element (i, j) is Data[i*RowStride+j*ColStride].
type Dense struct {
	Rows, Cols           int
	RowStride, ColStride int
	Data                 []float64
}

// NewDense returns a matrix with consecutive rows over data, or over new memory of zeros where
// data is nil.
func NewDense(rows, cols int, data []float64) Dense {
	if data == nil {
		data = memory.Aligned[float64](rows * cols)
	}
	return strided(rows, cols, cols, data)
}

// strided is a matrix whose rows are stride apart.
func strided(rows, cols, stride int, data []float64) Dense {
	m := Dense{rows, cols, stride, 1, data}
	m.check("NewDense")
	return m
}

// T is the transposed view.
func (m Dense) T() Dense { return Dense{m.Cols, m.Rows, m.ColStride, m.RowStride, m.Data} }

// Block is the view of rows×cols elements from (i, j) on.
func (m Dense) Block(i, j, rows, cols int) Dense {
	if i < 0 || j < 0 || i+rows > m.Rows || j+cols > m.Cols {
		panic(fmt.Sprintf("matrix: block [%d+%d, %d+%d] of a matrix [%d, %d]", i, rows, j, cols, m.Rows, m.Cols))
	}
	b := Dense{rows, cols, m.RowStride, m.ColStride, nil}
	if rows > 0 && cols > 0 {
		b.Data = m.Data[i*m.RowStride+j*m.ColStride:]
	}
	return b
}

// Row is row i of a matrix whose rows are consecutive.
func (m Dense) Row(i int) []float64 {
	if m.ColStride != 1 {
		panic(fmt.Sprintf("matrix: row of a matrix with column stride %d", m.ColStride))
	}
	return m.Data[i*m.RowStride : i*m.RowStride+m.Cols]
}

func (m Dense) check(what string) {
	if m.Rows > 0 && m.Cols > 0 && len(m.Data) <= (m.Rows-1)*m.RowStride+(m.Cols-1)*m.ColStride {
		panic(fmt.Sprintf("matrix: %s has %d elements, too few for [%d, %d] with strides %d and %d", what, len(m.Data), m.Rows, m.Cols, m.RowStride, m.ColStride))
	}
}
