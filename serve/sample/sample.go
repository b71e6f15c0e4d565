// Package sample chooses the next token from logits. A row's biases are added and its mask is laid
// over it; then come its penalties (repetition, then frequency and presence), the temperature,
// top-k, top-p, and min-p. Top-p counts over what top-k left; min-p compares with the likeliest
// token and so does not depend on what was cut before.
//
// The vocabulary is never sorted. A token is drawn from the weights e^(logit/temperature) and taken
// if the tokens that rank before it, the more probable ones and of equals those with lower ids,
// have less than top-p of the whole, and if it has min-p of the largest weight; else another is
// drawn, after a few failures from what ranks before the last. So each draw is from a set that
// contains what may be chosen, and what is taken is distributed as if that had been sorted out
// first.
//
// The package promises that a choice depends on logits, settings, mask, history and position alone:
// its random numbers are drawn from seed and position, so neither the batch nor the number of
// threads changes one. A setting that keeps all changes no choice. NaN and -Inf are never chosen,
// +Inf is certain.
//
// Log-probabilities are those of the logits as they were given: log-softmax, before biases, masks,
// penalties and temperature.
package sample

import (
	"math"
	"math/rand/v2"
	"sync"

	"slimlab/kernels"
	"slimlab/kernels/parallel"
)

// Row is one choice to make.
type Row struct {
	Logits   []float32 // [vocabulary]; overwritten
	Settings Settings
	Position int      // of the token in its sequence
	Allowed  []uint64 // bit t of it is set where token t may be chosen; nil allows all
	Banned   []int32  // tokens that must not be chosen
	History  *History // what penalties count; nil counts nothing
	LogP     *LogP    // asks for log-probabilities; may be nil
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
	given     []float32 // the logits, where log-probabilities of them are asked for
	work      expBlock
}

func (c *chooser) choose(r *Row) int32 {
	if r.LogP == nil {
		return c.pick(r)
	}
	c.given = append(c.given[:0], r.Logits...)
	token := c.pick(r)
	r.LogP.of(c.given, token, &r.Settings, &c.work)
	return token
}

func (c *chooser) pick(r *Row) int32 {
	r.adjust()
	logits := r.Logits
	if c.all(); r.Allowed != nil {
		logits = c.allow(logits, r.Allowed)
	}
	best := kernels.Argmax(logits)
	switch {
	case best < 0:
		return None
	case math.IsInf(float64(logits[best]), 1), r.Settings.greedy():
		return c.token(best)
	}
	c.weigh(logits, logits[best], r.Settings.Temperature)
	return c.token(c.chosen(r))
}

// chosen draws one of the weighed candidates.
func (c *chooser) chosen(r *Row) int {
	s := &r.Settings
	if s.TopK > 0 {
		c.keepTop(s.TopK)
	}
	c.generator.Seed(s.Seed, uint64(r.Position))
	if s.wholeTopP() && !(s.MinP > 0) {
		return c.draw(c.uniform())
	}
	// What may be outside the nucleus: less than the least probable of its tokens and all after
	// it.
	outside := 0.0
	if !s.wholeTopP() {
		outside = c.total - s.TopP*c.total
	}
	least := float32(s.MinP) // the largest weight is 1
	for draws := 1; ; draws++ {
		i := c.draw(c.uniform())
		if c.weights[i] >= least && c.within(i, outside) {
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

// patience is the number of draws that must not be taken after which what ranks after the last is
// left out: that costs more than a draw.
const patience = 3

// uniform draws from 0 to 1, which is excluded.
func (c *chooser) uniform() float64 { return float64(c.generator.Uint64()>>11) / (1 << 53) }
