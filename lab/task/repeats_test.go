package task

import (
	"fmt"
	"strings"
	"testing"
)

// TestTasksThatRepeat: a text and records that are a short one again and again are said to be, and
// others are not.
func TestTasksThatRepeat(t *testing.T) {
	said := func(notes []string) int { return strings.Count(strings.Join(notes, "\n"), " repeats itself: ") }
	for name, c := range map[string]struct {
		text string
		want int
	}{"again": {strings.Repeat("One sentence is all there is. ", 300), 1}, "other": {numbered(1000), 0}} {
		w, err := tokenize(t, c.text, PassageConfig{Length: 20, Validation: 0.2, Test: 0.2}, byteEncoder{})
		if err != nil {
			t.Fatal(err)
		}
		if got := said(w.Notes()); got != c.want {
			t.Errorf("text, %s: said %d times, expected %d: %q", name, got, c.want, w.Notes())
		}
	}
	var same strings.Builder
	for i := range 300 { // prompts that differ in a character, which are apart from each other
		fmt.Fprintf(&same, "{\"prompt\": \"%c\", \"response\": \"one sentence is all there is to learn, whatever the prompt before it is\"}\n", 'a'+i%26)
	}
	for content, want := range map[string]int{same.String(): 1, manyLines(400): 0} {
		j := newJSONL(t, content, nil)
		if got := said(j.Notes()); got != want {
			t.Errorf("records %.60s…: said %d times, expected %d: %q", content, got, want, j.Notes())
		}
	}
}
