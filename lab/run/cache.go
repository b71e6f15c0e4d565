package run

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"slimlab/internal/plural"
	"slimlab/kd"
	"slimlab/kd/teachercache"
	"slimlab/lab"
	"slimlab/lab/home"
	"slimlab/lab/recipe"
	"slimlab/lab/report"
	"slimlab/lab/scenario"
	"slimlab/lab/store"
)

// Cache says what a distillation keeps of its teacher's distributions in a file, which it reads in
// the teacher's place.
type Cache struct {
	Codec string  `key:"codec" default:"none" omit:"default" names:"codecs" doc:"what is kept of each distribution; none keeps no file"`
	Tail  bool    `key:"tail" default:"true" omit:"default" doc:"of top-k: the mass of all other tokens counts as one outcome; false forgets it, which is biased"`
	Power float64 `key:"power" default:"1" omit:"default" above:"0" max:"2" doc:"of sampled: tokens are drawn from the distribution to this power"`
	Seed  int     `key:"seed" default:"1" omit:"default" min:"1" max:"1000000000" doc:"of sampled: seed of the draws"`
}

// IsZero reports a distillation without a file.
func (c Cache) IsZero() bool { return c.Codec == "" || c.Codec == "none" }

// codecs are what a file can keep of a distribution.
var codecs = []scenario.Name{
	{Name: "none", About: "no file: the teacher is asked during the training"},
	{Name: "exact", About: "all of it, 4 bytes a token of the vocabulary: trains with the same bits as the teacher"},
	{Name: "top-k", Parameter: "k", Unbounded: true, About: "the k likeliest tokens, and the mass of the others"},
	{Name: "sampled", Parameter: "n", Unbounded: true, About: "n draws with importance weights: the gradient of fkl is that of the teacher on average; no other loss"},
}

// text is what is kept.
func (c Cache) text() string {
	text := c.Codec
	if !c.Tail {
		text += " without the tail"
	}
	if c.Power != 1 {
		text += fmt.Sprintf(" of power %v", c.Power)
	}
	return text
}

func (c Cache) describe() string {
	if c.IsZero() {
		return ""
	}
	return " from a file (" + c.text() + ")"
}

// spec is what package teachercache reads of the keys, for a loss.
func (c Cache) spec(o kd.Objective) (teachercache.Spec, error) {
	s, err := teachercache.ParseCodec(c.Codec)
	if err != nil {
		return s, err
	}
	s.Whole = o.Sequence > 0 && o.SequenceLoss == kd.SequenceMixture
	if s.Codec != teachercache.Exact {
		s.Temperature = o.Temperature
	}
	if s.Codec == teachercache.TopK {
		s.DropTail = !c.Tail
	}
	if s.Codec == teachercache.Sampled {
		s.Power, s.Seed = c.Power, uint64(c.Seed)
	}
	return s, s.CheckObjective(o)
}

// checkCache reports a file that cannot serve the step.
func (d *Distil) checkCache(o kd.Objective, given func(key string) bool, bad func(key, with, format string, args ...any)) {
	c := d.Cache
	if c.IsZero() {
		if given("cache") && (!c.Tail || c.Power != 1 || c.Seed != 1) {
			bad("cache", "", "has settings of a codec, and no codec: expected codec: exact, top-k:K or sampled:N")
		}
		return
	}
	if !d.Samples.IsZero() {
		bad("cache", "samples", "has the teacher's distributions at the data's answers, and samples are written during the training: expected no cache, or no samples")
		return
	}
	s, err := c.spec(o)
	switch {
	case err != nil:
		bad("cache", "loss", "is %s: %v", c.Codec, err)
	case s.Codec != teachercache.TopK && !c.Tail:
		bad("cache", "", "is %s and has tail: false, which is of codec top-k: expected no tail", c.Codec)
	case s.Codec != teachercache.Sampled && (c.Power != 1 || c.Seed != 1):
		bad("cache", "", "is %s and has a power or a seed, which are of codec sampled: expected neither", c.Codec)
	}
}

