package pruning

import (
	"math"
	"slices"
	"strings"
	"testing"

	"slimlab/model"
	"slimlab/model/calibrate"
)

// The importance of a layer is 1 − the mean cosine of the streams before and after it, which a
// training pass records, and the least important go.
func TestChooseLayers(t *testing.T) {
	c := config("Qwen3ForCausalLM")
	c.Layers = model.Uniform(5, 4, 2, 32)
	c.Layers[2].MLP = 16
	m := newModel(t, c)
	for _, quiet := range []int{1, 3} { // layers that add little
		b := &m.Blocks[quiet]
		clear(b.O.Bias)
		for _, l := range []*model.Linear{&b.O, &b.Down} {
			for i := range l.Weight.Float32() {
				l.Weight.Float32()[i] *= 1e-3
			}
		}
	}
	m.Changed()
	list := sequences(8, m.Vocab)
	var done []int
	r := must2(ChooseLayers(t.Context(), must2(calibrate.NewInMemory(m))(t), list, 3, func(n, _ int) { done = append(done, n) }))(t)
	if !slices.Equal(r.Kept, []int{0, 2, 4}) || r.Layers != (Count{5, 3}) || !slices.Equal(done, []int{1, 2, 3, 4, 5}) {
		t.Errorf("kept %v of importance %v, %+v", r.Kept, r.Importance, r.Layers)
	}
	trace := model.NewTrace(m, 64, model.TraceOptions{})
	sums := make([]float64, 4) // of the last layer the trace has no stream behind it
	for _, s := range list {
		trace.Forward(t.Context(), m, model.Batch{Tokens: s, Starts: []int{0, len(s)}})
		for layer := range sums {
			for row := range s {
				sums[layer] += cosine(trace.Stream(layer)[row*32:][:32], trace.Stream(layer + 1)[row*32:][:32])
			}
		}
	}
	for layer, sum := range sums {
		if want := 1 - sum/float64(calibrate.Tokens(list)); math.Abs(r.Importance[layer]-want) > 1e-6 {
			t.Errorf("layer %d: importance %g, by the recorded streams %g", layer, r.Importance[layer], want)
		}
	}
	small := must2(r.Apply(m))(t)
	if err := small.Check(); err != nil {
		t.Fatal(err)
	}
	if small.Config.Parameters() != r.Parameters.After || m.Config.Parameters() != r.Parameters.Before || small.Layers[1].MLP != 16 {
		t.Errorf("%d parameters of %+v, layers %+v", small.Config.Parameters(), r.Parameters, small.Layers)
	}
	// a layer whose output is zero is the layer that is not there
	silent := m.Clone()
	for _, gone := range []int{1, 3} {
		b := &silent.Blocks[gone]
		for _, x := range [][]float32{b.O.Weight.Float32(), b.O.Bias, b.Down.Weight.Float32()} {
			clear(x)
		}
	}
	silent.Changed()
	if !slices.Equal(logits(small), logits(silent)) {
		t.Error("the model without layers differs from that whose layers add nothing")
	}
	if want := "layers 1, 3 of 5 removed, "; !strings.HasPrefix(r.Summary(), want) {
		t.Errorf("summary %q", r.Summary())
	}
	for i := range small.Flat() {
		small.Flat()[i] = 0
	}
	if m.Blocks[0].Up.Weight.Float32()[0] == 0 {
		t.Error("the models share memory")
	}
}

// Of layers that change the stream alike, here not at all, the earlier stay.
func TestChooseLayersOfEquals(t *testing.T) {
	c := config("LlamaForCausalLM")
	c.Layers = model.Uniform(5, 4, 2, 32)
	m := newModel(t, c)
	for _, silent := range []int{1, 3, 4} {
		b := &m.Blocks[silent]
		clear(b.O.Weight.Float32())
		clear(b.O.Bias)
		clear(b.Down.Weight.Float32())
	}
	m.Changed()
	for keep, want := range map[int][]int{2: {0, 2}, 3: {0, 1, 2}, 4: {0, 1, 2, 3}} {
		r := must2(ChooseLayers(t.Context(), must2(calibrate.NewInMemory(m))(t), sequences(4, m.Vocab), keep, nil))(t)
		if !slices.Equal(r.Kept, want) {
			t.Errorf("kept %v of importance %v, expected %v", r.Kept, r.Importance, want)
		}
	}
}

func TestKeptLayers(t *testing.T) {
	for _, c := range []struct {
		cut    string
		layers int
		want   int
		err    string
	}{
		{"25%", 24, 18, ""}, {"1", 2, 1, ""}, {"0.5", 3, 1, ""},
		{"3", 3, 0, "it removes 3 of the 3 layers, expected at most 2, or a share below 83.33%: at least one stays"},
		{"10%", 4, 0, "rounds to none of the 4 layers: expected a number of them, or 12.5% or more"},
		{"1", 1, 0, "the model has one of its layers alone, which stays"},
	} {
		got, err := must2(ParseCut(c.cut))(t).KeptLayers(c.layers)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s of %d: %d, %v, expected %d, %q", c.cut, c.layers, got, err, c.want, c.err)
		}
	}
}

func TestChooseLayersRefuses(t *testing.T) {
	m := newModel(t, config("LlamaForCausalLM"))
	broken := m.Clone()
	broken.Blocks[1].Up.Weight.Float32()[3] = float32(math.NaN())
	broken.Changed()
	for _, c := range []struct {
		model *model.Model
		list  []calibrate.Sequence
		keep  int
		want  string
	}{
		{m, nil, 1, "no calibration sequences"},
		{m, []calibrate.Sequence{{1, 2}, {99}}, 1, "sequence 1, token 0 is 99"},
		{m, sequences(2, 50), 0, "0 layers are to stay of 2"},
		{broken, sequences(2, 50), 1, "layer 1: not finite"},
	} {
		if _, err := ChooseLayers(t.Context(), must2(calibrate.NewInMemory(c.model))(t), c.list, c.keep, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, expected %q", err, c.want)
		}
	}
}
