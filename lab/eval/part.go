package eval

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"slimlab/lab/recipe"
	"slimlab/lab/task"
)

// part is one thing that is measured of a model. Its exported fields are the outcome, which is
// kept; the others serve to compute it.
type part interface {
	// name is the path of its file, or "generation".
	name() string
	// parameters differ from those of all other parts of the same model.
	parameters() recipe.Values
	// plan decides what the model is asked, and returns how many tokens it has to read. An error is
	// one of the input.
	plan(m *Model, begin task.Beginning) (tokens int, err error)
	// compute asks the model.
	compute(ctx context.Context, m *Model, s *scorer) error
}

// textScores are the log-probabilities of a text's tokens, [targets] in the order of the text.
type textScores struct {
	Tokens         []int32 // by which two models' figures can be paired
	Token, Rolling []float32
	Missing        string // which characters have no token

	text                         *task.Text
	options                      *Options
	tokenWindows, rollingWindows [][]task.Span
	// each is called with the predictions of the token windows, done after them; both may be nil
	each watch
	done func() error
}

func (t *textScores) name() string { return t.text.Path }

func (t *textScores) parameters() recipe.Values {
	o := t.options
	return recipe.Values{"part": "text", "content": recipe.Text(t.text.Content), "perplexity": o.Perplexity, "window": o.Window, "stride": o.Stride}
}

func (t *textScores) plan(m *Model, begin task.Beginning) (tokens int, err error) {
	each := func(spans []task.Span, err error) ([][]task.Span, error) {
		groups := make([][]task.Span, len(spans))
		for i := range spans {
			groups[i] = spans[i : i+1]
			tokens += tokensOf(groups[i])
		}
		return groups, err
	}
	o := t.options
	t.Tokens = t.text.Encode(m.Tokenizer, begin)
	alone := m.Tokenizer.Encode(t.text.Content)
	t.Missing = m.Tokenizer.MissingIn(t.text.Content)
	if err := m.Tokenizer.CheckIDs(t.Tokens, m.Vocab); err != nil {
		return 0, fmt.Errorf("%s: %w", t.text.Path, err)
	}
	if n := len(t.Tokens); o.Perplexity == LlamaCpp && n >= 4 && n < o.Window {
		return 0, fmt.Errorf("%s: found %d tokens, expected at least one window: give a longer text, or --window %d", t.text.Path, n, n)
	}
	if o.Perplexity == LlamaCpp {
		t.tokenWindows, err = each(task.LlamaCppWindows(t.Tokens, o.Window, begin.BOS))
	} else {
		t.tokenWindows, err = each(task.FixedWindows(t.Tokens, o.Window, o.Stride))
	}
	if err == nil {
		t.rollingWindows, err = each(task.RollingWindows(alone, o.Window, begin.Prefix))
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", t.text.Path, err)
	}
	return tokens, nil
}

func (t *textScores) compute(ctx context.Context, _ *Model, s *scorer) error {
	s.each = t.each
	token, err := s.logProbs(ctx, t.tokenWindows)
	s.each = nil
	if err == nil && t.done != nil {
		err = t.done()
	}
	if err != nil {
		return err
	}
	rolling, err := s.logProbs(ctx, t.rollingWindows)
	if err != nil {
		return err
	}
	t.Token, t.Rolling = flat(token), flat(rolling)
	t.tokenWindows, t.rollingWindows = nil, nil
	return nil
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

// choiceScores are the answers to the questions of a file.
type choiceScores struct {
	Answers []task.Answer
	Sums    [][]float64 // log-likelihoods, [questions][choices]
	Cut     int         // questions that lost the beginning of their context
	Missing string

	choice  *task.Choice
	options *Options
	spans   [][]task.Span // [questions][choices]
}

func (c *choiceScores) name() string { return c.choice.Path }

func (c *choiceScores) parameters() recipe.Values {
	questions, _ := json.Marshal(c.choice.Questions) // texts and numbers can be encoded
	return recipe.Values{"part": "choice", "content": recipe.Text(string(questions)), "cue": c.options.Cue}
}

func (c *choiceScores) plan(m *Model, begin task.Beginning) (tokens int, err error) {
	c.Missing = m.Tokenizer.MissingNote(func(yield func(place, text string) bool) {
		for _, q := range c.choice.Questions {
			if !yield(fmt.Sprintf("line %d", q.Line), strings.Join(slices.Concat([]string{q.Query}, q.Contexts, q.Choices), " ")) {
				return
			}
		}
	})
	c.spans, c.Cut, err = c.choice.Spans(m.Tokenizer, begin, m.MaxPositions)
	for i, question := range c.spans {
		tokens += tokensOf(question)
		for _, s := range question {
			if err := m.Tokenizer.CheckIDs(s.Tokens, m.Vocab); err != nil {
				return 0, fmt.Errorf("%s: question %d: %w", c.choice.Path, i+1, err)
			}
		}
	}
	return tokens, err
}

func (c *choiceScores) compute(ctx context.Context, _ *Model, s *scorer) error {
	logProbs, err := s.logProbs(ctx, c.spans)
	if err != nil {
		return err
	}
	sums := make([][]float64, len(logProbs))
	for q, choices := range logProbs {
		for _, one := range choices {
			sums[q] = append(sums[q], task.Total(one))
		}
	}
	c.spans, c.Sums = nil, sums
	c.Answers, err = c.choice.Answers(sums)
	return err
}

// generation is a prompt and how a model continues it.
type generation struct {
	Tokens []int32
	Prompt int // of Tokens
	Text   string

	Missing string

	options *Options
	prompt  []int32
}

func (g *generation) name() string { return "generation" }

func (g *generation) parameters() recipe.Values {
	return recipe.Values{"part": "generation", "prompt": g.options.Prompt, "tokens": g.options.Tokens}
}

func (g *generation) plan(m *Model, begin task.Beginning) (tokens int, err error) {
	g.prompt = m.Tokenizer.Encode(g.options.Prompt)
	g.Missing = m.Tokenizer.MissingIn(g.options.Prompt)
	if begin.BOS >= 0 || len(g.prompt) == 0 {
		if begin.Prefix < 0 {
			return 0, errors.New("the prompt has no tokens and the tokenizer has neither BOS nor EOS to begin with")
		}
		g.prompt = append([]int32{begin.Prefix}, g.prompt...)
	}
	if err := m.Tokenizer.CheckIDs(g.prompt, m.Vocab); err != nil {
		return 0, fmt.Errorf("the prompt: %w", err)
	}
	if n := len(g.prompt); n+g.options.Tokens > m.MaxPositions {
		return 0, fmt.Errorf("the prompt has %d tokens and --tokens %d are to follow, the model has %d positions", n, g.options.Tokens, m.MaxPositions)
	}
	return len(g.prompt) + g.options.Tokens, nil
}

func (g *generation) compute(ctx context.Context, m *Model, s *scorer) error {
	s.onDone(0)
	tokens, err := m.Generate(ctx, g.prompt, g.options.Tokens, m.Ends())
	if err != nil {
		return err
	}
	g.Prompt, g.Tokens = len(g.prompt), slices.Concat(g.prompt, tokens)
	g.Text = m.Tokenizer.DecodeText(g.Tokens)
	s.onDone(len(g.prompt) + g.options.Tokens)
	return nil
}
