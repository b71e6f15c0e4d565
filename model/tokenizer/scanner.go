package tokenizer

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// scanner splits by gpt2Pattern or digitPattern without a regular expression: its matches cover
// every text, so there are no gaps.
type scanner struct{ singleDigits bool }

func (s scanner) split(text string, yield func(string)) {
	for len(text) > 0 {
		n := s.word(text)
		yield(text[:n])
		text = text[n:]
	}
}

// word returns the length of the first word of a text that is not empty; each branch is an
// alternative of the pattern, in its order.
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

// caseScanner splits by llama3Pattern or qwen2Pattern. Their matches cover every text too.
type caseScanner struct{ digits int }

func (s caseScanner) split(text string, yield func(string)) {
	for len(text) > 0 {
		n := s.word(text)
		yield(text[:n])
		text = text[n:]
	}
}

func (s caseScanner) word(text string) int {
	if n := anyContraction(text); n > 0 {
		return n
	}
	kind, n := classAt(text, 0)
	if kind == letter {
		return run(text, n, letter)
	}
	if kind == number {
		for count := 1; count < s.digits && n < len(text); count++ {
			next, size := classAt(text, n)
			if next != number {
				break
			}
			n += size
		}
		return n
	}
	follower, size := other, 0 // the end of the text is neither letter nor other: size 0 says so
	if n < len(text) {
		follower, size = classAt(text, n)
	}
	if follower == letter && size > 0 && text[0] != '\r' && text[0] != '\n' {
		return run(text, n, letter)
	}
	if kind == other {
		return lineEnds(text, run(text, n, other))
	}
	if text[0] == ' ' && follower == other && size > 0 {
		return lineEnds(text, run(text, n+size, other))
	}
	// White space: up to the last line end in it, else as spaceRun has it.
	end, line := 0, 0
	for end < len(text) {
		c, size := classAt(text, end)
		if c != space {
			break
		}
		if b := text[end]; b == '\r' || b == '\n' {
			line = end + 1
		}
		end += size
	}
	if line > 0 {
		return line
	}
	return spaceRun(text)
}

// run returns where the characters of a class end that go on at i.
func run(text string, i int, kind class) int {
	for i < len(text) {
		c, n := classAt(text, i)
		if c != kind {
			break
		}
		i += n
	}
	return i
}

func lineEnds(text string, i int) int {
	for i < len(text) && (text[i] == '\r' || text[i] == '\n') {
		i++
	}
	return i
}

// anyContraction is contraction in upper or lower case. The long s (ſ) is an s in another case.
func anyContraction(text string) int {
	if text[0] != '\'' || len(text) < 2 {
		return 0
	}
	switch text[1] | 0x20 {
	case 's', 't', 'm', 'd':
		return 2
	}
	if strings.HasPrefix(text[1:], "ſ") {
		return 1 + len("ſ")
	}
	if len(text) > 2 {
		switch [2]byte{text[1] | 0x20, text[2] | 0x20} {
		case [2]byte{'r', 'e'}, [2]byte{'v', 'e'}, [2]byte{'l', 'l'}:
			return 3
		}
	}
	return 0
}

// spaceRun returns how much of the leading white space is one word: all at the end of the text,
// else all but the last character, which goes to the word after it.
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

// asciiClass is classAt of single bytes below 0x80.
var asciiClass = func() (table [utf8.RuneSelf]class) {
	for b := range table {
		table[b] = classOf(rune(b))
	}
	return table
}()

func classOf(r rune) class {
	switch {
	case unicode.IsLetter(r):
		return letter
	case unicode.IsNumber(r):
		return number
	case unicode.IsSpace(r):
		return space
	}
	return other
}

// classAt returns the class and the length of the character at i; a byte that is no character is
// other.
func classAt(text string, i int) (class, int) {
	if b := text[i]; b < utf8.RuneSelf {
		return asciiClass[b], 1
	}
	r, n := utf8.DecodeRuneInString(text[i:])
	return classOf(r), n
}
