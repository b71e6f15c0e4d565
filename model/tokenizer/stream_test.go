package tokenizer

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// TestStreamIsValid streams ids drawn by chance: what comes out is valid UTF-8 at every step, and
// Decode with its broken bytes marked.
func TestStreamIsValid(t *testing.T) {
	tok := trained(t)
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOf(rapid.Int32Range(-1, int32(tok.Vocab()))).Draw(t, "ids")
		raw := rapid.String().Draw(t, "text")
		ids = append(ids, tok.Encode(raw)...)
		d := tok.NewDecoder()
		var b strings.Builder
		for i, id := range ids {
			text := d.Push(id)
			if !utf8.ValidString(text) {
				t.Fatalf("after %v: %q", ids[:i+1], text)
			}
			b.WriteString(text)
		}
		b.WriteString(d.Flush())
		if got, want := b.String(), marked(tok.Decode(ids)); got != want {
			t.Fatalf("%v: streamed %q, expected %q", ids, got, want)
		}
		if d.Push(tok.ids["a"]) != "a" {
			t.Fatal("Flush does not begin a new text")
		}
	})
}

// marked writes U+FFFD for each longest beginning of a character that does not go on, and for each
// byte that begins none: what The Unicode Standard calls the maximal subparts of an ill-formed
// sequence, found here by trying lengths.
func marked(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		if r, n := utf8.DecodeRuneInString(s); r != utf8.RuneError || n > 1 {
			b.WriteString(s[:n])
			s = s[n:]
			continue
		}
		n := 1
		for k := 2; k <= min(3, len(s)); k++ {
			if begins(s[:k]) {
				n = k
			}
		}
		b.WriteString("\uFFFD")
		s = s[n:]
	}
	return b.String()
}

// begins reports whether some character has s for its first bytes.
func begins(s string) bool {
	for a := 0x80; a < 0xC0; a++ {
		for _, tail := range []string{string([]byte{byte(a)}), string([]byte{byte(a), 0x80})} {
			if r, n := utf8.DecodeRuneInString(s + tail); (r != utf8.RuneError || n == 3) && n == len(s)+len(tail) {
				return true
			}
		}
	}
	return false
}

func TestStreamKinds(t *testing.T) {
	byteFallback, err := Parse([]byte(`{"pre_tokenizer":null,"normalizer":null,
		"decoder":{"type":"Sequence","decoders":[{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":"__","start":2,"stop":0}]},
		"model":{"type":"BPE","byte_fallback":true,"vocab":{"_":0,"é":1,"<0xE4>":2,"<0xBD>":3,"<0xA0>":4,"a":5},"merges":[]}}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ids  []int32
		want []string // after each id, and at the end
	}{
		{[]int32{2, 3, 4}, []string{"", "", "你", ""}},
		{[]int32{2, 5}, []string{"", "\uFFFDa", ""}},
		{[]int32{2, 3}, []string{"", "", "\uFFFD"}},
		{[]int32{4, 4}, []string{"\uFFFD", "\uFFFD", ""}},
		{[]int32{0, 5}, []string{"", "_a", ""}},
		{[]int32{0, 0, 0, 0, 0, 0}, []string{"", "", "", "", "_", "_", ""}},
		{[]int32{0}, []string{"", "_"}},
	} {
		d := byteFallback.NewDecoder()
		var got []string
		for _, id := range c.ids {
			got = append(got, d.Push(id))
		}
		got = append(got, d.Flush())
		if !slices.Equal(got, c.want) {
			t.Errorf("%v: %q, expected %q", c.ids, got, c.want)
		}
	}
}
