package pruning

import (
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
				list := sequences(20, m.Vocab)
				same, err := calibratetest.SameKept(t.Context(), m, list, func(m *model.Model) (calibrate.Method[LayerReport], calibrate.Settings, error) {
					p, err := newPruner(m, list, Options{Method: OSSCAR, Cuts: Uniform(2, cut), Statistics: calibrate.Settings{Target: target}})
					if err != nil {
						return nil, calibrate.Settings{}, err
					}
					return p, p.statistics(), nil
				})
				if err != nil || !same {
					t.Errorf("%s, %s, target %g: inputs that were kept give another model than those that are computed again: %v", architecture, name, target, err)
				}
			}
		}
	}
}
