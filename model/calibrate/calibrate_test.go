package calibrate

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"slimlab/kernels"
	"slimlab/kernels/parallel"
	"slimlab/model"
	"slimlab/model/weight"
)

func tiny(t testing.TB, seed uint64) *model.Model {
	t.Helper()
	m, err := model.New(model.Config{Architecture: "Qwen2ForCausalLM", Vocab: 40, Hidden: 24, HeadDim: 8, Layers: model.Uniform(2, 4, 2, 40),
		MaxPositions: 64, RopeTheta: 1e4, NormEps: 1e-6, TiedHead: true, QKVBias: true, BOS: -1, EOS: -1})
	if err != nil {
		t.Fatal(err)
	}
	m.Init(rand.New(rand.NewPCG(seed, 1)))
	return m
}

func sequences(seed uint64, n int) []Sequence {
	rng := rand.New(rand.NewPCG(seed, 2))
	var list []Sequence
	for range n {
		s := make(Sequence, 1+rng.IntN(40))
		for i := range s {
			s[i] = rng.Int32N(40)
		}
		list = append(list, s)
	}
	return list
}

func collect(t testing.TB, m *model.Model, list []Sequence, o Options) []*Stats {
	t.Helper()
	var all []*Stats
	if err := Walk(context.Background(), m, list, o, func(s *Stats) error { all = append(all, s); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// The statistics are those of whole forward passes, summed in float64 one token at a time.
func TestWalkMatchesForward(t *testing.T) {
	m, list := tiny(t, 1), sequences(1, 30)
	type key struct {
		layer int
		site  model.Site
	}
	gram, sum, top, tokens := map[key][]float64{}, map[key][]float64{}, map[key][]float64{}, map[key]int{}
	for _, s := range list {
		m.Forward(model.Batch{Tokens: s, Starts: []int{0, len(s)}}, func(layer int, site model.Site, x []float32, rows, width int) bool {
			k := key{layer, site}
			if gram[k] == nil {
				gram[k], sum[k], top[k] = make([]float64, width*width), make([]float64, width), make([]float64, width)
			}
			tokens[k] += rows
			for r := range rows {
				row := x[r*width : (r+1)*width]
				for i, a := range row {
					sum[k][i] += math.Abs(float64(a))
					top[k][i] = max(top[k][i], math.Abs(float64(a)))
					for j, b := range row {
						gram[k][i*width+j] += float64(a) * float64(b)
					}
				}
			}
			return true
		})
	}
	all := collect(t, m, list, Options{ChunkTokens: 100})
	var order []key
	for _, s := range all {
		k := key{s.Layer, s.Site}
		order = append(order, k)
		if s.Tokens != tokens[k] || s.Tokens != Tokens(list) || s.Width != len(sum[k]) {
			t.Fatalf("layer %d site %d: %d tokens of width %d, want %d of %d", s.Layer, s.Site, s.Tokens, s.Width, tokens[k], len(sum[k]))
		}
		for i := range s.Width {
			if got, want := s.MeanAbs[i], sum[k][i]/float64(tokens[k]); math.Abs(got-want) > 1e-6*want {
				t.Errorf("layer %d site %d: mean |x_%d| is %g, want %g", s.Layer, s.Site, i, got, want)
			}
			if got, want := s.MaxAbs[i], top[k][i]; math.Abs(got-want) > 1e-5*want {
				t.Errorf("layer %d site %d: max |x_%d| is %g, want %g", s.Layer, s.Site, i, got, want)
			}
			for j := range s.Width {
				scale := math.Sqrt(gram[k][i*s.Width+i] * gram[k][j*s.Width+j])
				if got, want := s.Gram.At(i, j), gram[k][i*s.Width+j]; math.Abs(got-want) > 1e-5*scale {
					t.Fatalf("layer %d site %d: Gram[%d, %d] is %g, want %g", s.Layer, s.Site, i, j, got, want)
				}
			}
		}
	}
	want := []key{{0, 0}, {0, 1}, {0, 2}, {0, 3}, {1, 0}, {1, 1}, {1, 2}, {1, 3}}
	if !slices.Equal(order, want) {
		t.Errorf("visited %v, want %v", order, want)
	}
}

func TestWalkIsDeterministic(t *testing.T) {
	m, list := tiny(t, 2), sequences(2, 40)
	defer parallel.SetThreads(1)()
	one := collect(t, m, list, Options{})
	defer parallel.SetThreads(3)()
	for i, s := range collect(t, m, list, Options{}) {
		if !mat.Equal(s.Gram, one[i].Gram) || !slices.Equal(s.MeanAbs, one[i].MeanAbs) || !slices.Equal(s.MaxAbs, one[i].MaxAbs) {
			t.Errorf("layer %d site %d: other bits with another number of threads", s.Layer, s.Site)
		}
	}
}

// What a visitor changes is what the sites after it are calibrated on, and only those.
func TestWalkGoesOnThroughTheChangedModel(t *testing.T) {
	list := sequences(3, 10)
	before := collect(t, tiny(t, 3), list, Options{})
	m := tiny(t, 3)
	var after []*Stats
	err := Walk(context.Background(), m, list, Options{}, func(s *Stats) error {
		after = append(after, s)
		b := &m.Blocks[0]
		switch {
		case s.Layer == 0 && s.Site == model.SiteQKV: // values of zero: attention's output is zero
			out, in := b.V.Weight.Shape()
			b.V = model.Linear{Weight: weight.NewDense(make([]float32, out*in), out, in), Bias: make([]float32, out)}
		case s.Layer == 0 && s.Site == model.SiteGateUp: // half the neurons
			out, in := b.Gate.Weight.Shape()
			b.Gate = model.Linear{Weight: weight.NewDense(b.Gate.Weight.Float32()[:out/2*in], out/2, in)}
			b.Up = model.Linear{Weight: weight.NewDense(b.Up.Weight.Float32()[:out/2*in], out/2, in)}
			b.Down = model.Linear{Weight: weight.NewDense(make([]float32, m.Hidden*out/2), m.Hidden, out/2)}
			m.Layers[0].MLP = out / 2
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !mat.Equal(before[0].Gram, after[0].Gram) {
		t.Error("the site that was seen before the change differs")
	}
	if n := mat.Norm(after[1].Gram, 1); n != 0 {
		t.Errorf("input of o_proj after values were zeroed has Gram norm %g", n)
	}
	if after[3].Width != 20 {
		t.Errorf("input of down_proj is %d wide after half the neurons went, want 20", after[3].Width)
	}
	// Layer 0 now adds nothing, so layer 1 sees the embeddings.
	x, want := make([]float32, m.Hidden), 0.0
	for _, s := range list {
		for _, token := range s {
			m.Embed(x, []int32{token})
			kernels.RMSNorm(x, nil, x, m.Blocks[1].AttentionNorm, 1, m.Hidden, m.NormEps)
			want += kernels.SumSquares(x)
		}
	}
	if got := mat.Trace(after[4].Gram); math.Abs(got-want) > 1e-5*want {
		t.Errorf("layer 1 sees inputs of energy %g, embeddings have %g", got, want)
	}
}

func TestWalkSites(t *testing.T) {
	for _, s := range collect(t, tiny(t, 4), sequences(4, 3), Options{Sites: []model.Site{model.SiteDown}}) {
		if s.Site != model.SiteDown {
			t.Errorf("visited %s", SiteName(s.Site))
		}
	}
}

func TestWalkErrors(t *testing.T) {
	visit := func(*Stats) error { return nil }
	broken := tiny(t, 5)
	broken.Blocks[1].Up.Weight.Float32()[7] = float32(math.NaN())
	broken.Changed()
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range []struct {
		name, want string
		ctx        context.Context
		model      *model.Model
		list       []Sequence
	}{
		{"none", "no sequences", context.Background(), tiny(t, 5), nil},
		{"empty", "sequence 1 is empty", context.Background(), tiny(t, 5), []Sequence{{1}, {}}},
		{"long", "has 65 tokens, the model takes at most 64", context.Background(), tiny(t, 5), []Sequence{make(Sequence, 65)}},
		{"token", "sequence 0, token 2 is 40, outside the vocabulary of 40", context.Background(), tiny(t, 5), []Sequence{{1, 2, 40}}},
		{"not finite", "layer 1, input of down_proj: channel 0 is not finite", context.Background(), broken, sequences(5, 2)},
		{"cancelled", "canceled", cancelled, tiny(t, 5), sequences(5, 2)},
	} {
		if err := Walk(c.ctx, c.model, c.list, Options{}, visit); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	stop := errors.New("stop")
	if err := Walk(context.Background(), tiny(t, 5), sequences(5, 2), Options{}, func(*Stats) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("a visitor's error came back as %v", err)
	}
}

// Matrix is the symmetric matrix, whatever lay in its lower triangle.
func TestMatrix(t *testing.T) {
	const n = 131 // more than two blocks, and a ragged one
	data := make([]float64, n*n)
	for i := range data {
		data[i] = float64(i * 7 % 1009)
	}
	h := mat.NewSymDense(n, data)
	want := mat.DenseCopyOf(h)
	m := Matrix(h)
	if !mat.Equal(mat.NewDense(n, n, m.Data), want) || !mat.Equal(h, want) {
		t.Error("the view is not the symmetric matrix")
	}
}
