package kernels

import (
	"math"
	"math/rand/v2"
	"testing"
)

// softmax computes p = softmax(x) of one row with the row kernels in use, and returns the
// log-sum-exp.
func softmax(p, x []float32) (lse float32) {
	rk := &active.Load().rows
	m := rk.maximum(x)
	sum := rk.expSum(p, x, 1, m)
	rk.scale(p, p, 1/sum)
	return m + float32(math.Log(float64(sum)))
}

func TestSoftmax(t *testing.T) {
	eachLength(t, func(t *testing.T, r *rand.Rand, n, offset int) {
		const rows = 2
		x := randoms(r, rows*n, offset, 5)
		p, lse := newGuarded(rows*n, offset), newGuarded(rows, offset)
		for i := range rows {
			lse.x[i] = softmax(p.x[i*n:(i+1)*n], x.x[i*n:(i+1)*n])
		}
		p.check(t, "softmax")
		want, wantLSE := make([]float64, rows*n), make([]float64, rows)
		for i := range rows {
			sum := 0.0
			for j := range n {
				want[i*n+j] = math.Exp(float64(x.x[i*n+j]))
				sum += want[i*n+j]
			}
			for j := range n {
				want[i*n+j] /= sum
			}
			wantLSE[i] = math.Log(sum)
		}
		near(t, "softmax", p.x, want, 0, 1e-5)
		near(t, "lse", lse.x, wantLSE, 1, 1e-6)
		for i := range x.x { // softmax(x + c) = softmax(x), but for the bits that x loses
			x.x[i] += 64
		}
		for i := range rows {
			softmax(x.x[i*n:(i+1)*n], x.x[i*n:(i+1)*n])
		}
		near(t, "softmax after a shift", x.x, want, 0, 4e-5)
	})
}

func TestSoftmaxMasked(t *testing.T) {
	inf := float32(math.Inf(-1))
	eachRowKernels(t, func(t *testing.T) {
		x := []float32{inf, 2, inf, 2, inf}
		lse := softmax(x, x)
		for i, want := range []float32{0, 0.5, 0, 0.5, 0} {
			if x[i] != want {
				t.Errorf("p[%d] = %v, want %v", i, x[i], want)
			}
		}
		near(t, "lse", []float32{lse}, []float64{2 + math.Ln2}, 0, 1e-6)
		nan := []float32{1, float32(math.NaN()), 2}
		if softmax(nan, nan); nan[0] == nan[0] {
			t.Errorf("softmax of a row with NaN = %v", nan)
		}
	})
}
