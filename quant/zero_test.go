package quant

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"slimlab/kernels"
	"slimlab/model/weight"
)

// The grid with zero points, by hand: 16 codes from the least weight to the largest, zero included
// and on the grid, whichever side of it the weights lie on.
func TestZeroPoints(t *testing.T) {
	eight := func(w ...float32) []float32 { return append(w, make([]float32, 8-len(w))...) }
	for _, c := range []struct {
		name  string
		w     []float32
		scale float32
		zero  int8
		codes []int8 // the first
	}{
		{"both sides", eight(-5, 10, 1.4, 0), 1, -3, []int8{-8, 7, -2, -3}},
		{"above zero alone", eight(15, 7, 0.6), 1, -8, []int8{7, -1, -7}},
		// −1/2 and −15/2 round to even
		{"below zero alone", eight(-30, -1, -15), 2, 7, []int8{-8, 7, -1}},
		{"far from zero", []float32{15, 14, 15, 14, 15, 14, 15, 14}, 1, -8, []int8{7, 6}},
		{"zeros", eight(), 1, -8, []int8{-8}},
		{"too small for a scale", eight(1e-45), 1, -8, []int8{-8}},
		{"the largest numbers", eight(-math.MaxFloat32, math.MaxFloat32), math.MaxFloat32 / 15 * 2, 0, []int8{-8, 7}},
	} {
		w := weight.NewDense(c.w, 1, 8)
		made, err := NewGrid(weight.Format{Bits: 4, Group: 8, ZeroPoints: true}, w, kernels.Float32)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		g := made.(*intGrid)
		codes := toNearest(t, w, g)
		if d := math.Abs(float64(g.scale[0]/c.scale) - 1); d > 1e-6 || g.zero[0] != c.zero {
			t.Errorf("%s: scale %g and zero point %d, want %g and %d", c.name, g.scale[0], g.zero[0], c.scale, c.zero)
		}
		for i, want := range c.codes {
			if int8(codes[i]) != want {
				t.Errorf("%s: code %d is %d, want %d", c.name, i, int8(codes[i]), want)
			}
		}
		if code, value := g.Encode(0, 0, 0); int8(code) != g.zero[0] || value != 0 {
			t.Errorf("%s: zero has code %d and value %g", c.name, int8(code), value)
		}
	}
}

// A code is the nearest of all sixteen, with the scale as it is stored. A weight is off by at most
// half a step and, at the ends, what rounding the scale moves them by.
func TestZeroPointsRoundToNearest(t *testing.T) {
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 20))
		w := shifted(rng, weights(rng, 6, 64))
		g := fitZero(t, w, 16)
		for i, code := range toNearest(t, w, g) {
			o, at, v := i/w.In, i%w.In, float64(w.Data[i])
			off := math.Abs(v - g.Decode(code, o, at))
			for other := -8; other <= 7; other++ {
				if d := math.Abs(v - g.Decode(byte(int8(other)), o, at)); d < off {
					t.Fatalf("seed %d: weight %g has code %d, which is off by %g; %d is off by %g", seed, v, int8(code), off, other, d)
				}
			}
			if scale := float64(g.scale[g.groupOf(o, at)]); off > scale*(0.5+15.0/256) {
				t.Fatalf("seed %d: weight %g is off by %g with scale %g", seed, v, off, scale)
			}
		}
	}
}

// All 16³ codes of a group: GPTQ is never below the best, nor round to nearest.
func TestZeroPointsAgainstBruteForce(t *testing.T) {
	const trials, in = 40, 3
	optimal := 0
	for seed := range uint64(trials) {
		rng := rand.New(rand.NewPCG(seed, 21))
		w := shifted(rng, weights(rng, 1, in))
		g := fitZero(t, w, 0)
		s := factorise(t, correlated(rng, in, 40), 0.01, seed%2 == 0)
		best, codes := math.Inf(1), make([]byte, in)
		for n := range 1 << (4 * in) {
			for i := range codes {
				codes[i] = byte(int8(n>>(4*i)&15) - 8)
			}
			best = min(best, s.lossOf(w, g, codes))
		}
		q, loss, _ := s.round(context.Background(), w, g, 2)
		if got := s.lossOf(w, g, q); got < best*(1-1e-9) || math.Abs(got-loss) > 1e-9*loss {
			t.Fatalf("seed %d: the loss of GPTQ is %g and said to be %g, the least of all %g", seed, got, loss, best)
		}
		if loss < best*(1+1e-9) {
			optimal++
		}
		if rtn := s.lossOf(w, g, toNearest(t, w, g)); rtn < best*(1-1e-9) {
			t.Fatalf("seed %d: round to nearest %g is below the least of all, %g", seed, rtn, best)
		}
	}
	t.Logf("GPTQ is optimal in %d of %d", optimal, trials)
	if optimal < trials/4 {
		t.Errorf("GPTQ is optimal in %d of %d", optimal, trials)
	}
}

// Statistical: with zero points too GPTQ beats round to nearest, and zero points beat none, where
// weights are not symmetric.
func TestZeroPointsTrends(t *testing.T) {
	const trials, group = 20, 32
	gptqWins, zeroWins := 0, 0
	for seed := range uint64(trials) {
		rng := rand.New(rand.NewPCG(seed, 22))
		w := weights(rng, 16, 96)
		for i, v := range w.Data { // skewed
			w.Data[i] = v + 0.3*v*v
		}
		h := correlated(rng, 96, 300)
		s, raw := factorise(t, h, 0.01, false), matrixOf(h)
		zero, symmetric := fitZero(t, w, group), fit(t, w, group, 4)
		gptq := squaredError(context.Background(), raw, w, zero, s.codes(w, zero, 128))
		rtn := squaredError(context.Background(), raw, w, zero, toNearest(t, w, zero))
		if gptq < rtn {
			gptqWins++
		}
		if rtn < squaredError(context.Background(), raw, w, symmetric, toNearest(t, w, symmetric)) {
			zeroWins++
		}
	}
	t.Logf("of %d: GPTQ better than round to nearest in %d, zero points better than none in %d", trials, gptqWins, zeroWins)
	if gptqWins < trials*9/10 || zeroWins < trials*9/10 {
		t.Error("fewer than nine in ten")
	}
}

// Quantized models with zero points hold the codes, scales and zero points of their grid.
func TestZeroPointsInTheModel(t *testing.T) {
	m := newModel(t, "LlamaForCausalLM", 96)
	for _, name := range []string{"w4a16-asym-rtn-g16", "w4a16-asym-gptq-g16", "w4a16-asym-gptq-act-g16"} {
		q, r := quantize(t, m, name, sequences(20))
		for i, l := range q.Linears() {
			w := l.Weight.(weight.Quantized)
			if e := w.Encoding(); w.Format() != "w4a16-g16-zero" || !slices.ContainsFunc(e.Zero, func(z int8) bool { return z != 0 }) {
				t.Errorf("%s: %s is %s with zero points %v", name, l.Name, w.Format(), e.Zero)
			}
			if r.Linears[i].Error <= 0 || r.Linears[i].Error > 0.05 {
				t.Errorf("%s: the output error of %s is %g", name, l.Name, r.Linears[i].Error)
			}
		}
		if r.Schemes[0] != name {
			t.Errorf("%s is reported as %s", name, r.Schemes[0])
		}
	}
}
