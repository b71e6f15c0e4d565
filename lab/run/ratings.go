package run

import (
	"context"
	"errors"
	"fmt"

	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/scenario"
	"slimlab/lab/task"
)

// openRatings opens a folder of users' ratings.
func (r *Run) openRatings(ctx context.Context, d *dataset, p *scenario.Point) error {
	t := p.Task.Ratings
	if t.Path == "" {
		return errors.New("ratings: no folder is named, expected one with ratings.csv and movies.csv: --set task.path=FOLDER")
	}
	positions, err := r.loadedPositions(ctx, p)
	if err != nil {
		return err
	}
	cfg := task.RatingsConfig{Path: t.Path, Limit: t.Limit, MaxTokens: t.MaxTokens, Item: string(t.Item)}
	if positions > 0 && positions < cfg.MaxTokens {
		r.noteOnce(lab.Info, fmt.Sprintf("ratings: max_tokens is %d, and the loaded models have %s: prompts have at most %s", cfg.MaxTokens, plural.Of(positions, "position"), plural.Of(positions, "token")))
		cfg.MaxTokens = positions
	}
	table, err := task.ReadRatings(ctx, cfg)
	if err != nil {
		return err
	}
	d.training = taskValues("ratings", ratingsVersion, cfg)
	delete(d.training, "path") // only the content of the tables counts
	d.training["content"] = table.Content()
	d.test = d.training
	if d.tokenizer == nil {
		if err := r.trainTokenizer(ctx, d, p.Tokenizer, table.Corpus); err != nil {
			return err
		}
	}
	ratings, err := table.Tokenize(ctx, d.tokenizer)
	if err != nil {
		return err
	}
	d.Task, d.answers = ratings, ratings.Test()
	d.eos, d.longest, d.highest = d.tokenizer.EOS(), ratings.Longest(), ratings.Highest()
	d.positions = max(usualPositions, cfg.MaxTokens)
	return nil
}

// answerFigures turns scores of prompts with one of two answers into figures.
func (w *worker) answerFigures(row *measured, score []float64) error {
	f, err := w.data.answers.Figures(score)
	if err != nil {
		return err
	}
	row.answered = score
	test, unit := w.data.rankingTest(), w.data.answers.Unit
	set := func(key string, f task.Figure) {
		if f.N == 0 {
			return
		}
		row.values[key], row.influence[key] = f.Measure, lab.NewInfluence(test, unit, f.Influence)
	}
	set("auc", f.AUC)
	if w.cell.Point.Task.Ratings != nil {
		row.values["prompt_tokens"] = lab.Measure{Value: w.data.answers.PromptTokens(), N: len(score)}
	}
	set("auc_within", f.Within)
	set("auc_within_mean", f.Mean)
	right, err := w.data.answers.Accuracy(score)
	if err != nil {
		return err
	}
	if guess := w.data.answers.Commoner(); right.Low <= guess && guess <= right.High {
		right.Warning = both(right.Warning, fmt.Sprintf("as a guess: the commoner answer is right in %.4f", guess))
	}
	set("accuracy", right)
	for _, g := range f.Guesses {
		switch g.Name {
		case task.GuessTitle:
			set("auc_title", g.AUC)
			set("auc_within_title", g.Within)
			set("auc_within_gain", g.GainWithin)
		case task.GuessUser:
			set("auc_user", g.AUC)
		case task.GuessBoth:
			set("auc_title_user", g.AUC)
			set("auc_gain", g.Gain)
		}
	}
	return nil
}

// compareAnswers adds a row's AUC relative to the baseline's.
func (w *worker) compareAnswers(row *measured) error {
	if row.answered == nil || w.base.answered == nil {
		return nil
	}
	var err error
	if row.values["auc_delta"], err = w.data.answers.Gain(row.answered, w.base.answered); err != nil {
		return err
	}
	row.relate("auc_delta", "auc", w.base)
	return nil
}
