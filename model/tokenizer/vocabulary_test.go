package tokenizer

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestScoresByDefinition holds merging by scores to a plain reading of SentencePiece: of all
// neighbours that make a token, the pair with the highest score is merged, the leftmost of equals.
func TestScoresByDefinition(t *testing.T) {
	v := Vocabulary{Model: "llama", BOS: -1, EOS: -1, Unknown: 0, Padding: -1, AddSpacePrefix: pointer(false),
		Tokens: []string{"<unk>", "a", "b", "aa", "aaa", "ab", "aab", "bb", "ba", "aaaa"}}
	for i := range v.Tokens {
		v.Types, v.Scores = append(v.Types, TypeNormal), append(v.Scores, float32(-i%4))
	}
	v.Types[0] = TypeUnknown
	tok, err := FromVocabulary(v)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.RuneFrom([]rune("aab"))).Draw(t, "text")
		parts := strings.Split(text, "")
		for {
			best := -1
			for i := range len(parts) - 1 {
				id, ok := tok.ID(parts[i] + parts[i+1])
				if !ok {
					continue
				}
				if best < 0 || v.Scores[id] > v.Scores[tok.ids[parts[best]+parts[best+1]]] {
					best = i
				}
			}
			if best < 0 {
				break
			}
			parts = slices.Replace(parts, best, best+2, parts[best]+parts[best+1])
		}
		var want []int32
		for _, p := range parts {
			want = append(want, tok.ids[p])
		}
		if got := tok.Encode(text); !slices.Equal(got, want) {
			t.Fatalf("%q: %v, expected %v", text, got, want)
		}
	})
}

// TestVocabularyThereAndBack: a tokenizer.json whose order of merges is one of tokens can be
// written as scores.
func TestVocabularyThereAndBack(t *testing.T) {
	texts := corpora(t)
	for _, kind := range kinds {
		tok := kind.make(t)
		v, err := tok.Vocabulary()
		if kind.name == "other pattern" {
			if err == nil {
				t.Error("a pattern that has no name was written")
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", kind.name, err)
			continue
		}
		again, err := FromVocabulary(v)
		if err != nil {
			t.Errorf("%s: %v", kind.name, err)
			continue
		}
		// How a special token takes the space beside it is what a GGUF file cannot say.
		text := texts["shakespeare"][:100000] + strings.ReplaceAll(texts["wikitext"][:100000], "<unk>", "unk")
		if got, want := again.EncodeSpecial(text), tok.EncodeSpecial(text); !slices.Equal(got, want) {
			t.Errorf("%s: encodes differently after FromVocabulary(Vocabulary())", kind.name)
		}
		if again.Vocab() != tok.Vocab() || again.BOS() != tok.BOS() || again.EOS() != tok.EOS() {
			t.Errorf("%s: vocabulary %d, bos %d, eos %d; expected %d, %d, %d", kind.name, again.Vocab(), again.BOS(), again.EOS(), tok.Vocab(), tok.BOS(), tok.EOS())
		}
	}
}

func TestVocabularyRefusals(t *testing.T) {
	good := func() Vocabulary {
		return Vocabulary{Model: "llama", Tokens: []string{"<unk>", "a", "▁"}, Scores: []float32{0, -1, -2}, Types: []int32{2, 1, 1}, BOS: -1, EOS: -1, Unknown: 0, Padding: -1}
	}
	if _, err := FromVocabulary(good()); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(v *Vocabulary){
		"vocabulary: tokens: found none":          func(v *Vocabulary) { v.Tokens = nil },
		"vocabulary: types: found 2 for 3 tokens": func(v *Vocabulary) { v.Types = v.Types[:2] },
		"vocabulary: scores: found none, expected one for each token: they say in which order the model llama merges": func(v *Vocabulary) { v.Scores = nil },
		"vocabulary: scores[1] of \"a\": found NaN":                                 func(v *Vocabulary) { v.Scores[1] = float32(math.NaN()) },
		"vocabulary: bos token: found id 3, expected -1 or an id below 3":           func(v *Vocabulary) { v.BOS = 3 },
		"vocabulary: eos token: found id -2, expected -1 or an id below 3":          func(v *Vocabulary) { v.EOS = -2 },
		"vocabulary: token 1: found type 9, expected 1 to 6":                        func(v *Vocabulary) { v.Types[1] = 9 },
		"vocabulary: token \"a\": found two ids, 1 and 2":                           func(v *Vocabulary) { v.Tokens[2] = "a" },
		"vocabulary: model \"bert\" is not supported, expected gpt2 or llama":       func(v *Vocabulary) { v.Model = "bert" },
		"vocabulary: merges[0] \"ab\": expected two parts with a space between":     func(v *Vocabulary) { v.Model, v.Pre, v.Merges = "gpt2", "gpt-2", []string{"ab"} },
		"vocabulary: merges[0] \"\": expected two parts with a space between":       func(v *Vocabulary) { v.Model, v.Pre, v.Merges = "gpt2", "gpt-2", []string{""} },
		"vocabulary: model.merges[0] [\"a\" \"x\"]: \"x\" is not in the vocabulary": func(v *Vocabulary) { v.Model, v.Pre, v.Merges = "gpt2", "gpt-2", []string{"a x"} },
		"vocabulary: token 1: found 2000 bytes, expected at most 1024":              func(v *Vocabulary) { v.Tokens[1] = strings.Repeat("a", 2000) },
	} {
		v := good()
		change(&v)
		if _, err := FromVocabulary(v); err == nil || err.Error() != want {
			t.Errorf("found    %v\nexpected %s", err, want)
		}
	}
	// What a GGUF file cannot say.
	for _, c := range []struct{ file, want string }{
		{tiny(`"add_prefix_space":false`, `"add_prefix_space":true`), "add_prefix_space of a byte-level tokenizer cannot be written"},
		{tiny(`{"type":"ByteLevel","add_prefix_space":false}`, `{"type":"Sequence","pretokenizers":[{"type":"Digits"},{"type":"ByteLevel","add_prefix_space":false}]}`), `vocabulary: tokenizer.json: GGUF has no name for the pre_tokenizer {"type":"Sequence","pretokenizers":[{"ty… with the normalizer null and ignore_merges false; a Hugging Face folder holds`},
		{tiny(`["a b"]`, `[]`), `the tokenizer has no merges, so that no text becomes "ab", and other engines would take the file for one that lost them: if it is a special token, list it in added_tokens`},
		{`{"decoder":{"type":"Fuse"},"model":{"vocab":{"a":0,"b":1,"ab":2,"▁":3},"merges":["a b"]}}`, "normalizer null cannot be written"},
		{`{"normalizer":{"type":"Replace","pattern":{"String":" "},"content":"▁"},"decoder":{"type":"Fuse"},"model":{"vocab":{"a":0,"b":1,"ab":2,"▁":3,"aab":4,"aa":5},"merges":["a b","a ab"]}}`, `token "aa" would be made of "a" and "a", which no merge does`},
		{`{"normalizer":{"type":"Replace","pattern":{"String":" "},"content":"▁"},"decoder":{"type":"Fuse"},"model":{"vocab":{"a":0,"b":1,"ab":2,"▁":3,"aab":4,"aa":5},"merges":["a ab","a b","aa b"]}}`, `merges[2] ["aa" "b"] makes a token that earlier merges make`},
	} {
		tok, err := Parse([]byte(c.file))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tok.Vocabulary(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("found    %v\nexpected %s", err, c.want)
		}
	}
}
