package run

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"slimlab/kd"
	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/task"
	"slimlab/model"
	"slimlab/serve"
	"slimlab/serve/host"
)

// evaluation is the artifact of measuring a model's quality.
type evaluation struct {
	Scores []float64 `json:"scores,omitempty"`
	Loss   float64   `json:"loss,omitempty"`
	Tokens int       `json:"tokens,omitempty"`
	// the same over the test records of a file
	TestLoss      float64        `json:"test_loss,omitempty"`
	TestTokens    int            `json:"test_tokens,omitempty"`
	TestInfluence *lab.Influence `json:"test_influence,omitempty"`
	// Verdicts are those on the generated answers to the test problems.
	Verdicts []task.Verdict `json:"verdicts,omitempty"`
	// Influence is that of the validation examples on the loss.
	Influence *lab.Influence `json:"influence,omitempty"`
}

// quality evaluates a model on the task, or finds the evaluation of an earlier run.
func (w *worker) quality(ctx context.Context, row *measured) error {
	validation := w.data.recsys == nil || w.run.plan.Scenario.Asks("loss", "loss_delta")
	settings := w.cell.Point.Evaluate
	a, err := w.run.artifact(ctx, w.evaluationRecipe(row, validation), "evaluation of "+row.name, func(dir string) error {
		w.progress(0, 0, "evaluate")
		return w.run.compute(func() (err error) {
			m, err := row.load(ctx)
			if err != nil {
				return err
			}
			defer func() {
				if err == nil || ctx.Err() != nil {
					return
				}
				if tensor := kd.CheckFinite(m); tensor != nil { // which is why
					err = fmt.Errorf("%w: %w", err, tensor)
				}
			}()
			var e evaluation
			if w.data.recsys != nil || w.data.answers != nil {
				if e.Scores, err = w.data.rank(ctx, m); err != nil {
					return err
				}
			}
			if w.data.reasoning != nil {
				if e.Verdicts, err = w.data.judge(ctx, m, w.cell.Point.Task.Reasoning.Problems, w.data.reasoning.LongestAnswer()); err != nil {
					return err
				}
			}
			if validation {
				examples := w.data.validation(settings.Validation)
				var losses []float64
				if e.Loss, losses, err = loss(ctx, m, examples); err != nil {
					return err
				}
				of := meanInfluence(examples, losses)
				e.Tokens, e.Influence = len(losses), &of
			}
			if len(w.data.testExamples) > 0 {
				examples := trainables(w.data.testExamples)
				var losses []float64
				if e.TestLoss, losses, err = loss(ctx, m, examples); err != nil {
					return err
				}
				of := meanInfluence(examples, losses)
				e.TestTokens, e.TestInfluence = len(losses), &of
			}
			return writeFacts(dir, e)
		})
	})
	if err != nil {
		return err
	}
	defer a.release()
	var e evaluation
	if err := readFacts(a.dir, &e); err != nil {
		return err
	}
	if validation {
		row.values["loss"] = lab.Measure{Value: e.Loss, N: e.Tokens}
		if e.Influence != nil {
			e.Influence.Test = w.data.validationTest(settings.Validation)
			row.influence["loss"] = *e.Influence
		}
		w.perplexity(row)
	}
	if e.TestInfluence != nil {
		e.TestInfluence.Test = w.data.rankingTest() + w.data.tokenizer.Hash()
		row.values["loss_test"], row.influence["loss_test"] = lab.Measure{Value: e.TestLoss, N: e.TestTokens}, *e.TestInfluence
	}
	if w.data.reasoning != nil {
		row.verdicts = e.Verdicts
		return w.run.compute(func() error { return w.reasoned(row, e.Verdicts) })
	}
	return w.run.compute(func() error { return w.ranking(row, e.Scores) })
}

