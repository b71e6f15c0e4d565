package jsonread

import (
	"bytes"
	"strconv"
	"unicode/utf16"
)

// Half finds the first escape of valid JSON that is half of a surrogate pair alone, and the path of
// the value that has it, or of the object whose key does. It is no character, and encoding/json
// reads it as U+FFFD.
func Half(data []byte) (path, escape string, found bool) {
	for i := 0; i < len(data); i++ {
		next := bytes.IndexByte(data[i:], '\\')
		if next < 0 {
			break
		}
		i += next
		unit := Unit(data[i:])
		if !utf16.IsSurrogate(unit) {
			i++ // past what is escaped
			continue
		}
		if utf16.DecodeRune(unit, Unit(data[i+6:])) == '\ufffd' {
			return pathAt(data, i), string(data[i : i+6]), true
		}
		i += 11
	}
	return "", "", false
}

// Unit is the code unit of an escape such as \u00e9 that a text begins with, or −1.
func Unit(text []byte) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	unit, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	if err != nil {
		return -1
	}
	return rune(unit)
}