// rowCache is the planned file of a teacher's distributions that a training reads: an artifact of
// its own, which trainings on the same examples share.
type rowCache struct {
	of       recipe.Recipe
	title    string
	spec     teachercache.Spec
	source   teachercache.Source
	examples int    // of the training, in its order; equal ones are kept once
	dir      string // of the artifact, once it is there
	facts    cacheFacts
}

// rowsFile is the file's name in its artifact.
const rowsFile = "teacher.cache"

// cacheFacts are stored beside the file, and with the models that learned from it.
type cacheFacts struct {
	Bytes    int64 `json:"bytes"`
	Rows     int   `json:"rows"`
	Examples int   `json:"examples"`
	// mean entropy of the rows in nats, and the part of it in what is kept
	Entropy     float64 `json:"entropy"`
	EntropyKept float64 `json:"entropy_kept"`
	Seconds     float64 `json:"seconds"` // of the build that finished it
}

// bytesPerToken is the file's size by its rows.
func (f *cacheFacts) bytesPerToken() float64 { return float64(f.Bytes) / float64(max(1, f.Rows)) }

// planCache plans the file that a training reads, and makes it an input of the training.
func (t *training) planCache(keys Cache) error {
	spec, err := keys.spec(t.objective)
	if err != nil {
		return keyError{"cache", fmt.Errorf("is %s: %w", keys.Codec, err)}
	}
	spec.Tasks = t.teaching.mix.byTask()
	c := &rowCache{spec: spec, examples: t.keys.Steps * t.keys.Batch}
	// the order of a finite set is that of the first epoch, so that the following ones add nothing
	bound := t.data.TrainSize()
	if t.keys.Data > 0 && (bound == 0 || t.keys.Data < bound) {
		bound = t.keys.Data
	}
	if bound > 0 {
		c.examples = min(c.examples, bound)
	}
	template := ""
	if text := t.data.tokenizer.ChatTemplate(); text != "" {
		template = recipe.Text(text)
	}
	c.of = t.data.recipe(home.TeacherCache, cacheVersion)
	t.teaching.decide(&c.of)
	teacher := recipe.Recipe{Stage: "teacher", Inputs: map[string]string{}, Parameters: recipe.Values{}}
	t.teaching.decide(&teacher)
	c.source = teachercache.Source{
		Teacher: teacher.Key(), Tokenizer: t.data.tokenizer.Hash(), Template: template,
		Task:  recipe.Recipe{Stage: "training data", Task: t.data.training}.Key(),
		Vocab: t.teaching.vocab(t),
	}
	c.of.Seed = t.seed // of the order of the examples
	for name, value := range map[string]any{
		"codec": keys.Codec, "tail": !spec.DropTail, "power": spec.Power, "seed": spec.Seed, "temperature": spec.Temperature, "whole": spec.Whole,
		"vocab": c.source.Vocab, "chat_template": template, "examples": c.examples, "data": t.keys.Data, "precision": t.keys.Precision,
	} {
		c.of.Parameters[name] = value
	}
	c.title = fmt.Sprintf("rows of %s (%s)", t.teaching.name(), keys.text())
	t.teaching.cache, t.of.Inputs["cache"] = c, c.of.Key()
	t.noteDraws(spec)
	return nil
}

// fewDraws of a row say little of it.
const fewDraws = 10

// noteDraws says what a divergence from draws is. Its expectation is the KL divergence only while
// the student does not depend on the draws, which it learns; and with a power above 1 unlikely
// tokens have weights p^(1−power) without bound.
func (t *training) noteDraws(s teachercache.Spec) {
	if s.Codec != teachercache.Sampled {
		return
	}
	text := fmt.Sprintf("%s: its divergence is an estimate from draws, %d a token: it may be below 0, and falls below the KL divergence as the student learns these draws; metric kl has no such error", t.step.Name, s.Draws)
	level, do := lab.Info, ""
	if s.Draws < fewDraws {
		level, do = lab.Warning, plural.Of(fewDraws, "draw")+" or more"
	}
	if s.Power > 1 {
		level = lab.Warning
		text += fmt.Sprintf("; power %v gives unlikely tokens weights without bound", s.Power)
		if do != "" {
			do += " and "
		}
		do += "power 1 or less"
	}
	if do != "" {
		text += ": expected " + do
	}
	t.run.noteOnce(level, text)
}

