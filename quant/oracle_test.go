package quant

import (
	"cmp"
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"slimlab/kernels"
	"slimlab/kernels/matrix"
	"slimlab/kernels/parallel"
	"slimlab/model/calibrate"
	"slimlab/model/weight"
)

// weights are normal, [out, in].
func weights(rng *rand.Rand, out, in int) *weight.Dense {
	w := make([]float32, out*in)
	for i := range w {
		w[i] = float32(rng.NormFloat64())
	}
	return weight.NewDense(w, out, in)
}

// correlated is the mean Gram matrix of rows draws of n correlated channels.
func correlated(rng *rand.Rand, n, rows int) *mat.SymDense {
	mix, z := mat.NewDense(n, n, nil), mat.NewDense(rows, n, nil)
	for i := range n {
		for j := range n {
			mix.Set(i, j, rng.NormFloat64()/math.Sqrt(float64(n)))
		}
		mix.Set(i, i, mix.At(i, i)+1)
	}
	for i := range rows {
		for j := range n {
			z.Set(i, j, rng.NormFloat64())
		}
	}
	var x mat.Dense
	x.Mul(z, mix)
	h := mat.NewSymDense(n, nil)
	h.SymOuterK(1/float64(rows), x.T())
	return h
}

// matrixOf copies a matrix of gonum, which is the oracle of these tests.
func matrixOf(m mat.Matrix) matrix.Dense {
	d := mat.DenseCopyOf(m).RawMatrix()
	return matrix.NewDense(d.Rows, d.Cols, d.Data)
}

func fit(t testing.TB, w *weight.Dense, group, bits int) *intGrid {
	t.Helper()
	f := weight.Format{Bits: 8, Activations: weight.Token}
	if bits == 4 {
		if f = (weight.Format{Bits: 4, Group: group}); group == w.In {
			f.Group = 0 // one group, of any size
		}
	}
	g, err := NewGrid(f, w, kernels.Float32)
	if err != nil {
		t.Fatal(err)
	}
	return g.(*intGrid)
}

// fitZero is a grid of 4 bits with zero points.
func fitZero(t testing.TB, w *weight.Dense, group int) *intGrid {
	t.Helper()
	g, err := NewGrid(weight.Format{Bits: 4, Group: group, ZeroPoints: true}, w, kernels.BFloat16)
	if err != nil {
		t.Fatal(err)
	}
	return g.(*intGrid)
}

// fitEach returns a grid of each kind of integers in groups.
func fitEach(t testing.TB, w *weight.Dense, group int) []*intGrid {
	t.Helper()
	all := []*intGrid{fit(t, w, group, 4), fitZero(t, w, group), fit(t, w, w.In, 8)}
	for _, bits := range []int{3, 8} {
		g, err := newIntGrid(weight.Format{Bits: bits, Group: group}, w, kernels.BFloat16)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, g.(*intGrid))
	}
	return all
}

// shifted moves each row of weights by a constant of its own, so that its groups lie to one side of
// zero.
func shifted(rng *rand.Rand, w *weight.Dense) *weight.Dense {
	for o := range w.Out {
		by := float32(2 * rng.NormFloat64())
		for i := range w.In {
			w.Data[o*w.In+i] += by
		}
	}
	return w
}

