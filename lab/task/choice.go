package task

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"slimlab/internal/jsonread"
	"slimlab/internal/plural"
	"slimlab/lab/datafile"
)

// ChoiceConfig sets a file of multiple-choice questions.
type ChoiceConfig struct {
	Path string
	// Cue is between the query and a choice, which follows it after a space. Where it begins
	// with a line's end, one that ends the query is dropped.
	Cue   string
	Limit int // questions to read; 0 is all
}

// DefaultCue asks for the answer as lm-evaluation-harness does in ARC and PIQA.
const DefaultCue = "\nAnswer:"

// mostChoices bounds the choices of a question, each of which takes memory for the whole context.
const mostChoices = 256

// Question is one record of a file of choices.
type Question struct {
	Line    int
	Query   string
	Choices []string // 2 to 256, none empty
	Gold    int      // index of the right choice
	// Bare questions have no cue: a choice continues the query.
	Bare bool `json:",omitempty"`
	// Contexts, where there are any, stand in the place of the query, one before each choice.
	Contexts []string `json:",omitempty"`
}

// Choice is the task of choosing among given answers by their likelihood.
type Choice struct {
	ChoiceConfig
	Questions []Question
	Notes     []string // what was decoded, and how the questions of a published form are asked
}

// ReadChoice reads a file of JSON objects, one a line or in an array: query, choices and gold, the
// index of the right one from 0, or one of the published forms of questionForms. Other members of
// an object are skipped. Of lists, the one that is held out from training is read.
func ReadChoice(ctx context.Context, cfg ChoiceConfig) (*Choice, error) {
	file, err := datafile.Open(ctx, cfg.Path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readChoice(file, cfg)
}

func readChoice(file *datafile.File, cfg ChoiceConfig) (*Choice, error) {
	c := &Choice{ChoiceConfig: cfg}
	form := -1
	file.HeldOut()
	for record, err := range file.Records() {
		if err != nil {
			return nil, err
		}
		q, err := readQuestion(record.JSON, &form)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file.Name(), record.Line, err)
		}
		q.Line = record.Line
		c.Questions = append(c.Questions, q)
		if cfg.Limit > 0 && len(c.Questions) == cfg.Limit {
			break
		}
	}
	if len(c.Questions) == 0 {
		return nil, fmt.Errorf("%s: the file has no questions, expected JSON objects with query, choices and gold", file.Name())
	}
	c.Notes = file.Notes()
	if asked := questionForms[form].asked; asked != "" {
		c.Notes = append(c.Notes, fmt.Sprintf("%s: questions of the form of %s: %s", file.Name(), questionForms[form].name, asked))
	}
	return c, nil
}

// readQuestion reads a question of a form, the index in questionForms, which the first question
// settles where it is −1.
func readQuestion(raw []byte, form *int) (q Question, err error) {
	object, err := readObject(raw)
	if err != nil {
		return q, err
	}
	if *form < 0 {
		if *form, err = findForm(object); err != nil {
			return q, err
		}
	}
	if q, err = questionForms[*form].read(object); err != nil {
		return q, err
	}
	if n := len(q.Choices); n < 2 || n > mostChoices {
		return q, fmt.Errorf("found %s, expected 2 to %d", plural.Of(n, "choice"), mostChoices)
	}
	if i := slices.Index(q.Choices, ""); i >= 0 {
		return q, fmt.Errorf("choice %d is empty, expected a text: its likelihood is divided by its length", i)
	}
	return q, nil
}

// textsField returns a field's list of texts.
func textsField(object map[string]json.RawMessage, name string) ([]string, error) {
	raw, ok := object[name]
	if !ok {
		return nil, missingField(object, name)
	}
	var items []json.RawMessage
	if raw[0] != '[' {
		return nil, fmt.Errorf("field %q is %s, expected an array of strings", name, kindOf(raw[0]))
	}
	if err := jsonread.Decode(raw, &items); err != nil {
		return nil, fmt.Errorf("field %q: %w", name, err)
	}
	texts := make([]string, len(items))
	for i, item := range items {
		if item[0] != '"' {
			return nil, fmt.Errorf("field %q, item %d is %s, expected a string", name, i, kindOf(item[0]))
		}
		if err := jsonread.Decode(item, &texts[i]); err != nil {
			return nil, fmt.Errorf("field %q, item %d: %w", name, i, err)
		}
	}
	return texts, nil
}

// Context is the text before a choice of a question, which follows it after a space.
func (c *Choice) Context(q Question, choice int) string {
	query := q.Query
	switch {
	case q.Contexts != nil:
		return q.Contexts[choice]
	case q.Bare:
		return query
	case strings.HasPrefix(c.Cue, "\n"):
		query = strings.TrimSuffix(query, "\n")
	}
	return query + c.Cue
}

// Spans turns the questions into tokens, [questions][choices], for a model of so many positions. A
// context too long for it loses its beginning, and cut counts the questions to which that happened.
func (c *Choice) Spans(enc Encoder, begin Beginning, positions int) (spans [][]Span, cut int, err error) {
	spans = make([][]Span, len(c.Questions))
	for i, q := range c.Questions {
		wasCut := false
		for k, choice := range q.Choices {
			s, err := begin.pair(enc, c.Context(q, k), " "+choice)
			if err != nil {
				return nil, 0, c.at(q, err)
			}
			if s.Targets() < 1 {
				return nil, 0, c.at(q, fmt.Errorf("choice %d adds no token to its context", k))
			}
			s, short := s.cut(positions)
			if s.Begin < 1 {
				return nil, 0, c.at(q, fmt.Errorf("choice %d has %d tokens, the model has %d positions", k, s.Targets(), positions))
			}
			spans[i] = append(spans[i], s)
			wasCut = wasCut || short
		}
		if wasCut {
			cut++
		}
	}
	return spans, cut, nil
}

// Answers returns what a model chooses, by the log-likelihoods [questions][choices] of its Spans.
func (c *Choice) Answers(logLikelihood [][]float64) ([]Answer, error) {
	if len(logLikelihood) != len(c.Questions) {
		return nil, fmt.Errorf("choice: %s: log-likelihoods of %d questions, expected %d", c.Path, len(logLikelihood), len(c.Questions))
	}
	answers := make([]Answer, len(c.Questions))
	for i, q := range c.Questions {
		var err error
		if answers[i], err = q.Answer(logLikelihood[i]); err != nil {
			return nil, c.at(q, err)
		}
	}
	return answers, nil
}

func (c *Choice) at(q Question, err error) error {
	return fmt.Errorf("%s:%d: %w", datafile.Name(c.Path), q.Line, err)
}
