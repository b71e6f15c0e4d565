package eval

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/vmihailenco/msgpack/v5"

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
	Load      func(ctx context.Context) (*Model, error)
	// Recipe is all of the model that its figures depend on: its content and the arithmetic. Only
	// asked for where there is a Store.
	Recipe func() (recipe.Recipe, error)
}

// Store keeps what was measured of a model on a file, so that an evaluation that was interrupted
// goes on, and that a model which others are compared with is measured once.
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
}

// DTypes lists what weights that are not quantized can be multiplied in.
func DTypes() []string { return []string{"float32", "bfloat16"} }

// Definitions of a token perplexity.
const (
	Fixed    = "fixed"     // see task.FixedWindows
	LlamaCpp = "llama.cpp" // see task.LlamaCppWindows
)

// Perplexities lists the definitions of a token perplexity.
func Perplexities() []string { return []string{Fixed, LlamaCpp} }

// When a BOS is put before a text.
const (
	Auto   = "auto" // where the tokenizer puts one
	Always = "always"
	Never  = "never"
)

// BeginningsOfText lists when a BOS can be put before a text.
func BeginningsOfText() []string { return []string{Auto, Always, Never} }

// Options are what to measure, and how.
type Options struct {
	Texts   []string // files whose perplexity is measured
	Choices []string // files of multiple-choice questions
	Prompt  string   // is continued greedily; only with Tokens
	Tokens  int      // to generate; 0 generates nothing

	Limit int // questions of each file and lines of each text; 0 is all
	// tokens of a text's windows; 0 is 2048, or what the models have positions for
	Window     int
	Stride     int    // of fixed windows; 0 is the window
	Perplexity string // one of Perplexities; empty is Fixed
	BOS        string // one of BeginningsOfText; empty is Auto
	Cue        string // between a question and a choice

	Store    Store          // may be nil
	Fresh    bool           // measure anew what Store has
	Progress func(Progress) // may be nil
	Version  string         // of the program, for the report
}

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

const defaultWindow = 2048

// Run measures one model, or two, of which the first is what the second is compared with. It reads
// all files before it loads a model.
func Run(ctx context.Context, sources []Source, o Options) (*Report, error) {
	e, err := prepare(sources, o)
	if err != nil {
		return nil, InputError{err}
	}
	for i, source := range sources {
		m, err := e.measure(ctx, source, i)
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, fmt.Errorf("model %s: %w", source.Name, err)
		}
		e.measured = append(e.measured, m)
	}
	return e.report()
}

// evaluation is a Run in the making.
type evaluation struct {
	options  Options
	sources  []Source
	texts    []*task.Text
	choices  []*task.Choice
	measured []*measured

	done, total int
	begun       time.Time     // when the model in memory began to compute; zero between models
	computing   time.Duration // of the models before it
}

// measured is what was seen of one model.
type measured struct {
	info       ModelInfo
	texts      []*textScores
	choices    []*choiceScores
	generation *generation
}

// parts are all that is measured of a model, in order.
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

// prepare checks the options and reads the files.
func prepare(sources []Source, o Options) (*evaluation, error) {
	if n := len(sources); n < 1 || n > 2 {
		return nil, fmt.Errorf("eval: %d models, expected one or two", n)
	}
	if len(o.Texts)+len(o.Choices) == 0 && o.Tokens == 0 {
		return nil, errors.New("eval: nothing to measure, expected a text, a file of choices or a prompt to continue")
	}
	set := func(s *string, to string) {
		if *s == "" {
			*s = to
		}
	}
	set(&o.Perplexity, Fixed)
	set(&o.BOS, Auto)
	positions := sources[0].Positions
	for _, s := range sources {
		positions = min(positions, s.Positions)
	}
	if o.Window == 0 {
		o.Window = min(defaultWindow, positions)
	}
	if o.Stride == 0 {
		o.Stride = o.Window
	}
	switch {
	case !slices.Contains(Perplexities(), o.Perplexity):
		return nil, fmt.Errorf("eval: perplexity %q, expected one of %q", o.Perplexity, Perplexities())
	case !slices.Contains(BeginningsOfText(), o.BOS):
		return nil, fmt.Errorf("eval: BOS %q, expected one of %q", o.BOS, BeginningsOfText())
	case o.Limit < 0:
		return nil, fmt.Errorf("eval: limit is %d, expected 0 (all) or more", o.Limit)
	case o.Tokens < 0:
		return nil, fmt.Errorf("eval: %d tokens to generate, expected 0 or more", o.Tokens)
	case o.Tokens >= positions:
		return nil, fmt.Errorf("eval: %d tokens to generate, the model has %d positions", o.Tokens, positions)
	case o.Window < 4 || o.Window > positions:
		return nil, fmt.Errorf("eval: a window of %d tokens, expected 4 to %d, the positions that the model has", o.Window, positions)
	case o.Stride < 1 || o.Stride > o.Window:
		return nil, fmt.Errorf("eval: a stride of %d tokens, expected 1 to the window, %d", o.Stride, o.Window)
	case o.Perplexity == LlamaCpp && o.Stride != o.Window:
		return nil, fmt.Errorf("eval: a stride of %d tokens: the windows of llama.cpp's perplexity do not overlap", o.Stride)
	}
	e := &evaluation{options: o, sources: sources}
	for _, path := range o.Texts {
		t, err := task.ReadText(path, o.Limit)
		if err != nil {
			return nil, err
		}
		e.texts = append(e.texts, t)
	}
	for _, path := range o.Choices {
		c, err := task.ReadChoice(task.ChoiceConfig{Path: path, Cue: o.Cue, Limit: o.Limit})
		if err != nil {
			return nil, err
		}
		e.choices = append(e.choices, c)
	}
	return e, nil
}

