package jinja

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// The bounds of a template and of its work.
const (
	MaxSource = 1 << 18 // bytes of a template
	MaxWork   = 1 << 26 // of a rendering, plus inputWork for each byte of the input
	maxDepth  = 100     // of nested tags, of an expression, and of a value
	maxCalls  = 50      // of nested calls of macros
	maxNested = 2000    // of nested evaluations, also across macros

	inputWork = 64
	nodeWork  = 16 // of an evaluated node
	itemWork  = 16 // of a new item of a list; a byte that is read or written costs 1
)

// ErrWork is the error of a template whose work exceeds its bound.
var ErrWork = errors.New("the template does more work than its bound")

// Template is a parsed template. It is safe for concurrent use.
type Template struct{ nodes []node }

// Parse reads a template. Its errors name the line and what is not supported.
func Parse(source string) (t *Template, err error) {
	if len(source) > MaxSource {
		return nil, fmt.Errorf("found %d bytes, expected at most %d", len(source), MaxSource)
	}
	tokens, err := lex(source)
	if err != nil {
		return nil, err
	}
	defer func() {
		if failed := recover(); failed != nil {
			e, ok := failed.(parseError)
			if !ok {
				panic(failed)
			}
			err = e.error
		}
	}()
	p := &parser{tokens: tokens}
	nodes, _ := p.nodes()
	return &Template{nodes}, nil
}

// Input is what a template can read.
type Input struct {
	// global variables by name; objects keep the order of their keys
	Values map[string]json.RawMessage
	// what strftime_now formats; zero leaves strftime_now undefined
	Now time.Time
}

// Render writes a template's text. Its errors name the line of the template: the template's own
// refusal (raise_exception), an operation that its values do not support, or ErrWork.
func (t *Template) Render(in Input) (text string, err error) {
	r := &rendering{
		out:     &strings.Builder{},
		budget:  MaxWork,
		filters: filters,
		tests:   tests,
		scope:   &scope{names: map[string]value{}},
	}
	for name, raw := range in.Values {
		v, err := fromJSON(raw)
		if err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		r.budget += inputWork * len(raw)
		r.scope.names[name] = v
	}
	for name, f := range globals {
		r.scope.names[name] = function{name, f}
	}
	if !in.Now.IsZero() {
		r.scope.names["strftime_now"] = function{"strftime_now", func(r *rendering, a arguments) value {
			return r.strftime(in.Now, r.stringAt("strftime_now", a, 0, "format"))
		}}
	}
	defer func() {
		if failed := recover(); failed != nil {
			e, ok := failed.(renderError)
			if !ok {
				panic(failed)
			}
			text, err = "", fmt.Errorf("line %d: %w", r.line, e.error)
		}
	}()
	r.nodes(t.nodes)
	return r.out.String(), nil
}

// rendering is the state of one Render. Failures are panics of a renderError, which Render
// recovers.
type rendering struct {
	out     *strings.Builder
	scope   *scope
	budget  int // remaining work
	line    int
	calls   int // nested calls of macros
	depth   int // nested evaluations, also across macros
	filters map[string]filter
	tests   map[string]test
}

type renderError struct{ error }

func (r *rendering) fail(format string, args ...any) {
	panic(renderError{fmt.Errorf(format, args...)})
}

// spend takes work from the budget; call it before the work.
func (r *rendering) spend(work int) {
	if work < 0 || work > r.budget {
		panic(renderError{ErrWork})
	}
	r.budget -= work
}

// scope holds the names of a loop's or macro's body, and refers to the scope around it.
type scope struct {
	names map[string]value
	outer *scope
}

func (s *scope) get(name string) (value, bool) {
	for ; s != nil; s = s.outer {
		if v, ok := s.names[name]; ok {
			return v, true
		}
	}
	return nil, false
}

// within runs f in a new scope inside another.
func (r *rendering) within(outer *scope, f func()) {
	before := r.scope
	r.scope = &scope{map[string]value{}, outer}
	f()
	r.scope = before
}
