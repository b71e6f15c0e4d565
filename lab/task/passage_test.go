package task

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// numbered is a text of n lines that differ.
func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "line %04d\n", i) // 10 bytes
	}
	return b.String()
}

func tokenize(t *testing.T, content string, cfg PassageConfig, enc Encoder) (*Windows, error) {
	t.Helper()
	cfg.Path = writeFile(t, content, "text.txt")
	p, err := ReadPassage(t.Context(), cfg)
	if err != nil {
		return nil, err
	}
	return p.Tokenize(t.Context(), enc)
}

// TestWindowsAreTheText: all windows in the order of the text are the text less what does not fill
// one, no token is in two, training comes before validation and that before the test, and every
// token but the first of a window is an answer.
func TestWindowsAreTheText(t *testing.T) {
	text := numbered(101) + "abc"
	w, err := tokenize(t, text, PassageConfig{Length: 20, Validation: 0.2, Test: 0.1}, byteEncoder{})
	if err != nil {
		t.Fatal(err)
	}
	calibration, err := w.Calibration(InDomain, 0)
	if err != nil {
		t.Fatal(err)
	}
	byPlace := func(a, b Example) int { return strings.Compare(textOf(a.Tokens), textOf(b.Tokens)) } // as the lines are numbered
	var got strings.Builder
	for _, split := range [][]Example{calibration, w.Validation(0), w.Test()} {
		split = slices.SortedFunc(slices.Values(split), byPlace)
		for _, e := range split {
			got.WriteString(textOf(e.Tokens))
			if len(e.Tokens) != 20 || e.Answer[0] || slices.Contains(e.Answer[1:], false) || len(e.Answer) != 20 {
				t.Fatalf("window %q has the answers %v", textOf(e.Tokens), e.Answer)
			}
		}
	}
	if got.String() != text[:1000] {
		t.Errorf("the windows are\n%s", &got)
	}
	if len(calibration) != 35 || len(w.Validation(0)) != 10 || len(w.Test()) != 5 || w.TrainSize() != 35 {
		t.Errorf("%d training, %d validation, %d test", w.TrainSize(), len(w.Validation(0)), len(w.Test()))
	}
	var trained []string
	for i := range w.TrainSize() {
		trained = append(trained, textOf(w.Train(3, i).Tokens))
	}
	slices.Sort(trained)
	for i, e := range slices.SortedFunc(slices.Values(calibration), byPlace) {
		if trained[i] != textOf(e.Tokens) {
			t.Errorf("training window %q is not for calibration, which has %q", trained[i], textOf(e.Tokens))
		}
	}
	// the first few are from all of the split
	few := slices.SortedFunc(slices.Values(w.Validation(5)), byPlace)
	if reach := textOf(few[4].Tokens)[5:9]; textOf(few[0].Tokens)[5:9] == "0070" && reach < "0080" {
		t.Errorf("the first 5 validation windows end at line %s", reach)
	}
	if !slices.EqualFunc(w.Validation(5), w.Validation(0)[:5], func(a, b Example) bool { return slices.Equal(a.Tokens, b.Tokens) }) {
		t.Error("fewer validation windows are others")
	}
	notes := strings.Join(w.Notes(), "\n")
	for _, want := range []string{"1013 tokens in windows of 20: 35 training, 10 validation, 5 test, by their place in the text", "13 tokens at the end fill no window and are left out"} {
		if !strings.Contains(notes, want) {
			t.Errorf("notes are %q, expected %q", notes, want)
		}
	}
}

// TestWindowsBegin: what a tokenizer puts before a text begins every window, is no answer, and the
// token after it is one.
func TestWindowsBegin(t *testing.T) {
	for _, text := range []string{numbered(20), "\a" + numbered(20)} {
		w, err := tokenize(t, text, PassageConfig{Length: 11, Validation: 0.2}, beginningEncoder{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range append(w.Validation(0), w.Train(1, 0)) {
			if got := textOf(e.Tokens); len(got) != 11 || !strings.HasPrefix(got, "\aline ") || e.Answer[0] || !e.Answer[1] {
				t.Fatalf("window %q, answers %v", got, e.Answer)
			}
		}
		if notes := strings.Join(w.Notes(), "\n"); !strings.Contains(notes, "token 7 comes before each window") {
			t.Errorf("notes are %q", notes)
		}
	}
}

// TestCorpusOfAPassage: a tokenizer learns from the part for training alone.
func TestCorpusOfAPassage(t *testing.T) {
	p, err := ReadPassage(t.Context(), PassageConfig{Path: writeFile(t, numbered(100), "text.txt"), Length: 20, Validation: 0.2, Test: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	all := p.Corpus(1000)
	if got := strings.Join(all, ""); !strings.HasPrefix(numbered(100), got) || len(got) < 690 || len(got) > 700 {
		t.Errorf("%d bytes to learn from", len(got))
	}
	if few := p.Corpus(3); !slices.Equal(few, all[:3]) {
		t.Errorf("%q", few)
	}
}

// TestTextsThatAreNone: each is refused with what was found and what to do.
func TestTextsThatAreNone(t *testing.T) {
	usual := PassageConfig{Length: 20, Validation: 0.1}
	for _, c := range []struct {
		name, content string
		cfg           PassageConfig
		want          string
	}{
		{"empty", "", usual, "empty"},
		{"white space", " \n\t\n", usual, "found no text, only white space"},
		{"binary", "\x00\x01\x02\x03\xff\xfe", usual, "text.txt"},
		{"short", "a few words", usual, "found 11 tokens, 0 windows of 20, expected at least 2 windows, one for each split: give a longer text"},
		{"short for a test", numbered(4), PassageConfig{Length: 20, Validation: 0.1, Test: 0.1}, "found 40 tokens, 2 windows of 20, expected at least 3 windows, one for each split: give a longer text, or a length of at most 13"},
		{"one token", strings.Repeat("a", 400), usual, "its 400 tokens are all the same one: expected a text"},
		{"two tokens", strings.Repeat("ab", 200), usual, "nearly all of its 400 tokens are only two different ones: expected a text"},
		{"short windows", numbered(9), PassageConfig{Length: 7, Validation: 0.1}, "length is 7, expected at least 8"},
		{"shares", numbered(9), PassageConfig{Length: 8, Validation: 0.5, Test: 0.5}, "expected a validation share above 0, and a sum below 1"},
		{"conversations", `{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}` + "\n", usual, "conversation"},
	} {
		_, err := tokenize(t, c.content, c.cfg, byteEncoder{})
		if err == nil || !strings.Contains(err.Error(), c.want) || c.name == "short" && strings.Contains(err.Error(), "at most") {
			t.Errorf("%s: %v, expected %q", c.name, err, c.want)
		}
	}
	if w, err := tokenize(t, numbered(40), usual, byteEncoder{}); err != nil {
		t.Error(err)
	} else if _, err := w.Calibration(Generic, 1); err == nil || !strings.Contains(err.Error(), `only "in-domain"`) {
		t.Errorf("generic text: %v", err)
	}
}
