package chat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"slimlab/internal/jinja"
	"slimlab/internal/jsonread"
	"slimlab/model/tokenizer"
)

// Template writes conversations for one model. It is safe for concurrent use.
type Template struct {
	template *jinja.Template
	bos, eos string
}

// Parse reads a Jinja template. bos and eos are the tokens that begin and end a text, or empty.
func Parse(source, bos, eos string) (*Template, error) {
	t, err := jinja.Parse(source)
	if err != nil {
		return nil, fmt.Errorf("chat template: %w", err)
	}
	return &Template{t, bos, eos}, nil
}

// FromTokenizer reads the template of a tokenizer.
func FromTokenizer(t *tokenizer.Tokenizer) (*Template, error) {
	source := t.ChatTemplate()
	if source == "" {
		if problem := t.ChatTemplateProblem(); problem != "" {
			return nil, fmt.Errorf("the tokenizer has no chat template: %s", problem)
		}
		return nil, errors.New("the tokenizer has no chat template")
	}
	var bos, eos string
	if id := t.BOS(); id >= 0 {
		bos = t.Token(id)
	}
	if id := t.EOS(); id >= 0 {
		eos = t.Token(id)
	}
	return Parse(source, bos, eos)
}

// Conversation is what a template writes.
type Conversation struct {
	// an array of objects such as {"role": "user", "content": "Hello"}
	Messages json.RawMessage
	Tools    json.RawMessage // an array of function definitions, or nil
	// further variables of the template, such as enable_thinking
	Variables map[string]json.RawMessage
	// the text ends where the assistant's answer begins
	AddGenerationPrompt bool
	// the date for templates that write it; may be zero
	Now time.Time
}

// ParseConversation reads an array of messages, or an object with messages and tools. The answer of
// the assistant is to follow unless the last message is its own.
func ParseConversation(data []byte) (Conversation, error) {
	var c Conversation
	if trimmed := bytes.TrimSpace(data); bytes.HasPrefix(trimmed, []byte("[")) {
		c.Messages = trimmed
	} else {
		var object struct{ Messages, Tools json.RawMessage }
		if err := jsonread.Decode(trimmed, &object); err != nil {
			return Conversation{}, fmt.Errorf("conversation: %w", err)
		}
		c.Messages, c.Tools = object.Messages, object.Tools
	}
	var roles []struct{ Role string }
	if err := jsonread.Decode(c.Messages, &roles); err != nil {
		return Conversation{}, fmt.Errorf("conversation: %w", jsonread.At("messages", err))
	}
	c.AddGenerationPrompt = len(roles) == 0 || roles[len(roles)-1].Role != "assistant"
	return c, nil
}

// Render writes a conversation. Its errors name the line of the template: the template's own
// refusal, an operation that the values do not support, or too much work.
func (t *Template) Render(c Conversation) (string, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(c.Messages), []byte("[")) {
		return "", errors.New("conversation: messages: found no array, expected an array of messages")
	}
	values := map[string]json.RawMessage{}
	maps.Copy(values, c.Variables)
	values["messages"] = c.Messages
	values["tools"], values["documents"] = json.RawMessage("null"), json.RawMessage("null")
	if len(c.Tools) > 0 {
		values["tools"] = c.Tools
	}
	for name, v := range map[string]any{"bos_token": t.bos, "eos_token": t.eos, "add_generation_prompt": c.AddGenerationPrompt} {
		encoded, err := json.Marshal(v)
		if err != nil {
			return "", fmt.Errorf("chat template: %s: %w", name, err)
		}
		values[name] = encoded
	}
	text, err := t.template.Render(jinja.Input{Values: values, Now: c.Now})
	if err != nil {
		return "", fmt.Errorf("chat template: %w", err)
	}
	return text, nil
}
