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

// The least bytes are what no choice changes, and the smallest of the others; with none they are
// those in bfloat16.
func TestLeastBytes(t *testing.T) {
	c := odd(64)
	least, rest, plain, err := LeastBytes(nil, nil, c)
	if err != nil || least != plain || plain != 2*int64(c.Parameters()) || rest != 2*int64(300*32+5*32) {
		t.Errorf("least %d, rest %d, plain %d, %v", least, rest, plain, err)
	}
	// per layer q and o 32×32, k and v 16×32, gate, up and down 64×32
	attention, mlp := int64(2*(2*32*32+2*16*32)), int64(2*3*64*32)
	if least, _, _, err = LeastBytes(nil, []string{"25%", "0.5"}, c); err != nil || least != rest+2*attention+mlp {
		t.Errorf("half of the neurons leave %d, expected %d: %v", least, rest+2*attention+mlp, err)
	}
	scales := int64(2 * 2 * (32 + 32 + 16 + 16 + 64 + 64 + 2*32)) // groups of 32
	if least, _, _, err = LeastBytes([]string{"w8a8", "w4a16-g32"}, nil, c); err != nil || least != rest+(attention+mlp)/2+scales {
		t.Errorf("4 bits leave %d, expected %d: %v", least, rest+(attention+mlp)/2+scales, err)
	}
	if least, plain, err := LeastCache([]string{"bfloat16", "int8"}, c); err != nil || plain != 2*2*2*2*8 || least >= plain {
		t.Errorf("caches of %d and %d bytes, %v", least, plain, err)
	}
}
