package convert

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/checkpoint"
	"slimlab/pruning"
	"slimlab/quant"
)

// A cut that leaves none of a layer, or removes none of any, names its own flag and values of that
// flag that would do.
func TestImpossibleCuts(t *testing.T) {
	layers := []model.LayerConfig{{Heads: 8, KVHeads: 4, MLP: 384}, {Heads: 4, KVHeads: 2, MLP: 100}}
	single := []model.LayerConfig{{Heads: 4, KVHeads: 1, MLP: 64}}
	for _, c := range []struct {
		layers     []model.LayerConfig
		mlp, heads string
		align      int
		expected   string // "" where the cut does
		refused    string // a flag that the error must not advise
	}{
		{layers, "", "2", 0, "--heads: it removes 2 of the 2 KV groups of layer 1, expected at most 1, or a share below 75%", "--mlp"},
		{layers, "", "80%", 0, "--heads: it removes 2 of the 2 KV groups of layer 1", "--mlp"},
		{layers, "", "74%", 0, "", ""},
		{layers, "", "1", 0, "", ""},
		{layers, "100", "", 0, "--mlp: it removes 100 of the 100 neurons of layer 1, expected at most 99, or a share below 99.5%", "--heads"},
		{layers, "99", "", 8, "", ""},
		{single, "", "1", 0, "--heads: layer 0 has one of its KV groups alone", "--mlp"},
		{layers, "", "5%", 0, "--heads: rounds to none of the 4 KV groups: expected a number of them, or 12.5% or more", "--mlp"},
		{layers, "", "12.5%", 0, "", ""},
		{layers, "1", "", 64, "--align: the cut leaves 383 neurons of layer 0, which rounds up to all 384, expected 1", "--heads"},
		{layers, "0.0001", "", 0, "--mlp: rounds to none of the 384 neurons", "--heads"},
	} {
		p := Pruning{Options: pruning.Options{Align: c.align}}
		if err := p.Set("osscar", Cuts{MLP: c.mlp, Heads: c.heads}); err != nil {
			t.Fatal(err)
		}
		_, _, err := p.plan(model.Config{Layers: c.layers})
		switch {
		case c.expected == "" && err != nil, c.expected != "" && (err == nil || !strings.Contains(err.Error(), c.expected)):
			t.Errorf("--mlp %q --heads %q --align %d: %v, expected %q", c.mlp, c.heads, c.align, err, c.expected)
		case err != nil && strings.Contains(err.Error(), c.refused):
			t.Errorf("--mlp %q --heads %q: %v advises %s", c.mlp, c.heads, err, c.refused)
		}
	}
}

// Budgets and widths in words, and what they contradict.
func TestBudgetsInWords(t *testing.T) {
	shape := model.Config{Hidden: 32, HeadDim: 8, Layers: model.Uniform(2, 4, 2, 96)}
	for _, c := range []struct {
		cuts  Cuts
		align string
		want  string // of the error; "" is none
	}{
		{Cuts{Budget: "70%"}, "auto", ""},
		{Cuts{Budget: "20KB", Widths: "budget"}, "8", ""},
		{Cuts{MLP: "20%", Widths: "budget"}, "auto", ""},
		{Cuts{MLP: "20%", Widths: "budgets"}, "auto", `--widths "budgets": expected one of uniform, budget`},
		{Cuts{Budget: "70%", Widths: "uniform"}, "auto", "--budget: uniform widths have none"},
		{Cuts{Budget: "70%", MLP: "3"}, "auto", "--budget: it stands beside a cut"},
		{Cuts{Budget: "700"}, "auto", `--budget: found "700"`},
		{Cuts{Budget: "1%"}, "auto", "--budget: the budget is 184 parameters of 18432, and with one unit of each layer there are 192: expected at least 1.05%"},
		{Cuts{Budget: "0.3kB"}, "auto", "--budget: 0.3kB are 150 parameters in bfloat16: the budget is 150 parameters of 18432, and with one unit of each layer there are 192: expected at least 0.384kB"},
		{Cuts{Budget: "0.384kB"}, "auto", "there are 1536: expected at least 3.072kB"},
		{Cuts{Budget: "1GB"}, "auto", "nothing would be removed, expected less than 36.864kB"},
		{Cuts{Budget: "3.072kB"}, "auto", ""},
		{Cuts{Budget: "0.0000001ms"}, "auto", "--budget: found \"0.0000001ms\", expected a time from 0.001us to below 1000s"},
		{Cuts{Budget: "1.5ms"}, "auto", ""},
		{Cuts{Budget: "70% of time", Rows: 512}, "8", ""},
		{Cuts{Budget: "70%", Rows: 512}, "auto", "--budget-rows is of a budget of time"},
		{Cuts{MLP: "20%", Rows: 1}, "auto", "--budget-rows is of a budget of time"},
		{Cuts{Budget: "1ms", Rows: -1}, "auto", "--budget-rows -1: expected 1 to 65536"},
		{Cuts{Budget: "0ms"}, "auto", `--budget: found "0ms"`},
		{Cuts{Budget: "1ms"}, "96", "--align: no layer has more than 96 neurons"},
		{Cuts{Budget: "1ms", Widths: "uniform"}, "auto", "--budget: uniform widths have none"},
		{Cuts{QueryHeads: "1", Widths: "budget"}, "auto", "--query-heads: widths by a budget are of neurons"},
		{Cuts{MLP: "1"}, "128", "--align: the cut leaves 95 neurons of layer 0, which rounds up to all 96, expected 1"},
		{Cuts{MLP: "1"}, "0", `--align: found "0"`},
		{Cuts{}, "auto", "nothing is to be removed"},
	} {
		var p Pruning
		err := errors.Join(p.Set("osscar", c.cuts), p.SetAlign(c.align))
		if err == nil {
			_, _, err = p.plan(shape)
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, expected %q", c.cuts, err, c.want)
		}
		if err == nil && p.Budget == nil {
			t.Errorf("%+v: no budget", c.cuts)
		}
	}
	if err := new(Pruning).SetStarts("gredy"); err == nil || !strings.Contains(err.Error(), `--starts: starts "gredy"`) {
		t.Errorf("starts: %v", err)
	}
}

