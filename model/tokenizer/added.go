package tokenizer

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// addedToken is an entry of added_tokens: text that is one token wherever it stands.
type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"` // only where it is not part of a longer word
	LStrip     bool   `json:"lstrip"`      // takes the white space before it
	RStrip     bool   `json:"rstrip"`      // takes the white space after it
	Normalized bool   `json:"normalized"`  // matched in the normalized text, itself normalized
	Special    bool   `json:"special"`
}

// matcher cuts added tokens out of a text: the leftmost first, of those the longest.
type matcher struct {
	tokens []pattern // longest first
	first  [256]bool // bytes that begin a pattern
}

type pattern struct {
	text  string
	token addedToken
}

func newMatcher(patterns []pattern) matcher {
	m := matcher{tokens: patterns}
	slices.SortStableFunc(m.tokens, func(a, b pattern) int { return cmp.Compare(len(b.text), len(a.text)) })
	for _, p := range m.tokens {
		m.first[p.text[0]] = true
	}
	return m
}

// split yields the pieces of text in order: an added token's id, or a piece between them with id -1.
func (m *matcher) split(text string, yield func(piece string, id int32)) {
	done := 0
	for i := 0; i < len(text) && len(m.tokens) > 0; {
		p := m.at(text, i)
		if p == nil {
			i++
			continue
		}
		start, stop := i, i+len(p.text)
		if p.token.SingleWord && !wordBounded(text, start, stop) {
			i = stop
			continue
		}
		if p.token.LStrip {
			start = max(done, len(strings.TrimRightFunc(text[:start], unicode.IsSpace)))
		}
		if p.token.RStrip {
			stop = len(text) - len(strings.TrimLeftFunc(text[stop:], unicode.IsSpace))
		}
		if done < start {
			yield(text[done:start], -1)
		}
		yield("", p.token.ID)
		done, i = stop, stop
	}
	if done < len(text) {
		yield(text[done:], -1)
	}
}

func (m *matcher) at(text string, i int) *pattern {
	if !m.first[text[i]] {
		return nil
	}
	for k := range m.tokens {
		if strings.HasPrefix(text[i:], m.tokens[k].text) {
			return &m.tokens[k]
		}
	}
	return nil
}

func wordBounded(text string, start, stop int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:start])
	after, _ := utf8.DecodeRuneInString(text[stop:])
	return (start == 0 || !isWord(before)) && (stop == len(text) || !isWord(after))
}

func isWord(r rune) bool {
	return r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r)
}
