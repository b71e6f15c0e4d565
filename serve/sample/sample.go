// Package sample chooses the next token from logits: greedily, or by temperature, top-k and top-p,
// in this order; top-p counts over what top-k left.
//
// Nothing is sorted. A token is drawn from the weights e^(logit/temperature) and taken if the
// tokens that rank before it, the more probable ones and of equals those with lower ids, have less
// than top-p of the whole; else another is drawn, after a few failures from what ranks before the
// last. So each draw is from a set that contains the nucleus, and what is taken is distributed as
// if the nucleus had been sorted out first.
//
// The package promises that a choice depends on logits, settings and position alone: its random
// numbers are drawn from seed and position, so neither the batch nor the number of threads changes
// one. NaN and -Inf are never chosen, +Inf is certain. It leaves out penalties and biases.
package sample

import (
	"math"
	"math/rand/v2"
	"sync"

	"slimlab/kernels"
	"slimlab/kernels/parallel"
)

// Settings choose how the next token is chosen. The zero value is greedy.
type Settings struct {
	Temperature float64 // 0 is greedy
	TopK        int     // the number of tokens to choose from; 0 is all
	TopP        float64 // the share of the most probable to choose from; 0 or 1 is all
	Seed        uint64
}

// greedy reports whether the largest logit is certain.
func (s Settings) greedy() bool { return !(s.Temperature > 0) || s.TopK == 1 }

// Row is one choice to make.
type Row struct {
	Logits   []float32 // [vocabulary]; overwritten
	Settings Settings
	Position int // of the token in its sequence
	// LogP, unless it is nil, receives the log-probability of the chosen token under
	// softmax(logits/temperature), at temperature 1 where the choice is greedy: before top-k and
	// top-p cut anything.
	LogP *float32
}

// None stands for the token of a row that has none: no logit is above -Inf.
const None int32 = -1

// Sampler holds the memory of choices, which it reuses. Use it from one goroutine at a time.
type Sampler struct {
	rows   []Row
	tokens []int32
	each   func(i int) // choose of one row, bound once

	mutex sync.Mutex
	free  []*chooser
}

// Choose writes the token of each row, or None. Rows are worked on in parallel.
func (s *Sampler) Choose(tokens []int32, rows []Row) {
	if s.each == nil {
		s.each = s.choose
	}
	s.tokens, s.rows = tokens, rows
	parallel.For(len(rows), s.each)
	s.tokens, s.rows = nil, nil
}

func (s *Sampler) choose(i int) {
	c := s.get()
	s.tokens[i] = c.choose(&s.rows[i])
	s.put(c)
}

// get returns memory that no other row is using.
func (s *Sampler) get() *chooser {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	n := len(s.free)
	if n == 0 {
		return new(chooser)
	}
	c := s.free[n-1]
	s.free = s.free[:n-1]
	return c
}

func (s *Sampler) put(c *chooser) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.free = append(s.free, c)
}

// chooser is the memory of one choice.
type chooser struct {
	candidates
	generator rand.PCG
}

func (c *chooser) choose(r *Row) int32 {
	best := kernels.Argmax(r.Logits)
	switch {
	case best < 0:
		return None
	case math.IsInf(float64(r.Logits[best]), 1):
		if r.LogP != nil {
			*r.LogP = 0
		}
		return int32(best)
	case r.Settings.greedy():
		if r.LogP != nil {
			c.weigh(r.Logits, r.Logits[best], 1)
			*r.LogP = c.logP(best, c.total)
		}
		return int32(best)
	}
	c.weigh(r.Logits, r.Logits[best], r.Settings.Temperature)
	whole := c.total
	i := c.chosen(r)
	if r.LogP != nil {
		*r.LogP = c.logP(i, whole)
	}
	return c.token(i)
}

// chosen draws one of the weighed candidates.
func (c *chooser) chosen(r *Row) int {
	if k := r.Settings.TopK; k > 0 {
		c.keepTop(k)
	}
	c.generator.Seed(r.Settings.Seed, uint64(r.Position))
	p := r.Settings.TopP
	if !(p > 0 && p < 1) {
		return c.draw(c.uniform())
	}
	// What may be outside the nucleus: less than the least probable of its tokens and all after
	// it.
	outside := c.total - p*c.total
	for draws := 1; ; draws++ {
		i := c.draw(c.uniform())
		if c.within(i, outside) {
			return i
		}
		if draws < patience {
			continue
		}
		if c.first(i) {
			return i // the most probable one, of a nucleus smaller than what is rounded
		}
		outside -= c.keepBefore(i)
	}
}

// patience is the number of draws outside the nucleus after which its complement is left out: that
// costs more than a draw.
const patience = 3

// uniform draws from 0 to 1, which is excluded.
func (c *chooser) uniform() float64 { return float64(c.generator.Uint64()>>11) / (1 << 53) }
