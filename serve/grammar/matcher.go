package grammar

import (
	"errors"
	"fmt"
	"slices"
)

var errNothing = errors.New("no text satisfies the constraint")

// Matcher follows one text through a grammar, a token at a time. It is not safe for concurrent use;
// matchers of one grammar are independent.
type Matcher struct {
	grammar    *Grammar
	vocabulary *Vocabulary
	tokens     []int32
	states     []id // before each token, and behind the last
	forgotten  int  // the grammar's count when the states were found
	ended      bool // the last token ended the text
	err        error
}

// Matcher is a new match of the grammar, at the beginning of a text.
func (g *Grammar) Matcher(v *Vocabulary) *Matcher {
	g.mu.Lock()
	defer g.mu.Unlock()
	return &Matcher{grammar: g, vocabulary: v, states: []id{g.root}, forgotten: g.forgotten}
}

// Allowed sets the bits of the tokens that may come next and clears all others: token t is bit t%64
// of word t/64. Tokens that end the text are among them where the text may end. Nothing is allowed
// behind one, and nothing after an error.
func (m *Matcher) Allowed(bits []uint64) {
	clear(bits)
	if m.ended || m.err != nil {
		return
	}
	if len(bits) < m.vocabulary.words() {
		m.err = fmt.Errorf("the mask has %d words, expected %d for %d tokens", len(bits), m.vocabulary.words(), len(m.vocabulary.tokens))
		return
	}
	g := m.grammar
	g.mu.Lock()
	defer g.mu.Unlock()
	m.attempt(func() error {
		clear(bits)
		return g.allowed(m.vocabulary, m.state(), bits)
	})
	if m.err != nil {
		clear(bits)
		return
	}
	if g.pool.terms[m.state()].nullable {
		mask{ids: m.vocabulary.ends}.into(bits)
	}
	if !slices.ContainsFunc(bits, func(w uint64) bool { return w != 0 }) {
		m.err = m.deadEnd()
	}
}

// deadEnd says why no token may come next though the text is not at its end: the vocabulary cannot
// write what the grammar asks for.
func (m *Matcher) deadEnd() error {
	var text []byte
	for _, t := range m.tokens[max(0, len(m.tokens)-8):] {
		text = append(text, m.vocabulary.tokens[t]...)
	}
	if m.grammar.pool.terms[m.state()].nullable {
		return fmt.Errorf("behind %q the text is complete, and no token of the vocabulary ends it", text)
	}
	var next []byte
	more := ""
	for b := range 256 {
		if m.grammar.pool.step(m.state(), byte(b)) == none {
			continue
		}
		if len(next) == 8 {
			more = " or others"
			break
		}
		next = append(next, byte(b))
	}
	return fmt.Errorf("behind %q the text goes on with one of the bytes %q%s, and no token of the vocabulary does", text, next, more)
}

// Accept goes on with a token. A token that is not allowed is an error of Err, and nothing is
// allowed behind it.
func (m *Matcher) Accept(token int32) {
	switch {
	case m.err != nil:
		return
	case token < 0 || int(token) >= len(m.vocabulary.tokens):
		m.err = fmt.Errorf("found token %d, expected 0 to %d", token, len(m.vocabulary.tokens)-1)
		return
	}
	g := m.grammar
	g.mu.Lock()
	defer g.mu.Unlock()
	next := none
	m.attempt(func() error {
		next = m.after(m.state(), token)
		return g.pool.err
	})
	switch {
	case m.err != nil:
	case m.ended:
		m.err = fmt.Errorf("found token %d behind the end of the text", token)
	case next == none:
		m.err = fmt.Errorf("token %d (%q) is not allowed there", token, m.vocabulary.tokens[token])
	default:
		m.ended = slices.Contains(m.vocabulary.ends, token)
		m.tokens = append(m.tokens, token)
		m.states = append(m.states, next)
	}
}

// after is the state behind a token, none where the token is not allowed.
func (m *Matcher) after(state id, token int32) id {
	p := m.grammar.pool
	text := m.vocabulary.tokens[token]
	switch {
	case slices.Contains(m.vocabulary.ends, token) && p.terms[state].nullable:
		return state
	case slices.Contains(m.vocabulary.ends, token), len(text) == 0, len(text) > lengths[len(lengths)-1]:
		return none
	}
	for _, b := range text {
		state = p.step(state, b)
	}
	return state
}

// Complete says whether the text may end there.
func (m *Matcher) Complete() bool {
	g := m.grammar
	g.mu.Lock()
	defer g.mu.Unlock()
	m.attempt(func() error { return nil })
	return m.err == nil && g.pool.terms[m.state()].nullable
}

// Err is why nothing is allowed any more: a token that was not allowed, or a text that needs more
// memory, or more work at one token, than a grammar may take.
func (m *Matcher) Err() error { return m.err }

// Rollback takes back the last n tokens.
func (m *Matcher) Rollback(n int) error {
	switch {
	case m.err != nil:
		return m.err
	case n < 0 || n > len(m.tokens):
		return fmt.Errorf("found %d tokens to take back, expected 0 to %d", n, len(m.tokens))
	case n > 0:
		// What follows must not overwrite tokens that a fork still has.
		m.tokens = slices.Clip(m.tokens[:len(m.tokens)-n])
		m.states = slices.Clip(m.states[:len(m.states)-n])
		m.ended = false
	}
	return nil
}

// Fork is another matcher at the same place of the text. Neither changes the other.
func (m *Matcher) Fork() *Matcher {
	m.tokens, m.states = slices.Clip(m.tokens), slices.Clip(m.states)
	fork := *m
	return &fork
}

func (m *Matcher) state() id { return m.states[len(m.states)-1] }

// attempt does something with the states, once more after the grammar has forgotten what others
// needed, if the limit of its memory is in the way. The grammar is locked.
func (m *Matcher) attempt(do func() error) {
	if m.err != nil {
		return
	}
	p := m.grammar.pool
	for range 2 {
		p.work = 0
		if m.err = m.restore(); m.err == nil {
			p.work = 0
			m.err = do()
		}
		if m.err == nil {
			return
		}
		over := p.work > maxWork // which it would be again
		if m.grammar.forget(); over {
			return
		}
	}
}

// restore finds the states of the tokens again when the grammar has forgotten them.
func (m *Matcher) restore() error {
	if m.forgotten == m.grammar.forgotten {
		return nil
	}
	m.states = []id{m.grammar.root}
	for _, token := range m.tokens {
		m.states = append(m.states, m.after(m.state(), token))
	}
	m.forgotten = m.grammar.forgotten
	return m.grammar.pool.err
}
