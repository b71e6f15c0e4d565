package task

import (
	"regexp"
	"slices"
	"strings"

	"slimlab/lab/stat"
)

// Match is how an answer that a model wrote agrees with the right one, as the script of SQuAD
// compares the two (Rajpurkar et al. 2016): in lower case, without ASCII punctuation and without
// the words a, an and the.
type Match struct {
	Exact bool    `json:"exact"` // the words are the same
	F1    float64 `json:"f1"`    // harmonic mean of the shares of each one's words that the other has
}

// NewMatch compares an answer with the right one. Where one of them has no words, F1 is 1 if the
// other has none either, else 0.
func NewMatch(answer, right string) Match {
	its, want := answerWords(answer), answerWords(right)
	m := Match{Exact: slices.Equal(its, want)}
	if len(its) == 0 || len(want) == 0 {
		if m.Exact {
			m.F1 = 1
		}
		return m
	}
	left := map[string]int{}
	for _, w := range want {
		left[w]++
	}
	common := 0
	for _, w := range its {
		if left[w] > 0 {
			left[w]--
			common++
		}
	}
	m.F1 = 2 * float64(common) / float64(len(its)+len(want))
	return m
}

var articles = regexp.MustCompile(`\b(a|an|the)\b`)

// answerWords are the words of an answer that are compared.
func answerWords(text string) []string {
	text = strings.Map(func(r rune) rune {
		if strings.ContainsRune("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", r) {
			return -1
		}
		return r
	}, strings.ToLower(text))
	return strings.Fields(articles.ReplaceAllString(text, " "))
}

// MatchFigures are figures of answers, with 95% intervals and what each answer does to them.
type MatchFigures struct {
	Exact Figure // share, with Wilson's interval
	F1    Figure // mean, with an interval by resampling answers
}

// Matches sums up answers to so many records of unit, such as "test records".
func Matches(all []Match, unit string) MatchFigures {
	d := Decisions{Units: len(all), Unit: unit}
	exact, f1 := make([]bool, len(all)), make([]float64, len(all))
	for i, m := range all {
		exact[i], f1[i] = m.Exact, m.F1
		d.Group = append(d.Group, i)
	}
	mean := stat.Mean(f1)
	influence := make([]float64, len(all))
	for i, x := range f1 {
		influence[i] = (x - mean) / float64(len(f1))
	}
	resampled := stat.Resample(len(all), replicates, stream(splitBootstrap), func(count []float64) []float64 {
		sum := 0.0
		for i, n := range count {
			sum += n * f1[i]
		}
		return []float64{sum / float64(len(f1))}
	})
	return MatchFigures{Exact: d.Share(exact), F1: Figure{measuresOf(resampled, unit)[0], influence}}
}

// Accuracy is the share of prompts of which the right answer has the higher score, with Wilson's
// interval for prompts in groups. Equal scores tell nothing, and are wrong.
func (a *Answers) Accuracy(score []float64) (Figure, error) {
	if err := a.check(score); err != nil {
		return Figure{}, err
	}
	d := Decisions{Group: a.Group, Units: a.Groups, Unit: "test " + a.Unit}
	right := make([]bool, len(score))
	for i, yes := range a.Yes {
		right[i] = score[i] > 0 && yes || score[i] < 0 && !yes
	}
	return d.Share(right), nil
}

// Commoner is the share of prompts that have the answer which more of them have: the accuracy of a
// guess.
func (a *Answers) Commoner() float64 {
	yes := 0
	for _, y := range a.Yes {
		if y {
			yes++
		}
	}
	return float64(max(yes, len(a.Yes)-yes)) / float64(len(a.Yes))
}
