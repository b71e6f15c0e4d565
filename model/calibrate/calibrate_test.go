package calibrate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

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

// visitor is a Method that looks at the inputs of some linear layers, all where wants is nil.
type visitor struct {
	wants func(l model.LinearLayer) bool
	visit func(s *Stats, linears []model.LinearLayer) error
}

func (v visitor) Wants(l model.LinearLayer) bool { return v.wants == nil || v.wants(l) }

func (v visitor) Compress(_ context.Context, s *Stats, linears []model.LinearLayer, report func(string)) error {
	if err := v.visit(s, linears); err != nil {
		return err
	}
	for _, l := range linears {
		report(l.Name)
	}
	return nil
}

func layersOf(t testing.TB, m *model.Model) *InMemory {
	t.Helper()
	l, err := NewInMemory(m)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func collect(t testing.TB, m *model.Model, list []Sequence, chunk int) []*Stats {
	t.Helper()
	return collectWith(t, m, list, Options[string]{ChunkTokens: chunk})
}

func collectWith(t testing.TB, m *model.Model, list []Sequence, o Options[string]) []*Stats {
	t.Helper()
	var all []*Stats
	v := visitor{visit: func(s *Stats, linears []model.LinearLayer) error {
		all = append(all, s)
		for _, l := range linears { // as methods do, here by one of the same numbers
			l.Linear.Weight = weight.NewDense(slices.Clone(l.Weight.Float32()), l.Out, l.In)
		}
		return nil
	}}
	if _, err := Run(context.Background(), layersOf(t, m), list, o, v); err != nil {
		t.Fatal(err)
	}
	return all
}

// The statistics are those of whole forward passes, summed in float64 one token at a time. In
// bfloat16 they are those of a model whose weights have that format, of rounded inputs.
func TestStatsMatchForward(t *testing.T) {
	for _, precision := range []kernels.Precision{kernels.Float32, kernels.BFloat16} {
		for _, settings := range []Settings{{}, {Parallel: true}, {Target: 1}} {
			settings.Precision = precision
			t.Run(fmt.Sprintf("%v parallel=%v target=%v", precision, settings.Parallel, settings.Target), func(t *testing.T) {
				statsMatchForward(t, settings)
			})
		}
	}
}

// inBFloat16 is m with linear layers in bfloat16.
func inBFloat16(t *testing.T, m *model.Model) *model.Model {
	layers := layersOf(t, m)
	for layer := range m.Blocks {
		if _, err := layers.Load(t.Context(), layer); err != nil {
			t.Fatal(err)
		}
		for _, l := range layers.Model().BlockLinears(layer) {
			bits := make([]uint16, l.Out*l.In)
			kernels.RoundBFloat16(bits, l.Weight.Float32())
			l.Linear.Weight = weight.NewBFloat16(bits, l.Out, l.In)
		}
		if err := layers.Leave(t.Context(), layer); err != nil {
			t.Fatal(err)
		}
	}
	return layers.Compressed()
}

func statsMatchForward(t *testing.T, settings Settings) {
	m, list := tiny(t, 1), sequences(1, 30)
	dense := m
	if settings.Precision == kernels.BFloat16 {
		m = inBFloat16(t, m)
	}
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
				row := slices.Clone(x[r*width : (r+1)*width])
				for i, a := range row {
					sum[k][i] += math.Abs(float64(a))
					top[k][i] = max(top[k][i], math.Abs(float64(a)))
				}
				settings.Precision.Round(row)
				for i, a := range row {
					for j, b := range row {
						gram[k][i*width+j] += float64(a) * float64(b)
					}
				}
			}
			return true
		})
	}
	all := collectWith(t, dense, list, Options[string]{ChunkTokens: 100, Settings: settings})
	var order []key
	for _, s := range all {
		k := key{s.Layer, s.Site}
		order = append(order, k)
		if (s.Cross.Data != nil) != (settings.Target > 0 && k != key{}) {
			t.Errorf("layer %d site %d: %d numbers of the dense model", s.Layer, s.Site, len(s.Cross.Data))
		}
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
				scale := math.Sqrt(gram[k][i*s.Width+i]*gram[k][j*s.Width+j]) / float64(tokens[k])
				if got, want := s.Gram.Row(i)[j], gram[k][i*s.Width+j]/float64(tokens[k]); math.Abs(got-want) > 1e-5*scale {
					t.Fatalf("layer %d site %d: Gram[%d, %d] is %g, want %g", s.Layer, s.Site, i, j, got, want)
				}
				if s.Cross.Data == nil {
					continue
				}
				// the dense model's inputs are the same
				if got, want := s.Cross.Row(i)[j], gram[k][i*s.Width+j]/float64(tokens[k]); math.Abs(got-want) > 1e-5*scale {
					t.Fatalf("layer %d site %d: Cross[%d, %d] is %g, want %g", s.Layer, s.Site, i, j, got, want)
				}
			}
		}
	}
	want := []key{{0, 0}, {0, 1}, {0, 2}, {0, 3}, {1, 0}, {1, 1}, {1, 2}, {1, 3}}
	if !slices.Equal(order, want) {
		t.Errorf("visited %v, want %v", order, want)
	}
}

