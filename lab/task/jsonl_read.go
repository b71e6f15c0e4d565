package task

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"slimlab/internal/nearest"
)

// Record is one line of a JSONL file.
type Record struct {
	Line             int
	Prompt, Response string
}

// fields names the members of a line's object that hold the prompt, an optional addition to it, and
// the response.
type fields struct{ prompt, input, response string }

// knownFields are the names that published files use, in the order in which they are tried.
var knownFields = []fields{
	{"prompt", "", "response"},
	{"prompt", "", "completion"},
	{"question", "", "answer"},
	{"instruction", "input", "output"},
	{"instruction", "input", "response"},
	{"instruction", "context", "response"},
	{"input", "", "output"},
	{"input", "", "target"},
	{"query", "", "response"},
	{"query", "", "answer"},
	{"problem", "", "solution"},
}

func (f fields) String() string {
	if f.input != "" {
		return fmt.Sprintf("%q (and %q where present) → %q", f.prompt, f.input, f.response)
	}
	return fmt.Sprintf("%q → %q", f.prompt, f.response)
}

// readJSONLFile reads the records of cfg.Path.
func readJSONLFile(cfg JSONLConfig) ([]Record, fields, error) {
	file, err := os.Open(cfg.Path)
	if err != nil {
		return nil, fields{}, fmt.Errorf("jsonl: %w", err)
	}
	defer file.Close()
	return readJSONL(file, cfg)
}

// readJSONL reads one object a line; lines of white space are skipped. The first object settles
// which fields are meant.
func readJSONL(from io.Reader, cfg JSONLConfig) (records []Record, use fields, err error) {
	in := bufio.NewReaderSize(from, 1<<16)
	for number := 1; ; number++ {
		line, err := in.ReadBytes('\n') // lines may be of any length
		if err != nil && err != io.EOF {
			return nil, use, fmt.Errorf("jsonl: %s:%d: %w", cfg.Path, number, err)
		}
		last := err == io.EOF
		if number == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			record, err := readRecord(line, cfg, &use)
			if err != nil {
				return nil, use, fmt.Errorf("jsonl: %s:%d: %w", cfg.Path, number, err)
			}
			record.Line = number
			records = append(records, record)
		}
		if last || cfg.Limit > 0 && len(records) == cfg.Limit {
			break
		}
	}
	if len(records) == 0 {
		return nil, use, fmt.Errorf("jsonl: %s: no records, expected one JSON object a line", cfg.Path)
	}
	return records, use, nil
}

func readRecord(line []byte, cfg JSONLConfig, use *fields) (Record, error) {
	if !utf8.Valid(line) {
		return Record{}, fmt.Errorf("not valid UTF-8")
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(line, &object); err != nil {
		return Record{}, describeJSON(line, err)
	}
	if object == nil {
		return Record{}, fmt.Errorf("found null, expected a JSON object")
	}
	if *use == (fields{}) {
		detected, err := chooseFields(object, cfg)
		if err != nil {
			return Record{}, err
		}
		*use = detected
	}
	prompt, err := textField(object, use.prompt)
	if err != nil {
		return Record{}, err
	}
	if _, ok := object[use.input]; ok && use.input != "" {
		input, err := textField(object, use.input)
		if err != nil {
			return Record{}, err
		}
		if strings.TrimSpace(input) != "" {
			prompt += "\n" + input
		}
	}
	response, err := textField(object, use.response)
	if err != nil {
		return Record{}, err
	}
	if strings.TrimSpace(response) == "" {
		return Record{}, fmt.Errorf("field %q is empty, expected a response", use.response)
	}
	return Record{Prompt: prompt, Response: response}, nil
}

// describeJSON says in words what is wrong with a line that is no JSON object.
func describeJSON(line []byte, err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind):
		if line[0] == '[' {
			return fmt.Errorf("found a JSON array, expected one JSON object a line")
		}
		return fmt.Errorf("found a %s, expected a JSON object", kind.Value)
	case errors.As(err, &syntax):
		if line[0] == '[' && len(line) == 1 {
			return fmt.Errorf("found the beginning of a JSON array, expected one JSON object a line")
		}
		return fmt.Errorf("bad JSON at byte %d of the line: %s", syntax.Offset, strings.TrimPrefix(err.Error(), "json: "))
	}
	return fmt.Errorf("bad JSON: %w", err)
}

// chooseFields takes the configured fields, and what is not configured from the first of
// knownFields that fits.
func chooseFields(object map[string]json.RawMessage, cfg JSONLConfig) (fields, error) {
	if cfg.PromptField != "" && cfg.ResponseField != "" {
		return fields{prompt: cfg.PromptField, response: cfg.ResponseField}, nil
	}
	has := func(name string) bool { _, ok := object[name]; return ok }
	for _, known := range knownFields {
		if cfg.PromptField != "" && cfg.PromptField != known.prompt {
			continue
		}
		if cfg.ResponseField != "" && cfg.ResponseField != known.response {
			continue
		}
		if has(known.prompt) && has(known.response) {
			return known, nil
		}
	}
	// One name is given and the other cannot be guessed from a known pair: take any known partner.
	for _, known := range knownFields {
		if cfg.PromptField != "" && has(known.response) && known.response != cfg.PromptField {
			return fields{prompt: cfg.PromptField, response: known.response}, nil
		}
		if cfg.ResponseField != "" && has(known.prompt) && known.prompt != cfg.ResponseField {
			return fields{prompt: known.prompt, response: cfg.ResponseField}, nil
		}
	}
	return fields{}, fmt.Errorf("cannot distinguish prompt and response among the fields %s; set prompt_field and response_field", quoteAll(fieldNames(object)))
}

func fieldNames(object map[string]json.RawMessage) []string {
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func quoteAll(names []string) string {
	const most, longest = 12, 40
	quoted := make([]string, 0, most)
	for i, name := range names {
		if i == most {
			quoted = append(quoted, "…")
			break
		}
		if len(name) > longest {
			name = name[:longest] + "…"
		}
		quoted = append(quoted, fmt.Sprintf("%q", name))
	}
	if len(quoted) == 0 {
		return "(none)"
	}
	return strings.Join(quoted, ", ")
}

// textField returns a field's text.
func textField(object map[string]json.RawMessage, name string) (string, error) {
	raw, ok := object[name]
	if !ok {
		return "", missingField(object, name)
	}
	var text string
	if raw[0] != '"' {
		return "", fmt.Errorf("field %q is %s, expected a string", name, kindOf(raw[0]))
	}
	if err := json.Unmarshal(raw, &text); err != nil {
		return "", fmt.Errorf("field %q: %w", name, err)
	}
	return text, nil
}

func missingField(object map[string]json.RawMessage, name string) error {
	names := fieldNames(object)
	if near := nearest.Suggest(name, names); near != "" {
		return fmt.Errorf("no field %q%s", name, near)
	}
	return fmt.Errorf("no field %q among %s", name, quoteAll(names))
}

// kindOf names the kind of a JSON value by its first byte.
func kindOf(first byte) string {
	switch first {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}
