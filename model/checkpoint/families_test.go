package checkpoint

import (
	"math"
	"math/rand/v2"
	"os"
	"testing"

	"slimlab/internal/shareddata"
	"slimlab/model"
)

// familyModel is a model of random weights whose attention is sharp, so that positions matter.
func familyModel(t *testing.T, c model.Config) *model.Model {
	t.Helper()
	m, err := model.New(c)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	m.Init(rng)
	scale := func(w []float32, by float32) {
		for i := range w {
			w[i] *= by
		}
	}
	for i := range m.Blocks {
		b := &m.Blocks[i]
		for _, l := range []model.Linear{b.Q, b.K, b.O} {
			scale(l.Weight.Float32(), 2)
		}
		for _, l := range []model.Linear{b.Q, b.K, b.V, b.O} {
			for j := range l.Bias {
				l.Bias[j] = float32(rng.NormFloat64()) / 2
			}
		}
	}
	scale(m.FinalNorm, 3)
	m.Changed()
	return m
}

// perplexity is that of llama.cpp: over the second half of each window of n tokens, which begins with BOS.
func perplexity(m *model.Model, ids []int32, bos int32, n int) float64 {
	var sum float64
	count := 0
	for at := 0; at+n <= len(ids); at += n {
		window := append([]int32{bos}, ids[at+1:at+n]...)
		logits := allLogits(m, window)
		for j := n / 2; j < n-1; j++ {
			row, total := logits[j*m.Vocab:(j+1)*m.Vocab], 0.0
			target := float64(row[window[j+1]])
			for _, z := range row {
				total += math.Exp(float64(z) - target)
			}
			sum += math.Log(total)
			count++
		}
	}
	return math.Exp(sum / float64(count))
}

// TestFamiliesAgainstLlamaCpp compares what each family adds, the scalings of rotary positions above all, with llama.cpp, which computed
// these perplexities (-c 256, float32 cache, --yarn-beta-fast and -slow where a case has them) of these models written as GGUF. Here they go
// through a Hugging Face folder.
func TestFamiliesAgainstLlamaCpp(t *testing.T) {
	_, tok, err := Load(shareddata.Path(t, "models", "stories260K", "gguf", "stories260K.gguf"), LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(shareddata.Path(t, "vectors", "llamacpp-golden", "ppl_sample.txt"))
	if err != nil {
		t.Fatal(err)
	}
	ids := tok.EncodeSpecial(string(text))
	yarn := model.RopeScaling{Kind: model.RopeYarn, Factor: 4, OriginalMaxPositions: 128}
	betas := yarn
	betas.BetaFast, betas.BetaSlow = 8, 2
	for _, c := range []struct {
		name         string
		architecture string
		bias         bool // of q, k and v; with Llama of o too
		rope         model.RopeScaling
		want         float64
	}{
		{"llama", llama, false, model.RopeScaling{}, 4873.9716},
		{"mistral", mistral, false, model.RopeScaling{}, 4873.9716},
		{"llama with biases", llama, true, model.RopeScaling{}, 1723.6649},
		{"linear", llama, false, model.RopeScaling{Kind: model.RopeLinear, Factor: 4}, 4824.4508},
		{"llama3", llama, false, model.RopeScaling{Kind: model.RopeLlama3, Factor: 8, LowFrequencyFactor: 1, HighFrequencyFactor: 4, OriginalMaxPositions: 128}, 5216.4953},
		{"yarn", llama, false, yarn, 3731.1571},
		{"yarn of other turns", llama, false, betas, 3786.3139},
		{"qwen2", qwen2, true, model.RopeScaling{}, 2695.7742},
		{"qwen2 with yarn", qwen2, true, yarn, 2482.1598},
	} {
		m := familyModel(t, model.Config{Architecture: c.architecture, Vocab: tok.Vocab(), Hidden: 128, HeadDim: 32, Layers: model.Uniform(2, 4, 2, 96), MaxPositions: 512,
			RopeTheta: 10000, Rope: c.rope, NormEps: 1e-5, TiedHead: true, QKVBias: c.bias, OBias: c.bias && c.architecture == llama, BOS: 1, EOS: 2})
		dir := t.TempDir()
		if err := Save(dir, m, nil, SaveOptions{}); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		read, _, err := Load(dir, LoadOptions{})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got := perplexity(read, ids, tok.BOS(), 256)
		if math.Abs(got/c.want-1) > 2e-6 {
			t.Errorf("%s: perplexity %.4f, llama.cpp has %.4f", c.name, got, c.want)
		}
	}
}