// toNearest is RTN.
func toNearest(t testing.TB, w *weight.Dense, g Grid) []byte {
	t.Helper()
	r, err := Nearest{}.Round(context.Background(), w, g, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r.Codes
}

// damped is the matrix that GPTQ minimises over: with ones for channels that were never active, and
// damping on the diagonal.
func (f *factor) damped() matrix.Dense {
	n := len(f.order)
	h := matrix.NewDense(n, n, slices.Clone(f.gram.Data))
	for i := range n {
		h.Row(i)[i] = f.diagonal(i) + f.shift
	}
	return h
}

func factorise(t testing.TB, h mat.Symmetric, damping float64, actOrder bool) *factor {
	t.Helper()
	f, err := momentsOf(h).factor(context.Background(), factorKey{damping, actOrder})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *factor) codes(w *weight.Dense, g Grid, block int) []byte {
	codes, _, _ := f.round(context.Background(), w, g, block)
	return codes
}

// lossOf is tr(ΔHΔᵀ) with the damped H.
func (f *factor) lossOf(w *weight.Dense, g Grid, codes []byte) float64 {
	return squaredError(context.Background(), f.damped(), w, g, codes)
}

// Σe² = tr(ΔH_dΔᵀ): an identity that holds however the codes were found.
func TestGPTQLossIdentity(t *testing.T) {
	worst := 0.0
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 1))
		out, in := 1+rng.IntN(20), 16*(1+rng.IntN(6))
		w := weights(rng, out, in)
		s := factorise(t, correlated(rng, in, 2*in), 0.01, seed%3 == 0)
		for kind, g := range fitEach(t, w, 16) {
			q, loss, _ := s.round(context.Background(), w, g, 1+rng.IntN(in))
			want := s.lossOf(w, g, q)
			worst = max(worst, math.Abs(loss-want)/want)
			if math.Abs(loss-want) > 1e-10*want {
				t.Errorf("seed %d, grid %d: Σe² is %g, tr(ΔHΔᵀ) is %g", seed, kind, loss, want)
			}
		}
	}
	t.Logf("worst relative difference %.1e", worst)
}

func TestGPTQBlockSizeInvariance(t *testing.T) {
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 2))
		w := weights(rng, 17, 160)
		s := factorise(t, correlated(rng, 160, 400), 0.01, seed%2 == 0)
		for kind, g := range fitEach(t, w, 32) {
			want := s.codes(w, g, 160)
			for _, block := range []int{1, 7, 128} {
				if q := s.codes(w, g, block); !slices.Equal(q, want) {
					t.Errorf("seed %d, grid %d: block %d gives other codes than one block", seed, kind, block)
				}
			}
		}
	}
}

// With uncorrelated inputs there is nothing to compensate.
func TestGPTQDiagonalIsRTN(t *testing.T) {
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 3))
		w := weights(rng, 9, 64)
		h := mat.NewSymDense(64, nil)
		for i := range 64 {
			h.SetSym(i, i, math.Exp(rng.NormFloat64()))
		}
		for kind, g := range fitEach(t, w, 16) {
			if q := factorise(t, h, 0.01, seed%2 == 0).codes(w, g, 13); !slices.Equal(q, toNearest(t, w, g)) {
				t.Errorf("seed %d, grid %d: GPTQ is not RTN on a diagonal H", seed, kind)
			}
		}
	}
}

// Permuted inputs permute the codes under act-order with a grid per output channel, and each output
// channel is on its own.
func TestGPTQEquivariance(t *testing.T) {
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 4))
		out, in := 6, 48
		w, h := weights(rng, out, in), correlated(rng, in, 100)
		g := fit(t, w, in, 4)
		s := factorise(t, h, 0.01, true)
		q := s.codes(w, g, 16)

		perm := rng.Perm(in)
		pw, ph := weight.NewDense(make([]float32, out*in), out, in), mat.NewSymDense(in, nil)
		for a, i := range perm {
			for o := range out {
				pw.Data[o*in+a] = w.Data[o*in+i]
			}
			for b := a; b < in; b++ {
				ph.SetSym(a, b, h.At(i, perm[b]))
			}
		}
		pq := factorise(t, ph, 0.01, true).codes(pw, fit(t, pw, in, 4), 16)
		for a, i := range perm {
			for o := range out {
				if pq[o*in+a] != q[o*in+i] {
					t.Fatalf("seed %d: code [%d, %d] is %d, after a permutation of the inputs %d", seed, o, i, q[o*in+i], pq[o*in+a])
				}
			}
		}
		for o := range out {
			row := weight.NewDense(w.Data[o*in:(o+1)*in], 1, in)
			if one := s.codes(row, fit(t, row, in, 4), 16); !slices.Equal(one, q[o*in:(o+1)*in]) {
				t.Fatalf("seed %d: output %d alone has other codes", seed, o)
			}
		}
	}
}

