package datafile

import (
	"encoding/json"
	"fmt"
	"unicode/utf16"

	"slimlab/internal/jsonread"
)

// ambiguous reports what valid JSON may hold and readers of JSON take differently: two equal keys
// of one object, and an escape that is half of a surrogate pair (RFC 8259, sections 4 and 8.2). at
// is its offset. What is no JSON is not reported: the reader of the value says it.
func ambiguous(data []byte) (at int, err error) {
	var open []map[string]bool // the keys of the objects that are open, nil for an array
	isKey := false
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '{':
			open, isKey = append(open, map[string]bool{}), true
		case '[':
			open, isKey = append(open, nil), false
		case '}', ']':
			if len(open) == 0 {
				return 0, nil
			}
			open, isKey = open[:len(open)-1], false
		case ',':
			isKey = len(open) > 0 && open[len(open)-1] != nil
		case '"':
			begin := i
			for i++; i < len(data) && data[i] != '"'; i++ {
				if data[i] != '\\' {
					continue
				}
				if length, half := surrogate(data[i:]); half {
					return i, fmt.Errorf("found the escape %s alone, half of a surrogate pair, expected both halves: it is no character", data[i:i+6])
				} else if length > 0 {
					i += length - 1
					continue
				}
				i++
			}
			if i >= len(data) {
				return 0, nil
			}
			if !isKey {
				continue
			}
			isKey = false
			var key string
			if json.Unmarshal(data[begin:i+1], &key) != nil {
				return 0, nil
			}
			keys := open[len(open)-1]
			if keys[key] {
				return begin, fmt.Errorf("found the key %.40q twice in one object, expected it once: remove one of them", key)
			}
			keys[key] = true
		}
	}
	return 0, nil
}

// surrogate reports whether text begins with the escape of half of a surrogate pair alone, and the
// length of a whole pair's escapes, 0 for other text.
func surrogate(text []byte) (length int, half bool) {
	first := jsonread.Unit(text)
	if !utf16.IsSurrogate(first) {
		return 0, false
	}
	if utf16.DecodeRune(first, jsonread.Unit(text[6:])) == '\ufffd' {
		return 0, true
	}
	return 12, false
}
