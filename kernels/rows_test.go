package kernels

import (
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

// TestAddMoments: all implementations have the bits of sums in the order of the rows, whatever the
// number of columns, and NaN stays the largest.
func TestAddMoments(t *testing.T) {
	eachRowKernels(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(7, 8))
		for _, dim := range []int{1, 7, 8, 15, 16, 31, 100, 128, 300} {
			const rows = 5
			x, largest := newGuarded(rows*dim, 3), newGuarded(dim, 1)
			for i := range x.x {
				x.x[i] = float32(r.NormFloat64())
			}
			if dim > 3 {
				x.x[dim], x.x[1], x.x[2*dim+2] = float32(math.NaN()), float32(math.Inf(-1)), float32(math.Copysign(0, -1))
			}
			sum, sumAbs := make([]float64, dim+1), make([]float64, dim+1)
			clear(largest.x)
			AddMoments(sum[:dim], sumAbs, largest.x, x.x, 2)
			AddMoments(sum[:dim], sumAbs, largest.x, x.x[2*dim:], rows-2)
			largest.check(t, "largest")
			if sum[dim] != 0 || sumAbs[dim] != 0 {
				t.Fatalf("%d columns: wrote behind the sums", dim)
			}
			for j := range dim {
				var of, abs, most float64
				for i := range rows {
					v := float64(x.x[i*dim+j])
					of, abs, most = of+v, abs+math.Abs(v), max(most, math.Abs(v))
				}
				for what, c := range map[string][2]float64{"sum": {sum[j], of}, "sum of magnitudes": {sumAbs[j], abs}, "largest": {float64(largest.x[j]), most}} {
					if math.Float64bits(c[0]) != math.Float64bits(c[1]) && !(math.IsNaN(c[0]) && math.IsNaN(c[1])) {
						t.Fatalf("%d columns: %s of column %d is %v, want %v", dim, what, j, c[0], c[1])
					}
				}
			}
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
	w, rstd, labels, sums := make([]float32, dim), make([]float32, rows), make([]int32, rows), make([]float64, dim)
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
		"AddMoments":      func() { AddMoments(sums, sums, w, x, rows) },
		"CrossEntropy":    func() { CrossEntropy(rstd, x, labels, rstd, rows, dim) },
		"Loss":            func() { Distillation{Temperature: 2}.Loss(DistillationRows{rstd, rstd, x, y, labels, rstd, rstd, dim}) },
		"AdamW":           func() { AdamW{Step: 1}.Update(x, y, z, u) },
	} {
		if n := testing.AllocsPerRun(20, f); n > 0 {
			t.Errorf("%s allocates %v times a call", name, n)
		}
	}
}