// Weights on the grid stay, and a single input is rounded to nearest.
func TestGPTQOnGrid(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	out, in, group := 5, 32, 8
	g := &intGrid{scaled: scaled{out: out, in: in, group: group, scale: make([]float32, out*in/group)}, lowest: -8, highest: 7}
	codes := make([]byte, out*in)
	for i := range g.scale {
		g.scale[i] = float32(math.Exp(rng.NormFloat64()))
	}
	for i := range codes {
		codes[i] = byte(rng.IntN(16) - 8)
	}
	w := values(g, codes)
	q, loss, _ := factorise(t, correlated(rng, in, 64), 0.01, true).round(context.Background(), w, g, 7)
	if !slices.Equal(q, codes) || loss > 1e-10 {
		t.Errorf("weights on the grid moved; loss %g", loss)
	}
	w = weights(rng, 7, 1)
	g = fit(t, w, 1, 8)
	if q := factorise(t, mat.NewSymDense(1, []float64{3}), 0.01, false).codes(w, g, 128); !slices.Equal(q, toNearest(t, w, g)) {
		t.Error("a single input is not rounded to nearest")
	}
}

// Rounding by the Cholesky factor is equivalent to recomputing the inverse of the remaining inputs
// at each step (OBQ in a fixed order).
func TestGPTQMatchesNaiveOBQ(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 6))
		in := 2 + rng.IntN(11)
		w := weights(rng, 3, in)
		g := fit(t, w, in, []int{4, 8}[seed%2])
		switch seed % 4 {
		case 0:
			g = fitZero(t, shifted(rng, w), 0)
		case 3:
			narrow, err := newIntGrid(weight.Format{Bits: 3}, w, kernels.Float32)
			if err != nil {
				t.Fatal(err)
			}
			g = narrow.(*intGrid)
		}
		s := factorise(t, correlated(rng, in, 30), 0.01, seed%2 == 0)
		if q := s.codes(w, g, 4); !slices.Equal(q, naiveOBQ(t, g, w, s)) {
			t.Errorf("seed %d: codes differ from the naive recursion", seed)
		}
	}
}

func naiveOBQ(t *testing.T, g *intGrid, w *weight.Dense, s *factor) []byte {
	q, damped := make([]byte, len(w.Data)), s.damped()
	for o := range g.out {
		row := make([]float64, g.in)
		for i := range row {
			row[i] = float64(w.Data[o*g.in+i])
		}
		for a := len(s.order) - 1; a >= 0; a-- {
			i, rest := s.order[a], s.order[:a+1]
			h := mat.NewDense(len(rest), len(rest), nil)
			for x, j := range rest {
				for y, k := range rest {
					h.Set(x, y, damped.Row(j)[k])
				}
			}
			var inverse mat.Dense
			if err := inverse.Inverse(h); err != nil {
				t.Fatal(err)
			}
			code, value := g.Encode(row[i], o, i)
			q[o*g.in+i] = code
			e := (row[i] - value) / inverse.At(a, a)
			for x, j := range rest {
				row[j] -= e * inverse.At(x, a)
			}
		}
	}
	return q
}

