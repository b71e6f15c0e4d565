package kernels

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"slimlab/kernels/parallel"
)

// sparseTeacher is one row's list.
type sparseTeacher struct {
	ids     []int32
	logP    []float32
	weight  []float32
	logRest float32
}

// likeliest lists the k likeliest tokens of a teacher's logits.
func likeliest(teacher []float64, temperature float64, k int) sparseTeacher {
	lp := logSoftmax64(teacher, temperature)
	order := make([]int32, len(lp))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Compare(lp[b], lp[a]) })
	s := sparseTeacher{logRest: float32(math.Inf(-1))}
	var rest float64
	for i, id := range order {
		if i < k {
			s.ids, s.logP = append(s.ids, id), append(s.logP, float32(lp[id]))
		} else {
			rest += math.Exp(lp[id])
		}
	}
	if rest > 0 {
		s.logRest = float32(math.Log(rest))
	}
	return s
}

// drawn lists n samples of the teacher, each token once, weighted by its share.
func drawn(rng *rand.Rand, teacher []float64, n int) sparseTeacher {
	lp := logSoftmax64(teacher, 1)
	counts := map[int32]int{}
	for range n {
		u, id := rng.Float64(), 0
		for ; id < len(lp)-1; id++ {
			if u -= math.Exp(lp[id]); u < 0 {
				break
			}
		}
		counts[int32(id)]++
	}
	var s sparseTeacher
	for id := range int32(len(lp)) {
		if c := counts[id]; c > 0 {
			s.ids, s.logP, s.weight = append(s.ids, id), append(s.logP, float32(lp[id])), append(s.weight, float32(c)/float32(n))
		}
	}
	return s
}

func (s sparseTeacher) rows(z []float64, rest Rest, label int, wd, wc float32) SparseRows {
	return SparseRows{
		Divergence: make([]float32, 1), CE: make([]float32, 1), Logits: float32s(z), Starts: []int32{0, int32(len(s.ids))}, IDs: s.ids, LogP: s.logP,
		Weight: s.weight, LogRest: []float32{s.logRest}, Rest: rest, Labels: []int32{int32(label)},
		DivergenceWeight: []float32{wd}, CEWeight: []float32{wc}, Vocab: len(z),
	}
}

func runSparse(d Distillation, z []float64, s sparseTeacher, rest Rest, label int, wd, wc float32) (divergence, ce float64, gradient []float32) {
	r := s.rows(z, rest, label, wd, wc)
	d.SparseLoss(r)
	return float64(r.Divergence[0]), float64(r.CE[0]), r.Logits
}

// sparseReference is the divergence by its definition: that of the reference over the outcomes that
// are compared.
func sparseReference(d Distillation, z []float64, s sparseTeacher, rest Rest) float64 {
	lq := logSoftmax64(z, d.Temperature)
	if rest == RestSampled {
		var sum float64
		for i, id := range s.ids {
			sum += float64(s.weight[i]) * (float64(s.logP[i]) - lq[id])
		}
		if d.TimesT2 {
			sum *= d.Temperature * d.Temperature
		}
		return sum
	}
	var p, q []float64
	listed := map[int32]bool{}
	for i, id := range s.ids {
		listed[id] = true
		p, q = append(p, float64(s.logP[i])), append(q, lq[id])
	}
	if rest == RestBucket && len(s.ids) < len(z) {
		var of float64
		for i, l := range lq {
			if !listed[int32(i)] {
				of += math.Exp(l)
			}
		}
		p, q = append(p, float64(s.logRest)), append(q, math.Log(of))
	}
	// at T = 1 the reference takes logits, and divides by the sums
	scale := 1.0
	if d.TimesT2 {
		scale = d.Temperature * d.Temperature
	}
	d.Temperature, d.TimesT2 = 1, false
	return scale * divergenceReference(d, q, p)
}

func TestSparseLoss(t *testing.T) {
	suite := []struct {
		name string
		run  func(*testing.T)
	}{
		{"against-definition", testSparseAgainstDefinition},
		{"all-tokens-are-the-whole-loss", testSparseOfAllTokens},
		{"bucket-theorems", testBucketTheorems},
		{"samples-are-unbiased", testSamplesAreUnbiased},
		{"extreme-logits", testSparseExtremes},
		{"rows-are-independent", testSparseRowsAreIndependent},
	}
	eachRowKernels(t, func(t *testing.T) {
		for _, c := range suite {
			t.Run(c.name, c.run)
		}
	})
}

