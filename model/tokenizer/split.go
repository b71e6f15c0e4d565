package tokenizer

import (
	"strings"
	"unicode"
)

// gpt2Pattern is how GPT-2 splits a text into words: what the ByteLevel pre-tokenizer means by
// use_regex.
const gpt2Pattern = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

// digitPattern is the same with every digit a word of its own, so that numbers are written from
// digits and no vocabulary is spent on them. Train uses it.
const digitPattern = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`

// llama3Pattern and qwen2Pattern are how Llama 3 and Qwen 2, 2.5 and 3 split a text into words:
// they differ in how many digits a word may have.
const (
	llama3Pattern = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	qwen2Pattern  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// splitter splits a text into pieces, in order.
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

// newSplitter returns the hand-written scanner for the patterns that have one, else the regular
// expression.
func newSplitter(re *matching, text string, rule splitRule, invert bool) splitter {
	// The known patterns match all of every text, so that there are no gaps to keep or remove.
	if rule == isolated && !invert || rule == removed && invert {
		if s, ok := scannerOf(text); ok {
			return s
		}
	}
	if rule == isolated {
		if texts := literals(text); texts != nil {
			return newSymbols(texts)
		}
	}
	return &expressionSplitter{re, rule, invert}
}

// scannerOf returns the scanner that splits as a known pattern does.
func scannerOf(pattern string) (splitter, bool) {
	switch pattern {
	case gpt2Pattern:
		return scanner{}, true
	case digitPattern:
		return scanner{singleDigits: true}, true
	case llama3Pattern:
		return caseScanner{digits: 3}, true
	case qwen2Pattern:
		return caseScanner{digits: 1}, true
	}
	return nil, false
}

// splitRule says what becomes of the matches of an expression and of the gaps between them.
type splitRule byte

const (
	isolated     splitRule = iota // each is a piece
	removed                       // matches are dropped
	withPrevious                  // a match ends the gap before it
	withNext                      // a match begins the gap after it
	contiguous                    // matches that follow each other are one piece
)

// expressionSplitter splits by a regular expression; invert takes gaps for matches and matches for
// gaps.
type expressionSplitter struct {
	re     *matching
	rule   splitRule
	invert bool
}

func (s *expressionSplitter) split(text string, yield func(string)) {
	if s.rule == isolated || s.rule == removed {
		matches(s.re, text, func(piece string, match bool) {
			if piece != "" && (s.rule == isolated || match == s.invert) {
				yield(piece)
			}
		})
		return
	}
	// The others join neighbours: ends are where pieces end, kinds whether the last part of each is
	// a match.
	var ends []int
	var kinds []bool
	at := 0
	matches(s.re, text, func(piece string, match bool) {
		at += len(piece)
		ends, kinds = append(ends, at), append(kinds, match != s.invert)
	})
	at = 0
	for i, end := range ends {
		if i+1 < len(ends) {
			joined := false
			switch s.rule {
			case withPrevious:
				joined = kinds[i+1] && !kinds[i]
			case withNext:
				joined = kinds[i] && !kinds[i+1]
			case contiguous:
				joined = kinds[i] == kinds[i+1]
			}
			if joined {
				continue
			}
		}
		if at < end {
			yield(text[at:end])
		}
		at = end
	}
}

// digits splits numbers off a text: each digit alone, or each run of them.
type digits struct{ individual bool }

func (d digits) split(text string, yield func(string)) {
	start, before := 0, false
	for i, r := range text {
		isDigit := unicode.IsNumber(r)
		if i > start && (isDigit != before || isDigit && d.individual) {
			yield(text[start:i])
			start = i
		}
		before = isDigit
	}
	if start < len(text) {
		yield(text[start:])
	}
}

// beforeMark splits before every mark.
type beforeMark string

func (m beforeMark) split(text string, yield func(string)) {
	for len(text) > 0 {
		end := strings.Index(text[1:], string(m)) + 1
		if end == 0 {
			end = len(text)
		}
		yield(text[:end])
		text = text[end:]
	}
}
