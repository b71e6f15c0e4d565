package load

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Lengths are drawn evenly from Mean·(1 − Range) to Mean·(1 + Range), rounded, and at least 1: as
// vLLM's random data set does.
type Lengths struct {
	Mean  int
	Range float64 // from 0 to 1
}

// maxLength bounds what is drawn.
const maxLength = 1 << 24

func (l Lengths) check(of string) error {
	switch {
	case l.Mean < 1 || l.Mean > maxLength:
		return fmt.Errorf("load: found %s of %d tokens, expected 1 to %d", of, l.Mean, maxLength)
	case !(l.Range >= 0 && l.Range <= 1):
		return fmt.Errorf("load: found a range ratio of %v of %s, expected 0 to 1", l.Range, of)
	}
	return nil
}

func (l Lengths) draw(rng *rand.Rand) int {
	low := max(1, int(math.Round(float64(l.Mean)*(1-l.Range))))
	return low + rng.IntN(l.most()-low+1)
}

// most is the largest length.
func (l Lengths) most() int { return max(1, int(math.Round(float64(l.Mean)*(1+l.Range)))) }

// Random has prompts that share nothing, and answers of fixed lengths.
type Random struct {
	Number        int
	Input, Output Lengths
	Vocabulary    int
	Seed          uint64
}

// Workload checks r.
func (r Random) Workload() (Workload, error) {
	if err := checkCount("requests", r.Number); err != nil {
		return nil, err
	}
	if err := r.Input.check("prompts"); err != nil {
		return nil, err
	}
	if err := r.Output.check("answers"); err != nil {
		return nil, err
	}
	if err := checkVocabulary(r.Vocabulary); err != nil {
		return nil, err
	}
	return Singles{r.Number, func(i int) Request {
		lengths := stream(r.Seed, lengthStream, i)
		in, out := r.Input.draw(lengths), r.Output.draw(lengths)
		return Request{Prompt: drawTokens(make([]int32, 0, in), r.Seed, promptStream, i, in, r.Vocabulary), MaxTokens: out, IgnoreEnd: true}
	}}, nil
}

// SharedPrefix has groups of prompts that begin alike: a system prompt of the group, then a
// question of their own. How many prompts find their prefix cached depends on the order in which
// they come.
type SharedPrefix struct {
	Groups, Each             int // prompts of a group; of Zipf on average
	System, Question, Output int // tokens
	Order                    Order
	Skew                     float64 // of Zipf
	Vocabulary               int
	Seed                     uint64
}

// Workload checks s.
func (s SharedPrefix) Workload() (Workload, error) {
	if err := checkCount("groups and prompts of each", s.Groups, s.Each); err != nil {
		return nil, err
	}
	if s.System < 0 || s.Question < 0 || s.System+s.Question < 1 || s.Output < 1 || max(s.System, s.Question, s.Output) > maxLength {
		return nil, fmt.Errorf("load: found system prompts of %d tokens, questions of %d and answers of %d, expected prompts and answers of 1 to %d", s.System, s.Question, s.Output, maxLength)
	}
	if err := checkOrder(s.Order, s.Skew); err != nil {
		return nil, err
	}
	if err := checkVocabulary(s.Vocabulary); err != nil {
		return nil, err
	}
	order := newOrder(s.Order, s.Groups, s.Each, s.Skew, s.Seed)
	return Singles{s.Groups * s.Each, func(i int) Request {
		prompt := make([]int32, 0, s.System+s.Question)
		prompt = drawTokens(prompt, s.Seed, prefixStream, order.at(i), s.System, s.Vocabulary)
		prompt = drawTokens(prompt, s.Seed, promptStream, i, s.Question, s.Vocabulary)
		return Request{Prompt: prompt, MaxTokens: s.Output, IgnoreEnd: true}
	}}, nil
}
