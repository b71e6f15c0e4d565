package kernels

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestRMSNorm(t *testing.T) {
	eachLength(t, func(t *testing.T, r *rand.Rand, n, offset int) {
		const rows, eps = 3, 1e-5
		x, w, dy := randoms(r, rows*n, offset, 2), randoms(r, n, 3, 1), randoms(r, rows*n, 1, 1)
		dx, dw := randoms(r, rows*n, offset, 1), randoms(r, n, offset, 1)
		y, rstd := newGuarded(rows*n, offset), newGuarded(rows, offset)
		want, wantDx, wantDw := make([]float64, rows*n), wide(dx.x), wide(dw.x)
		for i := range rows {
			var mean, dot float64
			for j := range n {
				v := float64(x.x[i*n+j])
				mean += v * v / float64(n)
				dot += v * float64(w.x[j]) * float64(dy.x[i*n+j]) / float64(n)
			}
			s := 1 / math.Sqrt(mean+eps)
			for j := range n {
				v, m := float64(x.x[i*n+j]), float64(w.x[j])*float64(dy.x[i*n+j])
				want[i*n+j] = v * s * float64(w.x[j])
				wantDx[i*n+j] += s * (m - v*s*s*dot)
				wantDw[j] += float64(dy.x[i*n+j]) * v * s
			}
		}
		RMSNorm{Weight: w.x, Epsilon: eps}.Forward(y.x, rstd.x, x.x, rows)
		RMSNorm{Weight: w.x}.Backward(dx.x, dw.x, dy.x, x.x, rstd.x, rows)
		for what, g := range map[string]guarded{"y": y, "rstd": rstd, "dx": dx, "dw": dw} {
			g.check(t, what)
		}
		near(t, "y", y.x, want, 0, 2e-6)
		near(t, "dx", dx.x, wantDx, 10, 2e-6)
		near(t, "dw", dw.x, wantDw, 10, 2e-6)
		again := newGuarded(rows*n, offset)
		RMSNorm{Weight: w.x}.Again(again.x, rstd.x, x.x, rows)
		again.check(t, "RMSNormAgain")
		equalBits(t, "RMSNormAgain", again.x, y.x)

		// The sum is that of Add, and the norm that of RMSNorm, wherever they are written.
		sum, separately, rstdOfSum := x.clone(1), newGuarded(rows*n, 2), newGuarded(rows, 3)
		Add(sum.x, dy.x)
		RMSNorm{Weight: w.x, Epsilon: eps}.Forward(separately.x, rstdOfSum.x, sum.x, rows)
		stream, delta, rstd2 := x.clone(offset), dy.clone(2), newGuarded(rows, offset)
		RMSNorm{Weight: w.x, Epsilon: eps}.AddForward(delta.x, rstd2.x, stream.x, stream.x, delta.x, rows)
		for what, g := range map[string]guarded{"sum": stream, "y": delta, "rstd": rstd2} {
			g.check(t, "AddRMSNorm "+what)
		}
		equalBits(t, "AddRMSNorm sum", stream.x, sum.x)
		equalBits(t, "AddRMSNorm y", delta.x, separately.x)
		equalBits(t, "AddRMSNorm rstd", rstd2.x, rstdOfSum.x)

		inPlace := x.clone(offset)
		RMSNorm{Weight: w.x, Epsilon: eps}.Forward(inPlace.x, nil, inPlace.x, rows)
		near(t, "y in place", inPlace.x, want, 0, 2e-6)
	})
}

// Scaling x does not change y but for eps, so x·dx is Σ_i m_i x_i · r³·eps exactly.
func TestRMSNormBackwardScaleInvariance(t *testing.T) {
	eachRowKernels(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		const n = 96
		for _, eps := range []float64{1e-6, 0.5} {
			x, w, dy := randoms(r, n, 0, 1).x, randoms(r, n, 0, 1).x, randoms(r, n, 0, 1).x
			y, rstd, dx, dw := make([]float32, n), make([]float32, 1), make([]float32, n), make([]float32, n)
			RMSNorm{Weight: w, Epsilon: float32(eps)}.Forward(y, rstd, x, 1)
			RMSNorm{Weight: w}.Backward(dx, dw, dy, x, rstd, 1)
			var got, m float64
			for i := range x {
				got += float64(x[i]) * float64(dx[i])
				m += float64(x[i]) * float64(dy[i]) * float64(w[i])
			}
			if want := m * math.Pow(float64(rstd[0]), 3) * eps; math.Abs(got-want) > 1e-5*(1+math.Abs(m)) {
				t.Errorf("eps %v: x·dx = %v, want %v", eps, got, want)
			}
		}
	})
}
