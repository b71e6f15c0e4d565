package kd

import "slimlab/model"

// counts are the weights of a batch's tokens, added up: what each mean of an objective is divided
// by, and the number of all tokens. They are float64 so that ranks can sum them.
type counts struct {
	answers  float64 // answer tokens
	labels   float64 // answer tokens that are labels
	sequence float64 // predicted tokens of examples whose answers are labels
	tokens   float64
	// answer tokens, and those of sequence, at which a Comparer has no distribution
	apart, apartSequence float64
}

// compared is the weight of the answer tokens that have a divergence.
func (n counts) compared() float64 { return n.answers - n.apart }

// addApart counts the tokens at which the teacher has no distribution.
func (n *counts) addApart(examples []Example, teacher Comparer) {
	for i := range examples {
		e := &examples[i]
		compared := teacher.Compared(e)
		for t, answer := range e.Answer {
			if compared[t] {
				continue
			}
			w := float64(e.weight(t))
			if answer {
				n.apart += w
			}
			if e.Origin != OfStudent && t > 0 {
				n.apartSequence += w
			}
		}
	}
}

func countAll(examples []Example) (n counts) {
	for i := range examples {
		e := &examples[i]
		for t, answer := range e.Answer {
			w := float64(e.weight(t))
			if answer {
				n.answers += w
			}
			if e.Origin == OfStudent || t == 0 {
				continue
			}
			n.sequence += w
			if answer {
				n.labels += w
			}
		}
		n.tokens += float64(len(e.Tokens))
	}
	return n
}

// Target is a token with a loss.
type Target struct {
	Example int // of its pass
	Token   int // of that example
	Row     int // of the pass's batch, whose hidden state predicts it
	Label   int32
	weight  float32
}

// kind is what decides which losses a target has.
type kind int

const (
	labels  kind = iota // answer tokens of data and of teachers
	samples             // answer tokens of the student
	others              // the other predicted tokens
	kinds
)

// of is the weight of a kind's targets.
func (n counts) of(k kind) float64 {
	switch k {
	case labels:
		return n.labels
	case samples:
		return n.answers - n.labels
	}
	return n.sequence - n.labels
}

// pass is a part of a batch that goes through the models at once, with its targets.
type pass struct {
	batch    model.Batch // the examples' tokens, each up to its last target
	examples []Example
	targets  [kinds][]Target
}

func (p *pass) reset() {
	p.batch.Tokens, p.batch.Starts = p.batch.Tokens[:0], append(p.batch.Starts[:0], 0)
	p.examples = p.examples[:0]
	for k := range p.targets {
		p.targets[k] = p.targets[k][:0]
	}
}

// add appends an example up to its last target, which is only predicted and not read. Later tokens
// would change nothing, as attention is causal. whole says that every token of an example of labels
// has a loss, not the answer alone.
func (p *pass) add(e *Example, whole bool) {
	base, last := len(p.batch.Tokens), 0
	whole = whole && e.Origin != OfStudent
	for t, answer := range e.Answer {
		if t == 0 || !answer && !whole || e.weight(t) == 0 {
			continue
		}
		k := others
		switch {
		case answer && e.Origin == OfStudent:
			k = samples
		case answer:
			k = labels
		}
		p.targets[k] = append(p.targets[k], Target{Example: len(p.examples), Token: t, Row: base + t - 1, Label: e.Tokens[t], weight: e.weight(t)})
		last = t
	}
	if last > 0 {
		p.batch.Tokens = append(p.batch.Tokens, e.Tokens[:last]...)
		p.batch.Starts = append(p.batch.Starts, len(p.batch.Tokens))
		p.examples = append(p.examples, *e)
	}
}

// eachPass packs examples into passes of at most tokens tokens (but at least one example) and calls
// f for each that has a target.
func eachPass(p *pass, examples []Example, tokens int, whole bool, f func(*pass) error) error {
	p.reset()
	for i := range examples {
		p.add(&examples[i], whole)
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
