package kd

import "fmt"

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
