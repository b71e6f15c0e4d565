package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"slimlab/kernels/parallel"
)

// runLoss runs the kernel on one row.
func runLoss(d Distillation, z, t []float64, label int, wd, wc float32) (divergence, ce float64, gradient []float32) {
	gradient = float32s(z)
	var a, b [1]float32
	d.Loss(DistillationRows{a[:], b[:], gradient, float32s(t), []int32{int32(label)}, []float32{wd}, []float32{wc}, len(z)})
	return float64(a[0]), float64(b[0]), gradient
}

// TestLoss runs the suite over every implementation.
func TestLoss(t *testing.T) {
	suite := []struct {
		name string
		run  func(*testing.T)
	}{
		{"distillation-against-reference", testDistillationAgainstReference},
		{"cross-entropy-against-reference", testCrossEntropyAgainstReference},
		{"divergence-is-zero-only-at-teacher", testDivergenceIsZeroOnlyAtTeacher},
		{"divergence-shift-invariance", testDivergenceShiftInvariance},
		{"forward-kl-plus-entropy-is-cross-entropy", testForwardKLPlusEntropyIsCrossEntropy},
		{"one-hot-teacher", testOneHotTeacher},
		{"jensen-shannon-theorems", testJensenShannonTheorems},
		{"extreme-logits", testExtremeLogits},
		{"nan-is-shown", testLossShowsNaN},
		{"stays-inside", testLossStaysInside},
		{"rows-are-independent", testLossRowsAreIndependent},
	}
	eachRowKernels(t, func(t *testing.T) {
		for _, c := range suite {
			t.Run(c.name, c.run)
		}
	})
}

// testDistillationAgainstReference: float32 values within 3e-6·(1+|value|), gradients within
// 5e-6·(1+|gradient|) at weights up to 1.
func testDistillationAgainstReference(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, c := range lossCases() {
		for _, n := range []int{2, 7, 64, 259, 1000} {
			for _, spread := range []float64{0.1, 1, 4, 0} {
				z, teacher := lossLogits(rng, n, spread)
				label := rng.IntN(n)
				wd, wc := float32(rng.Float64()), float32(rng.Float64())
				divergence, ce, gradient := runLoss(c.d, z, teacher, label, wd, wc)
				want, wantCE := divergenceReference(c.d, z, teacher), 0.0
				wantG := gradientReference(c.d, z, teacher)
				wantCE, ceG := crossEntropyReference(z, label)
				scale := 1.0
				if c.d.TimesT2 {
					scale = max(1, c.d.Temperature*c.d.Temperature)
				}
				if math.Abs(divergence-want) > 3e-6*(scale+want) || math.Abs(ce-wantCE) > 3e-6*(1+wantCE) {
					t.Errorf("%s n=%d spread=%v: divergence %v want %v, ce %v want %v", c.name, n, spread, divergence, want, ce, wantCE)
				}
				var sum float64
				for i, g := range gradient {
					sum += float64(g)
					if w := float64(wd)*wantG[i] + float64(wc)*ceG[i]; math.Abs(float64(g)-w) > 5e-6*(scale+math.Abs(w)) {
						t.Fatalf("%s n=%d spread=%v: gradient %d is %v, want %v", c.name, n, spread, i, g, w)
					}
				}
				if math.Abs(sum) > 1e-5*scale {
					t.Errorf("%s n=%d spread=%v: gradients sum to %v, want 0", c.name, n, spread, sum)
				}
			}
		}
	}
}

func testCrossEntropyAgainstReference(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	const rows, n = 19, 133
	logits, labels, weight := make([]float32, rows*n), make([]int32, rows), make([]float32, rows)
	var want []float64
	var gradient [][]float64
	for r := range rows {
		z, _ := lossLogits(rng, n, float64(r%5))
		copy(logits[r*n:], float32s(z))
		labels[r], weight[r] = int32(rng.IntN(n)), rng.Float32()
		loss, g := crossEntropyReference(z, int(labels[r]))
		want, gradient = append(want, loss), append(gradient, g)
	}
	loss := make([]float32, rows)
	CrossEntropy(loss, logits, labels, weight, rows, n)
	for r := range rows {
		if math.Abs(float64(loss[r])-want[r]) > 2e-6*(1+want[r]) {
			t.Errorf("row %d: loss %v, want %v", r, loss[r], want[r])
		}
		for i, g := range gradient[r] {
			if got := float64(logits[r*n+i]); math.Abs(got-float64(weight[r])*g) > 1e-6 {
				t.Fatalf("row %d: gradient %d is %v, want %v", r, i, got, float64(weight[r])*g)
			}
		}
	}
}