// All 4^in codes of a 2-bit grid: none is better than the best, and GPTQ is not below it. How near
// it comes, beside round to nearest, is statistical.
func TestGPTQAgainstBruteForce(t *testing.T) {
	const trials = 60
	optimal, betterThanRTN, worseThanRTN, sumGPTQ, sumRTN := 0, 0, 0, 0.0, 0.0
	for seed := range uint64(trials) {
		rng := rand.New(rand.NewPCG(seed, 7))
		in := 4 + rng.IntN(3)
		w := weights(rng, 1, in)
		g := fit(t, w, in, 4)
		g.lowest, g.highest = -2, 1
		g.scale[0] *= 7.5 / 1.5
		s := factorise(t, correlated(rng, in, 40), 0.01, false)
		best := math.Inf(1)
		codes := make([]byte, in)
		for n := range 1 << (2 * in) {
			for i := range codes {
				codes[i] = byte(n>>(2*i)&3) - 2
			}
			best = min(best, s.lossOf(w, g, codes))
		}
		q, loss, _ := s.round(context.Background(), w, g, 3)
		rtn := s.lossOf(w, g, toNearest(t, w, g))
		if got := s.lossOf(w, g, q); got < best*(1-1e-12) || loss < best*(1-1e-9) {
			t.Fatalf("seed %d: GPTQ %g is below the least of all, %g", seed, got, best)
		}
		sumGPTQ += loss / best
		sumRTN += rtn / best
		if loss < best*(1+1e-9) {
			optimal++
		}
		switch {
		case loss < rtn*(1-1e-9):
			betterThanRTN++
		case loss > rtn*(1+1e-9):
			worseThanRTN++
		}
	}
	t.Logf("GPTQ optimal in %d of %d; better than RTN in %d, worse in %d; mean ratio to the optimum: GPTQ %.3f, RTN %.3f",
		optimal, trials, betterThanRTN, worseThanRTN, sumGPTQ/trials, sumRTN/trials)
}

// Statistical: on a real layer's size GPTQ beats RTN clearly, though no theorem says so.
func TestGPTQAgainstRTN(t *testing.T) {
	better, ratio := 0, 0.0
	const trials = 20
	for seed := range uint64(trials) {
		rng := rand.New(rand.NewPCG(seed, 8))
		w := weights(rng, 16, 96)
		g := fit(t, w, 32, 4)
		h := correlated(rng, 96, 300)
		q := factorise(t, h, 0.01, false).codes(w, g, 128)
		a := squaredError(context.Background(), matrixOf(h), w, g, q)
		b := squaredError(context.Background(), matrixOf(h), w, g, toNearest(t, w, g))
		if a < b {
			better++
		}
		ratio += a / b / trials
	}
	t.Logf("GPTQ better than RTN in %d of %d, mean error ratio %.3f", better, trials, ratio)
	if better < trials*9/10 {
		t.Errorf("GPTQ better than RTN in %d of %d", better, trials)
	}
}

func TestRTNBound(t *testing.T) {
	for _, bits := range []int{4, 8} {
		rng := rand.New(rand.NewPCG(9, uint64(bits)))
		w := weights(rng, 12, 64)
		g := fit(t, w, 32, bits)
		back := values(g, toNearest(t, w, g))
		for i, v := range w.Data {
			if d := math.Abs(float64(v) - float64(back.Data[i])); d > float64(g.scale[i/g.group])/2*(1+1e-5) {
				t.Fatalf("%d bits: weight %d is off by %g with scale %g", bits, i, d, g.scale[i/g.group])
			}
		}
	}
}

