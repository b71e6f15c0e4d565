package eval

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"slimlab/internal/nearest"
	"slimlab/lab/task"
)

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

	Store Store // may be nil
	// Unkept is called once where Store cannot keep what is measured, and why; the evaluation goes
	// on. Where it is nil, that is an error.
	Unkept   func(error)
	Fresh    bool           // measure anew what Store has
	Progress func(Progress) // may be nil
	Version  string         // of the program, for the report

	states int // bytes of the baseline's states that are kept; 0 is mostStates
}

const defaultWindow = 2048

// newRun checks the models and the options and reads all files.
func newRun(ctx context.Context, sources []Source, o Options) (*run, error) {
	if n := len(sources); n < 1 || n > 2 {
		return nil, fmt.Errorf("eval: %d models, expected one or two", n)
	}
	positions := sources[0].Positions
	for _, s := range sources {
		positions = min(positions, s.Positions)
	}
	o.setDefaults(positions)
	if err := o.check(positions); err != nil {
		return nil, fmt.Errorf("eval: %w", err)
	}
	r := &run{options: o, sources: sources}
	for _, path := range o.Texts {
		t, err := task.ReadText(ctx, path, o.Limit)
		if err != nil {
			return nil, err
		}
		r.texts = append(r.texts, t)
	}
	for _, path := range o.Choices {
		c, err := task.ReadChoice(ctx, task.ChoiceConfig{Path: path, Cue: o.Cue, Limit: o.Limit})
		if err != nil {
			return nil, err
		}
		r.choices = append(r.choices, c)
	}
	return r, nil
}

// setDefaults fills in what the caller left open, for models of so many positions.
func (o *Options) setDefaults(positions int) {
	if o.Perplexity == "" {
		o.Perplexity = Fixed
	}
	if o.BOS == "" {
		o.BOS = Auto
	}
	if o.Window == 0 {
		o.Window = min(defaultWindow, positions)
	}
	if o.Stride == 0 {
		o.Stride = o.Window
	}
}

// check reports the first option that is wrong for models of so many positions.
func (o *Options) check(positions int) error {
	err := cmp.Or(nearest.Check("--perplexity", o.Perplexity, Perplexities()), nearest.Check("--bos", o.BOS, BeginningsOfText()))
	switch {
	case err != nil:
		return err
	case len(o.Texts)+len(o.Choices) == 0 && o.Tokens == 0:
		return errors.New("nothing to measure, expected --text FILE, --choice FILE or --generate PROMPT")
	case o.Limit < 0:
		return fmt.Errorf("--limit %d: expected 0 (all) or more", o.Limit)
	case o.Tokens < 0:
		return fmt.Errorf("--tokens %d: expected 0 or more", o.Tokens)
	case o.Tokens >= positions:
		return fmt.Errorf("--tokens %d: expected at most %d, fewer than the model's %d positions", o.Tokens, positions-1, positions)
	case o.Window < 4 || o.Window > positions:
		return fmt.Errorf("--window %d: expected 4 to %d tokens, the positions that the model has", o.Window, positions)
	case o.Stride < 1 || o.Stride > o.Window:
		return fmt.Errorf("--stride %d: expected 1 to %d tokens, the window", o.Stride, o.Window)
	case o.Perplexity == LlamaCpp && o.Stride != o.Window:
		return fmt.Errorf("--stride %d: expected %d, the window: those of --perplexity llama.cpp do not overlap", o.Stride, o.Window)
	}
	return nil
}