// testSparseAgainstDefinition: values within 5e-6·(1+value) and gradients within 2e-5 of central
// differences of the definition in float64, cross-entropy included.
func testSparseAgainstDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(31, 32))
	for _, c := range lossCases() {
		for _, n := range []int{3, 40} {
			for _, rest := range []Rest{RestBucket, RestDropped, RestSampled} {
				if rest == RestSampled && c.d.Divergence != ForwardKL {
					continue
				}
				z, teacher := lossLogits(rng, n, 1.5)
				s := likeliest(teacher, c.d.Temperature, 1+rng.IntN(n-1))
				if rest == RestSampled {
					s = drawn(rng, teacher, 5)
				}
				label, wd, wc := rng.IntN(n), rng.Float32(), rng.Float32()
				divergence, ce, gradient := runSparse(c.d, z, s, rest, label, wd, wc)
				want := sparseReference(c.d, z, s, rest)
				wantCE, ceG := crossEntropyReference(z, label)
				scale := c.d.factor() + 1
				if math.Abs(divergence-want) > 5e-6*(scale+math.Abs(want)) || math.Abs(ce-wantCE) > 3e-6*(1+wantCE) {
					t.Errorf("%s n=%d rest %d of %d: divergence %v want %v, ce %v want %v", c.name, n, rest, len(s.ids), divergence, want, ce, wantCE)
				}
				const h = 1e-5
				for i := range z {
					at := z[i]
					z[i] = at + h
					up := sparseReference(c.d, z, s, rest)
					z[i] = at - h
					down := sparseReference(c.d, z, s, rest)
					z[i] = at
					w := float64(wd)*(up-down)/(2*h) + float64(wc)*ceG[i]
					if math.Abs(float64(gradient[i])-w) > 2e-5*(scale+math.Abs(w)) {
						t.Fatalf("%s n=%d rest %d of %d: gradient %d is %v, want %v", c.name, n, rest, len(s.ids), i, gradient[i], w)
					}
				}
			}
		}
	}
}

// testSparseOfAllTokens: with every token listed the loss is that of whole rows, and 0 at p = q.
func testSparseOfAllTokens(t *testing.T) {
	rng := rand.New(rand.NewPCG(33, 34))
	for _, c := range lossCases() {
		z, teacher := lossLogits(rng, 60, 2)
		s := likeliest(teacher, c.d.Temperature, 60)
		want, wantCE, wantG := runLoss(c.d, z, teacher, 7, 0.7, 0.2)
		scale := 1 + c.d.factor()
		for _, rest := range []Rest{RestBucket, RestDropped} {
			got, ce, gradient := runSparse(c.d, z, s, rest, 7, 0.7, 0.2)
			if math.Abs(got-want) > 1e-5*(scale+want) || math.Abs(ce-wantCE) > 1e-5 {
				t.Errorf("%s rest %d: %v and %v, whole rows %v and %v", c.name, rest, got, ce, want, wantCE)
			}
			for i := range gradient {
				if math.Abs(float64(gradient[i]-wantG[i])) > 2e-5*scale {
					t.Fatalf("%s rest %d: gradient %d is %v, of whole rows %v", c.name, rest, i, gradient[i], wantG[i])
				}
			}
			// the gradient of TVD is no continuous function at p = q
			if at, _, g := runSparse(c.d, teacher, s, rest, 7, 1, 0); math.Abs(at) > 1e-6*scale || c.d.Divergence != TotalVariation && math.Abs(float64(g[3])) > 1e-6*scale {
				t.Errorf("%s rest %d: divergence of p from itself is %v, a gradient %v", c.name, rest, at, g[3])
			}
		}
	}
}

