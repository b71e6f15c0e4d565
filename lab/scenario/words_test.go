package scenario

import (
	"strings"
	"testing"
)

// Text that is no YAML is told by its line, what it holds and what to do.
func TestSyntaxErrorsSayWhatToDo(t *testing.T) {
	for text, want := range map[string]string{
		"a: 1\n\tb: 2\n":      "indent with spaces",
		"a:\n\t- 1\n":         "indent with spaces",
		"a: @x\n":             "quote a value",
		"a: `x`\n":            "quote a value",
		"a: b\n  c\n  d: e\n": "x.yaml:",
		"a: \"x\" y\nb: 1\n":  "x.yaml:",
	} {
		_, err := parse("x.yaml", []byte(text))
		if err == nil {
			t.Errorf("%q: no error", text)
			continue
		}
		got := err.Error()
		if !strings.Contains(got, want) || strings.Contains(got, "cannot start any") || strings.Contains(got, "not allowed in this") {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}
