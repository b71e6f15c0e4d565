package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"slimlab/internal/plural"
	"slimlab/kd"
	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/scenario"
	"slimlab/lab/task"
	"slimlab/model/tokenizer"
)

// dataset is a task in the tokens of one tokenizer.
type dataset struct {
	task.Task
	training recipe.Values // what models are trained and calibrated on: world or file
	test     recipe.Values // what they are measured on
	// the test set of prompts with one of two answers; nil where there is none
	answers *task.Answers
	// test records of a file
	testExamples []task.Example
	// tasks are the names of the examples' tasks by number, "" that of those without one; nil where
	// all are of one. tasksBy is the field of a file that they are from
	tasks     []string
	tasksBy   string
	texts     bool            // the examples are texts without prompts
	cut       int             // tokens to which records are cut; 0 for other tasks
	recsys    *task.Recsys    // nil for other tasks
	reasoning *task.Reasoning // nil for other tasks
	tokenizer *tokenizer.Tokenizer
	eos       int32 // ends a response; −1 is none
	longest   int   // tokens of an example
	highest   int32 // id of a token of the data
	positions int   // of a fresh model for it
}

// Special tokens of a tokenizer that slimlab trains.
const (
	beginToken = "<s>"
	endToken   = "</s>"
)

// dataset returns the task of a point of the sweep, made once a run.
func (r *Run) dataset(ctx context.Context, p *scenario.Point) (*dataset, error) {
	var loads []string
	for _, m := range p.Models {
		if !m.Fresh() {
			loads = append(loads, m.Load)
		}
	}
	return r.tasks.get(datasetKey(p, loads), func() (*dataset, error) {
		d, err := r.newDataset(ctx, p)
		if err != nil {
			return nil, err
		}
		for _, n := range d.Notes() {
			r.note("", lab.Info, n)
		}
		return d, nil
	})
}

// datasetKey names a point's task, its tokenizer and the models that may bring one, within a run.
func datasetKey(p *scenario.Point, loads []string) string {
	key := recipe.Recipe{Stage: "dataset", Parameters: recipe.Of(p.Tokenizer)}
	key.Parameters["loads"] = loads
	if others := aliens(p); len(others) > 0 {
		key.Parameters["aliens"] = slices.Sorted(maps.Keys(others))
	}
	switch t := p.Task; {
	case t.Recsys != nil:
		key.Task = recipe.Of(t.Recsys)
	case t.Ratings != nil:
		key.Task = recipe.Of(t.Ratings)
	case t.Reasoning != nil:
		key.Task = recipe.Of(t.Reasoning)
	case t.Text != nil:
		key.Task = recipe.Of(t.Text)
	default:
		key.Task = recipe.Of(t.JSONL)
	}
	return key.Key()
}

func (r *Run) newDataset(ctx context.Context, p *scenario.Point) (*dataset, error) {
	tok, err := r.loadedTokenizer(ctx, p)
	if err != nil {
		return nil, err
	}
	if tok != nil && p.Tokenizer.Vocab != usualVocab {
		r.noteOnce(lab.Info, fmt.Sprintf("tokenizer.vocab is %d and not used: a loaded model brings a tokenizer of %s", p.Tokenizer.Vocab, plural.Of(tok.Vocab(), "token")))
	}
	if err := r.checkTokenizer(p, tok); err != nil {
		return nil, err
	}
	d := &dataset{tokenizer: tok}
	switch t := p.Task; {
	case t.Recsys != nil:
		err = r.openRecsys(ctx, d, t, p.Tokenizer)
	case t.Reasoning != nil:
		if err := r.openReasoning(ctx, d, p); err != nil {
			return nil, fmt.Errorf("%s: %w", r.plan.Scenario.At("task", "kind"), err)
		}
	case t.JSONL != nil:
		err = r.openJSONL(ctx, d, p)
	case t.Ratings != nil:
		err = r.openRatings(ctx, d, p)
	case t.Text != nil:
		err = r.openText(ctx, d, p)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", r.plan.Scenario.At("task", "path"), err)
	}
	return d, err
}

// loadedTokenizer returns the one tokenizer that the loaded models share; nil when none brings one.
func (r *Run) loadedTokenizer(ctx context.Context, p *scenario.Point) (*tokenizer.Tokenizer, error) {
	var tok *tokenizer.Tokenizer
	from := ""
	var without []string
	others := aliens(p)
	for _, shape := range p.Models {
		if shape.Fresh() || others[shape.Name] {
			continue
		}
		at, load := r.plan.Scenario.At("models", shape.Name, "load"), shape.Load
		m, err := r.model(ctx, load)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", at, err)
		}
		t, err := m.tokenizer()
		if err != nil {
			return nil, fmt.Errorf("%s: model %s: %w", at, load, err)
		}
		if t == nil {
			without = append(without, load)
			continue
		}
		if tok == nil {
			tok, from = t, load
			continue
		}
		if t.Hash() == tok.Hash() {
			continue
		}
		if err := tok.SameTokens(t); err != nil {
			return nil, fmt.Errorf("%s: models %s and %s have different tokenizers, expected the same tokens, on which they are measured (a model that does nothing but teach may have others, by align: bytes in the step distil): %w", at, from, load, err)
		}
		r.note("", lab.Info, fmt.Sprintf("models %s and %s have the same tokens in tokenizers that are not the same: the first one's is used", from, load))
	}
	if tok != nil {
		for _, load := range without {
			r.noteOnce(lab.Warning, fmt.Sprintf("model %s has no tokenizer: it is given that of %s, and its figures mean something if it was trained with the same", load, from))
		}
	}
	return tok, nil
}

