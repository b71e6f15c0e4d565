package timing

import (
	"context"
	"time"

	"slimlab/kernels"
	"slimlab/kernels/matrix"
)

// Rates are multiply-adds a second of large products on this machine, at this moment.
type Rates struct {
	Products float64 // of Gram matrices, in a precision
	Doubles  float64 // of matrices in float64
}

// Rates measures products in a precision and in float64, for some tens of milliseconds: larger ones
// until they take as long as the rate of large ones asks for, and not beyond the widest of a model.
func (c *Clock) Rates(ctx context.Context, p kernels.Precision, widest int) (r Rates, err error) {
	const enough = 5 * time.Millisecond
	for n := 128; n <= 512 && ctx.Err() == nil; n *= 2 {
		var took time.Duration
		if r, took = c.rates(n, p); took >= enough || 2*n >= widest {
			break
		}
	}
	return r, ctx.Err()
}

// rates measures a Gram matrix of n rows of 2n numbers and a product of n rows and columns; took is
// the time of the first.
func (c *Clock) rates(n int, p kernels.Precision) (r Rates, took time.Duration) {
	width := 2 * n
	x, g := draw(n*width), make([]float32, width*width)
	a, y := matrix.NewDense(n, n, nil), matrix.NewDense(n, n, nil)
	for i := range a.Data {
		a.Data[i] = float64(x[i])
	}
	gram, double := func() { kernels.AddGram(g, x, n, width, p) }, func() { matrix.AddProduct(context.Background(), y, a, a, 1) }
	nanoseconds := c.of(gram)
	r.Products = float64(n) * float64(width*(width+1)/2) / nanoseconds * 1e9
	r.Doubles = float64(n) * float64(n) * float64(n) / c.of(double) * 1e9
	return r, time.Duration(nanoseconds)
}

// of is the time of f, in nanoseconds: the least of some samples.
func (c *Clock) of(f func()) float64 {
	f() // allocates
	return c.round(c.enough(f), f)
}
