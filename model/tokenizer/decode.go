package tokenizer

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// spelling is the text of tokens. A token always has the same text, except at the beginning of the
// whole text: leading copies of a string are removed (SentencePiece adds a space before every
// text), or a mark is removed from the first token.
type spelling struct {
	text       []string // by id: the bytes of the token
	strip      string   // removed from the beginning of a text,
	stripCount int      // up to this many times
	// removed from the first token's spelling, before steps; "" is none
	dropFirst string
	steps     []step
}

// Decode returns the text of ids, special tokens spelled out. Ids without a token are
// skipped: an embedding may have more rows than the tokenizer has tokens.
func (t *Tokenizer) Decode(ids []int32) string {
	var b strings.Builder
	first := true
	for _, id := range ids {
		switch {
		case !t.has(id):
		case first:
			b.WriteString(t.firstText(id))
			first = false
		default:
			b.WriteString(t.text[id])
		}
	}
	text := b.String()
	for n := 0; n < t.stripCount && strings.HasPrefix(text, t.strip); n++ {
		text = text[len(t.strip):]
	}
	return text
}

// DecodeText returns the text of ids without special tokens.
func (t *Tokenizer) DecodeText(ids []int32) string {
	words := make([]int32, 0, len(ids))
	for _, id := range ids {
		if t.has(id) && !t.special[id] {
			words = append(words, id)
		}
	}
	return t.Decode(words)
}

// has reports whether an id has a token.
func (t *Tokenizer) has(id int32) bool {
	return id >= 0 && int(id) < len(t.tokens) && t.tokens[id] != ""
}

// firstText returns the text of an id at the beginning of a text.
func (t *Tokenizer) firstText(id int32) string {
	if t.dropFirst != "" {
		return t.decodeToken(strings.ReplaceAll(t.tokens[id], t.dropFirst, ""))
	}
	return t.text[id]
}

// Text returns the bytes of an id within a text, or "" where no token has the id.
func (t *Tokenizer) Text(id int32) string {
	if !t.has(id) {
		return ""
	}
	return t.text[id]
}

func (s *spelling) decodeToken(token string) string {
	for _, step := range s.steps {
		token = step.decode(token)
	}
	return token
}

// Decoder turns ids into text one at a time, as they are sampled. What it emits is valid UTF-8
// always: a character that several tokens make up is held back until it is whole, and bytes that
// can be no character become U+FFFD, one for each sequence that was begun and not finished. So the
// texts of a valid sequence, joined, are Decode's, or DecodeText's.
type Decoder struct {
	t           *Tokenizer
	skipSpecial bool
	first       bool
	leads       int    // copies of the leading string that may still come
	pending     []byte // not yet emitted
}

// NewDecoder returns a decoder at the beginning of a text that spells special tokens out, as Decode
// does.
func (t *Tokenizer) NewDecoder() *Decoder {
	return &Decoder{t: t, first: true, leads: t.stripCount}
}

// NewTextDecoder returns a decoder at the beginning of a text that leaves special tokens out, as
// DecodeText does.
func (t *Tokenizer) NewTextDecoder() *Decoder {
	d := t.NewDecoder()
	d.skipSpecial = true
	return d
}

// Push takes the next id and returns the text that it completes, often "".
func (d *Decoder) Push(id int32) string {
	if !d.t.has(id) || d.skipSpecial && d.t.special[id] {
		return ""
	}
	piece := d.t.text[id]
	if d.first {
		piece, d.first = d.t.firstText(id), false
	}
	if len(d.pending) == 0 && d.leads == 0 && utf8.ValidString(piece) {
		return piece // the usual case
	}
	d.pending = append(d.pending, piece...)
	for d.leads > 0 {
		if cut, ok := strings.CutPrefix(string(d.pending), d.t.strip); ok {
			d.pending = append(d.pending[:0], cut...)
			d.leads--
			continue
		}
		if strings.HasPrefix(d.t.strip, string(d.pending)) {
			return "" // it may still become one
		}
		d.leads = 0
	}
	return d.emit(false)
}

// Flush returns what was held back and begins a new text.
func (d *Decoder) Flush() string {
	text := d.emit(true)
	d.first, d.leads = true, d.t.stripCount
	return text
}

func (d *Decoder) emit(end bool) string {
	out := make([]byte, 0, len(d.pending))
	rest := d.pending
	for len(rest) > 0 {
		if r, n := utf8.DecodeRune(rest); r != utf8.RuneError || n > 1 {
			out = append(out, rest[:n]...)
			rest = rest[n:]
			continue
		}
		n, open := begun(rest)
		if open && !end {
			break
		}
		out = append(out, "\uFFFD"...)
		rest = rest[n:]
	}
	d.pending = append(d.pending[:0], rest...)
	return string(out)
}