// The grid's ends: +absmax of 4 bits is clamped to 7, −absmax is −7.5 and rounds to the even −8; 8
// bits reach ±127; zeros stay zeros.
func TestGridEnds(t *testing.T) {
	w := weight.NewDense([]float32{7.5, -7.5, 3.5, 2.5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 1, 16)
	g := fit(t, w, 8, 4)
	if q := toNearest(t, w, g); !slices.Equal(q[:4], []byte{7, 0xf8, 4, 2}) || slices.Max(q[8:]) != 0 {
		t.Errorf("4 bits: codes %v", q)
	}
	if g.scale[1] != 1 {
		t.Errorf("4 bits: a group of zeros has scale %g, want 1", g.scale[1])
	}
	g = fit(t, w, 16, 8)
	if q := toNearest(t, w, g); !slices.Equal(q[:2], []byte{127, 0x81}) || slices.Max(q[4:]) != 0 {
		t.Errorf("8 bits: codes %v", q)
	}
	w.Data[5] = float32(math.NaN())
	if _, err := NewGrid(weight.Format{Bits: 8, Activations: weight.Token}, w, kernels.Float32); err == nil {
		t.Error("a weight that is not a number has a grid")
	}
}

// A scale that vanishes as it is rounded is 1, as that of zeros is: nothing is divided by zero.
func TestScaleThatVanishes(t *testing.T) {
	w := weight.NewDense([]float32{1e-41, 0, -1e-41, 0, 0, 0, 0, 0}, 1, 8)
	g, err := NewGrid(weight.Format{Bits: 8, Activations: weight.Token}, w, kernels.BFloat16)
	if err != nil {
		t.Fatal(err)
	}
	if q := toNearest(t, w, g); slices.Max(q) != 0 || g.(*intGrid).scale[0] != 1 {
		t.Errorf("codes %v with scale %g, want zeros and 1", q, g.(*intGrid).scale[0])
	}
}

// The errors of a layer with more outputs and inputs than are multiplied at once are those of all
// of them.
func TestErrorsOfManyOutputsAndInputs(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 11))
	for _, size := range [][2]int{{1300, 8}, {3, 1304}, {514, 512}} {
		out, in := size[0], size[1]
		w := weights(rng, out, in)
		g := fit(t, w, 8, 4)
		codes := toNearest(t, w, g)
		symmetric := correlated(rng, in, 40)
		h := matrixOf(symmetric)
		quadratic := func(at func(o, i int) float64) (sum float64) { // tr(A·h·Aᵀ)
			for o := range out {
				for i := range in {
					row := 0.0
					for j := range in {
						row += h.Row(i)[j] * at(o, j)
					}
					sum += at(o, i) * row
				}
			}
			return sum
		}
		want := quadratic(func(o, i int) float64 { return float64(w.Data[o*in+i]) - g.Decode(codes[o*in+i], o, i) }) /
			quadratic(func(o, i int) float64 { return float64(w.Data[o*in+i]) })
		if got := momentsOf(symmetric).outputError(context.Background(), w, g, Rounding{Codes: codes}); math.Abs(got-want) > 1e-10*want {
			t.Errorf("the error of %d outputs of %d inputs is %g, want %g", out, in, got, want)
		}
	}
}

// The loss that GPTQ reports without a product is that of its codes with the matrix as measured:
// with dead channels, whose diagonal is damped as one, in any order, and where damping had to rise.
func TestLossWithoutDamping(t *testing.T) {
	rng := rand.New(rand.NewPCG(12, 11))
	const out, in = 20, 16
	for _, c := range []struct {
		name    string
		q       GPTQ
		dead    []int
		samples int
	}{{"whole", GPTQ{}, nil, 60}, {"strong damping", GPTQ{Damping: 2}, nil, 60}, {"dead channels", GPTQ{}, []int{0, 7}, 60}, {"ordered", GPTQ{ActOrder: true}, []int{3}, 60}, {"few samples", GPTQ{}, nil, 4}} {
		t.Run(c.name, func(t *testing.T) {
			w := weights(rng, out, in)
			h := correlated(rng, in, c.samples)
			for _, i := range c.dead {
				for j := range in {
					h.SetSym(i, j, 0)
				}
			}
			g := fit(t, w, 8, 4)
			r, err := c.q.Round(t.Context(), w, g, momentsOf(h))
			if err != nil {
				t.Fatal(err)
			}
			want := squaredError(t.Context(), matrixOf(h), w, g, r.Codes)
			if r.loss == nil || math.Abs(*r.loss-want) > 1e-9*r.DampedLoss {
				t.Errorf("loss %v, expected %g", r.loss, want)
			}
			easier, err := (QuantEase{}).Round(t.Context(), w, g, momentsOf(h))
			if err != nil || easier.loss != nil {
				t.Errorf("QuantEase has the loss %v of the codes that it began with, error %v", easier.loss, err)
			}
		})
	}
}

