package task

import (
	"math"
	"math/rand/v2"
	"strings"
)

// mostSteps bounds the steps of a chain: the entropy of their order is a sum over sets of steps.
const mostSteps = 8

// The words of the world of chains. No word occurs twice.
var (
	nameWords = []string{
		"oak", "elm", "ash", "fir", "fern", "moss", "reed", "rose", "lark", "wren",
		"swan", "crow", "lynx", "deer", "hare", "seal", "jade", "opal", "ruby", "onyx",
	}
	operationWords = []string{"blend", "fold", "twist", "merge", "swap", "cross", "link", "graft"}
	valueWords     = []string{"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}
	openings       = []string{"now", "then", "next"} // of a step
	// before the result of a step; see resultTails
	results     = []string{"gives", "makes", "turns", "ends"}
	conclusions = []string{"so", "thus", "hence"} // of an answer
	answerNouns = []string{"answer", "result"}
	// resultTails is the word after a result word, where there is one
	resultTails = map[string]string{"turns": "into", "ends": "as"}
)

// Words of the parts of texts, at most.
const (
	definitionWords = 6 // name is x operation y .
	questionWords   = 3 // find name :
	stepWords       = 9 // opening name x operation y result tail name value
	closingWords    = 5 // so the answer is value
)

func newChainLexicon() *lexicon {
	l := &lexicon{index: map[string]int{}}
	for _, words := range [][]string{nameWords, operationWords, valueWords, openings, results, conclusions, answerNouns} {
		l.add(words...)
	}
	for _, of := range results {
		if tail := resultTails[of]; tail != "" {
			l.add(tail)
		}
	}
	l.add("is", ".", "find", ":", "the")
	return l
}

// Chains is a world of problems: operations on values, each a table that has to be learnt by heart,
// and the probabilities of the words that answers are written in.
type Chains struct {
	cfg       ReasoningConfig
	table     [][]int   // [operations][values × values]
	frequency []float64 // of operations
	opening   []float64
	result    [][]float64 // [operations], of result words: each operation has its own
	closing   []float64
	noun      []float64
}

// NewChains draws a world.
func NewChains(cfg ReasoningConfig) (*Chains, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	rng := stream(cfg.WorldSeed, splitChains, splitWorld)
	c := &Chains{cfg: cfg, opening: shares(rng, len(openings)), closing: shares(rng, len(conclusions)), noun: shares(rng, len(answerNouns))}
	total := 0.0
	for k := range cfg.Operations {
		table := make([]int, cfg.Values*cfg.Values)
		for i := range table {
			table[i] = rng.IntN(cfg.Values)
		}
		c.table, c.result = append(c.table, table), append(c.result, shares(rng, len(results)))
		c.frequency = append(c.frequency, math.Pow(float64(k+1), -cfg.Rarity))
		total += c.frequency[k]
	}
	for k := range c.frequency {
		c.frequency[k] /= total
	}
	return c, nil
}

// shares draws n probabilities, none of them small.
func shares(rng *rand.Rand, n int) []float64 {
	p, sum := make([]float64, n), 0.0
	for i := range p {
		p[i] = 0.1 + rng.ExpFloat64()
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}

// problem is a chain: quantities, of which each is an operation on two values or earlier
// quantities. All lead to the last one.
type problem struct {
	steps  []chainStep
	listed []int // the order of the definitions in the prompt
}

type chainStep struct {
	name      int
	operation int
	operands  [2]operand
	value     int // what it comes to
}

// operand is a value, or where step ≥ 0 that of an earlier step.
type operand struct{ value, step int }

// draw draws a problem of a split. Each problem belongs to one split, by a hash of its prompt.
func (c *Chains) draw(rng *rand.Rand, split uint64) problem {
	for {
		p := c.drawAny(rng)
		if splitOf(p.prompt()) == split {
			return p
		}
	}
}

// splitOf is the split that a prompt belongs to: training has twelve of sixteen.
func splitOf(prompt []string) uint64 {
	hash := uint64(len(prompt))
	for _, text := range prompt {
		for i := range len(text) {
			hash = mix64(hash ^ uint64(text[i]))
		}
	}
	switch hash % 16 {
	case 0:
		return splitValidation
	case 1:
		return splitTest
	case 2:
		return splitCalibration
	case 3:
		return splitCorpus
	}
	return splitTrain
}

func (c *Chains) drawAny(rng *rand.Rand) problem {
	n := c.cfg.Least + rng.IntN(c.cfg.Most-c.cfg.Least+1)
	p := problem{steps: make([]chainStep, n), listed: rng.Perm(n)}
	names := rng.Perm(len(nameWords))
	for i := range p.steps {
		s := &p.steps[i]
		s.name, s.operation = names[i], pick(rng, c.frequency)
		for k := range s.operands {
			s.operands[k] = operand{rng.IntN(c.cfg.Values), -1}
		}
	}
	for i := n - 2; i >= 0; i-- { // each is an operand of a later one that has a place left
		for {
			s, k := &p.steps[i+1+rng.IntN(n-1-i)], rng.IntN(2)
			if s.operands[k].step < 0 {
				s.operands[k].step = i
				break
			}
		}
	}
	for i := range p.steps {
		s := &p.steps[i]
		for k := range s.operands {
			if of := s.operands[k].step; of >= 0 {
				s.operands[k].value = p.steps[of].value
			}
		}
		s.value = c.table[s.operation][s.operands[0].value*c.cfg.Values+s.operands[1].value]
	}
	return p
}

// pick draws an index of probabilities.
func pick(rng *rand.Rand, p []float64) int {
	u := rng.Float64()
	for i := range p {
		if u -= p[i]; u < 0 {
			return i
		}
	}
	return len(p) - 1
}

// prompt writes the definitions and the question.
func (p problem) prompt() (words []string) {
	for _, i := range p.listed {
		s := p.steps[i]
		words = append(words, nameWords[s.name], "is")
		for k, o := range s.operands {
			if k == 1 {
				words = append(words, operationWords[s.operation])
			}
			if o.step >= 0 {
				words = append(words, nameWords[p.steps[o.step].name])
			} else {
				words = append(words, valueWords[o.value])
			}
		}
		words = append(words, ".")
	}
	return append(words, "find", nameWords[p.steps[len(p.steps)-1].name], ":")
}

// choose picks one of several continuations by its index, given their probabilities.
type choose func(p []float64) int

func draws(rng *rand.Rand) choose {
	return func(p []float64) int { return pick(rng, p) }
}

// write writes an answer, and returns the negative logarithm of its probability. Continuations
// begin with different words, so an answer is written in one way only.
func (c *Chains) write(p problem, of choose) (words []string, nats float64) {
	one := func(probabilities []float64) int {
		i := of(probabilities)
		nats -= math.Log(probabilities[i])
		return i
	}
	for done := 0; done != 1<<len(p.steps)-1; {
		opening := openings[one(c.opening)]
		ready := p.ready(done)
		at := ready[one(order(len(ready)))]
		s := p.steps[at]
		name := nameWords[s.name]
		words = append(words, opening, name, valueWords[s.operands[0].value], operationWords[s.operation], valueWords[s.operands[1].value])
		result := results[one(c.result[s.operation])]
		words = append(words, result)
		if tail := resultTails[result]; tail != "" {
			words = append(words, tail)
		}
		words = append(words, name, valueWords[s.value])
		done |= 1 << at
	}
	words = append(words, conclusions[one(c.closing)], "the", answerNouns[one(c.noun)], "is", valueWords[p.answer()])
	return words, nats
}

// answer is the value that is asked for.
func (p problem) answer() int { return p.steps[len(p.steps)-1].value }

// ready lists the steps that are not done and whose operands are, in the order of the prompt.
func (p problem) ready(done int) (steps []int) {
	for _, i := range p.listed {
		if done>>i&1 == 1 {
			continue
		}
		if !p.waits(i, done) {
			steps = append(steps, i)
		}
	}
	return steps
}

// waits reports whether an operand of a step is not done.
func (p problem) waits(step, done int) bool {
	for _, o := range p.steps[step].operands {
		if o.step >= 0 && done>>o.step&1 == 0 {
			return true
		}
	}
	return false
}

// order is the probability of each of n ready steps to be written next: of two neighbours in the
// prompt, the first is twice as likely.
func order(n int) []float64 {
	p := make([]float64, n)
	for i := range p {
		p[i] = math.Ldexp(1, n-1-i) / (math.Ldexp(1, n) - 1)
	}
	return p
}

// entropy is that of a problem's answer given its prompt, in nats, and the mean number of words of
// an answer. No sampling is behind them: the entropy of a choice adds to that of the others, and
// that of the order is a sum over the sets of steps that can be done.
func (c *Chains) entropy(p problem) (nats, words float64) {
	reached := make([]float64, 1<<len(p.steps)) // probability of having done just these
	reached[0] = 1
	for done := range len(reached) - 1 {
		if reached[done] == 0 {
			continue
		}
		ready := p.ready(done)
		shares := order(len(ready))
		nats += reached[done] * entropyOf(shares)
		for i, step := range ready {
			reached[done|1<<step] += reached[done] * shares[i]
		}
	}
	words = closingWords
	for _, s := range p.steps {
		nats += entropyOf(c.opening) + entropyOf(c.result[s.operation])
		words += stepWords - 1
		for i, share := range c.result[s.operation] {
			if resultTails[results[i]] != "" {
				words += share
			}
		}
	}
	return nats + entropyOf(c.closing) + entropyOf(c.noun), words
}

// entropyOf is the entropy of a distribution, in nats.
func entropyOf(p []float64) (nats float64) {
	for _, x := range p {
		if x > 0 {
			nats -= x * math.Log(x)
		}
	}
	return nats
}

func join(words []string) string { return strings.Join(words, " ") }
