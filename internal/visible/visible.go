// Package visible shows the characters that a terminal would act on instead of showing them.
//
// Control characters (C0, DEL, C1), the controls of writing direction, the separators of lines and
// paragraphs, and bytes that are no UTF-8 become escapes as a programmer writes them: \x1b, \u202e.
// The package promises that its output holds none of these, that other text stays as it is, and
// that an escape within a JSON string is valid JSON where the character was valid there. It leaves
// out backslashes, so that its output cannot be turned back.
package visible

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Line returns s on one line: line ends and tabs are escapes too.
func Line(s string) string { return escape(s, "") }

// Text returns s with its line ends and tabs as they are.
func Text(s string) string { return escape(s, "\n\t") }

func escape(s, kept string) string {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if acts(r, n) && !strings.ContainsRune(kept, r) {
			return s[:i] + escapeFrom(s[i:], kept)
		}
		i += n
	}
	return s
}

func escapeFrom(s, kept string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case !acts(r, n) || strings.ContainsRune(kept, r):
			b.WriteString(s[i : i+n])
		case r == utf8.RuneError:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		default:
			b.WriteString(name(r))
		}
		i += n
	}
	return b.String()
}

// name is the escape of a character.
func name(r rune) string {
	switch r {
	case '\n':
		return `\n`
	case '\r':
		return `\r`
	case '\t':
		return `\t`
	}
	if r < 0x20 {
		return fmt.Sprintf(`\x%02x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// acts reports whether a terminal, or a reader's eye, takes a character of n bytes for more than
// what it shows. The controls of direction are those of Unicode's Bidi_Control.
func acts(r rune, n int) bool {
	switch {
	case r == utf8.RuneError:
		return n <= 1
	case r < 0x20 || r >= 0x7f && r <= 0x9f:
		return true
	case r == 0x61c || r == 0x200e || r == 0x200f:
		return true
	}
	return r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// Writer passes text on as Text makes it. A character may be split between two writes.
type Writer struct {
	w    io.Writer
	rest []byte // the beginning of a character
}

// NewWriter returns a Writer to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write reports all bytes as written, or none.
func (w *Writer) Write(b []byte) (int, error) {
	all := append(w.rest, b...)
	end := len(all) - begun(all)
	if _, err := io.WriteString(w.w, Text(string(all[:end]))); err != nil {
		return 0, err
	}
	w.rest = append([]byte(nil), all[end:]...)
	return len(b), nil
}

// Flush writes the beginning of a character after which nothing came.
func (w *Writer) Flush() error {
	if len(w.rest) == 0 {
		return nil
	}
	_, err := io.WriteString(w.w, Text(string(w.rest)))
	w.rest = nil
	return err
}

// begun is the length of a character's beginning that b ends with.
func begun(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if tail := b[len(b)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}
