package quant

import (
	"reflect"
	"slices"
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
			run := func(recompute bool) (*model.Model, []LinearReport) {
				layers, err := calibrate.NewInMemory(m)
				if err != nil {
					t.Fatal(err)
				}
				list := sequences(12)
				q, err := newQuantizer(layers.Model(), uniform(t, name), list, Options{Statistics: calibrate.Settings{Target: target}})
				if err != nil {
					t.Fatal(err)
				}
				var method calibrate.Method[LinearReport] = q
				if recompute {
					method = calibratetest.Recomputing[LinearReport]{Method: q}
				}
				reports, err := calibrate.Run(t.Context(), layers, list, calibrate.Options[LinearReport]{Settings: q.statistics()}, method)
				if err != nil {
					t.Fatal(err)
				}
				return layers.Compressed(), reports
			}
			kept, keptReports := run(false)
			again, reports := run(true)
			if !slices.Equal(logits(kept), logits(again)) || !reflect.DeepEqual(keptReports, reports) {
				t.Errorf("%s, target %g: inputs that were kept give another model than those that are computed again", name, target)
			}
		}
	}
}
