package eval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"slimlab/kernels"
	"slimlab/lab/recipe"
	"slimlab/lab/task"
	"slimlab/model"
	"slimlab/model/tokenizer"
)

// Source is a model that can be loaded when its turn comes.
type Source struct {
	Name      string
	Positions int // that the model has
	Vocab     int // tokens that the model has; 0 is not known
	// what its files say that was not read as one might expect
	Notes []string
	// settings of its files that greedy generation does not apply
	Settings []string
	Load     func(ctx context.Context) (*Model, error) // its errors name the model
	// Recipe is all of the model that its figures depend on: its content and the arithmetic. Only
	// asked for where there is a Store.
	Recipe func(ctx context.Context) (recipe.Recipe, error)
}

// Store keeps what was measured of a model on a file: an interrupted evaluation goes on from there,
// and a baseline is measured once.
type Store interface {
	Get(r recipe.Recipe) (data []byte, ok bool)
	Put(r recipe.Recipe, title string, data []byte) error
}

// Model is a model in memory and what goes with it.
type Model struct {
	*model.Model
	Tokenizer *tokenizer.Tokenizer
	Stored    int64            // bytes of the tensors in its files
	Cache     kernels.KVFormat // of keys and values
	// Generate continues a prompt greedily by so many tokens, or up to one of stop, which is left
	// out.
	Generate func(ctx context.Context, prompt []int32, tokens int, stop []int32) ([]int32, error)

	// why adds to a measurement's error which tensors of the files are not finite; may be nil
	why func(ctx context.Context, err error) error
}

// Ends lists the tokens that end a text: those of the model's files and the tokenizer's.
func (m *Model) Ends() []int32 {
	var ids []int32
	for _, id := range m.Config.Ends() {
		ids = append(ids, int32(id))
	}
	if eos := m.Tokenizer.EOS(); eos >= 0 && !slices.Contains(ids, eos) {
		ids = append(ids, eos)
	}
	return ids
}

// DTypes lists what weights that are not quantized can be multiplied in.
func DTypes() []string { return []string{"float32", "bfloat16"} }

// Progress says how far the work is.
type Progress struct {
	Model string // the name of its source
	What  string // Loading, a file or "generation"
	// Done and Total count the tokens of all models; Total is 0 until the first model is loaded.
	Done, Total int
	Left        time.Duration // estimated; 0 where there is nothing to estimate from
}

// Loading is what is done before a model computes.
const Loading = "loading"

// InputError is an error of what was asked for: files, options or models that do not fit.
type InputError struct{ Err error }

func (e InputError) Error() string { return e.Err.Error() }
func (e InputError) Unwrap() error { return e.Err }

// Run measures one model, or two, of which the first is the baseline of the second. It reads all
// files before it loads a model. It returns ctx's error within half a layer of its end; the files
// that were measured to the end by then are kept.
func Run(ctx context.Context, sources []Source, o Options) (*Evaluation, error) {
	r, err := newRun(ctx, sources, o)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, InputError{err}
	}
	if err := r.comparing(ctx); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, InputError{err}
	}
	for i, source := range sources {
		m, err := r.measure(ctx, source, i)
		if err != nil && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		r.measured = append(r.measured, m)
	}
	if err := r.uncompared(ctx); err != nil {
		return nil, err
	}
	return r.evaluation(ctx)
}

// run is the state of a Run.
type run struct {
	options  Options
	sources  []Source
	texts    []*task.Text
	choices  []*task.Choice
	measured []*measured
	pairs    []*pairing // of the texts, where there are two models
	baseline string     // the key of the first one's recipe
	unkept   bool       // the store cannot keep, and the caller knows

	done, total int
	begun       time.Time     // when the model in memory began to compute; zero between models
	computing   time.Duration // of the models before it
}

// measured is what was measured of one model.
type measured struct {
	info       ModelInfo
	texts      []*textScores
	choices    []*choiceScores
	generation *generation
}

// notes say which characters of what was asked have no token, and which texts are short ones again
// and again.
func (m *measured) notes() (notes []string) {
	add := func(what, note string) {
		if note != "" {
			notes = append(notes, what+": "+note)
		}
	}
	for _, t := range m.texts {
		add(short(t.name()), t.Missing)
		add(short(t.name()), task.Repeats(t.Tokens))
	}
	for _, c := range m.choices {
		add(short(c.name()), c.Missing)
	}
	if m.generation != nil {
		add("the prompt", m.generation.Missing)
	}
	return notes
}

// newMeasured lists what is to be measured of a model.
func (r *run) newMeasured() *measured {
	m := &measured{}
	for _, t := range r.texts {
		m.texts = append(m.texts, &textScores{text: t, options: &r.options})
	}
	for _, c := range r.choices {
		m.choices = append(m.choices, &choiceScores{choice: c, options: &r.options})
	}
	if r.options.Tokens > 0 {
		m.generation = &generation{options: &r.options}
	}
	return m
}

// parts lists all that is measured of a model, in order.
func (m *measured) parts() []part {
	var all []part
	for _, t := range m.texts {
		all = append(all, t)
	}
	for _, c := range m.choices {
		all = append(all, c)
	}
	if m.generation != nil {
		all = append(all, m.generation)
	}
	return all
}

