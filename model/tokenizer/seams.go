package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// seams splits a text between two characters that are adjacent in no merged token:
// no merge spans such a place, so that what is left and right of it is encoded apart, to the same
// ids. SentencePiece does not split a text into words; seams does. Only characters that are
// symbols themselves are looked at, and of them ASCII and the mark of a space: the rest is not cut.
type seams struct {
	cut [markClass + 1][markClass + 1]bool
}

const markClass = utf8.RuneSelf // of the mark; an ASCII character is its own class

func seamClass(r rune) (class int, ok bool) {
	if r < utf8.RuneSelf {
		return int(r), true
	}
	return markClass, string(r) == spaceMark
}

// newSeams finds the seams of a vocabulary of characters. There are none where a word may be a
// token that no merge makes, unless all such tokens are in apart, which the splitters before
// isolate.
func newSeams(m *bpe, apart []string) *seams {
	s := &seams{}
	if m.ignoreMerges && !m.makesAll(apart) {
		return s
	}
	var symbol [markClass + 1]bool
	for c := range symbol {
		spelling := spaceMark
		if c < markClass {
			spelling = string(rune(c))
		}
		_, symbol[c] = m.ids[spelling]
	}
	for a := range symbol {
		for b := range symbol {
			s.cut[a][b] = symbol[a] && symbol[b]
		}
	}
	made := map[int32]bool{}
	for _, slot := range m.merges.slots {
		if slot.key != 0 {
			made[slot.id] = true
		}
	}
	for token, id := range m.ids {
		if !made[id] && !m.ignoreMerges {
			continue
		}
		before, known := 0, false
		for _, r := range token {
			c, ok := seamClass(r)
			if known && ok {
				s.cut[before][c] = false
			}
			before, known = c, ok
		}
	}
	return s
}

func (s *seams) split(text string, yield func(string)) {
	start, before, known := 0, 0, false
	for i := 0; i < len(text); {
		c, n := int(text[i]), 1
		ok := c < utf8.RuneSelf
		if !ok {
			if text[i] == spaceMark[0] && strings.HasPrefix(text[i:], spaceMark) {
				c, n, ok = markClass, len(spaceMark), true
			} else {
				_, n = utf8.DecodeRuneInString(text[i:])
			}
		}
		if known && ok && s.cut[before][c] {
			yield(text[start:i])
			start = i
		}
		before, known = c, ok
		i += n
	}
	if start < len(text) {
		yield(text[start:])
	}
}
