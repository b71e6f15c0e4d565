package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"slimlab/kernels/parallel"
)

func randoms(r *rand.Rand, n, offset int, spread float64) guarded {
	g := newGuarded(n, offset)
	for i := range g.x {
		g.x[i] = float32(r.NormFloat64() * spread)
	}
	return g
}

func (g guarded) clone(offset int) guarded {
	c := newGuarded(len(g.x), offset)
	copy(c.x, g.x)
	return c
}

// near fails unless every got is within tolerance·(scale + |want|) of want.
func near(t *testing.T, what string, got []float32, want []float64, scale, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s has %d elements, want %d", what, len(got), len(want))
	}
	for i, g := range got {
		if !(math.Abs(float64(g)-want[i]) <= tolerance*(scale+math.Abs(want[i]))) {
			t.Fatalf("%s[%d] = %v, want %v", what, i, g, want[i])
		}
	}
}

func wide(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// eachLength runs f over lengths around the widths of vectors and unrolled loops, and over
// alignments.
func eachLength(t *testing.T, f func(t *testing.T, r *rand.Rand, n, offset int)) {
	eachRowKernels(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		for _, n := range []int{1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65, 100, 127, 128, 129, 200, 1000} {
			for offset := range 8 {
				f(t, r, n, offset)
			}
		}
	})
}

func TestElementwise(t *testing.T) {
	eachLength(t, func(t *testing.T, r *rand.Rand, n, offset int) {
		a, b, c := randoms(r, n, offset, 3), randoms(r, n, offset/2, 3), randoms(r, n, 7-offset, 3)
		x, y, d := wide(a.x), wide(b.x), wide(c.x)
		want, up, gate := make([]float64, n), make([]float64, n), make([]float64, n)

		out := newGuarded(n, offset)
		active.Load().rows.exp(out.x, a.x)
		for i := range want {
			want[i] = math.Exp(x[i])
		}
		out.check(t, "Exp")
		near(t, "Exp", out.x, want, 0, 2.4e-7)

		SwiGLU(out.x, a.x, b.x)
		for i := range want {
			want[i] = x[i] / (1 + math.Exp(-x[i])) * y[i]
		}
		out.check(t, "SwiGLU")
		near(t, "SwiGLU", out.x, want, 0, 1e-6)
		alias := b.clone(offset)
		SwiGLU(alias.x, a.x, alias.x)
		near(t, "SwiGLU in place of up", alias.x, want, 0, 1e-6)

		for i := range want {
			s := 1 / (1 + math.Exp(-x[i]))
			gate[i], up[i] = d[i]*y[i]*(s+x[i]*s*(1-s)), d[i]*x[i]*s
		}
		// in place, as training does it
		g, u, h := a.clone(offset), b.clone(offset), c.clone(offset)
		SwiGLUBackward(g.x, u.x, h.x, g.x, u.x)
		for i := range want {
			want[i] = x[i] / (1 + math.Exp(-x[i])) * y[i]
		}
		for what, x := range map[string]guarded{"dgate": g, "dup": u, "dh": h} {
			x.check(t, "SwiGLUBackward "+what)
		}
		near(t, "h after SwiGLUBackward", h.x, want, 0, 1e-6)
		near(t, "dgate", g.x, gate, 1, 1e-6)
		near(t, "dup", u.x, up, 0, 1e-6)

		sum := a.clone(offset)
		Add(sum.x, b.x)
		sum.check(t, "Add")
		for i := range want {
			if sum.x[i] != a.x[i]+b.x[i] {
				t.Fatalf("Add[%d] = %v, want %v", i, sum.x[i], a.x[i]+b.x[i])
			}
		}

		square := 0.0
		for _, v := range x {
			square += v * v
		}
		if got := SumSquares(a.x); math.Abs(got-square) > 1e-14*square {
			t.Fatalf("SumSquares of %d = %v, want %v", n, got, square)
		}
	})
}

