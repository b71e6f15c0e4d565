package pruning

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"slimlab/kernels/parallel"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/calibrate/calibratetest"
	"slimlab/model/weight"
)

func config(architecture string) model.Config {
	qwen2, qwen3 := architecture == "Qwen2ForCausalLM", architecture == "Qwen3ForCausalLM"
	return model.Config{Architecture: architecture, Vocab: 50, Hidden: 32, HeadDim: 8, Layers: model.Uniform(2, 8, 4, 64), MaxPositions: 64,
		RopeTheta: 1e4, NormEps: 1e-6, TiedHead: qwen2, QKVBias: qwen2 || qwen3, OBias: qwen3, QKNorm: qwen3, BOS: -1, EOS: -1}
}

func newModel(t testing.TB, c model.Config) *model.Model {
	t.Helper()
	m, err := model.New(c)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	m.Init(rng)
	for i := range m.Blocks {
		b := &m.Blocks[i]
		for _, vector := range [][]float32{b.Q.Bias, b.K.Bias, b.V.Bias, b.O.Bias, b.QNorm, b.KNorm} {
			for j := range vector {
				vector[j] = float32(rng.NormFloat64())
			}
		}
	}
	m.Changed()
	return m
}

func sequences(n, vocab int) []calibrate.Sequence { return calibratetest.Sequences(n, vocab) }

func logits(m *model.Model) []float32 { return calibratetest.Logits(m) }

// inMemory prunes a model in memory.
func inMemory(ctx context.Context, m *model.Model, list []calibrate.Sequence, o Options, done func(LayerDone)) (*model.Model, *CutReport, error) {
	layers, err := calibrate.NewInMemory(m)
	if err != nil {
		return nil, nil, err
	}
	o.Whole = m
	report, err := Prune(ctx, layers, list, o, done)
	if err != nil {
		return nil, nil, err
	}
	return layers.Compressed(), report, nil
}