// infoPart names the facts of a model among its parts.
var infoPart = recipe.Values{"part": "info"}

// measure takes from the store what it has of a model. For the rest it loads the model, measures
// it, and releases it.
func (r *run) measure(ctx context.Context, source Source, index int) (*measured, error) {
	out := r.newMeasured()
	kept, err := r.retention(ctx, source)
	if err != nil {
		return nil, InputError{err}
	}
	missing := out.parts()
	if kept.get(infoPart, &out.info) {
		out.info.Name = source.Name // the same content may have had another name
		missing = slices.DeleteFunc(missing, func(p part) bool { return kept.get(p.parameters(), p) && !r.compared(out, p, index) })
		if len(missing) == 0 {
			return out, nil
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r.progress(source, Loading)
	m, err := source.Load(ctx)
	if err != nil {
		return nil, InputError{err}
	}
	begin, err := r.beginning(m)
	if err != nil {
		return nil, InputError{source.named(err)}
	}
	tokens, err := await(ctx, func() (int, error) { return planAll(missing, m, begin) })
	if err != nil {
		return nil, InputError{source.named(err)}
	}
	r.total = r.done + tokens*(len(r.sources)-index)
	for i, p := range r.pairs {
		t := out.texts[i]
		switch {
		case index == 0 && p.found == nil:
			t.each = p.collect(m, t.tokenWindows)
		case index == 1 && p.compares(t.tokenWindows):
			each, done := p.compare(m)
			t.each, t.done = each, func() error {
				done()
				return kept.put(p.parameters(r.baseline, t), t.name()+" of "+source.Name+" beside "+r.sources[0].Name, p.found)
			}
		}
	}
	out.info = newModelInfo(source.Name, m, begin)
	if err := kept.put(infoPart, "facts of "+source.Name, &out.info); err != nil {
		return nil, source.named(err)
	}
	if err := r.compute(ctx, m, source, missing, kept); err != nil {
		return nil, source.named(err)
	}
	return out, nil
}

// compared reports whether a part that was measured before is to be measured again, since its text
// is compared between the models.
func (r *run) compared(out *measured, of part, index int) bool {
	for i, p := range r.pairs {
		if of == part(out.texts[i]) {
			return p.found == nil && (index == 0 || p.head != nil && slices.Equal(out.texts[i].Tokens, r.measured[0].texts[i].Tokens))
		}
	}
	return false
}

// named adds the model's name to an error of its measurement. Those of its files have it.
func (s Source) named(err error) error { return fmt.Errorf("model %s: %w", s.Name, err) }

// planAll plans parts and returns how many tokens the model has to read.
func planAll(parts []part, m *Model, begin task.Beginning) (tokens int, err error) {
	for _, p := range parts {
		n, err := p.plan(m, begin)
		if err != nil {
			return 0, err
		}
		tokens += n
	}
	return tokens, nil
}

// await returns what f returns, or ctx's error as soon as ctx ends. It is for work that cannot be
// interrupted, the encoding of a text: f then ends on its own, and what
// it computed is dropped.
func await[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		value, err := f()
		done <- outcome{value, err}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		var zero T
		return zero, ctx.Err()
	}
}

// compute measures parts of a model, in order, and keeps each as soon as it is done.
func (r *run) compute(ctx context.Context, m *Model, source Source, parts []part, kept retention) error {
	r.begun = time.Now()
	defer func() {
		r.computing += time.Since(r.begun)
		r.begun = time.Time{}
	}()
	what := ""
	s := newScorer(m.Model, m.Cache, func(tokens int) {
		r.done += tokens
		r.progress(source, what)
	})
	for _, p := range parts {
		what = p.name()
		if err := p.compute(ctx, m, s); err != nil {
			if m.why != nil && ctx.Err() == nil {
				err = m.why(ctx, err)
			}
			return fmt.Errorf("%s: %w", what, err)
		}
		if err := kept.put(p.parameters(), what+" by "+source.Name, p); err != nil {
			return err
		}
	}
	return nil
}

// beginning decides which token precedes a text.
func (r *run) beginning(m *Model) (task.Beginning, error) {
	bos, eos := m.Tokenizer.BOS(), m.Tokenizer.EOS()
	if bos < 0 {
		bos = int32(m.BOS)
	}
	if eos < 0 {
		eos = int32(m.EOS)
	}
	b := task.Beginning{BOS: bos, Prefix: bos}
	if bos < 0 {
		b.Prefix = eos
	}
	switch r.options.BOS {
	case Always:
		if bos < 0 {
			return b, errors.New("--bos always: the tokenizer has no BOS to put before a text")
		}
	case Never:
		b.BOS = -1
	default:
		if around := m.Tokenizer.EncodeSpecial(""); bos < 0 || len(around) == 0 || around[0] != bos {
			b.BOS = -1
		}
	}
	return b, nil
}

// progress reports how far the run is.
func (r *run) progress(source Source, what string) {
	if r.options.Progress == nil {
		return
	}
	p := Progress{Model: source.Name, What: what, Done: r.done, Total: r.total}
	if r.done > 0 {
		spent := r.computing
		if !r.begun.IsZero() {
			spent += time.Since(r.begun)
		}
		p.Left = time.Duration(float64(spent) / float64(r.done) * float64(r.total-r.done))
	}
	r.options.Progress(p)
}
