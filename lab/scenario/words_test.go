package scenario

import (
	"regexp"
	"strings"
	"testing"
)

// libraryWords are words of messages of the library, for which there are others.
var libraryWords = regexp.MustCompile(`must be specified|end token|flow map|non-map|header option|end character|for this map|unexpected key name`)

// Text that is no YAML is told by its line, what it holds and what to do.
func TestSyntaxErrorsSayWhatToDo(t *testing.T) {
	for text, want := range map[string]string{
		"a: 1\n\tb: 2\n":      "indent with spaces",
		"a:\n\t- 1\n":         "indent with spaces",
		"a: @x\n":             "quote a value",
		"a: `x`\n":            "quote a value",
		"a: b\n  c\n  d: e\n": "x.yaml:",
		"a: \"x\" y\nb: 1\n":  "x.yaml:",
		"a: [1, 2\nb: 3\n":    "expected a comma or ]",
		"a: { b: 1\nc: 3\n":   "expected a comma or }",
		"a: { b: 1, } }\n":    "x.yaml:",
		"a: \"x\n":            "expected a closing \"",
		"a: 'x\n":             "expected a closing '",
		"a: x]\n  b: [1]]\n":  "x.yaml:",
		"a: |x y\n":           "expected a text in quotes",
		"a: 1\nb\n":           "expected key: value",
	} {
		_, err := parse("x.yaml", []byte(text))
		if err == nil {
			t.Errorf("%q: no error", text)
			continue
		}
		got := err.Error()
		if !strings.Contains(got, want) || strings.Contains(got, "cannot start any") || strings.Contains(got, "not allowed in this") || libraryWords.MatchString(got) {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}
