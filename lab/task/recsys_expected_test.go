package task

import (
	"math"
	"slices"
	"strings"
	"testing"

	"slimlab/model/tokenizer"
)

// Every outcome's expectation is the sum of the joint probability of the text over all that the
// text leaves open, that of the candidate is also the test set's ceiling.
func TestExpectedIsThePosteriorOfTheText(t *testing.T) {
	for _, events := range []int{0, 1, 3} {
		r := newRecsys(t, func(c *RecsysConfig) {
			c.Archetypes, c.Events, c.Members, c.Candidates, c.HeldOut = 5, events, 20, 2, 1
		})
		enc := newWordEncoder()
		for i := range 40 {
			e := r.Train(3, i)
			expected, err := r.Expected(e.Tokens)
			if err != nil {
				t.Fatal(err)
			}
			if len(expected) != events+1 {
				t.Fatalf("%d expectations, expected %d", len(expected), events+1)
			}
			p := parsePrompt(t, enc.decode(e.Tokens))
			all := append(p.events, p.candidate)
			for k, got := range expected {
				if !e.Answer[got.At] {
					t.Fatalf("outcome %d is said to be at %d, which is no answer", k, got.At)
				}
				if !slices.Equal(got.Tokens, r.labels) || math.Abs(got.P[0]+got.P[1]-1) > 1e-15 {
					t.Fatalf("outcome %d: tokens %v with probabilities %v", k, got.Tokens, got.P)
				}
				before := parsedPrompt{member: p.member, events: all[:k], candidate: all[k]}
				if want := bruteForce(r.World, before); math.Abs(got.P[0]-want) > 1e-12 {
					t.Fatalf("prompt %d, outcome %d: %v, expected %v", i, k, got.P[0], want)
				}
			}
		}
		for i, c := range r.cases {
			expected, err := r.Expected(append(slices.Clone(c.Prompt), r.labels[1]))
			if err != nil {
				t.Fatal(err)
			}
			if got := expected[events]; got.At != len(c.Prompt) || got.P[0] != c.Ceiling {
				t.Fatalf("case %d: %v, expected %v at %d", i, got, c.Ceiling, len(c.Prompt))
			}
			if open, err := r.Expected(c.Prompt); err != nil || len(open) != events {
				t.Fatalf("case %d without its answer: %d expectations (%v), expected %d", i, len(open), err, events)
			}
		}
	}
}

// Outcomes are drawn with their expectations: the mean of (outcome − p)² / p(1−p) is 1, and nothing
// else predicts them with a lower mean loss.
func TestOutcomesAreDrawnFromTheirExpectations(t *testing.T) {
	r := newRecsys(t, small)
	var z, variance, square, weight float64
	for i := range 4000 {
		e := r.Train(5, i)
		expected, err := r.Expected(e.Tokens)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range expected {
			p, y := x.P[0], 0.0
			if e.Tokens[x.At] == r.labels[0] {
				y = 1
			}
			z, variance = z+y-p, variance+p*(1-p)
			square, weight = square+(y-p)*(y-p), weight+p*(1-p)
		}
	}
	if z /= math.Sqrt(variance); math.Abs(z) > 4 {
		t.Errorf("outcomes differ from their expectations by %.1f standard deviations", z)
	}
	if ratio := square / weight; math.Abs(ratio-1) > 0.02 {
		t.Errorf("squared residuals are %.4f of their expectation, expected 1", ratio)
	}
}

// Words of several tokens, of which one's may begin another's.
func TestExpectedOfWordsOfSeveralTokens(t *testing.T) {
	cfg := DefaultRecsys()
	small(&cfg)
	w, err := NewWorld(cfg)
	if err != nil {
		t.Fatal(err)
	}
	enc, err := tokenizer.Train(slices.Values(w.Corpus(1000)), 330, []string{"<eos>"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewRecsys(cfg, enc)
	if err != nil {
		t.Fatal(err)
	}
	several := 0
	for _, tokens := range r.spaced {
		if len(tokens) > 1 {
			several++
		}
	}
	if several < 10 {
		t.Fatalf("%d words of several tokens: the test tests nothing", several)
	}
	plain := newRecsys(t, small)
	for i := range 100 {
		e := r.Train(2, i)
		got, err := r.Expected(e.Tokens)
		if err != nil {
			t.Fatal(err)
		}
		want, err := plain.Expected(plain.Train(2, i).Tokens)
		if err != nil {
			t.Fatal(err)
		}
		for k := range want {
			if got[k].P[0] != want[k].P[0] || !e.Answer[got[k].At] {
				t.Fatalf("prompt %d, outcome %d: %v, expected %v", i, k, got[k], want[k])
			}
		}
	}
}

func TestExpectedRefusesWhatIsNoPrompt(t *testing.T) {
	r := newRecsys(t, small)
	whole := r.Train(1, 1).Tokens
	generic, err := r.Calibration(Generic, 1)
	if err != nil {
		t.Fatal(err)
	}
	for name, of := range map[string]struct {
		tokens []int32
		want   string
	}{
		"unknown token": {append(slices.Clone(whole[:20]), 9999), "token 9999 at position 20 begins no word"},
		"empty":         {nil, "says nothing of a member"},
		"cut":           {whole[:len(whole)-3], "the prompt ends after"},
		"generic":       {generic[0].Tokens, "expected"},
	} {
		if _, err := r.Expected(of.tokens); err == nil || !strings.Contains(err.Error(), of.want) {
			t.Errorf("%s: error %v, expected one with %q", name, err, of.want)
		}
	}
}
