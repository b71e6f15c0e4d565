package server

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"slimlab/internal/jsonread"
	"slimlab/serve/grammar"
)

// compiling bounds the time in which the form of an answer is compiled, on the request's own
// goroutine: no other request waits for it.
const compiling = 10 * time.Second

// responseFormat is OpenAI's form of an answer.
type responseFormat struct {
	Type       string `json:"type"`
	JSONSchema *struct {
		Schema json.RawMessage `json:"schema"`
	} `json:"json_schema"`
}

// form compiles what answers are held to, or returns nil where that is nothing.
func (s *Server) form(ctx context.Context, p *settings) (*grammar.Grammar, error) {
	ctx, cancel := context.WithTimeout(ctx, compiling)
	defer cancel()
	if p.Regex != nil {
		if !isNull(p.ResponseFormat) {
			return nil, refuse("regex", "found it beside response_format, expected one of both")
		}
		g, err := grammar.Compile(ctx, *p.Regex)
		return g, formError("regex", err)
	}
	if isNull(p.ResponseFormat) {
		return nil, nil
	}
	const param = "response_format"
	var f responseFormat
	if err := jsonread.Decode(p.ResponseFormat, &f); err != nil {
		return nil, unreadable(param, err)
	}
	switch f.Type {
	case "text":
		return nil, nil
	case "json_object":
		g, err := grammar.AnyJSON(ctx, grammar.Single)
		return g, formError(param, err)
	case "json_schema":
		if f.JSONSchema == nil || isNull(f.JSONSchema.Schema) {
			return nil, refuse(param+".json_schema.schema", "found none, expected a JSON Schema")
		}
		g, err := grammar.JSON(ctx, f.JSONSchema.Schema, grammar.Single)
		return g, formError(param+".json_schema.schema", err)
	}
	return nil, refuse(param+".type", "found %q, expected text, json_object or json_schema", f.Type)
}

// formError is the problem of a form that cannot be compiled.
func formError(param string, err error) error {
	var unsupported *grammar.Unsupported
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return refuse(param, "it was not compiled within %v: expected a simpler one", compiling).coded("limit_exceeded")
	case errors.As(err, &unsupported):
		return refuse(param, "%v", err).coded("unsupported_parameter")
	}
	return refuse(param, "%v", err)
}

// newVocabulary lists the bytes of a model's tokens. Special ones have none: no form allows them,
// but where the answer may end.
func newVocabulary(m *Model) *grammar.Vocabulary {
	tokens := make([][]byte, m.Shape.Vocabulary)
	for id := range tokens {
		if !m.Tokenizer.Special(int32(id)) {
			tokens[id] = []byte(m.Tokenizer.Text(int32(id)))
		}
	}
	return grammar.NewVocabulary(tokens, m.Ends...)
}
