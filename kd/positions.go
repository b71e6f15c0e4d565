package kd

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"slimlab/kernels"
	"slimlab/model"
)

// Position is what a teacher and a student say at one answer token.
type Position struct {
	Token     int         // its index in the example
	Label     Candidate   // the token that stands there
	Rank      [2]int      // of the label with teacher and student, from 1: the likeliest
	ForwardKL float64     // KL(teacher‖student), in nats
	Top       []Candidate // the likeliest tokens of either, by the teacher's probability, falling
}

// Candidate is a token with its probability under the teacher and under the student.
type Candidate struct {
	Token            int32
	Teacher, Student float64
}

// Positions compares a student with a teacher, both in any weight format, at each answer token of
// an example, over the vocabulary that both have. Top is the union of the top likeliest tokens of
// each; of equal probabilities the lower id comes first. Probabilities that are not finite are an
// error. It notices a cancelled ctx between layers.
func Positions(ctx context.Context, teacher, student *model.Model, e Example, top int) ([]Position, error) {
	vocab := min(student.Vocab, teacher.Vocab)
	var ofTeacher, ofStudent headRows
	var positions []Position
	var bad error
	err := eachAnswerChunk(ctx, []Example{e}, vocab, chunkRows(vocab), []*model.Model{teacher, student}, func(targets []Target, of []states) {
		n := len(targets)
		ofTeacher.gather(of[0], targets)
		ofStudent.gather(of[1], targets)
		p := ofTeacher.multiply(teacher, n, vocab)
		q := ofStudent.multiply(student, n, vocab)
		kernels.LogSoftmax(p, n, vocab)
		kernels.LogSoftmax(q, n, vocab)
		for i, t := range targets {
			one, err := position(t, p[i*vocab:(i+1)*vocab], q[i*vocab:(i+1)*vocab], top)
			if err != nil && bad == nil {
				bad = err
			}
			positions = append(positions, one)
		}
	})
	if err == nil {
		err = bad
	}
	if err == nil && len(positions) == 0 {
		err = noAnswers([]Example{e})
	}
	if err != nil {
		return nil, fmt.Errorf("positions: %w", err)
	}
	return positions, nil
}

// position compares the rows of log-probabilities p and q that predict a token.
func position(t Target, p, q []float32, top int) (Position, error) {
	one := Position{Token: t.Token, Rank: [2]int{rankOf(p, t.Label), rankOf(q, t.Label)}}
	for i := range p {
		if math.IsNaN(float64(p[i])) || math.IsNaN(float64(q[i])) || math.IsInf(float64(q[i]), 0) {
			return one, fmt.Errorf("the log-probabilities of token %d of the example are not all finite", t.Token)
		}
		if share := math.Exp(float64(p[i])); share > 0 {
			one.ForwardKL += share * (float64(p[i]) - float64(q[i]))
		}
	}
	candidate := func(token int32) Candidate {
		return Candidate{token, math.Exp(float64(p[token])), math.Exp(float64(q[token]))}
	}
	one.ForwardKL, one.Label = max(0, one.ForwardKL), candidate(t.Label)
	likeliest := likeliestOf(p, top)
	for _, token := range likeliestOf(q, top) {
		if !slices.Contains(likeliest, token) {
			likeliest = append(likeliest, token)
		}
	}
	for _, token := range likeliest {
		one.Top = append(one.Top, candidate(token))
	}
	slices.SortStableFunc(one.Top, func(a, b Candidate) int {
		return cmp.Or(cmp.Compare(p[b.Token], p[a.Token]), cmp.Compare(a.Token, b.Token))
	})
	return one, nil
}

// rankOf counts the tokens that come before one in a row: the likelier ones, and the lower ids of
// equal ones. The first rank is 1.
func rankOf(row []float32, token int32) int {
	rank := 1
	for i, x := range row {
		if x > row[token] || x == row[token] && i < int(token) {
			rank++
		}
	}
	return rank
}

// likeliestOf lists the n likeliest tokens of a row, the likeliest first.
func likeliestOf(row []float32, n int) []int32 {
	var best []int32
	for i, x := range row {
		if len(best) == n && !(x > row[best[n-1]]) {
			continue
		}
		at := len(best)
		for at > 0 && x > row[best[at-1]] {
			at--
		}
		best = slices.Insert(best, at, int32(i))
		best = best[:min(n, len(best))]
	}
	return best
}
