package tokenizer

import (
	"unicode"
	"unicode/utf8"

	"github.com/dlclark/regexp2"
)

// gpt2Pattern is how GPT-2 cuts a text into words: what the ByteLevel pre-tokenizer means by use_regex.
const gpt2Pattern = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

// digitPattern is the same with every digit a word of its own, so that numbers are written from digits and no
// vocabulary is spent on them. Train uses it.
const digitPattern = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

// splitter cuts a text into pieces, in order.
type splitter interface {
	split(text string, yield func(piece string))
}

// splitAll applies splitters one after another, each to the pieces of the one before.
func splitAll(splitters []splitter, text string, yield func(string)) {
	switch len(splitters) {
	case 0:
		yield(text)
	case 1:
		splitters[0].split(text, yield)
	default:
		splitters[0].split(text, func(piece string) { splitAll(splitters[1:], piece, yield) })
	}
}

// newSplitter returns the hand-written scanner for the patterns that have one, else the regular expression.
func newSplitter(expression string, dropGaps bool) (splitter, error) {
	switch expression {
	case gpt2Pattern:
		return scanner{}, nil
	case digitPattern:
		return scanner{singleDigits: true}, nil
	}
	re, err := regexp2.Compile(expression, regexp2.None)
	if err != nil {
		return nil, err
	}
	return &expressionSplitter{re, dropGaps}, nil
}

// scanner splits by gpt2Pattern or digitPattern without a regular expression: its matches cover every text, so there are no gaps.
type scanner struct{ singleDigits bool }

func (s scanner) split(text string, yield func(string)) {
	for len(text) > 0 {
		n := s.word(text)
		yield(text[:n])
		text = text[n:]
	}
}

// word returns the length of the first word of a text that is not empty; each branch is an alternative of the pattern, in its order.
func (s scanner) word(text string) int {
	if n := contraction(text); n > 0 {
		return n
	}
	start := 0
	if text[0] == ' ' && len(text) > 1 {
		start = 1
	}
	class, n := classAt(text, start)
	if class == space {
		return spaceRun(text)
	}
	end := start + n
	if class == number && s.singleDigits {
		return end
	}
	for end < len(text) {
		c, n := classAt(text, end)
		if c != class {
			break
		}
		end += n
	}
	return end
}

// spaceRun returns how much of the leading white space is one word: all at the end of the text, else all but the last
// character, which goes to the word after it.
func spaceRun(text string) int {
	end, last := 0, 0
	for end < len(text) {
		c, n := classAt(text, end)
		if c != space {
			break
		}
		last = end
		end += n
	}
	if end < len(text) && last > 0 {
		return last
	}
	return end
}

func contraction(text string) int {
	if text[0] != '\'' || len(text) < 2 {
		return 0
	}
	switch text[1] {
	case 's', 't', 'm', 'd':
		return 2
	}
	if len(text) > 2 {
		switch text[1:3] {
		case "re", "ve", "ll":
			return 3
		}
	}
	return 0
}

type class byte

const (
	other class = iota
	letter
	number
	space
)

func classAt(text string, i int) (class, int) {
	if b := text[i]; b < utf8.RuneSelf {
		switch {
		case b|0x20 >= 'a' && b|0x20 <= 'z':
			return letter, 1
		case b >= '0' && b <= '9':
			return number, 1
		case b == ' ' || b >= '\t' && b <= '\r':
			return space, 1
		}
		return other, 1
	}
	r, n := utf8.DecodeRuneInString(text[i:])
	switch {
	case unicode.IsLetter(r):
		return letter, n
	case unicode.IsNumber(r):
		return number, n
	case unicode.IsSpace(r):
		return space, n
	}
	return other, n
}

// expressionSplitter makes every match a piece, and every gap between matches too unless gaps are dropped.
type expressionSplitter struct {
	re       *regexp2.Regexp
	dropGaps bool
}

func (s *expressionSplitter) split(text string, yield func(string)) {
	// The expression sees runes; offsets lead back to bytes, so that a byte which is not UTF-8 (one U+FFFD here) is kept as it is.
	runes := make([]rune, 0, len(text))
	offsets := make([]int, 0, len(text)+1)
	for i, r := range text {
		runes = append(runes, r)
		offsets = append(offsets, i)
	}
	offsets = append(offsets, len(text))
	done := 0
	// Errors come only from a match timeout, and none is set.
	for m, _ := s.re.FindRunesMatch(runes); m != nil; m, _ = s.re.FindNextMatch(m) {
		start, stop := offsets[m.Index], offsets[m.Index+m.Length]
		if start == stop {
			continue
		}
		if done < start && !s.dropGaps {
			yield(text[done:start])
		}
		yield(text[start:stop])
		done = stop
	}
	if done < len(text) && !s.dropGaps {
		yield(text[done:])
	}
}
