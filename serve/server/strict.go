package server

import (
	"slices"
	"strings"

	"slimlab/serve"
	"slimlab/serve/grammar"
)

// forkable is a match of a form that drafts follow too.
type forkable struct{ *grammar.Matcher }

func (f forkable) Fork() serve.Constraint { return forkable{f.Matcher.Fork()} }

// strictCalls lets an answer say anything, and holds what follows each openTag to calls whose
// arguments satisfy their schemas.
type strictCalls struct {
	*strictForm
	tail string // the end of the text that may be the beginning of a tag
	call *forkable
}

// strictForm is what the answers to one request have in common.
type strictForm struct {
	server  *Server
	grammar *grammar.Grammar // of a call behind its tag
	beyond  []int32          // tokens in which a tag may end before they do
}

func (s *Server) newStrictForm(g *grammar.Grammar) *strictForm {
	f := &strictForm{server: s, grammar: g}
	last := openTag[len(openTag)-1:]
	for id := range s.model.Shape.Vocabulary {
		if text := s.model.Tokenizer.Text(int32(id)); strings.Contains(text[:max(0, len(text)-1)], last) {
			f.beyond = append(f.beyond, int32(id))
		}
	}
	return f
}

// Allowed implements serve.Constraint.
func (c *strictCalls) Allowed(bits []uint64) {
	if c.call != nil {
		c.call.Allowed(bits)
		return
	}
	size := c.server.model.Shape.Vocabulary
	for id := range size {
		bits[id/64] |= 1 << (id % 64)
	}
	for _, id := range c.beyond {
		text := c.tail + c.server.model.Tokenizer.Text(id)
		if at := strings.Index(text, openTag); at >= 0 && at+len(openTag) < len(text) {
			bits[id/64] &^= 1 << (id % 64)
		}
	}
}

// Accept implements serve.Constraint.
func (c *strictCalls) Accept(token int32) {
	if c.call != nil {
		if c.call.Accept(token); c.call.Complete() {
			c.call = nil
		}
		return
	}
	c.tail += c.server.model.Tokenizer.Text(token)
	if strings.HasSuffix(c.tail, openTag) {
		c.tail, c.call = "", &forkable{c.grammar.Matcher(c.server.vocabulary())}
		return
	}
	c.tail = c.tail[len(c.tail)-heldBack(c.tail, []string{openTag}):]
}

// Err says why nothing is allowed.
func (c *strictCalls) Err() error {
	if c.call == nil {
		return nil
	}
	return c.call.Err()
}

// Fork implements serve.Forker.
func (c *strictCalls) Fork() serve.Constraint {
	fork := *c
	if c.call != nil {
		fork.call = &forkable{c.call.Matcher.Fork()}
	}
	return &fork
}

// strict reports whether the calls of an answer are held to a form where none is required: for the
// schemas of their arguments, or as only some tools may be called.
func (p *callPlan) strict() bool {
	return p != nil && !p.must && (p.some || slices.ContainsFunc(p.tools, func(t tool) bool { return t.strict }))
}
