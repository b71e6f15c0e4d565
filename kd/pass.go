package kd

import "slimlab/model"

// counts are the tokens of examples: those that each of the two losses is normalised by, and all.
// They are whole numbers, in float64 so that ranks can sum them.
type counts struct{ answers, sequence, tokens float64 }

func countAll(examples []Example) (n counts) {
	for _, e := range examples {
		for _, answer := range e.Answer {
			if answer {
				n.answers++
			}
		}
		n.sequence += float64(max(0, len(e.Tokens)-1))
		n.tokens += float64(len(e.Tokens))
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

// add appends an example up to its last target, which is only predicted and not read. Later tokens
// would change nothing, as attention is causal. whole says that every token has a loss, not the
// answer alone.
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
