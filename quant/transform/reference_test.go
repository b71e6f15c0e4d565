package transform

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"slimlab/model"
	"slimlab/model/calibrate"
)

// reference is a model in float64 with a forward pass written as plainly as the papers put it.
type reference struct {
	c               model.Config
	embedding, head []float64 // apart, also where the head is tied
	finalNorm       []float64
	blocks          []*block[float64]
	norms           [][2][]float64 // of queries and keys, of each layer
}

func wide(x []float32) []float64 {
	if x == nil {
		return nil
	}
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

func newReference(t testing.TB, m *model.Model) *reference {
	t.Helper()
	r := &reference{c: m.Config, embedding: wide(m.Embedding), head: wide(m.Head.Float32()), finalNorm: wide(m.FinalNorm)}
	for i := range m.Blocks {
		b, err := copyOf(m, i)
		if err != nil {
			t.Fatal(err)
		}
		w := &block[float64]{headDim: b.headDim, widths: b.widths, attentionNorm: wide(b.attentionNorm), mlpNorm: wide(b.mlpNorm)}
		to := w.linears()
		for j, l := range b.linears() {
			*to[j] = linear[float64]{l.out, l.in, wide(l.weight), wide(l.bias)}
		}
		r.blocks = append(r.blocks, w)
		r.norms = append(r.norms, [2][]float64{wide(m.Blocks[i].QNorm), wide(m.Blocks[i].KNorm)})
	}
	return r
}

// rotate turns the reference as Layers and Ends turn a model.
func (r *reference) rotate(by *Rotation) {
	for _, b := range r.blocks {
		b.rotate(by.stream, by.heads)
	}
	if by.stream == nil {
		return
	}
	n, turn := r.c.Hidden, by.stream.turner()
	for i := range r.c.Vocab {
		turnRow(turn, r.embedding[i*n:(i+1)*n], nil)
		turnRow(turn, r.head[i*n:(i+1)*n], r.finalNorm)
	}
	ones(r.finalNorm)
}

func (l *linear[F]) times(x []float64) []float64 {
	y := make([]float64, l.out)
	for o := range y {
		for i, v := range l.row(o) {
			y[o] += float64(v) * x[i]
		}
		if l.bias != nil {
			y[o] += float64(l.bias[o])
		}
	}
	return y
}

func (r *reference) norm(x, w []float64) []float64 {
	sum := 0.0
	for _, v := range x {
		sum += v * v
	}
	y, f := make([]float64, len(x)), 1/math.Sqrt(sum/float64(len(x))+float64(r.c.NormEps))
	for i, v := range x {
		y[i] = v * f * w[i]
	}
	return y
}

// heads norms, where the model does, and turns each head by its position.
func (r *reference) heads(x, norm []float64, position int) []float64 {
	hd := r.c.HeadDim
	var y []float64
	for h := 0; h < len(x); h += hd {
		head := x[h : h+hd]
		if norm != nil {
			head = r.norm(head, norm)
		}
		for i := range hd {
			sin, cos := math.Sincos(float64(position) / math.Pow(r.c.RopeTheta, 2*float64(i%(hd/2))/float64(hd)))
			if i < hd/2 {
				y = append(y, head[i]*cos-head[i+hd/2]*sin)
			} else {
				y = append(y, head[i]*cos+head[i-hd/2]*sin)
			}
		}
	}
	return y
}

// logits are those of each token of a sequence.
func (r *reference) logits(tokens []int32) (all []float64) {
	d, hd := r.c.Hidden, r.c.HeadDim
	x := make([][]float64, len(tokens))
	for i, token := range tokens {
		x[i] = slices.Clone(r.embedding[int(token)*d : (int(token)+1)*d])
	}
	for layer, b := range r.blocks {
		var keys, values [][]float64
		for i := range x {
			n := r.norm(x[i], b.attentionNorm)
			q := r.heads(b.q.times(n), r.norms[layer][0], i)
			keys, values = append(keys, r.heads(b.k.times(n), r.norms[layer][1], i)), append(values, b.v.times(n))
			out := make([]float64, len(q))
			for h := range b.widths.Heads {
				g := h / (b.widths.Heads / b.widths.KVHeads)
				p, sum := make([]float64, i+1), 0.0
				for u := range p {
					dot := 0.0
					for j := range hd {
						dot += q[h*hd+j] * keys[u][g*hd+j]
					}
					p[u] = math.Exp(dot / math.Sqrt(float64(hd)))
					sum += p[u]
				}
				for u := range p {
					for j := range hd {
						out[h*hd+j] += p[u] / sum * values[u][g*hd+j]
					}
				}
			}
			for j, v := range b.o.times(out) {
				x[i][j] += v
			}
		}
		for i := range x {
			n := r.norm(x[i], b.mlpNorm)
			gate, up := b.gate.times(n), b.up.times(n)
			for j, a := range gate {
				up[j] *= a / (1 + math.Exp(-a))
			}
			for j, v := range b.down.times(up) {
				x[i][j] += v
			}
		}
	}
	head := linear[float64]{r.c.Vocab, d, r.head, nil}
	for i := range x {
		all = append(all, head.times(r.norm(x[i], r.finalNorm))...)
	}
	return all
}

// shapes are models with what the families differ in, and odd sizes.
func shapes() map[string]model.Config {
	base := model.Config{Architecture: "LlamaForCausalLM", Vocab: 23, Hidden: 24, HeadDim: 8, Layers: []model.LayerConfig{{Heads: 4, KVHeads: 2, MLP: 20}, {Heads: 3, KVHeads: 1, MLP: 11}},
		MaxPositions: 64, RopeTheta: 100, NormEps: 1e-5, BOS: -1, EOS: -1}
	of := func(change func(c *model.Config)) model.Config {
		c := base
		change(&c)
		return c
	}
	return map[string]model.Config{
		"grouped heads":     base,
		"a head each":       of(func(c *model.Config) { c.Layers = model.Uniform(2, 3, 3, 16) }),
		"biases, tied head": of(func(c *model.Config) { c.Architecture, c.QKVBias, c.TiedHead = "Qwen2ForCausalLM", true, true }),
		"bias of o_proj":    of(func(c *model.Config) { c.QKVBias, c.OBias = true, true }),
		"norms of queries":  of(func(c *model.Config) { c.Architecture, c.QKNorm, c.TiedHead = "Qwen3ForCausalLM", true, true }),
		"odd sizes":         of(func(c *model.Config) { c.Hidden, c.HeadDim, c.Vocab = 21, 6, 7 }),
		"powers of two":     of(func(c *model.Config) { c.Hidden, c.HeadDim = 32, 16 }),
	}
}

// randomModel has norms and biases that are not those of a fresh model.
func randomModel(t testing.TB, c model.Config, seed uint64) *model.Model {
	t.Helper()
	m, err := model.New(c)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 9))
	m.Init(rng)
	for _, p := range m.Parameters() {
		for i := range p.Data {
			switch p.Kind {
			case model.Norm:
				p.Data[i] *= float32(math.Exp(0.5 * rng.NormFloat64()))
			case model.Bias:
				p.Data[i] = float32(0.3 * rng.NormFloat64())
			}
		}
	}
	m.Changed()
	return m
}

