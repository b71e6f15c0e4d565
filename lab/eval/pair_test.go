package eval

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"slimlab/kernels"
	"slimlab/lab/recipe"
	"slimlab/lab/task"
	"slimlab/model"
)

// smallSource is tinySource with another vocabulary, which has fewer rows than the other's.
func smallSource(t *testing.T, vocab int) Source {
	s := tinySource(t, "small", 8, "<bos>")
	load := s.Load
	s.Load = func(ctx context.Context) (*Model, error) {
		m, err := load(ctx)
		if err != nil {
			return nil, err
		}
		small := tinyModel(t, vocab)
		small.Init(rand.New(rand.NewPCG(8, 8)))
		return &Model{Model: small, Tokenizer: m.Tokenizer, Stored: 1, Cache: kernels.KVFloat32, Generate: m.Generate}, nil
	}
	return s
}

// distributions are those after each token of a sequence but the last, over the first vocab tokens,
// in float64.
func distributions(m *model.Model, tokens []int32, vocab int) [][]float64 {
	n := len(tokens) - 1
	logits := make([]float32, n*m.Vocab)
	m.Logits(logits, m.Forward(model.Batch{Tokens: tokens[:n], Starts: []int{0, n}}, nil), n)
	out := make([][]float64, n)
	for i := range out {
		row, sum := logits[i*m.Vocab:i*m.Vocab+vocab], 0.0
		for _, v := range row {
			sum += math.Exp(float64(v))
		}
		for _, v := range row {
			out[i] = append(out[i], float64(v)-math.Log(sum))
		}
	}
	return out
}

func likeliest(p []float64) int32 { return int32(slices.Index(p, slices.Max(p))) }

// TestBehaviourAgainstNaive: the figures of a text are those of both models' distributions, one
// window at a time in float64, over the tokens that both have, with states of all predictions and
// of some.
func TestBehaviourAgainstNaive(t *testing.T) {
	content := strings.Repeat(sentences, 90)
	text := write(t, "text.txt", content)
	a := tinySource(t, "a", 5, "<bos>")
	for name, c := range map[string]struct {
		second Source
		vocab  int
		states int
	}{
		"equal vocabularies": {tinySource(t, "b", 6, "<bos>"), 320, 0},
		"a smaller one":      {smallSource(t, 304), 304, 0},
		"a larger one":       {smallSource(t, 330), 320, 0},
		"part of the states": {tinySource(t, "b", 6, "<bos>"), 320, 200 * 32 * 4},
	} {
		r, err := Run(t.Context(), []Source{a, c.second}, Options{Texts: []string{text}, Window: 20, states: c.states})
		if err != nil {
			t.Fatal(err)
		}
		p, _ := a.Load(t.Context())
		q, _ := c.second.Load(t.Context())
		tokens := slices.Concat(p.Tokenizer.EncodeSpecial(""), p.Tokenizer.Encode(content))
		var kl []float64
		lost, won, same, all := 0, 0, 0, 0
		for at := 0; at+20 <= len(tokens); at += 20 {
			window := tokens[at : at+20]
			ofP, ofQ := distributions(p.Model, window, c.vocab), distributions(q.Model, window, c.vocab)
			for i := range ofP {
				if all++; c.states > 0 && all > 200 {
					continue
				}
				var d float64
				for v := range ofP[i] {
					d += math.Exp(ofP[i][v]) * (ofP[i][v] - ofQ[i][v])
				}
				kl = append(kl, d)
				its, mine, right := likeliest(ofP[i]), likeliest(ofQ[i]), window[i+1]
				if its == mine {
					same++
				}
				if its == right && mine != right {
					lost++
				}
				if mine == right && its != right {
					won++
				}
			}
		}
		if all <= passTokens {
			t.Fatalf("%d predictions are one pass, and states of several are to be in order", all)
		}
		n := float64(len(kl))
		if len(r.Behaviour) != 1 {
			t.Fatalf("%s: %d texts are compared", name, len(r.Behaviour))
		}
		b := r.Behaviour[0]
		if b.Compared != len(kl) || b.Of != all || b.LostCount != lost || b.WonCount != won || lost+won == 0 {
			t.Errorf("%s: %+v, expected %d of %d, %d lost and %d won", name, b, len(kl), all, lost, won)
		}
		var sum float64
		for _, d := range kl {
			sum += d
		}
		slices.Sort(kl)
		near(t, name+" KL", b.KL.Value, sum/n)
		rank := 0.99 * (n - 1)
		low := int(rank)
		near(t, name+" P99", b.P99.Value, kl[low]+(rank-float64(low))*(kl[low+1]-kl[low]))
		near(t, name+" agreement", b.Agreement.Value, float64(same)/n)
		near(t, name+" flips", b.Flips.Value, 1-float64(same)/n)
	}
}

