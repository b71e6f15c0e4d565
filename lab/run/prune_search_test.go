package run

import (
	"testing"

	"slimlab/pruning"
)

// TestKeysOfTheSearch: step, local_search and damping reach the method, and the recipe where they
// have another value than their default.
func TestKeysOfTheSearch(t *testing.T) {
	p := Prune{Method: "osscar", MLP: "20%", Align: "1", Starts: "both", Step: 4, LocalSearch: -1, Damping: 0.1}
	o, err := p.options()
	if err != nil || o.Batch != 4 || o.LocalSearch != -1 || o.Damping != 0.1 {
		t.Errorf("options %+v, %v", o, err)
	}
	values := p.parameters(pruning.LayerCut{}, o)
	if values["step"] != 4 || values["local_search"] != -1 || values["damping"] != 0.1 {
		t.Errorf("the recipe has %v", values)
	}
	p.Step, p.LocalSearch, p.Damping = 1, 30, 0.01
	if o, err = p.options(); err != nil {
		t.Fatal(err)
	}
	for key := range p.parameters(pruning.LayerCut{}, o) {
		if key == "step" || key == "local_search" || key == "damping" {
			t.Errorf("the recipe has the default of %s", key)
		}
	}
}