// prepareCache makes the file of the teacher's distributions, or finds it.
func (t *training) prepareCache(ctx context.Context) error {
	c := t.teaching.cache
	a, err := t.run.artifact(ctx, c.of, c.title, func(dir string) error {
		return t.run.compute(func() error { return t.buildCache(ctx, dir) })
	})
	if err != nil {
		return fmt.Errorf("teacher's cache: %w", err)
	}
	t.held = append(t.held, a.release)
	c.dir = a.dir
	var used *store.InUseError // by a process that makes it anew
	if err := t.run.home.Artifacts.DropPartial(c.of.Key()); err != nil && !errors.As(err, &used) {
		t.run.noteOnce(lab.Info, fmt.Sprintf("%s: what its builds have left stays: %v", c.title, err))
	}
	if err := readFacts(a.dir, &c.facts); err != nil {
		return err
	}
	state := fmt.Sprintf("built in %s", report.Duration(c.facts.Seconds))
	if !a.built {
		state = "from an earlier run"
	}
	f := &c.facts
	t.run.noteOnce(lab.Info, fmt.Sprintf("%s: %s: %s of %s, %.4g bytes each, %s in all; %s of their entropy of %.4g nats is kept; %s",
		t.stage, c.title, plural.Of(f.Rows, "distribution"), plural.Of(f.Examples, "example"), f.bytesPerToken(), report.Bytes(f.Bytes), percent(f.EntropyKept/max(f.Entropy, 1e-300)), f.Entropy, state))
	return nil
}

// buildCache asks the teacher about all examples of the training and writes the file into an
// artifact's folder. What a build that ended early has done is in the store's folder of partial
// work, where the next one goes on.
func (t *training) buildCache(ctx context.Context, dir string) error {
	began := time.Now()
	c := t.teaching.cache
	if t.run.anew(c.of) {
		if err := t.run.home.Artifacts.DropPartial(c.of.Key()); err != nil {
			return err
		}
	}
	work, release, err := t.run.home.Artifacts.Partial(c.of, store.Label{Title: c.title, Program: t.run.home.Version})
	if err != nil {
		return err
	}
	defer release()
	name := filepath.Join(work, rowsFile)
	if !c.whole(name) {
		if err := t.roomAbout(c, already(name), t.run.home.Free()); err != nil {
			return err
		}
		examples, err := t.examples(ctx, c.examples)
		if err != nil {
			return err
		}
		if err := t.room(c, c.spec.Count(examples), already(name), t.run.home.Free()); err != nil {
			return err
		}
		config := t.config(nil)
		teacher, err := t.teaching.ask(ctx, t, &config)
		if err != nil {
			return err
		}
		built, err := teachercache.Build(ctx, teachercache.Job{
			Name: name, Spec: c.spec, Source: c.source, Teacher: teacher.rows, Examples: examples,
			Progress: func(done, of int) {
				t.progress(done, of, "teacher's cache")
				began = began.Add(t.run.pause())
			},
		})
		if err != nil {
			return err
		}
		t.sayOutages()
		if built.Resumed > 0 {
			t.run.note(t.cell.ID, lab.Info, fmt.Sprintf("%s: %s: goes on after %d of %s, which an unfinished build had left", t.stage, c.title, built.Resumed, plural.Of(built.Examples, "example")))
		}
	}
	rows, err := teachercache.Open(name)
	if err != nil {
		return err
	}
	defer rows.Close()
	if err := os.Link(name, filepath.Join(dir, rowsFile)); err != nil { // a file system without links
		if err := os.Rename(name, filepath.Join(dir, rowsFile)); err != nil {
			return err
		}
	}
	return writeFacts(dir, cacheFacts{
		Bytes: rows.Bytes, Rows: rows.Tokens, Examples: rows.Examples, Entropy: rows.Entropy, EntropyKept: rows.EntropyKept, Seconds: time.Since(began).Seconds(),
	})
}

// whole reports whether a build has finished the file that was killed before the artifact had it.
func (c *rowCache) whole(name string) bool {
	rows, err := teachercache.Open(name)
	if err != nil {
		return false
	}
	defer rows.Close()
	return rows.Check(c.spec, c.source) == nil && rows.Verify() == nil
}

