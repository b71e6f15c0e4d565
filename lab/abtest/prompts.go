package abtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"slimlab/internal/jsonread"
	"slimlab/internal/plural"
	"slimlab/lab/datafile"
	"slimlab/lab/loadtest"
	"slimlab/serve/load"
)

// Prompt is a request to both arms, with the answer that is right where it is known.
type Prompt struct {
	Request load.Request
	// Text is the reference of a prompt of text or messages, Tokens that of token ids.
	Text   string
	Tokens []int32
}

// Referenced reports whether the prompt has a reference.
func (p *Prompt) Referenced() bool { return p.Text != "" || len(p.Tokens) > 0 }

// ReadPrompts reads the first number of prompts of a file, 0 for all: JSON objects, one a line,
// with a prompt, which is a text or a list of token ids, or messages in its place; the response
// that is right, in the same form, may be absent, as may max_tokens. The notes say what was not
// read.
func ReadPrompts(ctx context.Context, path string, number, maxTokens int) (list []Prompt, notes []string, err error) {
	f, err := datafile.Open(ctx, path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	other, more := map[string]bool{}, 0
	for raw, err := range f.Records() {
		if err != nil {
			return nil, nil, err
		}
		if number > 0 && len(list) == number {
			more++
			continue
		}
		p, unknown, err := readPrompt(raw.JSON, maxTokens)
		if err != nil {
			return nil, nil, fmt.Errorf("%s:%d: %w", f.Name(), raw.Line, err)
		}
		for _, name := range unknown {
			other[name] = true
		}
		list = append(list, p)
	}
	if len(list) == 0 {
		return nil, nil, fmt.Errorf("%s: found no prompts, expected JSON objects, one a line", f.Name())
	}
	notes = slices.Clone(f.Notes())
	if more > 0 {
		notes = append(notes, fmt.Sprintf("%s: %s after the first %d left out", f.Name(), plural.Of(more, "record"), number))
	}
	if len(other) > 0 {
		notes = append(notes, fmt.Sprintf("%s: other fields are not read: %s", f.Name(), strings.Join(slices.Sorted(maps.Keys(other)), ", ")))
	}
	return list, notes, nil
}

var promptKeys = jsonread.Keys(jsonread.Read, "prompt", "messages", "response", "max_tokens")

// mostTokens bounds max_tokens.
const mostTokens = 1 << 24

func readPrompt(raw []byte, maxTokens int) (p Prompt, unknown []string, err error) {
	var object map[string]json.RawMessage
	var record struct {
		Prompt    json.RawMessage `json:"prompt"`
		Messages  []load.Message  `json:"messages"`
		Response  json.RawMessage `json:"response"`
		MaxTokens *int            `json:"max_tokens"`
	}
	if err := jsonread.Decode(raw, &object); err != nil {
		return p, nil, err
	}
	if err := jsonread.Decode(raw, &record); err != nil {
		return p, nil, err
	}
	if unknown, err = promptKeys.Check(object); err != nil {
		return p, nil, err
	}
	r := &p.Request
	r.MaxTokens = maxTokens
	if record.MaxTokens != nil {
		if r.MaxTokens = *record.MaxTokens; r.MaxTokens < 1 || r.MaxTokens > mostTokens {
			return p, nil, fmt.Errorf("found max_tokens %d, expected 1 to %d", r.MaxTokens, mostTokens)
		}
	}
	has := given(record.Prompt)
	switch {
	case has == (record.Messages != nil):
		return p, nil, errors.New("found prompt and messages, or neither, expected one of both")
	case has:
		if r.Text, r.Prompt, err = textOrTokens("prompt", record.Prompt); err != nil {
			return p, nil, err
		}
	default:
		for i, m := range record.Messages {
			if m.Role == "" {
				return p, nil, fmt.Errorf("messages[%d] has no role", i)
			}
		}
		if r.Messages = record.Messages; len(r.Messages) == 0 {
			return p, nil, errors.New("found no messages, expected at least 1")
		}
	}
	if given(record.Response) {
		if p.Text, p.Tokens, err = textOrTokens("response", record.Response); err != nil {
			return p, nil, err
		}
		if (p.Tokens == nil) != (r.Prompt == nil) {
			return p, nil, errors.New("found a text and a list of token ids, expected prompt and response in the same form")
		}
	}
	return p, unknown, nil
}

func given(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

// textOrTokens reads a text or a list of token ids, neither of them empty.
func textOrTokens(key string, raw json.RawMessage) (text string, ids []int32, err error) {
	switch raw[0] {
	case '"':
		if err := jsonread.Decode(raw, &text); err != nil {
			return "", nil, jsonread.At(key, err)
		}
	case '[':
		if err := jsonread.Decode(raw, &ids); err != nil {
			return "", nil, jsonread.At(key, err)
		}
		if bytes.Contains(raw, []byte("null")) {
			return "", nil, fmt.Errorf("found null in %s, expected token ids", key)
		}
		for i, id := range ids {
			if id < 0 {
				return "", nil, fmt.Errorf("%s[%d] is %d, expected a token id of at least 0", key, i, id)
			}
		}
	default:
		return "", nil, fmt.Errorf("found the %s %s, expected a text or a list of token ids", key, jsonread.Clip(raw))
	}
	if text == "" && len(ids) == 0 {
		return "", nil, fmt.Errorf("found an empty %s, expected a text or token ids", key)
	}
	return text, ids, nil
}

// Generate makes the prompts of a workload, for arms whose tokens are below both vocabularies. They
// have no references.
func Generate(w loadtest.Workload, vocabulary int, seed uint64) ([]Prompt, error) {
	if w.Kind == loadtest.Chat {
		return nil, errors.New("the turns of a chat depend on its answers, which differ between two arms: expected another workload, or a file")
	}
	of, err := w.Workload(vocabulary, seed)
	if err != nil {
		return nil, err
	}
	var list []Prompt
	for i := range of.Arrivals() {
		a := of.Arrival(i)
		for k := range a.Requests {
			list = append(list, Prompt{Request: a.Make(k, load.Reply{})})
		}
	}
	return list, nil
}
