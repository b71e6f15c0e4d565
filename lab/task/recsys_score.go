package task

import (
	"context"
	"fmt"
	"math"

	"slimlab/lab"
)

// Scores are a model's scores of the test cases.
type Scores struct {
	Score []float64 // log-odds of yes against no, one a case
	task  *Recsys
}

// Evaluate scores all cases.
func (r *Recsys) Evaluate(ctx context.Context, scorer Scorer) (*Scores, error) {
	prompts := make([][]int32, len(r.cases))
	for i, c := range r.cases {
		prompts[i] = c.Prompt
	}
	logits, err := scorer.Score(ctx, prompts, r.Labels())
	if err != nil {
		return nil, fmt.Errorf("recsys: evaluate: %w", err)
	}
	if len(logits) != len(prompts) {
		return nil, fmt.Errorf("recsys: evaluate: scorer returned %d rows for %d prompts", len(logits), len(prompts))
	}
	score := make([]float64, len(logits))
	for i, row := range logits {
		if len(row) != len(r.labels) {
			return nil, fmt.Errorf("recsys: evaluate: test prompt %d has %d scores, expected %d", i, len(row), len(r.labels))
		}
		score[i] = float64(row[0]) - float64(row[1])
	}
	return r.NewScores(score)
}

// NewScores takes scores, one a case, such as another program's or those stored by an earlier
// evaluation.
func (r *Recsys) NewScores(score []float64) (*Scores, error) {
	if len(score) != len(r.cases) {
		return nil, fmt.Errorf("recsys: %d scores for %d test prompts", len(score), len(r.cases))
	}
	for i, s := range score {
		if math.IsNaN(s) {
			return nil, fmt.Errorf("recsys: the score of test prompt %d (task %q, member %d) is NaN", i, TaskName(r.cases[i].Task), r.cases[i].Group)
		}
	}
	return &Scores{Score: score, task: r}, nil
}

// RankingSummary is a model's figures on the test set. Hard AUCs are on drawn labels, soft ones
// expected under the known probabilities; a ceiling is that of the best possible prediction, with
// the same meaning of hard and soft. Intervals are 95%, by resampling members.
type RankingSummary struct {
	Hard, Soft               lab.Measure // means over in-domain tasks
	CeilingHard, CeilingSoft lab.Measure
	HeldOutHard, HeldOutSoft lab.Measure // means over held-out tasks; N 0 where there are none
	HeldOutCeiling           lab.Measure // soft
	// CeilingDelta is what the model falls short of the best possible prediction, as a share of
	// what that has beyond a guess: (Soft − CeilingSoft) / (CeilingSoft − GuessAUC), of the
	// same prompts.
	CeilingDelta lab.Measure
	Tasks        []TaskSummary
}

// GuessAUC is the AUC of scores that know nothing.
const GuessAUC = 0.5

// TaskSummary is one task's AUCs.
type TaskSummary struct {
	Name                                 string
	HeldOut                              bool
	Cases                                int
	Hard, Soft, CeilingHard, CeilingSoft lab.Measure
}

// Comparison is the difference of a model to a baseline over the same prompts. Intervals are 95%,
// by resampling members for both at once.
type Comparison struct {
	Hard, Soft, HeldOutSoft    lab.Measure // AUC(model) − AUC(baseline)
	HardRelative, SoftRelative lab.Measure // AUC(model) / AUC(baseline) − 1
}

func (r *Recsys) scoresBy(of func(Case) float64) []float64 {
	score := make([]float64, len(r.cases))
	for i, c := range r.cases {
		score[i] = of(c)
	}
	return score
}

