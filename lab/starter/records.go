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

// LeastRecords is how many different records a scenario needs: one each to train with,
// to validate with and to calibrate with.
const LeastRecords = 3

// Records makes records of a plain text, one JSON object a line: pieces that end with a paragraph
// or a sentence where one ends in good time, else between words, of which every token counts. n
// counts them, different those that say something else than the others. Pieces are smaller than
// usual where a text is so short that fewer than LeastRecords would differ; it may have too few
// words for them.
func Records(text string) (jsonl []byte, n, different int) {
	text = strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n"))
	size := max(leastOfRecord, min(len(text)/enoughRecords, mostOfRecord))
	jsonl, n, different = records(text, size)
	for different < LeastRecords && size > 1 {
		size /= 2
		if less, m, more := records(text, size); more > different {
			jsonl, n, different = less, m, more
		}
	}
	return jsonl, n, different
}

// records makes records of pieces of a size; different counts those that differ.
func records(text string, size int) (jsonl []byte, n, different int) {
	seen := map[string]bool{}
	for text != "" {
		piece := strings.TrimRightFunc(text[:pieceEnd(text, size)], unicode.IsSpace)
		text = strings.TrimLeftFunc(text[len(piece):], unicode.IsSpace)
		if wordEnd(piece, 1) == len(piece) {
			continue // a single word
		}
		line, err := json.Marshal(map[string]string{"text": piece})
		if err != nil {
			panic("starter: " + err.Error()) // a string
		}
		jsonl = append(append(jsonl, line...), '\n')
		seen[piece] = true
		n++
	}
	return jsonl, n, len(seen)
}

// pieceEnd is the end of a piece of s of size bytes or more, at most half as long again: that of a
// paragraph, else of a sentence, else of a word, the first of its kind. So models are seldom asked
// to end where a text goes on.
func pieceEnd(s string, size int) int {
	end := wordEnd(s, size)
	for from := end; from < len(s) && from < size+size/2; from = wordEnd(s, from+1) {
		if strings.HasPrefix(strings.TrimLeft(s[from:], " \t"), "\n\n") {
			return from
		}
	}
	for from := end; from < len(s) && from < size+size/2; from = wordEnd(s, from+1) {
		if strings.ContainsAny(s[from-1:from], ".!?\"") {
			return from
		}
	}
	return end
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
