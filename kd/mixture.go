package kd

import (
	"context"
	"fmt"
	"math"

	"slimlab/kernels"
	"slimlab/model"
)

// Mixture is several teachers as one: p = Σ w·p of each, with weights by an example's task. It
// needs whole rows of each. A task whose weight is all one teacher's has the rows of that teacher,
// bit for bit; a teacher without weight is not asked about a task's examples.
type Mixture struct {
	teachers []Teacher
	weights  [][]float64 // of each task and teacher; those of a task add up to 1
	parts    []mixturePart
	rows     []float32
	logP     []float32 // of the teacher that is being added, [its targets, vocab]
	mixed    []float64 // the weights of the teachers that a row has
	at       []int     // rows of the mixture
	share    []float32 // of what they have, beside the teacher that is being added
}

// mixturePart is what one teacher reads of a pass.
type mixturePart struct {
	reading Reading
	of      []int    // its example of each of the pass; −1 is none
	shift   []int    // from a row of the pass to its own, by example of the pass
	targets []Target // of a call of Rows
	at      []int    // their numbers there
}

// NewMixture returns a teacher of several different ones, with weights [task][teacher], finite and
// not negative, which it divides by each task's sum.
func NewMixture(teachers []Teacher, weights [][]float64) (*Mixture, error) {
	m := &Mixture{teachers: teachers, parts: make([]mixturePart, len(teachers))}
	if len(teachers) == 0 || len(weights) == 0 {
		return nil, fmt.Errorf("mixture of %d teachers for %d tasks, expected at least one of each", len(teachers), len(weights))
	}
	for task, list := range weights {
		if len(list) != len(teachers) {
			return nil, fmt.Errorf("task %d: %d weights of %d teachers", task, len(list), len(teachers))
		}
		var sum float64
		for k, w := range list {
			if !(w >= 0) || math.IsInf(w, 0) {
				return nil, fmt.Errorf("task %d: weight %v of teacher %d, expected a finite number, 0 or more", task, w, k)
			}
			sum += w
		}
		if !(sum > 0) || math.IsInf(sum, 0) {
			return nil, fmt.Errorf("task %d: the weights' sum is %v, expected a finite number above 0", task, sum)
		}
		divided := make([]float64, len(list))
		for k, w := range list {
			divided[k] = w / sum
		}
		m.weights = append(m.weights, divided)
	}
	return m, nil
}

// Vocab is the vocabulary that all of them have.
func (m *Mixture) Vocab() int {
	vocab := m.teachers[0].Vocab()
	for _, t := range m.teachers[1:] {
		vocab = min(vocab, t.Vocab())
	}
	return vocab
}

// Positions is the longest sequence that all of them can read.
func (m *Mixture) Positions() (least int) {
	for _, t := range m.teachers {
		if p := t.Positions(); p > 0 && (least == 0 || p < least) {
			least = p
		}
	}
	return least
}

// CheckObjective asks each teacher.
func (m *Mixture) CheckObjective(o Objective) error {
	for k, t := range m.teachers {
		if checker, ok := t.(ObjectiveChecker); ok {
			if err := checker.CheckObjective(o); err != nil {
				return fmt.Errorf("teacher %d of the mixture: %w", k, err)
			}
		}
	}
	return nil
}

// Prepare tells each teacher its examples.
func (m *Mixture) Prepare(ctx context.Context, examples []Example) error {
	for i := range examples {
		if task := examples[i].Task; task < 0 || task >= len(m.weights) {
			return fmt.Errorf("example %d is of task %d, and the mixture has weights of %d tasks, from 0", i, task, len(m.weights))
		}
	}
	for k, t := range m.teachers {
		var own []Example
		for i := range examples {
			if m.weights[examples[i].Task][k] > 0 {
				own = append(own, examples[i])
			}
		}
		if err := t.Prepare(ctx, own); err != nil {
			return fmt.Errorf("teacher %d of the mixture: %w", k, err)
		}
	}
	return nil
}

