package tokenizer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func saveAndLoad(t testing.TB, tok *Tokenizer) *Tokenizer {
	t.Helper()
	dir := t.TempDir()
	if err := tok.Save(dir); err != nil {
		t.Fatal(err)
	}
	loaded, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if loaded.Hash() != tok.Hash() || loaded.BOS() != tok.BOS() || loaded.EOS() != tok.EOS() || loaded.Vocab() != tok.Vocab() {
		t.Errorf("loaded: hash %s, bos %d, eos %d, vocabulary %d; saved: %s, %d, %d, %d",
			loaded.Hash(), loaded.BOS(), loaded.EOS(), loaded.Vocab(), tok.Hash(), tok.BOS(), tok.EOS(), tok.Vocab())
	}
	return loaded
}

func TestSaveLoad(t *testing.T) {
	tok := trained(t)
	loaded := saveAndLoad(t, tok)
	if got, want := loaded.EncodeSpecial(story), tok.EncodeSpecial(story); !slices.Equal(got, want) {
		t.Errorf("loaded tokenizer encodes %v, expected %v", got, want)
	}
	if err := tok.SetSpecial("", "<|eos|>"); err != nil {
		t.Fatal(err)
	}
	if tok.Hash() == loaded.Hash() {
		t.Error("another BOS, the same hash")
	}
	saveAndLoad(t, tok)
}

