package quant

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"slimlab/internal/half"
	"slimlab/kernels"
	"slimlab/model/weight"
)

// floatFormats are the formats of small floats in all forms of scales, those of 4 bits last.
func floatFormats() (list []weight.Format) {
	for _, e5m2 := range []bool{false, true} {
		for _, f := range []weight.Format{
			{Activations: weight.Token}, {Activations: weight.Token, Tensor: true}, {}, {Activations: weight.Blocks, Block: [2]int{5, 16}}, {Block: [2]int{16, 36}},
		} {
			f.Float, f.Bits, f.E5M2 = true, 8, e5m2
			list = append(list, f)
		}
	}
	return append(list, weight.Format{Float: true, Bits: 4, Group: weight.MXGroup, Scales: weight.E8M0}, weight.Format{Float: true, Bits: 4, Group: weight.NVGroup, Scales: weight.E4M3})
}

// heavyTailed draws weights of very different sizes, with zeros and a row of zeros among them.
func heavyTailed(seed uint64, out, in int) *weight.Dense {
	r := rand.New(rand.NewPCG(seed, 3))
	data := make([]float32, out*in)
	for i := range data {
		data[i] = float32(r.NormFloat64() * math.Exp(2*r.NormFloat64()) * math.Pow(2, -float64(i/in)))
		if r.IntN(10) == 0 || i/in == 1 {
			data[i] = 0
		}
	}
	return weight.NewDense(data, out, in)
}

// Each code is the nearest among all, and the weight that is made of the codes has the grid's
// values, to the rounding of a float32.
func TestFloatGridIsNearest(t *testing.T) {
	const out, in = 17, 96
	for number, f := range floatFormats() {
		w := heavyTailed(uint64(number), out, in)
		g, err := newFloatGrid(f, w, kernels.BFloat16)
		if err != nil {
			t.Fatal(err)
		}
		small, _ := f.Small()
		codes := make([]byte, out*in)
		for at, v := range w.Data {
			o, i := at/in, at%in
			code, value := g.Encode(float64(v), o, i)
			codes[at] = code
			if value != g.Decode(code, o, i) {
				t.Fatalf("%s [%d, %d]: encoded as %v, decoded as %v", f, o, i, value, g.Decode(code, o, i))
			}
			for other := range small.Codes() {
				if d := g.Decode(byte(other), o, i); small.IsNumber(byte(other)) && math.Abs(d-float64(v)) < math.Abs(value-float64(v))*(1-1e-6) {
					t.Fatalf("%s [%d, %d]: %v became %v, and %v is nearer", f, o, i, v, value, d)
				}
			}
		}
		made, err := weight.New(g.Encoding(), codes)
		if err != nil {
			t.Fatal(err)
		}
		for at, v := range made.Float32() {
			if want := g.Decode(codes[at], at/in, at%in); math.Abs(float64(v)-want) > 0x1p-23*math.Abs(want) {
				t.Fatalf("%s [%d, %d]: the weight is %v, the grid's value %v", f, at/in, at%in, v, want)
			}
		}
		if !f.Multiplied() || made.Format() != f.String() {
			t.Errorf("%s became %s", f, made.Format())
		}
	}
}

// Scales reach to the largest number of what shares them, to the rounding of the scale: that of
// MXFP4 from its half to its double, that of NVFP4 with 6 or with 4.
func TestFloatGridScales(t *testing.T) {
	w := heavyTailed(1, 8, 96)
	for _, f := range floatFormats() {
		g, err := newFloatGrid(f, w, kernels.Float32)
		if err != nil {
			t.Fatal(err)
		}
		largest, err := g.largest(w)
		if err != nil {
			t.Fatal(err)
		}
		for at, v := range largest {
			top := float64(g.small.Max()) * g.step[at]
			low, high := 1-0x1p-22, 1+0x1p-22
			switch f.Scales {
			case weight.E8M0:
				low, high = 0.5, 2
			case weight.E4M3:
				low, high = 1-0x1p-4, 1.5*(1+0x1p-4)
			}
			// below, the scales of NVFP4 are subnormal
			if v > 1e-2*slices.Max(largest) && (top < low*float64(v) || top > high*float64(v)) {
				t.Errorf("%s: scale %d reaches to %v, the largest weight is %v", f, at, top, v)
			}
		}
	}
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(-1))} {
		w.Data[100] = bad
		if _, err := newFloatGrid(floatFormats()[0], w, kernels.Float32); err == nil || err.Error() != fmt.Sprintf("weight [1, 4] is %v, expected a finite number", bad) {
			t.Errorf("found %v", err)
		}
	}
}

