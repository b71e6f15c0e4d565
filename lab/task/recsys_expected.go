package task

import (
	"fmt"
	"slices"
)

// Expectation is what one answer token of an example can be, given all that stands before it.
type Expectation struct {
	At     int       // the answer's place in the example
	Tokens []int32   // what it can be
	P      []float64 // their probabilities, which sum to 1
}

// Expecting is a task that knows the probabilities of its answers: a model that learns from them
// learns from the same examples without the noise of the draws.
type Expecting interface {
	// Expected returns an Expectation for each answer token of an example, in their order. It needs
	// nothing but the example's tokens. Tokens that are no example of the task are an error.
	Expected(tokens []int32) ([]Expectation, error)
}

var _ Expecting = (*Recsys)(nil)

// Expected reads a prompt as a reader does and returns the exact posterior of each of its outcomes,
// that of the candidate included where it is answered.
func (r *Recsys) Expected(tokens []int32) ([]Expectation, error) {
	words, end, err := r.wordsOf(tokens)
	if err != nil {
		return nil, err
	}
	p := reader{lexicon: r.lexicon, words: words, shown: r.cfg.itemShown()}
	m, err := p.member()
	if err != nil {
		return nil, err
	}
	posterior := r.newEvidence()
	r.addMember(posterior, m)
	var expected []Expectation
	for {
		ev, at, answered, err := p.event()
		if err != nil {
			return nil, err
		}
		if !answered { // the candidate of a prompt without its answer
			return expected, nil
		}
		yes := r.predict(posterior, ev.task, ev.item)
		expected = append(expected, Expectation{At: end[at], Tokens: r.labels, P: []float64{yes, 1 - yes}})
		if p.done() {
			return expected, nil
		}
		r.addEvent(posterior, ev)
	}
}

// wordsOf returns the words that tokens are, and the place of the last token of each. Where one
// word's tokens begin another's, the longer one is meant: no word begins within another.
func (r *Recsys) wordsOf(tokens []int32) (words []word, end []int, err error) {
	for at := 0; at < len(tokens); {
		of := r.spaced
		if at == 0 {
			of = r.first
		}
		best, length := 0, 0
		for w, t := range of {
			if len(t) > length && len(t) <= len(tokens)-at && slices.Equal(t, tokens[at:at+len(t)]) {
				best, length = w, len(t)
			}
		}
		if length == 0 {
			return nil, nil, fmt.Errorf("recsys: token %d at position %d begins no word of the world", tokens[at], at)
		}
		at += length
		words, end = append(words, best), append(end, at-1)
	}
	return words, end, nil
}

// reader takes the words of a prompt apart, in the order in which writer wrote them.
type reader struct {
	*lexicon
	words []word
	next  int
	shown int // words of an item's description
}

func (p *reader) done() bool { return p.next == len(p.words) }

// member reads up to the colon.
func (p *reader) member() (m member, err error) {
	found := false
	for colon := p.index[":"]; !p.done(); {
		w := p.words[p.next]
		p.next++
		switch of := p.meanings[w]; {
		case w == colon && found:
			return m, nil
		case of.role == profileRole || of.role == hintRole:
			m, found = member{profiled: of.role == profileRole, claim: of.value}, true
		}
	}
	return m, fmt.Errorf("recsys: the prompt says nothing of a member, expected a word on one before a colon")
}

// event reads a task, an item and the outcome, whose word is at. The candidate, which a lead word
// comes before, may lack its outcome.
func (p *reader) event() (ev event, at int, answered bool, err error) {
	if !p.done() && p.meanings[p.words[p.next]].role == leadRole {
		p.next++
	}
	var parts [4]int
	for i, want := range []role{actionRole, surfaceRole, topicRole, formatRole}[:min(2+p.shown, 4)] {
		if parts[i], err = p.value(want); err != nil {
			return ev, 0, false, err
		}
	}
	ev.task = slices.Index(taskParts[:], struct{ action, surface int }{parts[0], parts[1]})
	ev.item = item{topic: parts[2], format: parts[3]} // format 0 where it is hidden: all are alike
	for range p.shown - shownFields {
		if err := p.filler(); err != nil {
			return ev, 0, false, err
		}
	}
	if p.done() {
		return ev, 0, false, nil
	}
	at = p.next
	outcome, err := p.value(outcomeRole)
	ev.yes = outcome == 1
	return ev, at, err == nil, err
}

// filler reads a word of an item that says nothing.
func (p *reader) filler() error {
	if p.done() {
		return fmt.Errorf("recsys: the prompt ends after %d words, expected one that says nothing", p.next)
	}
	if w := p.words[p.next]; !slices.Contains(p.plain, w) {
		return fmt.Errorf("recsys: word %d of the prompt is %q, expected one that says nothing", p.next+1, p.lexicon.words[w])
	}
	p.next++
	return nil
}

// value reads a word of a role.
func (p *reader) value(want role) (int, error) {
	if p.done() {
		return 0, fmt.Errorf("recsys: the prompt ends after %d words, expected %s", p.next, roleNames[want])
	}
	w := p.words[p.next]
	if p.meanings[w].role != want {
		return 0, fmt.Errorf("recsys: word %d of the prompt is %q, expected %s", p.next+1, p.lexicon.words[w], roleNames[want])
	}
	p.next++
	return p.meanings[w].value, nil
}

var roleNames = map[role]string{actionRole: "an action", surfaceRole: "a surface", topicRole: "a topic", formatRole: "a format", outcomeRole: "an outcome"}
