package model

import (
	"math"
	"math/rand/v2"
	"testing"
)

// reference is the whole forward pass in float64, written as plainly as the papers put it: the
// oracle of this package.
type reference struct {
	c    Config
	flat []float64            // all parameters, in the order of Model.Flat
	p    map[string][]float64 // views of flat by name
	// sees the stream [tokens][hidden] into each layer
	stream func(layer int, x [][]float64)
}

func newReference(m *Model) *reference {
	t := &reference{c: m.Config, p: map[string][]float64{}}
	for _, x := range m.Flat() {
		t.flat = append(t.flat, float64(x))
	}
	rest := t.flat
	for _, p := range m.Parameters() {
		t.p[p.Name], rest = rest[:len(p.Data)], rest[len(p.Data):]
	}
	return t
}

func (t *reference) linear(name string, x []float64) []float64 {
	w, bias := t.p[name+".weight"], t.p[name+".bias"]
	y := make([]float64, len(w)/len(x))
	for o := range y {
		for i, v := range x {
			y[o] += v * w[o*len(x)+i]
		}
		if bias != nil {
			y[o] += bias[o]
		}
	}
	return y
}

func (t *reference) norm(name string, x []float64) []float64 {
	w, sum := t.p[name+".weight"], 0.0
	for _, v := range x {
		sum += v * v
	}
	y, r := make([]float64, len(x)), 1/math.Sqrt(sum/float64(len(x))+float64(t.c.NormEps))
	for i, v := range x {
		y[i] = v * r * w[i]
	}
	return y
}

func (t *reference) normHeads(name string, x []float64) (y []float64) {
	for h := 0; h < len(x); h += t.c.HeadDim {
		y = append(y, t.norm(name, x[h:h+t.c.HeadDim])...)
	}
	return y
}

// rotate turns each head of x by position.
func (t *reference) rotate(x []float64, position int) {
	half := t.c.HeadDim / 2
	for h := 0; h < len(x); h += t.c.HeadDim {
		for i := range half {
			turn, scale := t.turn(i)
			sin, cos := math.Sincos(float64(position) * turn)
			a, b := x[h+i], x[h+i+half]
			x[h+i], x[h+i+half] = scale*(a*cos-b*sin), scale*(b*cos+a*sin)
		}
	}
}

// turn is the angle a position of pair i, and what it is scaled by.
func (t *reference) turn(i int) (angle, scale float64) {
	r, dim := t.c.Rope, float64(t.c.HeadDim)
	angle, scale = 1/math.Pow(t.c.RopeTheta, 2*float64(i)/dim), 1
	wavelength, length := 2*math.Pi/angle, float64(r.OriginalMaxPositions)
	switch r.Kind {
	case "linear":
		angle /= r.Factor
	case "llama3":
		switch low, high := length/r.LowFrequencyFactor, length/r.HighFrequencyFactor; {
		case wavelength > low:
			angle /= r.Factor
		case wavelength >= high:
			smooth := (length/wavelength - r.LowFrequencyFactor) / (r.HighFrequencyFactor - r.LowFrequencyFactor)
			angle = (1-smooth)*angle/r.Factor + smooth*angle
		}
	case "yarn":
		scale = r.AttentionFactor
		dimension := func(turns float64) float64 {
			return dim * math.Log(length/(turns*2*math.Pi)) / (2 * math.Log(t.c.RopeTheta))
		}
		low, high := math.Max(math.Floor(dimension(r.BetaFast)), 0), math.Min(math.Ceil(dimension(r.BetaSlow)), dim-1)
		ramp := math.Max(0, math.Min(1, (float64(i)-low)/(high-low)))
		angle = angle/r.Factor*ramp + angle*(1-ramp)
	}
	return angle, scale
}

