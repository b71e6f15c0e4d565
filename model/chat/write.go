package chat

import (
	"encoding/json"
	"sync"

	"slimlab/model/tokenizer"
)

// Writer writes conversations without a date, with the template of a tokenizer. The template is
// read when the first conversation comes, so that one which cannot be read stops nobody else. It is
// safe for concurrent use.
type Writer struct {
	template func() (*Template, error)
}

// NewWriter returns the writer for a tokenizer.
func NewWriter(t *tokenizer.Tokenizer) *Writer {
	return &Writer{sync.OnceValues(func() (*Template, error) { return FromTokenizer(t) })}
}

// Write writes messages, a JSON array, with tools or nil. Where ask is true, the text ends where
// the assistant's answer begins.
func (w *Writer) Write(messages, tools json.RawMessage, ask bool) (string, error) {
	t, err := w.template()
	if err != nil {
		return "", err
	}
	return t.Render(Conversation{Messages: messages, Tools: tools, AddGenerationPrompt: ask})
}