// Whole layers that go are those that do in memory, and what is written is the model without them.
func TestLayersAreRemoved(t *testing.T) {
	from, text := source(t, checkpoint.F32)
	to := filepath.Join(t.TempDir(), "short")
	p := Pruning{Calibration: Calibration{File: text, Samples: 6, Length: 32, Seed: 1}}
	if err := p.Set("osscar", Cuts{Layers: "1"}); err != nil {
		t.Fatal(err)
	}
	r, err := Prune(t.Context(), from, to, p, Options{Open: open})
	if err != nil {
		t.Fatal(err)
	}
	want, err := r.Depth.Apply(loaded(t, from))
	if err != nil {
		t.Fatal(err)
	}
	if got := loaded(t, to); len(got.Layers) != 2 || !slices.Equal(got.Flat(), want.Flat()) || r.Parameters.After != want.Config.Parameters() {
		t.Errorf("%d layers, %d parameters, or others than layers %v have", len(got.Layers), r.Parameters.After, r.Depth.Kept)
	}
	if lines := strings.Join(r.Lines(), "\n"); !strings.Contains(lines, "of 3 removed, ") {
		t.Errorf("lines %s", lines)
	}
	for text, want := range map[string]string{"3": "--layers: it removes 3 of the 3 layers", "5%": "--layers: rounds to none of the 3 layers", "x": "--layers: found"} {
		var p Pruning
		err := p.Set("osscar", Cuts{Layers: text})
		if err == nil {
			_, _, err = p.plan(model.Config{Layers: model.Uniform(3, 4, 2, 96)})
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, expected %q", text, err, want)
		}
	}
	for _, c := range []struct {
		method string
		cuts   Cuts
	}{{"osscar", Cuts{Layers: "1", MLP: "2"}}, {"magnitude", Cuts{Layers: "1"}}, {"osscar", Cuts{Layers: "1", Budget: "50%"}}} {
		if err := new(Pruning).Set(c.method, c.cuts); err == nil || !strings.Contains(err.Error(), "whole layers are removed alone") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// A method that needs gradients takes those of the whole model, which is in memory then, and cuts
// as in memory; an interrupted command that goes on cuts the same.
func TestPruneByGradients(t *testing.T) {
	from, _ := source(t, checkpoint.F32)
	for _, method := range []string{"taylor", "taylor-ls"} {
		p := Pruning{Calibration: Calibration{Random: true, Samples: 6, Length: 32, Seed: 1}}
		if err := p.Set(method, Cuts{MLP: "30%"}); err != nil {
			t.Fatal(err)
		}
		var needs MemoryEstimate
		o := Options{Open: open, Begin: func(e MemoryEstimate, _ []Compatibility) { needs = e }}
		to := filepath.Join(t.TempDir(), "cut")
		if _, err := Prune(t.Context(), from, to, p, o); err != nil {
			t.Fatal(err)
		}
		whole := loaded(t, from)
		if needs.Whole != 16*int64(whole.Config.Parameters()) || needs.Total() < needs.Whole {
			t.Errorf("%s: %+v is stated", method, needs)
		}
		c, err := open(from)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		sequences, err := p.Calibration.sequences(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		layers, err := calibrate.NewInMemory(whole)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := p.plan(whole.Config); err != nil {
			t.Fatal(err)
		}
		want := p.Options
		want.Whole, want.ChunkTokens = whole, chunkTokens
		if _, err := pruning.Prune(t.Context(), layers, sequences, want, nil); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(loaded(t, to).Flat(), layers.Compressed().Flat()) {
			t.Errorf("%s cuts another model than in memory", method)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		o.Progress = func(done, _ int, _ string) {
			if done > 1 {
				cancel()
			}
		}
		again := filepath.Join(t.TempDir(), "again")
		if _, err := Prune(ctx, from, again, p, o); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		o.Progress = nil
		if _, err := Prune(t.Context(), from, again, p, o); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(loaded(t, to).Flat(), loaded(t, again).Flat()) {
			t.Errorf("%s cuts another model after an interruption", method)
		}
	}
}

// TestSeedOfRandomUnits: the seed decides which units a random method keeps, and is of the text
// alone for others.
func TestSeedOfRandomUnits(t *testing.T) {
	from, _ := source(t, checkpoint.BF16)
	kept := func(method string, seed uint64) map[string][]byte {
		t.Helper()
		p := Pruning{Calibration: Calibration{Random: true, Samples: 2, Length: 32, Seed: seed}}
		if err := p.Set(method, Cuts{MLP: "50%"}); err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(t.TempDir(), "out")
		if _, err := Prune(t.Context(), from, to, p, Options{Open: open}); err != nil {
			t.Fatal(err)
		}
		return files(t, to)
	}
	same := func(a, b map[string][]byte) bool {
		return maps.EqualFunc(a, b, func(x, y []byte) bool { return string(x) == string(y) })
	}
	if same(kept("random", 1), kept("random", 2)) || !same(kept("random", 1), kept("random", 1)) {
		t.Error("the seed does not decide what a random method keeps")
	}
	if !same(kept("magnitude", 1), kept("magnitude", 2)) {
		t.Error("the seed changes what the norms of weights decide")
	}
}

// TestSharesAreCounted: the verb notes what number a share of few heads or layers is rounded to.
func TestSharesAreCounted(t *testing.T) {
	from, text := source(t, checkpoint.BF16)
	for _, c := range []struct {
		cuts Cuts
		want string // "" is none
	}{{Cuts{Heads: "40%"}, "heads: 40% of "}, {Cuts{Layers: "40%"}, "layers: 40% of "}, {Cuts{Heads: "1"}, ""}} {
		p := Pruning{Calibration: Calibration{File: text, Samples: 2, Length: 16, Seed: 3}}
		if err := p.Set("osscar", c.cuts); err != nil {
			t.Fatal(err)
		}
		r, err := Prune(t.Context(), from, filepath.Join(t.TempDir(), "out"), p, Options{Open: open})
		if err != nil {
			t.Fatal(err)
		}
		if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, c.want) || strings.Contains(notes, " is 1 of them") != (c.want != "") {
			t.Errorf("%+v: %q, expected %q", c.cuts, notes, c.want)
		}
	}
}

// Lines say what there is to say: no multiple of 1, and no second figure of a method that leaves
// the weights as they are.
func TestLinesOfACut(t *testing.T) {
	from, text := source(t, checkpoint.F32)
	for _, c := range []struct {
		method            string
		align             int
		multiples, update bool
	}{{"osscar", 8, true, true}, {"osscar", 1, false, true}, {"magnitude", 8, true, false}, {"magnitude", 1, false, false}} {
		p := Pruning{Options: pruning.Options{Align: c.align}, Calibration: Calibration{File: text, Samples: 6, Length: 32, Seed: 1}}
		if err := p.Set(c.method, Cuts{MLP: "20%"}); err != nil {
			t.Fatal(err)
		}
		r, err := Prune(t.Context(), from, filepath.Join(t.TempDir(), "small"), p, Options{Open: open})
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Join(r.Lines(), "\n")
		if strings.Contains(lines, "multiples of ") != c.multiples || strings.Contains(lines, "without the update") != c.update || !strings.Contains(lines, "mean relative output error") {
			t.Errorf("%s, align %d:\n%s", c.method, c.align, lines)
		}
	}
}

// A target stands in an error by its word.
func TestTargetByItsWord(t *testing.T) {
	scheme, err := quant.ParseScheme("w4a16-rtn")
	if err != nil {
		t.Fatal(err)
	}
	for word, target := range map[string]float64{"dense": 1, "0.25": 0.25} {
		q := Quantization{Scheme: scheme}
		q.Gathering.Target = target
		want := "--target " + word + ": w4a16-rtn rounds each weight on its own"
		if err := q.checkEffects(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
}
