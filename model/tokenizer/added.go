package tokenizer

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// addedToken is an entry of added_tokens: text that is always one token.
type addedToken struct {
	ID         int32  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"` // only where it is not part of a longer word
	LStrip     bool   `json:"lstrip"`      // takes the white space before it
	RStrip     bool   `json:"rstrip"`      // takes the white space after it
	Normalized bool   `json:"normalized"`  // matched in the normalized text, itself normalized
	Special    bool   `json:"special"`
}

// matcher finds added tokens in a text: the leftmost first, of those the longest.
type matcher struct {
	tokens  map[string]addedToken // by their text
	lengths []int                 // that the texts have, longest first
	first   [256]bool             // bytes that begin one
}

type pattern struct {
	text  string
	token addedToken
}

func newMatcher(patterns []pattern) matcher {
	m := matcher{tokens: make(map[string]addedToken, len(patterns))}
	for _, p := range patterns {
		if _, ok := m.tokens[p.text]; ok {
			continue // the first of two counts
		}
		m.tokens[p.text] = p.token
		m.first[p.text[0]] = true
		m.lengths = append(m.lengths, len(p.text))
	}
	slices.SortFunc(m.lengths, func(a, b int) int { return cmp.Compare(b, a) })
	m.lengths = slices.Compact(m.lengths)
	return m
}

// split yields the pieces of text in order: an added token's id, or a piece between them with id
// -1.
func (m *matcher) split(text string, yield func(piece string, id int32)) {
	done := 0
	for i := 0; i < len(text) && len(m.tokens) > 0; {
		token, length := m.at(text, i)
		if length == 0 {
			i++
			continue
		}
		start, stop := i, i+length
		if token.SingleWord && !wordBounded(text, start, stop) {
			i = stop
			continue
		}
		if token.LStrip {
			start = max(done, len(strings.TrimRightFunc(text[:start], unicode.IsSpace)))
		}
		if token.RStrip {
			stop = len(text) - len(strings.TrimLeftFunc(text[stop:], unicode.IsSpace))
		}
		if done < start {
			yield(text[done:start], -1)
		}
		yield("", token.ID)
		done, i = stop, stop
	}
	if done < len(text) {
		yield(text[done:], -1)
	}
}

// at returns the token that begins at i and how long it is; 0 is none.
func (m *matcher) at(text string, i int) (addedToken, int) {
	if !m.first[text[i]] {
		return addedToken{}, 0
	}
	for _, n := range m.lengths {
		if i+n <= len(text) {
			if token, ok := m.tokens[text[i:i+n]]; ok {
				return token, n
			}
		}
	}
	return addedToken{}, 0
}

func wordBounded(text string, start, stop int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:start])
	after, _ := utf8.DecodeRuneInString(text[stop:])
	return (start == 0 || !isWord(before)) && (stop == len(text) || !isWord(after))
}

func isWord(r rune) bool {
	return r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r)
}
