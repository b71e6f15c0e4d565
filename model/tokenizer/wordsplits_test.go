package tokenizer

import (
	"strings"
	"testing"
)

// TestNamedSplits holds names of tokenizer.ggml.pre to the pieces that Oniguruma finds.
func TestNamedSplits(t *testing.T) {
	const text = "It's DON'T  12345, x=a+b\n\n  你好 Ünï https://a.b 1234567"
	for _, c := range []struct{ name, want string }{
		{"starcoder", "It|'s| DON|'|T|  |1|2|3|4|5|,| x|=|a|+|b|\n\n | 你好| Ünï| https|://|a|.|b| |1|2|3|4|5|6|7"},
		{"smollm", "It|'s| DON|'|T|  |1|2|3|4|5|,| x|=|a|+|b|\n\n | 你好| Ünï| https|://|a|.|b| |1|2|3|4|5|6|7"},
		{"falcon", "It|'|s| DON|'|T| | |123|45|,| x|=|a|+|b|\n\n | 你好| Ünï| https|://|a|.|b| |123|456|7"},
		{"deepseek-coder", "It|'|s| DON|'|T|  |1|2|3|4|5|,| x|=|a|+|b|\n|\n| | |你好| Ünï| https|://|a|.|b| |1|2|3|4|5|6|7"},
		{"deepseek-v3", "It|'s| DON|'T|  |123|45|,| x|=a|+b|\n\n|  |你好| Ünï| https|://|a|.b| |123|456|7"},
		{"tekken", "It|'s| DON|'T| | |1|2|3|4|5|,| x|=a|+b|\n\n| | 你好| Ünï| https|://|a|.b| |1|2|3|4|5|6|7"},
		{"llama4", "It's| DON'T| | |123|45|,| x|=a|+b|\n\n| | 你好| Ünï| https|://|a|.b| |123|456|7"},
		{"bloom", "It's| DON'T| | 12345|,| x=a+b|\n\n | 你好| Ünï| https://a|.|b| 1234567"},
		{"superbpe", "It's DON'T  |12|345|, x=a+b\n\n  你好 Ünï https://a.b |1|234|567"},
		{"bailingmoe", "It|'s| DON|'T| | |1|2|3|4|5|,| x|=a|+b|\n\n| | 你好| Ünï| https|://|a|.b| |1|2|3|4|5|6|7"},
		{"default", "It|'|s| DON|'|T| | |123|45|,| x|=|a|+|b|\n\n | 你好| Ünï| https|://|a|.|b| |123|456|7"},
	} {
		tok, err := FromVocabulary(Vocabulary{Model: "gpt2", Pre: c.name, Tokens: []string{"a"}, BOS: -1, EOS: -1, Unknown: -1, Padding: -1})
		if err != nil {
			t.Fatal(err)
		}
		var pieces []string
		splitAll(tok.splitters, text, func(piece string) { pieces = append(pieces, piece) })
		if got := strings.Join(pieces, "|"); got != c.want {
			t.Errorf("%s: %q, expected %q", c.name, got, c.want)
		}
	}
	for _, name := range splitNames() {
		if _, err := FromVocabulary(Vocabulary{Model: "gpt2", Pre: name, Tokens: []string{"a"}, BOS: -1, EOS: -1, Unknown: -1, Padding: -1}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTekken: special tokens come first, and words follow by their ranks.
func TestTekken(t *testing.T) {
	file := `{"config":{"pattern":"\\p{L}+|\\s","default_vocab_size":7,"default_num_special_tokens":4},"vocab":[{"rank":0,"token_bytes":"YQ=="},{"rank":1,"token_bytes":"Yg=="},{"rank":2,"token_bytes":"YWI="},{"rank":3,"token_bytes":"Yw=="}],
		"special_tokens":[{"rank":0,"token_str":"<unk>"},{"rank":1,"token_str":"<s>"},{"rank":2,"token_str":"</s>"}]}`
	tok := load(t, files(t, map[string]string{"tekken.json": file}))
	if got := tok.EncodeSpecial("abb</s>a"); len(got) != 5 || got[0] != 1 || got[1] != 6 || got[2] != 5 || got[3] != 2 || got[4] != 4 || tok.Vocab() != 7 || tok.Token(3) != "<SPECIAL_3>" {
		t.Errorf("%v of %d tokens", got, tok.Vocab())
	}
	saveAndLoad(t, tok)
	for old, want := range map[string]string{`"rank":1,"token_bytes"`: "vocab[1].rank: found 7, expected 1"} {
		if _, err := readTekken([]byte(strings.Replace(file, old, strings.Replace(old, "1", "7", 1), 1))); err == nil || err.Error() != want {
			t.Errorf("found %v, expected %s", err, want)
		}
	}
}

func FuzzTekken(f *testing.F) {
	f.Add([]byte(`{"config":{"pattern":"\\p{L}+","default_vocab_size":3},"vocab":[{"rank":0,"token_bytes":"YQ=="}],"special_tokens":[{"rank":0,"token_str":"<s>"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if tok, err := built(readTekken(data)); err == nil {
			use(t, tok)
		}
	})
}
