package quant

import (
	"testing"

	"slimlab/model"
	"slimlab/model/calibrate"
	"slimlab/model/calibrate/calibratetest"
)

// TestKeptInputs: inputs that are kept from their gathering to the move through their half give the
// bits of those that are computed again, with activations that are rounded too, and for each
// target.
func TestKeptInputs(t *testing.T) {
	for _, name := range []string{"w4a16-gptq-g32", "w8a8-gptq", "w4a16-quantease-g32"} {
		for _, target := range []float64{0, 1} {
			m := newModel(t, "Qwen2ForCausalLM", 96)
			list := sequences(12)
			same, err := calibratetest.SameKept(t.Context(), m, list, func(m *model.Model) (calibrate.Method[LinearReport], calibrate.Settings, error) {
				q, err := newQuantizer(m, uniform(t, name), list, Options{Statistics: calibrate.Settings{Target: target}})
				if err != nil {
					return nil, calibrate.Settings{}, err
				}
				return q, q.statistics(), nil
			})
			if err != nil || !same {
				t.Errorf("%s, target %g: inputs that were kept give another model than those that are computed again: %v", name, target, err)
			}
		}
	}
}