func TestRunIsDeterministic(t *testing.T) {
	m, list := tiny(t, 2), sequences(2, 40)
	defer parallel.SetThreads(1)()
	one := collect(t, m, list, 0)
	defer parallel.SetThreads(3)()
	for i, s := range collect(t, m, list, 0) {
		if !slices.Equal(s.Gram.Data, one[i].Gram.Data) || !slices.Equal(s.MeanAbs, one[i].MeanAbs) || !slices.Equal(s.MaxAbs, one[i].MaxAbs) {
			t.Errorf("layer %d site %d: other bits with another number of threads", s.Layer, s.Site)
		}
	}
}

// What a visitor changes is what the sites after it are calibrated on, and only those.
func TestRunGoesOnThroughTheChangedModel(t *testing.T) {
	list := sequences(3, 10)
	before := collect(t, tiny(t, 3), list, 0)
	source := tiny(t, 3)
	layers := layersOf(t, source)
	m := layers.Model()
	var after []*Stats
	v := visitor{visit: func(s *Stats, _ []model.LinearLayer) error {
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
	}}
	if _, err := Run(context.Background(), layers, list, Options[string]{}, v); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(before[0].Gram.Data, after[0].Gram.Data) {
		t.Error("the site that was seen before the change differs")
	}
	if n := slices.Max(after[1].Gram.Data); n != 0 {
		t.Errorf("input of o_proj after values were zeroed has a Gram matrix with %g", n)
	}
	if after[3].Width != 20 {
		t.Errorf("input of down_proj is %d wide after half the neurons went, want 20", after[3].Width)
	}
	// Layer 0 now adds nothing, so layer 1 sees the embeddings.
	x, want := make([]float32, m.Hidden), 0.0
	for _, s := range list {
		for _, token := range s {
			source.Embed(x, []int32{token})
			kernels.RMSNorm{Weight: source.Blocks[1].AttentionNorm, Epsilon: m.NormEps}.Forward(x, nil, x, 1)
			want += kernels.SumSquares(x)
		}
	}
	got := 0.0
	for i := range after[4].Width {
		got += after[4].Gram.Row(i)[i] * float64(after[4].Tokens)
	}
	if math.Abs(got-want) > 1e-5*want {
		t.Errorf("layer 1 sees inputs of energy %g, embeddings have %g", got, want)
	}
}

