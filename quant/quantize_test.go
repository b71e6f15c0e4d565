package quant

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"slimlab/kernels/parallel"
	"slimlab/model"
	"slimlab/model/calibrate"
)

func newModel(t testing.TB, architecture string, mlp int) *model.Model {
	t.Helper()
	qwen := architecture == "Qwen2ForCausalLM"
	m, err := model.New(model.Config{Architecture: architecture, Vocab: 50, Hidden: 32, HeadDim: 8, Layers: model.Uniform(2, 4, 2, mlp), MaxPositions: 64,
		RopeTheta: 1e4, NormEps: 1e-6, TiedHead: qwen, QKVBias: qwen, BOS: -1, EOS: -1})
	if err != nil {
		t.Fatal(err)
	}
	m.Init(rand.New(rand.NewPCG(1, 2)))
	return m
}

func sequences(n int) []calibrate.Sequence {
	rng := rand.New(rand.NewPCG(3, 4))
	var list []calibrate.Sequence
	for range n {
		s := make(calibrate.Sequence, 20+rng.IntN(30))
		for i := range s {
			s[i] = rng.Int32N(50)
		}
		list = append(list, s)
	}
	return list
}

func quantize(t testing.TB, m *model.Model, scheme string, calibration []calibrate.Sequence) (*model.Model, Report) {
	t.Helper()
	s, err := ParseScheme(scheme)
	if err != nil {
		t.Fatal(err)
	}
	out, r, err := Quantize(context.Background(), m, calibration, Options{Scheme: s}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out, r
}

func logits(m *model.Model) []float32 {
	b := model.Pack(sequences(4)...)
	out := make([]float32, len(b.Tokens)*m.Vocab)
	m.Logits(out, m.Forward(b, nil), len(b.Tokens))
	return out
}

// All linear layers of the blocks change format, embedding and head do not, and the bytes are those
// of codes, scales and what stayed float32.
func TestQuantizeFormats(t *testing.T) {
	for _, c := range []struct {
		scheme, format string
		largest        float64              // relative squared error of the logits
		bytes          func(n, out int) int // of a linear layer's n weights, out outputs
	}{
		{"w8a8", "w8a8", 1e-3, func(n, out int) int { return n + 4*out }},
		{"w8a8-gptq", "w8a8", 1e-3, func(n, out int) int { return n + 4*out }},
		{"w4a16-rtn", "w4a16-g32", 0.05, func(n, _ int) int { return n/2 + 4*n/32 }},
		{"w4a16-gptq-g16", "w4a16-g16", 0.05, func(n, _ int) int { return n/2 + 4*n/16 }},
		{"w4a8-rtn", "w4a8-g32", 0.05, func(n, _ int) int { return n/2 + 4*n/32 }},
		{"w4a8-gptq-g16", "w4a8-g16", 0.05, func(n, _ int) int { return n/2 + 4*n/16 }},
		{"w4a16-gptq-act-g8", "w4a16-g8", 0.05, func(n, _ int) int { return n/2 + 4*n/8 }},
		{"fp8", "fp8-dynamic", 5e-3, func(n, out int) int { return n + 4*out }},
	} {
		for _, architecture := range []string{"LlamaForCausalLM", "Qwen2ForCausalLM"} {
			m := newModel(t, architecture, 64)
			before, want := slices.Clone(m.Flat()), logits(m)
			q, r := quantize(t, m, c.scheme, sequences(20))
			if !slices.Equal(before, m.Flat()) {
				t.Fatalf("%s: the input model changed", c.scheme)
			}
			rest := len(before)
			bytes := 0
			for i, l := range q.Linears() {
				if l.Weight.Format() != c.format || r.Layers[i].Format != c.format || r.Layers[i].Name != l.Name {
					t.Errorf("%s: %s is %s, report %s %s", c.scheme, l.Name, l.Weight.Format(), r.Layers[i].Name, r.Layers[i].Format)
				}
				bytes += c.bytes(l.Out*l.In, l.Out)
				rest -= l.Out * l.In
			}
			bytes += 4 * rest
			if r.BytesAfter != int64(bytes) || q.Bytes() != int64(bytes) || r.BytesBefore != int64(4*len(before)) {
				t.Errorf("%s: %d bytes reported, %d counted by the model, %d expected; before %d", c.scheme, r.BytesAfter, q.Bytes(), bytes, r.BytesBefore)
			}
			if q.Head.Format() != "float32" || !slices.Equal(q.Embedding, m.Embedding) || !slices.Equal(q.Head.Float32(), m.Head.Float32()) {
				t.Errorf("%s %s: embedding or head changed", c.scheme, architecture)
			}
			if e := relativeError(want, logits(q)); e > c.largest || e == 0 {
				t.Errorf("%s %s: relative squared error of the logits is %g, want at most %g", c.scheme, architecture, e, c.largest)
			}
		}
	}
}

// GPTQ's reported output error is below RTN's on the same grid, all layers together. Statistical,
// with a fixed seed.
func TestGPTQBeatsRTNOnAModel(t *testing.T) {
	m := newModel(t, "LlamaForCausalLM", 64)
	total := func(scheme string) (sum float64) {
		_, r := quantize(t, m, scheme, sequences(40))
		for _, l := range r.Layers {
			sum += l.Error
		}
		return sum
	}
	rtn, gptq, act := total("w4a16-rtn-g32"), total("w4a16-gptq-g32"), total("w4a16-gptq-act-g32")
	t.Logf("sum of relative output errors: RTN %.4f, GPTQ %.4f, with act-order %.4f", rtn, gptq, act)
	if gptq >= rtn || act >= rtn {
		t.Errorf("RTN %g, GPTQ %g, with act-order %g", rtn, gptq, act)
	}
}

// Round to nearest needs no calibration data and gives the same codes with them.
func TestRTNWithoutCalibration(t *testing.T) {
	m := newModel(t, "Qwen2ForCausalLM", 64)
	a, ra := quantize(t, m, "w4a16-rtn", nil)
	b, rb := quantize(t, m, "w4a16-rtn", sequences(3))
	if !slices.Equal(logits(a), logits(b)) {
		t.Error("calibration data changed the codes of round to nearest")
	}
	if ra.Tokens != 0 || ra.Layers[0].Error != 0 || rb.Tokens == 0 || rb.Layers[0].Error == 0 {
		t.Errorf("reports: %d tokens, error %g; %d tokens, error %g", ra.Tokens, ra.Layers[0].Error, rb.Tokens, rb.Layers[0].Error)
	}
	if ra.Layers[0].WeightError != rb.Layers[0].WeightError || ra.Layers[0].WeightError <= 0 {
		t.Errorf("weight errors %g and %g", ra.Layers[0].WeightError, rb.Layers[0].WeightError)
	}
}

func TestNoneChangesNothing(t *testing.T) {
	m := newModel(t, "LlamaForCausalLM", 64)
	same, r := quantize(t, m, "none", nil)
	if !slices.Equal(m.Flat(), same.Flat()) || r.BytesBefore != r.BytesAfter {
		t.Error("scheme none changed the model")
	}
}

// The automatic group is the largest that divides the inputs of every layer, and is reported.
func TestAutomaticGroup(t *testing.T) {
	for mlp, want := range map[int]int{64: 32, 48: 16, 40: 8} {
		if _, r := quantize(t, newModel(t, "LlamaForCausalLM", mlp), "w4a16-rtn", nil); r.Scheme.Group != want {
			t.Errorf("width %d: group %d, want %d", mlp, r.Scheme.Group, want)
		}
	}
}

func TestQuantizeIsDeterministic(t *testing.T) {
	m := newModel(t, "LlamaForCausalLM", 64)
	defer parallel.SetThreads(1)()
	one, _ := quantize(t, m, "w4a16-gptq", sequences(20))
	defer parallel.SetThreads(3)()
	three, _ := quantize(t, m, "w4a16-gptq", sequences(20))
	if !slices.Equal(logits(one), logits(three)) {
		t.Error("other bits with another number of threads")
	}
}

func TestQuantizeErrors(t *testing.T) {
	plain := newModel(t, "LlamaForCausalLM", 64)
	already, _ := quantize(t, plain, "w8a8", nil)
	broken := newModel(t, "LlamaForCausalLM", 64)
	broken.Blocks[0].Up.Weight.Float32()[40] = float32(math.Inf(1))
	broken.Changed()
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range []struct {
		want  string
		ctx   context.Context
		model *model.Model
		list  []calibrate.Sequence
		o     Options
	}{
		{"model.layers.0.self_attn.q_proj is w8a8 already", context.Background(), already, nil, Options{Scheme: Scheme{Bits: 8}}},
		{"w4a16-gptq needs calibration sequences", context.Background(), plain, nil, Options{Scheme: Scheme{Bits: 4, GPTQ: true}}},
		{"groups of 64 do not divide the 32 inputs of model.layers.0.self_attn.q_proj", context.Background(), plain, nil, Options{Scheme: Scheme{Bits: 4, Group: 64}}},
		{"groups of 8 do not divide the 60 inputs of model.layers.0.mlp.down_proj", context.Background(), newModel(t, "LlamaForCausalLM", 60), nil, Options{Scheme: Scheme{Bits: 4}}},
		{"model.layers.0.mlp.up_proj: weight [1, 8] is +Inf", context.Background(), broken, nil, Options{Scheme: Scheme{Bits: 8}}},
		{"impossible", context.Background(), plain, nil, Options{Scheme: Scheme{Bits: 3}}},
		{"impossible", context.Background(), plain, nil, Options{Scheme: Scheme{Bits: 8, ActOrder: true}}},
		{"impossible", context.Background(), plain, nil, Options{Scheme: Scheme{Bits: 8, Int8Activations: true}}},
		{"impossible", context.Background(), plain, nil, Options{Scheme: Scheme{Bits: 8, Float: true, GPTQ: true}}},
		{"negative", context.Background(), plain, nil, Options{Scheme: Scheme{Bits: 8}, Damping: -1}},
		{"canceled", cancelled, plain, nil, Options{Scheme: Scheme{Bits: 8}}},
		{"canceled", cancelled, plain, sequences(2), Options{Scheme: Scheme{Bits: 8}}},
	} {
		if _, _, err := Quantize(c.ctx, c.model, c.list, c.o, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}

// Too few tokens are said in the report, and each layer is announced.
func TestQuantizeStepsAndWarnings(t *testing.T) {
	var steps []Step
	_, r, err := Quantize(context.Background(), newModel(t, "LlamaForCausalLM", 64), []calibrate.Sequence{{1, 2, 3}}, Options{Scheme: Scheme{Bits: 4, GPTQ: true}}, func(s Step) { steps = append(steps, s) })
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) != 14 || steps[13].Done != 14 || steps[13].Total != 14 || steps[3].Layer.Name != "model.layers.0.self_attn.o_proj" {
		t.Errorf("%d steps, the last %+v", len(steps), steps[len(steps)-1])
	}
	if want := "layer 1, input of down_proj: 3 calibration tokens for 64 channels"; !strings.Contains(strings.Join(r.Warnings, "\n"), want) {
		t.Errorf("no warning of %q in %q", want, r.Warnings)
	}
	for _, l := range r.Layers {
		if l.Damping != 0.01 || l.DampedLoss <= 0 {
			t.Errorf("%s: damping %g, loss %g", l.Name, l.Damping, l.DampedLoss)
		}
	}
}

func TestParseScheme(t *testing.T) {
	for _, c := range []struct {
		name string
		want Scheme
		full string
	}{
		{"none", Scheme{}, "none"},
		{"w8a8", Scheme{Bits: 8}, "w8a8-rtn"},
		{"w8a8-gptq", Scheme{Bits: 8, GPTQ: true}, "w8a8-gptq"},
		{"w8a8-gptq-act", Scheme{Bits: 8, GPTQ: true, ActOrder: true}, "w8a8-gptq-act"},
		{"w4a16", Scheme{Bits: 4, GPTQ: true}, "w4a16-gptq"},
		{"w4a16-g32", Scheme{Bits: 4, GPTQ: true, Group: 32}, "w4a16-gptq-g32"},
		{"w4a16-rtn-g128", Scheme{Bits: 4, Group: 128}, "w4a16-rtn-g128"},
		{"w4a8", Scheme{Bits: 4, Int8Activations: true, GPTQ: true}, "w4a8-gptq"},
		{"w4a8-rtn-g64", Scheme{Bits: 4, Int8Activations: true, Group: 64}, "w4a8-rtn-g64"},
		{"w4a8-gptq-act", Scheme{Bits: 4, Int8Activations: true, GPTQ: true, ActOrder: true}, "w4a8-gptq-act"},
		{"w4a16-gptq-act-g64", Scheme{Bits: 4, GPTQ: true, ActOrder: true, Group: 64}, "w4a16-gptq-act-g64"},
	} {
		got, err := ParseScheme(c.name)
		if err != nil || got != c.want || got.String() != c.full {
			t.Errorf("%s: %+v %q, error %v", c.name, got, got.String(), err)
		}
	}
	for name, want := range map[string]string{
		"w8a16":          `unknown scheme "w8a16", expected one of none, w8a8,`,
		"w4a16_gptq":     `did you mean "w4a16-gptq"?`,
		"w4a16-gpt-g32":  `did you mean "w4a16-gptq"?`,
		"w4a8_rtn":       `did you mean "w4a8-rtn"?`,
		"w4a16-g":        `group size ""`,
		"w4a16-g12":      `group size "12", expected a multiple of 8`,
		"w4a16-rtn-g-32": `group size "-32"`,
		"w8a8-g32":       "only w4a16 and w4a8 have groups",
		"w4a16-rtn-act":  `unknown scheme`,
		"":               `unknown scheme ""`,
	} {
		if _, err := ParseScheme(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", name, err, want)
		}
	}
}

// Whatever parses has a full name that parses to the same.
func FuzzParseScheme(f *testing.F) {
	for _, s := range Schemes() {
		f.Add(s)
		f.Add(s + "-g64")
	}
	f.Add("w4a16-g008")
	f.Add("-g")
	f.Fuzz(func(t *testing.T, name string) {
		s, err := ParseScheme(name)
		if err != nil {
			return
		}
		if again, err := ParseScheme(s.String()); err != nil || again != s {
			t.Errorf("%q is %+v, its full name %q is %+v, %v", name, s, s.String(), again, err)
		}
	})
}
