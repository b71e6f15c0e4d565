package run

import (
	"context"
	"fmt"
	"math"
	"slices"

	"slimlab/kd"
	"slimlab/lab"
	"slimlab/lab/stat"
	"slimlab/lab/task"
	"slimlab/model"
)

// figure is a measured value with the influence of the test set's units on it, if any.
type figure struct {
	Value     lab.Measure    `json:"value"`
	Influence *lab.Influence `json:"influence,omitempty"`
}

// agreement is the artifact of comparing a model with the baseline on the answer tokens of the
// validation examples.
type agreement struct {
	KL     figure  `json:"kl"`
	P99    figure  `json:"kl_p99"`
	Top1   figure  `json:"top1"`
	Flips  figure  `json:"flips"`
	Lost   figure  `json:"lost"`
	Won    figure  `json:"won"`
	P      float64 `json:"p"`
	Tokens int     `json:"tokens"`
}

// flipMetrics are of decisions that differ from the baseline's.
var flipMetrics = []string{"flips", "flips_lost", "flips_won", "mcnemar"}

// decidesTokens reports whether the decisions of the task are the likeliest tokens of its answers:
// it neither ranks nor has answers that are judged.
func (d *dataset) decidesTokens() bool {
	return d.recsys == nil && d.answers == nil && d.reasoning == nil
}

// agreement compares the model's distributions of answer tokens with the baseline's.
func (w *worker) agreement(ctx context.Context, row *measured) error {
	asked := []string{"agreement", "kl", "kl_p99"}
	if w.data.decidesTokens() {
		asked = append(asked, flipMetrics...)
	}
	if !w.run.plan.Scenario.Asks(asked...) {
		return nil
	}
	settings := w.cell.Point.Evaluate
	a, err := w.run.artifact(ctx, w.agreementRecipe(row), "agreement of "+row.name, func(dir string) error {
		return w.run.compute(func() error {
			base, err := w.base.load(ctx)
			if err != nil {
				return err
			}
			m, err := row.load(ctx)
			if err != nil {
				return err
			}
			examples := w.data.validation(settings.Validation)
			f, err := fidelity(ctx, base, m, examples)
			if err != nil {
				return err
			}
			return writeFacts(dir, newAgreement(examples, f))
		})
	})
	if err != nil {
		return err
	}
	defer a.release()
	var f agreement
	if err := readFacts(a.dir, &f); err != nil {
		return err
	}
	test, warning := w.data.validationTest(settings.Validation), w.otherTeacher(row)
	set := func(key string, of figure) {
		w.paired(row, key, of.Value, warning)
		if of.Influence != nil {
			of.Influence.Test = test
			row.influence[key] = *of.Influence
		}
	}
	set("kl", f.KL)
	set("kl_p99", f.P99)
	set("agreement", f.Top1)
	if w.data.decidesTokens() {
		set("flips", f.Flips)
		set("flips_lost", f.Lost)
		set("flips_won", f.Won)
		row.values["mcnemar"] = lab.Measure{Value: f.P, N: f.Tokens, Warning: warning}
	}
	return nil
}

// paired sets a figure of a row beside the baseline. The baseline beside itself has no interval:
// nothing of it is left to the sample.
func (w *worker) paired(row *measured, key string, m lab.Measure, warning string) {
	m.Warning = both(warning, m.Warning)
	if row.is(w.base) {
		m.Low, m.High, m.Warning = 0, 0, ""
	}
	row.values[key] = m
}

// both joins two reasons to take a value with care.
func both(one, other string) string {
	if one == "" || other == "" {
		return one + other
	}
	return one + "; " + other
}

// newAgreement sums up what was compared token by token.
func newAgreement(examples []kd.Example, f kd.Fidelity) agreement {
	var group []int
	for i, e := range examples {
		for t := range e.Answer {
			if e.Learned(t) {
				group = append(group, i)
			}
		}
	}
	d := task.Decisions{Was: f.TeacherRight, Is: f.StudentRight, Group: group, Units: len(examples), Unit: "validation examples"}
	for _, same := range f.Same {
		d.Changed = append(d.Changed, !same)
	}
	flips := d.Flips()
	mean, p99 := task.Divergence(f.KL, group, len(examples), d.Unit)
	of := func(f task.Figure) figure {
		influence := lab.NewInfluence("", "examples", f.Influence)
		return figure{f.Measure, &influence}
	}
	return agreement{
		KL: of(mean), P99: figure{Value: p99.Measure}, Top1: of(d.Share(f.Same)),
		Flips: of(flips.All), Lost: of(flips.Lost), Won: of(flips.Won), P: flips.P, Tokens: f.Tokens,
	}
}

