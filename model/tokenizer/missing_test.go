package tokenizer

import "testing"

// Characters without a token are counted, with the first places of the first ones.
func TestMissingCharacters(t *testing.T) {
	parsed := func(text string) *Tokenizer {
		tok, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	pieces := func(m *model) *Tokenizer {
		tok, err := built(readSentencePiece(m.numbers(2, 3, 2).data, &settings{}))
		if err != nil {
			t.Fatal(err)
		}
		return tok
	}
	unknown := pieces(smallModel())
	bytes, err := built(readSentencePiece([]byte(letters()), &settings{}))
	if err != nil {
		t.Fatal(err)
	}
	const none = " are left out: the vocabulary has no token for them, no unknown token and no bytes: "
	spelled := tiny(`{"type":"ByteLevel","add_prefix_space":false}`, `null`, `{"type":"ByteLevel"}`, `{"type":"Sequence","decoders":[{"type":"Fuse"}]}`)
	for _, c := range []struct {
		what, text, note string
		tok              *Tokenizer
	}{
		{"bytes of an alphabet in part", "abéa éz", `4 of 7 characters (57.1%)` + none + `"é" (character 3), " " (character 5), "z" (character 7)`, parsed(tiny())},
		{"characters", "ab\x01b\x01", `2 of 5 characters (40%)` + none + `"\x01" (character 3)`, parsed(spelled)},
		{"all are there", "abba", "", parsed(spelled)},
		{"nothing", "", "", parsed(tiny())},
		{"an added token", "<s>a", "", parsed(small())},
		{"a whole word that is a token", "b", "", parsed(tiny(`"merges"`, `"ignore_merges":true,"merges"`))},
		{"many", "cdefgh", `6 of 6 characters (100%)` + none + `"c" (character 1), "d" (character 2), "e" (character 3), "f" (character 4), "g" (character 5) and 1 more`, parsed(tiny())},
		{"an unknown token", "a漢b漢漢", `3 of 6 characters (50%) become the unknown token "<unk>": "漢" (character 2)`, unknown},
		{"bytes in the place of characters", "a漢b", "", bytes},
	} {
		if got := c.tok.MissingIn(c.text); got != c.note {
			t.Errorf("%s: found    %q\nexpected %q", c.what, got, c.note)
		}
	}
	found := parsed(tiny()).MissingNote(func(yield func(place, text string) bool) { _ = yield("line 1", "ab") && yield("line 3", "ac") })
	if want := `1 of 4 characters (25%)` + none + `"c" (line 3, character 2)`; found != want {
		t.Errorf("two texts: found %q, expected %q", found, want)
	}
}
