package quant

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"slimlab/kernels"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/calibrate/calibratetest"
	"slimlab/model/weight"
)

// dequantized are the weights of a model by name.
func dequantized(m *model.Model) map[string][]float32 {
	all := map[string][]float32{}
	for _, l := range m.Linears() {
		all[l.Name] = l.Weight.Float32()
	}
	return all
}

// Under a mixed plan each linear layer has the format that the plan says, its report names it, and
// a layer that the plan leaves out stays as it is.
func TestMixedPlan(t *testing.T) {
	m := newModel(t, "Qwen2ForCausalLM", 96)
	plan := func(l model.LinearLayer) Scheme {
		switch {
		case l.Layer == 0:
			return Scheme{}
		case l.Site == model.SiteDown:
			return scheme(t, "w8a8-gptq")
		case strings.HasSuffix(l.Name, "v_proj"):
			return scheme(t, "fp8")
		case l.Site == model.SiteO:
			return scheme(t, "w4a8-rtn-g16")
		}
		return scheme(t, "w4a16-gptq")
	}
	want := map[string]string{
		"model.layers.1.self_attn.q_proj": "w4a16-g32", "model.layers.1.self_attn.k_proj": "w4a16-g32", "model.layers.1.self_attn.v_proj": "fp8-dynamic",
		"model.layers.1.self_attn.o_proj": "w4a8-g16", "model.layers.1.mlp.gate_proj": "w4a16-g32", "model.layers.1.mlp.up_proj": "w4a16-g32",
		"model.layers.1.mlp.down_proj": "w8a8",
	}
	var last LinearDone
	q, r, err := inMemory(context.Background(), m, plan, sequences(20), Options{}, func(d LinearDone) { last = d })
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range q.Linears() {
		format, changed := want[l.Name]
		if !changed {
			format = "float32"
			if !slices.Equal(l.Weight.Float32(), m.Linears()[i].Weight.Float32()) {
				t.Errorf("%s changed", l.Name)
			}
		}
		if l.Weight.Format() != format {
			t.Errorf("%s is %s, the plan says %s", l.Name, l.Weight.Format(), format)
		}
	}
	if len(r.Linears) != len(want) || last.Done != len(want) || last.Total != len(want) {
		t.Errorf("%d reports, %d of %d done, want %d", len(r.Linears), last.Done, last.Total, len(want))
	}
	for _, l := range r.Linears {
		if l.Format != want[l.Name] || l.Error <= 0 || l.WeightError <= 0 {
			t.Errorf("the report of %s is %+v, want format %s and errors", l.Name, l, want[l.Name])
		}
	}
	if want := []string{"none", "w4a16-gptq-g32", "fp8-dynamic", "w4a8-rtn-g16", "w8a8-gptq"}; !slices.Equal(r.Schemes, want) {
		t.Errorf("the schemes are %q, want %q", r.Schemes, want)
	}
}