// measure takes from the store what it has of a model. For the rest it loads the model, asks it,
// and lets it go.
func (e *evaluation) measure(ctx context.Context, source Source, index int) (*measured, error) {
	out := &measured{}
	for _, t := range e.texts {
		out.texts = append(out.texts, &textScores{text: t, options: &e.options})
	}
	for _, c := range e.choices {
		out.choices = append(out.choices, &choiceScores{choice: c, options: &e.options})
	}
	if e.options.Tokens > 0 {
		out.generation = &generation{options: &e.options}
	}
	kept, err := e.open(source)
	if err != nil {
		return nil, InputError{err}
	}
	missing := out.parts()
	if kept.get(recipe.Values{"part": "info"}, &out.info) {
		out.info.Name = source.Name // the same content may have had another name
		missing = slices.DeleteFunc(missing, func(p part) bool { return kept.get(p.parameters(), p) })
		if len(missing) == 0 {
			return out, nil
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e.tell(source, Loading)
	m, err := source.Load(ctx)
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	if err != nil {
		return nil, InputError{err}
	}
	begin, err := e.beginning(m)
	if err != nil {
		return nil, InputError{err}
	}
	out.info = newModelInfo(source.Name, m, begin)
	tokens := 0
	for _, p := range missing {
		n, err := p.plan(m, begin)
		if err != nil {
			return nil, InputError{err}
		}
		tokens += n
	}
	e.total = e.done + tokens*(len(e.sources)-index)
	if err := kept.put(recipe.Values{"part": "info"}, "facts of "+source.Name, &out.info); err != nil {
		return nil, err
	}
	e.begun = time.Now()
	defer func() {
		e.computing += time.Since(e.begun)
		e.begun = time.Time{}
	}()

	what := ""
	s := newScorer(m.Model, m.Cache, func(tokens int) {
		e.done += tokens
		e.tell(source, what)
	})
	for _, p := range missing {
		what = p.name()
		if err := p.compute(ctx, m, s); err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		if err := kept.put(p.parameters(), what+" by "+source.Name, p); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// retention is the store's view of one model.
type retention struct {
	store Store // nil keeps nothing
	fresh bool
	model recipe.Recipe // what all figures of the model depend on
}

func (e *evaluation) open(source Source) (k retention, err error) {
	if e.options.Store == nil {
		return k, nil
	}
	r, err := source.Recipe()
	r.Parameters = maps.Clone(r.Parameters)
	if r.Parameters == nil {
		r.Parameters = recipe.Values{}
	}
	r.Parameters["bos"] = e.options.BOS
	return retention{e.options.Store, e.options.Fresh, r}, err
}

// get reads what was kept into a value. What cannot be read is measured anew.
func (k retention) get(part recipe.Values, into any) bool {
	if k.store == nil || k.fresh {
		return false
	}
	data, ok := k.store.Get(k.recipe(part))
	return ok && msgpack.Unmarshal(data, into) == nil
}

func (k retention) put(part recipe.Values, title string, value any) error {
	if k.store == nil {
		return nil
	}
	data, err := msgpack.Marshal(value)
	if err == nil {
		err = k.store.Put(k.recipe(part), title, data)
	}
	if err != nil {
		return fmt.Errorf("keep %s: %w", title, err)
	}
	return nil
}

// recipe is that of one part of the model's figures.
func (k retention) recipe(part recipe.Values) recipe.Recipe {
	r := k.model
	r.Parameters = maps.Clone(r.Parameters)
	maps.Copy(r.Parameters, part)
	return r
}

// beginning settles what stands before a text.
func (e *evaluation) beginning(m *Model) (task.Beginning, error) {
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
	switch e.options.BOS {
	case Always:
		if bos < 0 {
			return b, errors.New("the tokenizer has no BOS to put before a text")
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

// tell reports progress.
func (e *evaluation) tell(source Source, what string) {
	if e.options.Progress == nil {
		return
	}
	p := Progress{Model: source.Name, What: what, Done: e.done, Total: e.total}
	if e.done > 0 {
		spent := e.computing
		if !e.begun.IsZero() {
			spent += time.Since(e.begun)
		}
		p.Left = time.Duration(float64(spent) / float64(e.done) * float64(e.total-e.done))
	}
	e.options.Progress(p)
}
