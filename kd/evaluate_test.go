package kd

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"slimlab/model"
)

func TestLossAgainstDefinition(t *testing.T) {
	m := tinyModel(t, tinyConfig(13, 8), 1)
	examples := tinyExamples(9, 13, 31)
	got, tokens, err := Loss(t.Context(), m, examples)
	if err != nil {
		t.Fatal(err)
	}
	n := countAll(examples)
	want, unshifted := bruteObjective(Objective{}, m, nil, examples, 1), bruteObjective(Objective{}, m, nil, examples, 0)
	if float64(tokens) != n.answers || math.Abs(got-want) > 1e-5*want {
		t.Errorf("loss %v over %d tokens, want %v over %v", got, tokens, want, n.answers)
	}
	if math.Abs(got-unshifted) < 1e-3 {
		t.Errorf("loss %v does not distinguish shifted labels from unshifted (%v)", got, unshifted)
	}
}

func TestAgreementAgainstDefinition(t *testing.T) {
	teacher, student := tinyModel(t, tinyConfig(15, 12), 2), tinyModel(t, tinyConfig(13, 8), 1)
	examples := tinyExamples(9, 13, 32)
	got, err := Agreement(t.Context(), teacher, student, examples)
	if err != nil {
		t.Fatal(err)
	}
	var same, tokens int
	var right [2][]bool
	for _, e := range examples {
		b := model.Batch{Tokens: e.Tokens, Starts: []int{0, len(e.Tokens)}}
		p, q := teacher.Forward(b, nil), student.Forward(b, nil)
		for t := range e.Tokens {
			if e.Answer[t] {
				its, mine := argmax64(logProbabilities(teacher, p, t-1, 13, 1)), argmax64(logProbabilities(student, q, t-1, 13, 1))
				if its == mine {
					same++
				}
				right[0], right[1] = append(right[0], its == int(e.Tokens[t])), append(right[1], mine == int(e.Tokens[t]))
				tokens++
			}
		}
	}
	want := bruteObjective(Objective{Divergence: ForwardKL}, student, teacher, examples, 1)
	if got.Tokens != tokens || got.Top1 != float64(same)/float64(tokens) || math.Abs(got.ForwardKL-want) > 1e-5*want {
		t.Errorf("%+v, want %d of %d and %v", got, same, tokens, want)
	}
	if !slices.Equal(got.TeacherRight, right[0]) || !slices.Equal(got.StudentRight, right[1]) {
		t.Errorf("right are %v and %v, want %v", got.TeacherRight, got.StudentRight, right)
	}
	if got.Top1 == 1 || !slices.Contains(right[0], true) || !slices.Contains(right[1], true) {
		t.Error("unlike models agree everywhere: nothing was tested")
	}
	itself, err := Agreement(t.Context(), teacher, teacher, examples)
	if err != nil || itself.Top1 != 1 || itself.ForwardKL != 0 {
		t.Errorf("a model against itself: %+v, %v", itself, err)
	}
}

// TestEvaluationOfTokens: the losses and matches of the tokens are those of each example by itself,
// in order, and their means are those of all.
func TestEvaluationOfTokens(t *testing.T) {
	teacher, m := tinyModel(t, tinyConfig(15, 12), 2), tinyModel(t, tinyConfig(13, 8), 1)
	examples := tinyExamples(9, 13, 33)
	mean, losses, err := TokenLosses(t.Context(), m, examples)
	if err != nil {
		t.Fatal(err)
	}
	whole, tokens, err := Loss(t.Context(), m, examples)
	if err != nil || whole != mean || tokens != len(losses) {
		t.Fatalf("a mean of %v over %d tokens, expected %v over %d; %v", mean, len(losses), whole, tokens, err)
	}
	f, err := Agreement(t.Context(), teacher, m, examples)
	if err != nil || len(f.Same) != tokens {
		t.Fatalf("%d matches, expected %d; %v", len(f.Same), tokens, err)
	}
	at := 0
	for i, e := range examples {
		_, own, err := TokenLosses(t.Context(), m, []Example{e})
		if err != nil {
			continue // no answer in it
		}
		alone, err := Agreement(t.Context(), teacher, m, []Example{e})
		if err != nil {
			t.Fatal(err)
		}
		for k, want := range own {
			if math.Abs(float64(losses[at]-want)) > 1e-5 || f.Same[at] != alone.Same[k] {
				t.Errorf("token %d of example %d: loss %v and match %t, expected %v and %t", k, i, losses[at], f.Same[at], want, alone.Same[k])
			}
			at++
		}
	}
	if at != tokens {
		t.Errorf("%d tokens of single examples, expected %d", at, tokens)
	}
}

func argmax64(x []float64) int {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return best
}

func TestEvaluationBadInput(t *testing.T) {
	m := tinyModel(t, tinyConfig(13, 8), 1)
	for _, examples := range [][]Example{
		nil, {{Tokens: []int32{1, 2}, Answer: make([]bool, 2)}}, {{Tokens: []int32{1, 13}, Answer: []bool{false, true}}}, {{Tokens: []int32{1}, Answer: []bool{true}}}, {{Answer: []bool{true}}},
	} {
		if _, _, err := Loss(t.Context(), m, examples); err == nil {
			t.Errorf("Loss accepts %v", examples)
		}
		if _, err := Agreement(t.Context(), m, m, examples); err == nil {
			t.Errorf("Agreement accepts %v", examples)
		}
	}
}

// TestEvaluationHearsItsContext: a context that ends between two chunks of answers ends the
// evaluation before the next chunk; one that has ended before sees none.
func TestEvaluationHearsItsContext(t *testing.T) {
	m, examples := tinyModel(t, tinyConfig(13, 8), 1), tinyExamples(9, 13, 31)
	for _, last := range []int{0, 1, 2} {
		ctx, cancel := context.WithCancel(t.Context())
		if last == 0 {
			cancel()
		}
		chunks := 0
		err := eachAnswerChunk(ctx, examples, 13, 2, []*model.Model{m}, func([]Target, []states) {
			if chunks++; chunks == last {
				cancel()
			}
		})
		if cancel(); !errors.Is(err, context.Canceled) || chunks != last {
			t.Errorf("the context ended after chunk %d: %d chunks, error %v", last, chunks, err)
		}
	}
}
