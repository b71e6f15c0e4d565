package pruning

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

// Layers that come one at a time give the model that Prune gives, also after a run that broke off
// between two of them.
func TestPruneBlocksIsPrune(t *testing.T) {
	c := config("Qwen2ForCausalLM")
	m := newModel(t, c)
	o := Options{Method: OSSCAR, MLP: Cut{Ratio: 0.25}, Heads: Cut{Count: 1}}
	want, report := prune(t, m, o)
	for _, broken := range []bool{false, true} {
		skeleton, err := model.Skeleton(m.Config)
		if err != nil {
			t.Fatal(err)
		}
		l := &layers{from: m, to: m.Clone(), skeleton: skeleton, fail: -1}
		if broken {
			l.fail = 1
			if _, err := PruneBlocks(context.Background(), skeleton, l, sequences(20, m.Vocab), o, nil); err == nil {
				t.Fatal("no error from a layer that cannot be loaded")
			}
			if l.skeleton, err = model.Skeleton(m.Config); err != nil { // as a new run begins
				t.Fatal(err)
			}
			l.done, l.fail = 1, -1
		}
		got, err := PruneBlocks(context.Background(), l.skeleton, l, sequences(20, m.Vocab), o, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got.Parameters != report.Parameters || got.Neurons != report.Neurons || len(got.Layers) != len(report.Layers)-2*l.done {
			t.Errorf("broken %t: the report is %+v, want %+v", broken, got, report)
		}
		if !slices.Equal(logits(l.to), logits(want)) {
			t.Errorf("broken %t: the model differs from that of Prune", broken)
		}
	}
}
