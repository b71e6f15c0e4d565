package tokenizer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestFamilyComponents holds components that the families' files use to what the format says of
// them.
func TestFamilyComponents(t *testing.T) {
	vocab := func(tokens ...string) string {
		var b strings.Builder
		for i, token := range tokens {
			key, _ := marshal(token)
			fmt.Fprintf(&b, `%s%s:%d`, map[bool]string{true: ","}[i > 0], key, i)
		}
		return b.String()
	}
	characters := func(parts, added string) string {
		return `{` + parts + `,"added_tokens":[` + added + `],"model":{"type":"BPE","byte_fallback":true,"vocab":{` +
			vocab("▁", "a", "b", "▁a", "1", "2", "é", "e\u0301", "<0xC3>", "<0xA9>", "\n") + `},"merges":["▁ a"]}}`
	}
	const decoder = `"decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}`
	for _, c := range []struct {
		name, file, text string
		want             []int32
		back             string
	}{
		{"Metaspace always", characters(`"pre_tokenizer":{"type":"Metaspace","replacement":"▁","add_prefix_space":true},"decoder":{"type":"Metaspace"}`, ""), "a a▁b", []int32{3, 3, 0, 2}, "a a b"},
		{"Metaspace first", characters(`"pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"first","split":false},`+decoder, `{"id":11,"content":"<x>","special":true}`), "a<x>a a", []int32{3, 11, 1, 3}, "a<x>a a"},
		{"Metaspace never", characters(`"pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"never"},"decoder":{"type":"Metaspace","prepend_scheme":"never"}`, ""), "a a", []int32{1, 3}, "a a"},
		{"Metaspace has its space", characters(`"pre_tokenizer":{"type":"Metaspace"},"decoder":{"type":"Metaspace"}`, ""), " a", []int32{3}, "a"},
		{"Prepend for each piece", characters(`"normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]},"pre_tokenizer":null,`+decoder, `{"id":11,"content":"<x>","special":true}`), "a<x>a", []int32{3, 11, 3}, "a<x> a"},
		{"NFC", characters(`"normalizer":{"type":"NFC"},`+decoder, ""), "e\u0301", []int32{6}, "é"},
		{"NFD", characters(`"normalizer":{"type":"NFD"},`+decoder, ""), "é", nil, ""},
		{"NFKC", characters(`"normalizer":{"type":"NFKC"},`+decoder, ""), "①②", []int32{4, 5}, "12"},
		{"Lowercase", characters(`"normalizer":{"type":"Lowercase"},`+decoder, ""), "AB", []int32{1, 2}, "ab"},
		{"Strip", characters(`"normalizer":{"type":"Strip","strip_left":true,"strip_right":true},`+decoder, ""), " \na\n ", []int32{1}, "a"},
		{"Replace by expression", characters(`"normalizer":{"type":"Replace","pattern":{"Regex":" {2,}"},"content":"▁"},`+decoder, ""), "a   a", []int32{1, 3}, "a a"},
		{"Digits apart", tinyDigits(true), "a12a", []int32{0, 1, 2, 0}, "a12a"},
		{"Digits together", tinyDigits(false), "a12a", []int32{0, 3, 0}, "a12a"},
		{"ByteLevel with a space before", tiny(`"add_prefix_space":false`, `"add_prefix_space":true`, `"ab":2`, `"ab":2,"Ġ":3,"Ġa":4`, `["a b"]`, `["a b","Ġ a"]`), "a", []int32{4}, " a"},
		{"words that are tokens", tiny(`"merges":["a b"]`, `"ignore_merges":true,"merges":[]`), "ab", []int32{2}, "ab"},
		{"the same, with merges", tiny(`"merges":["a b"]`, `"ignore_merges":false,"merges":[]`), "ab", []int32{0, 1}, "ab"},
	} {
		tok, err := Parse([]byte(c.file))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := tok.Encode(c.text)
		if !slices.Equal(got, c.want) || tok.Decode(got) != c.back {
			t.Errorf("%s: Encode(%q) = %v, which is %q, expected %v, which is %q", c.name, c.text, got, tok.Decode(got), c.want, c.back)
		}
		stream := tok.NewDecoder()
		text := ""
		for _, id := range got {
			text += stream.Push(id)
		}
		if text += stream.Flush(); text != c.back {
			t.Errorf("%s: streamed %q, expected %q", c.name, text, c.back)
		}
	}
}

func tinyDigits(individual bool) string {
	return tiny(`{"type":"ByteLevel","add_prefix_space":false}`, fmt.Sprintf(`{"type":"Sequence","pretokenizers":[{"type":"Digits","individual_digits":%t},{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]}`, individual),
		`"b":1,"ab":2`, `"1":1,"2":2,"12":3`, `"a b"`, `"1 2"`)
}

