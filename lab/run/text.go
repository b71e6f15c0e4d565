package run

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"slimlab/internal/plural"
	"slimlab/lab"
	"slimlab/lab/scenario"
	"slimlab/lab/task"
)

// openText opens a file of text.
func (r *Run) openText(ctx context.Context, d *dataset, p *scenario.Point) error {
	t := p.Task.Text
	if t.Path == "" {
		return errors.New("text: no file is named, expected one of text: --set task.path=FILE")
	}
	positions, err := r.loadedPositions(ctx, p)
	if err != nil {
		return err
	}
	cfg := task.PassageConfig{Path: t.Path, Length: t.Length, Limit: t.Limit, Validation: t.Validation, Test: t.Test}
	if positions > 0 && positions < cfg.Length {
		r.noteOnce(lab.Info, fmt.Sprintf("text: length is %d, and the loaded models have %s: windows have %s", cfg.Length, plural.Of(positions, "position"), plural.Of(positions, "token")))
		cfg.Length = positions
	}
	passage, err := task.ReadPassage(ctx, cfg)
	if err != nil {
		return err
	}
	d.training = taskValues("text", textVersion, cfg)
	d.training["content"] = passage.Content()
	d.test = maps.Clone(d.training)
	if d.tokenizer == nil {
		if err := r.trainTokenizer(ctx, d, p.Tokenizer, passage.Corpus); err != nil {
			return err
		}
	}
	windows, err := passage.Tokenize(ctx, d.tokenizer)
	if err != nil {
		return err
	}
	d.Task, d.texts, d.testExamples, d.eos = windows, true, windows.Test(), d.tokenizer.EOS()
	d.longest, d.highest = d.extremes()
	d.positions = max(usualPositions, cfg.Length)
	return nil
}
