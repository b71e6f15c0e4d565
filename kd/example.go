package kd

import (
	"fmt"
	"math"
)

// Origin says who wrote the answer of an example.
type Origin int

const (
	OfData Origin = iota // a label
	// a sample of a teacher's: a label as well, as in sequence-level distillation
	OfTeacher
	OfStudent // a sample of the student's own: no label
)

// Example is one training sequence: a prompt and its answer. Answer[t] says that Tokens[t] is an
// answer token, which the logits at t−1 are to predict; so Answer[0] must be false. An
// end-of-sequence token is an answer token like any other, and there is no padding.
type Example struct {
	Tokens []int32
	Answer []bool // as long as Tokens
	Origin Origin
	Task   int // the index of its task, which chooses the weights of a Mixture's teachers
	// factors of the tokens' losses, finite and not negative, as long as Tokens; nil is 1 for all.
	// A token of weight 0 is read, and has no loss
	Weights []float32
	// log-probabilities of the answer tokens under what they were drawn from, as long as Tokens;
	// WeightedReverseKL reads them
	SampledLogP []float32
}

// Learned reports whether a token is an answer token with a weight above 0: one that has a loss.
func (e *Example) Learned(t int) bool { return e.Answer[t] && e.weight(t) > 0 }

// weight is the factor of a token's losses.
func (e *Example) weight(t int) float32 {
	if e.Weights == nil {
		return 1
	}
	return e.Weights[t]
}

// check reports why an example cannot be used with the first vocab tokens of models with that many
// positions.
func (e *Example) check(vocab, positions int) error {
	if len(e.Tokens) != len(e.Answer) {
		return fmt.Errorf("%d tokens, but %d answer marks", len(e.Tokens), len(e.Answer))
	}
	if e.Weights != nil && len(e.Weights) != len(e.Tokens) {
		return fmt.Errorf("%d tokens, but %d weights", len(e.Tokens), len(e.Weights))
	}
	if len(e.Tokens) > positions {
		return fmt.Errorf("%d tokens, but the model has %d positions", len(e.Tokens), positions)
	}
	for t, token := range e.Tokens {
		if token < 0 || int(token) >= vocab {
			return fmt.Errorf("token %d at position %d is outside the vocabulary of %d", token, t, vocab)
		}
	}
	for t, w := range e.Weights {
		if !(w >= 0) || math.IsInf(float64(w), 0) {
			return fmt.Errorf("weight %v at position %d, expected a finite number, 0 or more", w, t)
		}
	}
	if len(e.Answer) > 0 && e.Answer[0] {
		return fmt.Errorf("its first token is an answer token, which no logits predict")
	}
	return nil
}

// checkFor reports why an objective cannot use an example.
func (e *Example) checkFor(o Objective) error {
	switch {
	case !o.Sampled():
		return nil
	case e.Origin != OfStudent:
		return fmt.Errorf("loss %s: %w", o, errNotStudents)
	case o.Divergence == WeightedReverseKL && len(e.SampledLogP) != len(e.Tokens):
		return fmt.Errorf("loss %s: %d tokens, but %d log-probabilities of what they were drawn from", o, len(e.Tokens), len(e.SampledLogP))
	}
	return nil
}

func checkExamples(examples []Example, vocab, positions int) error {
	for i := range examples {
		if err := examples[i].check(vocab, positions); err != nil {
			return fmt.Errorf("example %d: %w", i, err)
		}
	}
	return nil
}