// A factor in memory that was used before is that in new memory.
func TestAFactorInUsedMemory(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 11))
	var room []float64
	for _, n := range []int{9, 5, 14} {
		h := correlated(rng, n, 40)
		for i := range room[:cap(room)] {
			room[:cap(room)][i] = math.NaN()
		}
		m := momentsOf(h)
		m.room = &room
		got, err := m.factor(t.Context(), factorKey{0.01, false})
		if err != nil {
			t.Fatal(err)
		}
		want := factorise(t, h, 0.01, false)
		for i := range n {
			if !slices.Equal(got.upper.Row(i)[i:], want.upper.Row(i)[i:]) {
				t.Errorf("row %d of %d differs", i, n)
			}
		}
		other, err := m.factor(t.Context(), factorKey{0.1, false})
		if err != nil || &other.upper.Data[0] == &got.upper.Data[0] {
			t.Errorf("two factors of the same moments lie in one memory, error %v", err)
		}
	}
}

// TestAFactorIsMadeOnce: layers that read one input share its factorisation, of each damping and
// order one.
func TestAFactorIsMadeOnce(t *testing.T) {
	h := matrixOf(mat.NewSymDense(3, []float64{2, 1, 0, 1, 2, 0, 0, 0, 2}))
	m := &Moments{Stats: &calibrate.Stats{Gram: h}}
	made := map[*factor]bool{}
	for range 2 {
		for _, key := range []factorKey{{0.01, false}, {0.01, true}, {0.1, false}} {
			f, err := m.factor(context.Background(), key)
			if err != nil || f.damping != key.damping {
				t.Fatalf("%+v: damping %v, error %v", key, f.damping, err)
			}
			made[f] = true
		}
	}
	if len(made) != 3 {
		t.Errorf("three factors were made %d times", len(made))
	}
}

// Singular statistics never pass silently: damping rises and a note says so.
func TestDampingRises(t *testing.T) {
	h := mat.NewSymDense(3, []float64{1, 1, 0, 1, 1, 0, 0, 0, 2})
	s, err := momentsOf(h).factor(context.Background(), factorKey{0, false})
	if err != nil {
		t.Fatal(err)
	}
	if s.damping == 0 || s.note == "" {
		t.Errorf("damping %g, note %q for a singular matrix", s.damping, s.note)
	}
	if s := factorise(t, h, 0.01, false); s.damping != 0.01 || s.note != "" {
		t.Errorf("damping %g, note %q where 0.01 suffices", s.damping, s.note)
	}
	h.SetSym(0, 1, math.NaN())
	if _, err := momentsOf(h).factor(context.Background(), factorKey{0.01, false}); err == nil {
		t.Error("statistics that are not numbers were factorised")
	}
}

// Damping rises as far as its limit, which the error names: eigenvalues of 1±c and a mean of 1 need
// more than c−1.
func TestDampingRisesToItsLimit(t *testing.T) {
	for c, damping := range map[float64]float64{1.5: 1, 5: 10, 20: 0} {
		f, err := momentsOf(mat.NewSymDense(2, []float64{1, c, c, 1})).factor(t.Context(), factorKey{0.01, false})
		if (err == nil) != (damping > 0) || err == nil && math.Abs(f.damping-damping) > 1e-12 {
			t.Errorf("c of %v: %+v, %v, expected damping %v", c, f, err, damping)
		}
	}
}

// A channel that was never active is rounded to nearest and disturbs no other.
func TestDeadChannel(t *testing.T) {
	rng := rand.New(rand.NewPCG(10, 10))
	h := correlated(rng, 8, 40)
	for i := range 8 {
		h.SetSym(3, i, 0)
	}
	w := weights(rng, 4, 8)
	g := fit(t, w, 8, 4)
	q := factorise(t, h, 0.01, false).codes(w, g, 128)
	rtn := toNearest(t, w, g)
	for o := range 4 {
		if q[o*8+3] != rtn[o*8+3] {
			t.Errorf("output %d: code of the dead channel is %d, nearest is %d", o, q[o*8+3], rtn[o*8+3])
		}
	}
}

// values are those of codes on a grid.
func values(g *intGrid, codes []byte) *weight.Dense {
	w := weight.NewDense(make([]float32, len(codes)), g.out, g.in)
	for i, c := range codes {
		w.Data[i] = float32(g.Decode(c, i/g.in, i%g.in))
	}
	return w
}

