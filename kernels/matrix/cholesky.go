package matrix

import (
	"math"

	"slimlab/kernels/parallel"
)

// smallTriangle is the width of the largest triangle that is not halved.
const smallTriangle = 16

// half is the row at which a triangle of width n is cut in two, a panel's border.
func half(n int) int { return (n/2 + smallTriangle - 1) / smallTriangle * smallTriangle }

// Cholesky replaces the upper triangle of a symmetric matrix a [n, n], whose rows must be
// consecutive, by U with a = UᵀU. It reports whether a is positive definite; if not, the triangle
// is lost. What is below the diagonal is not read, and not kept.
func Cholesky(a Dense) bool {
	n := a.Rows
	if n <= smallTriangle {
		return smallCholesky(a)
	}
	h := half(n)
	top, right, rest := a.Block(0, 0, h, h), a.Block(0, h, h, n-h), a.Block(h, h, n-h, n-h)
	if !Cholesky(top) {
		return false
	}
	solveTriangle(top, right, true)
	AddSymmetric(rest, right.T(), right, -1)
	return Cholesky(rest)
}

func smallCholesky(a Dense) bool {
	for k := range a.Rows {
		row := a.Row(k)
		if !(row[k] > 0) || math.IsInf(row[k], 1) {
			return false
		}
		d := math.Sqrt(row[k])
		for j := k; j < len(row); j++ {
			row[j] /= d
		}
		row[k] = d
		for i := k + 1; i < a.Rows; i++ {
			below, f := a.Row(i), row[i]
			for j := i; j < len(below); j++ {
				below[j] -= float64(f * row[j])
			}
		}
	}
	return true
}

// SolveUpper replaces b [n, p] by U⁻¹·b, SolveUpperTransposed by U⁻ᵀ·b, for the upper triangle U of
// u [n, n].
func SolveUpper(u, b Dense)           { solveTriangle(u, b, false) }
func SolveUpperTransposed(u, b Dense) { solveTriangle(u, b, true) }

func solveTriangle(u, b Dense, transposed bool) {
	n := u.Rows
	if n <= smallTriangle {
		solveSmall(u, b, transposed)
		return
	}
	h := half(n)
	top, right, rest := u.Block(0, 0, h, h), u.Block(0, h, h, n-h), u.Block(h, h, n-h, n-h)
	upper, lower := b.Block(0, 0, h, b.Cols), b.Block(h, 0, n-h, b.Cols)
	if transposed {
		solveTriangle(top, upper, true)
		AddProduct(lower, right.T(), upper, -1)
		solveTriangle(rest, lower, true)
		return
	}
	solveTriangle(rest, lower, false)
	AddProduct(upper, right, lower, -1)
	solveTriangle(top, upper, false)
}

// solveSmall solves some columns at a time, in a copy that fits the first cache.
func solveSmall(u, b Dense, transposed bool) {
	n := u.Rows
	parallel.Range(b.Cols, 256, func(lo, hi int) {
		var memory [smallTriangle][256]float64
		width := hi - lo
		part := b.Block(0, lo, n, width)
		for i := range n {
			for j := range width {
				memory[i][j] = part.Data[i*part.RowStride+j*part.ColStride]
			}
		}
		for step := range n {
			k := step
			if !transposed {
				k = n - 1 - step
			}
			row := memory[k][:width]
			d := u.Data[k*u.RowStride+k]
			for j := range row {
				row[j] /= d
			}
			first, last := k+1, n
			if !transposed {
				first, last = 0, k
			}
			for i := first; i < last; i++ {
				f := u.Data[min(i, k)*u.RowStride+max(i, k)]
				other := memory[i][:len(row)]
				for j, v := range row {
					other[j] -= float64(f * v)
				}
			}
		}
		for i := range n {
			for j := range width {
				part.Data[i*part.RowStride+j*part.ColStride] = memory[i][j]
			}
		}
	})
}

// InvertUpper replaces the upper triangle U of u [n, n], whose rows must be consecutive, by U⁻¹.
func InvertUpper(u Dense) {
	n := u.Rows
	if n <= smallTriangle {
		for k := n - 1; k >= 0; k-- {
			row := u.Row(k)
			d := 1 / row[k]
			row[k] = d
			for j := n - 1; j > k; j-- {
				sum := 0.0
				for i := k + 1; i <= j; i++ {
					sum += float64(row[i] * u.Row(i)[j])
				}
				row[j] = -sum * d
			}
		}
		return
	}
	h := half(n)
	top, right, rest := u.Block(0, 0, h, h), u.Block(0, h, h, n-h), u.Block(h, h, n-h, n-h)
	solveTriangle(top, right, false)
	solveTriangle(rest, right.T(), true)
	for i := range right.Rows {
		row := right.Row(i)
		for j := range row {
			row[j] = -row[j]
		}
	}
	InvertUpper(top)
	InvertUpper(rest)
}

// InvertCholesky replaces the upper triangle U of u [n, n], whose rows must be consecutive, by that
// of (UᵀU)⁻¹.
func InvertCholesky(u Dense) {
	InvertUpper(u)
	squareUpper(u)
}

// squareUpper replaces the upper triangle U by that of U·Uᵀ.
func squareUpper(u Dense) {
	n := u.Rows
	if n <= smallTriangle {
		for i := range n {
			row := u.Row(i)
			for j := i; j < n; j++ {
				sum := 0.0
				for p, v := range u.Row(j)[j:] {
					sum += float64(row[j+p] * v)
				}
				row[j] = sum
			}
		}
		return
	}
	h := half(n)
	top, right, rest := u.Block(0, 0, h, h), u.Block(0, h, h, n-h), u.Block(h, h, n-h, n-h)
	squareUpper(top)
	AddSymmetric(top, right, right.T(), 1)
	timesTransposed(right, rest)
	squareUpper(rest)
}

// timesTransposed replaces b by b·Uᵀ.
func timesTransposed(b, u Dense) {
	n := u.Rows
	if n <= smallTriangle {
		parallel.Range(b.Rows, 64, func(lo, hi int) {
			for r := lo; r < hi; r++ {
				row := b.Row(r)
				for j := range row {
					sum := 0.0
					for p, v := range u.Row(j)[j:] {
						sum += float64(row[j+p] * v)
					}
					row[j] = sum
				}
			}
		})
		return
	}
	h := half(n)
	left, right := b.Block(0, 0, b.Rows, h), b.Block(0, h, b.Rows, n-h)
	timesTransposed(left, u.Block(0, 0, h, h))
	AddProduct(left, right, u.Block(0, h, h, n-h).T(), 1)
	timesTransposed(right, u.Block(h, h, n-h, n-h))
}
