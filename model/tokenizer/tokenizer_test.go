package tokenizer

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"slimlab/internal/shareddata"
)

// story is a small training text with what real text has: contractions, numbers, punctuation, other
// scripts, odd white space.
const story = `The member liked the red lamp. The member didn't like the blue lamp, but they'll like 42 lamps!
Item 1999: "wooden chair" (skipped) -- item 2024: "wooden table" (liked).
Żółć, naïve café, 你好世界, 🙂🙂, ١٢٣.
	tab and   spaces` + "\r\n\r\n" + `the the the lamp lamp lamp member member member`

func trained(t testing.TB) *Tokenizer {
	t.Helper()
	tok, err := Train(slices.Values([]string{story, story, "the lamps are lamps"}), 400, []string{"<|bos|>", "<|eos|>"})
	if err != nil {
		t.Fatal(err)
	}
	if err := tok.SetSpecial("<|bos|>", "<|eos|>"); err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestByteLevelIsLossless(t *testing.T) {
	tok := trained(t)
	check := func(t interface{ Fatalf(string, ...any) }, s string) {
		if got := tok.Decode(tok.Encode(s)); got != s {
			t.Fatalf("decode(encode(%q)) = %q", s, got)
		}
	}
	check(t, story)
	rapid.Check(t, func(t *rapid.T) { check(t, rapid.String().Draw(t, "text")) })
	rapid.Check(t, func(t *rapid.T) { check(t, string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))) })
}

func TestSpecialTokens(t *testing.T) {
	tok := trained(t)
	ids := tok.EncodeSpecial("the lamp<|eos|>")
	if ids[0] != tok.BOS() || ids[len(ids)-1] != tok.EOS() || tok.BOS() != 0 || tok.EOS() != 1 {
		t.Errorf("EncodeSpecial = %v with bos %d, eos %d", ids, tok.BOS(), tok.EOS())
	}
	if got := tok.DecodeText(ids); got != "the lamp" {
		t.Errorf("DecodeText = %q", got)
	}
	if got := tok.Decode(ids); got != "<|bos|>the lamp<|eos|>" {
		t.Errorf("Decode = %q", got)
	}
	if got := tok.Decode([]int32{-1, 1 << 30}); got != "" {
		t.Errorf("Decode of unknown ids = %q", got)
	}
	if err := tok.SetSpecial("the", ""); err == nil {
		t.Error("SetSpecial took a token that is not special")
	}
}

func TestConcurrentEncode(t *testing.T) {
	tok, alone := trained(t), trained(t).Encode(story)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 50 {
				if got := tok.Encode(story); !slices.Equal(got, alone) {
					t.Errorf("Encode = %v, expected %v", got, alone)
				}
			}
		})
	}
	group.Wait()
}

// The two ways to merge are each other's oracle, and so is a plain reading of the definition.
func TestMergeOrder(t *testing.T) {
	tok := trained(t)
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringOf(rapid.RuneFrom([]rune("thelampmbr i"))).Draw(t, "word")
		symbols := tok.model.byteSymbols(nil, word)
		short, long := slices.Clone(symbols), slices.Clone(symbols)
		short, long = short[:tok.model.mergeShort(short)], long[:tok.model.mergeLong(long)]
		want := mergeByDefinition(tok, symbols)
		if !slices.Equal(short, want) || !slices.Equal(long, want) {
			t.Fatalf("%q: short %v, long %v, expected %v", word, short, long, want)
		}
	})
}

// mergeByDefinition applies the merges one rank at a time, each from the left, until none is found.
func mergeByDefinition(tok *Tokenizer, s []int32) []int32 {
	s = slices.Clone(s)
	for again := true; again; {
		again = false
		for _, pair := range tok.file.Model.Merges {
			a, b := tok.ids[pair[0]], tok.ids[pair[1]]
			for i := 0; i+1 < len(s); i++ {
				if s[i] == a && s[i+1] == b {
					s = slices.Replace(s, i, i+2, tok.ids[pair[0]+pair[1]])
					again = true
					break
				}
			}
			if again {
				break
			}
		}
	}
	return s
}