func testDivergenceIsZeroOnlyAtTeacher(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, c := range lossCases() {
		for _, n := range []int{3, 50, 256} {
			z, teacher := lossLogits(rng, n, 2)
			divergence, _, gradient := runLoss(c.d, teacher, teacher, 0, 1, 0)
			if divergence != 0 {
				t.Errorf("%s n=%d: divergence of p from itself is %v, want exactly 0", c.name, n, divergence)
			}
			for i, g := range gradient {
				if g != 0 {
					t.Fatalf("%s n=%d: gradient %d at p = q is %v, want exactly 0", c.name, n, i, g)
				}
			}
			if divergence, _, _ := runLoss(c.d, z, teacher, 0, 1, 0); divergence <= 1e-6 {
				t.Errorf("%s n=%d: divergence of unlike rows is %v", c.name, n, divergence)
			}
		}
	}
}

func testDivergenceShiftInvariance(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for _, c := range lossCases() {
		z, teacher := lossLogits(rng, 40, 2)
		want, wantCE, wantG := runLoss(c.d, z, teacher, 3, 0.7, 0.3)
		for i := range z {
			z[i] = float64(float32(z[i] + 16))
			teacher[i] = float64(float32(teacher[i] - 16))
		}
		got, ce, gradient := runLoss(c.d, z, teacher, 3, 0.7, 0.3)
		if math.Abs(got-want) > 1e-5*(1+want)*9 || math.Abs(ce-wantCE) > 1e-5*(1+wantCE) {
			t.Errorf("%s: shifted logits give %v and %v, want %v and %v", c.name, got, ce, want, wantCE)
		}
		for i := range gradient {
			if math.Abs(float64(gradient[i]-wantG[i])) > 2e-5 {
				t.Errorf("%s: gradient %d of shifted logits is %v, want %v", c.name, i, gradient[i], wantG[i])
			}
		}
	}
}

// testForwardKLPlusEntropyIsCrossEntropy: FKL + H(p) = −Σ p log q.
func testForwardKLPlusEntropyIsCrossEntropy(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	for range 20 {
		z, teacher := lossLogits(rng, 33, 2)
		lp, lq := logSoftmax64(teacher, 1), logSoftmax64(z, 1)
		var entropy, cross float64
		for i := range lp {
			entropy -= math.Exp(lp[i]) * lp[i]
			cross -= math.Exp(lp[i]) * lq[i]
		}
		divergence, _, _ := runLoss(Distillation{Divergence: ForwardKL}, z, teacher, 0, 1, 0)
		if math.Abs(divergence+entropy-cross) > 1e-5 {
			t.Errorf("FKL %v + H %v is not the cross-entropy %v", divergence, entropy, cross)
		}
	}
}

// testOneHotTeacher: FKL from a one-hot teacher is the cross-entropy of its label, gradient too.
func testOneHotTeacher(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	z, _ := lossLogits(rng, 50, 2)
	teacher := make([]float64, 50)
	teacher[17] = 1e4
	divergence, ce, gradient := runLoss(Distillation{Divergence: ForwardKL}, z, teacher, 17, 1, 0)
	_, _, want := runLoss(Distillation{Divergence: ForwardKL}, z, teacher, 17, 0, 1)
	if math.Abs(divergence-ce) > 1e-6*(1+ce) {
		t.Errorf("FKL %v, cross-entropy %v", divergence, ce)
	}
	for i := range gradient {
		if math.Abs(float64(gradient[i]-want[i])) > 1e-7 {
			t.Errorf("gradient %d: FKL %v, cross-entropy %v", i, gradient[i], want[i])
		}
	}
}

func testJensenShannonTheorems(t *testing.T) {
	rng := rand.New(rand.NewPCG(15, 16))
	jsd := func(beta float64, z, teacher []float64) float64 {
		got, _, _ := runLoss(Distillation{Divergence: JensenShannon, Beta: beta}, z, teacher, 0, 1, 0)
		return got
	}
	for trial := range 40 {
		z, teacher := lossLogits(rng, 20, float64(trial%4)*3)
		for _, beta := range []float64{0.05, 0.3, 0.5, 0.9} {
			got, mirrored := jsd(beta, z, teacher), jsd(1-beta, teacher, z)
			if math.Abs(got-mirrored) > 1e-6 {
				t.Errorf("JSD_%v(p, q) = %v, JSD_%v(q, p) = %v", beta, got, 1-beta, mirrored)
			}
			if bound := -beta*math.Log(beta) - (1-beta)*math.Log(1-beta); got < 0 || got > bound+1e-6 {
				t.Errorf("JSD_%v = %v is outside 0 … %v", beta, got, bound)
			}
		}
		// The limits are proven on the reference, which has the digits for it.
		if trial%4 != 1 {
			continue
		}
		for _, limit := range []struct {
			beta float64
			kl   Divergence
		}{{1e-6, ForwardKL}, {1 - 1e-6, ReverseKL}} {
			d := Distillation{Divergence: JensenShannon, Beta: limit.beta, Temperature: 1}
			got := divergenceReference(d, z, teacher) / (limit.beta * (1 - limit.beta))
			want := divergenceReference(Distillation{Divergence: limit.kl, Temperature: 1}, z, teacher)
			if math.Abs(got-want) > 0.02*want {
				t.Errorf("JSD_%v/(β(1−β)) = %v, want about the KL %v", limit.beta, got, want)
			}
		}
	}
}

