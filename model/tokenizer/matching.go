package tokenizer

import (
	"fmt"
	"slimlab/internal/regexread"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
)

const (
	longestPattern = 1 << 13 // bytes; real patterns have a few hundred
	// for one match: an expression that goes back and forth without end is given up
	longestMatch = 2 * time.Second
)

// matching is a compiled expression of a file. The first text of which it gave a match up is kept
// for Tokenizer.Err.
type matching struct {
	re      *regexp2.Regexp
	pattern string
	gaveUp  atomic.Pointer[error]
}

func compile(pattern string) (*matching, error) {
	if len(pattern) > longestPattern {
		return nil, fmt.Errorf("found %d bytes, expected at most %d", len(pattern), longestPattern)
	}
	translated, err := translate(pattern)
	if err != nil {
		return nil, err
	}
	re, err := regexp2.Compile(translated, regexp2.None)
	if err != nil {
		return nil, regexread.Error(pattern, err)
	}
	re.MatchTimeout = longestMatch
	return &matching{re: re, pattern: pattern}, nil
}

// expressionsOf lists the expressions of a tokenizer.
func expressionsOf(normalizers []normalizer, splitters []splitter) (list []*matching) {
	for _, n := range normalizers {
		if r, ok := n.(replaceMatches); ok {
			list = append(list, r.re)
		}
	}
	for _, s := range splitters {
		if e, ok := s.(*expressionSplitter); ok {
			list = append(list, e.re)
		}
	}
	return list
}

// err returns why a match was given up, nil where none was.
func (m *matching) err() error {
	if err := m.gaveUp.Load(); err != nil {
		return *err
	}
	return nil
}

// giveUp keeps the place at which a match took too long.
func (m *matching) giveUp(text string) {
	err := fmt.Errorf("the tokenizer's expression %q needs more than %v for one match of the text from %q on, so the text has no ids: expected an expression that does not repeat what repeats itself",
		clip(m.pattern, 80), m.re.MatchTimeout, clip(text, 40))
	m.gaveUp.CompareAndSwap(nil, &err)
}

// clip cuts a text for an error to so many bytes, at the end of a character.
func clip(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for most > 0 && !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "…"
}

// matches yields the matches of an expression and the gaps between them, in order. Gaps are not
// empty; an empty match is one too, and cuts the gap that it is in, but none comes right behind
// another match. Where a match takes longer than longestMatch, the rest of the text is one gap, and
// m.err says so.
func matches(m *matching, text string, yield func(piece string, match bool)) {
	// The expression sees runes; offsets lead back to bytes, so that a byte which is not UTF-8 (one
	// U+FFFD here) is kept as it is.
	runes := make([]rune, 0, len(text))
	offsets := make([]int, 0, len(text)+1)
	for i, r := range text {
		runes = append(runes, r)
		offsets = append(offsets, i)
	}
	offsets = append(offsets, len(text))
	done, last := 0, -1 // bytes that were yielded; where the match before ended
	for from := 0; from <= len(runes) && m.gaveUp.Load() == nil; {
		found, err := m.re.FindRunesMatchStartingAt(runes, from)
		if err != nil {
			m.giveUp(text[offsets[from]:])
			break
		}
		if found == nil {
			break
		}
		if from = found.Index + found.Length; found.Length == 0 && from == last {
			from++
			continue
		}
		last = from
		start, stop := offsets[found.Index], offsets[last]
		if done < start {
			yield(text[done:start], false)
		}
		yield(text[start:stop], true)
		done = stop
	}
	if done < len(text) {
		yield(text[done:], false)
	}
}
