package task

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"slimlab/internal/plural"
	"slimlab/lab/datafile"
)

// PassageConfig sets a file of text, every token of which is to be predicted.
type PassageConfig struct {
	Path   string `key:"-"`      // only its content counts
	Length int    `key:"length"` // tokens of a window
	Limit  int    `key:"limit"`  // lines to read, or records; 0 is all
	// shares of the windows, after those for training; 0 of Test keeps none
	Validation float64 `key:"validation"`
	Test       float64 `key:"test" default:"0" omit:"default"`
}

// leastPassage is the shortest window.
const leastPassage = 8

// Validate reports the first setting that cannot be.
func (c PassageConfig) Validate() error {
	switch {
	case c.Path == "":
		return fmt.Errorf("text: path is empty, expected a file of text")
	case c.Length < leastPassage:
		return fmt.Errorf("text: length is %d, expected at least %d tokens", c.Length, leastPassage)
	case c.Limit < 0:
		return fmt.Errorf("text: limit is %d, expected 0 (all) or more", c.Limit)
	case !(c.Validation > 0 && c.Test >= 0 && c.Validation+c.Test < 1):
		return fmt.Errorf("text: validation is %v and test %v, expected a validation share above 0, and a sum below 1", c.Validation, c.Test)
	}
	return nil
}

// Passage is the text of a file before it has tokens.
type Passage struct {
	cfg   PassageConfig
	plain *Plain
}

// ReadPassage reads a file as ReadPlain does.
func ReadPassage(ctx context.Context, cfg PassageConfig) (*Passage, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	plain, err := ReadPlain(ctx, cfg.Path, cfg.Limit, nil)
	if err != nil {
		return nil, err
	}
	return &Passage{cfg, plain}, nil
}

// Content is the hexadecimal SHA-256 of the file.
func (p *Passage) Content() string { return p.plain.Sum }

// Corpus returns the first n lines of the part for training.
func (p *Passage) Corpus(n int) []string {
	text := p.plain.Text
	text = strings.ToValidUTF8(text[:int(float64(len(text))*(1-p.cfg.Validation-p.cfg.Test))], "")
	lines := strings.SplitAfter(text, "\n")
	return lines[:min(n, len(lines))]
}

// Windows is the task of predicting a text: its tokens, encoded once and cut into windows of equal
// length, in which every token after the first is an answer. The first windows are for training and
// calibration, those after them for validation, the last for testing.
type Windows struct {
	*Passage
	splits      [3][]Example // training, validation, test
	calibration []Example    // those of training, in another order
	notes       []string
}

