package checkpoint

import (
	"context"
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
		for _, norm := range [][]float32{b.QNorm, b.KNorm} {
			for j := range norm {
				norm[j] = 0.6 + float32(rng.NormFloat64())/5
			}
		}
	}
	scale(m.FinalNorm, 3)
	m.Changed()
	return m
}

// perplexity is that of llama.cpp: over the second half of each window of n tokens, which begins
// with BOS.
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

// TestFamiliesAgainstLlamaCpp compares what each family adds, the scalings of rotary positions
// above all, with llama.cpp, which computed these perplexities of these models written as GGUF
// (llama-perplexity -c 256 with a float32 cache, --yarn-beta-fast and -slow where a case has them;
// for Qwen3 ik_llama.cpp, whose values are float16 in its cache). Here they go through a Hugging
// Face folder.
func TestFamiliesAgainstLlamaCpp(t *testing.T) {
	_, tok, err := load(shareddata.Path(t, "models", "stories260K", "gguf", "stories260K.gguf"))
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
	type family struct {
		architecture string
		bias         bool // of q, k and v; with Llama of o too
		headDim      int
	}
	plain, biased, second, third, wide := family{model.Llama, false, 32}, family{model.Llama, true, 32}, family{model.Qwen2, true, 32}, family{model.Qwen3, false, 32}, family{model.Qwen3, false, 64}
	const exact, half = 2e-6, 1e-4 // with the cache in float32; with its values in float16
	for _, c := range []struct {
		name string
		family
		rope            model.RopeScaling
		want, tolerance float64
	}{
		{"llama", plain, model.RopeScaling{}, 4873.9716, exact},
		{"mistral", family{model.Mistral, false, 32}, model.RopeScaling{}, 4873.9716, exact},
		{"llama with biases", biased, model.RopeScaling{}, 1723.6649, exact},
		{"linear", plain, model.RopeScaling{Kind: model.RopeLinear, Factor: 4}, 4824.4508, exact},
		{"llama3", plain, model.RopeScaling{Kind: model.RopeLlama3, Factor: 8, LowFrequencyFactor: 1, HighFrequencyFactor: 4, OriginalMaxPositions: 128}, 5216.4953, exact},
		{"yarn", plain, yarn, 3731.1571, exact},
		{"yarn of other turns", plain, betas, 3786.3139, exact},
		{"qwen2", second, model.RopeScaling{}, 2695.7742, exact},
		{"qwen2 with yarn", second, yarn, 2482.1598, exact},
		{"qwen3", third, model.RopeScaling{}, 158124.5371, half},
		{"qwen3 of wide heads", wide, model.RopeScaling{}, 114802.6945, half},
		{"qwen3 with yarn", third, yarn, 153918.1528, half},
	} {
		m := familyModel(t, model.Config{Architecture: c.architecture, Vocab: tok.Vocab(), Hidden: 128, HeadDim: c.headDim, Layers: model.Uniform(2, 4, 2, 96), MaxPositions: 512,
			RopeTheta: 10000, Rope: c.rope, NormEps: 1e-5, TiedHead: true, QKVBias: c.bias, OBias: c.bias && c.architecture == model.Llama, QKNorm: c.architecture == model.Qwen3, BOS: 1, EOS: 2})
		dir := t.TempDir()
		if err := Save(context.Background(), dir, m, nil, SaveOptions{}); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		read, _, err := load(dir)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got := perplexity(read, ids, tok.BOS(), 256)
		if math.Abs(got/c.want-1) > c.tolerance {
			t.Errorf("%s: perplexity %.4f, llama.cpp has %.4f", c.name, got, c.want)
		}
	}
}
