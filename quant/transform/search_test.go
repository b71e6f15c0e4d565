package transform

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"slimlab/kernels"
	"slimlab/kernels/parallel"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/calibrate/calibratetest"
	"slimlab/quant"
)

func smooth(t testing.TB, text string) Smooth {
	t.Helper()
	s, err := ParseSmooth(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// SmoothQuant's scales move a share of the product of a channel's magnitudes from the inputs to the
// weights, all of it at the strength 1, and none of what either is at the strength 0.
func TestSmoothQuantScales(t *testing.T) {
	c := channel{most: []float64{8, 0.5, 3, 0, 2}, weight: []float64{0.25, 4, 3, 1, 0}}
	for _, alpha := range []float64{0, 0.25, 0.5, 0.8, 1} {
		s := smoothQuant(c, alpha)
		for j, x := range c.most {
			w := c.weight[j]
			if x == 0 || w == 0 { // nothing to share
				if s[j] != 1 {
					t.Errorf("α = %g: the scale of channel %d is %g, expected 1", alpha, j, s[j])
				}
				continue
			}
			inputs, weights := x/s[j], w*s[j]
			if math.Abs(inputs/math.Pow(x*w, 1-alpha)-1) > 1e-12 || math.Abs(weights/math.Pow(x*w, alpha)-1) > 1e-12 {
				t.Errorf("α = %g: channel %d of %g·%g becomes %g·%g", alpha, j, x, w, inputs, weights)
			}
		}
	}
}

func uniform(t testing.TB, name string) quant.Plan {
	t.Helper()
	s, err := quant.ParseScheme(name)
	if err != nil {
		t.Fatal(err)
	}
	return quant.Uniform(s)
}

func layersOf(t testing.TB, m *model.Model) *calibrate.InMemory {
	t.Helper()
	l, err := calibrate.NewInMemory(m)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// outlying is a small model in whose norms a few channels are large, and small in what reads them,
// as in trained models.
func outlying(t testing.TB, seed uint64) *model.Model {
	t.Helper()
	m := randomModel(t, model.Config{Architecture: "Qwen2ForCausalLM", Vocab: 50, Hidden: 32, HeadDim: 8, Layers: model.Uniform(2, 4, 2, 64), MaxPositions: 64,
		RopeTheta: 1e4, NormEps: 1e-6, TiedHead: true, QKVBias: true, BOS: -1, EOS: -1}, seed)
	rng := rand.New(rand.NewPCG(seed, 5))
	for layer := range m.Blocks {
		b := &m.Blocks[layer]
		for range 2 {
			j := rng.IntN(m.Hidden)
			b.AttentionNorm[j] *= 40
			b.MLPNorm[j] *= 40
			for i, l := range m.BlockLinears(layer) {
				if i != 3 && i != 6 { // not o_proj and down_proj
					for o := range l.Out {
						l.Weight.Float32()[o*l.In+j] /= 10
					}
				}
			}
		}
	}
	m.Changed()
	return m
}

// The chosen scales have an error no larger than that of α = 0.5, and than that of none, in every
// input of every model: both are among the candidates. So have AWQ's, whose r = 0 is none.
func TestSearchIsNeverWorse(t *testing.T) {
	inputs, better := 0, 0
	for _, scheme := range []string{"w8a8", "w4a16-rtn-g16", "w4a8-rtn-g16", "w4a16-asym-gptq-g8", "fp8"} {
		for seed := range uint64(2) {
			m := outlying(t, seed)
			sequences := calibratetest.Sequences(12, m.Vocab)
			find := func(text string) []Fold {
				s, err := FindSmoothing(context.Background(), layersOf(t, m), smooth(t, text), sequences, Options{Plan: uniform(t, scheme), Round: kernels.BFloat16.Round})
				if err != nil {
					t.Fatal(err)
				}
				if len(s.Folds) != 8 {
					t.Fatalf("%d inputs, expected 8", len(s.Folds))
				}
				return s.Folds
			}
			half, auto, awq := find("0.5"), find("auto"), find("awq")
			for i, f := range auto {
				inputs++
				if f.Error > half[i].Error || f.Error > f.Before || f.Before != half[i].Before {
					t.Errorf("%s, %s: error %g with α = %g, %g with 0.5, %g without", scheme, f.Place, f.Error, f.Strength, half[i].Error, f.Before)
				}
				if f.Error < half[i].Error {
					better++
				}
				if a := awq[i]; a.Error > a.Before || a.Before != f.Before || !half[i].Scaled {
					t.Errorf("%s, %s: error %g with r = %g, %g without", scheme, a.Place, a.Error, a.Strength, a.Before)
				}
			}
		}
	}
	t.Logf("α by search is better than 0.5 in %d of %d inputs", better, inputs)
	if better < inputs/2 {
		t.Errorf("α by search is better than 0.5 in %d of %d inputs, expected at least half", better, inputs)
	}
}

// Where the rows of a weight share a scale none of them is scaled: inputs that v_proj and up_proj
// write keep theirs, and it is said.
func TestRowsThatShareScales(t *testing.T) {
	m := outlying(t, 1)
	for scheme, left := range map[string]bool{"fp8-tensor": true, "fp8-block": true, "nvfp4": true, "fp8": false, "mxfp4": false, "w3a16-rtn-g16": false} {
		for _, text := range []string{"0.5", "auto"} {
			s, err := FindSmoothing(context.Background(), layersOf(t, m), smooth(t, text), calibratetest.Sequences(12, m.Vocab), Options{Plan: uniform(t, scheme)})
			if err != nil {
				t.Fatalf("%s: %v", scheme, err)
			}
			for i, f := range s.Folds {
				writes := i%2 == 1 // o_proj and down_proj
				if wants := left && writes; (f.Left != "") != wants || wants && (f.Scaled || s.at(i/4, model.Site(i%4)) != nil) || !wants && text == "0.5" && !f.Scaled {
					t.Errorf("%s, %s: %+v", scheme, text, f)
				}
				if f.Error > f.Before && text == "auto" {
					t.Errorf("%s: %s", scheme, f)
				}
			}
			if text := smooth(t, text).Summary(s.Folds); strings.Contains(text, "rows of what writes the input share scales in") != left {
				t.Errorf("%s: %s", scheme, text)
			}
		}
	}
}

// The error of a fold is what a forward pass over the calibration tokens makes of weights that were
// scaled, rounded and scaled back.
func TestErrorIsThatOfTheOutputs(t *testing.T) {
	for _, c := range [][2]string{{"w4a16-rtn-g16", "0.3"}, {"w4a16-rtn-g16", "0.8"}, {"w4a16-rtn-g16", "awq"}, {"w8a8", "0.4"}, {"w4a8-rtn-g16", "auto"}} {
		text := c[1]
		m := outlying(t, 3)
		sequences := calibratetest.Sequences(10, m.Vocab) // fewer tokens than a sample has
		plan := uniform(t, c[0])
		s, err := FindSmoothing(context.Background(), layersOf(t, m), smooth(t, text), sequences, Options{Plan: plan})
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range s.Folds {
			at := place{i / 4, model.Site(i % 4)}
			alone := &Smoothing{scales: map[place][]float64{}} // other scales would move ties of the rounding
			if f.Scaled {
				alone.scales[at] = s.at(at.layer, at.site)
			}
			rounded := layersOf(t, m)
			if _, err := quant.Quantize(context.Background(), alone.Layers(rounded), plan, nil, quant.Options{}, nil); err != nil {
				t.Fatal(err)
			}
			if want := outputError(m, rounded.Compressed(), at, alone, sequences); math.Abs(f.Error/want-1) > 1e-3 {
				t.Errorf("%s: %s: the error is %g, the outputs' %g", text, f.Place, f.Error, want)
			}
		}
	}
}

// outputError is the relative squared error of the outputs of the linear layers that read an input,
// of a model that was smoothed there and rounded.
func outputError(m, rounded *model.Model, at place, by *Smoothing, sequences []calibrate.Sequence) float64 {
	different, total := 0.0, 0.0
	for _, sequence := range sequences {
		m.Forward(model.Batch{Tokens: sequence, Starts: []int{0, len(sequence)}}, func(layer int, site model.Site, x []float32, rows, width int) bool {
			if layer != at.layer || site != at.site {
				return true
			}
			scales := ones64(width)
			if held := by.at(layer, site); held != nil {
				scales = spread(held, site, m.Layers[layer], m.HeadDim)
			}
			for i, l := range m.BlockLinears(layer) {
				if l.Site != site {
					continue
				}
				w, own := l.Weight.Float32(), rounded.BlockLinears(layer)[i].Weight
				scaled, out := make([]float32, rows*width), make([]float32, rows*l.Out)
				for j := range scaled {
					scaled[j] = float32(float64(x[j]) / scales[j%width])
				}
				values := own.Float32()
				own.MulT(out, scaled, rows) // rounds activations as the format does
				for r := range rows {
					for o := range l.Out {
						y, z := 0.0, 0.0
						for j, v := range x[r*width : (r+1)*width] {
							y += float64(v) * float64(w[o*width+j])
							z += float64(scaled[r*width+j]) * float64(values[o*width+j])
						}
						if own.Format() == "w8a8" || strings.HasPrefix(own.Format(), "w4a8") {
							z = float64(out[r*l.Out+o])
						}
						different += (y - z) * (y - z)
						total += y * y
					}
				}
			}
			return true
		})
	}
	return different / total
}

// Query heads that read one value share its scale, made of their largest magnitudes.
func TestScalesOfSharedValues(t *testing.T) {
	widths := model.LayerConfig{Heads: 4, KVHeads: 2}
	c := channel{most: []float64{1, 2, 3, 1, 9, 8, 7, 16}, mean: []float64{1, 1, 3, 5, 1, 1, 1, 1}, weight: []float64{1, 1, 4, 0.5, 1, 1, 1, 0.25}}.share(widths, 2)
	for i, want := range []channel{{most: []float64{3, 2, 9, 16}, mean: []float64{2, 3, 1, 1}, weight: []float64{4, 1, 1, 1}}} {
		if !slices.Equal(c.most, want.most) || !slices.Equal(c.mean, want.mean) || !slices.Equal(c.weight, want.weight) {
			t.Errorf("%d: %v, expected %v", i, c, want)
		}
	}
	if s := smoothQuant(c, 0.5); math.Abs(s[0]-math.Sqrt(3)/2) > 1e-12 || math.Abs(s[3]-4) > 1e-12 {
		t.Errorf("scales %v, expected √(3/4) and 4", s)
	}
	c.most[1], c.weight[2] = 0, 0
	if s := smoothQuant(c, 0.5); s[1] != 1 || s[2] != 1 {
		t.Errorf("scales %v of channels that were never active or read, expected 1", s)
	}
	if s := awqScales(channel{mean: []float64{0, 1, 16}}, 0.5); math.Abs(s[0]*s[2]-1) > 1e-12 || math.Abs(s[2]/s[1]-4) > 1e-12 {
		t.Errorf("AWQ's scales are %v", s)
	}
}

// Smoothing and rotation make a model with planted outliers better after the rounding: a trend, of
// which the counts are bounded.
func TestOutliersHurtLess(t *testing.T) {
	const models = 8
	for _, c := range []struct {
		scheme, rotation, smooth string
		least                    int // models of which it must be better
	}{
		{"w8a8", "none", "auto", 7}, {"w8a8", "none", "0.5", 6}, {"w4a8-rtn-g16", "none", "auto", 6}, {"w4a16-rtn-g16", "none", "awq", 6},
		{"w4a16-gptq-g16", "none", "awq", 5}, {"w8a8", "residual", "none", 7}, {"w4a8-rtn-g16", "residual", "none", 6}, {"w8a8", "residual", "auto", 7},
	} {
		better, ratio := 0, 0.0
		for seed := range uint64(models) {
			m := outlying(t, 10+seed)
			sequences, plan := calibratetest.Sequences(30, m.Vocab), uniform(t, c.scheme)
			divergence := func(rotation, text string) float64 {
				r, err := NewRotation(rotation, m.Config)
				if err != nil {
					t.Fatal(err)
				}
				layers, compressed, err := r.InMemory(m)
				if err != nil {
					t.Fatal(err)
				}
				if text != "none" {
					s, err := FindSmoothing(context.Background(), layers, smooth(t, text), sequences, Options{Plan: plan})
					if err != nil {
						t.Fatal(err)
					}
					layers = s.Layers(layers)
				}
				if _, err := quant.Quantize(context.Background(), layers, plan, sequences, quant.Options{}, nil); err != nil {
					t.Fatal(err)
				}
				return klDivergence(calibratetest.Logits(m), calibratetest.Logits(compressed()), m.Vocab)
			}
			before, after := divergence("none", "none"), divergence(c.rotation, c.smooth)
			if after < before {
				better++
			}
			ratio += math.Log(after/before) / models
		}
		t.Logf("%s, rotation %s, smooth %s: KL smaller in %d of %d models, %.2f times on geometric average", c.scheme, c.rotation, c.smooth, better, models, math.Exp(ratio))
		if better < c.least {
			t.Errorf("%s, rotation %s, smooth %s: KL smaller in %d of %d models, expected at least %d", c.scheme, c.rotation, c.smooth, better, models, c.least)
		}
	}
}

func klDivergence(a, b []float32, vocab int) (sum float64) {
	for at := 0; at < len(a); at += vocab {
		p, q := logSoftmax(a[at:at+vocab]), logSoftmax(b[at:at+vocab])
		for i := range p {
			sum += math.Exp(p[i]) * (p[i] - q[i])
		}
	}
	return sum / float64(len(a)/vocab)
}

func logSoftmax(x []float32) []float64 {
	y, sum := wide(x), 0.0
	for _, v := range y {
		sum += math.Exp(v)
	}
	for i := range y {
		y[i] -= math.Log(sum)
	}
	return y
}

// The scales that a search finds for norms of 16 bits leave the model the same function.
func TestFoundScalesAreExact(t *testing.T) {
	m := outlying(t, 2)
	sequences := calibratetest.Sequences(12, m.Vocab)
	for _, text := range []string{"0.5", "auto", "awq"} {
		s, err := FindSmoothing(context.Background(), layersOf(t, m), smooth(t, text), sequences, Options{Plan: uniform(t, "w8a8"), Round: kernels.BFloat16.Round})
		if err != nil {
			t.Fatal(err)
		}
		out := through(t, nil, s, m)
		if d := apart(wide(calibratetest.Logits(m)), wide(calibratetest.Logits(out))); d > 1e-5 {
			t.Errorf("smooth %s: logits are %g apart", text, d)
		}
	}
}

// The same scales are found with one thread and with several, and from layers of which some were
// finished before.
func TestSearchRepeats(t *testing.T) {
	m := outlying(t, 1)
	for _, scheme := range []string{"w8a8", "w4a16"} {
		o := Options{Plan: uniform(t, scheme)}
		sequences := calibratetest.Sequences(12, m.Vocab)
		find := func(layers calibrate.Layers) string {
			s, err := FindSmoothing(context.Background(), layers, smooth(t, "auto"), sequences, o)
			if err != nil {
				t.Fatal(err)
			}
			return s.Sum()
		}
		want := find(layersOf(t, m))
		whole := randomModel(t, m.Config, 7) // what the finished layer has become
		if got := find(&calibratetest.Interrupted{InMemory: layersOf(t, m), Whole: whole, Finished: 1}); got != want {
			t.Errorf("%s: after an interruption the scales are others", scheme)
		}
		o.ChunkTokens = 1
		restore := parallel.SetThreads(1)
		if got := find(layersOf(t, m)); got != want {
			t.Errorf("%s: with one thread the scales are others", scheme)
		}
		restore()
		o.Plan = uniform(t, "w4a16-rtn-g8")
		if got := find(layersOf(t, m)); got == want {
			t.Errorf("%s: the sum is that of other scales", scheme)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, text := range []string{"-0.1", "1.5", "NaN", "awk", "AUTO", ""} {
		if _, err := ParseSmooth(text); err == nil || err.Error() != "is "+text+", expected none, auto, awq, or a number from 0 to 1" {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{"none", "auto", "awq", "0", "0.85", "1"} {
		if s := smooth(t, text); s.String() != text || s.None() != (text == "none") {
			t.Errorf("%s became %s", text, s)
		}
	}
	m := outlying(t, 1)
	if _, err := NewRotation("residul", m.Config); err == nil || !strings.Contains(err.Error(), "residual") {
		t.Errorf("an unknown rotation: %v", err)
	}
	_, err := FindSmoothing(context.Background(), layersOf(t, m), smooth(t, "awq"), nil, Options{Plan: uniform(t, "w8a8")})
	if err == nil || !strings.Contains(err.Error(), "AWQ's scales needs calibration sequences") {
		t.Errorf("without sequences: %v", err)
	}
	q := layersOf(t, m)
	if _, err := quant.Quantize(context.Background(), q, uniform(t, "w8a8"), nil, quant.Options{}, nil); err != nil {
		t.Fatal(err)
	}
	packed := q.Compressed()
	_, err = FindSmoothing(context.Background(), layersOf(t, packed), smooth(t, "auto"), calibratetest.Sequences(3, m.Vocab), Options{Plan: uniform(t, "w8a8")})
	if err == nil || !strings.Contains(err.Error(), "is w8a8 already") {
		t.Errorf("a quantized model: %v", err)
	}
	r, err := NewRotation("heads", m.Config)
	if err != nil {
		t.Fatal(err)
	}
	layers := r.Layers(layersOf(t, packed))
	if _, err := layers.Load(context.Background(), 0); err == nil || !strings.Contains(err.Error(), "is w8a8 already") {
		t.Errorf("a rotation of a quantized model: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := FindSmoothing(ctx, layersOf(t, m), smooth(t, "auto"), calibratetest.Sequences(3, m.Vocab), Options{Plan: uniform(t, "w8a8")}); err == nil {
		t.Error("a search whose context had ended returned scales")
	}
}
