package main

import (
	"slices"
	"strings"
	"testing"

	"slimlab/tui/text"
)

// TestWordsAreWrapped: lines end at spaces, or between wide characters, however the text is cut
// into pieces; what was written stays, and nothing but spaces at the ends of lines is lost.
func TestWordsAreWrapped(t *testing.T) {
	for _, c := range []struct {
		width    int
		in, want string
	}{
		{10, "the quick brown fox", "the quick\nbrown fox"},
		{10, "0123456789 a", "0123456789\na"},
		{10, "ab 0123456789abc d", "ab\n0123456789\nabc d"},
		{10, "a   b", "a   b"},
		{4, "abc     d", "abc\nd"},
		{10, "  two\n\n  more  \nx", "  two\n\n  more\nx"},
		{10, "a\tb", "a       b"},
		{6, "日本語の文", "日本語\nの文"},
		{5, "日本語", "日本\n語"},
		{6, "ab 日本語", "ab 日\n本語"},
		{6, "e\u0301e\u0301e\u0301 日\u0301本", "e\u0301e\u0301e\u0301 日\u0301\n本"},
		{8, "\x1b[31mred", `\x1b[31m` + "\nred"},
		{2, "日a b", "日\na\nb"},
		{2, "abc", "ab\nc"},
		{80, "", ""},
	} {
		for size := 1; size <= len(c.in)+1; size++ {
			var out strings.Builder
			l, before := &wordWrapper{w: &out, width: c.width}, ""
			for rest := []rune(c.in); len(rest) > 0; rest = rest[min(size, len(rest)):] {
				if err := l.write(string(rest[:min(size, len(rest))])); err != nil {
					t.Fatal(err)
				}
				if !strings.HasPrefix(out.String(), before) {
					t.Fatalf("%q became %q", before, out.String())
				}
				before = out.String()
			}
			if err := l.write("\n"); err != nil || out.String() != c.want+"\n" {
				t.Errorf("%q in %d cells, %d characters at a time: %q, %v, expected %q", c.in, c.width, size, out.String(), err, c.want+"\n")
			}
			for line := range strings.SplitSeq(out.String(), "\n") {
				if text.Width(line) > c.width {
					t.Errorf("the line %q is wider than %d cells", line, c.width)
				}
			}
		}
	}
}

// TestLinesBesideAnswers: what is said beside answers is broken at words, and anywhere but on a
// terminal left as it is.
func TestLinesBesideAnswers(t *testing.T) {
	const line = "the logits after the latest prompts are kept"
	for width, want := range map[int][]string{0: {line}, 80: {line}, 24: {"the logits after the", "latest prompts are kept"}} {
		if got := told(line, width); !slices.Equal(got, want) {
			t.Errorf("in %d cells %q, expected %q", width, got, want)
		}
	}
}