// testBucketTheorems: the divergence with a bucket never exceeds that over the vocabulary, does not
// fall as tokens are listed, and is it where p/q is one number over the rest.
func testBucketTheorems(t *testing.T) {
	rng := rand.New(rand.NewPCG(35, 36))
	for trial := range 200 {
		c := lossCases()[trial%len(lossCases())]
		const n = 24
		z, teacher := lossLogits(rng, n, 1+float64(trial%3))
		whole, _, _ := runLoss(c.d, z, teacher, 0, 1, 0)
		before, slack := 0.0, 1e-5*(1+whole)*(1+c.d.factor())
		for k := range n + 1 {
			got, _, _ := runSparse(c.d, z, likeliest(teacher, c.d.Temperature, k), RestBucket, 0, 1, 0)
			if got < before-slack || got > whole+slack {
				t.Fatalf("%s: %d tokens and the rest give %v, one less %v, all %v", c.name, k, got, before, whole)
			}
			before = got
		}
		s := likeliest(teacher, c.d.Temperature, 8)
		for i := range z { // q is p outside of the list, up to a factor
			if !slices.Contains(s.ids, int32(i)) {
				z[i] = teacher[i] - 0.25
			}
		}
		whole, _, _ = runLoss(c.d, z, teacher, 0, 1, 0)
		if got, _, _ := runSparse(c.d, z, s, RestBucket, 0, 1, 0); math.Abs(got-whole) > slack {
			t.Errorf("%s: with one ratio over the rest the bucket gives %v, all tokens %v", c.name, got, whole)
		}
	}
}

// testSamplesAreUnbiased: over many draws the mean gradient of samples is that of the whole
// distribution, within three standard errors at all but the share of tokens that chance explains;
// the likeliest tokens alone are biased by more, however many draws there are.
func testSamplesAreUnbiased(t *testing.T) {
	rng := rand.New(rand.NewPCG(37, 38))
	const n, draws, samples = 50, 4000, 6
	z, teacher := lossLogits(rng, n, 1)
	d := Distillation{Divergence: ForwardKL}
	want, _, wantG := runLoss(d, z, teacher, 0, 1, 0)
	var value, square float64
	sum, squares := make([]float64, n), make([]float64, n)
	for range draws {
		v, _, g := runSparse(d, z, drawn(rng, teacher, samples), RestSampled, 0, 1, 0)
		value, square = value+v, square+v*v
		for i, x := range g {
			sum[i] += float64(x)
			squares[i] += float64(x) * float64(x)
		}
	}
	within := func(sum, squares, want float64) bool {
		mean := sum / draws
		return math.Abs(mean-want) <= 3*math.Sqrt((squares/draws-mean*mean)/draws)+1e-7
	}
	if !within(value, square, want) {
		t.Errorf("samples give a divergence of %v, the whole distribution %v", value/draws, want)
	}
	outside := 0
	for i := range sum {
		if !within(sum[i], squares[i], float64(wantG[i])) {
			outside++
		}
	}
	if outside > 1 { // 0.27% of 50
		t.Errorf("the mean gradient of %d of %d tokens is further than three standard errors off", outside, n)
	}
	_, _, g := runSparse(d, z, likeliest(teacher, 1, samples), RestDropped, 0, 1, 0)
	var biased, unbiased float64
	for i := range g {
		biased = max(biased, math.Abs(float64(g[i]-wantG[i])))
		unbiased = max(unbiased, math.Abs(sum[i]/draws-float64(wantG[i])))
	}
	if biased < 5*unbiased {
		t.Errorf("the likeliest %d tokens are off by %v, the mean of samples by %v: expected a bias to be seen", samples, biased, unbiased)
	}
}

// testSparseExtremes: probabilities that underflow leave every value finite; a NaN is shown.
func testSparseExtremes(t *testing.T) {
	z, teacher := make([]float64, 30), make([]float64, 30)
	for i := range z {
		z[i], teacher[i] = float64(-20*i), float64(-20*(29-i))
	}
	for _, c := range lossCases() {
		for _, k := range []int{0, 1, 29, 30} {
			s := likeliest(teacher, c.d.Temperature, k)
			got, _, gradient := runSparse(c.d, z, s, RestBucket, 29, 1, 1)
			if math.IsNaN(got) || math.IsInf(got, 0) || got < -1e-9 {
				t.Errorf("%s: %d tokens: divergence %v", c.name, k, got)
			}
			for i, g := range gradient {
				if math.IsNaN(float64(g)) || math.IsInf(float64(g), 0) {
					t.Fatalf("%s: %d tokens: gradient %d is %v", c.name, k, i, g)
				}
			}
		}
		z[13] = math.NaN()
		if got, ce, _ := runSparse(c.d, z, likeliest(teacher, c.d.Temperature, 3), RestBucket, 0, 1, 1); !math.IsNaN(got) || !math.IsNaN(ce) {
			t.Errorf("%s: a NaN gives divergence %v and cross-entropy %v", c.name, got, ce)
		}
		z[13] = -260
	}
}

