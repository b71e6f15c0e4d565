package eval

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"slimlab/kernels"
	"slimlab/lab/task"
	"slimlab/model"
	"slimlab/model/tokenizer"
)

// Source is a model that can be loaded when its turn comes.
type Source struct {
	Name      string
	Positions int // that the model has
	Load      func() (*Model, error)
}

// Model is a model in memory and what goes with it.
type Model struct {
	*model.Model
	Tokenizer *tokenizer.Tokenizer
	Stored    int64            // bytes of the tensors in its files
	Cache     kernels.KVFormat // of keys and values
	// Generate continues a prompt greedily by so many tokens, or up to one of stop, which is left out.
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

	Limit      int    // questions of each file and lines of each text; 0 is all
	Window     int    // tokens of a text's windows; 0 is 2048, or what the models have positions for
	Stride     int    // of fixed windows; 0 is the window
	Perplexity string // one of Perplexities; empty is Fixed
	BOS        string // one of BeginningsOfText; empty is Auto
	Cue        string // between a question and a choice

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

// Run measures one model, or two, of which the first is what the second is compared with. It reads all files before it loads a model.
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
	info      ModelInfo
	texts     []textScores
	choices   []choiceScores
	generated []int32 // with the prompt
	text      string
	prompt    int // tokens of generated that are the prompt
}

// textScores are the log-probabilities of a text's tokens, [targets] in the order of the text.
type textScores struct {
	tokens         []int32 // by which two models' figures can be paired
	token, rolling []float32
}

// choiceScores are the answers to the questions of a file.
type choiceScores struct {
	answers []task.Answer
	cut     int // questions that lost the beginning of their context
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

// plan is the spans that one model is asked for.
type plan struct {
	texts   []textPlan
	choices [][][]task.Span // [files][questions][choices]
	prompt  []int32
}

type textPlan struct {
	tokens         []int32
	token, rolling [][]task.Span
}

// measure loads a model, asks it everything and lets it go.
func (e *evaluation) measure(ctx context.Context, source Source, index int) (*measured, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	e.tell(source, Loading)
	m, err := source.Load()
	if err != nil {
		return nil, InputError{err}
	}
	begin, err := e.beginning(m)
	if err != nil {
		return nil, InputError{err}
	}
	out := &measured{info: newModelInfo(source.Name, m, begin)}
	p, err := e.plan(m, begin, out)
	if err != nil {
		return nil, InputError{err}
	}
	e.total = e.done + p.tokens()*(len(e.sources)-index) + e.options.Tokens*(len(e.sources)-index)
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
	for i, t := range p.texts {
		what = e.texts[i].Path
		token, err := s.logProbs(ctx, t.token)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		rolling, err := s.logProbs(ctx, t.rolling)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		out.texts = append(out.texts, textScores{t.tokens, flat(token), flat(rolling)})
	}
	for i, questions := range p.choices {
		what = e.options.Choices[i]
		logProbs, err := s.logProbs(ctx, questions)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		sums := make([][]float64, len(logProbs))
		for q, choices := range logProbs {
			for _, c := range choices {
				sums[q] = append(sums[q], task.Total(c))
			}
		}
		if out.choices[i].answers, err = e.choices[i].Answers(sums); err != nil {
			return nil, err
		}
	}
	if e.options.Tokens > 0 {
		what = "generation"
		e.tell(source, what)
		if err := e.generate(ctx, m, p.prompt, out); err != nil {
			return nil, fmt.Errorf("generation: %w", err)
		}
		e.done += e.options.Tokens
	}
	return out, nil
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

// plan turns files into the model's tokens.
func (e *evaluation) plan(m *Model, begin task.Beginning, out *measured) (p plan, err error) {
	o := e.options
	each := func(spans []task.Span, err error) ([][]task.Span, error) {
		groups := make([][]task.Span, len(spans))
		for i := range spans {
			groups[i] = spans[i : i+1]
		}
		return groups, err
	}
	for _, t := range e.texts {
		one := textPlan{tokens: t.Encode(m.Tokenizer, begin)}
		if o.Perplexity == LlamaCpp {
			one.token, err = each(task.LlamaCppWindows(one.tokens, o.Window, begin.BOS))
		} else {
			one.token, err = each(task.FixedWindows(one.tokens, o.Window, o.Stride))
		}
		if err == nil {
			one.rolling, err = each(task.RollingWindows(m.Tokenizer.Encode(t.Content), o.Window, begin.Prefix))
		}
		if err != nil {
			return p, fmt.Errorf("%s: %w", t.Path, err)
		}
		p.texts = append(p.texts, one)
	}
	for _, c := range e.choices {
		spans, cut, err := c.Spans(m.Tokenizer, begin, m.MaxPositions)
		if err != nil {
			return p, err
		}
		p.choices = append(p.choices, spans)
		out.choices = append(out.choices, choiceScores{cut: cut})
	}
	if o.Tokens > 0 {
		p.prompt, err = e.prompt(m, begin)
	}
	return p, err
}

// tokens is what the model has to read in all.
func (p *plan) tokens() (n int) {
	add := func(groups [][]task.Span) {
		for _, g := range groups {
			n += tokensOf(g)
		}
	}
	for _, t := range p.texts {
		add(t.token)
		add(t.rolling)
	}
	for _, c := range p.choices {
		add(c)
	}
	return n
}

func flat(groups [][][]float32) []float32 {
	var out []float32
	for _, spans := range groups {
		for _, s := range spans {
			out = append(out, s...)
		}
	}
	return out
}

// prompt returns the tokens that are continued.
func (e *evaluation) prompt(m *Model, begin task.Beginning) ([]int32, error) {
	tokens := m.Tokenizer.Encode(e.options.Prompt)
	if begin.BOS >= 0 || len(tokens) == 0 {
		if begin.Prefix < 0 {
			return nil, errors.New("the prompt has no tokens and the tokenizer has neither BOS nor EOS to begin with")
		}
		tokens = append([]int32{begin.Prefix}, tokens...)
	}
	if n := len(tokens); n+e.options.Tokens > m.MaxPositions {
		return nil, fmt.Errorf("the prompt has %d tokens and %d are to follow, the model has %d positions", n, e.options.Tokens, m.MaxPositions)
	}
	return tokens, nil
}

// generate continues the prompt.
func (e *evaluation) generate(ctx context.Context, m *Model, prompt []int32, out *measured) error {
	var stop []int32
	if eos := m.Tokenizer.EOS(); eos >= 0 {
		stop = append(stop, eos)
	}
	tokens, err := m.Generate(ctx, prompt, e.options.Tokens, stop)
	if err != nil {
		return err
	}
	out.prompt, out.generated = len(prompt), slices.Concat(prompt, tokens)
	out.text = m.Tokenizer.DecodeText(out.generated)
	return nil
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
