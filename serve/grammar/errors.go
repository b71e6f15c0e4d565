package grammar

import (
	"errors"
	"fmt"

	"slimlab/serve/grammar/pattern"
	"slimlab/serve/grammar/schema"
)

// Unsupported is a keyword that the output cannot be held to, or not as it stands there. A schema
// with one is refused as a whole.
type Unsupported struct {
	Path    string // JSON pointer of the schema that has the keyword
	Keyword string
	Reason  string // "" where the keyword is not supported at all
}

func (e *Unsupported) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("JSON Schema at %q: the keyword %q is not supported", e.Path, e.Keyword)
	}
	return fmt.Sprintf("JSON Schema at %q: %q is not supported there: %s", e.Path, e.Keyword, e.Reason)
}

// Invalid is a keyword whose value is not what JSON Schema expects.
type Invalid struct {
	Path    string
	Keyword string // "" where the schema as a whole is none, or has no value
	Problem string
}

func (e *Invalid) Error() string {
	switch {
	case e.Keyword == "" && e.Path == "":
		return "JSON Schema: " + e.Problem
	case e.Keyword == "":
		return fmt.Sprintf("JSON Schema at %q: %s", e.Path, e.Problem)
	}
	return fmt.Sprintf("JSON Schema at %q: %q: %s", e.Path, e.Keyword, e.Problem)
}

// LimitError is a limit of this package that a constraint would pass.
type LimitError = schema.LimitError

// IsLimit reports whether an error is that of a limit, of this package or of package pattern.
func IsLimit(err error) bool {
	var limit *LimitError
	var expression *pattern.Error
	return errors.As(err, &limit) || errors.As(err, &expression) && expression.Limit
}