// testSparseRowsAreIndependent: rows of unlike lists, computed together and on any number of
// threads, are those computed alone.
func testSparseRowsAreIndependent(t *testing.T) {
	rng := rand.New(rand.NewPCG(39, 40))
	const rows, n = 2*lossRows + 3, 37
	d := Distillation{Divergence: JensenShannon, Beta: 0.3, Temperature: 2}
	all := SparseRows{Divergence: make([]float32, rows), CE: make([]float32, rows), Starts: []int32{0}, Vocab: n}
	var alone []float32
	for r := range rows {
		z, teacher := lossLogits(rng, n, 2)
		s := likeliest(teacher, 2, rng.IntN(n+1))
		one := s.rows(z, RestBucket, r, 0.5, 0.25)
		all.Logits, all.IDs, all.LogP = append(all.Logits, one.Logits...), append(all.IDs, one.IDs...), append(all.LogP, one.LogP...)
		all.Starts, all.LogRest, all.Labels = append(all.Starts, int32(len(all.IDs))), append(all.LogRest, s.logRest), append(all.Labels, int32(r))
		all.DivergenceWeight, all.CEWeight = append(all.DivergenceWeight, 0.5), append(all.CEWeight, 0.25)
		d.SparseLoss(one)
		alone = append(append(alone, one.Logits...), one.Divergence[0], one.CE[0])
	}
	logits := all.Logits
	for _, threads := range []int{1, 2, 5} {
		restore := parallel.SetThreads(threads)
		all.Logits = slices.Clone(logits)
		d.SparseLoss(all)
		restore()
		var together []float32
		for r := range rows {
			together = append(append(together, all.Logits[r*n:(r+1)*n]...), all.Divergence[r], all.CE[r])
		}
		if !sameBits(together, alone) {
			t.Errorf("%d threads: rows together give other bits than alone", threads)
		}
	}
}

func TestSparseLossMisusePanics(t *testing.T) {
	_, teacher := lossLogits(rand.New(rand.NewPCG(1, 2)), 6, 1)
	rows := func(change func(*SparseRows)) func() {
		r := likeliest(teacher, 1, 3).rows(teacher, RestBucket, 0, 1, 1)
		change(&r)
		return func() { Distillation{}.SparseLoss(r) }
	}
	cases := map[string]func(){
		"has 1 elements, needs 2":      rows(func(r *SparseRows) { r.Starts = r.Starts[:1] }),
		"IDs has 2 elements, needs 3":  rows(func(r *SparseRows) { r.IDs = r.IDs[:2] }),
		"LogP has 2 elements, needs 3": rows(func(r *SparseRows) { r.LogP = r.LogP[:2] }),
		"LogRest has 0 elements":       rows(func(r *SparseRows) { r.LogRest = nil }),
		"Weight has 0 elements":        rows(func(r *SparseRows) { r.Rest = RestSampled }),
		"outside the vocabulary of 6":  rows(func(r *SparseRows) { r.IDs = []int32{0, 6, 1} }),
		"row 0 has elements 4 to 3":    rows(func(r *SparseRows) { r.Starts = []int32{4, 3} }),
		"label 6 of row 0":             rows(func(r *SparseRows) { r.Labels = []int32{6} }),
		"samples of a teacher estimate": func() {
			r := drawn(rand.New(rand.NewPCG(1, 1)), teacher, 2).rows(teacher, RestSampled, 0, 1, 1)
			Distillation{Divergence: ReverseKL}.SparseLoss(r)
		},
		"a skewed divergence with α 1, needs": func() {
			Distillation{Divergence: SkewReverseKL, Alpha: 1}.SparseLoss(likeliest(teacher, 1, 3).rows(teacher, RestBucket, 0, 1, 1))
		},
	}
	for want, f := range cases {
		func() {
			defer func() {
				if p, _ := recover().(string); !strings.Contains(p, want) {
					t.Errorf("panic %q, want one with %q", p, want)
				}
			}()
			f()
		}()
	}
}