// oneByOne is round with one output and one input at a time.
func (f *factor) oneByOne(w *weight.Dense, g Grid) (codes []byte, loss float64) {
	codes = make([]byte, len(w.Data))
	for o := range w.Out {
		left, total := make([]float64, w.In), 0.0
		for r := w.In - 1; r >= 0; r-- {
			i, v, sum := f.order[r], f.upper.Row(r), 0.0
			for s := r + 1; s < w.In; s++ {
				sum -= float64(v[s] * left[s])
			}
			moved := float64(1 / v[r] * sum)
			y := float64(w.Data[o*w.In+i]) - moved
			code, value := g.Encode(y, o, i)
			e := v[r] * (y - value)
			codes[o*w.In+i], left[r] = code, y-value+moved
			total += float64(e * e)
		}
		loss += total
	}
	return codes, loss
}

// GPTQ of one block has the bits of one output and one input at a time: on every kind of grid, with
// and without act-order, for outputs that do not fill registers or tasks, on any number of threads.
func TestGPTQIsOneInputAtATime(t *testing.T) {
	for seed, out := range []int{1, 31, 32, 70, 600} {
		rng := rand.New(rand.NewPCG(uint64(seed), 21))
		const in = 48
		w := shifted(rng, weights(rng, out, in))
		s := factorise(t, correlated(rng, in, 100), 0.01, seed%2 == 0)
		float8, err := NewGrid(weight.Format{Float: true, Bits: 8, Activations: weight.Token}, w, kernels.BFloat16)
		if err != nil {
			t.Fatal(err)
		}
		grids := []Grid{float8}
		for _, g := range fitEach(t, w, 16) {
			grids = append(grids, g)
		}
		for kind, g := range grids {
			want, wantLoss := s.oneByOne(w, g)
			for _, threads := range []int{1, 2, 5} {
				restore := parallel.SetThreads(threads)
				got, loss, _ := s.round(context.Background(), w, g, in)
				restore()
				if !slices.Equal(got, want) || loss != wantLoss {
					t.Errorf("%d outputs, grid %d, %d threads: other codes than one input at a time, or Σe² %v, want %v", out, kind, threads, loss, wantLoss)
				}
			}
		}
	}
}

// textbook is GPTQ as it was published: the inverse of the damped matrix, its Cholesky factor U,
// and one input at a time, whose error moves the weights of all later ones. It returns the codes,
// the sum of squared errors of each output, and how far a weight is from a border between two
// codes, in steps.
func textbook(t *testing.T, h *mat.SymDense, w *weight.Dense, g *intGrid, actOrder bool) (codes []byte, losses, borders []float64, order []int) {
	n := w.In
	damped, mean := mat.NewSymDense(n, nil), 0.0
	damped.CopySym(h)
	for i := range n {
		if h.At(i, i) == 0 {
			damped.SetSym(i, i, 1)
		}
		mean += damped.At(i, i) / float64(n)
		order = append(order, i)
	}
	if actOrder {
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(damped.At(b, b), damped.At(a, a)) })
	}
	ordered := mat.NewSymDense(n, nil)
	for a, i := range order {
		for b, j := range order[a:] {
			ordered.SetSym(a, a+b, damped.At(i, j))
		}
		ordered.SetSym(a, a, damped.At(i, i)+0.01*mean)
	}
	var whole, ofInverse mat.Cholesky
	inverse := mat.NewSymDense(n, nil)
	if !whole.Factorize(ordered) || whole.InverseTo(inverse) != nil || !ofInverse.Factorize(inverse) {
		t.Fatal("the problem is not positive definite")
	}
	u := mat.NewTriDense(n, mat.Upper, nil)
	ofInverse.UTo(u)
	codes, borders, losses = make([]byte, len(w.Data)), make([]float64, len(w.Data)), make([]float64, w.Out)
	for o := range w.Out {
		row := make([]float64, n)
		for a, i := range order {
			row[a] = float64(w.Data[o*n+i])
		}
		for a, i := range order {
			code, value := g.Encode(row[a], o, i)
			steps := row[a] / float64(g.scale[g.groupOf(o, i)])
			codes[o*n+i], borders[o*n+i] = code, math.Abs(steps-math.Floor(steps)-0.5)
			e := (row[a] - value) / u.At(a, a)
			losses[o] += e * e
			for b := a + 1; b < n; b++ {
				row[b] -= e * u.At(a, b)
			}
		}
	}
	return codes, losses, borders, order
}

