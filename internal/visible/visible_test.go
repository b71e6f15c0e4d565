package visible

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestEscapes(t *testing.T) {
	for _, c := range []struct{ name, in, line, text string }{
		{"plain", "naïve 日本 👩‍💻", "naïve 日本 👩‍💻", "naïve 日本 👩‍💻"},
		{"colour", "\x1b[31mred\x1b[0m", `\x1b[31mred\x1b[0m`, `\x1b[31mred\x1b[0m`},
		{"title of the window", "\x1b]0;gone\a", `\x1b]0;gone\x07`, `\x1b]0;gone\x07`},
		{"lines", "a\nb\tc\r\n", `a\nb\tc\r\n`, "a\nb\tc\\r\n"},
		{"C1 as a character", "\u009b2J", `\u009b2J`, `\u009b2J`},
		{"C1 as a byte", "\x9b2J", `\x9b2J`, `\x9b2J`},
		{"override of direction", "gpj.\u202egnp", `gpj.\u202egnp`, `gpj.\u202egnp`},
		{"isolate", "\u2066a\u2069", `\u2066a\u2069`, `\u2066a\u2069`},
		{"separators", "a\u2028b\u2029", `a\u2028b\u2029`, `a\u2028b\u2029`},
		{"delete and null", "a\x7f\x00", `a\u007f\x00`, `a\u007f\x00`},
		{"replacement character", "a\ufffd", "a\ufffd", "a\ufffd"},
	} {
		if got := Line(c.in); got != c.line {
			t.Errorf("%s: Line gives %q, expected %q", c.name, got, c.line)
		}
		if got := Text(c.in); got != c.text {
			t.Errorf("%s: Text gives %q, expected %q", c.name, got, c.text)
		}
	}
}

// TestJSONStaysJSON: what a JSON string may hold as it is remains valid and means the same.
func TestJSONStaysJSON(t *testing.T) {
	const in = "\"a\x7f\u0085\u009b\u202e\u2066\u2028\""
	var before, after string
	if err := errors.Join(json.Unmarshal([]byte(in), &before), json.Unmarshal([]byte(Text(in)), &after)); err != nil {
		t.Fatal(err)
	}
	if before != after {
		t.Errorf("it means %q, expected %q", after, before)
	}
}

// FuzzWriter: text cut anywhere comes out as in one piece, and nothing in it acts on a terminal.
func FuzzWriter(f *testing.F) {
	f.Add("a\x1b[2J日\u202e", 4)
	f.Add("\xe6\x97", 1)
	f.Add("\xf0\x9f\x91\x9b\x9b", 2)
	f.Fuzz(func(t *testing.T, s string, cut int) {
		if cut < 0 || cut > len(s) {
			return
		}
		var b strings.Builder
		w := NewWriter(&b)
		for _, part := range []string{s[:cut], s[cut:]} {
			if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
				t.Fatalf("wrote %d of %d bytes: %v", n, len(part), err)
			}
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if b.String() != Text(s) {
			t.Errorf("in two pieces %q, in one %q", b.String(), Text(s))
		}
		if !utf8.ValidString(b.String()) {
			t.Errorf("%q is no UTF-8", b.String())
		}
		for _, r := range b.String() {
			if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)) {
				t.Errorf("%q holds %U", b.String(), r)
			}
		}
	})
}
