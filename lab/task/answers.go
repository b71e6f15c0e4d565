package task

import (
	"context"
	"fmt"
	"math"
	"slices"

	"slimlab/lab"
	"slimlab/lab/stat"
)

// Answers is a test set of prompts that have one of two answers, in groups such as users. A model's
// score of a prompt is its log-odds of the first answer against the second; prompts are ranked by
// it over all groups and within each.
type Answers struct {
	Prompts [][]int32
	Labels  [2]int32 // the tokens that tell the answers apart
	Yes     []bool   // the first answer is right
	Group   []int    // of each prompt, below Groups
	Groups  int
	Unit    string // what a group is, in the plural: "users"
	// Grouped is false where each prompt is a group by itself: then there is nothing within groups.
	Grouped bool
	// Guesses are scores of the prompts that need no model.
	Guesses []Guess
}

// Guess is a way to score prompts without a model.
type Guess struct {
	Name  string
	Score []float64 // one a prompt
}

// AnswerFigures are figures on Answers, with 95% intervals by resampling groups, and what each
// group does to them.
type AnswerFigures struct {
	AUC Figure // over all prompts together, equal scores counted half
	// Within is the share of the pairs of one group, one prompt of each answer, that are in the
	// right order; N is the groups with both answers, 0 where there is none.
	Within Figure
	// Mean is the mean of the AUCs of these groups: each counts alike, however many its pairs.
	Mean    Figure
	Guesses []GuessFigures // in the order of Answers.Guesses
}

// GuessFigures are those of a guess, and the model's relative to them, on the same resamples.
type GuessFigures struct {
	Name             string
	AUC, Within      Figure
	Gain, GainWithin Figure // AUC(model) / AUC(guess) − 1
}

// Figure is a measure with the influence of each group on it.
type Figure struct {
	lab.Measure
	Influence []float64
}

// PromptTokens is the mean number of tokens of a prompt.
func (a *Answers) PromptTokens() float64 {
	sum := 0
	for _, p := range a.Prompts {
		sum += len(p)
	}
	return float64(sum) / float64(len(a.Prompts))
}

// Evaluate scores all prompts.
func (a *Answers) Evaluate(ctx context.Context, scorer Scorer) ([]float64, error) {
	logits, err := scorer.Score(ctx, a.Prompts, a.Labels[:])
	if err != nil {
		return nil, fmt.Errorf("evaluate: %w", err)
	}
	if len(logits) != len(a.Prompts) {
		return nil, fmt.Errorf("evaluate: scorer returned %d rows for %d prompts", len(logits), len(a.Prompts))
	}
	score := make([]float64, len(logits))
	for i, row := range logits {
		if len(row) != 2 {
			return nil, fmt.Errorf("evaluate: test prompt %d has %d scores, expected 2", i, len(row))
		}
		score[i] = float64(row[0]) - float64(row[1])
	}
	return score, a.check(score)
}

// check reports scores that rank nothing.
func (a *Answers) check(score []float64) error {
	if len(score) != len(a.Yes) {
		return fmt.Errorf("%d scores for %d test prompts", len(score), len(a.Yes))
	}
	if i := slices.IndexFunc(score, math.IsNaN); i >= 0 {
		return fmt.Errorf("the score of test prompt %d is NaN", i)
	}
	return nil
}

// Figures computes the figures of scores, one a prompt.
func (a *Answers) Figures(score []float64) (*AnswerFigures, error) {
	if err := a.check(score); err != nil {
		return nil, err
	}
	ranks := make([]*groupedRanking, 1+len(a.Guesses))
	var err error
	for i := range ranks {
		of := score
		if i > 0 {
			of = a.Guesses[i-1].Score
		}
		if ranks[i], err = a.rank(of); err != nil {
			return nil, err
		}
	}
	return a.figures(ranks), nil
}

// Gain is the AUC of scores relative to that of others of the same prompts: AUC / AUC(others) −
// 1, on the same resamples.
func (a *Answers) Gain(score, others []float64) (lab.Measure, error) {
	mine, err := a.rank(score)
	if err != nil {
		return lab.Measure{}, err
	}
	its, err := a.rank(others)
	if err != nil {
		return lab.Measure{}, err
	}
	return a.resample(func(count []float64) []float64 { return []float64{mine.auc(count)/its.auc(count) - 1} })[0], nil
}

// groupedRanking is scores sorted once for all resamples.
type groupedRanking struct {
	*ranking
	group  []int
	within []float64 // AUC of each group, NaN where it has one answer only
	pairs  []float64 // of each group
}

