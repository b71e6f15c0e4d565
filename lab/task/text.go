package task

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"slimlab/internal/plural"
	"slimlab/lab/datafile"
)

// Text is a file whose tokens a model predicts. Perplexities of it come in definitions that differ
// by factors and must not be mixed; see FixedWindows, LlamaCppWindows and RollingWindows.
type Text struct {
	Path    string
	Content string
	Bytes   int      // of Content in UTF-8
	Words   int      // pieces between runs of white space, as a split at \s+ counts them
	Notes   []string // what was decoded, and taken of records
}

// ReadText reads the text of a file as ReadPlain does, of lists the one that is held out from
// training.
func ReadText(ctx context.Context, path string, limit int) (*Text, error) {
	plain, err := readPlain(ctx, path, limit, nil, (*datafile.File).HeldOut)
	switch {
	case errors.Is(err, ErrNoChat):
		return nil, fmt.Errorf("%s: the file holds conversations, expected text, or records with a text or with a prompt and its response", datafile.Name(path))
	case err != nil:
		return nil, err
	}
	return &Text{Path: path, Content: plain.Text, Bytes: len(plain.Text), Words: words(plain.Text), Notes: plain.Notes}, nil
}

// Plain is the text of a file.
type Plain struct {
	Text  string
	Sum   string // the hexadecimal SHA-256 of the file
	Notes []string
}

// ReadPlain reads the first limit lines of a file of text, all for limit ≤ 0. Of a file of records,
// of which limit counts too, it joins the texts with a blank line between them; chat writes
// conversations and may be nil.
func ReadPlain(ctx context.Context, path string, limit int, chat Chat) (*Plain, error) {
	return readPlain(ctx, path, limit, chat, func(*datafile.File) {})
}

func readPlain(ctx context.Context, path string, limit int, chat Chat, prepare func(*datafile.File)) (*Plain, error) {
	file, err := datafile.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	prepare(file)
	plain := &Plain{}
	if file.Form() == datafile.Text {
		plain.Text, err = file.Text(limit)
	} else {
		err = plain.readRecords(ctx, file, limit, chat)
	}
	if err != nil {
		return nil, err
	}
	if strings.TrimFunc(plain.Text, isSpace) == "" {
		return nil, fmt.Errorf("%s: found no text, only white space", file.Name())
	}
	plain.Notes = append(file.Notes(), plain.Notes...)
	plain.Sum, err = file.Sum()
	return plain, err
}

func (p *Plain) readRecords(ctx context.Context, file *datafile.File, limit int, chat Chat) error {
	cfg := DefaultJSONL(file.Name())
	cfg.Limit, cfg.Knobs = max(limit, 0), Knobs{}
	reader := recordReader{cfg: cfg}
	all, err := reader.readRecords(file)
	if err != nil {
		return fmt.Errorf("%w; expected text, or records with a text or with a prompt and its response", err)
	}
	d := &Records{cfg: cfg, name: file.Name()}
	var b strings.Builder
	for i, r := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		c, err := d.segments(r, chat)
		if err != nil {
			return err
		}
		if i > 0 {
			b.WriteString("\n\n")
		}
		b.WriteString(c.text())
	}
	p.Text = b.String()
	p.Notes = append([]string{fmt.Sprintf("%s: a file of %s (%s): their texts are joined, with a blank line between them", d.name, plural.Of(len(all), "record"), reader.use)}, reader.notes(d.name, len(all))...)
	return nil
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
		return nil, fmt.Errorf("text: found %s, expected at least 2", plural.Of(len(tokens), "token"))
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
		return nil, fmt.Errorf("text: found %s, expected at least one window of %d", plural.Of(len(tokens), "token"), window)
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
