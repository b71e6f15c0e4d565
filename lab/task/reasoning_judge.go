package task

import (
	"fmt"
	"slices"
	"strings"

	"slimlab/lab"
	"slimlab/lab/stat"
)

// Verdict is what holds of a generated answer to a test problem.
type Verdict struct {
	Right bool // it ends in the right value, as an answer does, and says no other
	Ended bool // with the end token
	Steps int  // of the problem
	// Held counts the steps that are written and hold, each once: the quantity's operation on its
	// operands' true values and its true value, after the steps that it needs.
	Held int
}

// Judge judges the text of an answer to a test problem, without its end token. Text that is no
// answer at all is an answer that is not right. It panics when there is no such problem.
func (r *Reasoning) Judge(i int, text string, ended bool) Verdict {
	if i < 0 || i >= r.cfg.Problems {
		panic(fmt.Sprintf("reasoning: problem %d of %d", i, r.cfg.Problems))
	}
	_, p := r.answered(splitTest, uint64(i))
	return p.judge(text, ended)
}

func (p problem) judge(text string, ended bool) Verdict {
	words := strings.Fields(text)
	v := Verdict{Steps: len(p.steps), Ended: ended}
	if n := len(words) - closingWords; n >= 0 && ended {
		end := words[n:]
		v.Right = slices.Contains(conclusions, end[0]) && end[1] == "the" && slices.Contains(answerNouns, end[2]) &&
			end[3] == "is" && end[4] == valueWords[p.answer()] && !slices.ContainsFunc(words[:n], func(w string) bool { return slices.Contains(conclusions, w) })
	}
	done := 0
	for len(words) > 0 {
		at, length := p.step(words)
		if at >= 0 && done>>at&1 == 0 && !p.waits(at, done) {
			done |= 1 << at
			v.Held++
			words = words[length:]
			continue
		}
		words = words[1:] // to the next opening
		for len(words) > 0 && !slices.Contains(openings, words[0]) {
			words = words[1:]
		}
	}
	return v
}

// step finds the step that words begin with and the number of its words; −1 where they begin with
// none that holds.
func (p problem) step(words []string) (step, length int) {
	if len(words) < stepWords-1 || !slices.Contains(openings, words[0]) {
		return -1, 0
	}
	for i, s := range p.steps {
		name := nameWords[s.name]
		if !slices.Contains(results, words[5]) {
			continue
		}
		want := []string{words[0], name, valueWords[s.operands[0].value], operationWords[s.operation], valueWords[s.operands[1].value], words[5]}
		if tail := resultTails[words[5]]; tail != "" {
			want = append(want, tail)
		}
		want = append(want, name, valueWords[s.value])
		if len(words) >= len(want) && slices.Equal(words[:len(want)], want) {
			return i, len(want)
		}
	}
	return -1, 0
}

// ReasoningSummary is a model's figures on the test set.
type ReasoningSummary struct {
	Exact lab.Measure // share of right answers, with Wilson's 95% interval
	Ended lab.Measure // share of answers that ended, likewise
	Held  lab.Measure // share of the problems' steps that the answers have right; no interval
	// ByLength are shares of right answers by the number of steps of the problem, from Least.
	ByLength []lab.Measure
}

// Summary computes the figures of the verdicts on all test problems.
func (r *Reasoning) Summary(verdicts []Verdict) (*ReasoningSummary, error) {
	if len(verdicts) != r.cfg.Problems {
		return nil, fmt.Errorf("reasoning: %d verdicts, expected one of each of the %d test problems", len(verdicts), r.cfg.Problems)
	}
	lengths := r.cfg.Most - r.cfg.Least + 1
	right, all := make([]int, lengths), make([]int, lengths)
	exact, ended, held, steps := 0, 0, 0, 0
	for i, v := range verdicts {
		if v.Steps < r.cfg.Least || v.Steps > r.cfg.Most {
			return nil, fmt.Errorf("reasoning: verdict %d is of a problem of %d steps, expected %d to %d", i, v.Steps, r.cfg.Least, r.cfg.Most)
		}
		all[v.Steps-r.cfg.Least]++
		if v.Right {
			exact++
			right[v.Steps-r.cfg.Least]++
		}
		if v.Ended {
			ended++
		}
		held, steps = held+v.Held, steps+v.Steps
	}
	s := &ReasoningSummary{Exact: share(exact, len(verdicts)), Ended: share(ended, len(verdicts)), Held: lab.Measure{Value: float64(held) / float64(steps), N: steps}}
	for i := range all {
		s.ByLength = append(s.ByLength, share(right[i], all[i]))
	}
	return s, nil
}

// share is a share with its interval; the zero Measure where there is nothing.
func share(of, all int) lab.Measure {
	if all == 0 {
		return lab.Measure{}
	}
	i := stat.Wilson(of, all)
	return lab.Measure{Value: i.Value, Low: i.Low, High: i.High, N: all}
}
