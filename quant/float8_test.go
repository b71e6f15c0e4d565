package quant

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"slimlab/kernels"
	"slimlab/model/weight"
)

// FP8's codes are nearest: a value within the normal range is at most 1/16 off, and the largest of
// a channel is exact to the rounding of the scale.
func TestFP8IsNearest(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	for _, shape := range [][2]int{{3, 8}, {17, 33}, {64, 128}} {
		out, in := shape[0], shape[1]
		w := weights(rng, out, in)
		g, err := NewGrid(weight.Format{Float: true, Bits: 8, Activations: weight.Token}, w, kernels.Float32)
		if err != nil {
			t.Fatal(err)
		}
		rounded, err := weight.New(g.Encoding(), toNearest(t, w, g))
		if err != nil {
			t.Fatal(err)
		}
		dense := rounded.Float32()
		for i, v := range w.Data {
			if s := float64(g.Encoding().Scale[i/in]); math.Abs(float64(v)-float64(dense[i])) > max(math.Abs(float64(v))/16, s/1024)*(1+1e-6) {
				t.Errorf("weight %g became %g with scale %g", v, dense[i], s)
			}
		}
	}
}

// Scales of bfloat16 are bfloat16 numbers, and the codes are nearest to them.
func TestBFloat16Scales(t *testing.T) {
	m := newModel(t, "LlamaForCausalLM", 64)
	for _, name := range []string{"w8a8", "w4a16-rtn", "w4a16-gptq", "fp8"} {
		q, _, err := inMemory(context.Background(), m, uniform(t, name), sequences(10), Options{Scales: kernels.BFloat16}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range q.Linears() {
			for _, v := range scalesOf(l.Weight) {
				if math.Float32bits(v)&0xffff != 0 {
					t.Fatalf("%s: %s has scale %v", name, l.Name, v)
				}
			}
			if e := weightError(m.Linears()[i].Weight.Float32(), l.Weight.Float32()); e > 0.05 {
				t.Errorf("%s: %s has weight error %g", name, l.Name, e)
			}
		}
	}
}

func scalesOf(w weight.Weight) []float32 { return w.(weight.Quantized).Encoding().Scale }
