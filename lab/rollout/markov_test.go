package rollout

import (
	"math"
	"testing"

	"slimlab/kd"
	"slimlab/model"
)

// chain are the probabilities of the next token after tokens 0 and 1; token 2 ends.
type chain [2][3]float64

// markov is a model whose next token depends on the last one alone, as a chain says: its layers add
// nothing to the embeddings, which are orthogonal.
func markov(t testing.TB, c chain) *model.Model {
	t.Helper()
	m, err := model.New(model.Config{
		Architecture: "LlamaForCausalLM", Vocab: 3, Hidden: 4, HeadDim: 4, Layers: model.Uniform(1, 1, 1, 4),
		MaxPositions: 64, RopeTheta: 10000, NormEps: 1e-9, BOS: -1, EOS: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	head := m.Head.Float32()
	for i := range c {
		m.Embedding[i*4+i] = 1 // the final norm makes 2 of it
		for token, p := range c[i] {
			head[token*4+i] = float32(math.Log(p) / 2)
		}
	}
	m.Changed()
	return m
}

// expected are, from a state on with so many tokens left: the expected sum of log q − log p over
// the tokens of a sequence by q, the reverse KL of sequences; their expected length; the
// probability that the end is reached.
func expected(q, p chain, state, left int) (kl, length, ended float64) {
	if left == 0 {
		return 0, 0, 0
	}
	for token, of := range q[state] {
		kl += of * math.Log(of/p[state][token])
		if token == 2 {
			ended += of
			continue
		}
		k, l, e := expected(q, p, token, left-1)
		kl, length, ended = kl+of*k, length+of*l, ended+of*e
	}
	return kl, length + 1, ended
}

// TestMarkovChain: of a chain of two states the mean reverse KL of sequences, their mean length and
// the share that ends are those of the closed form, within three standard errors, and the error
// falls as the root of the number.
func TestMarkovChain(t *testing.T) {
	q, p := chain{{0.6, 0.3, 0.1}, {0.25, 0.55, 0.2}}, chain{{0.3, 0.5, 0.2}, {0.4, 0.2, 0.4}}
	prompt := []kd.Example{{Tokens: []int32{1}, Answer: []bool{false}}}
	for len(prompt) < 250 {
		prompt = append(prompt, prompt[0])
	}
	s := sampler(t, always(prompt), markov(t, q), nil, Options{Fraction: 1, Temperature: 1, MaxTokens: 8, End: []int32{2}, Seed: 11})
	wantKL, wantLength, wantEnded := expected(q, p, 1, 8)
	var kl, length, ended moments
	var errors []float64
	for step := 1; step <= 16; step++ {
		for _, e := range next(t, s, step) {
			sum, state := 0.0, 1
			for i, token := range e.Tokens[1:] {
				logQ := float64(e.SampledLogP[i+1])
				if want := math.Log(q[state][token]); math.Abs(logQ-want) > 1e-5 {
					t.Fatalf("log-probability %v of token %d after %d, want %v", logQ, token, state, want)
				}
				sum += logQ - math.Log(p[state][token])
				state = int(token)
			}
			kl.add(sum)
			length.add(float64(len(e.Tokens) - 1))
			end := 0.0
			if state == 2 {
				end = 1
			}
			ended.add(end)
		}
		if step == 1 || step == 16 {
			errors = append(errors, kl.standardError())
		}
	}
	kl.within(t, "reverse KL of sequences", wantKL)
	length.within(t, "length", wantLength)
	ended.within(t, "share that ends", wantEnded)
	if ratio := errors[0] / errors[1]; math.Abs(ratio-4) > 0.8 {
		t.Errorf("with 16 times as many samples the standard error is %v times less, want about 4", ratio)
	}
}

// moments are sums of samples.
type moments struct{ n, sum, squares float64 }

func (m *moments) add(x float64) { m.n, m.sum, m.squares = m.n+1, m.sum+x, m.squares+x*x }

func (m *moments) mean() float64 { return m.sum / m.n }

func (m *moments) standardError() float64 {
	return math.Sqrt((m.squares/m.n - m.mean()*m.mean()) / m.n)
}

func (m *moments) within(t *testing.T, what string, want float64) {
	t.Helper()
	if math.Abs(m.mean()-want) > 3*m.standardError() {
		t.Errorf("%s: mean %v ± %v of %v samples, want %v", what, m.mean(), m.standardError(), m.n, want)
	}
	t.Logf("%s: %.4f ± %.4f, closed form %.4f", what, m.mean(), m.standardError(), want)
}