// fidelity is that of all answer tokens.
func fidelity(ctx context.Context, base, m *model.Model, examples []kd.Example) (all kd.Fidelity, err error) {
	for part := range slices.Chunk(examples, partSize) {
		if err := ctx.Err(); err != nil {
			return all, err
		}
		f, err := kd.Agreement(ctx, base, m, part)
		if err != nil {
			return all, err
		}
		all.Tokens += f.Tokens
		all.Same, all.KL = append(all.Same, f.Same...), append(all.KL, f.KL...)
		all.TeacherRight, all.StudentRight = append(all.TeacherRight, f.TeacherRight...), append(all.StudentRight, f.StudentRight...)
	}
	return all, nil
}

// flips compares the decisions of a row with the baseline's, where they are no tokens.
func (w *worker) flips(row *measured) error {
	var f task.FlipFigures
	var err error
	test, unit := w.data.rankingTest(), "members"
	switch {
	case row.scores != nil && w.base.scores != nil:
		f, err = task.Flips(row.scores, w.base.scores)
	case row.answered != nil && w.base.answered != nil:
		unit = w.data.answers.Unit
		f, err = w.data.answers.Flips(row.answered, w.base.answered)
	case row.verdicts != nil && w.base.verdicts != nil:
		test, unit = w.data.problemsTest(), "problems"
		f, err = task.RightToWrong(row.verdicts, w.base.verdicts)
	default:
		return nil
	}
	if err != nil {
		return err
	}
	warning := w.otherTeacher(row)
	for _, of := range []struct {
		key string
		task.Figure
	}{{"flips", f.All}, {"flips_lost", f.Lost}, {"flips_won", f.Won}} {
		w.paired(row, of.key, of.Measure, warning)
		row.influence[of.key] = lab.NewInfluence(test, unit, of.Influence)
	}
	row.values["mcnemar"] = lab.Measure{Value: f.P, N: f.All.N, Warning: warning}
	if row.verdicts != nil {
		row.kept = &kept{"exact", f.Difference.High >= 0}
	}
	return nil
}

// kept says whether a row keeps the baseline's accuracy, by a metric.
type kept struct {
	metric string
	is     bool
}

// manyFlips is the share of decisions from which on a row that keeps its accuracy is said to be
// another model all the same.
const manyFlips = 0.05

// judgeFlips warns of a row that keeps its accuracy and decides otherwise: mean figures hide that,
// since what is lost on some cases is won on others (Dutta et al. 2024).
func (w *worker) judgeFlips(row *measured) {
	flips, ok := row.values["flips"]
	if !ok || !(flips.Value > manyFlips) {
		return
	}
	keeps := row.kept
	for _, key := range []string{"auc_soft", "auc", "loss"} { // the first that the task has is judged by
		delta, has := row.values[key+"_delta"]
		if keeps != nil || !has || delta.Low == 0 && delta.High == 0 {
			continue
		}
		metric, _ := lab.MetricByKey(key)
		keeps = &kept{key, metric.Better == lab.Higher && delta.High >= 0 || metric.Better == lab.Lower && delta.Low <= 0}
	}
	if keeps == nil || !keeps.is {
		return
	}
	metric, _ := lab.MetricByKey(keeps.metric)
	flips.Warning = both(flips.Warning, fmt.Sprintf("%s is kept, and more than %.0f%% of the decisions flip", metric.Label, 100*manyFlips))
	row.values["flips"] = flips
}

// perplexity adds that of answers that are text.
func (w *worker) perplexity(row *measured) {
	if w.data.recsys != nil || w.data.answers != nil {
		return
	}
	loss := row.values["loss"]
	m := lab.Measure{Value: math.Exp(loss.Value), N: loss.N}
	if of, ok := row.influence["loss"]; ok {
		e := stat.Estimate{Value: loss.Value, Errors: []stat.Error{stat.SumError(of.Values())}}
		if i := e.Interval(); i.Bounded() {
			m.Low, m.High = math.Exp(i.Low), math.Exp(i.High)
		}
		values := of.Values()
		for i := range values {
			values[i] *= m.Value
		}
		its := lab.NewInfluence(of.Test, of.Unit, values)
		its.Units = of.Units
		row.influence["perplexity"] = its
	}
	row.values["perplexity"] = m
}

// interval gives a figure the 95% interval of its influence, and the warning of few units.
func (row *measured) interval(key string) {
	m, ok := row.values[key]
	of, has := row.influence[key]
	if !ok || !has {
		return
	}
	if i := (stat.Estimate{Value: m.Value, Errors: []stat.Error{stat.SumError(of.Values())}}).Interval(); i.Bounded() {
		m.Low, m.High = i.Low, i.High
		row.values[key] = m
	}
}
