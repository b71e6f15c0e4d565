package commalist

import (
	"slices"
	"strings"
	"testing"
)

func TestParts(t *testing.T) {
	for text, want := range map[string]struct {
		parts string
		place int // that is empty; 0 is none
	}{
		"": {}, "  ": {}, "a": {"a", 0}, "a b": {"a b", 0}, "a,b": {"a b", 0}, "a, b": {"a b", 0}, " a ,\tb  c\n": {"a b c", 0},
		",": {"", 1}, "a,": {"a", 2}, ",a": {"a", 1}, "a,,b": {"a b", 2}, "a b, ,c": {"a b c", 3}, "a,b,": {"a b", 3}, "a,,b,,c": {"a b c", 2},
	} {
		parts, err := Parts(text)
		place := 0
		if empty, ok := err.(*EmptyError); ok {
			place = empty.Place
		}
		if !slices.Equal(parts, strings.Fields(want.parts)) || place != want.place || (err != nil) != (want.place > 0) {
			t.Errorf("%q: %q, %v, expected %q with place %d empty", text, parts, err, want.parts, want.place)
		}
	}
}

func TestItems(t *testing.T) {
	for text, want := range map[string]struct {
		items []string
		place int // that is empty; 0 is none
	}{
		"": {}, "  ": {}, "a b": {[]string{"a b"}, 0}, " a b , c\t": {[]string{"a b", "c"}, 0},
		",": {nil, 1}, "a,": {[]string{"a"}, 2}, ", a b": {[]string{"a b"}, 1}, "a,, b": {[]string{"a", "b"}, 2}, "a, ,": {[]string{"a"}, 2},
	} {
		items, err := Items(text)
		place := 0
		if empty, ok := err.(*EmptyError); ok {
			place = empty.Place
		}
		if !slices.Equal(items, want.items) || place != want.place || (err != nil) != (want.place > 0) {
			t.Errorf("%q: %q, %v, expected %q with place %d empty", text, items, err, want.items, want.place)
		}
	}
}

// FuzzParts: no value is lost or made up, and each comma divides two values or is an error.
func FuzzParts(f *testing.F) {
	for _, text := range []string{"", "a, b c", "a,,b", ","} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parts, err := Parts(text)
		if got, want := strings.Join(parts, ""), strings.Join(strings.Fields(strings.ReplaceAll(text, ",", " ")), ""); got != want {
			t.Errorf("%q: the parts are %q", text, parts)
		}
		if commas := strings.Count(text, ","); err == nil && commas > 0 && len(parts) <= commas {
			t.Errorf("%q: %d parts of %d commas, and no error", text, len(parts), commas)
		}
	})
}
