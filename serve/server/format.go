package server

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"slimlab/internal/jsonread"
	"slimlab/serve"
	"slimlab/serve/grammar"
)

// compiling bounds the time in which the form of an answer is compiled, on the request's own
// goroutine: no other request waits for it.
const compiling = 10 * time.Second

// wantedForm is the form of an answer that a request asks for.
type wantedForm struct {
	param       string // of the request
	kind        string // text, json_object or json_schema
	schemaParam string
	schema      json.RawMessage
}

// responseFormat reads OpenAI's form of an answer; nil is none.
func (p *settings) responseFormat() (*wantedForm, error) {
	const param = "response_format"
	if isNull(p.ResponseFormat) {
		return nil, nil
	}
	var f struct {
		Type       *string `json:"type"`
		JSONSchema *struct {
			Schema json.RawMessage `json:"schema"`
		} `json:"json_schema"`
	}
	if err := jsonread.Decode(p.ResponseFormat, &f); err != nil {
		return nil, unreadable(param, err)
	}
	if f.Type == nil {
		return nil, refuse(param+".type", "found none, expected text, json_object or json_schema")
	}
	w := &wantedForm{param: param, kind: *f.Type, schemaParam: param + ".json_schema.schema"}
	if f.JSONSchema != nil {
		w.schema = f.JSONSchema.Schema
	}
	return w, nil
}

// held is the field that holds answers to a form, "" for none.
func (p *settings) held() string {
	switch {
	case p.calls != nil && p.calls.must:
		return toolChoice
	case p.Regex != nil:
		return "regex"
	case p.wanted != nil:
		return p.wanted.param
	case !isNull(p.ResponseFormat):
		return "response_format"
	case p.calls.strict():
		return "tools"
	}
	return ""
}

// constraint compiles what answers are held to, and returns what makes a constraint for each, or
// nil where that is nothing.
func (s *Server) constraint(ctx context.Context, p *settings) (func() serve.Constraint, error) {
	ctx, cancel := context.WithTimeout(ctx, compiling)
	defer cancel()
	g, err := s.form(ctx, p)
	switch {
	case err != nil:
		return nil, err
	case g != nil:
		return func() serve.Constraint { return forkable{g.Matcher(s.vocabulary())} }, nil
	case p.calls.strict():
		f, err := s.strictCalls(ctx, p.calls)
		return func() serve.Constraint { return &strictCalls{strictForm: f} }, err
	}
	return nil, nil
}

// form compiles what whole answers are held to, or returns nil where that is nothing.
func (s *Server) form(ctx context.Context, p *settings) (*grammar.Grammar, error) {
	w := p.wanted
	if w == nil {
		var err error
		if w, err = p.responseFormat(); err != nil {
			return nil, err
		}
	}
	var g *grammar.Grammar
	var err error
	switch {
	case p.Regex != nil && w != nil:
		return nil, refuse("regex", "found it beside %s, expected one of both", w.param)
	case p.Regex != nil && p.calls != nil && p.calls.must:
		return nil, refuse("regex", "found it beside a tool_choice that requires a call, expected one of both")
	case p.Regex != nil:
		g, err = grammar.Compile(ctx, *p.Regex)
		err = formError("regex", err)
	case w != nil:
		g, err = w.compile(ctx)
	}
	if err != nil || p.calls == nil || !p.calls.must {
		return g, err
	}
	return s.calls(ctx, p.calls) // and no text, whose form would be the other one
}

// compile makes the grammar of a form, nil for a text.
func (w *wantedForm) compile(ctx context.Context) (*grammar.Grammar, error) {
	switch w.kind {
	case "text":
		return nil, nil
	case "json_object":
		g, err := grammar.AnyJSON(ctx, grammar.Single)
		return g, formError(w.param, err)
	case "json_schema":
		if isNull(w.schema) {
			return nil, refuse(w.schemaParam, "found none, expected a JSON Schema")
		}
		g, err := grammar.JSON(ctx, w.schema, grammar.Single)
		return g, formError(w.schemaParam, err)
	}
	return nil, refuse(w.param+".type", "found %q, expected text, json_object or json_schema", w.kind)
}

// formError is the problem of a form that cannot be compiled.
func formError(param string, err error) error {
	var unsupported *grammar.Unsupported
	switch {
	case err == nil, errors.Is(err, context.Canceled): // its client has gone
		return err
	case errors.Is(err, context.DeadlineExceeded):
		return refuse(param, "it was not compiled within %v: expected a simpler one", compiling).coded("limit_exceeded")
	case grammar.IsLimit(err):
		return refuse(param, "%v", err).coded("limit_exceeded")
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
