package starter

import (
	"encoding/json"
	"strings"
	"unicode"
)

// Records are made of a text in pieces of this size: some 200 tokens. Those of a short text are
// smaller, so that there are enough of them to keep some from training.
const (
	mostOfRecord  = 800
	leastOfRecord = 60
	enoughRecords = 120
)

// Records makes records of a plain text, one JSON object a line: pieces that end between words, of
// which the first fourth is the prompt and the rest the response. So every record has a prompt of
// its own, by which records are split. n counts them.
func Records(text string) (jsonl []byte, n int) {
	text = strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))
	size := max(leastOfRecord, min(len(text)/enoughRecords, mostOfRecord))
	for text != "" {
		piece := text[:wordEnd(text, size)]
		text = strings.TrimLeftFunc(text[len(piece):], unicode.IsSpace)
		at := wordEnd(piece, len(piece)/4)
		prompt, response := piece[:at], strings.TrimSpace(piece[at:])
		if response == "" {
			continue // a last word
		}
		line, err := json.Marshal(map[string]string{"prompt": prompt, "response": response})
		if err != nil {
			panic("starter: " + err.Error()) // two strings
		}
		jsonl = append(append(jsonl, line...), '\n')
		n++
	}
	return jsonl, n
}

// wordEnd is the end of the first word of s that ends at n or behind it.
func wordEnd(s string, n int) int {
	if n >= len(s) {
		return len(s)
	}
	n = max(n, 1)
	if i := strings.IndexFunc(s[n:], unicode.IsSpace); i >= 0 {
		return n + i
	}
	return len(s)
}