// testExtremeLogits: probabilities that underflow in float32 leave every value finite and right.
func testExtremeLogits(t *testing.T) {
	z, teacher := make([]float64, 30), make([]float64, 30)
	for i := range z {
		z[i], teacher[i] = float64(-20*i), float64(-20*(29-i))
	}
	for _, c := range lossCases() {
		divergence, ce, gradient := runLoss(c.d, z, teacher, 29, 1, 1)
		if want := divergenceReference(c.d, z, teacher); math.Abs(divergence-want) > 1e-5*(1+want) {
			t.Errorf("%s: divergence %v, want %v", c.name, divergence, want)
		}
		if math.Abs(ce-580) > 1e-3 {
			t.Errorf("%s: cross-entropy %v, want 580", c.name, ce)
		}
		want := gradientReference(c.d, z, teacher)
		_, ceG := crossEntropyReference(z, 29)
		for i, g := range gradient {
			w := want[i] + ceG[i]
			if !(math.Abs(float64(g)-w) <= 5e-5*(1+math.Abs(w))) {
				t.Errorf("%s: gradient %d is %v, want %v", c.name, i, g, w)
			}
		}
	}
}

// testLossStaysInside: nothing beyond the slices' own elements is written, at any alignment.
func testLossStaysInside(t *testing.T) {
	rng := rand.New(rand.NewPCG(19, 20))
	for _, n := range []int{1, 5, 16, 37, 128, 130} {
		for offset := range 4 {
			rows := 3
			z, teacher := randoms(rng, rows*n, offset, 2), randoms(rng, rows*n, offset, 2)
			divergence, ce := newGuarded(rows, offset), newGuarded(rows, offset)
			labels, weight := make([]int32, rows), []float32{1, 0.5, 0}
			for _, c := range lossCases() {
				c.d.Loss(DistillationRows{divergence.x, ce.x, z.x, teacher.x, labels, weight, weight, n})
				CrossEntropy(ce.x, z.x, labels, weight, rows, n)
				for _, g := range []guarded{z, teacher, divergence, ce} {
					g.check(t, c.name)
				}
			}
		}
	}
}

func testLossShowsNaN(t *testing.T) {
	for _, bad := range []float64{math.NaN(), math.Inf(1)} {
		z, teacher := lossLogits(rand.New(rand.NewPCG(1, 1)), 20, 1)
		z[13] = bad
		for _, c := range lossCases() {
			if divergence, ce, _ := runLoss(c.d, z, teacher, 0, 1, 1); !math.IsNaN(divergence) || !math.IsNaN(ce) {
				t.Errorf("%s: a logit of %v gives divergence %v and cross-entropy %v, want NaN", c.name, bad, divergence, ce)
			}
		}
	}
}

// testLossRowsAreIndependent: a row's bits depend neither on its neighbours nor on the number of
// threads.
func testLossRowsAreIndependent(t *testing.T) {
	rng := rand.New(rand.NewPCG(17, 18))
	const rows, n = 3*lossRows + 5, 70
	z, teacher := make([]float32, rows*n), make([]float32, rows*n)
	labels, wd, wc := make([]int32, rows), make([]float32, rows), make([]float32, rows)
	for i := range z {
		z[i], teacher[i] = float32(rng.NormFloat64()), float32(rng.NormFloat64())
	}
	for r := range rows {
		labels[r], wd[r], wc[r] = int32(rng.IntN(n)), rng.Float32(), rng.Float32()
	}
	for _, c := range lossCases() {
		run := func(threads int) (divergence, ce, gradient []float32) {
			defer parallel.SetThreads(threads)()
			divergence, ce, gradient = make([]float32, rows), make([]float32, rows), append([]float32(nil), z...)
			c.d.Loss(DistillationRows{divergence, ce, gradient, append([]float32(nil), teacher...), labels, wd, wc, n})
			return
		}
		divergence, ce, gradient := run(1)
		for _, threads := range []int{2, 5} {
			a, b, g := run(threads)
			if !sameBits(a, divergence) || !sameBits(b, ce) || !sameBits(g, gradient) {
				t.Fatalf("%s: %d threads change the bits", c.name, threads)
			}
		}
		for r := range rows {
			var a, b [1]float32
			g := append([]float32(nil), z[r*n:(r+1)*n]...)
			c.d.Loss(DistillationRows{a[:], b[:], g, append([]float32(nil), teacher[r*n:(r+1)*n]...), labels[r : r+1], wd[r:], wc[r:], n})
			if a[0] != divergence[r] || b[0] != ce[r] || !sameBits(g, gradient[r*n:(r+1)*n]) {
				t.Fatalf("%s: row %d alone gives other bits", c.name, r)
			}
		}
	}
}