// GPTQ has the codes and the loss of the textbook's: for sizes that fill no register, lane or
// block, in both orders, with silent channels. A code may differ where the weight is at the border
// between two, to the last digits.
func TestGPTQIsTheTextbook(t *testing.T) {
	compared, outputs := 0, 0
	for seed, n := range []int{1, 2, 7, 8, 9, 31, 33, 64, 100, 127, 129, 140, 261} {
		for _, actOrder := range []bool{false, true} {
			rng := rand.New(rand.NewPCG(uint64(seed), 61))
			out := []int{1, 3, 32, 45}[seed%4]
			h, silent := correlated(rng, n, 2*n+3), 0
			for i := range n {
				if rng.IntN(9) == 0 {
					silent++
					for j := range n {
						h.SetSym(i, j, 0)
					}
				}
			}
			w := shifted(rng, weights(rng, out, n))
			for kind, g := range []*intGrid{fit(t, w, n, 4), fitZero(t, w, 0), fit(t, w, n, 8)} {
				want, losses, borders, order := textbook(t, h, w, g, actOrder)
				r, err := GPTQ{ActOrder: actOrder}.Round(t.Context(), w, g, momentsOf(h))
				if err != nil {
					t.Fatal(err)
				}
				total, same := 0.0, 0
				for o := range out {
					equal := true
					for _, i := range order {
						if at := o*n + i; r.Codes[at] != want[at] {
							if equal = false; borders[at] > 1e-9 {
								t.Errorf("%d inputs, %d silent, act-order %v, grid %d: code [%d, %d] is %d, want %d, %g steps from the border", n, silent, actOrder, kind, o, i, int8(r.Codes[at]), int8(want[at]), borders[at])
							}
							break // the codes behind it differ too
						}
					}
					if outputs++; equal {
						same++
						total += losses[o]
					}
				}
				if compared += same; same == out && math.Abs(r.DampedLoss-total) > 1e-10*total {
					t.Errorf("%d inputs, %d silent, act-order %v, grid %d: the loss is %g, want %g", n, silent, actOrder, kind, r.DampedLoss, total)
				}
			}
		}
	}
	t.Logf("%d of %d outputs have equal codes", compared, outputs)
	if compared < outputs*9/10 {
		t.Errorf("%d of %d outputs have equal codes", compared, outputs)
	}
}

// TestNearestIsWithinHalfAStep: on every grid of integers, of 8, 4 and 3 bits, with and without
// zero points, a weight within the codes' range is rounded by half a step at most, and no code is
// nearer.
func TestNearestIsWithinHalfAStep(t *testing.T) {
	tried := 0
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 60))
		w := shiftedEvery(rng, weights(rng, 4, 48), seed, 3)
		for kind, g := range fitEach(t, w, 16) {
			for at, code := range toNearest(t, w, g) {
				o, i, v := at/w.In, at%w.In, float64(w.Data[at])
				e, scale := math.Abs(v-g.Decode(code, o, i)), float64(g.scale[g.groupOf(o, i)])
				inside := v >= g.Decode(byte(int8(g.lowest)), o, i) && v <= g.Decode(byte(int8(g.highest)), o, i)
				if inside && e > scale/2*(1+1e-12) {
					t.Fatalf("seed %d, grid %d: %g is rounded by %g, half a step is %g", seed, kind, v, e, scale/2)
				}
				for c := int(g.lowest); c <= int(g.highest); c++ {
					if other := math.Abs(v - g.Decode(byte(c), o, i)); other < e*(1-1e-12) {
						t.Fatalf("seed %d, grid %d: %g has code %d, and %d is nearer", seed, kind, v, int8(code), c)
					}
				}
				tried++
			}
		}
	}
	t.Logf("%d weights", tried)
}
