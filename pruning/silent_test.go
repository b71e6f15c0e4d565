package pruning

import (
	"context"
	"errors"
	"strings"
	"testing"

	"slimlab/model/calibrate"
)

// TestSilentChannels: channels that are zero in all tokens go first, and are said once.
func TestSilentChannels(t *testing.T) {
	m := newModel(t, config("LlamaForCausalLM"))
	_, in := m.Blocks[0].Up.Weight.Shape()
	for _, neuron := range []int{3, 5, 60} {
		clear(m.Blocks[0].Up.Weight.Float32()[neuron*in : (neuron+1)*in])
	}
	m.Changed()
	for _, method := range []Method{OSSCAR, "norm-activation"} {
		_, r := prune(t, m, Options{Method: method, Cuts: cuts(Cut{Count: 3}, Cut{})})
		if want := "3 channels of 1 input are zero in all calibration tokens"; !strings.Contains(strings.Join(r.Warnings, "\n"), want) {
			t.Errorf("%s: warnings %q, expected %q", method, r.Warnings, want)
		}
		if r.Layers[0].Updated.Undamped > 1e-12 {
			t.Errorf("%s: removing what is zero costs %g", method, r.Layers[0].Updated.Undamped)
		}
	}
}

// TestDeadLayers: a half of a layer whose last weights are all zero is named, and no other.
func TestDeadLayers(t *testing.T) {
	m := newModel(t, config("LlamaForCausalLM"))
	clear(m.Blocks[1].Down.Weight.Float32())
	m.Changed()
	for _, method := range []Method{OSSCAR, Random} {
		_, r := prune(t, m, Options{Method: method, Cuts: cuts(Cut{Count: 3}, Cut{Count: 1})})
		said := 0
		for _, w := range r.Warnings {
			if strings.Contains(w, "are zero: this half of the layer does nothing") {
				said++
				if !strings.HasPrefix(w, "layer 1, mlp: all weights of model.layers.1.mlp.down_proj are zero") {
					t.Errorf("%s: %s", method, w)
				}
			}
		}
		if said != 1 {
			t.Errorf("%s: warnings %q", method, r.Warnings)
		}
	}
}

// TestSquaresOverflow: activations that are finite, and whose squares are not, are too large, and
// not too few.
func TestSquaresOverflow(t *testing.T) {
	m := newModel(t, config("LlamaForCausalLM"))
	for i := range m.Blocks[1].Up.Weight.Float32() {
		m.Blocks[1].Up.Weight.Float32()[i] *= 1e24
	}
	m.Changed()
	_, _, err := inMemory(context.Background(), m, sequences(20, m.Vocab), Options{Method: OSSCAR, Cuts: cuts(Cut{Count: 3}, Cut{})}, nil)
	if !errors.Is(err, calibrate.ErrNotFinite) {
		t.Errorf("error %v, expected %v", err, calibrate.ErrNotFinite)
	}
}
