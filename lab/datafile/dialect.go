package datafile

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
)

// Dialect says what form alike to JSON a text has that is no JSON, and how it becomes JSON; "" is
// unknown. It goes by the place where the text stops being JSON.
func Dialect(text []byte) string {
	const (
		ofPython   = "it is an object as Python prints it: write JSON in its place (python3 -c 'import ast,json,sys; [print(json.dumps(ast.literal_eval(l))) for l in sys.stdin]' < FILE > OUT)"
		unquoted   = "keys without quotes are JavaScript's or JSON5's: write each key in double quotes (npx json5 FILE > OUT)"
		commented  = "JSON has no comments: take them out (grep -vE '^ *(//|#)' FILE > OUT)"
		lastComma  = "JSON has no comma before a closing bracket: take it out"
		afterComma = "a comma stands behind the record: take it out, one record a line, or write all records as one JSON array"
		noNumber   = "Python's json.dumps writes it for a missing number: write null in its place"
		typography = "typographic quotes are no JSON: write straight double quotes"
	)
	text = bytes.TrimLeft(text, " \t\r\n")
	var any json.RawMessage
	var syntax *json.SyntaxError
	if !errors.As(json.Unmarshal(text, &any), &syntax) || syntax.Offset < 1 {
		return ""
	}
	at := int(min(syntax.Offset, int64(len(text)))) - 1
	if at < 0 {
		return ""
	}
	rest, before := text[at:], bytes.TrimRight(text[:at], " \t\r\n")
	last := byte(0) // before that place
	if len(before) > 0 {
		last = before[len(before)-1]
	}
	behind := strings.Contains(syntax.Error(), "after top-level value")
	begins := func(words ...string) bool {
		for _, word := range words {
			if bytes.HasPrefix(rest, []byte(word)) {
				return true
			}
		}
		return false
	}
	switch {
	case begins("//", "#", "/*") && (at == 0 || len(before) < at):
		return commented
	case begins("“", "”", "„", "«", "‘", "’"):
		return typography
	case begins("NaN", "Infinity") || last == '-' && begins("I"):
		return noNumber
	case begins("'", "None", "True", "False") && (last == 0 || strings.IndexByte("{[,:", last) >= 0) && len(before) > 0:
		return ofPython
	case begins("}", "]") && last == ',':
		return lastComma
	case begins(",") && (behind || len(before) == 0):
		return afterComma
	case (last == '{' || last == ',') && (rest[0] == '_' || rest[0] == '$' || 'a' <= rest[0]|0x20 && rest[0]|0x20 <= 'z') && keyFollows(rest):
		return unquoted
	}
	return ""
}

// keyFollows reports a word and a colon behind it.
func keyFollows(text []byte) bool {
	word, _, found := bytes.Cut(text[:min(len(text), 80)], []byte(":"))
	return found && !bytes.ContainsAny(word, "\"'{}[],\n")
}

// advised adds to a problem what Dialect says of the text.
func advised(problem string, text []byte) string {
	if advice := Dialect(text); advice != "" {
		return problem + "; " + advice
	}
	return problem
}