// evaluationRecipe is all that decides a row's evaluation; validation says whether the loss is
// measured.
func (w *worker) evaluationRecipe(row *measured, validation bool) recipe.Recipe {
	of := w.data.recipe("evaluate", evaluateVersion)
	of.Task = w.data.test
	row.describe(of, "model")
	of.Parameters["validation"], of.Parameters["loss"] = w.cell.Point.Evaluate.Validation, validation
	return of
}

// partSize is how many validation examples are measured between two looks at the context.
const partSize = 64

// loss is the mean cross-entropy over all answer tokens, and that of each in order.
func loss(ctx context.Context, m *model.Model, examples []kd.Example) (mean float64, losses []float64, err error) {
	for part := range slices.Chunk(examples, partSize) {
		if err := ctx.Err(); err != nil {
			return 0, nil, err
		}
		of, each, err := kd.TokenLosses(ctx, m, part)
		if err != nil {
			return 0, nil, err
		}
		mean += of * float64(len(each))
		for _, x := range each {
			losses = append(losses, float64(x))
		}
	}
	if mean /= float64(len(losses)); math.IsNaN(mean) || math.IsInf(mean, 0) {
		return 0, nil, fmt.Errorf("the validation loss over %d answer tokens is %v, expected a finite number", len(losses), mean)
	}
	return mean, losses, nil
}

// rank scores the task's test prompts on an engine.
func (d *dataset) rank(ctx context.Context, m *model.Model) ([]float64, error) {
	e, err := host.NewEngine(m, host.Options{}, serve.Defaults())
	if err != nil {
		return nil, err
	}
	defer e.Close()
	if d.answers != nil {
		return d.answers.Evaluate(ctx, e)
	}
	scores, err := d.recsys.Evaluate(ctx, e)
	if err != nil {
		return nil, err
	}
	return scores.Score, nil
}

// ranking turns test scores into AUCs.
func (w *worker) ranking(row *measured, score []float64) error {
	if w.data.answers != nil {
		return w.answerFigures(row, score)
	}
	if w.data.recsys == nil {
		return nil
	}
	scores, err := w.data.recsys.NewScores(score)
	if err != nil {
		return err
	}
	row.scores = scores
	summary, err := scores.Summary()
	if err != nil {
		return err
	}
	row.values["auc"] = summary.Hard
	row.values["auc_soft"] = summary.Soft
	of, err := scores.Influences()
	if err != nil {
		return err
	}
	test := w.data.rankingTest()
	row.influence["auc"], row.influence["auc_soft"] = lab.NewInfluence(test, "members", of.Hard), lab.NewInfluence(test, "members", of.Soft)
	row.values["prompt_tokens"] = lab.Measure{Value: w.data.recsys.PromptTokens()}
	row.values["auc_ceiling"] = lab.Measure{Value: summary.CeilingSoft.Value}
	row.values["auc_ceiling_delta"] = summary.CeilingDelta
	row.influence["auc_ceiling_delta"] = lab.NewInfluence(test, "members", of.CeilingDelta)
	if summary.HeldOutSoft.N > 0 {
		row.values["auc_heldout"], row.influence["auc_heldout"] = summary.HeldOutSoft, lab.NewInfluence(test, "members", of.HeldOutSoft)
	}
	return nil
}

// otherTeacher says that a row is compared with another model than the one that it learned from; ""
// where it is not.
func (w *worker) otherTeacher(row *measured) string {
	if row.taught == nil || row.is(w.base) || row.teacher != nil && row.teacher.key == w.base.key {
		return ""
	}
	return fmt.Sprintf("compared with %s, not with its teacher %s", w.base.name, strings.ReplaceAll(row.taught.name(), ";", ",")) // a list of notes is divided by ;
}

// agreementRecipe is all that decides how far a row agrees with the baseline.
func (w *worker) agreementRecipe(row *measured) recipe.Recipe {
	of := w.data.recipe("agreement", agreementVersion)
	w.base.describe(of, "baseline")
	row.describe(of, "model")
	of.Parameters["validation"] = w.cell.Point.Evaluate.Validation
	return of
}
