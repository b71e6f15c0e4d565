package run

import (
	"context"
	"encoding/json"
	"fmt"

	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/eval"
	"slimlab/lab/recipe"
	"slimlab/lab/scenario"
	"slimlab/lab/stat"
	"slimlab/lab/task"
)

// choiceMetrics are of a file of multiple-choice questions.
var choiceMetrics = []string{"choice_accuracy", "choice_flips"}

// choiceVersion is that of asking a model questions.
const choiceVersion = 1

// questions are those of a file.
type questions struct {
	*task.Choice
	content string  // names them
	guess   float64 // the accuracy of a guess
}

// answered is the artifact of asking a model questions: which it has right.
type answered struct {
	Right []bool `json:"right"`
	Cut   int    `json:"cut"` // questions that lost their beginning
}

// questions reads the point's file of questions, once a run; nil where it has none.
func (r *Run) questions(ctx context.Context, p *scenario.Point) (*questions, error) {
	e := p.Evaluate
	if e.Choice == "" {
		return nil, nil
	}
	return r.asked.get(fmt.Sprintf("%d %s", e.ChoiceLimit, e.Choice), func() (*questions, error) {
		c, err := task.ReadChoice(ctx, task.ChoiceConfig{Path: e.Choice, Cue: task.DefaultCue, Limit: e.ChoiceLimit})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.plan.Scenario.At("evaluate", "choice"), err)
		}
		for _, note := range c.Notes {
			r.note("", lab.Info, note)
		}
		text, err := json.Marshal(c.Questions)
		if err != nil {
			return nil, err
		}
		q := &questions{Choice: c, content: recipe.Text(string(text))}
		for _, one := range c.Questions {
			q.guess += 1 / float64(len(one.Choices))
		}
		q.guess /= float64(len(c.Questions))
		return q, nil
	})
}

// choices asks a row's model the questions of the scenario, or finds the answers of an earlier run.
func (w *worker) choices(ctx context.Context, row *measured) error {
	q, err := w.run.questions(ctx, w.cell.Point)
	if err != nil || q == nil || !w.run.plan.Scenario.Asks(choiceMetrics...) {
		return err
	}
	a, err := w.run.artifact(ctx, w.choiceRecipe(row, q), "choices of "+row.name, func(dir string) error {
		w.progress(0, 0, "choices")
		return w.run.compute(func() error {
			m, err := row.load(ctx)
			if err != nil {
				return err
			}
			answers, cut, err := eval.Choose(ctx, m, w.data.tokenizer, q.Choice)
			if err != nil {
				return err
			}
			right := make([]bool, len(answers))
			for i, of := range answers {
				right[i] = of.Characters == q.Questions[i].Gold
			}
			return writeFacts(dir, answered{right, cut})
		})
	})
	if err != nil {
		return err
	}
	defer a.release()
	var of answered
	if err := readFacts(a.dir, &of); err != nil {
		return err
	}
	if of.Cut > 0 {
		w.run.noteOnce(lab.Info, fmt.Sprintf("%s: %d of %s of %s %s longer than the model's positions and cut at the beginning", row.name, of.Cut, plural.Of(len(of.Right), "question"), q.Path, plural.Verb(of.Cut)))
	}
	row.chose = of.Right
	d := task.Decisions{Units: len(of.Right), Unit: "questions"}
	for i := range of.Right {
		d.Group = append(d.Group, i)
	}
	accuracy := d.Share(of.Right)
	if accuracy.Low <= q.guess && q.guess <= accuracy.High {
		accuracy.Warning = both(accuracy.Warning, fmt.Sprintf("at chance: a guess has %.4f", q.guess))
	}
	row.values["choice_accuracy"] = accuracy.Measure
	row.influence["choice_accuracy"] = lab.NewInfluence(q.test(), "questions", accuracy.Influence)
	return nil
}

// test names the questions.
func (q *questions) test() string {
	return recipe.Recipe{Stage: "questions", Parameters: recipe.Values{"content": q.content}}.Key()
}

// choiceRecipe is all that decides a row's answers to questions.
func (w *worker) choiceRecipe(row *measured, q *questions) recipe.Recipe {
	of := w.data.recipe("choices", choiceVersion)
	of.Task = recipe.Values{"questions": q.content, "cue": q.Cue}
	row.describe(of, "model")
	return of
}

// choiceFlips compares a row's answers with the baseline's.
func (w *worker) choiceFlips(ctx context.Context, row *measured) error {
	if row.chose == nil || w.base.chose == nil {
		return nil
	}
	q, err := w.run.questions(ctx, w.cell.Point)
	if err != nil {
		return err
	}
	d := task.Decisions{Was: w.base.chose, Is: row.chose, Units: len(row.chose), Unit: "questions"}
	lost, won := 0, 0
	for i := range row.chose {
		d.Group, d.Changed = append(d.Group, i), append(d.Changed, row.chose[i] != w.base.chose[i])
		switch {
		case d.Was[i] && !d.Is[i]:
			lost++
		case d.Is[i] && !d.Was[i]:
			won++
		}
	}
	flips := d.Share(d.Changed)
	if p := stat.McNemarP(lost, won); p <= 0.05 {
		flips.Warning = both(flips.Warning, fmt.Sprintf("%d lost, %d won: p %.2g by McNemar's test", lost, won, p))
	}
	w.paired(row, "choice_flips", flips.Measure, w.otherTeacher(row))
	row.influence["choice_flips"] = lab.NewInfluence(q.test(), "questions", flips.Influence)
	return nil
}