func randomScales(m *model.Model, rng *rand.Rand) map[place][]float64 {
	all := map[place][]float64{}
	for layer := range m.Blocks {
		for site := range model.SiteDown + 1 {
			s := make([]float64, channels(m, layer, site))
			for j := range s {
				s[j] = math.Exp(2 * rng.NormFloat64())
			}
			all[place{layer, site}] = s
		}
	}
	return all
}

// apart is the largest difference relative to the largest magnitude.
func apart(a, b []float64) float64 {
	difference, most := 0.0, 0.0
	for i, v := range a {
		difference, most = max(difference, math.Abs(v-b[i])), max(most, math.Abs(v))
	}
	return difference / most
}

func logitsOf(m *model.Model, tokens []int32) []float64 {
	out := make([]float32, len(tokens)*m.Vocab)
	m.Logits(out, m.Forward(model.Batch{Tokens: tokens, Starts: []int{0, len(tokens)}}, nil), len(tokens))
	return wide(out)
}

// keep is a Method that changes nothing.
type keep struct{}

func (keep) Wants(model.LinearLayer) bool { return true }

func (keep) Compress(context.Context, *calibrate.Stats, []model.LinearLayer, func(struct{})) error {
	return nil
}

// through is the model that layers make of m.
func through(t testing.TB, r *Rotation, s *Smoothing, m *model.Model) *model.Model {
	t.Helper()
	layers, compressed, err := r.InMemory(m)
	if err != nil {
		t.Fatal(err)
	}
	if s != nil {
		layers = s.Layers(layers)
	}
	if _, err := calibrate.Run(context.Background(), layers, nil, calibrate.Options[struct{}]{}, keep{}); err != nil {
		t.Fatal(err)
	}
	out := compressed()
	if err := out.Check(); err != nil {
		t.Fatal(err)
	}
	return out
}