// checkTokenizer refuses a loaded model to which no tokenizer belongs, unless one is to be trained:
// to the model the tokens of another are arbitrary.
func (r *Run) checkTokenizer(p *scenario.Point, tok *tokenizer.Tokenizer) error {
	others := aliens(p)
	for _, shape := range p.Models {
		switch {
		case shape.Fresh() || others[shape.Name]:
			continue
		case tok != nil && p.Tokenizer.Train:
			r.noteOnce(lab.Info, "tokenizer.train is true and not used: a loaded model brings a tokenizer")
			return nil
		case tok != nil:
			return nil
		case !p.Tokenizer.Train:
			return fmt.Errorf("%s: model %s: %w: give its folder the tokenizer that it was trained with (tokenizer.json), or for a model with random weights say tokenizer: { train: true }, which trains one on the task's text", r.plan.Scenario.At("models", shape.Name, "load"), shape.Load, ErrNoTokenizer)
		}
		r.noteOnce(lab.Warning, fmt.Sprintf("model %s has no tokenizer: as was asked for, one is trained on the task's text, and figures of a model that was trained with other tokens say nothing", shape.Load))
	}
	return nil
}

// ErrNoTokenizer is the error of a loaded model that is to read a text.
var ErrNoTokenizer = errors.New("the model has no tokenizer, so no text can be read")

// loadedPositions returns the positions that all loaded models have, 0 where none is loaded.
func (r *Run) loadedPositions(ctx context.Context, p *scenario.Point) (int, error) {
	fewest, others := 0, aliens(p)
	for _, shape := range p.Models {
		if shape.Fresh() || others[shape.Name] {
			continue
		}
		m, err := r.model(ctx, shape.Load)
		if err != nil {
			return 0, err
		}
		if n := m.origin.MaxPositions; fewest == 0 || n < fewest {
			fewest = n
		}
	}
	return fewest, nil
}

// elsewhere is a point's task in another world, in the tokens of its own.
func (r *Run) elsewhere(ctx context.Context, own *dataset, p *scenario.Point, world int) (*dataset, error) {
	point := *p
	d := &dataset{tokenizer: own.tokenizer}
	var open func() error
	switch t := p.Task; {
	case t.Recsys != nil:
		other := *t.Recsys
		other.World, point.Task.Recsys = world, &other
		open = func() error { return r.openRecsys(ctx, d, point.Task, p.Tokenizer) }
	case t.Reasoning != nil:
		other := *t.Reasoning
		other.World, point.Task.Reasoning = world, &other
		open = func() error { return r.openReasoning(ctx, d, &point) }
	default:
		return nil, fmt.Errorf("is %d, and task %s has no worlds: leave it out", world, p.Task.Kind)
	}
	return r.tasks.get(datasetKey(&point, []string{"in the tokens of", own.tokenizer.Hash()}), func() (*dataset, error) { return d, open() })
}

// testKey names what models are measured on: the test set and the validation size.
func (d *dataset) testKey(validation int) string {
	return recipe.Recipe{Stage: "test", Task: d.test, Parameters: recipe.Values{"validation": validation}}.Key()
}

// batches gives the training batches of a step. With data > 0 the labelled examples are that many
// and come again each epoch.
func (d *dataset) batches(seed uint64, size, data int) kd.Batches {
	if data > 0 {
		if n := d.TrainSize(); n > 0 {
			data = min(data, n)
		}
		examples := make([]kd.Example, data)
		for i := range examples {
			examples[i] = trainable(d.Train(seed, i))
		}
		return kd.Shuffle(examples, size, seed)
	}
	batch := make([]kd.Example, size)
	return func(_ context.Context, step int) ([]kd.Example, error) {
		for i := range batch {
			batch[i] = trainable(d.Train(seed, (step-1)*size+i))
		}
		return batch, nil
	}
}

// trainable is a task's example as package kd reads it.
func trainable(e task.Example) kd.Example {
	return kd.Example{Tokens: e.Tokens, Answer: e.Answer, Weights: e.Weights, Task: e.Task}
}

// weighted returns the data with factors of its tasks' losses, for a training: what models are
// measured on has none. It returns d itself where no factor is given.
func (d *dataset) weighted(weights factors) (*dataset, error) {
	if weights.IsZero() {
		return d, nil
	}
	if d.recsys == nil {
		return nil, errors.New("are of task recsys, whose examples are of several tasks, and this task has one: give records of a file their own by task.weight_field")
	}
	of, err := task.ParseTaskWeights(string(weights))
	if err != nil {
		return nil, err
	}
	copied := *d
	copied.recsys = d.recsys.Weighted(of)
	copied.Task = copied.recsys
	return &copied, nil
}

// extremes are the number of tokens of the longest example of a file, and the highest id.
func (d *dataset) extremes() (longest int, highest int32) {
	see := func(e task.Example) {
		longest, highest = max(longest, len(e.Tokens)), max(highest, slices.Max(e.Tokens))
	}
	for i := range d.TrainSize() {
		see(d.Train(0, i)) // each once, in some order
	}
	rest := append(d.Validation(0), d.testExamples...)
	if more, err := d.Calibration(task.InDomain, 0); err == nil {
		rest = append(rest, more...)
	}
	for _, e := range rest {
		see(e)
	}
	return longest, highest
}

func (d *dataset) validation(n int) []kd.Example {
	return trainables(d.Validation(n))
}

func trainables(given []task.Example) []kd.Example {
	examples := make([]kd.Example, len(given))
	for i, e := range given {
		examples[i] = trainable(e)
	}
	return examples
}
