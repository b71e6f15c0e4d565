package sample

import (
	"fmt"
	"math"
)

// Settings choose how the next token is chosen. The zero value is greedy.
type Settings struct {
	Temperature float64 // 0 is greedy
	TopK        int     // the number of tokens to choose from; 0 is all
	TopP        float64 // the share of the most probable to choose from; 0 or 1 is all
	MinP        float64 // the least share of the likeliest token's probability; 0 is none
	Seed        uint64

	// Repetition divides the logits above 0, and multiplies the others, of tokens that the prompt
	// or the answer has; 0 or 1 changes nothing.
	Repetition float64
	// Presence is subtracted from the logits of tokens that the answer has, and Frequency as often
	// as it has them.
	Presence, Frequency float64
	Bias                map[int32]float32 // added to the logits of these tokens
}

// greedy reports whether the largest logit is certain.
func (s *Settings) greedy() bool { return !(s.Temperature > 0) || s.TopK == 1 }

// wholeTopP reports whether top-p keeps all.
func (s *Settings) wholeTopP() bool { return !(s.TopP > 0 && s.TopP < 1) }

// repeats reports whether there is a penalty on repetition.
func (s *Settings) repeats() bool { return s.Repetition != 0 && s.Repetition != 1 }

// Penalizes reports whether a choice depends on the tokens before it: whether a Row needs a
// History.
func (s *Settings) Penalizes() bool { return s.repeats() || s.Presence != 0 || s.Frequency != 0 }

// Check reports the first setting that no choice can be made by, over tokens of a vocabulary.
func (s *Settings) Check(vocabulary int) error {
	for _, c := range []struct {
		name             string
		value, low, high float64
	}{
		{"temperature", s.Temperature, 0, math.MaxFloat64},
		{"top-k", float64(s.TopK), 0, math.MaxFloat64},
		{"top-p", s.TopP, 0, 1},
		{"min-p", s.MinP, 0, 1},
		{"repetition penalty", s.Repetition, 0, math.MaxFloat32},
		{"presence penalty", s.Presence, -math.MaxFloat32, math.MaxFloat32},
		{"frequency penalty", s.Frequency, -math.MaxFloat32, math.MaxFloat32},
	} {
		if c.value >= c.low && c.value <= c.high {
			continue
		}
		return fmt.Errorf("%s %v, expected %s", c.name, c.value, bounds(c.low, c.high))
	}
	for token, by := range s.Bias {
		switch {
		case token < 0 || int(token) >= vocabulary:
			return fmt.Errorf("bias of token %d, the vocabulary has %d", token, vocabulary)
		case by-by != 0:
			return fmt.Errorf("bias %v of token %d, expected a finite number", by, token)
		}
	}
	return nil
}

// bounds are those of a setting in words.
func bounds(low, high float64) string {
	switch {
	case low < 0:
		return "a finite number"
	case high > 1:
		return "a finite number, 0 or more"
	}
	return fmt.Sprintf("%v to %v", low, high)
}
