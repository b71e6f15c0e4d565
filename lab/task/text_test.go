package task

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestReadText(t *testing.T) {
	read := func(content string, lines int) (*Text, error) {
		path := filepath.Join(t.TempDir(), "text.txt")
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return ReadText(t.Context(), path, lines)
	}
	for _, c := range []struct {
		content      string
		lines        int
		want         string
		words, bytes int
	}{
		{"one two\n\n three", 0, "one two\n\n three", 3, 15},
		{"one two\n\n three", 1, "one two\n", 3, 8}, // the end is an empty piece
		{"one two\n\n three", 2, "one two\n\n", 3, 9},
		{"one two\n\n three", 9, "one two\n\n three", 3, 15},
		{" é\u00a0b\x1cc ", 0, " é\u00a0b\x1cc ", 5, 9},
	} {
		got, err := read(c.content, c.lines)
		if err != nil || got.Content != c.want || got.Words != c.words || got.Bytes != c.bytes {
			t.Errorf("%q: %+v, %v; want %d words, %d bytes", c.content, got, err, c.words, c.bytes)
		}
	}
	for content, want := range map[string]string{
		"":                 "the file is empty",
		" \n\t":            "found no text",
		"a\n\ufffdb\n\xff": "text.txt:3: not valid UTF-8",
	} {
		if _, err := read(content, 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q in it", content, err, want)
		}
	}
}

func count(n int) []int32 {
	tokens := make([]int32, n)
	for i := range tokens {
		tokens[i] = int32(i)
	}
	return tokens
}

func TestWindowsByHand(t *testing.T) {
	check := func(name string, got []Span, err error, want ...Span) {
		t.Helper()
		same := func(a, b Span) bool { return a.Begin == b.Begin && slices.Equal(a.Tokens, b.Tokens) }
		if err != nil || !slices.EqualFunc(got, want, same) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, want)
		}
	}
	got, err := FixedWindows(count(10), 4, 4)
	check("fixed", got, err, Span{[]int32{0, 1, 2, 3}, 1}, Span{[]int32{4, 5, 6, 7}, 1})
	got, err = FixedWindows(count(8), 4, 2)
	check("fixed, overlapping", got, err, Span{[]int32{0, 1, 2, 3}, 1}, Span{[]int32{2, 3, 4, 5}, 2}, Span{[]int32{4, 5, 6, 7}, 2})
	got, err = FixedWindows(count(3), 4, 4)
	check("fixed, a short text", got, err, Span{[]int32{0, 1, 2}, 1})
	got, err = LlamaCppWindows(count(9), 4, 99)
	check("llama.cpp", got, err, Span{[]int32{99, 1, 2, 3}, 3}, Span{[]int32{99, 5, 6, 7}, 3})
	got, err = LlamaCppWindows(count(4), 4, -1)
	check("llama.cpp without BOS", got, err, Span{[]int32{0, 1, 2, 3}, 3})
	got, err = RollingWindows(count(10), 4, 99)
	check("rolling", got, err, Span{[]int32{99, 0, 1, 2, 3}, 1}, Span{[]int32{3, 4, 5, 6, 7}, 1}, Span{[]int32{5, 6, 7, 8, 9}, 3})
	got, err = RollingWindows(count(2), 4, 99)
	check("rolling, a short text", got, err, Span{[]int32{99, 0, 1}, 1})

	for name, f := range map[string]func() ([]Span, error){
		"one token":          func() ([]Span, error) { return FixedWindows(count(1), 4, 4) },
		"stride 0":           func() ([]Span, error) { return FixedWindows(count(9), 4, 0) },
		"stride too long":    func() ([]Span, error) { return FixedWindows(count(9), 4, 5) },
		"no whole window":    func() ([]Span, error) { return LlamaCppWindows(count(3), 4, 1) },
		"window too short":   func() ([]Span, error) { return LlamaCppWindows(count(9), 3, 1) },
		"nothing":            func() ([]Span, error) { return RollingWindows(nil, 4, 1) },
		"no prefix":          func() ([]Span, error) { return RollingWindows(count(4), 4, -1) },
		"rolling in nothing": func() ([]Span, error) { return RollingWindows(count(4), 0, 1) },
	} {
		if _, err := f(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Every token is predicted once, after the tokens that really precede it, by windows no longer than
// the limit.
func TestWindowsPredictEachTokenOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, window := rapid.IntRange(2, 60).Draw(t, "tokens"), rapid.IntRange(2, 20).Draw(t, "window")
		tokens := count(n)
		rolling, err := RollingWindows(tokens, window, -7+100)
		if err != nil {
			t.Fatal(err)
		}
		next := 0
		for _, s := range rolling {
			if s.Begin < 1 || len(s.Tokens)-1 > window {
				t.Fatalf("span %v", s)
			}
			for i := s.Begin; i < len(s.Tokens); i++ {
				if s.Tokens[i] != int32(next) {
					t.Fatalf("token %d instead of %d", s.Tokens[i], next)
				}
				if before := s.Tokens[i-1]; next > 0 && before != int32(next-1) || next == 0 && before != 93 {
					t.Fatalf("token %d after %d", next, before)
				}
				next++
			}
		}
		if next != n {
			t.Fatalf("%d of %d tokens", next, n)
		}
		stride := rapid.IntRange(1, max(1, window-1)).Draw(t, "stride")
		fixed, err := FixedWindows(tokens, window, stride)
		if err != nil {
			t.Fatal(err)
		}
		next = 1
		for _, s := range fixed {
			for i := s.Begin; i < len(s.Tokens); i++ {
				if s.Tokens[i] != int32(next) {
					t.Fatalf("token %d instead of %d", s.Tokens[i], next)
				}
				next++
			}
		}
		if left := n - next; left < 0 || left >= max(stride, 1) {
			t.Fatalf("%d tokens left out", left)
		}
	})
}

// A model that gives all V tokens alike has a perplexity of V.
func TestPerplexityOfUniform(t *testing.T) {
	logProbs := make([]float32, 50)
	for i := range logProbs {
		logProbs[i] = -float32(math.Log(64))
	}
	if got := math.Exp(-Total(logProbs) / float64(len(logProbs))); math.Abs(got-64) > 1e-4 {
		t.Errorf("perplexity %v", got)
	}
}
