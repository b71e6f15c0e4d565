package calibrate

import (
	"math/rand/v2"
	"runtime"
	"testing"

	"slimlab/model"
)

// TestKeptInputs: inputs are kept up to InputBytes, of one model or of two.
func TestKeptInputs(t *testing.T) {
	for _, c := range []struct {
		tokens, width int
		target        bool
		want          int64
	}{
		{128 * 512, 4864, false, 4 * 128 * 512 * 4864},
		{128 * 512, 8192, false, InputBytes},
		{128*512 + 1, 8192, false, 0},
		{128 * 512, 4096, true, InputBytes},
		{128 * 512, 4864, true, 0},
		{0, 4864, true, 0},
	} {
		if got := KeptInputs(c.tokens, c.width, c.target); got != c.want {
			t.Errorf("%d tokens of %d, target %t: %d bytes are kept, expected %d", c.tokens, c.width, c.target, got, c.want)
		}
	}
}

// stayer is a visitor that leaves what linear layers read as it is.
type stayer struct{ visitor }

func (stayer) Stayed(int, model.Site) []int { return nil }

// TestKeptInputsAreHeldOnce: a pass holds the inputs of one site at a time, those of the widest
// that it keeps, beside the streams: of one model or of two.
func TestKeptInputsAreHeldOnce(t *testing.T) {
	const tokens, hidden, width = 200 * 64, 64, 80
	for i, target := range []float64{0.5, 0, 0.5} { // the first one leaves the kernels their memory
		m, err := model.New(model.Config{Architecture: "LlamaForCausalLM", Vocab: 40, Hidden: hidden, HeadDim: 32, Layers: model.Uniform(2, 2, 2, width),
			MaxPositions: 64, RopeTheta: 1e4, NormEps: 1e-6, TiedHead: true, BOS: -1, EOS: -1})
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(5, 2))
		m.Init(rng)
		var list []Sequence
		for range tokens / 64 {
			s := make(Sequence, 64)
			for i := range s {
				s[i] = rng.Int32N(40)
			}
			list = append(list, s)
		}
		layers := layersOf(t, m)
		live := func() int64 {
			var stats runtime.MemStats
			runtime.GC()
			runtime.GC() // what a finalizer held
			runtime.ReadMemStats(&stats)
			return int64(stats.HeapAlloc)
		}
		before, most := live(), int64(0)
		v := stayer{visitor{visit: func(*Stats, []model.LinearLayer) error {
			most = max(most, live()-before)
			return nil
		}}}
		if _, err := Run(t.Context(), layers, list, Options[string]{Settings: Settings{Target: target}}, v); err != nil {
			t.Fatal(err)
		}
		text := int64(4 * tokens * hidden)
		stated := text + KeptInputs(tokens, width, target > 0)
		if target > 0 {
			stated += text
		}
		if i > 0 && (most > stated+text/2 || most < stated-text/2) {
			t.Errorf("target %g: %d bytes are held, expected about %d", target, most, stated)
		}
		runtime.KeepAlive(list)
	}
}
