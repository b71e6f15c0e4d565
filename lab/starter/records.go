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

// LeastRecords is how many records with different prompts a scenario needs: one each to train with,
// to validate with and to calibrate with.
const LeastRecords = 3

// Records makes records of a plain text, one JSON object a line: pieces that end between words, of
// which the first fourth is the prompt and the rest the response. So every record has a prompt of
// its own, by which records are split. n counts them, prompts the different ones. Pieces are
// smaller than usual where a text is so short that fewer than LeastRecords would differ; it may
// have too few words for them.
func Records(text string) (jsonl []byte, n, prompts int) {
	text = strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))
	size := max(leastOfRecord, min(len(text)/enoughRecords, mostOfRecord))
	jsonl, n, prompts = records(text, size)
	for prompts < LeastRecords && size > 1 {
		size /= 2
		if less, m, more := records(text, size); more > prompts {
			jsonl, n, prompts = less, m, more
		}
	}
	return jsonl, n, prompts
}

// records makes records of pieces of a size; prompts counts the different ones.
func records(text string, size int) (jsonl []byte, n, prompts int) {
	seen := map[string]bool{}
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
		seen[prompt] = true
		n++
	}
	return jsonl, n, len(seen)
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
