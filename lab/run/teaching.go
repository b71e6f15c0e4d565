package run

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"slimlab/kd"
	"slimlab/kd/remote"
	"slimlab/kd/teachercache"
	"slimlab/lab"
	"slimlab/lab/recipe"
	"slimlab/lab/rollout"
	"slimlab/model"
)

// teaching is whom a training learns from: a model, several by their weights, an endpoint, or what
// the task knows of its answers.
type teaching struct {
	models []*artifactModel
	mix    *mix // of several models
	remote *Remote
	// expected says that it is the probabilities that the task draws its answers with
	expected bool
	align    alignment // of a model of other tokens
	cache    *rowCache // nil: the teacher is asked during the training
}

// checkTeachers reports what several teachers cannot be.
func (d *Distil) checkTeachers(given func(key string) bool, bad func(key, with, format string, args ...any)) {
	switch {
	case d.Teachers == "" && given("teachers"):
		bad("teachers", "", "is empty, expected models and weights such as FM=1, other=0.5")
	case d.Teachers == "":
	case d.Teacher != "":
		bad("teachers", "teacher", "is %s, and teacher is %s: expected one of them", d.Teachers, d.Teacher)
	case d.Samples.Teacher != 0 || d.Samples.Speculative != 0:
		bad("samples", "teachers", "has answers that the teacher writes or judges, and there are several: expected one teacher, or answers of the student alone")
	}
}

// teaching plans whom the step learns from.
func (d *Distil) teaching(ctx context.Context, w *worker) (*teaching, error) {
	if !d.Remote.IsZero() {
		return &teaching{remote: &d.Remote}, nil
	}
	if !d.Align.IsZero() {
		m, err := w.alien(ctx, d.Teacher)
		return &teaching{models: []*artifactModel{m}, align: d.Align}, err
	}
	if d.Teachers == "" {
		m, err := w.weights(d.Teacher)
		return &teaching{models: []*artifactModel{m}}, err
	}
	mix, err := w.mix(d.Teachers)
	if err != nil {
		return nil, keyError{"teachers", err}
	}
	t := &teaching{mix: mix}
	for _, name := range mix.names {
		m, err := w.weights(name)
		if err != nil {
			return nil, keyError{"teachers", fmt.Errorf("has %s: %w", name, err)}
		}
		t.models = append(t.models, m)
	}
	return t, nil
}

// noteHeads says which teachers of several know more tokens than others.
func (w *worker) noteHeads(step string, t *teaching) {
	different := false
	var heads []string
	for _, m := range t.models {
		different = different || m.shape.Vocab != t.models[0].shape.Vocab
		heads = append(heads, fmt.Sprintf("%s %d", m.name, m.shape.Vocab))
	}
	if different {
		w.run.noteOnce(lab.Info, fmt.Sprintf("%s: the teachers' heads have unlike numbers of tokens (%s): the mixture is over those that all have", step, strings.Join(heads, ", ")))
	}
}

// single is the one model of the student's tokens that teaches; nil where there are several, or
// none in memory.
func (t *teaching) single() *artifactModel {
	if len(t.models) == 1 && t.align.IsZero() {
		return t.models[0]
	}
	return nil
}

// name is what the teacher is called in texts.
func (t *teaching) name() string {
	switch {
	case t.remote != nil:
		return t.remote.name()
	case t.expected:
		return "the task's probabilities"
	}
	if t.mix != nil {
		return t.mix.text
	}
	return t.models[0].name
}

// decide adds to a recipe what decides the teacher's distributions.
func (t *teaching) decide(of *recipe.Recipe) {
	switch {
	case t.remote != nil:
		of.Parameters["remote"] = t.remote.values()
		return
	case t.expected:
		return // by the key labels
	}
	if len(t.models) == 1 {
		of.Inputs["teacher"] = t.models[0].key
		return
	}
	for i, m := range t.models {
		of.Inputs[fmt.Sprintf("teacher%d", i+1)] = m.key
	}
	t.mix.decide(of)
}

// vocab is how many tokens teacher and student have. That of an endpoint is taken for that of the
// tokenizer.
func (t *teaching) vocab(of *training) int {
	vocab := of.from.shape.Vocab
	if t.remote != nil {
		return min(vocab, of.data.tokenizer.Vocab())
	}
	for _, m := range t.models {
		vocab = min(vocab, m.shape.Vocab)
	}
	return vocab
}

// source is where a training's rows and the teacher's answers are from.
type source struct {
	rows kd.Teacher
	// who can write answers; nil where there is none
	writes *model.Model
	writer rollout.Writer
	closes func()
}

// ask returns the teacher itself.
func (t *teaching) ask(ctx context.Context, of *training, config *kd.TrainConfig) (s source, err error) {
	s.closes = func() {}
	if t.expected {
		s.rows, err = of.data.expected()
		return s, err
	}
	if !t.align.IsZero() {
		s.rows, err = t.aligned(ctx, of, config)
		return s, err
	}
	if t.remote != nil {
		if s.rows, err = of.dial(ctx, config); err != nil {
			return s, err
		}
		endpoint, err := remote.NewWriter(of.endpoint())
		s.writer = &remoteWriter{endpoint, of.data.tokenizer, of.data.eos}
		return s, err
	}
	teachers := make([]kd.Teacher, len(t.models))
	for i, one := range t.models {
		m, err := one.load(ctx)
		if err == nil {
			if err = kd.CheckFinite(m); err != nil {
				err = fmt.Errorf("teacher %s: %w", one.name, err)
			}
		}
		if err != nil {
			return s, err
		}
		teachers[i] = kd.NewModelTeacher(m, config.Precision)
		if len(t.models) == 1 {
			s.writes, s.rows = m, teachers[i]
			return s, nil
		}
	}
	s.rows, err = kd.NewMixture(teachers, t.mix.weights)
	return s, err
}

// open returns the teacher, or the file of its distributions.
func (t *teaching) open(ctx context.Context, of *training, config *kd.TrainConfig) (source, error) {
	if t.cache == nil {
		return t.ask(ctx, of, config)
	}
	rows, err := teachercache.Open(filepath.Join(t.cache.dir, rowsFile))
	if err != nil {
		return source{}, fmt.Errorf("teacher's cache: %w", err)
	}
	if err := rows.Check(t.cache.spec, t.cache.source); err != nil {
		rows.Close()
		return source{}, fmt.Errorf("teacher's cache: %w; slimlab run --fresh builds it again", err)
	}
	return source{rows: rows.Teacher(), closes: func() { rows.Close() }}, nil
}