func TestScannerEqualsExpression(t *testing.T) {
	for _, c := range []struct {
		pattern string
		scanner splitter
	}{
		{gpt2Pattern, scanner{}}, {digitPattern, scanner{singleDigits: true}},
		{llama3Pattern, caseScanner{digits: 3}}, {qwen2Pattern, caseScanner{digits: 1}},
	} {
		re, err := compile(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		expression := &expressionSplitter{re: re}
		pieces := func(s splitter, text string) (list []string) {
			s.split(text, func(p string) { list = append(list, p) })
			return list
		}
		check := func(t interface{ Fatalf(string, ...any) }, text string) {
			got, want := pieces(c.scanner, text), pieces(expression, text)
			if !slices.Equal(got, want) {
				t.Fatalf("%q: scanner %q, expression %q", text, got, want)
			}
		}
		check(t, story)
		alphabet := []rune("aZé你 \t\n\r\u00a0\u2003'stmdrevlSTMDREVL12٣Ⅷ.,!\u0301🙂\ufffd")
		rapid.Check(t, func(t *rapid.T) { check(t, rapid.StringOf(rapid.RuneFrom(alphabet)).Draw(t, "text")) })
		rapid.Check(t, func(t *rapid.T) { check(t, string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))) })
	}
}

func TestTinyStories(t *testing.T) {
	tok, err := Load(shareddata.Path(t, "models", "TinyStories-656K"))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct {
		Prompt string             `json:"prompt"`
		IDs    map[string][]int32 `json:"prompt_ids"`
	}
	readJSON(t, shareddata.Path(t, "vectors", "llamacpp-golden", "manifest.json"), &manifest)
	if got, want := tok.EncodeSpecial(manifest.Prompt), manifest.IDs["tinystories-656K"]; !slices.Equal(got, want) {
		t.Errorf("EncodeSpecial(%q) = %v, expected %v", manifest.Prompt, got, want)
	}
	if tok.BOS() != 1 || tok.EOS() != 2 || tok.Vocab() != 2048 {
		t.Errorf("bos %d, eos %d, vocabulary %d; expected 1, 2, 2048", tok.BOS(), tok.EOS(), tok.Vocab())
	}
	sample, err := os.ReadFile(shareddata.Path(t, "vectors", "llamacpp-golden", "ppl_sample.txt"))
	if err != nil {
		t.Fatal(err)
	}
	ids := tok.Encode(string(sample))
	if i := slices.Index(ids, 0); i >= 0 {
		t.Fatalf("token %d of the sample is the unknown token, after %q", i, tok.Decode(ids[:i]))
	}
	if got := tok.DecodeText(ids); got != string(sample) {
		t.Errorf("decode(encode(sample)) differs from the sample:\n%q\n%q", got, sample)
	}
	// An added token that is normalized is matched with the normalizer's prefix before it.
	if got := tok.Encode("Once <|end_story|>"); got[len(got)-1] != tok.EOS() {
		t.Errorf("end of story not found in %v", got)
	}
	saved := saveAndLoad(t, tok)
	if !slices.Equal(saved.Encode(string(sample)), ids) {
		t.Error("the saved tokenizer encodes differently")
	}
}

func TestModeloptMini(t *testing.T) {
	data, err := os.ReadFile(shareddata.Path(t, "tokenizers", "modelopt-mini", "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	tok, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if ids := tok.EncodeSpecial("!~"); ids[0] != 100 || tok.DecodeText(ids[1:]) != "!~" || tok.BOS() != 100 {
		t.Errorf("EncodeSpecial = %v, bos %d", ids, tok.BOS())
	}
}

func readJSON(t testing.TB, name string, v any) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func FuzzEncodeDecode(f *testing.F) {
	tok := trained(f)
	for _, seed := range []string{story, "", "<|bos|>", "\xff\x00 a", strings.Repeat("ab", 100)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ids := tok.Encode(text)
		if got := tok.Decode(ids); got != text {
			t.Fatalf("decode(encode(%q)) = %q", text, got)
		}
		for _, id := range ids {
			if id < 0 || int(id) >= tok.Vocab() {
				t.Fatalf("id %d outside the vocabulary of %d", id, tok.Vocab())
			}
		}
	})
}
