package grammar

import (
	"context"
	"errors"
	"fmt"

	"slimlab/serve/grammar/schema"
)

// Call is a function that a text may call.
type Call struct {
	Name      string // as the text has it
	Arguments []byte // a JSON Schema
}

// Frame is how calls are written.
type Frame struct {
	Before, Between, After string // the name, the name and the arguments, the arguments
	// Separator stands between two calls, where a text may have several.
	Separator string
	Several   bool
}

// CallError is a call whose arguments cannot be held to their schema.
type CallError struct {
	Call int
	Err  error
}

func (e *CallError) Error() string { return fmt.Sprintf("call %d: %v", e.Call, e.Err) }
func (e *CallError) Unwrap() error { return e.Err }

// Calls makes the grammar of the texts that are a call of one of some functions, or several calls.
// An error about the arguments of one is a *CallError.
func Calls(ctx context.Context, frame Frame, calls []Call, space Whitespace) (*Grammar, error) {
	if len(calls) == 0 {
		return nil, errors.New("found no function, expected at least one")
	}
	p := newPool(ctx, maxTerms)
	var one []id
	for i, c := range calls {
		doc, err := schema.Read(c.Arguments)
		if err != nil {
			return nil, &CallError{i, err}
		}
		arguments, err := newBuilder(p, doc, space).build()
		if p.err != nil {
			err = p.err
		}
		if err != nil {
			return nil, &CallError{i, err}
		}
		one = append(one, p.sequence(p.text(frame.Before+c.Name+frame.Between), arguments, p.text(frame.After)))
	}
	root := p.choice(one...)
	if frame.Several {
		root = p.then(root, p.repeat(p.then(p.text(frame.Separator), root), 0, forever))
	}
	return newGrammar(p, root, nil)
}
