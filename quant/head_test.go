package quant

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"slimlab/kernels"
	"slimlab/model"
	"slimlab/model/weight"
)

// A rounded head has the numbers of its rows within half a step, and a tied embedding the same.
func TestHead(t *testing.T) {
	for _, tied := range []bool{true, false} {
		c := model.Config{
			Architecture: "LlamaForCausalLM", Vocab: 60, Hidden: 32, HeadDim: 8, MaxPositions: 64,
			Layers:    []model.LayerConfig{{Heads: 4, KVHeads: 2, MLP: 24}},
			RopeTheta: 10000, NormEps: 1e-5, TiedHead: tied, BOS: -1, EOS: -1,
		}
		for _, name := range []string{"w8a8", "w8a16"} {
			m, err := model.New(c)
			if err != nil {
				t.Fatal(err)
			}
			m.Init(rand.New(rand.NewPCG(1, 2)))
			before := m.Head.Float32()
			embedded := make([]float32, c.Hidden)
			m.Embed(embedded, []int32{7})
			s, err := ParseScheme(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := Head(t.Context(), m, s, kernels.Float32); err != nil {
				t.Fatal(err)
			}
			if _, dense := m.Head.(*weight.Dense); dense || m.Head.Bytes() > int64(len(before))*2 {
				t.Errorf("%s: the head is %s of %d bytes", name, m.Head.Format(), m.Head.Bytes())
			}
			after := m.Head.Float32()
			for row := range c.Vocab {
				most := 0.0
				for _, v := range before[row*c.Hidden : (row+1)*c.Hidden] {
					most = max(most, math.Abs(float64(v)))
				}
				for j := row * c.Hidden; j < (row+1)*c.Hidden; j++ {
					if d := math.Abs(float64(after[j] - before[j])); d > most/127*0.51 {
						t.Fatalf("%s: row %d: %g became %g, with %g the largest", name, row, before[j], after[j], most)
					}
				}
			}
			got := make([]float32, c.Hidden)
			m.Embed(got, []int32{7})
			for j := range got {
				want := embedded[j]
				if tied {
					want = after[7*c.Hidden+j]
				}
				if got[j] != want {
					t.Fatalf("%s, tied %t: the embedding has %g, expected %g", name, tied, got[j], want)
				}
			}
			if err := Head(t.Context(), m, s, kernels.Float32); err == nil || !strings.Contains(err.Error(), "expected one of floats") {
				t.Errorf("%s again: %v", name, err)
			}
		}
	}
}
