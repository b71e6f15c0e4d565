package quant

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"slimlab/kernels"
	"slimlab/kernels/parallel"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/weight"
)

func learned(t *testing.T, m *model.Model, name string) *LearnedScales {
	t.Helper()
	l, err := NewLearnedScales(m, uniform(t, name), kernels.BFloat16)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

var learnedFormats = []string{"w8a8", "w4a16-g16", "w4a16-asym-g16", "w4a8-g8"}

// TestLearnedScalesBeginAsNearest: before any step the rounded weights are those of round to
// nearest, bit for bit; what has no linear layer is copied.
func TestLearnedScalesBeginAsNearest(t *testing.T) {
	for _, name := range learnedFormats {
		m := newModel(t, "Qwen2ForCausalLM", 64)
		l := learned(t, m, name)
		rounded := m.Clone()
		l.Round(rounded.Flat(), m.Flat(), l.Parameters())
		want, _, err := inMemory(t.Context(), m.Clone(), Uniform(Scheme{Format: scheme(t, name).Format, Rounder: Nearest{}}), []calibrate.Sequence{}, Options{Scales: kernels.BFloat16}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, linear := range rounded.Linears() {
			for j, v := range linear.Weight.Float32() {
				if w := want.Linears()[i].Weight.Float32()[j]; v != w {
					t.Fatalf("%s: %s: weight %d is %v, round to nearest gives %v", name, linear.Name, j, v, w)
				}
			}
		}
		for i, v := range rounded.Embedding {
			if v != m.Embedding[i] {
				t.Fatalf("%s: the embedding is changed", name)
			}
		}
	}
}

// TestPackedAsTrained: after the scales and weights have moved, the packed model multiplies the
// values that the student had.
func TestPackedAsTrained(t *testing.T) {
	for _, name := range learnedFormats {
		m := newModel(t, "LlamaForCausalLM", 64)
		l := learned(t, m, name)
		rng := rand.New(rand.NewPCG(4, 5))
		weights, parameters := append([]float32(nil), m.Flat()...), append([]float32(nil), l.Parameters()...)
		for i := range weights {
			weights[i] += float32(rng.NormFloat64()) * 0.01
		}
		for i := range parameters {
			parameters[i] += float32(rng.NormFloat64()) * 0.3
		}
		l.Round(m.Flat(), weights, parameters)
		m.Changed()
		packed := m.Clone()
		if err := l.Pack(packed, parameters); err != nil {
			t.Fatal(err)
		}
		for i, linear := range packed.Linears() {
			if f := linear.Weight.Format(); !strings.HasPrefix(f, strings.SplitN(name, "-", 2)[0]) {
				t.Fatalf("%s: %s is packed as %s", name, linear.Name, f)
			}
			for j, v := range linear.Weight.Float32() {
				if w := m.Linears()[i].Weight.Float32()[j]; v != w {
					t.Fatalf("%s: %s: weight %d is packed as %v, the student had %v", name, linear.Name, j, v, w)
				}
			}
		}
	}
}

// TestLearnedGradients: the gradients are those of the surrogate clamp(w/s + c)·s, with c the
// rounding's remainder at the point, by central differences: that is what "straight through" means.
func TestLearnedGradients(t *testing.T) {
	for _, name := range learnedFormats {
		m := newModel(t, "LlamaForCausalLM", 64)
		l := learned(t, m, name)
		l.precision = kernels.Float32 // no step in the scale
		rng := rand.New(rand.NewPCG(6, 7))
		weights, parameters := append([]float32(nil), m.Flat()...), append([]float32(nil), l.Parameters()...)
		for i := range parameters {
			parameters[i] += float32(rng.NormFloat64()) * 0.3 // some weights are clamped
		}
		gradient := make([]float32, len(weights))
		for i := range gradient {
			gradient[i] = float32(rng.NormFloat64())
		}
		of, ofParameters := append([]float32(nil), gradient...), make([]float32, len(parameters))
		l.Gradient(of, ofParameters, weights, parameters)
		clampedCount := 0
		for _, layer := range l.layers {
			g := &layer.grid
			group := rng.IntN(len(g.scale))
			theta, zero := float64(parameters[layer.scales+group]), g.zeroOf(group)
			at := layer.weights + group*g.group
			value := func(j int, theta float64, w, c float64) float64 {
				s := math.Exp(theta)
				return (g.clamp(w/s+c+zero) - zero) * s
			}
			remainder := func(j int) float64 {
				steps := float64(weights[at+j]) / math.Exp(theta)
				return math.RoundToEven(steps) - steps
			}
			const h = 1e-6
			var want float64
			for j := range g.group {
				w, c := float64(weights[at+j]), remainder(j)
				want += float64(gradient[at+j]) * (value(j, theta+h, w, c) - value(j, theta-h, w, c)) / (2 * h)
				slope := (value(j, theta, w+h*h, c) - value(j, theta, w-h*h, c)) / (2 * h * h)
				code := math.RoundToEven(w/math.Exp(theta)) + zero
				// the clamp's corner is at the code itself
				edge := code == g.lowest || code == g.highest
				if g.clamp(code) != code {
					clampedCount++
				}
				if got := float64(of[at+j]); !edge && math.Abs(got-float64(gradient[at+j])*slope) > 1e-3*math.Abs(float64(gradient[at+j])) {
					t.Errorf("%s: gradient of weight %d is %v, of the surrogate %v", name, j, got, float64(gradient[at+j])*slope)
				}
				if edge { // only one side of the corner counts: that of a weight within the range
					s := math.Exp(theta)
					want -= float64(gradient[at+j]) * (value(j, theta+h, w, c) - value(j, theta-h, w, c)) / (2 * h)
					want += float64(gradient[at+j]) * s * (code - zero - w/s)
				}
			}
			want /= math.Sqrt(float64(g.group) * g.highest)
			if got := float64(ofParameters[layer.scales+group]); math.Abs(got-want) > 1e-4*(math.Abs(want)+1e-3) {
				t.Errorf("%s: %s: gradient of a scale's logarithm is %v, of the surrogate %v", name, layer.name, got, want)
			}
		}
		if name != "w8a8" && clampedCount == 0 {
			t.Errorf("%s: no weight is clamped, so clamping is not tested", name)
		}
	}
}

// TestLearnedScalesThreads: the number of threads changes no bit.
func TestLearnedScalesThreads(t *testing.T) {
	m := newModel(t, "LlamaForCausalLM", 64)
	l := learned(t, m, "w4a16-g16")
	run := func(threads int) (rounded, gradient, of []float32) {
		defer parallel.SetThreads(threads)()
		rounded, gradient, of = make([]float32, len(m.Flat())), append([]float32(nil), m.Flat()...), make([]float32, len(l.Parameters()))
		l.Round(rounded, m.Flat(), l.Parameters())
		l.Gradient(gradient, of, m.Flat(), l.Parameters())
		return
	}
	a, b, c := run(1)
	x, y, z := run(3)
	for i, pair := range [][2][]float32{{a, x}, {b, y}, {c, z}} {
		for j := range pair[0] {
			if math.Float32bits(pair[0][j]) != math.Float32bits(pair[1][j]) {
				t.Fatalf("result %d, element %d: %v on one thread, %v on three", i, j, pair[0][j], pair[1][j])
			}
		}
	}
}

func TestLearnedScalesRefusals(t *testing.T) {
	m := newModel(t, "LlamaForCausalLM", 64)
	for _, c := range []struct {
		m    *model.Model
		plan string
		want string
	}{
		{m, "fp8", "has no scales that can be learned"},
		{m, "none", "rounds no linear layer"},
		{m, "w4a16-g48", "groups of 48 do not divide"},
	} {
		if _, err := NewLearnedScales(c.m, uniform(t, c.plan), kernels.BFloat16); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.plan, err, c.want)
		}
	}
}

