package server

import (
	"strings"

	"slimlab/model/tokenizer"
)

// transcript turns the tokens of one answer into its text, as they come.
//
// A text ends where the first of the stop strings is complete; of several that are complete at the
// same character, at the longest. What may be the beginning of a stop string is held back until the
// text goes on otherwise: the longest end of the text that a stop string begins with, and no more.
// So nobody sees a part of a stop string, and the text does not depend on how it is cut into
// tokens.
type transcript struct {
	decoder *tokenizer.Decoder
	stops   []string
	include bool   // the stop string is a part of the text
	held    string // text that may be the beginning of a stop string
	stopped bool   // a stop string came; nothing follows

	characters int // of the text so far, with what is held back
}

// push takes the next token and returns the text that is certain now, often "".
func (t *transcript) push(token int32) string { return t.add(t.decoder.Push(token)) }

// flush ends the text and returns what was held back.
func (t *transcript) flush() string {
	text := t.add(t.decoder.Flush()) + t.held
	t.held = ""
	return text
}

func (t *transcript) add(text string) string {
	t.characters += characters(text)
	if t.stopped || text == "" {
		return ""
	}
	text = t.held + text
	if start, end := firstStop(text, t.stops); end > 0 {
		t.held, t.stopped = "", true
		if t.include {
			return text[:end]
		}
		return text[:start]
	}
	n := heldBack(text, t.stops)
	t.held = text[len(text)-n:]
	return text[:len(text)-n]
}

// firstStop finds the stop string that ends first, the longest of equals; end is 0 for none.
func firstStop(text string, stops []string) (start, end int) {
	for _, s := range stops {
		at := strings.Index(text, s)
		if at < 0 {
			continue
		}
		if e := at + len(s); end == 0 || e < end || e == end && at < start {
			start, end = at, e
		}
	}
	return start, end
}

// heldBack is the length of the longest end of a text that is the beginning of a stop string, and
// not the whole of it.
func heldBack(text string, stops []string) (longest int) {
	for _, s := range stops {
		for n := min(len(s)-1, len(text)); n > longest; n-- {
			if strings.HasPrefix(s, text[len(text)-n:]) {
				longest = n
			}
		}
	}
	return longest
}
