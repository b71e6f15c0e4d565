package kd

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"slimlab/model"
)

// TestPositionsAgainstDefinition: of each answer token the divergence, the ranks, the probabilities
// of the label and the likeliest tokens of both are those of sorted float64 distributions, and the
// mean divergence is that of Agreement.
func TestPositionsAgainstDefinition(t *testing.T) {
	const top, vocab = 4, 13
	teacher, student := tinyModel(t, tinyConfig(15, 12), 2), tinyModel(t, tinyConfig(vocab, 8), 1)
	for _, e := range tinyExamples(6, vocab, 34) {
		got, err := Positions(t.Context(), teacher, student, e, top)
		if err != nil {
			t.Fatal(err)
		}
		b := model.Batch{Tokens: e.Tokens, Starts: []int{0, len(e.Tokens)}}
		hidden := [2][]float32{teacher.Forward(b, nil), student.Forward(b, nil)}
		at, mean := 0, 0.0
		for i := range e.Tokens {
			if !e.Answer[i] {
				continue
			}
			one := got[at]
			at++
			logP, logQ := logProbabilities(teacher, hidden[0], i-1, vocab, 1), logProbabilities(student, hidden[1], i-1, vocab, 1)
			kl := 0.0
			for v := range vocab {
				kl += math.Exp(logP[v]) * (logP[v] - logQ[v])
			}
			mean += one.ForwardKL
			label := e.Tokens[i]
			if one.Token != i || one.Label.Token != label || math.Abs(one.ForwardKL-kl) > 1e-5 {
				t.Errorf("position %d: %+v, expected the label %d and KL %v", i, one, label, kl)
			}
			if one.Rank != [2]int{rank64(logP, label), rank64(logQ, label)} {
				t.Errorf("position %d: ranks %v", i, one.Rank)
			}
			want := sorted64(logP)[:top]
			for _, v := range sorted64(logQ)[:top] {
				if !slices.Contains(want, v) {
					want = append(want, v)
				}
			}
			slices.SortFunc(want, func(a, b int32) int { return cmp.Compare(logP[b], logP[a]) })
			var tokens []int32
			for _, c := range append(slices.Clone(one.Top), one.Label) {
				if math.Abs(c.Teacher-math.Exp(logP[c.Token])) > 1e-5 || math.Abs(c.Student-math.Exp(logQ[c.Token])) > 1e-5 {
					t.Errorf("position %d: %+v, expected %v and %v", i, c, math.Exp(logP[c.Token]), math.Exp(logQ[c.Token]))
				}
				tokens = append(tokens, c.Token)
			}
			if !slices.Equal(tokens[:len(tokens)-1], want) {
				t.Errorf("position %d: likeliest %v, expected %v", i, tokens[:len(tokens)-1], want)
			}
		}
		f, err := Agreement(t.Context(), teacher, student, []Example{e})
		if err != nil || at != len(got) || math.Abs(mean/float64(at)-f.ForwardKL) > 1e-5 {
			t.Errorf("%d positions with the mean %v, expected %d with %v; %v", len(got), mean/float64(at), at, f.ForwardKL, err)
		}
	}
}

// sorted64 lists tokens from the likeliest on.
func sorted64(logP []float64) []int32 {
	tokens := make([]int32, len(logP))
	for i := range tokens {
		tokens[i] = int32(i)
	}
	slices.SortStableFunc(tokens, func(a, b int32) int { return cmp.Compare(logP[b], logP[a]) })
	return tokens
}

func rank64(logP []float64, token int32) int { return slices.Index(sorted64(logP), token) + 1 }

// TestPositionsOfAModelAndItself: the divergence is 0 everywhere, and more tokens than the
// vocabulary has are all of them, once.
func TestPositionsOfAModelAndItself(t *testing.T) {
	m := tinyModel(t, tinyConfig(13, 8), 1)
	got, err := Positions(t.Context(), m, m, tinyExamples(1, 13, 35)[0], 50)
	if err != nil || len(got) == 0 {
		t.Fatal(got, err)
	}
	for _, one := range got {
		sum := 0.0
		for _, c := range one.Top {
			sum += c.Teacher
		}
		if one.ForwardKL != 0 || len(one.Top) != 13 || one.Rank[0] != one.Rank[1] || math.Abs(sum-1) > 1e-5 {
			t.Errorf("%+v, of which the probabilities add up to %v", one, sum)
		}
	}
}

func TestPositionsBadInput(t *testing.T) {
	m := tinyModel(t, tinyConfig(13, 8), 1)
	for _, e := range []Example{{}, {Tokens: []int32{1, 2}, Answer: make([]bool, 2)}, {Tokens: []int32{1, 13}, Answer: []bool{false, true}}} {
		if _, err := Positions(t.Context(), m, m, e, 3); err == nil {
			t.Errorf("%v is accepted", e)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Positions(ctx, m, m, tinyExamples(1, 13, 35)[0], 3); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v", err)
	}
	broken := tinyModel(t, tinyConfig(13, 8), 1)
	broken.FinalNorm[0] = float32(math.NaN())
	broken.Changed()
	if _, err := Positions(t.Context(), m, broken, tinyExamples(1, 13, 35)[0], 3); err == nil {
		t.Error("probabilities that are no numbers are no error")
	}
}