// TestLossRows checks the routines behind the losses against their definitions in float64.
func TestLossRows(t *testing.T) {
	eachLength(t, func(t *testing.T, r *rand.Rand, n, offset int) {
		rk := &active.Load().rows
		x, y := randoms(r, n, offset, 3), newGuarded(n, 7-offset)
		rk.shiftScale(y.x, x.x, 1.5, 0.7)
		y.check(t, "shiftScale")
		want := wide(x.x)
		for i := range want {
			want[i] = (want[i] - 1.5) * float64(float32(0.7))
		}
		near(t, "shiftScale", y.x, want, 1, 1e-6)

		// Differences from 1e-6 to 30, so that both small and saturated mixtures occur.
		d, logPM := newGuarded(n, offset), newGuarded(n, offset/2)
		for i := range d.x {
			d.x[i] = float32(math.Copysign(math.Exp(r.Float64()*17-14), r.NormFloat64()))
		}
		for _, beta := range []float32{0.001, 0.1, 0.5, 0.9, 0.999} {
			const shift = float32(0.125)
			logQM := d.clone(3)
			rk.mixtureLogs(logPM.x, logQM.x, shift, beta, 1-beta)
			logPM.check(t, "log(p/m)")
			logQM.check(t, "log(q/m)")
			pm, qm := make([]float64, n), make([]float64, n)
			for i, v := range d.x {
				l := float64(v + shift)
				qm[i] = -math.Log(float64(1-beta) + float64(beta)*math.Exp(l))
				pm[i] = l + qm[i]
			}
			near(t, "log(q/m)", logQM.x, qm, 1, 3e-7)
			near(t, "log(p/m)", logPM.x, pm, 1, 3e-7)
		}
	})
}

// TestMixtureLogsNearOne: where p is close to q the logarithms keep their digits relative to
// log(p/q) itself, but for those that e^-|l| lacks.
func TestMixtureLogsNearOne(t *testing.T) {
	eachRowKernels(t, func(t *testing.T) {
		for _, l := range []float32{0, 1e-7, -1e-5, 1e-4, -1e-3, 0.01, -0.3} {
			logPM, d := []float32{0}, []float32{l}
			active.Load().rows.mixtureLogs(logPM, d, 0, 0.25, 0.75)
			want := -math.Log1p(0.25 * math.Expm1(float64(l)))
			if math.Abs(float64(d[0])-want) > 1e-7*math.Abs(want)+4e-8 {
				t.Errorf("log(q/m) at log(p/q) = %v is %v, want %v", l, d[0], want)
			}
		}
	})
}

func TestExpExtremes(t *testing.T) {
	inf := float32(math.Inf(1))
	eachRowKernels(t, func(t *testing.T) {
		exp := active.Load().rows.exp
		for _, c := range []struct{ x, want float32 }{
			{0, 1}, {float32(math.Copysign(0, -1)), 1}, {inf, inf}, {-inf, 0}, {89, inf}, {1e30, inf}, {-1e30, 0}, {-105, 0}, {-104, 0}, {88.73, inf},
		} {
			y := []float32{0}
			if exp(y, []float32{c.x}); y[0] != c.want {
				t.Errorf("Exp(%v) = %v, want %v", c.x, y[0], c.want)
			}
		}
		y := []float32{0}
		if exp(y, []float32{float32(math.NaN())}); y[0] == y[0] {
			t.Errorf("Exp(NaN) = %v", y[0])
		}
		// The error in units of the last place, over the whole range with its subnormals.
		x := make([]float32, 1<<18)
		for i := range x {
			x[i] = -104 + 192.72*float32(i)/float32(len(x))
		}
		e, worst := make([]float32, len(x)), 0.0
		exp(e, x)
		for i, v := range x {
			want := math.Exp(float64(v))
			ulp := math.Max(math.Ldexp(1, math.Ilogb(want)-23), math.SmallestNonzeroFloat32)
			worst = math.Max(worst, math.Abs(float64(e[i])-want)/ulp)
		}
		t.Logf("largest error %.3f ulp", worst)
		if worst > 2 {
			t.Errorf("largest error %.3f ulp, promised 2", worst)
		}
	})
}

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

