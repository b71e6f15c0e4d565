package pruning

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"slimlab/model"
	"slimlab/model/calibrate"
)

// nextTokenLoss is the mean cross-entropy of the sequences' next tokens, by the forward pass.
func nextTokenLoss(m *model.Model, list []calibrate.Sequence) float64 {
	loss, n := 0.0, 0
	for _, s := range list {
		hidden := m.Forward(model.Batch{Tokens: s, Starts: []int{0, len(s)}}, nil)
		logits := make([]float32, len(s)*m.Vocab)
		m.Head.MulT(logits, hidden, len(s))
		for i, next := range s[1:] {
			row, sum := logits[i*m.Vocab:][:m.Vocab], 0.0
			for _, v := range row {
				sum += math.Exp(float64(v))
			}
			loss, n = loss+math.Log(sum)-float64(row[next]), n+1
		}
	}
	return loss / float64(n)
}

// scaledColumn and scaledRow change one unit of a weight by a factor.
func scaledColumn(l model.Linear, i int, factor float32) {
	out, in := l.Weight.Shape()
	for o := range out {
		l.Weight.Float32()[o*in+i] *= factor
	}
}

func scaledRow(l model.Linear, i int, factor float32) {
	_, in := l.Weight.Shape()
	for j := range in {
		l.Weight.Float32()[i*in+j] *= factor
	}
}

// Taylor's score of a neuron, Σ w·g over its column of down_proj, is the derivative of the loss
// by a factor of that column, and of the neuron's row of up_proj as well.
func TestTaylorIsTheDerivativeOfTheLoss(t *testing.T) {
	c := config("Qwen2ForCausalLM")
	c.Layers = model.Uniform(2, 4, 2, 6)
	m := newModel(t, c)
	for _, l := range m.Linears() { // a loss that the weights matter to
		for i := range l.Weight.Float32() {
			l.Weight.Float32()[i] *= 4
		}
	}
	m.Changed()
	list := append(sequences(6, m.Vocab), calibrate.Sequence{7}) // one that has no next token
	p := &pruner{Options: Options{Whole: m}, before: m.Layers, after: model.Uniform(2, 2, 1, 3)}
	gradients := must2(p.differentiate(t.Context(), list))(t)
	if len(gradients) != 4 {
		t.Fatalf("gradients of %d places, expected o_proj's and down_proj's of 2 layers", len(gradients))
	}
	const step = 1.0 / 64
	for layer := range m.Blocks {
		down, g := m.Blocks[layer].Down.Weight.Float32(), gradients[place{layer, model.SiteDown}]
		for i := range 6 {
			want := 0.0
			for o := range m.Hidden {
				want += float64(down[o*6+i]) * float64(g[o*6+i])
			}
			for name, scale := range map[string]func(*model.Model, float32){
				"down_proj": func(m *model.Model, f float32) { scaledColumn(m.Blocks[layer].Down, i, f) },
				"up_proj":   func(m *model.Model, f float32) { scaledRow(m.Blocks[layer].Up, i, f) },
			} {
				loss := func(f float32) float64 {
					other := m.Clone()
					scale(other, f)
					other.Changed()
					return nextTokenLoss(other, list)
				}
				got := (loss(1+step) - loss(1-step)) / (2 * step)
				if math.Abs(got-want) > 2e-4+0.02*math.Abs(want) {
					t.Errorf("layer %d, neuron %d: the loss changes by %.5f with a factor of %s, Σw·g is %.5f", layer, i, got, name, want)
				}
			}
		}
	}
}

// The gradients of all sequences are the mean of each sequence's, by its next tokens: also where
// they take more than one pass, and where the logits of a pass do not exist at once.
func TestGradientsOfManyTokens(t *testing.T) {
	for _, c := range []struct {
		what             string
		vocab, sequences int
	}{{"passes", 50, 90}, {"logits", 1 << 17, 3}} {
		shape := config("LlamaForCausalLM")
		shape.Vocab = c.vocab
		m := newModel(t, shape)
		rng := rand.New(rand.NewPCG(9, 63))
		list := make([]calibrate.Sequence, c.sequences)
		for i := range list {
			list[i] = make(calibrate.Sequence, 14+rng.IntN(18))
			for j := range list[i] {
				list[i][j] = rng.Int32N(int32(c.vocab))
			}
		}
		tokens := calibrate.Tokens(list)
		if tokens <= min(passTokens, headRows(c.vocab)) {
			t.Fatalf("%s: one of %d tokens", c.what, tokens)
		}
		want := make([]float64, len(m.Flat()))
		for _, s := range list {
			for i, g := range must2(lossGradients(t.Context(), m, []calibrate.Sequence{s}))(t).Flat {
				want[i] += float64(g) * float64(len(s)-1) / float64(tokens-len(list))
			}
		}
		off, norm := 0.0, 0.0
		for i, g := range must2(lossGradients(t.Context(), m, list))(t).Flat {
			d := float64(g) - want[i]
			off, norm = off+d*d, norm+want[i]*want[i]
		}
		if norm == 0 || off > 1e-8*norm {
			t.Errorf("%s: gradients differ from the mean of the sequences' by %g of their norm", c.what, math.Sqrt(off/norm))
		}
	}
}

// What taylor needs and does not have is said.
func TestTaylorRefuses(t *testing.T) {
	m := newModel(t, config("LlamaForCausalLM"))
	for _, c := range []struct {
		whole *model.Model
		list  []calibrate.Sequence
		want  string
	}{
		{nil, sequences(2, 50), "the whole model must be in memory"},
		{m, []calibrate.Sequence{{1}, {2}}, "at least two tokens"},
		{m, []calibrate.Sequence{{1, 2}, {50, 1}}, "sequence 1, token 0 is 50, outside the vocabulary"},
	} {
		layers := must2(calibrate.NewInMemory(m))(t)
		_, err := Prune(t.Context(), layers, c.list, Options{Method: Taylor, Cuts: cuts(Cut{Ratio: 0.5}, Cut{}), Whole: c.whole}, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lossGradients(ctx, m, sequences(2, 50)); err == nil {
		t.Error("a pass whose context has ended returns gradients")
	}
}

// With the ending -ls a method keeps the units of its plain form, and its error is never larger.
func TestEveryMethodWithLeastSquares(t *testing.T) {
	m := newModel(t, config("LlamaForCausalLM"))
	for _, name := range Methods() {
		plain, updated := Method(name), Method(name)+LS
		if plain == OSSCAR || plain.Updates() {
			continue
		}
		// the second half of a layer is measured on what the first has left: one of each alone
		for _, cut := range []LayerCut{{MLP: Cut{Ratio: 0.5}}, {Heads: Cut{Count: 2}}} {
			o := Options{Cuts: []LayerCut{cut, {}}, Seed: 3}
			o.Method = plain
			_, before := prune(t, m, o)
			o.Method = updated
			_, after := prune(t, m, o)
			a, b := before.Layers[0], after.Layers[0]
			if !slices.Equal(a.Support, b.Support) || a.Masked != b.Masked || a.Updated != a.Masked {
				t.Errorf("%s and %s keep %v and %v, masked errors %v and %v", plain, updated, a.Support, b.Support, a.Masked, b.Masked)
			}
			if !(b.Updated.Damped < a.Updated.Damped) {
				t.Errorf("%s: error %g, without the update %g", updated, b.Updated.Damped, a.Updated.Damped)
			}
		}
	}
}
