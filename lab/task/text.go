package task

import (
	"fmt"
	"os"
	"strings"
	"unicode/utf8"
)

// Text is a file whose tokens a model predicts. Perplexities of it come in definitions that differ
// by factors and must not be mixed; see FixedWindows, LlamaCppWindows and RollingWindows.
type Text struct {
	Path    string
	Content string
	Bytes   int // of Content in UTF-8
	Words   int // pieces between runs of white space, as a split at \s+ counts them
}

// ReadText reads the first lines of a file of UTF-8, all for lines ≤ 0.
func ReadText(path string, lines int) (*Text, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("text: %w", err)
	}
	content := string(data)
	if lines > 0 {
		content = firstLines(content, lines)
	}
	if !utf8.ValidString(content) {
		return nil, fmt.Errorf("text: %s:%d: not valid UTF-8", path, invalidLine(content))
	}
	if strings.TrimFunc(content, isSpace) == "" {
		return nil, fmt.Errorf("text: %s: found no text to predict", path)
	}
	return &Text{Path: path, Content: content, Bytes: len(content), Words: words(content)}, nil
}

// firstLines returns n lines of a text, the last one's end included.
func firstLines(text string, n int) string {
	end := 0
	for range n {
		at := strings.IndexByte(text[end:], '\n')
		if at < 0 {
			return text
		}
		end += at + 1
	}
	return text[:end]
}

// invalidLine is the number of the first line that is not UTF-8.
func invalidLine(text string) int {
	line := 1
	for i, r := range text {
		if r == '\n' {
			line++
		}
		if r == utf8.RuneError {
			if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
				return line
			}
		}
	}
	return line
}

// Encode returns the text's tokens, those of Beginning before them.
func (t *Text) Encode(enc Encoder, begin Beginning) []int32 { return begin.encode(enc, t.Content) }

// FixedWindows cuts the tokens of a text, encoded once, as GPTQ's authors and those after them did:
// windows of so many tokens, each of which begins stride tokens after the one before. A window's
// first token is only read; where windows overlap, those that an earlier window predicted are only
// read too. What does not fill a window is left out, unless it is the only one.
func FixedWindows(tokens []int32, window, stride int) ([]Span, error) {
	if window < 2 || stride < 1 || stride > window {
		return nil, fmt.Errorf("text: windows of %d tokens every %d, expected at least 2 and a stride from 1 to the window", window, stride)
	}
	if len(tokens) < 2 {
		return nil, fmt.Errorf("text: found %d tokens, expected at least 2", len(tokens))
	}
	window = min(window, len(tokens))
	spans := []Span{{tokens[:window], 1}}
	for at := stride; at+window <= len(tokens); at += stride {
		spans = append(spans, Span{tokens[at : at+window], max(1, window-stride)})
	}
	return spans, nil
}

// LlamaCppWindows cuts the tokens of a text, encoded once, as llama.cpp's llama-perplexity does:
// windows of so many tokens without overlap, of which each has its first token replaced by the BOS
// (unless that is −1), and the second half is predicted. What does not fill a window is left out.
func LlamaCppWindows(tokens []int32, window int, bos int32) ([]Span, error) {
	if window < 4 {
		return nil, fmt.Errorf("text: windows of %d tokens, expected at least 4", window)
	}
	if len(tokens) < window {
		return nil, fmt.Errorf("text: found %d tokens, expected at least one window of %d", len(tokens), window)
	}
	var spans []Span
	for ; len(tokens) >= window; tokens = tokens[window:] {
		own := append([]int32{}, tokens[:window]...)
		if bos >= 0 {
			own[0] = bos
		}
		spans = append(spans, Span{own, window/2 + 1})
	}
	return spans, nil
}

// RollingWindows cuts the tokens of a text, encoded without special tokens, as
// lm-evaluation-harness does for its rolling log-likelihood: every token is predicted once, the
// first after prefix. A window predicts so many tokens and reads as many, the first of which is the
// last of the window before; the last window reads as many too and predicts what is left. The sum
// over all spans is the text's log-likelihood, whose quotients by words and bytes do not depend on
// the tokenizer's choice of tokens.
func RollingWindows(tokens []int32, window int, prefix int32) ([]Span, error) {
	if window < 1 {
		return nil, fmt.Errorf("text: windows of %d tokens, expected at least 1", window)
	}
	if len(tokens) == 0 {
		return nil, fmt.Errorf("text: found no tokens")
	}
	if prefix < 0 {
		return nil, fmt.Errorf("text: the first token is predicted after a BOS or an EOS, and the tokenizer has neither")
	}
	first := min(window, len(tokens))
	spans := []Span{{append([]int32{prefix}, tokens[:first]...), 1}}
	for at := first; at < len(tokens); at += window {
		if end := at + window; end <= len(tokens) {
			spans = append(spans, Span{tokens[at-1 : end], 1})
			continue
		}
		from := len(tokens) - window - 1
		spans = append(spans, Span{tokens[from:], at - from})
	}
	return spans, nil
}