func TestRope(t *testing.T) {
	eachRowKernels(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(5, 6))
		for _, dim := range []int{2, 6, 8, 16, 20, 32, 34, 64, 128} {
			const heads = 3
			table := NewRopeTable(50, RopeFrequencies(dim, 10000), 1)
			positions := []int32{0, 7, 49, 3}
			x := randoms(r, len(positions)*heads*dim, dim%5, 1)
			y := x.clone(dim % 3)
			Rope(y.x, positions, heads, table)
			y.check(t, "Rope")
			want := make([]float64, len(x.x))
			for i, p := range positions {
				for h := range heads {
					at := (i*heads + h) * dim
					for j := range dim / 2 {
						sin, cos := math.Sincos(float64(p) * math.Pow(10000, -2*float64(j)/float64(dim)))
						a, b := float64(x.x[at+j]), float64(x.x[at+j+dim/2])
						want[at+j], want[at+j+dim/2] = a*cos-b*sin, b*cos+a*sin
					}
					if before, after := SumSquares(x.x[at:at+dim]), SumSquares(y.x[at:at+dim]); math.Abs(before-after) > 1e-5*before {
						t.Errorf("dim %d position %d: squared norm %v became %v", dim, p, before, after)
					}
				}
			}
			near(t, "Rope", y.x, want, 1, 1e-6)
			RopeBackward(y.x, positions, heads, table)
			near(t, "inverse of Rope", y.x, wide(x.x), 1, 1e-6)

			// ⟨R_m q, R_n k⟩ depends on m−n only.
			score := func(m, n int32) float64 {
				q, k := append([]float32(nil), x.x[:dim]...), append([]float32(nil), x.x[dim:2*dim]...)
				Rope(q, []int32{m}, 1, table)
				Rope(k, []int32{n}, 1, table)
				return float64(active.Load().rows.dot(q, k))
			}
			if a, b := score(12, 5), score(40, 33); math.Abs(a-b) > 1e-5*float64(dim) {
				t.Errorf("dim %d: scores 7 apart are %v and %v", dim, a, b)
			}
		}
	})
}

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

func TestRowSums(t *testing.T) {
	eachLength(t, func(t *testing.T, r *rand.Rand, n, offset int) {
		if offset%3 != 0 {
			return
		}
		rows := 2*reduceRows + 5
		x, y := randoms(r, rows*n, offset, 1), randoms(r, n, offset, 1)
		want := wide(y.x)
		for i, v := range x.x {
			want[i%n] += float64(v)
		}
		SumRows(y.x, x.x, rows, n)
		y.check(t, "SumRows")
		near(t, "SumRows", y.x, want, 30, 1e-6)
		before := wide(x.x)
		AddRow(x.x, y.x, rows, n)
		x.check(t, "AddRow")
		for i := range before {
			before[i] += float64(y.x[i%n])
		}
		near(t, "AddRow", x.x, before, 1, 1e-6)

		index, scattered := make([]int32, rows), randoms(r, 3*n, offset, 1)
		want = wide(scattered.x)
		for i := range index {
			index[i] = int32(r.IntN(3))
			for j := range n {
				want[int(index[i])*n+j] += float64(x.x[i*n+j])
			}
		}
		ScatterAdd(scattered.x, x.x, index, n)
		scattered.check(t, "ScatterAdd")
		near(t, "ScatterAdd", scattered.x, want, 30, 1e-6)
	})
}