// Round to nearest looks at one weight alone: in a mixed plan every linear layer has the codes that
// it has under the uniform plan of its scheme.
func TestMixedPlanHasTheCodesOfUniformPlans(t *testing.T) {
	m := newModel(t, "LlamaForCausalLM", 96)
	schemes := []string{"w8a8", "w4a16-rtn-g16", "fp8"}
	n := 0
	plan := func(l model.LinearLayer) Scheme { n++; return scheme(t, schemes[n%len(schemes)]) }
	var uniforms []map[string][]float32
	for _, s := range schemes {
		q, _ := quantize(t, m, s, nil)
		uniforms = append(uniforms, dequantized(q))
	}
	q, _, err := inMemory(context.Background(), m, plan, nil, Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n != 14 {
		t.Errorf("the plan was asked %d times for 14 linear layers", n)
	}
	n = 0
	for _, l := range q.Linears() {
		n++
		if !slices.Equal(l.Weight.Float32(), uniforms[n%len(schemes)][l.Name]) {
			t.Errorf("%s has other weights than under %s alone", l.Name, schemes[n%len(schemes)])
		}
	}
}

// step is a calibrate.Method that quantizes by hand: a grid and its rounder for each linear layer.
type step struct{ rounder Rounder }

func (s step) Wants(model.LinearLayer) bool { return true }

func (s step) Compress(ctx context.Context, stats *calibrate.Stats, linears []model.LinearLayer, report func(string)) error {
	for _, l := range linears {
		w, err := calibrate.Dense(l)
		if err != nil {
			return err
		}
		grid, err := NewGrid(weight.Format{Bits: 4, Group: 32}, w, kernels.Float32)
		if err != nil {
			return err
		}
		rounding, err := s.rounder.Round(ctx, w, grid, &Moments{Stats: stats})
		if err != nil {
			return err
		}
		if l.Linear.Weight, err = weight.New(grid.Encoding(), rounding.Codes); err != nil {
			return err
		}
		report(l.Name)
	}
	return nil
}

// A uniform plan is its grid and its rounder applied to each linear layer in turn.
func TestUniformPlanIsGridAndRounder(t *testing.T) {
	m := newModel(t, "LlamaForCausalLM", 64)
	for name, rounder := range map[string]Rounder{"w4a16-rtn-g32": Nearest{}, "w4a16-gptq-g32": GPTQ{}, "w4a16-gptq-act-g32": GPTQ{Damping: 0.01, ActOrder: true, Block: 7}} {
		layers, err := calibrate.NewInMemory(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := calibrate.Run(context.Background(), layers, sequences(20), calibrate.Options[string]{}, step{rounder}); err != nil {
			t.Fatal(err)
		}
		want := dequantized(layers.Compressed())
		q, _ := quantize(t, m, name, sequences(20))
		for _, l := range q.Linears() {
			if !slices.Equal(l.Weight.Float32(), want[l.Name]) {
				t.Errorf("%s: %s has other weights than its grid and rounder give", name, l.Name)
			}
		}
	}
}

// A pass that breaks off between two layers and goes on gives the model of one that did not, and
// reports the linear layers that it quantized itself.
func TestResumedQuantizationIsTheSame(t *testing.T) {
	m := newModel(t, "Qwen2ForCausalLM", 96)
	for name, list := range map[string][]calibrate.Sequence{"w8a8": nil, "w4a16-gptq-g32": sequences(8)} {
		whole, want := quantize(t, m, name, list)
		resume := func(finished, broken int) (*calibratetest.Interrupted, *RoundingReport, error) {
			layers, err := calibrate.NewInMemory(m)
			if err != nil {
				t.Fatal(err)
			}
			l := &calibratetest.Interrupted{InMemory: layers, Whole: whole, Finished: finished, Broken: broken}
			r, err := Quantize(context.Background(), l, uniform(t, name), list, Options{}, nil)
			return l, r, err
		}
		if _, _, err := resume(0, 1); !errors.Is(err, calibratetest.ErrBroken) {
			t.Fatalf("%s: a layer that cannot be loaded gives the error %v", name, err)
		}
		l, got, err := resume(1, 0)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Linears, want.Linears[7:]) {
			t.Errorf("%s: the report is %v, want %v", name, got.Linears, want.Linears[7:])
		}
		if !slices.Equal(logits(l.Compressed()), logits(whole)) {
			t.Errorf("%s: the model differs from that of one pass", name)
		}
	}
}

// Wherever a context ends, within a linear layer too, Quantize returns its error, and not a model
// of numbers that were cut short.
func TestQuantizeHearsItsContext(t *testing.T) {
	m, list := newModel(t, "LlamaForCausalLM", 64), sequences(20)
	p := uniform(t, "w4a16-gptq-g32")
	all := calibratetest.Counted(1 << 30)
	whole, _, err := inMemory(all, m, p, list, Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	looks := 1<<30 - all.Left()
	for at := 0; at < looks; at += 1 + looks/150 {
		_, _, err := inMemory(calibratetest.Counted(at), m, p, list, Options{}, nil)
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("at look %d of %d the context ended, and the error is %v", at, looks, err)
		}
	}
	again, _, err := inMemory(calibratetest.Counted(looks), m, p, list, Options{}, nil)
	if err != nil || !slices.Equal(logits(again), logits(whole)) {
		t.Errorf("the context did not end, and the error is %v or the model another", err)
	}
	t.Logf("the context was looked at %d times", looks)
}

// TestSchemesThatCannotBe: what a scheme's check refuses, and what it takes.
func TestSchemesThatCannotBe(t *testing.T) {
	w8, fp8 := weight.Format{Bits: 8, Activations: weight.Token}, weight.Format{Float: true, Bits: 8, Activations: weight.Token}
	for _, c := range []struct {
		scheme Scheme
		want   string // "" is none
	}{
		{Scheme{}, ""}, {Scheme{Format: w8, Rounder: Nearest{}}, ""}, {Scheme{Format: w8, Rounder: GPTQ{}}, ""}, {Scheme{Format: w8, Rounder: GPTQ{Damping: 0.1, Block: 16}}, ""}, {Scheme{Format: fp8, Rounder: Nearest{}}, ""},
		{Scheme{Format: w8, Rounder: nil}, "without a rounder"}, {Scheme{Format: fp8, Rounder: GPTQ{}}, "is rounded to nearest"},
		{Scheme{Format: w8, Rounder: GPTQ{Damping: -0.1}}, "found a negative value"}, {Scheme{Format: w8, Rounder: GPTQ{Block: -1}}, "found a negative value"},
	} {
		if err := c.scheme.check(); c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v, expected %q", c.scheme, err, c.want)
		}
	}
}
