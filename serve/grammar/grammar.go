package grammar

import (
	"context"
	"sync"
	"unicode/utf8"

	"slimlab/serve/grammar/pattern"
	"slimlab/serve/grammar/schema"
)

const (
	// maxTerms bounds the memory of a grammar as it is compiled, in units of about 100 bytes.
	maxTerms = 1 << 19
	// maxStates bounds that of a grammar in use. Where it is reached, what was computed since the
	// compilation is forgotten and computed again as it is needed.
	maxStates = 1 << 20
	// maxWork bounds the alternatives that are looked at for one token, which others wait for:
	// some tenths of a second.
	maxWork = 1 << 20
)

// Whitespace is where JSON text may have spaces.
type Whitespace int

const (
	Single  Whitespace = iota // one space or none behind each comma and colon: texts cannot run away
	Compact                   // none
	Free                      // any number of spaces, tabs and line ends between any two tokens
)

// Grammar is a compiled constraint on texts. It may be shared: matchers of one grammar share the
// masks and states that they find. It is safe for concurrent use.
type Grammar struct {
	mu    sync.Mutex
	pool  *pool
	root  id
	terms int // of the pool when it was compiled
	cells int

	forgotten int // counts how often the states were dropped
	masks     maskCache
}

// Compile makes the grammar of the texts that a regular expression matches from end to end. For the
// syntax see package pattern; an error in it is of type *pattern.Error.
func Compile(ctx context.Context, expression string) (*Grammar, error) {
	n, err := pattern.Parse(expression)
	if err != nil {
		return nil, err
	}
	p := newPool(ctx, maxTerms)
	root, err := newAlphabet(p, false).whole(n)
	if err == nil && p.err == nil && root == none {
		err = errNothing
	}
	return newGrammar(p, root, err)
}

// JSON makes the grammar of the JSON values that satisfy a JSON Schema. The package's comment says
// which keywords it may have. Errors are of type *Unsupported, *Invalid or *LimitError, or say that
// the schema is no JSON.
func JSON(ctx context.Context, document []byte, space Whitespace) (*Grammar, error) {
	doc, err := schema.Read(document)
	if err != nil {
		return nil, err
	}
	p := newPool(ctx, maxTerms)
	root, err := newBuilder(p, doc, space).build()
	return newGrammar(p, root, err)
}

// AnyJSON makes the grammar of all JSON objects.
func AnyJSON(ctx context.Context, space Whitespace) (*Grammar, error) {
	return JSON(ctx, []byte(`{"type":"object"}`), space)
}

func newGrammar(p *pool, root id, err error) (*Grammar, error) {
	if p.err != nil {
		err = p.err
	}
	if err != nil {
		return nil, err
	}
	p.of[letters] = p.repeat(p.choice(p.span('0', '9'), p.span('A', 'Z'), p.span('a', 'z')), 0, forever)
	p.of[plain] = p.repeat(p.choice(p.characters(' ', '!'), p.characters('#', '['), p.characters(']', 0xd7ff), p.characters(0xe000, utf8.MaxRune)), 0, forever)
	if p.err != nil {
		return nil, p.err
	}
	p.ctx, p.limit = nil, maxStates
	return &Grammar{pool: p, root: root, terms: len(p.terms), cells: p.cells}, nil
}

// forget drops all states that were found since the compilation, when there are too many. States
// that matchers hold become meaningless: each finds its own again.
func (g *Grammar) forget() {
	p := g.pool
	for key, n := range p.index {
		if int(n) >= g.terms {
			delete(p.index, key)
		}
	}
	for n := range p.alive {
		if int(n) >= g.terms {
			delete(p.alive, n)
		}
	}
	clear(p.distances)
	clear(p.chains)
	clear(p.terms[g.terms:])
	clear(p.rows)
	p.terms, p.rows, p.cells, p.err = p.terms[:g.terms], p.rows[:g.terms], g.cells, nil
	g.masks = maskCache{}
	g.forgotten++
}
