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
	"slimlab/lab/store"
	"slimlab/lab/task"
	"slimlab/model/chat"
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

func (r *Run) openRecsys(ctx context.Context, d *dataset, t scenario.Task, tz scenario.Tokenizer) error {
	cfg := task.DefaultRecsys()
	cfg.WorldSeed = uint64(t.Recsys.World)
	cfg.Members, cfg.Candidates = t.Recsys.Members, t.Recsys.Candidates
	if err := cfg.Validate(); err != nil {
		return err
	}
	d.test = taskValues("recsys", recsysVersion, cfg)
	d.training = maps.Clone(d.test)
	for _, name := range []string{"members", "candidates", "held_out"} { // of the test set alone
		delete(d.training, name)
	}
	if d.tokenizer == nil {
		world, err := task.NewWorld(cfg)
		if err != nil {
			return err
		}
		if err := r.trainTokenizer(ctx, d, tz, world.Corpus); err != nil {
			return err
		}
	}
	rec, err := task.NewRecsys(cfg, d.tokenizer)
	if err != nil {
		return err
	}
	d.Task, d.recsys = rec, rec
	d.tasks, _ = task.TaskNames()
	// any word may come up
	d.eos, d.highest = d.tokenizer.EOS(), int32(d.tokenizer.Vocab())-1
	d.longest, d.positions = rec.Longest(), usualPositions
	if d.longest > usualPositions {
		d.positions = rec.MostTokens()
	}
	return nil
}

func (r *Run) openReasoning(ctx context.Context, d *dataset, p *scenario.Point) (err error) {
	t := p.Task.Reasoning
	cfg := task.DefaultReasoning()
	cfg.WorldSeed, cfg.Problems, cfg.Most = uint64(t.World), t.Problems, t.Steps
	world, err := task.NewChains(cfg)
	if err != nil {
		return err
	}
	d.test = taskValues("reasoning", reasoningVersion, cfg)
	d.training = maps.Clone(d.test)
	delete(d.training, "problems") // of the test set alone
	if d.tokenizer == nil {
		if err := r.trainTokenizer(ctx, d, p.Tokenizer, world.Corpus); err != nil {
			return err
		}
	}
	if d.eos, err = r.loadedEOS(ctx, d, p); err != nil {
		return err
	}
	if d.reasoning, err = task.NewReasoning(cfg, d.tokenizer, d.eos); err != nil {
		return err
	}
	d.Task = d.reasoning
	// any word may come up
	d.highest, d.longest = int32(d.tokenizer.Vocab())-1, d.reasoning.MostTokens()
	d.positions = max(usualPositions, d.longest)
	return nil
}

func (r *Run) openJSONL(ctx context.Context, d *dataset, p *scenario.Point) (err error) {
	t := p.Task
	cfg := task.DefaultJSONL(t.JSONL.Path)
	cfg.PromptField, cfg.ResponseField = t.JSONL.PromptField, t.JSONL.ResponseField
	cfg.MaxTokens, cfg.ValidationShare, cfg.Limit = t.JSONL.MaxTokens, t.JSONL.Validation, t.JSONL.Limit
	cfg.GroupField, cfg.TaskField, cfg.WeightField, cfg.MaskField = t.JSONL.GroupField, t.JSONL.TaskField, t.JSONL.WeightField, t.JSONL.MaskField
	if cfg.TestShare, cfg.TestPath, err = testOf(t.JSONL.Test); err != nil {
		return err
	}
	if cfg.MostTokens, err = r.loadedPositions(ctx, p); err != nil {
		return err
	}
	if cfg.Path == "" {
		return fmt.Errorf("jsonl: no file is named, expected one of JSON objects: --set task.path=FILE")
	}
	records, err := task.ReadJSONL(ctx, cfg)
	if err != nil {
		return err
	}
	d.training = taskValues("jsonl", jsonlVersion, cfg)
	delete(d.training, "path") // only the content of the file counts
	d.training["content"] = records.Content()
	if records.MessageWeights() {
		d.training["message_weights"] = messageWeightsVersion
	}
	d.test = d.training
	if d.tokenizer == nil {
		if records.Conversations() {
			return fmt.Errorf("%s: the file holds conversations, which the chat template of a loaded model writes, and no model is loaded: load one with a chat template, or write each conversation as a prompt and a response", cfg.Path)
		}
		if err := r.trainTokenizer(ctx, d, p.Tokenizer, records.Corpus); err != nil {
			return err
		}
	}
	if d.eos, err = r.loadedEOS(ctx, d, p); err != nil {
		return err
	}
	if records.Conversations() {
		d.training["chat_template"] = recipe.Text(d.tokenizer.ChatTemplate())
	}
	examples, err := records.Tokenize(ctx, d.tokenizer, d.eos, chatOf(d.tokenizer))
	if err != nil {
		return err
	}
	d.Task, d.tasks, d.tasksBy = examples, records.Tasks(), cfg.TaskField
	d.texts, d.cut = records.Whole(), cfg.MaxTokens
	r.testRecords(d, examples, cfg)
	d.longest, d.highest = d.extremes()
	d.positions = max(usualPositions, cfg.MaxTokens)
	return nil
}

