package task

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Span is a run of tokens of which those from Begin on are targets: a model is asked for the
// probability of each after all tokens before it in the span. 1 ≤ Begin < len(Tokens).
type Span struct {
	Tokens []int32
	Begin  int
}

// Targets is the number of tokens that are predicted.
func (s Span) Targets() int { return len(s.Tokens) - s.Begin }

// Beginning is the tokens before a text.
type Beginning struct {
	BOS int32 // before every text; −1 is none
	// Prefix precedes a text's first token where that is predicted and nothing else is before it:
	// BOS or, in its absence, EOS; −1 where there is neither.
	Prefix int32
}

// encode returns the ids of text after the BOS.
func (b Beginning) encode(enc Encoder, text string) []int32 {
	if b.BOS < 0 {
		return enc.Encode(text)
	}
	return append([]int32{b.BOS}, enc.Encode(text)...)
}

// pair encodes a context and its continuation as lm-evaluation-harness does: white space that ends
// the context goes over to the continuation, the whole is encoded, and the continuation's tokens
// are those after as many as the context has when it is encoded alone.
func (b Beginning) pair(enc Encoder, context, continuation string) (Span, error) {
	before := b.encode(enc, strings.TrimRightFunc(context, isSpace))
	whole := b.encode(enc, context+continuation)
	if err := enc.Err(); err != nil {
		return Span{}, err
	}
	if len(before) > 0 {
		return Span{whole, len(before)}, nil
	}
	if b.Prefix < 0 {
		return Span{}, fmt.Errorf("the context has no tokens and the tokenizer has neither BOS nor EOS to begin with")
	}
	return Span{append([]int32{b.Prefix}, whole...), 1}, nil
}

// cut drops tokens from the span's beginning until a model of so many positions reads all but the
// last.
func (s Span) cut(positions int) (Span, bool) {
	excess := len(s.Tokens) - 1 - positions
	if excess <= 0 {
		return s, false
	}
	return Span{s.Tokens[excess:], s.Begin - excess}, true
}

// isSpace reports what Python's regular expressions and string methods take for white space:
// Unicode's, and the four separators of ASCII.
func isSpace(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f }

// words counts the pieces between runs of white space, an empty one at either end included, as a
// split at \s+ does.
func words(text string) int {
	n, inside := 1, false
	for _, r := range text {
		space := isSpace(r)
		if space && !inside {
			n++
		}
		inside = space
	}
	return n
}

// Total adds up log-probabilities.
func Total(logProbs []float32) (sum float64) {
	for _, v := range logProbs {
		sum += float64(v)
	}
	return sum
}

// Answer is which choice a model takes, by three lengths that its log-likelihood is divided by.
type Answer struct {
	Plain      int `json:"acc"`       // by nothing
	Characters int `json:"acc_norm"`  // by the choice's characters, the space before it left out
	Bytes      int `json:"acc_bytes"` // by its bytes in UTF-8
}

// Answer returns the choices with the largest log-likelihoods, the first of equals.
func (q Question) Answer(logLikelihood []float64) (Answer, error) {
	if len(logLikelihood) != len(q.Choices) {
		return Answer{}, fmt.Errorf("%d log-likelihoods for %d choices", len(logLikelihood), len(q.Choices))
	}
	if i := slices.IndexFunc(logLikelihood, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 1) }); i >= 0 {
		return Answer{}, fmt.Errorf("the log-likelihood of choice %d is %v, expected a number", i, logLikelihood[i])
	}
	best := func(length func(string) int) int {
		best, most := 0, math.Inf(-1)
		for i, choice := range q.Choices {
			if v := logLikelihood[i] / float64(length(choice)); v > most {
				best, most = i, v
			}
		}
		return best
	}
	return Answer{
		Plain:      best(func(string) int { return 1 }),
		Characters: best(utf8.RuneCountInString),
		Bytes:      best(func(choice string) int { return len(choice) }),
	}, nil
}
