package trace

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"slimlab/internal/jsonread"
	"slimlab/serve/load"
)

// Prompts are prompts of one's own.
type Prompts struct {
	list  []prompt
	blank int
}

type prompt struct {
	line    int
	request load.Request
}

// Chosen says which of the prompts are asked, and how.
type Chosen struct {
	Number     int  // the first so many; 0 is all
	MaxTokens  int  // of those that do not say
	IgnoreEnd  bool // their answers have so many tokens exactly
	Vocabulary int  // ids are below it; 0 does not check them
	Positions  int  // of the model: longer prompts of ids are left out; 0 takes all
}

var promptKeys = jsonread.Keys(jsonread.Read, "prompt", "messages", "max_tokens")

// ReadPrompts reads prompts, one object a line: {"prompt": "a text", "max_tokens": 100}, where
// prompt may be a list of token ids, or {"messages": [{"role": "user", "content": "…"}]} in its
// place. max_tokens may be left out.
func ReadPrompts(r io.Reader) (*Prompts, error) {
	p := &Prompts{}
	err := lines(r, func(n int, line []byte) error {
		if len(bytes.TrimSpace(line)) == 0 {
			p.blank++
			return nil
		}
		request, err := readPrompt(line)
		if err != nil {
			return err
		}
		p.list = append(p.list, prompt{n, request})
		return nil
	})
	if err == nil && len(p.list) == 0 {
		err = fmt.Errorf("trace: found no prompts")
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

func readPrompt(line []byte) (r load.Request, err error) {
	var record struct {
		Prompt    json.RawMessage `json:"prompt"`
		Messages  []load.Message  `json:"messages"`
		MaxTokens *int            `json:"max_tokens"`
	}
	if err := jsonread.Decode(line, &record); err != nil {
		return r, err
	}
	if err := onlyKeys(line, promptKeys); err != nil {
		return r, err
	}
	if record.MaxTokens != nil {
		if r.MaxTokens = *record.MaxTokens; r.MaxTokens < 1 || r.MaxTokens > maxTokens {
			return r, fmt.Errorf("found max_tokens %d, expected 1 to %d", r.MaxTokens, maxTokens)
		}
	}
	has := len(record.Prompt) > 0 && string(record.Prompt) != "null"
	switch {
	case has == (record.Messages != nil):
		return r, fmt.Errorf("found prompt and messages, or neither, expected one of both")
	case !has:
		r.Messages = record.Messages
		for i, m := range r.Messages {
			if m.Role == "" {
				return r, fmt.Errorf("messages[%d] has no role", i)
			}
		}
		if len(r.Messages) == 0 {
			return r, fmt.Errorf("found no messages, expected at least 1")
		}
		return r, nil
	case record.Prompt[0] == '"':
		if err := jsonread.Decode(record.Prompt, &r.Text); err != nil {
			return r, jsonread.At("prompt", err)
		}
		if r.Text == "" {
			return r, fmt.Errorf("found an empty prompt, expected a text")
		}
		return r, nil
	case record.Prompt[0] != '[':
		return r, fmt.Errorf("found the prompt %s, expected a text or a list of token ids", jsonread.Clip(record.Prompt))
	}
	if err := jsonread.Decode(record.Prompt, &r.Prompt); err != nil {
		return r, jsonread.At("prompt", err)
	}
	if bytes.Contains(record.Prompt, []byte("null")) {
		return r, fmt.Errorf("found null in prompt, expected token ids")
	}
	for i, id := range r.Prompt {
		if id < 0 {
			return r, fmt.Errorf("prompt[%d] is %d, expected a token id of at least 0", i, id)
		}
	}
	if len(r.Prompt) == 0 {
		return r, fmt.Errorf("found an empty prompt, expected token ids")
	}
	return r, nil
}

// Workload makes a workload of the prompts, in their order, and says what it leaves out.
func (p *Prompts) Workload(c Chosen) (load.Workload, []LeftOut, error) {
	if c.Number < 0 || c.MaxTokens < 0 || c.Vocabulary < 0 || c.Positions < 0 {
		return nil, nil, fmt.Errorf("trace: found %d prompts, %d tokens, a vocabulary of %d and %d positions, expected at least 0", c.Number, c.MaxTokens, c.Vocabulary, c.Positions)
	}
	var kept []load.Request
	var left leftOut
	for range p.blank {
		left.add("blank lines")
	}
	for _, one := range p.list {
		r := one.request
		if r.MaxTokens == 0 {
			r.MaxTokens = c.MaxTokens
		}
		r.IgnoreEnd = c.IgnoreEnd
		for i, id := range r.Prompt {
			if c.Vocabulary > 0 && int(id) >= c.Vocabulary {
				return nil, nil, fmt.Errorf("trace: line %d: prompt[%d] is %d, expected a token id below the vocabulary's %d", one.line, i, id, c.Vocabulary)
			}
		}
		switch {
		case r.Prompt != nil && r.MaxTokens == 0:
			return nil, nil, fmt.Errorf("trace: line %d: found no max_tokens, expected it there or for all", one.line)
		case c.Positions > 0 && len(r.Prompt) > 0 && len(r.Prompt)+r.MaxTokens > c.Positions:
			left.add(fmt.Sprintf("longer than %d positions", c.Positions))
		case c.Number > 0 && len(kept) == c.Number:
			left.add(fmt.Sprintf("after the first %d", c.Number))
		default:
			kept = append(kept, r)
		}
	}
	if len(kept) == 0 {
		return nil, left, fmt.Errorf("trace: none of %d prompts is left (%s), expected at least 1", len(p.list), left)
	}
	return load.Singles{Number: len(kept), Make: func(i int) load.Request { return kept[i] }}, left, nil
}