// Read gives each teacher its part of a pass.
func (m *Mixture) Read(ctx context.Context, r Reading) error {
	for k, t := range m.teachers {
		p := &m.parts[k]
		p.take(r, func(e *Example) bool { return m.weights[e.Task][k] > 0 })
		if len(p.reading.Examples) == 0 {
			continue
		}
		if err := t.Read(ctx, p.reading); err != nil {
			return fmt.Errorf("teacher %d of the mixture: %w", k, err)
		}
	}
	return nil
}

// take makes a reading of the examples that a teacher has weight for.
func (p *mixturePart) take(r Reading, has func(*Example) bool) {
	own := &p.reading
	own.Examples, p.of, p.shift = own.Examples[:0], p.of[:0], p.shift[:0]
	own.Batch = model.Batch{Tokens: own.Batch.Tokens[:0], Starts: append(own.Batch.Starts[:0], 0)}
	for i := range r.Examples {
		if !has(&r.Examples[i]) {
			p.of, p.shift = append(p.of, -1), append(p.shift, 0)
			continue
		}
		from, to := r.Batch.Starts[i], r.Batch.Starts[i+1]
		p.of, p.shift = append(p.of, len(own.Examples)), append(p.shift, len(own.Batch.Tokens)-from)
		own.Examples = append(own.Examples, r.Examples[i])
		own.Batch.Tokens = append(own.Batch.Tokens, r.Batch.Tokens[from:to]...)
		own.Batch.Starts = append(own.Batch.Starts, len(own.Batch.Tokens))
	}
}

// Rows returns the logarithms of the mixture's probabilities.
func (m *Mixture) Rows(targets []Target, vocab int) (Rows, error) {
	rows := sized(&m.rows, len(targets)*vocab)
	mixed := sized(&m.mixed, len(targets))
	clear(mixed)
	for k, t := range m.teachers {
		p := &m.parts[k]
		p.choose(targets)
		if len(p.targets) == 0 {
			continue
		}
		of, err := t.Rows(p.targets, vocab)
		switch {
		case err != nil:
			return Rows{}, fmt.Errorf("teacher %d of the mixture: %w", k, err)
		case of.Logits == nil:
			return Rows{}, fmt.Errorf("teacher %d of the mixture gives lists or groups of tokens, and a mixture needs whole rows", k)
		}
		m.add(rows, mixed, k, of.Logits, vocab)
	}
	return Rows{Logits: rows}, nil
}

// add mixes a teacher's logits of its targets into rows, of which others have the weights mixed.
func (m *Mixture) add(rows []float32, mixed []float64, teacher int, logits []float32, vocab int) {
	p := &m.parts[teacher]
	logP := sized(&m.logP, len(logits))
	at, share, n := m.at[:0], m.share[:0], 0
	for j, i := range p.at {
		weight := m.weights[p.reading.Examples[p.targets[j].Example].Task][teacher]
		into, from := rows[i*vocab:(i+1)*vocab], logits[j*vocab:(j+1)*vocab]
		if weight == 1 { // its own bits
			copy(into, from)
			continue
		}
		copy(logP[n*vocab:(n+1)*vocab], from)
		n++
		at, share = append(at, i), append(share, float32(mixed[i]/(mixed[i]+weight)))
		mixed[i] += weight
	}
	m.at, m.share = at, share
	kernels.LogSoftmax(logP[:n*vocab], n, vocab)
	kernels.MixLogs(rows, logP[:n*vocab], at, share, vocab)
}

// choose finds the targets in a part's examples.
func (p *mixturePart) choose(targets []Target) {
	p.targets, p.at = p.targets[:0], p.at[:0]
	for i, t := range targets {
		if own := p.of[t.Example]; own >= 0 {
			t.Row += p.shift[t.Example]
			t.Example = own
			p.targets, p.at = append(p.targets, t), append(p.at, i)
		}
	}
}
