package kd

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"slimlab/kernels"
	"slimlab/model"
)

// TestMixtureIsTheWeightedSum: of the teachers' probabilities in float64, by the task of each
// example, for targets in any order.
func TestMixtureIsTheWeightedSum(t *testing.T) {
	const vocab = 61
	models := []*model.Model{tinyModel(t, tinyConfig(vocab, 24), 2), tinyModel(t, tinyConfig(vocab+3, 16), 3), tinyModel(t, tinyConfig(vocab, 8), 4)}
	var teachers []Teacher
	for _, m := range models {
		teachers = append(teachers, inMemory(m))
	}
	weights := [][]float64{{2, 1, 1}, {0, 1, 19}, {0, 0, 5}}
	mixture, err := NewMixture(teachers, weights)
	if err != nil {
		t.Fatal(err)
	}
	examples := tinyExamples(9, vocab, 3)
	r := Reading{Examples: examples, Batch: model.Batch{Starts: []int{0}}}
	var targets []Target
	for i := range examples {
		examples[i].Task = i % 3
		for at := 1; at < len(examples[i].Tokens); at++ {
			targets = append([]Target{{Example: i, Token: at, Row: len(r.Batch.Tokens) + at - 1}}, targets...)
		}
		r.Batch.Tokens = append(r.Batch.Tokens, examples[i].Tokens...)
		r.Batch.Starts = append(r.Batch.Starts, len(r.Batch.Tokens))
	}
	if err := errors.Join(mixture.Prepare(context.Background(), examples), mixture.Read(context.Background(), r)); err != nil {
		t.Fatal(err)
	}
	rows, err := mixture.Rows(targets, vocab)
	if err != nil {
		t.Fatal(err)
	}
	kernels.LogSoftmax(rows.Logits, len(targets), vocab)
	for i, target := range targets {
		e := examples[target.Example]
		want, sum := make([]float64, vocab), 0.0
		for _, w := range weights[e.Task] {
			sum += w
		}
		for k, m := range models {
			hidden := m.Forward(model.Batch{Tokens: e.Tokens, Starts: []int{0, len(e.Tokens)}}, nil)
			for v, lp := range logProbabilities(m, hidden, target.Token-1, vocab, 1) {
				want[v] += weights[e.Task][k] / sum * math.Exp(lp)
			}
		}
		for v := range want {
			if got := float64(rows.Logits[i*vocab+v]); math.Abs(got-math.Log(want[v])) > 1e-4 {
				t.Fatalf("target %d, token %d: log-probability %v, expected %v", i, v, got, math.Log(want[v]))
			}
		}
	}
}

// TestMixtureOfOneTeacher: all the weight on one has its bits, whatever the others say.
func TestMixtureOfOneTeacher(t *testing.T) {
	alone := trained(t, func(*TrainConfig) {})
	mixed := trained(t, func(c *TrainConfig) {
		m, err := NewMixture([]Teacher{c.Teacher, inMemory(tinyModel(t, tinyConfig(61, 8), 9))}, [][]float64{{3, 0}})
		if err != nil {
			t.Fatal(err)
		}
		c.Teacher = m
	})
	if !sameBits(alone, mixed) {
		t.Error("other weights than with the teacher alone")
	}
}

// TestRefusedMixtures: each error says what was found.
func TestRefusedMixtures(t *testing.T) {
	one := []Teacher{inMemory(tinyModel(t, tinyConfig(61, 8), 9))}
	for want, weights := range map[string][][]float64{
		"for 0 tasks": nil, "2 weights of 1 teachers": {{1, 1}}, "weight -1": {{-1}}, "sum is 0": {{1}, {0}}, "weight NaN": {{math.NaN()}},
	} {
		if _, err := NewMixture(one, weights); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
	m, err := NewMixture(one, [][]float64{{1}})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Prepare(context.Background(), []Example{{Task: 1}}); err == nil || !strings.Contains(err.Error(), "example 0 is of task 1") {
		t.Error(err)
	}
}
