// Package jsonmutant changes one value of a JSON text at a time, or breaks the text, and knows the
// words of the program that no error about a file may have. It is for tests of readers alone.
package jsonmutant

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"testing"
)

// values replace any value of a JSON text.
var values = []any{nil, true, false, "x", "", "12", 0, 1, -1, 2.5, 1e300, 1 << 53, []any{}, []any{1, "x"}, []any{[]any{}}, map[string]any{}, map[string]any{"x": 1}}

// Each calls f with every variant of a JSON text in which one value is another; path names it.
func Each(t testing.TB, text string, f func(path, variant string)) {
	t.Helper()
	var root any
	if err := json.Unmarshal([]byte(text), &root); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	var visit func(path string, value any, set func(any))
	visit = func(path string, value any, set func(any)) {
		for _, v := range values {
			set(v)
			data, err := json.Marshal(root)
			if err != nil {
				t.Fatal(err)
			}
			f(fmt.Sprintf("%s = %v", path, v), string(data))
		}
		set(value)
		switch v := value.(type) {
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(v)) {
				visit(path+"."+key, v[key], func(x any) { v[key] = x })
			}
		case []any:
			for i := range v {
				visit(fmt.Sprintf("%s[%d]", path, i), v[i], func(x any) { v[i] = x })
			}
		}
	}
	visit("", root, func(x any) { root = x })
}

// Break calls f with variants of a text that are no JSON, and some that are: a byte taken out,
// replaced or put before another, or the text cut off, at up to 60 places.
func Break(text string, f func(variant string)) {
	const places = 60
	for i := range places {
		at := i * len(text) / places
		f(text[:at])
		f(text[:at] + text[min(at+1, len(text)):])
		for _, other := range []string{"}", "]", ",", ":", "x", "\"", "\x01", "\\", "'", "-", "N"} {
			f(text[:at] + other + text[at:])
			f(text[:at] + other + text[min(at+1, len(text)):])
		}
	}
}

// programWords are words of encoding/json and of Go.
var programWords = regexp.MustCompile(`Go (struct|value)|[Uu]nmarshal|(?:^|[^.])\bjson: |interface ?\{|\bmap\[string|\bint64\b|\bfloat64\b|reflect|runtime error|%!|invalid character|looking for|unexpected (EOF|end of JSON)|top-level value`)

// SpeaksOfTheProgram reports whether an error has words of the program, where it should have those
// of the file.
func SpeaksOfTheProgram(err error) bool { return err != nil && programWords.MatchString(err.Error()) }
