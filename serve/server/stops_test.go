package server

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestStops(t *testing.T) {
	tests := []struct {
		text  string
		stops []string
		want  string
	}{
		{"abcdef", nil, "abcdef"},
		{"abcdef", []string{"cd"}, "ab"},
		{"abcdef", []string{"x", "f"}, "abcde"},
		{"abcdef", []string{"abcdefg"}, "abcdef"},
		{"abcdef", []string{"abcdef", "cd"}, "ab"},   // cd is complete first
		{"abcdef", []string{"d", "bcd"}, "a"},        // both at once: the longer
		{"aaab", []string{"aab"}, "a"},               // its beginning comes twice
		{"ababac", []string{"abac"}, "ab"},           // likewise
		{"🙂🙃", []string{"🙃"}, "🙂"},                   // the same first bytes
		{"the end", []string{" end", "the"}, ""},     // at the beginning
		{"a\nb\nc", []string{"\n\n", "\nc"}, "a\nb"}, // held back and let go
		{"no stop here", []string{"stop!"}, "no stop here"},
	}
	for _, test := range tests {
		for size := 1; size <= len(test.text); size++ {
			w := transcript{stops: test.stops}
			var got strings.Builder
			for rest := test.text; rest != ""; {
				n := min(size, len(rest))
				for n < len(rest) && !utf8.RuneStart(rest[n]) {
					n++
				}
				got.WriteString(w.add(rest[:n]))
				rest = rest[n:]
			}
			got.WriteString(w.held)
			if w.stopped {
				w.held = ""
			}
			if got.String() != test.want {
				t.Errorf("%q with %q in pieces of %d: %q, want %q", test.text, test.stops, size, got.String(), test.want)
			}
		}
	}
}

// ended is the text up to its first complete stop string, looked for character by character.
func ended(text string, stops []string) string {
	for end := range len(text) + 1 {
		best := -1
		for _, s := range stops {
			if strings.HasSuffix(text[:end], s) && len(s) > best {
				best = len(s)
			}
		}
		if best >= 0 {
			return text[:end-best]
		}
	}
	return text
}

// The text does not depend on the pieces, a reader never sees the beginning of what may still be a
// stop string, and nothing else is held back.
func TestStopsInAnyPieces(t *testing.T) {
	letters := rapid.StringOfN(rapid.SampledFrom([]rune("ab🙂")), 0, 24, -1)
	stop := rapid.StringOfN(rapid.SampledFrom([]rune("ab🙂")), 1, 5, -1)
	rapid.Check(t, func(t *rapid.T) {
		text, stops := letters.Draw(t, "text"), rapid.SliceOfN(stop, 0, 4).Draw(t, "stops")
		want, w, seen, given := ended(text, stops), transcript{stops: stops}, "", ""
		for _, r := range text {
			given += string(r)
			seen += w.add(string(r))
			if w.stopped {
				break
			}
			if seen+w.held != given {
				t.Fatalf("%q was given, %q seen and %q held back", given, seen, w.held)
			}
			for _, s := range stops {
				for n := 1; n < len(s); n++ {
					if strings.HasPrefix(s, given[max(0, len(given)-n):]) && len(w.held) < min(n, len(given)) {
						t.Fatalf("of %q only %q is held back, %q may become %q", given, w.held, given[len(given)-n:], s)
					}
				}
			}
			if w.held != "" && heldBack(w.held, stops) != len(w.held) {
				t.Fatalf("%q is held back, no stop string of %q begins with it", w.held, stops)
			}
		}
		if !w.stopped {
			seen += w.held
		}
		if seen != want {
			t.Fatalf("%q with %q: %q, want %q", text, stops, seen, want)
		}
	})
}
