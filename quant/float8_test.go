package quant

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"slimlab/model/weight"
)

// FP8's codes are nearest: a value within the normal range is at most 1/16 off, and the largest of
// a channel is exact to the rounding of the scale.
func TestFP8IsNearest(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	for _, shape := range [][2]int{{3, 8}, {17, 33}, {64, 128}} {
		out, in := shape[0], shape[1]
		w := weights(rng, out, in)
		g, err := newGrid(w, out, in, in, Scheme{Bits: 8, Float: true}, false)
		if err != nil {
			t.Fatal(err)
		}
		rounded, err := g.weight(g.roundToNearest(w), false)
		if err != nil {
			t.Fatal(err)
		}
		dense := rounded.Float32()
		for i, v := range w {
			if s := float64(g.scale[i/in]); math.Abs(float64(v)-float64(dense[i])) > max(math.Abs(float64(v))/16, s/1024)*(1+1e-6) {
				t.Errorf("weight %g became %g with scale %g", v, dense[i], s)
			}
		}
	}
}

// With BFloat16Scales every scale is a bfloat16 number, and the codes are nearest to it.
func TestBFloat16Scales(t *testing.T) {
	m := newModel(t, "LlamaForCausalLM", 64)
	for _, name := range []string{"w8a8", "w4a16-rtn", "w4a16-gptq", "fp8"} {
		s, err := ParseScheme(name)
		if err != nil {
			t.Fatal(err)
		}
		q, _, err := Quantize(context.Background(), m, sequences(10), Options{Scheme: s, BFloat16Scales: true}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range q.Linears() {
			var scale []float32
			switch w := l.Weight.(type) {
			case *weight.Int8:
				_, scale = w.Int8()
			case *weight.Int4:
				_, scale, _ = w.Int4()
			case *weight.FP8:
				_, scale, _ = w.FP8()
			}
			for _, v := range scale {
				if math.Float32bits(v)&0xffff != 0 {
					t.Fatalf("%s: %s has scale %v", name, l.Name, v)
				}
			}
			if e := relativeError(m.Linears()[i].Weight.Float32(), l.Weight.Float32()); e > 0.05 {
				t.Errorf("%s: %s has weight error %g", name, l.Name, e)
			}
		}
	}
}