// begun measures bytes that are no whole character: how many of them begin one (at least 1), and
// whether more bytes could make it whole (The Unicode Standard, table 3-7).
func begun(b []byte) (n int, open bool) {
	low, high, size := byte(0x80), byte(0xBF), 0
	switch c := b[0]; {
	case c >= 0xC2 && c <= 0xDF:
		size = 2
	case c >= 0xE0 && c <= 0xEF:
		size = 3
		switch c {
		case 0xE0:
			low = 0xA0
		case 0xED:
			high = 0x9F
		}
	case c >= 0xF0 && c <= 0xF4:
		size = 4
		switch c {
		case 0xF0:
			low = 0x90
		case 0xF4:
			high = 0x8F
		}
	default:
		return 1, false
	}
	for n = 1; n < size; n++ {
		if n == len(b) {
			return n, true
		}
		if b[n] < low || b[n] > high {
			return n, false
		}
		low, high = 0x80, 0xBF
	}
	return n, false
}

// step rewrites the text of one token.
type step interface {
	decode(piece string) string
}

// byteFallback turns tokens such as <0x0A> into their bytes.
type byteFallback struct{}

func (byteFallback) decode(piece string) string {
	if b, ok := fallbackByte(piece); ok {
		return string([]byte{b})
	}
	return piece
}

func fallbackByte(token string) (byte, bool) {
	if len(token) != 6 || !strings.HasPrefix(token, "<0x") || token[5] != '>' {
		return 0, false
	}
	b, err := strconv.ParseUint(token[3:5], 16, 8)
	return byte(b), err == nil
}

// strip takes up to start copies of content from the beginning of a piece, and up to stop from its
// end.
type strip struct {
	content     string
	start, stop int
}

func (s strip) decode(piece string) string {
	for n := 0; n < s.start && strings.HasPrefix(piece, s.content); n++ {
		piece = piece[len(s.content):]
	}
	for n := 0; n < s.stop && strings.HasSuffix(piece, s.content); n++ {
		piece = piece[:len(piece)-len(s.content)]
	}
	return piece
}

// decoding is what the decoder component says.
type decoding struct {
	byteLevel bool
	spelling  // without text
}

func parseDecoder(raw json.RawMessage) (d decoding, err error) {
	const known = "ByteLevel, or a Sequence of Replace, ByteFallback, Metaspace, Fuse and Strip"
	if isNull(raw) {
		return d, fmt.Errorf("decoder: null is not supported, expected %s", known)
	}
	fused, any, growth := false, false, 1
	err = each(raw, "decoder", func(path string, c component) error {
		if d.byteLevel || any && c.Type == "ByteLevel" {
			return fmt.Errorf("%s: ByteLevel beside other decoders is not supported, expected it alone", path)
		}
		if d.stripCount > 0 {
			return fmt.Errorf("%s: %s after the Strip that follows Fuse is not supported", path, c.Type)
		}
		any = true
		if fused && c.Type != "Strip" {
			return fmt.Errorf("%s: %s after Fuse is not supported, expected Strip or nothing", path, c.Type)
		}
		switch c.Type {
		case "ByteLevel":
			d.byteLevel = true
		case "Replace":
			if c.Pattern.String == nil || *c.Pattern.String == "" {
				return fmt.Errorf("%s: Replace needs a pattern that is a String, not empty", path)
			}
			if growth *= max(1, len(c.Content)); growth > longestGrowth {
				return fmt.Errorf("%s: a character may become %d bytes, expected at most %d", path, growth, longestGrowth)
			}
			d.steps = append(d.steps, replace{*c.Pattern.String, c.Content})
		case "ByteFallback":
			d.steps = append(d.steps, byteFallback{})
		case "Metaspace":
			mark, scheme, err := c.metaspace(path)
			if err != nil {
				return err
			}
			if scheme != "never" {
				if len(d.steps) > 0 {
					return fmt.Errorf("%s: Metaspace after %d other decoders is not supported, expected it to be the first", path, len(d.steps))
				}
				d.dropFirst = mark
			}
			d.steps = append(d.steps, replace{mark, " "})
		case "Fuse":
			fused = true
		case "Strip":
			if c.Content == "" || c.Start < 0 || c.Stop < 0 {
				return fmt.Errorf("%s: Strip needs content, and counts that are not negative", path)
			}
			if !fused {
				d.steps = append(d.steps, strip{c.Content, c.Start, c.Stop})
				return nil
			}
			if c.Stop > 0 {
				return fmt.Errorf("%s: Strip after Fuse with stop %d is not supported, expected 0: a text would have to end before its last word is known", path, c.Stop)
			}
			d.strip, d.stripCount = c.Content, c.Start
		default:
			return unsupported(path, c.Type, known)
		}
		return nil
	})
	return d, err
}

// indexText decodes every token of the vocabulary once.
func (t *Tokenizer) indexText(d decoding) {
	t.spelling = d.spelling
	t.text = make([]string, len(t.tokens))
	for id, token := range t.tokens {
		text := token
		if d.byteLevel {
			if raw, ok := bytesOf(token); ok {
				text = raw
			}
		}
		t.text[id] = t.decodeToken(text)
	}
	if d.byteLevel { // added tokens are plain text
		for _, a := range t.file.AddedTokens {
			t.text[a.ID] = a.Content
		}
	}
}