// The chosen scales of MXFP4 and NVFP4 have at most the squared error of the usual ones, group by
// group, and less in some: 2^floor(log2(absmax))/4, as in the OCP's recipe, and absmax/6.
func TestChosenScales(t *testing.T) {
	const out, in = 40, 320
	r := rand.New(rand.NewPCG(7, 7))
	data := make([]float32, out*in)
	for i := range data {
		data[i] = float32(r.NormFloat64())
	}
	w := weight.NewDense(data, out, in)
	for _, f := range floatFormats()[10:] {
		g, err := newFloatGrid(f, w, kernels.Float32)
		if err != nil {
			t.Fatal(err)
		}
		largest, err := g.largest(w)
		if err != nil {
			t.Fatal(err)
		}
		ours, usual, better := 0.0, 0.0, 0
		for at, v := range largest {
			step := math.Pow(2, math.Floor(math.Log2(float64(v)))-2)
			if f.Scales == weight.E4M3 {
				step = float64(kernels.FromFloat8(kernels.ToFloat8(v/6*g.encoding.Global)) / g.encoding.Global)
			}
			a, b := g.squaredError(w, at, g.step[at]), g.squaredError(w, at, step)
			ours, usual = ours+a, usual+b
			if a > b {
				t.Fatalf("%s: group %d has error %v, with the usual scale %v", f, at, a, b)
			}
			if a < b {
				better++
			}
		}
		t.Logf("%s: squared error %.4f of the usual scale's, %d of %d groups better", f, ours/usual, better, len(largest))
		if better == 0 || ours >= usual {
			t.Errorf("%s: no group is better", f)
		}
	}
}

// The grids of integers of any bits reach the ends of their codes.
func TestIntGridBits(t *testing.T) {
	w := heavyTailed(5, 16, 96)
	for _, c := range []struct {
		format          weight.Format
		lowest, highest int8
	}{
		{weight.Format{Bits: 8, Group: 32}, -127, 127}, {weight.Format{Bits: 3, Group: 32}, -4, 3}, {weight.Format{Bits: 3, Group: 32, ZeroPoints: true}, -4, 3}, {weight.Format{Bits: 4, Group: 32}, -8, 7},
	} {
		g, err := newIntGrid(c.format, w, kernels.Float32)
		if err != nil {
			t.Fatal(err)
		}
		rounding, err := Nearest{}.Round(context.Background(), w, g, nil)
		if err != nil {
			t.Fatal(err)
		}
		var codes []int8
		for _, code := range rounding.Codes {
			codes = append(codes, int8(code))
		}
		if slices.Min(codes) != c.lowest || slices.Max(codes) != c.highest {
			t.Errorf("%s: codes from %d to %d, want %d to %d", c.format, slices.Min(codes), slices.Max(codes), c.lowest, c.highest)
		}
		if _, err := weight.New(g.Encoding(), rounding.Codes); err != nil {
			t.Error(err)
		}
		for _, v := range g.Encoding().Scale {
			if c.format.Bits == 3 && half.FromFloat16(half.ToFloat16(v)) != v {
				t.Errorf("%s: scale %v is no number of float16", c.format, v)
			}
		}
	}
}

// GPTQ's identity, Σe² = tr(ΔH_dΔᵀ), holds on the grids of floats, and it loses less than round to
// nearest on each of them over many layers.
func TestGPTQOnFloatGrids(t *testing.T) {
	const layers = 8
	for _, f := range floatFormats() {
		better, ratio := 0, 0.0
		for seed := range uint64(layers) {
			rng := rand.New(rand.NewPCG(seed, 9))
			out, in := 1+rng.IntN(8), 96
			w := weights(rng, out, in)
			s := factorise(t, correlated(rng, in, 2*in), 0.01, false)
			g, err := newFloatGrid(f, w, kernels.BFloat16)
			if err != nil {
				t.Fatal(err)
			}
			q, loss, _ := s.round(context.Background(), w, g, 32)
			if want := s.lossOf(w, g, q); math.Abs(loss-want) > 1e-10*want {
				t.Errorf("%s, seed %d: Σe² is %g, tr(ΔHΔᵀ) is %g", f, seed, loss, want)
			}
			if near := s.lossOf(w, g, toNearest(t, w, g)); loss < near {
				better++
				ratio += loss / near / layers
			} else {
				ratio += 1.0 / layers
			}
		}
		t.Logf("%s: GPTQ better than nearest in %d of %d, mean loss %.3f of it", f, better, layers, ratio)
		if better < layers/2 {
			t.Errorf("%s: GPTQ is better than nearest in %d of %d layers", f, better, layers)
		}
	}
}