// TestRoundedStudentIsThePackedModel: what a student computes in training, with its weights on the
// grid and its activations rounded where the format does so, is what the packed model computes.
func TestRoundedStudentIsThePackedModel(t *testing.T) {
	batch := model.Batch{Tokens: []int32{1, 7, 3, 9, 20, 41, 8, 2, 30}, Starts: []int{0, 5, 9}}
	for _, name := range learnedFormats {
		m := newModel(t, "LlamaForCausalLM", 64)
		l := learned(t, m, name)
		weights := append([]float32(nil), m.Flat()...)
		l.Round(m.Flat(), weights, l.Parameters())
		m.Changed()
		packed := m.Clone()
		if err := l.Pack(packed, l.Parameters()); err != nil {
			t.Fatal(err)
		}
		want := packed.Forward(batch, nil)
		difference := func(a weight.Activations) (most float64) {
			got := model.NewTrace(m, 0, model.TraceOptions{Activations: a}).Forward(t.Context(), m, batch)
			for i := range got {
				most = max(most, math.Abs(float64(got[i]-want[i])))
			}
			return most
		}
		// A rounded activation that lies between two codes may fall to either side; activations
		// that are kept are rounded to bfloat16 by some kernels.
		if d := difference(l.Activations()); d > 2e-2 || l.Activations() == weight.Token && d > 2e-3 {
			t.Errorf("%s: the student's states differ from the packed model's by %v", name, d)
		}
		if l.Activations() == weight.Token && difference(weight.Kept) < 5*difference(weight.Token) {
			t.Errorf("%s: rounding the activations makes no difference: %v without, %v with", name, difference(weight.Kept), difference(weight.Token))
		}
	}
}
