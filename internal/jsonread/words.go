package jsonread

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// maxDepth is the number of values within each other that encoding/json reads.
const maxDepth = 10000

// problem says what is wrong at the last byte before offset, where encoding/json stopped with the
// given message.
func problem(data []byte, offset int64, message string) string {
	at := int(max(0, min(offset, int64(len(data)))-1))
	has := func(part string) bool { return strings.Contains(message, part) }
	switch {
	case has("unexpected end"):
		return cutOff(data)
	case has("max depth"):
		return fmt.Sprintf("more than %d values within each other", maxDepth)
	case has("after top-level value"):
		return fmt.Sprintf("found more text behind the value: %s", word(data, at))
	case has("in string literal"):
		return fmt.Sprintf("found the control character %s within a string, expected an escape such as \\n or \\t", word(data, at))
	case has("escape"):
		return fmt.Sprintf("found %s in an escape of a string, expected \\n, \\t, \\\\, \\\" or \\u and four hexadecimal digits", word(data, at))
	case has("numeric literal") && (word(data, at) == "Infinity" || word(data, at) == "NaN"):
		return value(data, at)
	case has("numeric literal"):
		return fmt.Sprintf("found %s within a number, expected a digit", word(data, at))
	case has("in literal"):
		for at > 0 && letter(data[at-1]) {
			at--
		}
		return fmt.Sprintf("found %s, expected true, false or null", word(data, at))
	case has("object key string"):
		return fmt.Sprintf("found %s, expected a key in double quotes", word(data, at))
	case has("after object key:value pair"):
		return fmt.Sprintf("found %s, expected a comma or }", word(data, at))
	case has("after object key"):
		return fmt.Sprintf("found %s, expected a colon", word(data, at))
	case has("after array element"):
		return fmt.Sprintf("found %s, expected a comma or ]", word(data, at))
	}
	return value(data, at)
}

// value says what stands where a value should: the numbers that Python writes and JSON lacks are
// named as such.
func value(data []byte, at int) string {
	found := word(data, at)
	if found == "NaN" || found == "Infinity" {
		if at > 0 && data[at-1] == '-' {
			found = "-" + found
		}
		return fmt.Sprintf("found %s, which is no JSON number", found)
	}
	return fmt.Sprintf("found %s, expected a value", found)
}

// word is the word at a place, or the quoted character where there is no word.
func word(data []byte, at int) string {
	end := at
	for end < len(data) && end < at+40 && letter(data[end]) {
		end++
	}
	if end > at {
		return string(data[at:end])
	}
	if at < len(data) && data[at] == '"' {
		return "a double quote"
	}
	_, size := utf8.DecodeRune(data[at:])
	return fmt.Sprintf("%q", data[at:at+size])
}

func letter(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

// cutOff says what has no end in data.
func cutOff(data []byte) string {
	return fmt.Sprintf("the text ends within %s: it was cut off", unclosed(data))
}

// unclosed names the innermost thing that has no end in data.
func unclosed(data []byte) string {
	var open []byte
	s := scan{data: data}
	for s.at < len(data) {
		switch c := data[s.at]; c {
		case '"':
			start := s.at
			if s.text(); s.at == len(data) && !closed(data[start:]) {
				return "a string"
			}
			continue
		case '{', '[':
			open = append(open, c)
		case '}', ']':
			open = open[:max(0, len(open)-1)]
		}
		s.at++
	}
	switch {
	case bytes.HasSuffix(open, []byte("{")):
		return "an object"
	case bytes.HasSuffix(open, []byte("[")):
		return "a list"
	}
	return "a value"
}

// closed says whether a string that reaches to the end of the data has its closing quote.
func closed(text []byte) bool {
	end := len(text) - 1
	if end < 1 || text[end] != '"' {
		return false
	}
	escapes := 0
	for end--; end > 0 && text[end] == '\\'; end-- {
		escapes++
	}
	return escapes%2 == 0
}

// bounded names the whole numbers that fit in a Go type, for a whole number that does not.
func bounded(t reflect.Type, found string) string {
	number, ok := strings.CutPrefix(found, "number ")
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case ok && t.Kind() == reflect.Float64:
		return "a number of at most 1.8e308"
	case ok && t.Kind() == reflect.Float32:
		return "a number of at most 3.4e38"
	}
	if !ok || strings.Trim(strings.TrimPrefix(number, "-"), "0123456789") != "" {
		return expected(t)
	}
	negative := strings.HasPrefix(number, "-")
	switch k := t.Kind(); {
	case k >= reflect.Int && k <= reflect.Int64 && negative:
		return fmt.Sprintf("a whole number of at least %d", int64(-1)<<(t.Bits()-1))
	case k >= reflect.Int && k <= reflect.Int64:
		return fmt.Sprintf("a whole number of at most %d", uint64(1)<<(t.Bits()-1)-1)
	case k >= reflect.Uint && k <= reflect.Uint64 && !negative:
		return fmt.Sprintf("a whole number of at most %d", ^uint64(0)>>(64-t.Bits()))
	}
	return expected(t)
}
