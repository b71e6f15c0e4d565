package model

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"slimlab/model/weight"
)

func TestConfigValidate(t *testing.T) {
	good := medium()
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		change  func(*Config)
		message string
	}{
		{func(c *Config) { *c = Config{} }, `architecture "": expected one of LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM`},
		{func(c *Config) { c.Vocab = 0 }, "vocabulary is 0, expected 1 to"},
		{func(c *Config) { c.Hidden = 1 << 40 }, "hidden size is 1099511627776, expected 1 to"},
		{func(c *Config) { c.HeadDim = 5 }, "head dim is 5, expected an even number"},
		{func(c *Config) { c.Layers = nil }, "number of layers is 0"},
		{func(c *Config) { c.MaxPositions = -1 }, "number of positions is -1"},
		{func(c *Config) { c.RopeTheta = math.NaN() }, "rope theta is NaN"},
		{func(c *Config) { c.NormEps = 0 }, "norm epsilon is 0"},
		{func(c *Config) { c.BOS = 50 }, "BOS token is 50, expected -1 (none) to 49"},
		{func(c *Config) { c.EOS = -2 }, "EOS token is -2"},
		{func(c *Config) { c.Layers[1].Heads = 0 }, "layer 1: number of heads is 0"},
		{func(c *Config) { c.Layers[2].KVHeads = 2 }, "layer 2: 3 heads over 2 kv heads, expected a multiple"},
		{func(c *Config) { c.Layers[0].MLP = 0 }, "layer 0: number of mlp neurons is 0"},
		{func(c *Config) { c.EOS, c.MoreEOS = 3, []int{4, 50} }, "after EOS token 3 another is 50, expected 0 to 49"},
		{func(c *Config) { c.MoreEOS = []int{4} }, "after EOS token -1 another is 4"},
		{func(c *Config) { c.Rope.Factor = 2 }, "without a kind"},
		{func(c *Config) { c.Rope = RopeScaling{Kind: "dynamic", Factor: 2} }, `rope scaling: "dynamic" is not supported, expected linear, llama3 or yarn`},
		{func(c *Config) { c.Rope = RopeScaling{Kind: RopeLinear, Factor: 0.5} }, "rope scaling linear: factor is 0.5, expected at least 1"},
		{func(c *Config) { c.Rope = RopeScaling{Kind: RopeLinear, Factor: math.NaN()} }, "factor is NaN"},
		{func(c *Config) { c.Rope = llama31; c.Rope.LowFrequencyFactor = 0 }, "low frequency factor is 0, expected a positive number"},
		{func(c *Config) { c.Rope = llama31; c.Rope.HighFrequencyFactor = 1 }, "high frequency factor is 1, expected above the low one, 1"},
		{func(c *Config) { c.Rope = llama31; c.Rope.OriginalMaxPositions = 0 }, "original number of positions is 0, expected 1 to"},
		{func(c *Config) { c.Rope = RopeScaling{Kind: RopeYarn, Factor: 4, BetaSlow: 33} }, "beta fast is 32, expected at least beta slow, 33"},
		{func(c *Config) { c.Rope = RopeScaling{Kind: RopeYarn, Factor: 4, AttentionFactor: -1} }, "attention factor is -1"},
		{func(c *Config) { c.Rope = RopeScaling{Kind: RopeYarn, Factor: 4}; c.RopeTheta = 1 }, "rope theta is 1, expected above 1"},
	} {
		bad := medium()
		c.change(&bad)
		err := bad.Validate()
		if err == nil || !strings.Contains(err.Error(), c.message) {
			t.Errorf("error %v, expected %q in it", err, c.message)
		}
		if _, err := New(bad); err == nil {
			t.Errorf("New made a model although %s", c.message)
		}
	}
}