// Inputs that no wanted linear layer reads are not visited, and progress counts the wanted ones.
func TestRunVisitsWhatIsWanted(t *testing.T) {
	m := tiny(t, 4)
	var visited []string
	v := visitor{
		wants: func(l model.LinearLayer) bool {
			return l.Layer == 0 && l.Site == model.SiteDown || strings.HasSuffix(l.Name, "1.self_attn.k_proj")
		},
		visit: func(s *Stats, linears []model.LinearLayer) error {
			visited = append(visited, s.Place())
			for _, l := range linears {
				visited = append(visited, l.Name)
			}
			return nil
		},
	}
	var progress []Done[string]
	o := Options[string]{OnDone: func(p Done[string]) { progress = append(progress, p) }}
	reports, err := Run(context.Background(), layersOf(t, m), sequences(4, 3), o, v)
	if err != nil {
		t.Fatal(err)
	}
	down, key := "model.layers.0.mlp.down_proj", "model.layers.1.self_attn.k_proj"
	if want := []string{"layer 0, input of down_proj", down, "layer 1, input of q_proj, k_proj, v_proj", key}; !slices.Equal(visited, want) {
		t.Errorf("visited %q, want %q", visited, want)
	}
	if !slices.Equal(reports, []string{down, key}) || !slices.Equal(progress, []Done[string]{{1, 2, down}, {2, 2, key}}) {
		t.Errorf("reports %q, progress %v", reports, progress)
	}
}

// Without sequences a method sees no statistics, and the same linear layers.
func TestRunWithoutSequences(t *testing.T) {
	var sites []model.Site
	v := visitor{visit: func(s *Stats, linears []model.LinearLayer) error {
		if s.Tokens != 0 || s.Gram.Data != nil || s.Width != linears[0].In {
			t.Errorf("%s: statistics of %d tokens, %d inputs", s.Place(), s.Tokens, s.Width)
		}
		sites = append(sites, s.Site)
		return nil
	}}
	reports, err := Run(context.Background(), layersOf(t, tiny(t, 4)), nil, Options[string]{}, v)
	if err != nil || len(reports) != 14 || !slices.Equal(sites, []model.Site{0, 1, 2, 3, 0, 1, 2, 3}) {
		t.Errorf("sites %v, %d reports, error %v", sites, len(reports), err)
	}
}

// finishedFirst is layers of which the first was finished before.
type finishedFirst struct{ *InMemory }

func (l finishedFirst) Load(ctx context.Context, layer int) (bool, error) {
	_, err := l.InMemory.Load(ctx, layer)
	return layer == 0, err
}

// A finished layer is run, not visited; what is behind it sees what it saw in one pass.
func TestFinishedLayersAreRunOnly(t *testing.T) {
	m, list := tiny(t, 6), sequences(6, 10)
	all := collect(t, m, list, 0)
	var second []*Stats
	var last Done[string]
	v := visitor{visit: func(s *Stats, _ []model.LinearLayer) error { second = append(second, s); return nil }}
	o := Options[string]{OnDone: func(p Done[string]) { last = p }}
	reports, err := Run(context.Background(), finishedFirst{layersOf(t, m)}, list, o, v)
	if err != nil {
		t.Fatal(err)
	}
	if len(reports) != 7 || last.Done != 14 || last.Total != 14 {
		t.Errorf("%d reports, at last %d of %d done", len(reports), last.Done, last.Total)
	}
	for i, s := range second {
		if want := all[4+i]; s.Layer != 1 || !slices.Equal(s.Gram.Data, want.Gram.Data) {
			t.Errorf("%s: other statistics behind a finished layer", s.Place())
		}
	}
}

// The model that a pass goes through in memory stays as it is, and what comes out has memory of its
// own.
func TestInMemoryLeavesItsModel(t *testing.T) {
	m := tiny(t, 7)
	before := slices.Clone(m.Flat())
	layers := layersOf(t, m)
	v := visitor{visit: func(*Stats, []model.LinearLayer) error { return nil }}
	if _, err := Run(context.Background(), layers, sequences(7, 3), Options[string]{}, v); err != nil {
		t.Fatal(err)
	}
	c := layers.Compressed()
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.Flat(), before) {
		t.Error("a method that changes nothing gives another model")
	}
	for i := range c.Flat() {
		c.Flat()[i] = 0
	}
	if !slices.Equal(m.Flat(), before) {
		t.Error("the models share memory")
	}
}