func TestAdamW(t *testing.T) {
	eachLength(t, func(t *testing.T, r *rand.Rand, n, offset int) {
		p, g, m, v := randoms(r, n, offset, 1), randoms(r, n, 1, 1), randoms(r, n, 2, 0.1), randoms(r, n, offset, 0.1)
		for i := range v.x {
			v.x[i] *= v.x[i]
		}
		a := AdamW{LearningRate: 0.01, Beta1: 0.9, Beta2: 0.95, Epsilon: 1e-8, WeightDecay: 0.1, Step: 3, GradScale: 0.5}
		wp, wm, wv := wide(p.x), wide(m.x), wide(v.x)
		for i := range wp {
			gi := float64(g.x[i]) * 0.5
			wm[i] = 0.9*wm[i] + 0.1*gi
			wv[i] = 0.95*wv[i] + 0.05*gi*gi
			wp[i] -= 0.01 * (wm[i]/(1-0.9*0.9*0.9)/(math.Sqrt(wv[i]/(1-0.95*0.95*0.95))+1e-8) + 0.1*wp[i])
		}
		a.Update(p.x, g.x, m.x, v.x)
		for what, x := range map[string]guarded{"p": p, "g": g, "m": m, "v": v} {
			x.check(t, what)
		}
		for i, gi := range g.x {
			if gi != 0 {
				t.Fatalf("the gradient's element %d is %v after the step, want 0", i, gi)
			}
		}
		near(t, "p", p.x, wp, 1, 2e-6)
		near(t, "m", m.x, wm, 1, 1e-6)
		near(t, "v", v.x, wv, 0, 4e-6)
	})
}

func TestBlockProduct(t *testing.T) {
	eachRowKernels(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(9, 10))
		rk := &active.Load().rows
		for _, m := range []int{1, 2, 3, 4, 5, 7, 8, 9, 13, 64} {
			for _, n := range []int{1, 5, 8, 9, 16, 17, 24, 31, 32, 33, 64} {
				for _, k := range []int{1, 2, 16, 33} {
					for _, transposed := range []bool{false, true} {
						a, b := randoms(r, m*k, k%3, 1), randoms(r, k*(n+3), 1, 1)
						s := blockShape{m: m, n: n, k: k, ldc: n, aRow: k, aCol: 1, ldb: n + 3}
						if transposed {
							s.aRow, s.aCol, s.accumulate = 1, m, true
						}
						c := randoms(r, m*n, m%4, 1)
						want, chain := wide(c.x), make([]float32, n)
						for i := range m {
							for j := range n {
								sum := 0.0
								for p := range k {
									sum += float64(a.x[i*s.aRow+p*s.aCol]) * float64(b.x[p*s.ldb+j])
								}
								if !s.accumulate {
									want[i*n+j] = 0
								}
								want[i*n+j] += sum
							}
						}
						rk.product(c.x, a.x, b.x, s)
						c.check(t, "product")
						near(t, fmt.Sprintf("product %+v", s), c.x, want, 10, 1e-6)
						// a row alone, and in two pieces of its columns, has the same bits
						if !s.accumulate {
							s.m = 1
							last := (m - 1) * k
							rk.product(chain, a.x[last:], b.x, s)
							equalBits(t, "row alone", chain, c.x[(m-1)*n:])
							if half := n / 2; half > 0 {
								s.n = half
								rk.product(chain, a.x[last:], b.x, s)
								s.n = n - half
								rk.product(chain[half:], a.x[last:], b.x[half:], s)
								equalBits(t, "row in pieces", chain, c.x[(m-1)*n:])
							}
						}
					}
				}
			}
		}
	})
}

func TestTranspose(t *testing.T) {
	eachRowKernels(t, func(t *testing.T) {
		rk := &active.Load().rows
		for _, rows := range []int{1, 7, 8, 9, 20, 64} {
			for _, cols := range []int{1, 6, 8, 12, 16, 33} {
				x, y := newGuarded(rows*(cols+2), 1), newGuarded(cols*rows, 2)
				for i := range x.x {
					x.x[i] = float32(i)
				}
				rk.transpose(y.x, x.x[:rows*(cols+2)-2], rows, cols, rows, cols+2)
				y.check(t, "transpose")
				for i := range rows {
					for j := range cols {
						if y.x[j*rows+i] != float32(i*(cols+2)+j) {
							t.Fatalf("transpose %d×%d: [%d, %d] is %v", rows, cols, j, i, y.x[j*rows+i])
						}
					}
				}
			}
		}
	})
}

