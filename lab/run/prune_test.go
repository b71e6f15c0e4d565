package run

import (
	"context"
	"strings"
	"testing"

	"slimlab/lab/scenario"
	"slimlab/lab/stat"
	"slimlab/lab/task"
	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/pruning"
)

// TestOSSCARBeatsItsBaselines prunes the first layer of the embedded model by each method on five
// calibration sets and compares the errors of its output. Their order is a trend, so it is held by
// the 95% intervals of the paired differences.
func TestOSSCARBeatsItsBaselines(t *testing.T) {
	const sets, samples = 5, 12
	m, sequences := calibratedFM(t, sets*samples)
	half := pruning.Cut{Ratio: 0.5}
	for _, c := range []struct {
		name  string
		cut   pruning.LayerCut
		order []pruning.Method // from the least error to the largest
	}{
		{"a quarter of the neurons", pruning.LayerCut{MLP: pruning.Cut{Ratio: 0.25}},
			[]pruning.Method{pruning.OSSCAR, pruning.NormActivation + pruning.LS, pruning.NormActivation, pruning.MagnitudeL2, pruning.Random}},
		{"half of the neurons", pruning.LayerCut{MLP: half},
			[]pruning.Method{pruning.OSSCAR, pruning.NormActivation + pruning.LS, pruning.NormActivation, pruning.MagnitudeL2, pruning.MagnitudeL1, pruning.Random}},
		{"half of the heads", pruning.LayerCut{Heads: half}, []pruning.Method{pruning.OSSCAR, pruning.NormActivation}},
	} {
		before := make([]float64, sets)
		for i, method := range c.order {
			errors, differences := make([]float64, sets), make([]float64, sets)
			for set := range sets {
				l := pruneFirst(t, m, sequences[set*samples:(set+1)*samples], pruning.Options{Method: method, Seed: uint64(set)}, c.cut)
				errors[set] = l.Updated.Undamped
				differences[set] = errors[set] - before[set]
			}
			e, d := stat.MeanInterval(errors), stat.MeanInterval(differences)
			t.Logf("%s, %s: error %.4f, %.4f to %.4f", c.name, method, e.Value, e.Low, e.High)
			if i > 0 && d.Low <= 0 {
				t.Errorf("%s: the error of %s less that of %s is %.4f, %.4f to %.4f", c.name, method, c.order[i-1], d.Value, d.Low, d.High)
			}
			before = errors
		}
	}
}

// calibratedFM is the embedded model with some sequences of its task.
func calibratedFM(t *testing.T, samples int) (*model.Model, []calibrate.Sequence) {
	t.Helper()
	c, err := newHome(t).OpenModel("pretrained:recsys-fm")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m, err := c.Model(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	tok, err := c.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	data, err := task.NewRecsys(task.DefaultRecsys(), tok)
	if err != nil {
		t.Fatal(err)
	}
	examples, err := data.Calibration(task.InDomain, samples)
	if err != nil {
		t.Fatal(err)
	}
	sequences := make([]calibrate.Sequence, len(examples))
	for i, e := range examples {
		sequences[i] = e.Tokens
	}
	return m, sequences
}

// pruneFirst prunes the first layer of m and returns its report.
func pruneFirst(t *testing.T, m *model.Model, sequences []calibrate.Sequence, o pruning.Options, cut pruning.LayerCut) pruning.LayerReport {
	t.Helper()
	layers, err := calibrate.NewInMemory(m)
	if err != nil {
		t.Fatal(err)
	}
	o.Cuts = make([]pruning.LayerCut, len(m.Layers))
	o.Cuts[0] = cut
	r, err := pruning.Prune(context.Background(), layers, sequences, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := r.Layers[0]
	// a theorem, with the damped statistics that the update minimises over
	if l.Updated.Damped > l.Masked.Damped {
		t.Errorf("%s: the update raised the error from %g to %g", o.Method, l.Masked.Damped, l.Updated.Damped)
	}
	return l
}

// TestSharesAreCounted: check says what number a share of few heads or layers is rounded to.
func TestSharesAreCounted(t *testing.T) {
	for cut, want := range map[string]string{
		"heads: 30%":       "pruned: heads: 30% of 4 KV groups is 1 of them",
		"query_heads: 40%": "pruned: query_heads: 40% of 2 query heads of each KV group is 1 of them",
		"layers: 30%":      "pruned: layers: 30% of 3 layers is 1 of them",
		"heads: 1":         "",
		"heads: 50%":       "",
	} {
		text := "task: { kind: recsys, members: 6 }\nmodels: { FM: { load: \"pretrained:recsys-student\" } }\npipeline:\n  - baseline: { name: FM, model: FM }\n  - prune: { name: pruned, from: FM, " + cut + ", calibration: { samples: 6 } }\ncolumns: [params]\nseeds: 1\n"
		_, notes, err := Check(t.Context(), newHome(t), parse(t, text, scenario.Options{}))
		if err != nil {
			t.Errorf("%s: %v", cut, err)
			continue
		}
		var found []string
		for _, n := range notes {
			if strings.Contains(n.Text, " of them") {
				found = append(found, n.Text)
			}
		}
		if got := strings.Join(found, "\n"); got != want {
			t.Errorf("%s: %q, expected %q", cut, got, want)
		}
	}
}