// However the tokens of a batch are divided between calls, their sums have the same bits.
func TestSumsDoNotDependOnTheDivision(t *testing.T) {
	const width, rows = 5, 700
	rng := rand.New(rand.NewPCG(8, 8))
	x := make([]float32, width*rows)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	whole := newSums(width, kernels.Float32, false, nil)
	whole.add(context.Background(), x, nil, rows)
	whole.flush()
	want := whole.stats()
	for range 20 {
		parts := newSums(width, kernels.Float32, false, nil)
		for at := 0; at < rows; {
			n := min(rows-at, 1+rng.IntN(300))
			parts.add(context.Background(), x[at*width:], nil, n)
			at += n
		}
		parts.flush()
		if got := parts.stats(); got.Tokens != rows || !slices.Equal(got.Gram.Data, want.Gram.Data) || !slices.Equal(got.MeanAbs, want.MeanAbs) {
			t.Fatal("other bits")
		}
	}
}

// Sums of products do not lose the small ones behind large ones: no sum in float32 goes on for more
// than sumRows, of the moment across to a dense model neither.
func TestSumsOfManyTokens(t *testing.T) {
	const width, large, rows = 3, sumRows, 40 * BlockRows
	x, dense := make([]float32, width*rows), make([]float32, width*rows)
	for i := range x {
		x[i], dense[i] = 1, 2
		if i < width*large {
			x[i], dense[i] = 1<<12, 1<<12
		}
	}
	s := newSums(width, kernels.Float32, true, nil)
	s.add(t.Context(), x, dense, rows)
	s.flush()
	got := s.stats()
	const squares = large << 24 // numbers and sums are exact: it is the products that are added
	gram, cross := float64(float32(float64(squares+rows-large)/rows)), float64(float32(float64(squares+2*(rows-large))/rows))
	for at := range width * width {
		if got.Gram.Data[at] != gram || got.Cross.Data[at] != cross {
			t.Fatalf("moments %v and %v, expected %v and %v", got.Gram.Data[at], got.Cross.Data[at], gram, cross)
		}
	}
}

// unused is a weight that nothing may multiply.
type unused struct{ weight.Weight }

func (unused) Begin([]float32, []float32, int) kernels.Pending { panic("multiplied") }
func (unused) MulT([]float32, []float32, int)                  { panic("multiplied") }

// Nothing is computed behind the last input that is wanted.
func TestRunEndsAtTheLastWanted(t *testing.T) {
	for _, site := range []model.Site{model.SiteQKV, model.SiteDown} {
		last := func(l model.LinearLayer) bool { return l.Layer == 0 && l.Site == site }
		v := visitor{wants: last, visit: func(_ *Stats, linears []model.LinearLayer) error {
			for _, l := range linears {
				l.Linear.Weight = unused{l.Weight}
			}
			return nil
		}}
		if _, err := Run(context.Background(), layersOf(t, tiny(t, 9)), sequences(9, 3), Options[string]{}, v); err != nil {
			t.Error(err)
		}
	}
}

// A wanted linear layer that was compressed before is an error before any other of its layer is
// compressed.
func TestCompressedBeforeIsFoundFirst(t *testing.T) {
	m := tiny(t, 10)
	down := &m.Blocks[1].Down
	down.Weight = weight.NewBFloat16(make([]uint16, 24*40), 24, 40)
	var visited []int
	v := visitor{visit: func(s *Stats, _ []model.LinearLayer) error { visited = append(visited, s.Layer); return nil }}
	_, err := Run(context.Background(), layersOf(t, m), sequences(10, 3), Options[string]{}, v)
	if want := "model.layers.1.mlp.down_proj is bfloat16 already, expected float32"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
	if slices.Contains(visited, 1) {
		t.Errorf("visited layers %v before the error", visited)
	}
	v.wants = func(l model.LinearLayer) bool { return l.Site != model.SiteDown }
	if _, err := Run(context.Background(), layersOf(t, m), sequences(10, 3), Options[string]{}, v); err != nil {
		t.Errorf("a linear layer that is not wanted: %v", err)
	}
}

