package matrix

import (
	"context"
	"math"

	"slimlab/kernels/parallel"
)

// smallTriangle is the width of the largest triangle that is not halved.
const smallTriangle = 16

// half is the row at which a triangle of width n is cut in two, a panel's border.
func half(n int) int { return (n/2 + smallTriangle - 1) / smallTriangle * smallTriangle }

// Cholesky replaces the upper triangle of a symmetric matrix a [n, n], whose rows must be
// consecutive, by U with a = UᵀU. It reports whether a is positive definite; if not, the triangle
// is lost. What is below the diagonal is not read, and not kept. When ctx has ended the answer says
// nothing.
func Cholesky(ctx context.Context, a Dense) bool {
	n := a.Rows
	if ctx.Err() != nil {
		return false
	}
	if n <= smallTriangle {
		return smallCholesky(a)
	}
	h := half(n)
	top, right, rest := a.Block(0, 0, h, h), a.Block(0, h, h, n-h), a.Block(h, h, n-h, n-h)
	if !Cholesky(ctx, top) {
		return false
	}
	solveTriangle(ctx, top, right, true)
	AddSymmetric(ctx, rest, right.T(), right, -1)
	return Cholesky(ctx, rest)
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

// invertUpper replaces the upper triangle U of u [n, n], whose rows must be consecutive, by U⁻¹.
func invertUpper(ctx context.Context, u Dense) {
	if ctx.Err() != nil {
		return
	}
	n := u.Rows
	if n <= smallTriangle {
		smallInverse(u)
		return
	}
	h := half(n)
	top, right, rest := u.Block(0, 0, h, h), u.Block(0, h, h, n-h), u.Block(h, h, n-h, n-h)
	solveTriangle(ctx, top, right, false)
	solveTriangle(ctx, rest, right.T(), true)
	for i := range right.Rows {
		row := right.Row(i)
		for j := range row {
			row[j] = -row[j]
		}
	}
	invertUpper(ctx, top)
	invertUpper(ctx, rest)
}

// smallInverse goes from the last row to the first: row k of the inverse is −1/U(k, k) times the
// rest of row k times the rows of the inverse below it, which are added in their order.
func smallInverse(u Dense) {
	n := u.Rows
	for k := n - 1; k >= 0; k-- {
		row := u.Row(k)
		var sums [smallTriangle]float64
		for i := k + 1; i < n; i++ {
			f, below := row[i], u.Row(i)[i:]
			for j, v := range below {
				sums[(i+j)%smallTriangle] += float64(f * v)
			}
		}
		d := 1 / row[k]
		row[k] = d
		for j := k + 1; j < n; j++ {
			row[j] = -sums[j] * d
		}
	}
}

// InvertCholesky replaces the upper triangle U of u [n, n], whose rows must be consecutive, by that
// of (UᵀU)⁻¹.
func InvertCholesky(ctx context.Context, u Dense) {
	invertUpper(ctx, u)
	squareUpper(ctx, u)
}

// squareUpper replaces the upper triangle U by that of U·Uᵀ.
func squareUpper(ctx context.Context, u Dense) {
	if ctx.Err() != nil {
		return
	}
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
	squareUpper(ctx, top)
	AddSymmetric(ctx, top, right, right.T(), 1)
	timesTransposed(ctx, right, rest)
	squareUpper(ctx, rest)
}

// timesTransposed replaces b by b·Uᵀ.
func timesTransposed(ctx context.Context, b, u Dense) {
	if ctx.Err() != nil {
		return
	}
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
	timesTransposed(ctx, left, u.Block(0, 0, h, h))
	AddProduct(ctx, left, right, u.Block(0, h, h, n-h).T(), 1)
	timesTransposed(ctx, right, u.Block(h, h, n-h, n-h))
}
