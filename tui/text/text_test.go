package text

import (
	"slices"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"pgregory.net/rapid"
)

// Whatever comes in, cleaned text fits exactly.
func TestFitIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, width := Clean(rapid.String().Draw(t, "s")), rapid.IntRange(0, 60).Draw(t, "width")
		for what, got := range map[string]string{"Fit": Fit(s, width), "Right": Right(s, width), "Sides": Sides(s, "end", width), "ASCII": ASCII(Fit(s, width))} {
			if w := Width(got); w != width {
				t.Fatalf("%s(%q, %d) = %q is %d wide", what, s, width, got, w)
			}
		}
		for _, line := range Wrap(s, width) {
			// wide characters in a few cells cannot be helped
			if w := Width(line); width >= 10 && w > width {
				t.Fatalf("Wrap(%q, %d) has the line %q of %d cells", s, width, line, w)
			}
		}
		if strings.ContainsFunc(ASCII(s), func(r rune) bool { return r >= 0x80 }) {
			t.Fatalf("ASCII(%q) = %q", s, ASCII(s))
		}
	})
}

// The quick way to a width is the exact way's result.
func TestWidthIsExact(t *testing.T) {
	var pieces []string
	for r := range asciiOf {
		pieces = append(pieces, string(r))
	}
	slices.Sort(pieces)
	for r := rune(0x2500); r <= 0x259f; r++ {
		pieces = append(pieces, string(r))
	}
	pieces = append(pieces, "⠀", "⣿", "\x1b[1m", "\x1b[38;5;39m", "\x1b[0m", "\x1b[2K", "\x1b]0;x\x07", "é", "e\u0301", "日", "\ufe0f", "plain", " ", "\x1b", "\x1b[")
	rapid.Check(t, func(t *rapid.T) {
		s := strings.Join(rapid.SliceOf(rapid.SampledFrom(pieces)).Draw(t, "s"), "")
		if got, want := Width(s), ansi.StringWidth(s); got != want {
			t.Fatalf("Width(%q) = %d, expected %d", s, got, want)
		}
	})
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "two\nlines\tand tab": "two lines and tab", "\x1b[31mred\x1b[0m": `\x1b[31mred\x1b[0m`,
		"μ × Δ": "μ × Δ", "a\u202eb": `a\u202eb`, "\x7f": `\u007f`, "\ue000": "\uFFFD", "日本": "日本",
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q) = %q, expected %q", in, got, want)
		}
	}
}

func TestCutKeepsStyles(t *testing.T) {
	p := Paint{"\x1b[1m", "\x1b[0m"}
	if got := Cut(p.On("abcdef"), 4); Width(got) != 4 || !strings.HasPrefix(got, "\x1b[1mabc…") || !strings.HasSuffix(got, "\x1b[0m") {
		t.Errorf("got %q", got)
	}
}