func TestRunErrors(t *testing.T) {
	visit := visitor{visit: func(*Stats, []model.LinearLayer) error { return nil }}
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
		{"empty", "sequence 1 is empty", context.Background(), tiny(t, 5), []Sequence{{1}, {}}},
		{"long", "has 65 tokens, the model takes at most 64", context.Background(), tiny(t, 5), []Sequence{make(Sequence, 65)}},
		{"token", "sequence 0, token 2 is 40, outside the vocabulary of 40", context.Background(), tiny(t, 5), []Sequence{{1, 2, 40}}},
		{"not finite", "layer 1, input of down_proj: channel 0 is not finite", context.Background(), broken, sequences(5, 2)},
		{"cancelled", "canceled", cancelled, tiny(t, 5), sequences(5, 2)},
	} {
		if _, err := Run(c.ctx, layersOf(t, c.model), c.list, Options[string]{}, visit); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	stop := errors.New("stop")
	visit.visit = func(*Stats, []model.LinearLayer) error { return stop }
	if _, err := Run(context.Background(), layersOf(t, tiny(t, 5)), sequences(5, 2), Options[string]{}, visit); !errors.Is(err, stop) {
		t.Errorf("a method's error came back as %v", err)
	}
}

// A sample is the inputs of tokens drawn from all, each once and in order, however the tokens are
// divided; with fewer tokens than asked for it is all of them.
func TestSample(t *testing.T) {
	m, list := tiny(t, 1), sequences(1, 30)
	inputs := map[model.Site][]float32{} // of layer 1
	for _, s := range list {
		m.Forward(model.Batch{Tokens: s, Starts: []int{0, len(s)}}, func(layer int, site model.Site, x []float32, rows, width int) bool {
			if layer == 1 {
				inputs[site] = append(inputs[site], x[:rows*width]...)
			}
			return true
		})
	}
	for _, parallel := range []bool{false, true} {
		for _, n := range []int{0, 1, 50, 300, 5000} {
			var first [][]float32
			for _, chunk := range []int{1, 100, 5000} {
				o := Options[string]{ChunkTokens: chunk, Settings: Settings{Sample: n, Parallel: parallel}}
				at := 0
				v := visitor{wants: func(l model.LinearLayer) bool { return l.Layer == 1 }, visit: func(s *Stats, _ []model.LinearLayer) error {
					if want := min(n, Tokens(list)); len(s.Sample) != want*s.Width {
						t.Fatalf("%s: %d tokens, want %d", s.Place(), len(s.Sample)/s.Width, want)
					}
					all := inputs[s.Site]
					for rest := s.Sample; len(rest) > 0; rest = rest[s.Width:] {
						for len(all) > 0 && !close32(all[:s.Width], rest[:s.Width]) {
							all = all[s.Width:]
						}
						if len(all) == 0 {
							t.Fatalf("%s: an input is that of no token, or out of order", s.Place())
						}
						all = all[s.Width:]
					}
					if chunk == 1 {
						first = append(first, s.Sample)
					} else if !slices.Equal(first[at], s.Sample) {
						t.Errorf("%s: chunks of %d have another sample", s.Place(), chunk)
					}
					at++
					return nil
				}}
				if _, err := Run(context.Background(), layersOf(t, m), list, o, v); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

func close32(a, b []float32) bool {
	for i, v := range a {
		if math.Abs(float64(v-b[i])) > 1e-5 {
			return false
		}
	}
	return true
}

// One token again and again, with a BOS before it or without, is no text; two of them in a few
// tokens may be.
func TestRepeatedTokens(t *testing.T) {
	m := tiny(t, 5)
	v := visitor{visit: func(*Stats, []model.LinearLayer) error { return nil }}
	repeated := func(first, rest int32, n int) Sequence {
		s := make(Sequence, n)
		for i := range s {
			s[i] = rest
		}
		s[0] = first
		return s
	}
	for _, list := range [][]Sequence{{repeated(3, 3, 40)}, {repeated(1, 3, 20), repeated(1, 3, 20)}} {
		if _, err := Run(context.Background(), layersOf(t, m), list, Options[string]{}, v); err == nil || !strings.Contains(err.Error(), "are all the same one, expected a text") {
			t.Errorf("%v: %v", list, err)
		}
	}
	for _, list := range [][]Sequence{{repeated(3, 3, 10)}, {repeated(1, 3, 40), {1, 4, 5, 6}}} {
		if _, err := Run(context.Background(), layersOf(t, m), list, Options[string]{}, v); err != nil {
			t.Errorf("%v: %v", list, err)
		}
	}
}