func sameBits(a, b []float32) bool {
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return false
		}
	}
	return len(a) == len(b)
}

func TestLossMisusePanics(t *testing.T) {
	x := make([]float32, 8)
	cases := map[string]func(){
		"short teacher": func() { Distillation{}.Loss(DistillationRows{x, x, x, x[:7], []int32{0, 0}, x, x, 4}) },
		"short results": func() { Distillation{}.Loss(DistillationRows{x, x[:1], x, x, []int32{0, 0}, x, x, 4}) },
		"label outside": func() { CrossEntropy(x, x, []int32{0, 4}, x, 2, 4) },
		"negative":      func() { CrossEntropy(x, x, []int32{0, -1}, x, 2, 4) },
		"beta of 1": func() {
			Distillation{Divergence: JensenShannon, Beta: 1}.Loss(DistillationRows{x, x, x, x, []int32{0, 0}, x, x, 4})
		},
	}
	for name, call := range cases {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			call()
		})
	}
}

func BenchmarkDistillation(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	const rows, n = 512, 256
	source, z, teacher := make([]float32, rows*n), make([]float32, rows*n), make([]float32, rows*n)
	labels, weight := make([]int32, rows), make([]float32, rows)
	for i := range source {
		source[i] = float32(rng.NormFloat64())
	}
	divergence, ce := make([]float32, rows), make([]float32, rows)
	b.Run("ce", func(b *testing.B) {
		b.SetBytes(4 * rows * n)
		for b.Loop() {
			copy(z, source)
			CrossEntropy(ce, z, labels, weight, rows, n)
		}
	})
	for _, c := range []lossCase{{"fkl", Distillation{Divergence: ForwardKL}}, {"rkl", Distillation{Divergence: ReverseKL}}, {"jsd", Distillation{Divergence: JensenShannon, Beta: 0.5}}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(4 * rows * n)
			for b.Loop() {
				copy(z, source)
				copy(teacher, source[1:])
				c.d.Loss(DistillationRows{divergence, ce, z, teacher, labels, weight, weight, n})
			}
		})
	}
}

// TestMixLogs: of float64 probabilities, in rows of any order, also where one is 0 or both are.
func TestMixLogs(t *testing.T) {
	inf := float32(math.Inf(-1))
	eachRowKernels(t, func(t *testing.T) {
		const rows, vocab = 11, 37
		rng := rand.New(rand.NewPCG(4, 4))
		p, q := make([]float32, rows*vocab), make([]float32, 5*vocab)
		for i := range p {
			p[i] = float32(6 * rng.NormFloat64())
		}
		for i := range q {
			q[i] = float32(6 * rng.NormFloat64())
		}
		LogSoftmax(p, rows, vocab)
		LogSoftmax(q, 5, vocab)
		at, share := []int{10, 0, 3, 4, 7}, []float32{0.5, 0.001, 0.9, 0, 2.0 / 3}
		p[4*vocab] = float32(math.NaN()) // of a row that takes nothing from it
		p[10*vocab], p[10*vocab+1], q[1] = inf, inf, inf
		q[2] = inf
		want := slices.Clone(p)
		for j, r := range at {
			for v := range vocab {
				s := float64(share[j])
				if s == 0 {
					want[r*vocab+v] = q[j*vocab+v]
					continue
				}
				want[r*vocab+v] = float32(math.Log(s*math.Exp(float64(p[r*vocab+v])) + (1-s)*math.Exp(float64(q[j*vocab+v]))))
			}
		}
		MixLogs(p, q, at, share, vocab)
		for i, w := range want {
			if got := p[i]; got != w && !(math.Abs(float64(got-w)) <= 2e-6*(1+math.Abs(float64(w)))) {
				t.Fatalf("row %d, token %d: %v, want %v", i/vocab, i%vocab, got, w)
			}
		}
	})
	for text, f := range map[string]func(){
		"MixLogs of row 2": func() { MixLogs(make([]float32, 6), make([]float32, 3), []int{2}, []float32{0.5}, 3) },
		"MixLogs logQ":     func() { MixLogs(make([]float32, 6), make([]float32, 2), []int{1}, []float32{0.5}, 3) },
	} {
		func() {
			defer func() {
				if got := fmt.Sprint(recover()); !strings.Contains(got, text) {
					t.Errorf("panic %q, want %q", got, text)
				}
			}()
			f()
		}()
	}
}
