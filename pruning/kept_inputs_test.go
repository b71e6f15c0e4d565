package pruning

import (
	"reflect"
	"slices"
	"testing"

	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/calibrate/calibratetest"
)

// TestKeptInputs: inputs that are kept from their gathering to the move through their half give the
// bits of those that are computed again, for each part that is cut and each target.
func TestKeptInputs(t *testing.T) {
	for _, architecture := range []string{"LlamaForCausalLM", "Qwen2ForCausalLM"} {
		for name, cut := range map[string]LayerCut{
			"both": {MLP: Cut{Ratio: 0.4}, Heads: Cut{Count: 1}}, "neurons": {MLP: Cut{Ratio: 0.4}}, "query heads": {QueryHeads: Cut{Ratio: 0.25}},
		} {
			for _, target := range []float64{0, 0.5} {
				m := newModel(t, config(architecture))
				run := func(recompute bool) (*model.Model, []LayerReport) {
					layers, err := calibrate.NewInMemory(m)
					if err != nil {
						t.Fatal(err)
					}
					list := sequences(20, m.Vocab)
					p, err := newPruner(layers.Model(), list, Options{Method: OSSCAR, Cuts: Uniform(2, cut), Statistics: calibrate.Settings{Target: target}})
					if err != nil {
						t.Fatal(err)
					}
					var method calibrate.Method[LayerReport] = p
					if recompute {
						method = calibratetest.Recomputing[LayerReport]{Method: p}
					}
					reports, err := calibrate.Run(t.Context(), layers, list, calibrate.Options[LayerReport]{Settings: p.statistics()}, method)
					if err != nil {
						t.Fatal(err)
					}
					return layers.Compressed(), reports
				}
				kept, keptReports := run(false)
				again, reports := run(true)
				if !slices.Equal(logits(kept), logits(again)) || !reflect.DeepEqual(keptReports, reports) {
					t.Errorf("%s, %s, target %g: inputs that were kept give another model than those that are computed again", architecture, name, target)
				}
			}
		}
	}
}