// Summary computes the figures of a model.
func (s *Scores) Summary() (*RankingSummary, error) {
	model, err := s.task.newSample(s.Score)
	if err != nil {
		return nil, err
	}
	ceiling, err := s.task.newSample(s.task.scoresBy(func(c Case) float64 { return c.Ceiling }))
	if err != nil {
		return nil, err
	}
	var (
		sum RankingSummary
		to  []*lab.Measure
		of  []figure
	)
	add := func(m *lab.Measure, f figure) { to, of = append(to, m), append(of, f) }
	mean := func(which int, k kind, heldOut bool) figure {
		return func(t []table) float64 { return t[which].mean(k, heldOut) }
	}
	one := func(which int, k kind, task int) figure {
		return func(t []table) float64 { return t[which][k][task] }
	}
	const ofModel, ofCeiling = 0, 1
	add(&sum.Hard, mean(ofModel, hard, false))
	add(&sum.Soft, mean(ofModel, soft, false))
	add(&sum.CeilingHard, mean(ofCeiling, hard, false))
	add(&sum.CeilingSoft, mean(ofCeiling, soft, false))
	add(&sum.CeilingDelta, func(t []table) float64 {
		ceiling := t[ofCeiling].mean(soft, false)
		return (t[ofModel].mean(soft, false) - ceiling) / (ceiling - GuessAUC)
	})
	add(&sum.HeldOutHard, mean(ofModel, hard, true))
	add(&sum.HeldOutSoft, mean(ofModel, soft, true))
	add(&sum.HeldOutCeiling, mean(ofCeiling, soft, true))
	for task := range tasks {
		if n := len(model.cases[task]); n > 0 {
			sum.Tasks = append(sum.Tasks, TaskSummary{Name: TaskName(task), HeldOut: task >= inDomainTasks, Cases: n})
		}
	}
	for i := range sum.Tasks { // tasks without cases are the last ones
		add(&sum.Tasks[i].Hard, one(ofModel, hard, i))
		add(&sum.Tasks[i].Soft, one(ofModel, soft, i))
		add(&sum.Tasks[i].CeilingHard, one(ofCeiling, hard, i))
		add(&sum.Tasks[i].CeilingSoft, one(ofCeiling, soft, i))
	}
	for i, m := range s.task.resample([]*sample{model, ceiling}, of) {
		*to[i] = m
	}
	return &sum, nil
}

// Compare compares a model with a baseline that was scored on the same cases.
func Compare(model, baseline *Scores) (*Comparison, error) {
	if model.task.cfg != baseline.task.cfg {
		return nil, fmt.Errorf("recsys: compare: the scores are of different test sets")
	}
	m, err := model.task.newSample(model.Score)
	if err != nil {
		return nil, err
	}
	b, err := baseline.task.newSample(baseline.Score)
	if err != nil {
		return nil, err
	}
	delta := func(k kind, heldOut bool) figure {
		return func(t []table) float64 { return t[0].mean(k, heldOut) - t[1].mean(k, heldOut) }
	}
	relative := func(k kind) figure {
		return func(t []table) float64 { return t[0].mean(k, false)/t[1].mean(k, false) - 1 }
	}
	e := model.task.resample([]*sample{m, b}, []figure{delta(hard, false), delta(soft, false), delta(soft, true), relative(hard), relative(soft)})
	return &Comparison{Hard: e[0], Soft: e[1], HeldOutSoft: e[2], HardRelative: e[3], SoftRelative: e[4]}, nil
}

// Influences are what each test member does to a model's figures, one number a member: the squared
// differences of two models' numbers sum to the variance of the difference of their figures
// (Obuchowski 1997, for AUCs of clustered cases).
type Influences struct {
	Hard, Soft  []float64 // of the means over in-domain tasks
	HeldOutSoft []float64 // of the mean over held-out tasks; not numbers where there are none
	// CeilingDelta are of RankingSummary.CeilingDelta, to which the ceiling's own members belong.
	CeilingDelta []float64
}

// Influences computes those of a model.
func (s *Scores) Influences() (*Influences, error) {
	model, err := s.task.newSample(s.Score)
	if err != nil {
		return nil, err
	}
	ceiling, err := s.task.newSample(s.task.scoresBy(func(c Case) float64 { return c.Ceiling }))
	if err != nil {
		return nil, err
	}
	of := func(who *sample, k kind, from, to int) []float64 {
		members := make([]float64, s.task.cfg.Members)
		for task := from; task < to; task++ {
			for i, x := range who.rank[k][task].influence() {
				members[who.group[who.cases[task][i]]] += x / float64(to-from)
			}
		}
		return members
	}
	all := &Influences{Hard: of(model, hard, 0, inDomainTasks), Soft: of(model, soft, 0, inDomainTasks), HeldOutSoft: of(model, soft, inDomainTasks, tasks)}
	// (soft − ceiling)/(ceiling − guess) is (soft − guess)/(ceiling − guess) − 1
	above := func(who *sample) float64 { return who.table(nil).mean(soft, false) - GuessAUC }
	all.CeilingDelta = Relative(above(model), all.Soft, above(ceiling), of(ceiling, soft, 0, inDomainTasks))
	return all, nil
}

// Relative returns the influences on a/b − 1 of those on a and on b.
func Relative(a float64, onA []float64, b float64, onB []float64) []float64 {
	out := make([]float64, len(onA))
	for i := range out {
		out[i] = onA[i]/b - a*onB[i]/(b*b)
	}
	return out
}