// hidden runs one sequence and returns the final hidden state of each token.
func (t *reference) hidden(tokens []int32) [][]float64 {
	d, hd := t.c.Hidden, t.c.HeadDim
	x := make([][]float64, len(tokens))
	for i, token := range tokens {
		x[i] = append([]float64(nil), t.p["model.embed_tokens.weight"][int(token)*d:(int(token)+1)*d]...)
	}
	for layer, c := range t.c.Layers {
		prefix := "model.layers." + string(rune('0'+layer)) + "."
		if t.stream != nil {
			t.stream(layer, x)
		}
		var keys, values [][]float64
		for i := range x {
			n := t.norm(prefix+"input_layernorm", x[i])
			q, k := t.linear(prefix+"self_attn.q_proj", n), t.linear(prefix+"self_attn.k_proj", n)
			if t.c.QKNorm {
				q, k = t.normHeads(prefix+"self_attn.q_norm", q), t.normHeads(prefix+"self_attn.k_norm", k)
			}
			t.rotate(q, i)
			t.rotate(k, i)
			keys, values = append(keys, k), append(values, t.linear(prefix+"self_attn.v_proj", n))
			heads := make([]float64, len(q))
			for h := range c.Heads {
				g := h / (c.Heads / c.KVHeads)
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
						heads[h*hd+j] += p[u] / sum * values[u][g*hd+j]
					}
				}
			}
			for j, v := range t.linear(prefix+"self_attn.o_proj", heads) {
				x[i][j] += v
			}
		}
		for i := range x {
			n := t.norm(prefix+"post_attention_layernorm", x[i])
			gate, up := t.linear(prefix+"mlp.gate_proj", n), t.linear(prefix+"mlp.up_proj", n)
			for j, a := range gate {
				up[j] *= a / (1 + math.Exp(-a))
			}
			for j, v := range t.linear(prefix+"mlp.down_proj", up) {
				x[i][j] += v
			}
		}
	}
	for i := range x {
		x[i] = t.norm("model.norm", x[i])
	}
	return x
}

func (t *reference) logits(hidden []float64) []float64 {
	if t.c.TiedHead {
		return t.linear("model.embed_tokens", hidden)
	}
	return t.linear("lm_head", hidden)
}

// loss is the mean cross-entropy of the batch's tokens against targets.
func (t *reference) loss(b Batch, targets []int32) float64 {
	total := 0.0
	for s := range len(b.Starts) - 1 {
		for i, h := range t.hidden(b.Tokens[b.Starts[s]:b.Starts[s+1]]) {
			z, sum := t.logits(h), 0.0
			for _, v := range z {
				sum += math.Exp(v)
			}
			total += math.Log(sum) - z[targets[b.Starts[s]+i]]
		}
	}
	return total / float64(len(b.Tokens))
}

// tiny is a model whose layers differ in every width, with odd sizes.
func tiny(bias, tied bool) Config {
	return Config{
		Architecture: "Qwen2ForCausalLM", Vocab: 11, Hidden: 10, HeadDim: 4,
		Layers:       []LayerConfig{{Heads: 4, KVHeads: 2, MLP: 37}, {Heads: 3, KVHeads: 1, MLP: 7}},
		MaxPositions: 512, RopeTheta: 100, NormEps: 1e-5, TiedHead: tied, QKVBias: bias, BOS: -1, EOS: 0,
	}
}

// families are variants of tiny as the published families have them.
func families() map[string]Config {
	qwen3, llama, yarn, linear := tiny(false, true), tiny(true, false), tiny(true, true), tiny(false, false)
	qwen3.Architecture, qwen3.QKNorm, qwen3.HeadDim = "Qwen3ForCausalLM", true, 6
	llama.Architecture, llama.OBias = "LlamaForCausalLM", true
	llama.Rope = RopeScaling{Kind: RopeLlama3, Factor: 4, LowFrequencyFactor: 0.5, HighFrequencyFactor: 3, OriginalMaxPositions: 16}
	yarn.Architecture, yarn.OBias, yarn.QKNorm, yarn.HeadDim = "Qwen3ForCausalLM", true, true, 8
	yarn.Rope = RopeScaling{Kind: RopeYarn, Factor: 8, OriginalMaxPositions: 64, BetaFast: 7, BetaSlow: 0.5, AttentionFactor: 1.3}
	linear.Architecture = "MistralForCausalLM"
	linear.Rope = RopeScaling{Kind: RopeLinear, Factor: 2.5}
	return map[string]Config{
		"tied": tiny(false, true), "untied with bias": tiny(true, false), "tied with bias": tiny(true, true),
		"qwen3": qwen3, "llama with bias and llama3 scaling": llama, "qwen3 with bias and yarn": yarn, "mistral with linear scaling": linear,
	}
}

// random builds a model with every parameter random, norms and biases too.
func random(t testing.TB, c Config, seed uint64) *Model {
	t.Helper()
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	m.Init(rng)
	for _, p := range m.Parameters() {
		if len(p.Shape) == 1 {
			for i := range p.Data {
				p.Data[i] += float32(rng.NormFloat64() * 0.3)
			}
		}
	}
	m.Changed()
	return m
}

func randomTokens(rng *rand.Rand, n, vocab int) []int32 {
	tokens := make([]int32, n)
	for i := range tokens {
		tokens[i] = int32(rng.IntN(vocab))
	}
	return tokens
}
