package scenario

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
)

// syntaxError is why a text is no YAML: the place that the library names, what stands there, what
// was expected and what to do. The library's own words are left out.
func syntaxError(file string, text []byte, err error) error {
	at := place{file: file, line: 1, column: 1}
	message := err.Error()
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) {
		message = syntax.Message
		if syntax.Token != nil && syntax.Token.Position != nil {
			at.line, at.column = syntax.Token.Position.Line, syntax.Token.Position.Column
		}
	}
	message, _, _ = strings.Cut(message, "\n")
	lines := strings.Split(string(text), "\n")
	at.line = min(max(at.line, 1), len(lines))
	line := strings.TrimRight(lines[at.line-1], "\r")
	message = plainSyntax(message, line)
	if strings.Contains(line, "${") {
		message += `; inside { } and [ ] write "${…}" in quotes`
	}
	return fmt.Errorf("%s: %s", at, message)
}

// plainSyntax says what a line holds, what was expected and what to do.
func plainSyntax(message, line string) string {
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	found := []rune(strings.TrimSpace(line))
	found = found[:min(len(found), 60)]
	if strings.Contains(indent, "\t") {
		return fmt.Sprintf("found a tab before %q, expected spaces: indent with spaces", string(found))
	}
	return fmt.Sprintf("found %q, expected %s", string(found), meaning(message))
}

// quotedPart is a part of a message in single or double quotes.
var quotedPart = regexp.MustCompile("'[^']+'|\"[^\"]+\"|`[^`]+`")

// meaning is what to expect where the library reports a message.
func meaning(message string) string {
	if strings.Contains(message, "reserved character") {
		return "a value: " + quotedPart.FindString(message) + " begins none, quote a value that begins with it"
	}
	for _, m := range []struct{ part, expected string }{
		{"',' or ']' must be specified", "a comma or ] behind each value of a list"},
		{"expected sequence element", "a value between two commas of a list"},
		{"sequence end token", "a ] at the end of the list"},
		{"',' or '}' must be specified", "a comma or } behind each key: value"},
		{"could not find flow map content", "key: value, separated by commas, within { }"},
		{"invalid key for this map", "key: value, separated by commas, within { }"},
		{"could not find map value", "a value behind the colon, and a } at the end of the keys"},
		{"implicit line break", "a comma or } behind each key: value"},
		{"character corresponding to", "brackets that begin and end in pairs, or a text in quotes"},
		{"flow mapping end token", "a } at the end of the keys"},
		{"non-map value is specified", "key: value, as in the lines around it"},
		{"end character of double-quoted text", "a closing \" behind the text that begins with one"},
		{"end character of single-quoted text", "a closing ' behind the text that begins with one"},
		{"UTF-16", `\u and four hexadecimal digits for a character within double quotes, two such for one above \uffff`},
		{"surrogate", `\u and four hexadecimal digits for a character within double quotes, two such for one above \uffff`},
		{"UTF-32", `\U and eight hexadecimal digits for a character within double quotes`},
		{"escape", `\\ for a backslash within double quotes (\" \n \t \u00e9 … are others), or the text in single quotes`},
		{"tab character", "spaces: indent with spaces"},
		{"header option", "a text in quotes, if it begins with | or >, which else begin a text of several lines"},
		{"multi-line", "a text of several lines behind | or >, indented more than its key"},
		{"indent", "a text of several lines behind | or >, indented more than its key"},
		{"anchor", "a value without & and *: use params and ${…} for what stands in several places"},
		{"alias", "a value without & and *: use params and ${…} for what stands in several places"},
		{"merge key", "keys of their own in place of <<"},
		{" tag", "a value without its YAML tag: quote a text that begins with !"},
		{"scalar value", "a value without its YAML tag: quote a text that begins with !"},
		{"directive", "key: value: remove the line that begins with %, or quote a value that does"},
		{"YAML version", "key: value: remove the line that begins with %"},
		{"document separator", "one document: remove --- and ..."},
		{"end content", "one document: remove --- and ..."},
	} {
		if strings.Contains(message, m.part) {
			return m.expected
		}
	}
	return "key: value at the indent of its neighbours: indent with spaces and quote a value with signs in it"
}