// loadedEOS is the token that ends a response: the tokenizer's, or that of the config of the loaded
// model that brought the tokenizer.
func (r *Run) loadedEOS(ctx context.Context, d *dataset, p *scenario.Point) (int32, error) {
	if eos := d.tokenizer.EOS(); eos >= 0 {
		return eos, nil
	}
	others := aliens(p)
	for _, shape := range p.Models {
		if shape.Fresh() || others[shape.Name] {
			continue
		}
		m, err := r.model(ctx, shape.Load)
		if err != nil {
			return -1, err
		}
		if eos := int32(m.origin.EOS); eos >= 0 && int(eos) < d.tokenizer.Vocab() {
			d.training["eos"] = int(eos)
			r.noteOnce(lab.Info, fmt.Sprintf("model %s: the tokenizer names no end-of-sequence token: responses end with %d (%q), the model's", shape.Load, eos, d.tokenizer.Token(eos)))
			return eos, nil
		}
	}
	return -1, fmt.Errorf("the models' tokenizer names no end-of-sequence token, and no model does, expected one to end each response: give eos_token_id in config.json or eos_token in tokenizer_config.json")
}

// usualVocab is the vocabulary of a tokenizer that a scenario says nothing of.
const usualVocab = 2048

// usualPositions is how many positions a fresh model has at least.
const usualPositions = 512

// chatOf writes conversations for a tokenizer; nil where it has no template.
func chatOf(t *tokenizer.Tokenizer) task.Chat {
	if t.ChatTemplate() == "" {
		return nil
	}
	return chat.NewWriter(t)
}

// taskValues are a task's parameters by the names of its config's fields.
func taskValues(kind string, version int, config any) recipe.Values {
	values := recipe.Of(config)
	values["kind"], values["version"] = kind, version
	return values
}

// trainTokenizer trains a tokenizer on the task's text, or takes the one that an earlier run
// trained on the same.
func (r *Run) trainTokenizer(ctx context.Context, d *dataset, tz scenario.Tokenizer, corpus func(n int) []string) error {
	tz.Train = false // why it is trained is no part of it
	of := recipe.Recipe{Stage: "tokenizer", Version: tokenizerVersion, Parameters: recipe.Of(tz), Task: d.training}
	train := func() (t *tokenizer.Tokenizer, err error) {
		err = r.compute(func() error {
			if t, err = tokenizer.Train(slices.Values(corpus(corpusTexts)), tz.Vocab, []string{beginToken, endToken}); err != nil {
				return err
			}
			return t.SetSpecial("", endToken)
		})
		return t, err
	}
	var a artifact
	var err error
	if r.readOnly {
		if a.dir, a.release, err = r.find(ctx, of.Key(), "tokenizer"); errors.Is(err, store.ErrNotFound) {
			a.dir, err = "", nil
		}
	} else {
		a, err = r.artifact(ctx, of, "tokenizer", func(dir string) error {
			t, err := train()
			if err != nil {
				return err
			}
			return t.Save(dir)
		})
	}
	switch {
	case err != nil:
	case a.dir == "": // a Check that did not find it, and keeps nothing
		d.tokenizer, err = train()
	default:
		d.tokenizer, err = tokenizer.Load(a.dir)
		a.release()
	}
	if err != nil {
		return fmt.Errorf("tokenizer: %w", err)
	}
	return nil
}

// corpusTexts is how many texts a tokenizer is trained on, at most.
const corpusTexts = 20000

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
