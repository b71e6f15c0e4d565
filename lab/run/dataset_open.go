package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/scenario"
	"slimlab/lab/store"
	"slimlab/lab/task"
	"slimlab/model/chat"
	"slimlab/model/tokenizer"
)

func (r *Run) openRecsys(ctx context.Context, d *dataset, t scenario.Task, tz scenario.Tokenizer) error {
	cfg := task.DefaultRecsys()
	cfg.WorldSeed = uint64(t.Recsys.World)
	cfg.Members, cfg.Candidates = t.Recsys.Members, t.Recsys.Candidates
	cfg.ItemWords, cfg.ItemKept = int(t.Recsys.ItemWords), t.Recsys.ItemKept
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
