package kd

import (
	"fmt"
	"math/rand/v2"

	"slimlab/model"
)

// Example is one training sequence: a prompt and its answer. Answer[t] says that Tokens[t] is an
// answer token, which the logits at t−1 are to predict; so Answer[0] must be false. An
// end-of-sequence token is an answer token like any other, and there is no padding.
type Example struct {
	Tokens []int32
	Answer []bool // as long as Tokens
}

// check reports why an example cannot be used with the first vocab tokens of models with that many
// positions.
func (e Example) check(vocab, positions int) error {
	if len(e.Tokens) != len(e.Answer) {
		return fmt.Errorf("%d tokens, but %d answer marks", len(e.Tokens), len(e.Answer))
	}
	if len(e.Tokens) > positions {
		return fmt.Errorf("%d tokens, but the model has %d positions", len(e.Tokens), positions)
	}
	for t, token := range e.Tokens {
		if token < 0 || int(token) >= vocab {
			return fmt.Errorf("token %d at position %d is outside the vocabulary of %d", token, t, vocab)
		}
	}
	if len(e.Answer) > 0 && e.Answer[0] {
		return fmt.Errorf("its first token is an answer token, which no logits predict")
	}
	return nil
}

func checkExamples(examples []Example, vocab, positions int) error {
	for i, e := range examples {
		if err := e.check(vocab, positions); err != nil {
			return fmt.Errorf("example %d: %w", i, err)
		}
	}
	return nil
}

// Shuffle returns batches for TrainConfig.Batches: step after step the next size examples of an
// order that is drawn anew for each epoch. It depends on seed and step alone, so a step may be
// asked for in any order. A batch may span two epochs; it is valid until the next call.
func Shuffle(examples []Example, size int, seed uint64) func(step int) []Example {
	if size <= 0 || len(examples) == 0 {
		return func(int) []Example { return nil }
	}
	order, drawn := make([]int, len(examples)), -1
	batch := make([]Example, size)
	return func(step int) []Example {
		for i := range batch {
			at := (step-1)*size + i
			if epoch := at / len(examples); epoch != drawn {
				drawn = epoch
				permute(order, rand.New(rand.NewPCG(seed, uint64(epoch))))
			}
			batch[i] = examples[order[at%len(examples)]]
		}
		return batch
	}
}

// permute sets order to a random permutation of 0 … len−1.
func permute(order []int, rng *rand.Rand) {
	for i := range order {
		order[i] = i
	}
	rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
}

// counts is how many tokens of a step's whole batch each of the two losses is normalised by.
type counts struct{ answers, sequence int }

func countAll(examples []Example) (n counts) {
	for _, e := range examples {
		for _, answer := range e.Answer {
			if answer {
				n.answers++
			}
		}
		n.sequence += max(0, len(e.Tokens)-1)
	}
	return n
}

// target is a token with a loss: the hidden state of row is to predict label.
type target struct {
	row   int
	label int32
}

// pass is a part of a batch that goes through the models at once, with its targets.
type pass struct {
	batch           model.Batch
	answers, others []target // others are the predicted tokens that are no answer
}

func (p *pass) reset() {
	p.batch.Tokens, p.batch.Starts = p.batch.Tokens[:0], append(p.batch.Starts[:0], 0)
	p.answers, p.others = p.answers[:0], p.others[:0]
}

// add appends an example up to its last token that serves a loss. Later tokens would change
// nothing, as attention is causal; nor does the last target itself, which is only predicted. whole
// says that every token has a loss, not the answer alone.
func (p *pass) add(e Example, whole bool) {
	base, last := len(p.batch.Tokens), 0
	for t, answer := range e.Answer {
		switch {
		case answer:
			p.answers = append(p.answers, target{base + t - 1, e.Tokens[t]})
		case whole && t > 0:
			p.others = append(p.others, target{base + t - 1, e.Tokens[t]})
		default:
			continue
		}
		last = t
	}
	if last > 0 {
		p.batch.Tokens = append(p.batch.Tokens, e.Tokens[:last]...)
		p.batch.Starts = append(p.batch.Starts, len(p.batch.Tokens))
	}
}

// eachPass packs examples into passes of at most tokens tokens (but at least one example) and calls
// f for each that has a target.
func eachPass(p *pass, examples []Example, tokens int, whole bool, f func(*pass) error) error {
	p.reset()
	for i, e := range examples {
		p.add(e, whole)
		if i+1 < len(examples) && len(p.batch.Tokens)+len(examples[i+1].Tokens) <= tokens {
			continue
		}
		if len(p.batch.Tokens) > 0 {
			if err := f(p); err != nil {
				return err
			}
		}
		p.reset()
	}
	return nil
}
