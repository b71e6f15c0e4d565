package task

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"
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

// Question is one line of a file of choices.
type Question struct {
	Line    int
	Query   string
	Choices []string // 2 to 256, none empty
	Gold    int      // index of the right choice
}

// Choice is the task of choosing among given answers by their likelihood.
type Choice struct {
	ChoiceConfig
	Questions []Question
}

// ReadChoice reads a file with one JSON object a line: query, choices and gold, the index of the
// right one from 0. Lines of white space are skipped, and so are other members of an object.
func ReadChoice(cfg ChoiceConfig) (*Choice, error) {
	file, err := os.Open(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("choice: %w", err)
	}
	defer file.Close()
	questions, err := readChoice(file, cfg)
	if err != nil {
		return nil, fmt.Errorf("choice: %s:%w", cfg.Path, err)
	}
	return &Choice{cfg, questions}, nil
}

// readChoice returns errors that begin with the line's number.
func readChoice(from io.Reader, cfg ChoiceConfig) (questions []Question, err error) {
	in := bufio.NewReaderSize(from, 1<<16)
	for number := 1; ; number++ {
		line, err := in.ReadBytes('\n') // lines may be of any length
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("%d: %w", number, err)
		}
		last := err == io.EOF
		if number == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			q, err := readQuestion(line)
			if err != nil {
				return nil, fmt.Errorf("%d: %w", number, err)
			}
			q.Line = number
			questions = append(questions, q)
		}
		if cfg.Limit > 0 && len(questions) == cfg.Limit {
			break
		}
		if last {
			if len(questions) == 0 {
				return nil, fmt.Errorf("%d: the file ends and has no questions, expected one JSON object a line with query, choices and gold", number)
			}
			break
		}
	}
	return questions, nil
}

func readQuestion(line []byte) (q Question, err error) {
	if !utf8.Valid(line) {
		return q, fmt.Errorf("not valid UTF-8")
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(line, &object); err != nil {
		return q, describeJSON(line, err)
	}
	if object == nil {
		return q, fmt.Errorf("found null, expected a JSON object")
	}
	if q.Query, err = textField(object, "query"); err != nil {
		return q, err
	}
	if q.Choices, err = textsField(object, "choices"); err != nil {
		return q, err
	}
	if n := len(q.Choices); n < 2 || n > mostChoices {
		return q, fmt.Errorf("field \"choices\" has %d, expected 2 to %d", n, mostChoices)
	}
	if i := slices.Index(q.Choices, ""); i >= 0 {
		return q, fmt.Errorf("choice %d is empty, expected a text: its likelihood is divided by its length", i)
	}
	raw, ok := object["gold"]
	if !ok {
		return q, missingField(object, "gold")
	}
	if err := json.Unmarshal(raw, &q.Gold); err != nil || string(raw) == "null" {
		return q, fmt.Errorf("field \"gold\" is %s, expected the index of a choice, a whole number from 0", shorten(raw))
	}
	if q.Gold < 0 || q.Gold >= len(q.Choices) {
		return q, fmt.Errorf("field \"gold\" is %d, expected 0 to %d: there are %d choices", q.Gold, len(q.Choices)-1, len(q.Choices))
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
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, fmt.Errorf("field %q: %w", name, err)
	}
	texts := make([]string, len(items))
	for i, item := range items {
		if item[0] != '"' {
			return nil, fmt.Errorf("field %q, item %d is %s, expected a string", name, i, kindOf(item[0]))
		}
		if err := json.Unmarshal(item, &texts[i]); err != nil {
			return nil, fmt.Errorf("field %q, item %d: %w", name, i, err)
		}
	}
	return texts, nil
}

// shorten is the beginning of a JSON value, for an error.
func shorten(raw json.RawMessage) string {
	const most = 40
	if len(raw) > most {
		return strings.ToValidUTF8(string(raw[:most]), "") + "…"
	}
	return string(raw)
}

// Context is the text before the choices of a question; each follows it after a space.
func (c *Choice) Context(q Question) string {
	query := q.Query
	if strings.HasPrefix(c.Cue, "\n") {
		query = strings.TrimSuffix(query, "\n")
	}
	return query + c.Cue
}

// Spans turns the questions into tokens, [questions][choices], for a model of so many positions. A
// context too long for it loses its beginning, and cut counts the questions to which that happened.
func (c *Choice) Spans(enc Encoder, begin Beginning, positions int) (spans [][]Span, cut int, err error) {
	spans = make([][]Span, len(c.Questions))
	for i, q := range c.Questions {
		context, wasCut := c.Context(q), false
		for k, choice := range q.Choices {
			s, err := begin.pair(enc, context, " "+choice)
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
	return fmt.Errorf("choice: %s:%d: %w", c.Path, q.Line, err)
}
