package tokenizer

import (
	"fmt"
	"iter"
	"strings"
	"unicode/utf8"
)

// mostMissing is how many different characters a note of missing ones shows.
const mostMissing = 5

// missing counts the characters of texts for which a vocabulary has neither a token nor the bytes.
type missing struct {
	count, all int
	first      []string // with their places
	seen       map[string]bool
}

// MissingNote says which characters of texts have no token, so that they leave no trace in the ids,
// or are the unknown token there, with how many there are and where the first ones stand; "" where
// each has a token. Texts come after their places, such as "line 3", or "". Characters are counted
// as the normalizer leaves them.
func (t *Tokenizer) MissingNote(texts iter.Seq2[string, string]) string {
	_, note := t.Missing(texts)
	return note
}

// Missing is MissingNote, with the share of the characters that have no token.
func (t *Tokenizer) Missing(texts iter.Seq2[string, string]) (share float64, note string) {
	if t.model.hasAllBytes() {
		return 0, ""
	}
	m := missing{seen: map[string]bool{}}
	for place, text := range texts {
		t.pieces(text, func(int32) {}, func(word string) {
			m.all += utf8.RuneCountInString(word)
			t.model.missing(word, func(symbol string) { m.add(symbol, text, place) })
		})
	}
	if m.count == 0 {
		return 0, ""
	}
	share = float64(m.count) / float64(m.all)
	become := "are left out: the vocabulary has no token for them, no unknown token and no bytes"
	if t.model.unknown >= 0 {
		become = fmt.Sprintf("become the unknown token %q", t.Token(t.model.unknown))
	}
	more := ""
	if len(m.seen) > mostMissing {
		more = fmt.Sprintf(" and %d more", len(m.seen)-mostMissing)
	}
	return share, fmt.Sprintf("%d of %d characters (%.3g%%) %s: %s%s", m.count, m.all, 100*share, become, strings.Join(m.first, ", "), more)
}

func (m *missing) add(symbol, text, place string) {
	m.count++
	if m.seen[symbol] {
		return
	}
	m.seen[symbol] = true
	if len(m.first) == mostMissing {
		return
	}
	if place != "" {
		place += ", "
	}
	if at := strings.Index(text, symbol); at >= 0 { // else the normalizer has made it
		place += fmt.Sprintf("character %d", utf8.RuneCountInString(text[:at])+1)
	} else {
		place += "normalized"
	}
	m.first = append(m.first, fmt.Sprintf("%q (%s)", symbol, place))
}

// MissingIn is MissingNote of one text.
func (t *Tokenizer) MissingIn(text string) string {
	return t.MissingNote(func(yield func(place, text string) bool) { yield("", text) })
}

// hasAllBytes reports whether any text can be spelled in bytes.
func (m *bpe) hasAllBytes() bool {
	for _, id := range m.byteID {
		if id < 0 {
			return false
		}
	}
	return true
}

// missing gives each character of a word that has no token.
func (m *bpe) missing(word string, yield func(symbol string)) {
	if _, ok := m.whole(word); ok {
		return
	}
	for i := 0; i < len(word); {
		_, n := utf8.DecodeRuneInString(word[i:])
		symbol := word[i : i+n]
		i += n
		if _, ok := m.ids[symbol]; (!ok || m.byteLevel) && !m.hasBytes(symbol) {
			yield(symbol)
		}
	}
}
