package task

import (
	"fmt"
	"slices"
)

// ReasoningConfig sets the world of chains and the size of its test set. The tags name the fields
// in recipes of artifacts and in errors.
type ReasoningConfig struct {
	WorldSeed uint64 `key:"world_seed"` // sets the operations' tables and how often words are used
	Values    int    `key:"values"`     // values of a quantity, 2 to 10
	// Operations is how many there are, 1 to 8: the k-th is as frequent as 1/k^Rarity.
	Operations int     `key:"operations"`
	Rarity     float64 `key:"rarity"`
	Least      int     `key:"least"` // steps of a chain, uniformly from Least to Most
	Most       int     `key:"most"`  // 8 at most
	Problems   int     `key:"problems"`
}

// DefaultReasoning is the world of the shipped scenarios.
func DefaultReasoning() ReasoningConfig {
	return ReasoningConfig{WorldSeed: 1, Values: 10, Operations: 6, Rarity: 1, Least: 2, Most: 6, Problems: 200}
}

// Validate reports the first setting that cannot be.
func (c ReasoningConfig) Validate() error {
	for _, f := range []struct {
		key         string
		value       float64
		least, most float64
	}{
		{"values", float64(c.Values), 2, float64(len(valueWords))},
		{"operations", float64(c.Operations), 1, float64(len(operationWords))},
		{"rarity", c.Rarity, 0, 5},
		{"most", float64(c.Most), 1, mostSteps},
		{"least", float64(c.Least), 1, float64(c.Most)},
		{"problems", float64(c.Problems), 1, 1e6},
	} {
		if !(f.value >= f.least && f.value <= f.most) {
			return fmt.Errorf("reasoning: %s is %v, expected %v to %v", f.key, f.value, f.least, f.most)
		}
	}
	return nil
}

// Reasoning is the task of chains: a prompt defines quantities by operations on others and asks for
// the last, and the answer writes the steps in an order and in words of known probability, then the
// value and the end token. So the lowest possible loss is known; see Floor.
type Reasoning struct {
	*Chains
	lexicon       *lexicon
	first, spaced [][]int32 // tokens of each word, at the start of a text and after a space
	eos           int32
}

// NewReasoning draws the world. Each answer ends with eos. The encoder must give each word the same
// tokens in every text.
func NewReasoning(cfg ReasoningConfig, enc Encoder, eos int32) (*Reasoning, error) {
	world, err := NewChains(cfg)
	if err != nil {
		return nil, err
	}
	if eos < 0 {
		return nil, fmt.Errorf("reasoning: the tokenizer names no end-of-sequence token, expected one to end each answer")
	}
	r := &Reasoning{Chains: world, lexicon: newChainLexicon(), eos: eos}
	for _, text := range r.lexicon.words {
		r.first = append(r.first, enc.Encode(text))
		r.spaced = append(r.spaced, enc.Encode(" "+text))
	}
	for i, text := range r.Corpus(32) {
		a, _ := r.answered(splitCorpus, uint64(i))
		got, want := enc.Encode(text), r.example(a).Tokens
		if err := enc.Err(); err != nil {
			return nil, fmt.Errorf("reasoning: %w", err)
		}
		if !slices.Equal(got, want[:len(want)-1]) {
			return nil, fmt.Errorf("reasoning: tokenizer: a text is %d tokens, its words by themselves %d: words are joined", len(got), len(want)-1)
		}
	}
	return r, nil
}

// answered is a problem with one of its answers.
type answered struct {
	prompt, answer []string
	floor          float64 // −log P(answer | prompt), nats
}

// answered draws the problem and the answer of a place in a split.
func (c *Chains) answered(split uint64, keys ...uint64) (answered, problem) {
	rng := stream(append([]uint64{c.cfg.WorldSeed, splitChains, split}, keys...)...)
	p := c.draw(rng, split)
	a := answered{prompt: p.prompt()}
	a.answer, a.floor = c.write(p, draws(rng))
	return a, p
}

func (r *Reasoning) example(a answered) Example {
	tokens := r.encode(nil, a.prompt)
	prompt := len(tokens)
	tokens = append(r.encode(tokens, a.answer), r.eos)
	answer := make([]bool, len(tokens))
	for i := prompt; i < len(answer); i++ {
		answer[i] = true
	}
	return Example{Tokens: tokens, Answer: answer}
}

