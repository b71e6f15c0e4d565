package task

import (
	"cmp"
	"fmt"
	"slices"

	"slimlab/lab"
	"slimlab/lab/stat"
)

// Decisions are what two models decide on the same cases, and who is right.
type Decisions struct {
	Changed []bool // the model decides otherwise than the baseline
	Was, Is []bool // the baseline is right, the model is
	Group   []int  // the unit of each case, below Units; cases of a unit depend on each other
	Units   int
	Unit    string // what a unit is, in the plural: "test members"
}

// FlipFigures are the shares of decisions that changed, with 95% intervals, and what each unit does
// to them.
type FlipFigures struct {
	All       Figure
	Lost, Won Figure // right to wrong, and wrong to right
	// P is the exact two-sided p-value that a change is as likely to lose as to win (McNemar), as
	// if all cases were independent.
	P float64
	// Difference is the share of the right decisions less the baseline's, paired.
	Difference stat.Interval
}

// Flips counts what changed.
func (d *Decisions) Flips() FlipFigures {
	lost, won := make([]bool, len(d.Changed)), make([]bool, len(d.Changed))
	losses, wins := 0, 0
	for i := range d.Changed {
		lost[i], won[i] = d.Was[i] && !d.Is[i], d.Is[i] && !d.Was[i]
		if lost[i] {
			losses++
		}
		if won[i] {
			wins++
		}
	}
	return FlipFigures{
		All: d.Share(d.Changed), Lost: d.Share(lost), Won: d.Share(won),
		P: stat.McNemarP(losses, wins), Difference: stat.PairedShares(losses, wins, len(d.Changed)),
	}
}

// Share is the share of cases for which something holds, with Wilson's interval for cases in units.
func (d *Decisions) Share(holds []bool) Figure {
	n, all := float64(len(holds)), 0
	of, sizes := make([]float64, d.Units), make([]float64, d.Units)
	for i, h := range holds {
		sizes[d.Group[i]]++
		if h {
			of[d.Group[i]]++
			all++
		}
	}
	for u := range of {
		of[u] = (of[u] - float64(all)/n*sizes[u]) / n
	}
	i := stat.ClusteredWilson(all, len(holds), of)
	m := lab.Measure{Value: i.Value, Low: i.Low, High: i.High, N: len(holds)}
	if d.Units < fewMembers {
		m.Warning = fmt.Sprintf("%d %s", d.Units, d.Unit)
	}
	return Figure{m, of}
}

// atBaseRate decides cases by their scores: yes for the highest, as many as the answers have. Of
// equal scores the first have it.
func atBaseRate(score []float64, yes []bool) []bool {
	order, rate := make([]int, len(score)), 0
	for i := range order {
		order[i] = i
		if yes[i] {
			rate++
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(score[b], score[a]) })
	decided := make([]bool, len(score))
	for _, i := range order[:rate] {
		decided[i] = true
	}
	return decided
}

// decided adds cases that both models decide by their scores.
func (d *Decisions) decided(model, baseline []float64, yes []bool, group []int) {
	its, had := atBaseRate(model, yes), atBaseRate(baseline, yes)
	for i := range yes {
		d.Changed = append(d.Changed, its[i] != had[i])
		d.Was, d.Is = append(d.Was, had[i] == yes[i]), append(d.Is, its[i] == yes[i])
	}
	d.Group = append(d.Group, group...)
}

// Flips compares the decisions of two models by their scores. A model says yes to the prompts of
// its highest scores, as many as the right answers are.
func (a *Answers) Flips(score, baseline []float64) (FlipFigures, error) {
	if err := cmp.Or(a.check(score), a.check(baseline)); err != nil {
		return FlipFigures{}, err
	}
	d := Decisions{Units: a.Groups, Unit: "test " + a.Unit}
	d.decided(score, baseline, a.Yes, a.Group)
	return d.Flips(), nil
}

// Flips compares the decisions of two models that were scored on the same cases, those of in-domain
// tasks. Of each task a model says yes to the cases of its highest scores, as many as were clicked.
func Flips(model, baseline *Scores) (FlipFigures, error) {
	if model.task.cfg != baseline.task.cfg {
		return FlipFigures{}, fmt.Errorf("recsys: compare: the scores are of different test sets")
	}
	d := Decisions{Units: model.task.cfg.Members, Unit: "test members"}
	for task := range inDomainTasks {
		var its, had []float64
		var yes []bool
		var group []int
		for i, c := range model.task.cases {
			if c.Task == task {
				its, had = append(its, model.Score[i]), append(had, baseline.Score[i])
				yes, group = append(yes, c.Click), append(group, c.Group)
			}
		}
		d.decided(its, had, yes, group)
	}
	return d.Flips(), nil
}

// RightToWrong compares two models' verdicts on the same problems: a decision is whether an answer
// is right.
func RightToWrong(model, baseline []Verdict) (FlipFigures, error) {
	if len(model) != len(baseline) {
		return FlipFigures{}, fmt.Errorf("reasoning: compare: %d and %d verdicts, expected as many", len(model), len(baseline))
	}
	d := Decisions{Units: len(model), Unit: "test problems"}
	for i := range model {
		d.Was, d.Is = append(d.Was, baseline[i].Right), append(d.Is, model[i].Right)
		d.Changed, d.Group = append(d.Changed, model[i].Right != baseline[i].Right), append(d.Group, i)
	}
	return d.Flips(), nil
}