func TestSplitRules(t *testing.T) {
	for _, c := range []struct {
		behavior string
		invert   bool
		want     []string
	}{
		{"Isolated", false, []string{"a", "-", "-", "b", "-", "c"}},
		{"Removed", false, []string{"a", "b", "c"}},
		{"Removed", true, []string{"-", "-", "-"}},
		{"MergedWithPrevious", false, []string{"a-", "-", "b-", "c"}},
		{"MergedWithNext", false, []string{"a", "-", "-b", "-c"}},
		{"Contiguous", false, []string{"a", "--", "b", "-", "c"}},
	} {
		s, err := parseSplit("x", component{Type: "Split", Behavior: c.behavior, Invert: c.invert, Pattern: textPattern{String: pointer("-")}})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		s.split("a--b-c", func(piece string) { got = append(got, piece) })
		if !slices.Equal(got, c.want) {
			t.Errorf("%s, invert %t: %q, expected %q", c.behavior, c.invert, got, c.want)
		}
	}
}

// TestContractions: an apostrophe and the letters of a contraction are one word in either case,
// also at the end of a text; what only begins as one is none.
func TestContractions(t *testing.T) {
	for text, want := range map[string]int{
		"'": 0, "'s": 2, "'S": 2, "'t": 2, "'m": 2, "'d": 2, "'x": 0, "s": 0, "x's": 0,
		"'r": 0, "'v": 0, "'l": 0, "'R": 0, "'re": 3, "'RE": 3, "'rE": 3, "'ve": 3, "'ll": 3, "'rx": 0, "'le": 0, "'rest": 3, "'sx": 2, "'dd": 2, "'ſ": 3, "'ſx": 3,
	} {
		if got := anyContraction(text); got != want {
			t.Errorf("%q: %d bytes, expected %d", text, got, want)
		}
	}
}

// TestLongS: the long s is an s in another case, in contractions too.
func TestLongS(t *testing.T) {
	var got []string
	caseScanner{digits: 3}.split("it'ſx we'VE", func(piece string) { got = append(got, piece) })
	if want := []string{"it", "'ſ", "x", " we", "'VE"}; !slices.Equal(got, want) {
		t.Errorf("%q, expected %q", got, want)
	}
}

const endless = `"normalizer":{"type":"Replace","pattern":{"Regex":"(a|aa)+$"},"content":"a"}`

// TestEndlessPattern: an expression that goes back and forth without end is given up. Err and
// CheckIDs say so, the ids end with what is no token, and nothing of the text is lost.
func TestEndlessPattern(t *testing.T) {
	split := func(pattern string) string {
		return tiny(`{"type":"ByteLevel","add_prefix_space":false}`, fmt.Sprintf(`{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":%q},"behavior":"Isolated"},{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]}`, pattern))
	}
	long := strings.Repeat("a", 40) + "b"
	for _, c := range []struct{ name, file, text string }{
		{"repetition of a repetition", split(`(a*a*)*!`), long},
		{"of alternatives that begin alike", split(`(a|aa)+$`), long},
		{"of words that may have nothing between them", split(`(\p{L}+\s?)*!`), long},
		{"of classes with members in common", split(`(?:\p{L}+|[\p{L}\p{N}]+)+!`), long},
		{"many repetitions in a row", split(strings.Repeat("a*", 30) + "$"), long},
		{"behind a text that is split", split(`(?:a|aa)+!|b`), "bb " + long},
		{"in a normalizer", tiny(`"normalizer":null`, endless), long},
	} {
		tok, err := Parse([]byte(c.file))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for _, m := range tok.expressions {
			m.re.MatchTimeout = 10 * time.Millisecond // that of a file takes two seconds
		}
		if ids := tok.Encode("ab"); tok.Err() != nil || tok.CheckIDs(ids, 3) != nil {
			t.Errorf("%s: Err is %v after a text of two letters", c.name, tok.Err())
		}
		for range 2 { // the second time from the cache of words
			ids := tok.EncodeSpecial(c.text)
			if got := tok.Decode(ids); got != c.text && !strings.HasPrefix(c.text, "bb ") {
				t.Errorf("%s: decode(encode(x)) = %q", c.name, got)
			}
			if !slices.Contains(ids, noID) {
				t.Errorf("%s: ids %v, expected them to end with %d", c.name, ids, noID)
			}
		}
		for _, err := range []error{tok.Err(), tok.CheckIDs([]int32{0}, 3)} {
			if err == nil || !strings.Contains(err.Error(), "needs more than 10ms for one match of the text from ") || !strings.Contains(err.Error(), "aaaaaaaaaa…") {
				t.Errorf("%s: found %v, expected the expression and the place in the text", c.name, err)
			}
		}
	}
}

// TestEndlessPatternOfAddedTokens: a file whose own tokens cannot be normalized is refused when it
// is read.
func TestEndlessPatternOfAddedTokens(t *testing.T) {
	_, err := Parse([]byte(tiny(`"normalizer":null`, endless, `"added_tokens":[]`, fmt.Sprintf(`"added_tokens":[{"id":3,"content":%q,"normalized":true}]`, strings.Repeat("a", 40)+"b"))))
	if err == nil || !strings.Contains(err.Error(), "added_tokens: the tokenizer's expression \"(a|aa)+$\" needs more than 2s") {
		t.Errorf("found %v", err)
	}
}
