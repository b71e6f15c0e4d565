package scenario

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// libraryWords are words of messages of the library, for which there are others.
var libraryWords = regexp.MustCompile(`must be specified|end token|flow map|non-map|header option|end character|for this map|unexpected|could not find|already defined|unknown escape|not enough length|implicit line break|undefined|cannot |invalid|reserved|not allowed|already been specified|specified not|is not supported`)

// Text that is no YAML is told by its line, what it holds and what to do.
func TestSyntaxErrorsSayWhatToDo(t *testing.T) {
	for text, want := range map[string]string{
		"a: 1\n\tb: 2\n":       "indent with spaces",
		"a:\n\t- 1\n":          "indent with spaces",
		"a: @x\n":              "quote a value",
		"a: `x`\n":             "quote a value",
		"a: b\n  c\n  d: e\n":  "x.yaml:",
		"a: \"x\" y\nb: 1\n":   "x.yaml:",
		"a: [1, 2\nb: 3\n":     "expected a comma or ]",
		"a: { b: 1\nc: 3\n":    "expected a comma or }",
		"a: { b: 1, } }\n":     "x.yaml:",
		"a: \"x\n":             "expected a closing \"",
		"a: 'x\n":              "expected a closing '",
		"a: x]\n  b: [1]]\n":   "x.yaml:",
		"a: |x y\n":            "expected a text in quotes",
		"a: 1\nb\n":            "expected key: value",
		"a: {b: \n":            "expected a value behind the colon",
		"a: {b: c, d":          "x.yaml:1:",
		"%YAML 9\n---\na: 1\n": "x.yaml:1:",
		"%TAG\n---\na: 1\n":    "expected one",
		"% x\na: 1\n":          "x.yaml:1:",
		"a: \"\\q\"\n":         "for a backslash within double quotes",
		"a: \"\\u12\"\n":       "expected a closing",
		"a: \"\\U12\"\n":       "hexadecimal digits",
		"a: \"\\ud800x\"\n":    "hexadecimal digits",
		"a: 1\nb: 2\na: 3\n":   `x.yaml:3:1: key "a" is given twice, first in line 1: remove one`,
		"a: {b: 1, b: 2}\n":    `key "b" is given twice, first in line 1`,
		"a: !!int 1\n":         "without its tag",
		"a: !x\n":              "x.yaml:1:",
		"a: &b 1\nc: *b\n":     "use params and ${…}",
		"a: *b\n":              "x.yaml:1:",
		"<<: {a: 1}\n":         "x.yaml:1:",
		"a: [,1]\n":            "x.yaml:1:",
		"a: 1\n--- x\n":        "x.yaml:2:",
		"a: |9x\n b\n":         "expected a text in quotes",
		"? a\n: b\n? [c]\n":    "x.yaml:",
		"a: \"x\n\ty\"\n":      "x.yaml:",
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

// No text, however it is broken, is answered by words of the library, and the line that is named is
// one of the text.
func TestBrokenYAML(t *testing.T) {
	const text = `# a comment
name: "a\tb"
task: { kind: recsys, members: 6 }
seeds: [1, 2]
about: |
  several
  lines
pipeline:
  - train: { into: small, steps: 2, loss: 'jsd:0.3' }
  - quantize: { name: w8, scheme: w8a8 }
`
	check := func(broken string) {
		_, err := parse("x.yaml", []byte(broken))
		if err == nil {
			return
		}
		of := place{}
		if _, scan := fmt.Sscanf(err.Error(), "x.yaml:%d:", &of.line); scan != nil || of.line < 1 || of.line > 1+strings.Count(broken, "\n") {
			t.Errorf("%q: %v names no line of the text", broken, err)
		}
		message := regexp.MustCompile(`found "(\\.|[^"\\])*"`).ReplaceAllString(err.Error(), "found")
		if words := libraryWords.FindString(message); words != "" {
			t.Errorf("%q: %v has the library's words %q", broken, err, words)
		}
	}
	for i := range text {
		check(text[:i])
		for _, sign := range "\"'{}[],:%&*!|>@`?-#\t\n\\" {
			check(text[:i] + string(sign) + text[i+1:])
			check(text[:i] + string(sign) + text[i:])
		}
	}
}