// examples are the first n of the training, in the order of its steps.
func (t *training) examples(ctx context.Context, n int) ([]kd.Example, error) {
	next := t.data.batches(t.seed, t.keys.Batch, t.keys.Data)
	list := make([]kd.Example, 0, n+t.keys.Batch)
	for step := 1; len(list) < n; step++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		batch, err := next(ctx, step)
		if err != nil {
			return nil, err
		}
		list = append(list, batch...)
	}
	return list[:n], nil
}

// sizeSample is how many examples are counted before a run; of more it says how many distributions
// they have.
const sizeSample = 256

// cacheSize bounds what the file takes: of more examples than sizeSample by the mean of those and
// four standard errors.
func (t *training) cacheSize(c *rowCache) (least, most int64, err error) {
	examples := make([]kd.Example, min(c.examples, sizeSample))
	var sum, squares float64
	for i := range examples {
		examples[i] = trainable(t.data.Train(t.seed, i))
		rows := float64(c.spec.Count(examples[i : i+1]).Rows)
		sum, squares = sum+rows, squares+rows*rows
	}
	n, all := float64(len(examples)), float64(c.examples)
	if c.examples <= sizeSample {
		return c.spec.FileBytes(c.source, c.spec.Count(examples))
	}
	mean := sum / n
	around := 4 * math.Sqrt(max(0, squares/n-mean*mean)*all*(1+all/n))
	if least, _, err = c.spec.FileBytes(c.source, teachercache.Count{Examples: c.examples, Rows: int(max(0, all*mean-around))}); err != nil {
		return 0, 0, err
	}
	_, most, err = c.spec.FileBytes(c.source, teachercache.Count{Examples: c.examples, Rows: int(math.Ceil(all*mean + around))})
	return least, most, err
}

// already is the size of an unfinished file.
func already(name string) int64 {
	info, err := os.Stat(name + ".part")
	if err != nil {
		return 0
	}
	return info.Size()
}

// roomAbout refuses, before all examples are made, a file for which the disk has by far no room.
func (t *training) roomAbout(c *rowCache, already, free int64) error {
	least, _, err := t.cacheSize(c)
	if err == nil && free >= 0 && least-already > free && c.examples > sizeSample {
		err = t.noRoom(c, "about "+report.Bytes(least), free)
	}
	return err
}

// room says how large the file will be, and refuses one that the disk has no room for: it compares
// what it takes with the free bytes of the home, −1 where these are not known.
func (t *training) room(c *rowCache, n teachercache.Count, already, free int64) error {
	least, most, err := c.spec.FileBytes(c.source, n)
	if err != nil {
		return err
	}
	different := ""
	if n.Examples < c.examples {
		different = fmt.Sprintf(" (%s with answers)", plural.Of(n.Examples, "different one"))
	}
	t.run.noteOnce(lab.Info, fmt.Sprintf("%s: %s: of %s%s, %s, at most %s", t.stage, c.title, plural.Of(c.examples, "example"), different, plural.Of(n.Rows, "distribution"), report.Bytes(upwards(most))))
	switch {
	case free < 0:
	case least-already > free:
		return t.noRoom(c, "at least "+report.Bytes(least), free)
	case most-already > free:
		t.run.noteOnce(lab.Warning, fmt.Sprintf("%s: %s may take %s, and the home has %s free", t.stage, c.title, report.Bytes(upwards(most)), report.Bytes(free)))
	}
	return nil
}

func (t *training) noRoom(c *rowCache, takes string, free int64) error {
	return fmt.Errorf("%s of %s take %s, and the home %s has %s free: expected another codec (top-k:12 takes about 40 bytes a token), fewer examples (data, steps), or a home on another disk (SLIMLAB_HOME)",
		c.title, plural.Of(c.examples, "example"), takes, t.run.home.Folder, report.Bytes(free))
}

// upwards rounds a bound up to three digits, fewer than reports have, so that what is shown is one
// too.
func upwards(n int64) int64 {
	unit := int64(1)
	for n/unit >= 1000 {
		unit *= 10
	}
	return (n + unit - 1) / unit * unit
}