// encode appends the tokens of words.
func (r *Reasoning) encode(tokens []int32, words []string) []int32 {
	for _, text := range words {
		w := r.lexicon.index[text]
		if len(tokens) == 0 {
			tokens = append(tokens, r.first[w]...)
		} else {
			tokens = append(tokens, r.spaced[w]...)
		}
	}
	return tokens
}

// Train returns the i-th training example of a stream.
func (r *Reasoning) Train(seed uint64, i int) Example {
	a, _ := r.answered(splitTrain, seed, uint64(i))
	return r.example(a)
}

// TrainSize is 0: there is no end of them.
func (r *Reasoning) TrainSize() int { return 0 }

// usualValidation is the number of validation examples where none is asked for.
const usualValidation = 1000

// Validation returns n validation examples; n ≤ 0 is 1000.
func (r *Reasoning) Validation(n int) []Example {
	if n <= 0 {
		n = usualValidation
	}
	examples := make([]Example, n)
	for i := range examples {
		a, _ := r.answered(splitValidation, uint64(i))
		examples[i] = r.example(a)
	}
	return examples
}

// Floor is the loss, in nats an answer token, of the distribution that the first n validation
// answers were drawn from, on those same answers, and the number of their tokens. On average over
// validation sets no model has less; the difference of a model's loss on the set estimates its
// KL divergence from that distribution. n ≤ 0 is 1000.
func (r *Reasoning) Floor(n int) (loss float64, tokens int) {
	if n <= 0 {
		n = usualValidation
	}
	for i := range n {
		a, _ := r.answered(splitValidation, uint64(i))
		loss += a.floor
		// a first token in the place of the prompt's, the end's too
		tokens += len(r.encode([]int32{0}, a.answer))
	}
	return loss / float64(tokens), tokens
}

// Calibration returns n examples, with their answers (InDomain) or of words in no order (Generic),
// which have none.
func (r *Reasoning) Calibration(source string, n int) ([]Example, error) {
	examples := make([]Example, max(n, 0))
	for i := range examples {
		a, _ := r.answered(splitCalibration, uint64(i))
		examples[i] = r.example(a)
		switch source {
		case InDomain:
		case Generic:
			rng := stream(r.cfg.WorldSeed, splitChains, splitGeneric, uint64(i))
			words := append(a.prompt, a.answer...)
			for k := range words {
				words[k] = r.lexicon.words[rng.IntN(len(r.lexicon.words))]
			}
			tokens := r.encode(nil, words)
			examples[i] = Example{Tokens: tokens, Answer: make([]bool, len(tokens))}
		default:
			return nil, fmt.Errorf("reasoning: calibration source %q, expected %q or %q", source, InDomain, Generic)
		}
	}
	return examples, nil
}

// Notes are empty: no example is truncated.
func (r *Reasoning) Notes() []string { return nil }

// Corpus returns n texts of problems with answers, which no split has. It needs no encoder, so a
// tokenizer can be trained on it.
func (c *Chains) Corpus(n int) []string {
	texts := make([]string, n)
	for i := range texts {
		a, _ := c.answered(splitCorpus, uint64(i))
		texts[i] = join(a.prompt) + " " + join(a.answer)
	}
	return texts
}

// LongestAnswer is the number of tokens of the longest answer that can be written, its end
// included.
func (r *Reasoning) LongestAnswer() int {
	return r.longestWord()*(r.cfg.Most*stepWords+closingWords) + 1
}

// MostTokens bounds the tokens of a prompt with its answer.
func (r *Reasoning) MostTokens() int {
	return r.longestWord()*(r.cfg.Most*definitionWords+questionWords) + r.LongestAnswer()
}

func (r *Reasoning) longestWord() (tokens int) {
	for i := range r.spaced {
		tokens = max(tokens, len(r.first[i]), len(r.spaced[i]))
	}
	return tokens
}

// TestPrompts are the prompts of the test set.
func (r *Reasoning) TestPrompts() [][]int32 {
	prompts := make([][]int32, r.cfg.Problems)
	for i := range prompts {
		a, _ := r.answered(splitTest, uint64(i))
		prompts[i] = r.encode(nil, a.prompt)
	}
	return prompts
}
