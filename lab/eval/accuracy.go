package eval

import (
	"fmt"
	"math"

	"slimlab/internal/plural"
	"slimlab/lab/stat"
	"slimlab/lab/task"
)

// choiceMetric is the share of questions whose right choice has the largest score.
type choiceMetric struct {
	name, definition string
	of               func(task.Answer) int // the choice by this score
}

var choiceMetrics = []choiceMetric{
	{"acc", "score Σ log P of the choice's tokens after the question", func(a task.Answer) int { return a.Plain }},
	{"acc_norm", "that ÷ the choice's characters", func(a task.Answer) int { return a.Characters }},
	{"acc_bytes", "that ÷ the choice's bytes", func(a task.Answer) int { return a.Bytes }},
}

// addChoice adds the accuracies of a file of questions.
func (r *run) addChoice(out *Evaluation, index int) {
	c := r.choices[index]
	n := len(c.Questions)
	method := fmt.Sprintf("each the share of questions whose right choice has the largest score, of equal ones the first; %q and a space precede a choice", r.options.Cue)
	guess := 0.0
	for _, q := range c.Questions {
		guess += 1 / float64(len(q.Choices))
	}
	guess /= float64(n)
	for _, metric := range choiceMetrics {
		figure := Figure{File: c.Path, Size: plural.Of(n, "question"), Metric: metric.name, Definition: metric.definition, Method: method, Better: "higher", Guess: guess}
		hits := make([][]bool, len(r.measured))
		for i, m := range r.measured {
			hits[i] = metric.hits(c, m.choices[index].Answers)
			e := accuracy(hits[i])
			e.AtChance = *e.Low <= guess && guess <= *e.High
			figure.Values = append(figure.Values, e)
		}
		if len(hits) == 2 {
			lost, gained, p := stat.McNemar(hits[0], hits[1])
			difference := newEstimate(stat.PairedShares(lost, gained, n), n)
			figure.Difference, figure.P = &difference, &p
			change := AnswerChange{File: c.Path, Metric: metric.name, Questions: n, Lost: lost, Gained: gained}
			for q, before := range r.measured[0].choices[index].Answers {
				if metric.of(before) != metric.of(r.measured[1].choices[index].Answers[q]) {
					change.Changed++
				}
			}
			out.Changes = append(out.Changes, change)
		}
		out.Results = append(out.Results, figure)
	}
	for _, m := range r.measured {
		if cut := m.choices[index].Cut; cut > 0 {
			out.Notes = append(out.Notes, fmt.Sprintf("%s: %d of %s %s longer than the positions of %s and lost the beginning", c.Path, cut, plural.Of(n, "question"), plural.Verb(cut), m.info.Name))
		}
	}
}

// hits says for each question whether the answer is right.
func (m choiceMetric) hits(c *task.Choice, answers []task.Answer) []bool {
	hits := make([]bool, len(answers))
	for q, a := range answers {
		hits[q] = m.of(a) == c.Questions[q].Gold
	}
	return hits
}

// accuracy is the share of hits.
func accuracy(hits []bool) Estimate {
	n, held, values := len(hits), 0, make([]float64, len(hits))
	for q, hit := range hits {
		if hit {
			held++
			values[q] = 1
		}
	}
	e := newEstimate(stat.Wilson(held, n), n)
	if deviation := stat.Deviation(values); n > 1 {
		e.StandardError = pointer(deviation / math.Sqrt(float64(n)))
	}
	return e
}
