package model

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"slimlab/internal/half"
	"slimlab/kernels"
)

func TestInBFloat16(t *testing.T) {
	for name, c := range map[string]Config{"grouped": medium(), "tied with biases": tiny(true, true), "untied": tiny(true, false)} {
		t.Run(name, func(t *testing.T) {
			m := random(t, c, 3)
			for _, p := range m.Parameters() { // so that rounding the weights changes nothing
				bits := make([]uint16, len(p.Data))
				kernels.RoundBFloat16(bits, p.Data)
				for i, b := range bits {
					p.Data[i] = half.FromBFloat16(b)
				}
			}
			m.Changed()
			b := m.InBFloat16()
			if err := b.Check(); err != nil {
				t.Fatal(err)
			}
			if want := 2 * (m.Bytes() / 4); b.Bytes() > want+want/4 {
				t.Errorf("takes %d bytes, a float32 model %d", b.Bytes(), m.Bytes())
			}
			if m.TiedHead && b.Embedding != nil {
				t.Error("keeps a float32 embedding beside the head")
			}
			for i, l := range b.Linears() {
				if l.Weight.Format() != "bfloat16" || !slices.Equal(l.Weight.Float32(), m.Linears()[i].Weight.Float32()) {
					t.Errorf("%s is %s and not the same weights", l.Name, l.Weight.Format())
				}
			}
			tokens := randomTokens(rand.New(rand.NewPCG(1, 1)), 40, c.Vocab)
			x, y := make([]float32, 40*c.Hidden), make([]float32, 40*c.Hidden)
			m.Embed(x, tokens)
			b.Embed(y, tokens)
			if !slices.Equal(x, y) {
				t.Error("embeds otherwise")
			}
			// Logits differ by the rounding of activations alone: 2⁻⁹ of each.
			want, got := make([]float32, c.Vocab), make([]float32, c.Vocab)
			m.Logits(want, m.Forward(pack(tokens), nil)[39*c.Hidden:], 1)
			b.Logits(got, b.Forward(pack(tokens), nil)[39*c.Hidden:], 1)
			var sum, off float64
			for i := range want {
				sum += float64(want[i]) * float64(want[i])
				off += float64(want[i]-got[i]) * float64(want[i]-got[i])
			}
			if off == 0 || off > 1e-3*sum {
				t.Errorf("the logits' squared error is %g of their squares", off/sum)
			}
			labels := []int32{3, 1}
			part := make([]float32, 2)
			hidden := b.Forward(pack(tokens), nil)[39*c.Hidden:]
			b.LabelLogits(part, hidden, 1, labels)
			if part[0] != got[3] || part[1] != got[1] {
				t.Errorf("logits of two labels are %v, among all %v and %v", part, got[3], got[1])
			}
			if c := b.Clone(); c.Check() != nil || c.Bytes() != b.Bytes() {
				t.Errorf("a clone takes %d bytes, %v", c.Bytes(), c.Check())
			}
		})
	}
}

// TestKVStaysInBFloat16: a model in bfloat16 attends to the cache that the one before it was made
// for; heads that the format cannot keep are an error.
func TestKVStaysInBFloat16(t *testing.T) {
	m := random(t, medium(), 5)
	cached, err := m.WithKV(kernels.KVInt4)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range []*Model{cached, cached.InBFloat16()} {
		if format, given := one.KV(); format != kernels.KVInt4 || !given {
			t.Errorf("a model for a cache in int4 has one in %v, %v", format, given)
		}
	}
	if _, given := m.KV(); given {
		t.Error("a model has a cache of its own that nobody gave it")
	}
	tokens := randomTokens(rand.New(rand.NewPCG(6, 6)), 90, m.Vocab)
	if a, b := m.InBFloat16().Forward(pack(tokens), nil), cached.InBFloat16().Forward(pack(tokens), nil); slices.Equal(a, b) {
		t.Error("Forward in bfloat16 does not read the cache")
	}
	c := medium()
	c.HeadDim = 6
	if _, err := random(t, c, 5).WithKV(kernels.KVInt4); err == nil || !strings.Contains(err.Error(), "head dim is 6") {
		t.Errorf("int4 of heads of 6: %v", err)
	}
}