func TestRowsPanicOnShortSlices(t *testing.T) {
	short, x := make([]float32, 3), make([]float32, 8)
	for name, f := range map[string]func(){
		"RMSNorm": func() { RMSNorm{Weight: x[:4]}.Forward(short, nil, x, 2) },
		"sum":     func() { RMSNorm{Weight: x[:4]}.AddForward(x, nil, short, x, x, 2) },
		"again":   func() { RMSNorm{Weight: x[:4]}.Again(x, short[:1], x, 2) },
		"SwiGLU":  func() { SwiGLU(x, x, short) },
		"Rope":    func() { Rope(x, []int32{9}, 2, NewRopeTable(4, RopeFrequencies(4, 10), 1)) },
		"heads": func() {
			Attention{Q: x, K: x, V: x, Starts: []int{0, 1}, Heads: 3, KVHeads: 2, HeadDim: 2}.Forward(x, nil)
		},
		"starts": func() {
			Attention{Q: x, K: x, V: x, Starts: []int{0, 2, 1}, Heads: 1, KVHeads: 1, HeadDim: 1}.Forward(x, nil)
		},
		"table":   func() { AttentionPaged(x, x, NewKVLayer(KVFloat32, 1, 4, 1, 1), []KVSegment{{[]int32{0}, 0, 2, 3}}, 1) },
		"page":    func() { NewKVLayer(KVFloat32, 1, 3, 1, 1) },
		"scatter": func() { ScatterAdd(x, x, []int32{0, 2}, 4) },
		"AdamW":   func() { AdamW{}.Update(x, short, x, x) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s did not panic", name)
				}
			}()
			f()
		}()
	}
}

// TestRowsAllocateNothing: on more threads than one and on rows enough to share out.
func TestRowsAllocateNothing(t *testing.T) {
	defer parallel.SetThreads(2)()
	const rows, dim = 512, 96
	x, y, z, u := make([]float32, rows*dim), make([]float32, rows*dim), make([]float32, rows*dim), make([]float32, rows*dim)
	w, rstd, labels := make([]float32, dim), make([]float32, rows), make([]int32, rows)
	table := NewRopeTable(4, RopeFrequencies(dim, 10), 1)
	for name, f := range map[string]func(){
		"RMSNorm":         func() { RMSNorm{Weight: w, Epsilon: 1}.Forward(y, rstd, x, rows) },
		"AddRMSNorm":      func() { RMSNorm{Weight: w, Epsilon: 1}.AddForward(y, rstd, x, x, z, rows) },
		"RMSNormAgain":    func() { RMSNorm{Weight: w}.Again(y, rstd, x, rows) },
		"RMSNormBackward": func() { RMSNorm{Weight: w}.Backward(y, w, z, x, rstd, rows) },
		"Rope":            func() { Rope(x, labels, 1, table) },
		"SwiGLU":          func() { SwiGLU(x, y, z) },
		"SwiGLUBackward":  func() { SwiGLUBackward(x, y, u, x, y) },
		"Add":             func() { Add(x, y) },
		"ScatterAdd":      func() { ScatterAdd(x, y, labels, dim) },
		"AddRow":          func() { AddRow(x, w, rows, dim) },
		"SumRows":         func() { SumRows(w, x, rows, dim) },
		"SumSquares":      func() { SumSquares(x) },
		"CrossEntropy":    func() { CrossEntropy(rstd, x, labels, rstd, rows, dim) },
		"Loss":            func() { Distillation{Temperature: 2}.Loss(DistillationRows{rstd, rstd, x, y, labels, rstd, rstd, dim}) },
		"AdamW":           func() { AdamW{Step: 1}.Update(x, y, z, u) },
	} {
		if n := testing.AllocsPerRun(20, f); n > 0 {
			t.Errorf("%s allocates %v times a call", name, n)
		}
	}
}
