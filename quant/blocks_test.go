package quant

import (
	"context"
	"errors"
	"slices"
	"testing"

	"slimlab/model"
)

// layers holds a model's layers for a walk that takes one at a time, and what became of them.
type layers struct {
	from, to *model.Model
	skeleton *model.Model
	done     int // layers of to that are finished
	fail     int // the layer at which it breaks off
}

func newLayers(t *testing.T, m *model.Model) *layers {
	t.Helper()
	skeleton, err := model.Skeleton(m.Config)
	if err != nil {
		t.Fatal(err)
	}
	return &layers{from: m, to: m.Clone(), skeleton: skeleton, fail: -1}
}

func (l *layers) Embed(x []float32, tokens []int32) error { l.from.Embed(x, tokens); return nil }

func (l *layers) Load(layer int) (bool, error) {
	if layer == l.fail {
		return false, errors.New("broken off")
	}
	if layer < l.done {
		l.skeleton.Blocks[layer], l.skeleton.Layers[layer] = l.to.Blocks[layer], l.to.Layers[layer]
		return true, nil
	}
	l.skeleton.Blocks[layer] = l.from.Clone().Blocks[layer]
	return false, nil
}

func (l *layers) Leave(layer int) error {
	l.to.Blocks[layer], l.to.Layers[layer] = l.skeleton.Blocks[layer], l.skeleton.Layers[layer]
	l.skeleton.Blocks[layer] = model.Block{}
	return nil
}

// Layers that come one at a time give the model that Quantize gives, also after a run that broke
// off between two of them.
func TestQuantizeBlocksIsQuantize(t *testing.T) {
	for _, name := range []string{"w8a8", "w4a16-gptq-g32"} {
		m := newModel(t, "Qwen2ForCausalLM", 96)
		calibration := sequences(8)
		if name == "w8a8" {
			calibration = nil
		}
		want, report := quantize(t, m, name, calibration)
		scheme, err := ParseScheme(name)
		if err != nil {
			t.Fatal(err)
		}
		o := Options{Scheme: scheme}
		for _, broken := range []bool{false, true} {
			l := newLayers(t, m)
			if broken {
				l.fail = 1
				if _, err := QuantizeBlocks(context.Background(), l.skeleton, l, calibration, o, nil); err == nil {
					t.Fatalf("%s: no error from a layer that cannot be loaded", name)
				}
				l.done, l.fail = 1, -1
			}
			got, err := QuantizeBlocks(context.Background(), l.skeleton, l, calibration, o, nil)
			if err != nil {
				t.Fatal(err)
			}
			if wanted := report.Layers[7*l.done:]; !slices.Equal(got.Layers, wanted) {
				t.Errorf("%s, broken %t: the report is %v, want %v", name, broken, got.Layers, wanted)
			}
			if !slices.Equal(logits(l.to), logits(want)) {
				t.Errorf("%s, broken %t: the model differs from that of Quantize", name, broken)
			}
			for i, b := range l.skeleton.Blocks {
				if b.Q.Weight != nil {
					t.Errorf("%s: layer %d is still in memory", name, i)
				}
			}
		}
	}
}
