package datafile

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// jsonForm is the form of text that holds records of JSON, or of a form alike that is no JSON and
// is refused where the records are read. Other text may begin with a brace or a bracket.
func jsonForm(start, head []byte, whole bool) (form Form, found bool) {
	switch {
	case beginsArray(start) && isArray(start), alike.Match(start) && start[0] == '[':
		return Array, true
	case beginsObject(start) && isObject(start) && !proseFollows(start, head, whole),
		isJSONLines(head, whole), isCommentedJSON(start), isOtherArray(start), alike.Match(start):
		return Lines, true
	}
	return Text, false
}

// alike is the beginning of an object as Python or JavaScript writes it, or with typographic
// quotes.
var alike = regexp.MustCompile(`^\[?\s*\{\s*('[^'\n]{1,60}'\s*:|(` + strings.Join(headings, "|") + `)\s*:|[“”„«‘’]\w{1,60}[“”»‘’]\s*:)`)

// isObject reports an object that is empty or begins with a key, which the text may cut off.
func isObject(text []byte) bool {
	text = bytes.TrimLeft(text[1:], " \t\r\n")
	if len(text) == 0 || text[0] == '}' {
		return true
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return text[0] == '"' && bytes.IndexByte(text[1:], '"') < 0 // cut off
	}
	rest := bytes.TrimLeft(text[d.InputOffset():], " \t\r\n")
	return len(rest) == 0 || rest[0] == ':'
}

// isArray reports an array that begins with an object, or is empty and has nothing behind it.
func isArray(text []byte) bool {
	inner := bytes.TrimLeft(text[1:], " \t\r\n")
	if inner[0] == '{' {
		return isObject(inner)
	}
	return len(bytes.TrimSpace(inner[1:])) == 0
}

// proseFollows reports text that begins with a whole object and goes on with what is no record, in
// two lines of three or more.
func proseFollows(start, head []byte, whole bool) bool {
	_, end, err := value(start, 1)
	tail := bytes.TrimLeft(start[max(0, end):], "\ufeff \t\r\n")
	if err != nil || len(tail) == 0 || strings.IndexByte("{,", tail[0]) >= 0 || isComment(tail) {
		return false
	}
	found, all := jsonLines(head, whole)
	return found*3 <= all
}

func isComment(text []byte) bool {
	return bytes.HasPrefix(text, []byte("//")) || bytes.HasPrefix(text, []byte("#")) || bytes.HasPrefix(text, []byte("/*"))
}

// beginsObject reports text that begins as a JSON object does. Other text may begin with a brace.
func beginsObject(text []byte) bool {
	inner := afterOpening(text, '{')
	return inner == '"' || inner == '}'
}

// beginsArray reports text that begins as a JSON array of objects does.
func beginsArray(text []byte) bool {
	inner := afterOpening(text, '[')
	return inner == '{' || inner == ']'
}

// afterOpening is the first byte behind an opening bracket that is not white space, or 0.
func afterOpening(text []byte, bracket byte) byte {
	if len(text) == 0 || text[0] != bracket {
		return 0
	}
	if rest := bytes.TrimLeft(text[1:], " \t\r\n"); len(rest) > 0 {
		return rest[0]
	}
	return 0
}

// jsonWords are JSON values that a line of text is not.
var jsonWords = []string{"null", "true", "false"}

// isJSONLines reports text most of whose lines are JSON objects.
func isJSONLines(head []byte, whole bool) bool {
	found, all := jsonLines(head, whole)
	return found*2 > all
}

// jsonLines counts the lines that are not white space, and those of them that are JSON objects,
// perhaps damaged, or other JSON values in quotes or brackets.
func jsonLines(head []byte, whole bool) (found, all int) {
	lines := bytes.Split(head, []byte("\n"))
	for i, line := range lines {
		line = bytes.TrimLeft(bytes.TrimSpace(line), "\ufeff ")
		if len(line) == 0 {
			continue
		}
		all++
		cut := i == len(lines)-1 && !whole
		value := bytes.TrimSuffix(line, []byte(","))
		switch {
		case slices.Contains(jsonWords, string(value)):
			found++
		case beginsObject(line) || afterOpening(line, '{') == '\'':
			// also an object as Python prints it
			if cut || bytes.HasSuffix(value, []byte("}")) {
				found++
			}
		case line[0] != '"' && line[0] != '[':
		case !cut && json.Valid(value):
			found++
		case cut:
			all-- // it may be either
		}
	}
	return found, all
}

// isOtherArray reports a JSON array of arrays or texts, cut off or not. Other text may begin with
// brackets.
func isOtherArray(text []byte) bool {
	inner := afterOpening(text, '[')
	return (inner == '[' || inner == '"') && (continues(text) || json.Valid(text))
}

// isCommentedJSON reports records behind comments, which JSON does not have.
func isCommentedJSON(text []byte) bool {
	commented := false
	for isComment(text) {
		commented = true
		end := "\n"
		if bytes.HasPrefix(text, []byte("/*")) {
			end = "*/"
		}
		_, text, _ = bytes.Cut(text, []byte(end))
		text = bytes.TrimLeft(text, " \t\r\n")
	}
	return commented && (beginsObject(text) || beginsArray(text))
}
