package eval

import (
	"context"

	"slimlab/kernels"
	"slimlab/lab/task"
	"slimlab/model"
	"slimlab/model/tokenizer"
)

// Choose asks a model questions, as an evaluation does that puts a BOS before a text where the
// tokenizer does. It returns the answers, and how many questions lost the beginning of a context
// that is longer than the model's positions. Keys and values are kept in float32, or as the cache
// that the model was made for keeps them.
func Choose(ctx context.Context, m *model.Model, t *tokenizer.Tokenizer, c *task.Choice) (answers []task.Answer, cut int, err error) {
	of := &Model{Model: m, Tokenizer: t, Cache: kernels.KVFloat32}
	if kv, given := m.KV(); given {
		of.Cache = kv
	}
	r := &run{options: Options{BOS: Auto, Cue: c.Cue}}
	begin, err := r.beginning(of)
	if err != nil {
		return nil, 0, err
	}
	part := &choiceScores{choice: c, options: &r.options}
	if _, err := part.plan(of, begin); err != nil {
		return nil, 0, err
	}
	if err := part.compute(ctx, of, newScorer(m, of.Cache, func(int) {})); err != nil {
		return nil, 0, err
	}
	return part.Answers, part.Cut, nil
}