func TestConfigIsKept(t *testing.T) {
	dir := t.TempDir()
	if err := trained(t).Save(dir); err != nil {
		t.Fatal(err)
	}
	config := `{"bos_token":{"content":"<|eos|>"},"chat_template":"{{ x }}"}`
	if err := os.WriteFile(filepath.Join(dir, "tokenizer_config.json"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	tok, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if tok.BOS() != 1 {
		t.Errorf("bos %d, expected 1: tokenizer_config.json comes first", tok.BOS())
	}
	if err := tok.Save(dir); err != nil {
		t.Fatal(err)
	}
	saved, err := os.ReadFile(filepath.Join(dir, "tokenizer_config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(saved), `"chat_template": "{{ x }}"`) {
		t.Errorf("the chat template was lost: %s", saved)
	}
}

// tiny is a tokenizer.json with holes for a component and its replacement.
func tiny(replacements ...string) string {
	s := `{"added_tokens":[],"normalizer":null,"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},"post_processor":null,` +
		`"decoder":{"type":"ByteLevel"},"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}}`
	r := strings.NewReplacer(replacements...)
	return r.Replace(s)
}

func TestMergeSpellings(t *testing.T) {
	for _, merges := range []string{`["a b"]`, `[["a","b"]]`} {
		tok, err := Parse([]byte(tiny(`["a b"]`, merges)))
		if err != nil {
			t.Fatal(err)
		}
		if got := tok.Encode("abb"); !slices.Equal(got, []int32{2, 1}) {
			t.Errorf("%s: Encode = %v, expected [2 1]", merges, got)
		}
	}
}

func TestAddedTokens(t *testing.T) {
	for _, c := range []struct {
		added, text string
		want        []int32
	}{
		// "<" and "x" are not in the vocabulary, which names no unknown token.
		{`{"id":3,"content":"<x>","special":true}`, "a<x>b<x", []int32{0, 3, 1}},
		{`{"id":0,"content":"a","single_word":true}`, "ab a", []int32{2, 0}},
		{`{"id":3,"content":"<x>","lstrip":true,"rstrip":true}`, "a  <x>\n b", []int32{0, 3, 1}},
		{`{"id":3,"content":"<x"},{"id":4,"content":"<x>"}`, "<x><x", []int32{4, 3}},
	} {
		tok, err := Parse([]byte(tiny(`"added_tokens":[]`, `"added_tokens":[`+c.added+`]`)))
		if err != nil {
			t.Fatal(err)
		}
		if got := tok.Encode(c.text); !slices.Equal(got, c.want) {
			t.Errorf("%s: Encode(%q) = %v, expected %v", c.added, c.text, got, c.want)
		}
	}
}

func TestCharactersAndFallback(t *testing.T) {
	tok, err := Parse([]byte(`{"pre_tokenizer":null,"normalizer":{"type":"Prepend","prepend":"_"},
		"decoder":{"type":"Sequence","decoders":[{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":"_","start":1,"stop":0}]},
		"model":{"type":"BPE","unk_token":"?","fuse_unk":true,"byte_fallback":true,"vocab":{"?":0,"_":1,"é":2,"<0xC3>":3,"<0xA8>":4,"_é":5},"merges":["_ é"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	// è falls back to its two bytes, the Chinese characters to one unknown token.
	if got, want := tok.Encode("éè你好_"), []int32{5, 3, 4, 0, 1}; !slices.Equal(got, want) {
		t.Errorf("Encode = %v, expected %v", got, want)
	}
	if got := tok.Decode([]int32{5, 3, 4}); got != "éè" {
		t.Errorf("Decode = %q", got)
	}
}

func TestRefusals(t *testing.T) {
	pre := `{"type":"ByteLevel","add_prefix_space":false}`
	for _, c := range []struct{ file, want string }{
		{tiny(`"type":"BPE"`, `"type":"Unigram"`), `model: type "Unigram" is not supported, expected BPE`},
		{tiny(`"merges"`, `"dropout":0.1,"merges"`), `model.dropout: 0.1 is not supported, expected null`},
		{tiny(`"merges"`, `"end_of_word_suffix":"</w>","merges"`), `model.end_of_word_suffix: "</w>" is not supported, expected null`},
		{tiny(`"merges"`, `"unk_token":"?","merges"`), `model.unk_token "?" is not in the vocabulary`},
		{tiny(`["a b"]`, `["a c"]`), `model.merges[0] ["a" "c"]: "c" is not in the vocabulary`},
		{tiny(`["a b"]`, `["a b c"]`), `model.merges[0] "a b c": found 3 parts, expected 2`},
		{tiny(`"b":1`, `"b":0`), `id 0: found two tokens, "a" and "b"`},
		{tiny(`"b":1`, `"b":2000000000`), `token "b": found id 2000000000, expected an id below 65539 in a vocabulary of 3 tokens`},
		{tiny(`{"a":0,"b":1,"ab":2}`, `{}`), `model.vocab: found no tokens`},
		{tiny(`"added_tokens":[]`, `"added_tokens":[{"id":7,"content":"a"}]`), `token "a": found two ids, 0 and 7`},
		{tiny(`"normalizer":null`, `"normalizer":{"type":"Precompiled"}`), `normalizer: type "Precompiled" is not supported, expected NFC, NFD, NFKC, NFKD, Lowercase, Prepend, Replace, Strip or Sequence`},
		{tiny(pre, `{"type":"Sequence","pretokenizers":[{"type":"Whitespace"}]}`), `pre_tokenizer.pretokenizers[0]: type "Whitespace" is not supported, expected ByteLevel, Digits, Metaspace, Split or Sequence`},
		{tiny(pre, `{"type":"Split","pattern":{"Regex":"a"},"behavior":"Dropped","invert":false}`), `pre_tokenizer: Split behavior "Dropped" is not supported, expected Isolated, Removed, MergedWithPrevious, MergedWithNext or Contiguous`},
		{tiny(pre, `null`), `decoder: found byte-level true, but the pre_tokenizer is byte-level false`},
		{tiny(`"post_processor":null`, `"post_processor":{"type":"BertProcessing"}`), `post_processor: type "BertProcessing" is not supported, expected ByteLevel, TemplateProcessing or Sequence`},
		{tiny(`"post_processor":null`, `"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"x"}},{"Sequence":{"id":"A"}}],"special_tokens":{"x":{"ids":[9]}}}`), `post_processor.special_tokens "x": found id 9, expected an id below 3`},
		{tiny(`"decoder":{"type":"ByteLevel"}`, `"decoder":null`), `decoder: null is not supported, expected ByteLevel, or a Sequence of Replace, ByteFallback, Metaspace, Fuse and Strip`},
		{tiny(`"normalizer":null`, `"normalizer":{"type":"Prepend","prepend":"`+strings.Repeat("a", 65)+`"}`), `normalizer: Prepend of 65 bytes, expected at most 64`},
		{tiny(`"normalizer":null`, `"normalizer":{"type":"Sequence","normalizers":[{"type":"Replace","pattern":{"String":"a"},"content":"aaaaaaaaa"},{"type":"Replace","pattern":{"String":"a"},"content":"aaaaaaaaa"}]}`), `normalizer: a character may become 81 bytes, expected at most 64`},
		{tiny(`"normalizer":null`, `"normalizer":{"type":"Sequence","normalizers":[`+strings.Repeat(`{"type":"NFC"},`, 64)+`{"type":"NFC"}]}`), `normalizer.normalizers: found 65 components, expected at most 64`},
		{tiny(`"normalizer":null`, `"normalizer":`+strings.Repeat(`{"type":"Sequence","normalizers":[`, 9)+`{"type":"NFC"}`+strings.Repeat(`]}`, 9)), `normalizer` + strings.Repeat(".normalizers[0]", 8) + `: Sequences nest deeper than 8`},
		{tiny(pre, `{"type":"Metaspace","replacement":""}`), `pre_tokenizer: Metaspace has a replacement of 0 bytes, expected a character such as "▁"`},
		{tiny(pre, `{"type":"Metaspace","prepend_scheme":"last"}`), `pre_tokenizer: prepend_scheme "last" is not supported, expected always, first or never`},
		{tiny(pre, `{"type":"Sequence","pretokenizers":[{"type":"Digits"},{"type":"Metaspace"}]}`), `pre_tokenizer.pretokenizers[1]: Metaspace after another pre_tokenizer is not supported, expected it to be the first`},
		{tiny(pre, `{"type":"Split","pattern":{"String":""},"behavior":"Isolated"}`), `pre_tokenizer: Split has no pattern, expected a Regex or a String, not empty`},
		{tiny(`"decoder":{"type":"ByteLevel"}`, `"decoder":{"type":"WordPiece"}`), `decoder: type "WordPiece" is not supported, expected ByteLevel, or a Sequence of Replace, ByteFallback, Metaspace, Fuse and Strip`},
		{tiny(`"decoder":{"type":"ByteLevel"}`, `"decoder":{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"Replace","pattern":{"String":"a"}}]}`), `decoder.decoders[1]: Replace after Fuse is not supported, expected Strip or nothing`},
		{tiny(`"decoder":{"type":"ByteLevel"}`, `"decoder":{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"Strip","content":"a","start":0,"stop":1}]}`), `decoder.decoders[1]: Strip after Fuse with stop 1 is not supported, expected 0: a text would have to end before its last word is known`},
		{tiny(`"decoder":{"type":"ByteLevel"}`, `"decoder":{"type":"Sequence","decoders":[{"type":"Fuse"},{"type":"ByteLevel"}]}`), `decoder.decoders[1]: ByteLevel beside other decoders is not supported, expected it alone`},
		{`{"model":`, `line 1, column 9: not JSON: the text ends within an object: it was cut off`},
	} {
		if _, err := Parse([]byte(c.file)); err == nil || err.Error() != c.want {
			t.Errorf("%s\nfound    %v\nexpected %s", c.file, err, c.want)
		}
	}
}

func TestBadPattern(t *testing.T) {
	_, err := Parse([]byte(tiny(`{"type":"ByteLevel","add_prefix_space":false}`, `{"type":"Split","pattern":{"Regex":"(a"},"behavior":"Isolated"}`)))
	if err == nil || !strings.HasPrefix(err.Error(), `pre_tokenizer: pattern "(a": `) {
		t.Errorf("found %v", err)
	}
}

func TestLoadNames(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(dir); err == nil || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty folder: %v", err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(tiny()))
	f.Add([]byte(tiny(`["a b"]`, `[["a","b"]]`, `"normalizer":null`, `"normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]}`)))
	f.Add([]byte(tiny(`"added_tokens":[]`, `"added_tokens":[{"id":3,"content":"<x>","lstrip":true,"rstrip":true,"single_word":true,"normalized":true,"special":true}]`)))
	f.Add([]byte(`{"model":{"vocab":{"a":-1}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		tok, err := Parse(data)
		if err != nil {
			return
		}
		// What was read can be used, and what is written is read back as the same.
		for _, text := range []string{"", "a ab\xff b", "é<x> 12"} {
			for _, id := range tok.EncodeSpecial(text) {
				if id < 0 || int(id) >= tok.Vocab() {
					t.Fatalf("id %d outside the vocabulary of %d", id, tok.Vocab())
				}
			}
		}
		tok.Decode([]int32{0, 1, 2, 3})
		saved, err := marshal(tok.canonical())
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(saved)
		if err != nil {
			t.Fatalf("saved file is not read: %v\n%s", err, saved)
		}
		if again.Hash() != tok.Hash() {
			t.Fatalf("another hash after saving:\n%s", saved)
		}
	})
}