// TestBehaviourOfChoices: questions are decided by acc_norm, as the counted changes are, and KL is
// of the distributions over choices.
func TestBehaviourOfChoices(t *testing.T) {
	choice := write(t, "choice.jsonl", strings.Repeat(questions, 4))
	a, b := tinySource(t, "a", 5, "<bos>"), tinySource(t, "b", 6, "<bos>")
	r, err := Run(t.Context(), []Source{a, b}, Options{Choices: []string{choice}, Cue: task.DefaultCue})
	if err != nil {
		t.Fatal(err)
	}
	of, change := r.Behaviour[0], r.Changes[1]
	if change.Metric != "acc_norm" || of.LostCount != change.Lost || of.WonCount != change.Gained || of.Flips.Value != float64(change.Changed)/12 || of.Unit != "questions" || of.P != *find(t, r, "acc_norm").P {
		t.Errorf("%+v, changes %+v", of, change)
	}
	if !(of.KL.Value > 0) || of.Compared != 12 {
		t.Errorf("%+v", of)
	}
	for _, c := range []struct {
		p, q []float64
		want float64
	}{
		{[]float64{-3, -3}, []float64{-900, -900}, 0},
		{[]float64{math.Log(0.5), math.Log(0.5)}, []float64{math.Log(0.25), math.Log(0.75)}, 0.5*math.Log(2) + 0.5*math.Log(2.0/3)},
	} {
		if got := choiceKL(c.p, c.q); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("KL of %v and %v is %v, expected %v", c.p, c.q, got, c.want)
		}
	}
	near(t, "the guess", find(t, r, "acc").Guess, (1.0/3+1.0/3+1.0/2)/3)
}

// TestAtChance: an accuracy whose interval includes that of a guess is marked, one beyond is not.
func TestAtChance(t *testing.T) {
	for right, want := range map[int]bool{0: false, 10: true, 50: false} {
		c := &task.Choice{}
		answers := make([]task.Answer, 50)
		for q := range answers {
			c.Questions = append(c.Questions, task.Question{Choices: make([]string, 4)})
			if q >= right {
				answers[q] = task.Answer{Plain: 1, Characters: 1, Bytes: 1}
			}
		}
		r := &run{choices: []*task.Choice{c}, measured: []*measured{{choices: []*choiceScores{{Answers: answers}}}}}
		var out Evaluation
		r.addChoice(&out, 0)
		if e := out.Results[0]; e.Guess != 0.25 || e.Values[0].AtChance != want {
			t.Errorf("%d of 50 right: %+v", right, e)
		}
	}
}

// TestPairsAreKept: what was compared is found again with neither model loaded; another baseline is
// compared anew, for which both are loaded; and models of other tokens are compared in nothing, for
// which the baseline is measured once.
func TestPairsAreKept(t *testing.T) {
	text := write(t, "text.txt", strings.Repeat(sentences, 20))
	loads := map[string]int{}
	source := func(name string, seed uint64, bos string) Source {
		s := tinySource(t, name, seed, bos)
		load := s.Load
		s.Load = func(ctx context.Context) (*Model, error) { loads[name]++; return load(ctx) }
		s.Recipe = func(context.Context) (recipe.Recipe, error) { return recipe.Recipe{Stage: "content of " + name}, nil }
		return s
	}
	a, b, c, d := source("a", 5, "<bos>"), source("b", 6, "<bos>"), source("c", 7, ""), source("d", 9, "<bos>")
	o := Options{Texts: []string{text}, Store: memory{}}
	for _, step := range []struct {
		models   []Source
		loads    map[string]int
		compared int
	}{
		{[]Source{a}, map[string]int{"a": 1}, 0},
		{[]Source{a, b}, map[string]int{"a": 1, "b": 1}, 1}, // a's states are not kept
		{[]Source{a, b}, map[string]int{}, 1},
		{[]Source{d, b}, map[string]int{"d": 1, "b": 1}, 1},
		{[]Source{a, c}, map[string]int{"a": 1, "c": 1}, 0},
		{[]Source{a, c}, map[string]int{}, 0},
	} {
		clear(loads)
		r, err := Run(t.Context(), step.models, o)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Behaviour) != step.compared {
			t.Errorf("%s: %d texts are compared, expected %d", step.models[len(step.models)-1].Name, len(r.Behaviour), step.compared)
		}
		for _, name := range []string{"a", "b", "c", "d"} {
			if loads[name] != step.loads[name] {
				t.Errorf("%s beside %s: %s was loaded %d times, expected %d", step.models[len(step.models)-1].Name, step.models[0].Name, name, loads[name], step.loads[name])
			}
		}
	}
}
