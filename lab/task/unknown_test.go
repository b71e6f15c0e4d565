package task

import (
	"slices"
	"strings"
	"testing"
)

// TestRepeats: a text that is a short one again and again is said to be, and one of other words, or
// a short list of equal lines, is not.
func TestRepeats(t *testing.T) {
	sentence, text := []int32{5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, make([]int32, 4000)
	for i := range text {
		text[i] = int32(i * i % 997)
	}
	for name, c := range map[string]struct {
		tokens []int32
		want   string
	}{
		"none": {nil, ""}, "text": {text, ""}, "few": {slices.Repeat(sentence, 20), ""}, "half": {slices.Concat(text, slices.Repeat(sentence, 300)), ""},
		"again": {slices.Repeat(sentence, 500), "repeats itself: of its 5493 runs of 8 tokens only 11 differ, so that figures are those of a much shorter text"},
	} {
		if got := Repeats(c.tokens); got != c.want {
			t.Errorf("%s: %q, expected %q", name, got, c.want)
		}
	}
}

// TestCheckDifferent: a text of one or two tokens again and again is refused, whatever stands at
// its ends, and one that is short or of more is not.
func TestCheckDifferent(t *testing.T) {
	again := func(n int, of ...int32) (tokens []int32) {
		for range n {
			tokens = append(tokens, of...)
		}
		return tokens
	}
	for name, c := range map[string]struct {
		tokens []int32
		want   string
	}{
		"short":           {again(3, 7, 8), ""},
		"one":             {again(8, 7), "its 8 tokens are all the same one"},
		"two":             {again(200, 7, 8), "nearly all of its 400 tokens are only two different ones"},
		"two, with BOS":   {append([]int32{1, 9}, again(200, 7, 8)...), "nearly all of its 402 tokens are only two"},
		"one, with BOS":   {append([]int32{1}, again(8, 7)...), "nearly all of its 9 tokens are the same one"},
		"three":           {again(200, 7, 8, 9), ""},
		"all different":   {[]int32{1, 2, 3, 4, 5, 6, 7, 8, 9}, ""},
		"two, and a text": {append([]int32{1, 2, 3, 4, 5, 6}, again(20, 7, 8)...), ""},
	} {
		err := CheckDifferent(c.tokens)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, expected %q", name, err, c.want)
		}
	}
}