func TestTensorsHaveTheirNamesAndOneArena(t *testing.T) {
	for _, bias := range []bool{false, true} {
		for _, tied := range []bool{false, true} {
			m := random(t, tiny(bias, tied), 1)
			var names []string
			n := 0
			for _, p := range m.Parameters() {
				size := 1
				for _, d := range p.Shape {
					size *= d
				}
				if size != len(p.Data) {
					t.Errorf("%s has shape %v and %d elements", p.Name, p.Shape, len(p.Data))
				}
				if &m.Flat()[n] != &p.Data[0] {
					t.Errorf("%s is not at %d of the arena", p.Name, n)
				}
				n += size
				names = append(names, p.Name)
			}
			if n != m.Config.Parameters() || n != len(m.Flat()) || int64(4*n) != m.Bytes() {
				t.Errorf("%d elements in tensors, %d by formula, %d in the arena, %d bytes", n, m.Config.Parameters(), len(m.Flat()), m.Bytes())
			}
			for name, want := range map[string]bool{
				"model.embed_tokens.weight": true, "model.layers.1.input_layernorm.weight": true, "model.layers.0.self_attn.q_proj.weight": true,
				"model.layers.0.self_attn.v_proj.bias": bias, "model.layers.0.self_attn.o_proj.bias": false, "model.layers.1.post_attention_layernorm.weight": true,
				"model.layers.1.mlp.down_proj.weight": true, "model.norm.weight": true, "lm_head.weight": !tied,
			} {
				if slices.Contains(names, name) != want {
					t.Errorf("bias %t, tied %t: tensor %s present: %t", bias, tied, name, !want)
				}
			}
			if err := m.Check(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestInit(t *testing.T) {
	c := medium()
	c.Vocab = 400
	for _, tied := range []bool{true, false} {
		c.TiedHead = tied
		m, _ := New(c)
		m.Init(rand.New(rand.NewPCG(1, 1)))
		again, _ := New(c)
		again.Init(rand.New(rand.NewPCG(1, 1)))
		if !slices.Equal(m.Flat(), again.Flat()) {
			t.Error("the same seed gave other weights")
		}
		tokens := randomTokens(rand.New(rand.NewPCG(2, 1)), 100, c.Vocab)
		logits := make([]float32, len(tokens)*c.Vocab)
		m.Logits(logits, m.Forward(pack(tokens), nil), len(tokens))
		var sum float64
		for _, z := range logits {
			sum += float64(z) * float64(z)
		}
		if deviation := math.Sqrt(sum / float64(len(logits))); math.Abs(deviation-logitDeviation) > 0.15 {
			t.Errorf("tied %t: logits of a fresh model have deviation %.3f, expected about %v", tied, deviation, logitDeviation)
		}
	}
}

func TestCloneAndGather(t *testing.T) {
	m := random(t, tiny(true, true), 1)
	b := pack([]int32{1, 2, 3, 4})
	want := m.Forward(b, nil)

	c := m.Clone()
	clear(c.Flat())
	c.Changed()
	if !slices.Equal(m.Forward(b, nil), want) {
		t.Error("a change of the clone reached the model")
	}
	c = m.Clone()
	if !slices.Equal(c.Forward(b, nil), want) || !slices.Equal(c.Flat(), m.Flat()) {
		t.Error("the clone differs")
	}

	// Replaced tensors are gathered by Flat; the tied head follows the embedding.
	o := c.Blocks[1].O.Weight.Float32()
	c.Blocks[1].O.Weight = weight.NewDense(slices.Clone(o), 10, 12)
	c.Embedding = slices.Clone(c.Embedding)
	flat := c.Flat()
	if !slices.Equal(flat, m.Flat()) || &flat[0] != &c.Embedding[0] || &flat[0] != &c.Head.Float32()[0] {
		t.Error("Flat did not gather what was replaced")
	}
	if &c.Flat()[0] != &flat[0] {
		t.Error("Flat gathered twice")
	}

	// Weights of another format are shared, and no longer trained.
	c.Blocks[0].Gate.Weight = other{c.Blocks[0].Gate.Weight}
	d := c.Clone()
	if d.Blocks[0].Gate.Weight != c.Blocks[0].Gate.Weight {
		t.Error("a quantized weight was copied")
	}
	if len(d.arena) != len(flat)-37*10 {
		t.Errorf("the clone keeps %d float32 elements, expected %d", len(d.arena), len(flat)-37*10)
	}
	if !slices.Equal(d.Forward(b, nil), want) {
		t.Error("the clone with a weight of another format differs")
	}
	if err := d.Trainable(); err == nil || !strings.Contains(err.Error(), "model.layers.0.mlp.gate_proj is other") {
		t.Errorf("error %v, expected the layer's name", err)
	}
	if d.Bytes() != m.Bytes() {
		t.Errorf("%d bytes, expected %d", d.Bytes(), m.Bytes())
	}
}

func TestSkeleton(t *testing.T) {
	m := random(t, tiny(true, false), 1)
	s, err := Skeleton(m.Config)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Check(); err == nil || !strings.Contains(err.Error(), "model.layers.0.self_attn.q_proj.weight is not set, expected [16, 10]") {
		t.Errorf("error %v, expected the missing weight", err)
	}
	from := m.Linears()
	for i, l := range s.Linears() {
		if l.Name != from[i].Name {
			t.Fatalf("layer %s, expected %s", l.Name, from[i].Name)
		}
		l.Weight = other{from[i].Weight}
	}
	tensors := map[string][]float32{}
	for _, p := range m.Tensors() {
		tensors[p.Name] = p.Data
	}
	for _, p := range s.Tensors() {
		copy(p.Data, tensors[p.Name])
	}
	if err := s.Check(); err == nil || !strings.Contains(err.Error(), "lm_head.weight is not set, expected [11, 10]") {
		t.Errorf("error %v, expected the missing head", err)
	}
	s.Head = other{weight.NewDense(nil, 11, 9)}
	if err := s.Check(); err == nil || !strings.Contains(err.Error(), "lm_head.weight is [11, 9], expected [11, 10]") {
		t.Errorf("error %v, expected the head's shape", err)
	}
	s.Head = other{m.Head}
	if err := s.Check(); err == nil || !strings.Contains(err.Error(), "model.embed_tokens.weight has 0 elements, expected [11 10]") {
		t.Errorf("error %v, expected the missing embedding", err)
	}
	s.Embedding = m.Embedding
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	b := pack([]int32{5, 4, 3})
	if !slices.Equal(s.Forward(b, nil), m.Forward(b, nil)) {
		t.Error("the filled skeleton differs from the model")
	}
}

// The tap sees every site of every layer once, and what it sees makes the layer's output.
func TestTap(t *testing.T) {
	m := random(t, tiny(true, true), 1)
	b := pack([]int32{1, 2, 3}, []int32{4})
	var seen []string
	x := make([]float32, 4*m.Hidden)
	m.Embed(x, b.Tokens)
	before := slices.Clone(x)
	want := make([]float32, len(x))
	for layer, c := range m.Layers {
		m.Attention(layer, x, b, func(l int, s Site, in []float32, rows, width int) bool {
			seen = append(seen, fmt.Sprint(l, s, rows, width, len(in)))
			if s == SiteO {
				m.Blocks[l].O.Weight.MulT(want, in, rows)
			}
			return true
		})
		for i := range want {
			if want[i]+before[i] != x[i] {
				t.Fatalf("layer %d: what the tap saw does not give the output", layer)
			}
		}
		halfway := slices.Clone(x)
		m.MLP(layer, x, 4, func(_ int, s Site, _ []float32, _, _ int) bool { return s != SiteDown })
		if !slices.Equal(x, halfway) {
			t.Errorf("layer %d: a pass that its tap ended changed the stream", layer)
		}
		m.MLP(layer, x, 4, func(l int, s Site, in []float32, rows, width int) bool {
			seen = append(seen, fmt.Sprint(l, s, rows, width, len(in)))
			return true
		})
		copy(before, x)
		expected := []string{
			fmt.Sprint(layer, SiteQKV, 4, 10, 40), fmt.Sprint(layer, SiteO, 4, c.Heads*4, c.Heads*16),
			fmt.Sprint(layer, SiteGateUp, 4, 10, 40), fmt.Sprint(layer, SiteDown, 4, c.MLP, 4*c.MLP),
		}
		if !slices.Equal(seen, expected) {
			t.Errorf("taps %v, expected %v", seen, expected)
		}
		seen = nil
	}
	m.Norm(x, 4)
	if !slices.Equal(x, m.Forward(b, nil)) {
		t.Error("the halves do not make Forward")
	}
}

func TestBadBatchPanicsWithNumbers(t *testing.T) {
	m := random(t, medium(), 2)
	for _, c := range []struct {
		batch   Batch
		message string
	}{
		{Batch{[]int32{1, 2}, []int{0, 1}}, "do not run from 0 to the 2 tokens"},
		{Batch{[]int32{1}, nil}, "do not run from 0 to the 1 tokens"},
		{Batch{[]int32{1, 2}, []int{0, 3, 2}}, "sequence 1 of the batch has -1 tokens"},
		{pack(make([]int32, 257)), "sequence 0 of the batch has 257 tokens, expected 0 to 256"},
		{pack([]int32{3, -1}), "token 1 is -1, expected 0 to 49"},
	} {
		for name, run := range map[string]func(){
			"Forward":       func() { m.Forward(c.batch, nil) },
			"Trace.Forward": func() { NewTrace(m, 1, TraceOptions{}).Forward(context.Background(), m, c.batch) },
		} {
			func() {
				defer func() {
					if r := fmt.Sprint(recover()); !strings.Contains(r, c.message) {
						t.Errorf("%s: panic %q, expected %q in it", name, r, c.message)
					}
				}()
				run()
			}()
		}
	}
}

// A fresh model packs its weights and its rotation table while many read them.
func TestConcurrentForward(t *testing.T) {
	m := random(t, medium(), 2)
	b := pack(randomTokens(rand.New(rand.NewPCG(1, 1)), 40, m.Vocab))
	want := m.Clone().Forward(b, nil)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			if !slices.Equal(m.Forward(b, nil), want) {
				t.Error("a concurrent Forward has other bits")
			}
			logits := make([]float32, 2)
			m.LabelLogits(logits, want, 1, []int32{1, 2})
		})
	}
	wait.Wait()
}

// pack returns the batch of the given sequences.
func pack(sequences ...[]int32) Batch {
	b := Batch{Starts: []int{0}}
	for _, s := range sequences {
		b.Tokens = append(b.Tokens, s...)
		b.Starts = append(b.Starts, len(b.Tokens))
	}
	return b
}