func (a *Answers) rank(score []float64) (*groupedRanking, error) {
	if err := a.check(score); err != nil {
		return nil, err
	}
	p := make([]float64, len(score))
	for i, yes := range a.Yes {
		if yes {
			p[i] = 1
		}
	}
	all, err := newRanking(score, p)
	if err != nil {
		return nil, err
	}
	g := &groupedRanking{ranking: all, group: a.Group, within: make([]float64, a.Groups), pairs: make([]float64, a.Groups)}
	if !a.Grouped {
		return g, nil
	}
	members := make([][]int, a.Groups)
	for i, of := range a.Group {
		members[of] = append(members[of], i)
	}
	for of, cases := range members {
		scores, labels, yes := make([]float64, len(cases)), make([]float64, len(cases)), 0.0
		for k, i := range cases {
			scores[k], labels[k] = score[i], p[i]
			yes += p[i]
		}
		g.pairs[of] = yes * (float64(len(cases)) - yes)
		one, err := newRanking(scores, labels)
		if err != nil {
			return nil, err
		}
		g.within[of] = one.auc(func(int) float64 { return 1 })
	}
	return g, nil
}

// auc is that of a sample in which each group occurs count[group] times.
func (g *groupedRanking) auc(count []float64) float64 {
	return g.ranking.auc(func(i int) float64 { return count[g.group[i]] })
}

// pooled is the share of the groups' pairs that are in the right order in such a sample.
func (g *groupedRanking) pooled(count []float64) float64 {
	return g.average(count, func(of int) float64 { return g.pairs[of] })
}

// mean is that of the groups' AUCs in such a sample.
func (g *groupedRanking) mean(count []float64) float64 {
	return g.average(count, func(int) float64 { return 1 })
}

func (g *groupedRanking) average(count []float64, weight func(of int) float64) float64 {
	var sum, n float64
	for of, auc := range g.within {
		if w := count[of] * weight(of); !math.IsNaN(auc) {
			sum, n = sum+w*auc, n+w
		}
	}
	return sum / n
}

// both is how many groups have both answers.
func (g *groupedRanking) both() (n int) {
	for _, auc := range g.within {
		if !math.IsNaN(auc) {
			n++
		}
	}
	return n
}

// influences are what each group does to the AUC, the share of its pairs, and the mean of the AUCs
// of groups.
func (g *groupedRanking) influences() (all, pooled, mean []float64) {
	all, pooled, mean = make([]float64, len(g.within)), make([]float64, len(g.within)), make([]float64, len(g.within))
	for i, x := range g.influence() {
		all[g.group[i]] += x
	}
	once := slices.Repeat([]float64{1}, len(g.within))
	share, average, n, pairs := g.pooled(once), g.mean(once), float64(g.both()), 0.0
	for _, of := range g.pairs {
		pairs += of
	}
	for of, auc := range g.within {
		if !math.IsNaN(auc) {
			pooled[of], mean[of] = (auc-share)*g.pairs[of]/pairs, (auc-average)/n
		}
	}
	return all, pooled, mean
}

// figures are those of the first ranking, and of the others as guesses.
func (a *Answers) figures(ranks []*groupedRanking) *AnswerFigures {
	measures := a.resample(func(count []float64) []float64 {
		model := ranks[0]
		values := []float64{model.auc(count), model.pooled(count), model.mean(count)}
		for _, g := range ranks[1:] {
			auc, within := g.auc(count), g.pooled(count)
			values = append(values, auc, within, values[0]/auc-1, values[1]/within-1)
		}
		return values
	})
	next := func(influence []float64, within bool) Figure {
		m := measures[0]
		if measures = measures[1:]; within && m.N > 0 {
			m.N = ranks[0].both()
		}
		return Figure{m, influence}
	}
	onAUC, onWithin, onMean := ranks[0].influences()
	f := &AnswerFigures{AUC: next(onAUC, false), Within: next(onWithin, true), Mean: next(onMean, true)}
	for i, g := range ranks[1:] {
		itsAUC, itsWithin, _ := g.influences()
		of := GuessFigures{Name: a.Guesses[i].Name, AUC: next(itsAUC, false), Within: next(itsWithin, true)}
		of.Gain = next(Relative(f.AUC.Value, onAUC, of.AUC.Value, itsAUC), false)
		of.GainWithin = next(Relative(f.Within.Value, onWithin, of.Within.Value, itsWithin), true)
		f.Guesses = append(f.Guesses, of)
	}
	return f
}

// resample computes figures with 95% percentile intervals by a cluster bootstrap over groups. One
// that is undefined is the zero Measure.
func (a *Answers) resample(figures func(count []float64) []float64) []lab.Measure {
	return measuresOf(stat.Resample(a.Groups, replicates, stream(splitBootstrap), figures), "test "+a.Unit)
}

// both reports whether prompts have both answers, without which there is no AUC.
func (a *Answers) both() bool {
	return slices.Contains(a.Yes, true) && slices.Contains(a.Yes, false)
}
