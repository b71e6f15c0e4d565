package run

import (
	"strings"
	"testing"

	"slimlab/model"
)

// odd is a shape whose MLP width no group divides.
func odd(mlp int) model.Config {
	return model.Config{Architecture: "LlamaForCausalLM", Vocab: 300, Hidden: 32, HeadDim: 8, Layers: model.Uniform(2, 4, 2, mlp), MaxPositions: 64, RopeTheta: 1e4, NormEps: 1e-5, TiedHead: true, BOS: -1, EOS: -1}
}

func TestSchemesOfOddWidths(t *testing.T) {
	for _, c := range []struct {
		name           string
		mlp            int
		fitting, error string
	}{
		{"w4a16", 64, "w4a16", ""},
		{"w8a8", 71, "w8a8", ""},
		{"w4a16", 71, "w4a16-gchannel", "w4a16: groups of 8 do not divide the 71 inputs of model.layers.0.mlp.down_proj; expected w4a16-gchannel, or w8a8"},
		{"w4a16-rtn-g32", 48, "w4a16-rtn-gchannel", "down_proj; expected w4a16-rtn-g8 or w4a16-rtn-g16 or w4a16-rtn-gchannel, or w8a8"},
	} {
		if got := FittingScheme(c.name, odd(c.mlp)); got != c.fitting {
			t.Errorf("%s, %d: found %q, expected %q", c.name, c.mlp, got, c.fitting)
		}
		text := ""
		if err := CheckScheme(c.name, odd(c.mlp)); err != nil {
			text = err.Error()
		}
		if !strings.Contains(text, c.error) || (c.error == "") != (text == "") {
			t.Errorf("%s, %d: %q, expected %q", c.name, c.mlp, text, c.error)
		}
	}
}

// The least bytes of a token are those of the smallest format.
func TestLeastCache(t *testing.T) {
	c := odd(64)
	if least, plain, err := LeastCache([]string{"bfloat16", "int8"}, c); err != nil || plain != 2*2*2*2*8 || least >= plain {
		t.Errorf("caches of %d and %d bytes, %v", least, plain, err)
	}
}