func prune(t testing.TB, m *model.Model, o Options) (*model.Model, *CutReport) {
	t.Helper()
	out, r, err := inMemory(context.Background(), m, sequences(20, m.Vocab), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out, r
}

// cuts cuts the same from both layers of a test's model.
func cuts(mlp, heads Cut) []LayerCut { return Uniform(2, LayerCut{MLP: mlp, Heads: heads}) }

func flat(m *model.Model) []float32 { return slices.Clone(m.Flat()) }

// masked is m at full width with the pruned model's updated columns in down_proj and o_proj and
// zeros in the removed ones.
func masked(m, pruned *model.Model, r *CutReport) *model.Model {
	c := m.Clone()
	for _, l := range r.Layers {
		full, small, units := c.Blocks[l.Layer].Down.Weight, pruned.Blocks[l.Layer].Down.Weight, l.Support
		if l.Part != MLP {
			full, small = c.Blocks[l.Layer].O.Weight, pruned.Blocks[l.Layer].O.Weight
			widths := m.Layers[l.Layer]
			copy(c.Blocks[l.Layer].O.Bias, pruned.Blocks[l.Layer].O.Bias)
			if units = expand(l.Support, m.HeadDim); l.Part == Heads {
				units = expand(l.Support, widths.Heads/widths.KVHeads*m.HeadDim)
			}
		}
		out, in := full.Shape()
		w := full.Float32()
		clear(w)
		for o := range out {
			for at, i := range units {
				w[o*in+i] = small.Float32()[o*len(units)+at]
			}
		}
	}
	c.Changed()
	return c
}

// A sliced model computes what the full-width model computes with zeros in place of what was
// removed: for neurons and KV groups, both families, all methods; and its parameters are as many as
// the formula says.
func TestSlicedEqualsMasked(t *testing.T) {
	for _, architecture := range []string{"LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM"} {
		for _, method := range Methods() {
			m := newModel(t, config(architecture))
			before := flat(m)
			pruned, r := prune(t, m, Options{Method: Method(method), Cuts: cuts(Cut{Ratio: 0.375}, Cut{Count: 2})})
			if !slices.Equal(before, flat(m)) {
				t.Fatalf("%s %s: the input model changed", architecture, method)
			}
			for i, l := range pruned.Layers {
				if l != (model.LayerConfig{Heads: 4, KVHeads: 2, MLP: 40}) {
					t.Errorf("%s %s: layer %d is %+v", architecture, method, i, l)
				}
			}
			if err := pruned.Check(); err != nil {
				t.Errorf("%s %s: %v", architecture, method, err)
			}
			want, got := logits(masked(m, pruned, r)), logits(pruned)
			worst := 0.0
			for i := range want {
				worst = max(worst, math.Abs(float64(want[i])-float64(got[i])))
			}
			if worst > 1e-5 {
				t.Errorf("%s %s: logits of the sliced and the masked model differ by %g", architecture, method, worst)
			}
			counted := 0
			for _, p := range pruned.Parameters() {
				counted += len(p.Data)
			}
			// Per layer: 24 neurons of 3·32, and 2 KV groups of (2 q + k + v)·8 rows and 2·8
			// columns of o; biases too.
			removed := 2 * (24*3*32 + 2*(4*8*32+2*8*32))
			if m.QKVBias {
				removed += 2 * 2 * 4 * 8
			}
			if counted != pruned.Config.Parameters() || counted != len(pruned.Flat()) || counted != len(before)-removed {
				t.Errorf("%s %s: counted %d parameters, formula %d, vector %d, expected %d", architecture, method, counted, pruned.Config.Parameters(), len(pruned.Flat()), len(before)-removed)
			}
			if r.Parameters != (Count{len(before), counted}) || r.Neurons != (Count{128, 80}) || r.KVGroups != (Count{8, 4}) {
				t.Errorf("%s %s: report counts %+v %+v %+v", architecture, method, r.Parameters, r.Neurons, r.KVGroups)
			}
		}
	}
}

// On the same statistics: osscar's damped error ≤ that of magnitude with repair ≤ that of the same
// support without.
func TestErrorsAreOrdered(t *testing.T) {
	m := newModel(t, config("LlamaForCausalLM"))
	first := func(method Method) LayerReport {
		_, r := prune(t, m, Options{Method: method, Cuts: cuts(Cut{Ratio: 0.5}, Cut{})})
		return r.Layers[0]
	}
	osscar, ls, plain, random := first(OSSCAR), first(Magnitude+LS), first(Magnitude), first(Random)
	t.Logf("damped error of layer 0: osscar %.4f, magnitude-ls %.4f, magnitude %.4f, random %.4f", osscar.Updated.Damped, ls.Updated.Damped, plain.Updated.Damped, random.Updated.Damped)
	if osscar.Updated.Damped > ls.Updated.Damped*(1+1e-9) || ls.Updated.Damped > plain.Updated.Damped {
		t.Errorf("damped errors: osscar %g, magnitude-ls %g, magnitude %g", osscar.Updated.Damped, ls.Updated.Damped, plain.Updated.Damped)
	}
	if !slices.Equal(ls.Support, plain.Support) || ls.Masked != plain.Masked || plain.Updated != plain.Masked {
		t.Error("magnitude with and without repair report other supports or masked errors")
	}
	for name, r := range map[string]LayerReport{"osscar": osscar, "magnitude-ls": ls} {
		if !(r.Updated.Damped < r.Masked.Damped) || !(r.Updated.Undamped < r.Masked.Undamped) || r.Updated.Undamped <= 0 {
			t.Errorf("%s reports %+v after the update, %+v before", name, r.Updated, r.Masked)
		}
	}
}

// Both names of L2 keep the same units.
func TestMagnitudeIsL2(t *testing.T) {
	m := newModel(t, config("Qwen2ForCausalLM"))
	o := Options{Cuts: cuts(Cut{Ratio: 0.5}, Cut{Count: 1})}
	var want []float32
	for _, method := range []Method{Magnitude, MagnitudeL2} {
		o.Method = method
		pruned, _ := prune(t, m, o)
		if want == nil {
			want = flat(pruned)
		}
		if !slices.Equal(flat(pruned), want) {
			t.Errorf("%s gives another model than %s", method, Magnitude)
		}
	}
}

// A KV group is the KV head and its consecutive query heads: the one group that o_proj reads is the
// one that stays.
func TestKVGroupMapping(t *testing.T) {
	for _, method := range []Method{OSSCAR, NormActivation, NormActivation + LS, MagnitudeL1, Magnitude, Magnitude + LS} {
		m := newModel(t, config("Qwen2ForCausalLM"))
		const group, rows = 2, 16 // two query heads of 8 for each KV head
		w := m.Blocks[1].O.Weight.Float32()
		for o := range m.Hidden {
			for i := range 64 {
				if i/rows != group {
					w[o*64+i] = 0
				}
			}
		}
		m.Changed()
		pruned, r := prune(t, m, Options{Method: method, Cuts: cuts(Cut{}, Cut{Count: 3})})
		if got := r.Layers[1]; !slices.Equal(got.Support, []int{group}) || got.Updated.Undamped > 1e-6 {
			t.Errorf("%s: kept %v with error %g", method, got.Support, got.Updated.Undamped)
		}
		b, p := m.Blocks[1], pruned.Blocks[1]
		for name, pair := range map[string][2][]float32{
			"q_proj":      {b.Q.Weight.Float32()[group*16*32:][:16*32], p.Q.Weight.Float32()},
			"k_proj":      {b.K.Weight.Float32()[group*8*32:][:8*32], p.K.Weight.Float32()},
			"v_proj bias": {b.V.Bias[group*8:][:8], p.V.Bias},
		} {
			if !slices.Equal(pair[0], pair[1]) {
				t.Errorf("%s: %s is not that of group %d", method, name, group)
			}
		}
	}
}

func TestNothingToPrune(t *testing.T) {
	m := newModel(t, config("LlamaForCausalLM"))
	same, r := prune(t, m, Options{Method: OSSCAR, Cuts: cuts(Cut{}, Cut{})})
	if !slices.Equal(flat(m), flat(same)) || len(r.Layers) != 0 {
		t.Error("no cut changed the model")
	}
	same, r = prune(t, m, Options{Method: OSSCAR, Cuts: cuts(Cut{Ratio: 0.1}, Cut{}), Align: 64})
	if !slices.Equal(flat(m), flat(same)) || len(r.Warnings) == 0 {
		t.Errorf("a cut that alignment undoes: warnings %q", r.Warnings)
	}
}

// Each layer is cut as its own cut says, the widths of one do not depend on those of another, and
// the sliced model computes what the masked one does.
func TestCutsOfEachLayer(t *testing.T) {
	c := config("LlamaForCausalLM")
	c.Layers = model.Uniform(4, 8, 4, 64)
	m := newModel(t, c)
	var names []string
	o := Options{Method: OSSCAR, Align: 8, Cuts: []LayerCut{
		{MLP: Cut{Ratio: 0.5}},
		{},
		{Heads: Cut{Count: 3}},
		{MLP: Cut{Count: 9}, Heads: Cut{Ratio: 0.25}},
	}}
	pruned, r, err := inMemory(context.Background(), m, sequences(20, m.Vocab), o, func(p LayerDone) {
		names = append(names, fmt.Sprintf("%d/%d %d %s", p.Done, p.Total, p.Report.Layer, p.Report.Part))
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []model.LayerConfig{
		{Heads: 8, KVHeads: 4, MLP: 32}, {Heads: 8, KVHeads: 4, MLP: 64}, {Heads: 2, KVHeads: 1, MLP: 64}, {Heads: 6, KVHeads: 3, MLP: 56}}
	if !slices.Equal(pruned.Layers, want) {
		t.Errorf("the widths are %v, want %v", pruned.Layers, want)
	}
	if widths, err := WidthsAfter(m.Layers, o.Cuts, o.Align); err != nil || !slices.Equal(widths, want) {
		t.Errorf("planned widths %v, error %v, want %v", widths, err, want)
	}
	if want := []string{"1/4 0 mlp", "2/4 2 heads", "3/4 3 heads", "4/4 3 mlp"}; !slices.Equal(names, want) {
		t.Errorf("work was %v, want %v", names, want)
	}
	if err := pruned.Check(); err != nil {
		t.Error(err)
	}
	for i, l := range pruned.BlockLinears(1) {
		if !slices.Equal(l.Weight.Float32(), m.BlockLinears(1)[i].Weight.Float32()) {
			t.Errorf("%s changed, though nothing was cut from its layer", l.Name)
		}
	}
	got := logits(pruned)
	for i, v := range logits(masked(m, pruned, r)) {
		if math.Abs(float64(v-got[i])) > 1e-5 {
			t.Fatalf("logit %d is %g, that of the masked model %g", i, got[i], v)
		}
	}
	// Layer 0 alone is pruned the same: later cuts do not reach back.
	o.Cuts = append(o.Cuts[:1:1], make([]LayerCut, 3)...)
	first, _, err := inMemory(context.Background(), m, sequences(20, m.Vocab), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, l := range first.BlockLinears(0) {
		if !slices.Equal(l.Weight.Float32(), pruned.BlockLinears(0)[i].Weight.Float32()) {
			t.Errorf("%s depends on the cuts of later layers", l.Name)
		}
	}
}

// A pass that breaks off between two layers and goes on gives the model of one that did not, and
// reports the layers that it pruned itself.
func TestResumedPruningIsTheSame(t *testing.T) {
	m := newModel(t, config("Qwen2ForCausalLM"))
	o := Options{Method: OSSCAR, Cuts: cuts(Cut{Ratio: 0.25}, Cut{Count: 1})}
	whole, want := prune(t, m, o)
	resume := func(finished, broken int) (*calibratetest.Interrupted, *CutReport, error) {
		layers, err := calibrate.NewInMemory(m)
		if err != nil {
			t.Fatal(err)
		}
		l := &calibratetest.Interrupted{InMemory: layers, Whole: whole, Finished: finished, Broken: broken}
		report, err := Prune(context.Background(), l, sequences(20, m.Vocab), o, nil)
		return l, report, err
	}
	if _, _, err := resume(0, 1); !errors.Is(err, calibratetest.ErrBroken) {
		t.Fatalf("a layer that cannot be loaded gives the error %v", err)
	}
	l, got, err := resume(1, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got.Parameters != want.Parameters || got.Neurons != want.Neurons || !reflect.DeepEqual(got.Layers, want.Layers[2:]) {
		t.Errorf("the report is %+v, want the second layer of %+v", got, want)
	}
	if !slices.Equal(logits(l.Compressed()), logits(whole)) {
		t.Error("the model differs from that of one pass")
	}
}

// Wherever a context ends, within a layer's search too, Prune returns its error, and not a model
// of numbers that were cut short.
func TestPruneHearsItsContext(t *testing.T) {
	m := newModel(t, config("LlamaForCausalLM"))
	o := Options{Method: OSSCAR, Cuts: cuts(Cut{Ratio: 0.5}, Cut{Count: 1})}
	list := sequences(20, m.Vocab)
	all := calibratetest.Counted(1 << 30)
	whole, _, err := inMemory(all, m, list, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	looks := 1<<30 - all.Left()
	for at := 0; at < looks; at += 1 + looks/150 {
		_, _, err := inMemory(calibratetest.Counted(at), m, list, o, nil)
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("at look %d of %d the context ended, and the error is %v", at, looks, err)
		}
	}
	again, _, err := inMemory(calibratetest.Counted(looks), m, list, o, nil)
	if err != nil || !slices.Equal(flat(again), flat(whole)) {
		t.Errorf("the context did not end, and the error is %v or the model another", err)
	}
	t.Logf("the context was looked at %d times", looks)
}

// The random method draws anew for each layer.
func TestRandomDrawsForEachLayer(t *testing.T) {
	m := newModel(t, config("LlamaForCausalLM"))
	_, r := prune(t, m, Options{Method: Random, Cuts: cuts(Cut{Ratio: 0.5}, Cut{}), Seed: 5})
	if a, b := r.Layers[0].Support, r.Layers[1].Support; slices.Equal(a, b) {
		t.Errorf("both layers keep the neurons %v", a)
	}
}

func TestDeterminism(t *testing.T) {
	m := newModel(t, config("LlamaForCausalLM"))
	for _, method := range []Method{OSSCAR, Random} {
		o := Options{Method: method, Cuts: cuts(Cut{Ratio: 0.3}, Cut{Ratio: 0.25}), Seed: 5}
		restore := parallel.SetThreads(1)
		one, _ := prune(t, m, o)
		restore()
		restore = parallel.SetThreads(3)
		three, _ := prune(t, m, o)
		restore()
		if !slices.Equal(flat(one), flat(three)) {
			t.Errorf("%s: other bits with another number of threads", method)
		}
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		cut          Cut
		width, align int
		want         int
		err          string
	}{
		{Cut{}, 64, 0, 64, ""},
		{Cut{Ratio: 0.375}, 64, 0, 40, ""},
		{Cut{Ratio: 0.2}, 384, 32, 320, ""},
		{Cut{Count: 1536}, 8192, 128, 6656, ""},
		{Cut{Ratio: 0.99}, 60, 32, 32, ""},
		{Cut{Count: 1}, 40, 32, 40, ""},
		{Cut{Ratio: 1}, 64, 0, 0, "outside [0, 1)"},
		{Cut{Ratio: -0.1}, 64, 0, 0, "outside [0, 1)"},
		{Cut{Ratio: math.NaN()}, 64, 0, 0, "outside [0, 1)"},
		{Cut{Count: -1}, 64, 0, 0, "negative"},
		{Cut{Ratio: 0.5, Count: 2}, 64, 0, 0, "expected one of them"},
		{Cut{Count: 4}, 4, 0, 0, "removing 4 of 4 leaves none"},
		{Cut{Ratio: 0.9}, 2, 0, 0, "removing 2 of 2 leaves none"},
	} {
		got, err := c.cut.Kept(c.width, c.align, "layer 0's units")
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) || err == nil && got != c.want {
			t.Errorf("%+v of %d: kept %d, error %v; want %d, %q", c.cut, c.width, got, err, c.want, c.err)
		}
	}
}

// int8Like stands for any weight that is not float32.
type int8Like struct{ *weight.Dense }

func (int8Like) Format() string { return "w8a8" }

func TestPruneErrors(t *testing.T) {
	quantized := newModel(t, config("LlamaForCausalLM"))
	quantized.Blocks[1].Up.Weight = int8Like{quantized.Blocks[1].Up.Weight.(*weight.Dense)}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	ok := Options{Method: OSSCAR, Cuts: cuts(Cut{Ratio: 0.5}, Cut{})}
	plain := newModel(t, config("LlamaForCausalLM"))
	for _, c := range []struct {
		want  string
		ctx   context.Context
		model *model.Model
		list  []calibrate.Sequence
		o     Options
	}{
		{`method "oscar": expected one of osscar, norm-activation, norm-activation-ls, wanda-sp, wanda-sp-ls, activation, activation-ls, flap, flap-ls, taylor, taylor-ls, magnitude-l1, magnitude-l1-ls, magnitude-l2, magnitude-l2-ls, magnitude, magnitude-ls, random, random-ls, did you mean "osscar"?`, context.Background(), plain, sequences(2, 50), Options{Method: "oscar"}},
		{"layer 0's KV groups: removing 4 of 4", context.Background(), plain, sequences(2, 50), Options{Method: OSSCAR, Cuts: cuts(Cut{}, Cut{Count: 4})}},
		{"layer 0's MLP neurons: ratio 1.5", context.Background(), plain, sequences(2, 50), Options{Method: OSSCAR, Cuts: cuts(Cut{Ratio: 1.5}, Cut{})}},
		{"no calibration sequences", context.Background(), plain, nil, ok},
		{"damping -1, batch 0, swaps 0, local search 0, align 0: found a negative value", context.Background(), plain, sequences(2, 50), Options{Method: OSSCAR, Damping: -1}},
		{"batch -1, swaps 0, local search 0, align 0: found a negative value", context.Background(), plain, sequences(2, 50), Options{Method: OSSCAR, Batch: -1}},
		{"swaps -1, local search 0, align 0: found a negative value", context.Background(), plain, sequences(2, 50), Options{Method: OSSCAR, Swaps: -1}},
		{"local search -2, align 0: found a negative value", context.Background(), plain, sequences(2, 50), Options{Method: OSSCAR, LocalSearch: -2}},
		{"align -1: found a negative value", context.Background(), plain, sequences(2, 50), Options{Method: OSSCAR, Align: -1}},
		{"model.layers.1.mlp.up_proj is w8a8 already, expected float32: prune before quantizing", context.Background(), quantized, sequences(2, 50), ok},
		{"found cuts for 1 layer, expected one for each of the model's 2", context.Background(), plain, sequences(2, 50), Options{Method: OSSCAR, Cuts: ok.Cuts[:1]}},
		{"canceled", cancelled, plain, sequences(2, 50), ok},
	} {
		_, _, err := inMemory(c.ctx, c.model, c.list, c.o, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
}

// TestDefaultsOfTheSearch: the zero value of each option is the default that its comment names, and
// no local search swaps nothing.
func TestDefaultsOfTheSearch(t *testing.T) {
	m := newModel(t, config("LlamaForCausalLM"))
	swaps := func(o Options) (n int, supports [][]int) {
		// many units between two scorings leave something for the local search to do
		o.Method, o.Cuts = OSSCAR, cuts(Cut{Ratio: 0.5}, Cut{Ratio: 0.5})
		_, r := prune(t, m, o)
		for _, l := range r.Layers {
			n, supports = n+l.Swaps, append(supports, l.Support)
		}
		return n, supports
	}
	base, supports := swaps(Options{Batch: 40})
	if base == 0 {
		t.Fatal("the local search improved nothing: the test is too easy")
	}
	if n, same := swaps(Options{Batch: 40, LocalSearch: 30, Damping: 0.01, Align: 1}); n != base || !reflect.DeepEqual(supports, same) {
		t.Errorf("%d swaps by default, %d with the defaults written out", base, n)
	}
	for _, c := range []struct{ part, swaps int }{{0, 5}, {1, 10}} { // heads come first in a layer
		if _, same := swaps(Options{Batch: 40, Swaps: c.swaps}); !reflect.DeepEqual(supports[c.part], same[c.part]) {
			t.Errorf("%d swaps keep %v, the default keeps %v", c.swaps, same[c.part], supports[c.part])
		}
	}
	if n, same := swaps(Options{Batch: 40, LocalSearch: -1}); n != 0 || reflect.DeepEqual(supports, same) {
		t.Errorf("%d swaps without local search", n)
	}
}

func TestProgressAndWarnings(t *testing.T) {
	m := newModel(t, config("LlamaForCausalLM"))
	var steps []LayerDone
	_, r, err := inMemory(context.Background(), m, []calibrate.Sequence{{1, 2, 3}}, Options{Method: OSSCAR, Cuts: cuts(Cut{Ratio: 0.5}, Cut{Count: 1})}, func(s LayerDone) { steps = append(steps, s) })
	if err != nil {
		t.Fatal(err)
	}
	if len(steps) != 4 || steps[3].Done != 4 || steps[3].Total != 4 || steps[0].Report.Part != Heads || steps[1].Report.Part != MLP || steps[2].Report.Layer != 1 {
		t.Errorf("steps %+v", steps)
	}
	all := strings.Join(r.Warnings, "\n")
	for _, want := range []string{"layer 1, mlp: 3 calibration tokens for 64 channels", "layer 0 keeps 6 query heads, and the hidden size 32 is no multiple of that"} {
		if !strings.Contains(all, want) {
			t.Errorf("no warning of %q in:\n%s", want, all)
		}
	}
	if want := "osscar: 50.0% of MLP neurons, 25.0% of KV groups, "; !strings.HasPrefix(r.Summary(), want) || !strings.Contains(r.Summary(), "of all parameters") {
		t.Errorf("summary %q", r.Summary())
	}
}

// TestOSSCARUpdatesTheWeights: the weights that stay are those of the least error, not those that
// were there.
func TestOSSCARUpdatesTheWeights(t *testing.T) {
	m := newModel(t, config("LlamaForCausalLM"))
	for method, updates := range map[Method]bool{OSSCAR: true, Magnitude + LS: true, NormActivation + LS: true, Magnitude: false, NormActivation: false, Random: false} {
		pruned, r := prune(t, m, Options{Method: method, Cuts: cuts(Cut{Ratio: 0.5}, Cut{})})
		before, after := m.Blocks[0].Down.Weight.Float32(), pruned.Blocks[0].Down.Weight.Float32()
		width, kept := m.Layers[0].MLP, r.Layers[0].Support
		same := 0
		for out := range m.Hidden {
			for i, from := range kept {
				if before[out*width+from] == after[out*len(kept)+i] {
					same++
				}
			}
		}
		if all := m.Hidden * len(kept); updates && same > all/10 || !updates && same != all {
			t.Errorf("%s: %d of %d weights are as they were", method, same, all)
		}
	}
}

// TestLoadersAreWarnedOfOnce: heads that other programs cannot load are one warning, however many
// layers have them.
func TestLoadersAreWarnedOfOnce(t *testing.T) {
	before := config("LlamaForCausalLM")
	before.Hidden, before.Layers = 32, model.Uniform(3, 4, 4, 16)
	after := before
	after.Layers = model.Uniform(3, 3, 3, 16)
	var r CutReport
	r.count(before, after)
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "layer 0 keeps 3 query heads") {
		t.Errorf("warnings %q", r.Warnings)
	}
	if want := (Count{12, 9}); r.KVGroups != want {
		t.Errorf("KV groups %+v, expected %+v", r.KVGroups, want)
	}
}