// Tokenize cuts the text into windows. Where the encoder puts tokens before every text, such as a
// BOS, each window begins with them. What does not fill a window is left out.
func (p *Passage) Tokenize(ctx context.Context, enc Encoder) (*Windows, error) {
	name := datafile.Name(p.cfg.Path)
	w := &Windows{Passage: p, notes: slices.Clone(p.plain.Notes)}
	tokens := enc.Encode(p.plain.Text)
	if err := cmp.Or(ctx.Err(), enc.Err()); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var before []int32
	if b, ok := enc.(beginner); ok {
		before = b.Beginning()
		if len(tokens) >= len(before) && slices.Equal(tokens[:len(before)], before) { // the text may hold it
			tokens = tokens[len(before):]
		}
	}
	missing := ""
	if of, ok := enc.(missingNoter); ok {
		share, note := of.Missing(func(yield func(place, text string) bool) {
			for i, line := range strings.Split(p.plain.Text, "\n") {
				if !yield(fmt.Sprintf("line %d", i+1), line) {
					return
				}
			}
		})
		if missing = note; share > MostMissing {
			return nil, unknownText(name, note)
		}
	}
	if err := CheckDifferent(tokens); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	own := p.cfg.Length - len(before)
	if own < 2 {
		return nil, fmt.Errorf("%s: a window has %d tokens, %d of which the tokenizer puts before every text, expected a length of at least %d", name, p.cfg.Length, len(before), len(before)+2)
	}
	all := len(tokens) / own
	validation, test := int(p.cfg.Validation*float64(all)+0.5), int(p.cfg.Test*float64(all)+0.5)
	validation = max(validation, 1)
	if p.cfg.Test > 0 {
		test = max(test, 1)
	}
	need := 2
	if p.cfg.Test > 0 {
		need = 3
	}
	if all < need || validation+test >= all {
		advice := "give a longer text"
		if most := len(tokens)/need + len(before); most >= leastPassage {
			advice += fmt.Sprintf(", or a length of at most %d", most)
		}
		return nil, fmt.Errorf("%s: found %s, %s of %d, expected at least %s, one for each split: %s", name, plural.Of(len(tokens), "token"), plural.Of(all, "window"), p.cfg.Length, plural.Of(need, "window"), advice)
	}
	for i := range all {
		e := Example{Tokens: slices.Concat(before, tokens[i*own:(i+1)*own]), Answer: make([]bool, p.cfg.Length)}
		for t := max(1, len(before)); t < p.cfg.Length; t++ {
			e.Answer[t] = true
		}
		split := 0
		if i >= all-test {
			split = 2
		} else if i >= all-test-validation {
			split = 1
		}
		w.splits[split] = append(w.splits[split], e)
	}
	w.note(name, missing, tokens, before, own)
	if text := Repeats(tokens); text != "" {
		w.notes = append(w.notes, name+": "+text)
	}
	w.calibration = mixed(w.splits[0], splitCalibration)
	w.splits[1] = mixed(w.splits[1], splitValidation)
	return w, nil
}

// note says how the text was cut.
func (w *Windows) note(name, missing string, tokens, before []int32, own int) {
	add := func(format string, args ...any) {
		w.notes = append(w.notes, name+": "+fmt.Sprintf(format, args...))
	}
	test := ""
	if n := len(w.splits[2]); n > 0 {
		test = fmt.Sprintf(", %d test", n)
	}
	add("%s in windows of %d: %d training, %d validation%s, by their place in the text", plural.Of(len(tokens), "token"), w.cfg.Length, len(w.splits[0]), len(w.splits[1]), test)
	if rest := len(tokens) % own; rest > 0 {
		add("%s at the end %s no window and %s left out", plural.Of(rest, "token"), plural.Words(rest, "fills", "fill"), plural.Verb(rest))
	}
	if len(before) > 0 {
		add("token %s comes before each window, as the tokenizer has it", strings.Trim(fmt.Sprint(before), "[]"))
	}
	if missing != "" {
		add("%s", missing)
	}
}

// Notes say what was read and how it was cut.
func (w *Windows) Notes() []string { return w.notes }

// Train returns the i-th window of an endless pass over those for training, each epoch in another
// order.
func (w *Windows) Train(seed uint64, i int) Example {
	return w.splits[0][shuffled(seed, i, len(w.splits[0]))]
}

// TrainSize is the number of windows for training.
func (w *Windows) TrainSize() int { return len(w.splits[0]) }

// Validation returns the first n validation windows, all for n ≤ 0, in an order that leaps about
// the text, so that few of them are from all of it.
func (w *Windows) Validation(n int) []Example { return firstOf(w.splits[1], n) }

// Test returns the test windows.
func (w *Windows) Test() []Example { return w.splits[2] }

// Calibration returns the first n training windows in such an order, all for n ≤ 0. InDomain is the
// only source.
func (w *Windows) Calibration(source string, n int) ([]Example, error) {
	if source != InDomain {
		return nil, fmt.Errorf("text: calibration source %q: a text has only %q", source, InDomain)
	}
	return firstOf(w.calibration, n), nil
}

// mixed is examples in an order of its own.
func mixed(examples []Example, seed uint64) []Example {
	out := make([]Example, len(examples))
	for i := range out {
		out[i] = examples[shuffled(seed, i, len(examples))]
	}
	return out
}
