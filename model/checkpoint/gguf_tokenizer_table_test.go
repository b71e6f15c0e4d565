package checkpoint

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slimlab/model"
	"slimlab/model/checkpoint/gguf"
)

// wordVocabulary and characterVocabulary are small vocabularies of the two models.
var (
	wordVocabulary = gguf.Metadata{
		{Key: ggufTokenizer + "model", Value: "gpt2"}, {Key: ggufTokenizer + "pre", Value: "gpt-2"},
		{Key: ggufTokenizer + "tokens", Value: []string{"a", "b", "ab", "<s>", "<|im_end|>"}}, {Key: ggufTokenizer + "token_type", Value: []int32{1, 1, 1, 3, 4}},
		{Key: ggufTokenizer + "merges", Value: []string{"a b"}},
	}
	characterVocabulary = gguf.Metadata{
		{Key: ggufTokenizer + "model", Value: "llama"}, {Key: ggufTokenizer + "pre", Value: "default"},
		{Key: ggufTokenizer + "tokens", Value: []string{"<unk>", "<s>", "</s>", "a", "b", "ab", "▁"}}, {Key: ggufTokenizer + "token_type", Value: []int32{2, 3, 3, 1, 1, 1, 1}},
		{Key: ggufTokenizer + "scores", Value: []float32{0, 0, 0, -1, -2, -3, -4}},
	}
)

// withKeys is metadata with other values of some keys; nil takes a key out.
func withKeys(m gguf.Metadata, pairs ...gguf.Pair) gguf.Metadata {
	m = slices.Clone(m)
	for _, p := range pairs {
		m = slices.DeleteFunc(m, func(q gguf.Pair) bool { return q.Key == p.Key })
		if p.Value != nil {
			m = append(m, p)
		}
	}
	return m
}

// Every key of the tokenizer is read, refused by name, known, or noted; where two contradict each
// other a note says which was followed.
func TestGGUFTokenizerKeys(t *testing.T) {
	const g = ggufTokenizer
	const byDefault = "texts are split as llama.cpp's default does (runs of punctuation first, then GPT-2's words, then digits by threes), which is seldom how the model was trained"
	for _, c := range []struct {
		of        gguf.Metadata
		change    []gguf.Pair
		note, err string
	}{
		{wordVocabulary, nil, "", ""},
		{characterVocabulary, nil, "", ""},
		// keys
		{wordVocabulary, []gguf.Pair{{Key: g + "wonder", Value: true}}, "metadata: tokenizer.ggml.wonder is no key that slimlab knows, and was not read", ""},
		{wordVocabulary, []gguf.Pair{{Key: "tokenizer.wonder", Value: "x"}}, "metadata: tokenizer.wonder is no key", ""},
		{characterVocabulary, []gguf.Pair{{Key: g + "wonder", Value: true}, {Key: g + "more", Value: true}}, "metadata: tokenizer.ggml.more, tokenizer.ggml.wonder are no keys", ""},
		{wordVocabulary, []gguf.Pair{{Key: g + "fim_pre_token_id", Value: uint32(1)}, {Key: g + "mask_token_id", Value: uint32(1)}, {Key: g + "token_type_count", Value: uint32(1)}, {Key: g + "add_sep_token", Value: true}}, "", ""},
		{wordVocabulary, []gguf.Pair{{Key: ggufHuggingFace, Value: "{}"}}, "", ""},
		{wordVocabulary, []gguf.Pair{{Key: g + "normalizer.lowercase", Value: true}}, "", `metadata key "tokenizer.ggml.normalizer.lowercase": found true: text in lower case or without accents is not supported`},
		{wordVocabulary, []gguf.Pair{{Key: g + "normalizer.lowercase", Value: false}}, "", ""},
		{wordVocabulary, []gguf.Pair{{Key: g + "suppress_tokens", Value: []int32{3}}}, "", `metadata key "tokenizer.ggml.suppress_tokens": found [3]: tokens that are never drawn is not supported`},
		{wordVocabulary, []gguf.Pair{{Key: g + "suppress_tokens", Value: []int32{}}}, "", ""},
		{characterVocabulary, []gguf.Pair{{Key: g + "precompiled_charsmap", Value: []uint8{1, 2, 3}}}, "", `metadata key "tokenizer.ggml.precompiled_charsmap": found "AQID": text that a table of characters rewrites is not supported`},
		{characterVocabulary, []gguf.Pair{{Key: g + "precompiled_charsmap", Value: []uint8{}}}, "", ""},
		{wordVocabulary, []gguf.Pair{{Key: "tokenizer.rwkv.world", Value: "1 'a' 1"}}, "", `metadata key "tokenizer.rwkv.world": found`},
		{wordVocabulary, []gguf.Pair{{Key: g + "add_bos_token", Value: "yes"}}, "", `metadata key "tokenizer.ggml.add_bos_token": found`},
		{nil, []gguf.Pair{{Key: ggufHuggingFace, Value: "{}"}}, "", `metadata key "tokenizer.huggingface.json": a tokenizer in this key alone is not supported`},
		// how a text is split
		{wordVocabulary, []gguf.Pair{{Key: g + "pre"}}, "tokenizer.ggml.pre is absent: " + byDefault, ""},
		{wordVocabulary, []gguf.Pair{{Key: g + "pre", Value: ""}}, "tokenizer.ggml.pre is absent: " + byDefault, ""},
		{wordVocabulary, []gguf.Pair{{Key: g + "pre", Value: "default"}}, `tokenizer.ggml.pre is "default": ` + byDefault, ""},
		{wordVocabulary, []gguf.Pair{{Key: g + "pre", Value: "gpt-3"}}, "", `pre "gpt-3": expected one of gpt-2, phi-2`},
		{characterVocabulary, []gguf.Pair{{Key: g + "pre", Value: "llama-bpe"}}, `tokenizer.ggml.pre is "llama-bpe" and is not read`, ""},
		{characterVocabulary, []gguf.Pair{{Key: g + "pre"}}, "", ""},
		// what the model needs
		{wordVocabulary, []gguf.Pair{{Key: g + "merges"}}, "", `merges: found none, expected those that make "ab"`},
		{wordVocabulary, []gguf.Pair{{Key: g + "scores", Value: []float32{1, 2, 3, 4, 5}}}, "tokenizer.ggml.scores is not read", ""},
		{characterVocabulary, []gguf.Pair{{Key: g + "scores"}}, "", "scores: found none, expected one for each token"},
		{characterVocabulary, []gguf.Pair{{Key: g + "scores", Value: []float32{0, 0}}}, "", "scores: found 2 for 7 tokens"},
		{characterVocabulary, []gguf.Pair{{Key: g + "scores", Value: make([]float32, 7)}}, "tokenizer.ggml.scores are all equal", ""},
		{characterVocabulary, []gguf.Pair{{Key: g + "merges", Value: []string{"a b"}}}, "tokenizer.ggml.merges is not read", ""},
		{characterVocabulary, []gguf.Pair{{Key: g + "token_type"}}, "", "types: found 0 for 7 tokens"},
		{wordVocabulary, []gguf.Pair{{Key: g + "token_type"}}, "tokenizer.ggml.token_type is absent: every token is text", ""},
		// what is put around a text
		{wordVocabulary, []gguf.Pair{{Key: g + "add_bos_token", Value: true}}, "tokenizer.ggml.add_bos_token is true and there is no bos_token_id: nothing is added", ""},
		{wordVocabulary, []gguf.Pair{{Key: g + "add_eos_token", Value: true}}, "tokenizer.ggml.add_eos_token is true and there is no eos_token_id: nothing is added", ""},
		{wordVocabulary, []gguf.Pair{{Key: g + "add_space_prefix", Value: true}}, "tokenizer.ggml.add_space_prefix is true and is not followed", ""},
		{characterVocabulary, []gguf.Pair{{Key: g + "remove_extra_whitespaces", Value: true}}, "metadata: tokenizer.ggml.remove_extra_whitespaces is true and is not followed", ""},
		{characterVocabulary, []gguf.Pair{{Key: g + "remove_extra_whitespaces", Value: false}}, "", ""},
		// roles beside types
		{wordVocabulary, []gguf.Pair{{Key: g + "bos_token_id", Value: uint32(2)}}, `tokenizer.ggml.bos_token_id is 2 ("ab"), which token_type says is text`, ""},
		{wordVocabulary, []gguf.Pair{{Key: g + "eos_token_id", Value: uint32(0)}}, `tokenizer.ggml.eos_token_id is 0 ("a"), which token_type says is text`, ""},
		{wordVocabulary, []gguf.Pair{{Key: g + "eot_token_id", Value: uint32(1)}}, `metadata: tokenizer.ggml.eot_token_id is 1 ("b"), which token_type says is text`, ""},
		{wordVocabulary, []gguf.Pair{{Key: g + "eos_token_id", Value: uint32(3)}, {Key: g + "eot_token_id", Value: uint32(4)}}, "", ""},
		{wordVocabulary, []gguf.Pair{{Key: g + "eos_token_id", Value: uint32(5)}}, "", "eos token: found id 5, expected -1 or an id below 5"},
		// added tokens beside types
		{wordVocabulary, []gguf.Pair{{Key: g + "added_tokens", Value: []string{"<s>", "<|im_end|>"}}}, "", ""},
		{wordVocabulary, []gguf.Pair{{Key: g + "added_tokens", Value: []string{"<s>", "ab"}}}, `metadata: tokenizer.ggml.added_tokens names "ab", which token_type says are text`, ""},
		{wordVocabulary, []gguf.Pair{{Key: g + "added_tokens", Value: []string{"<x>"}}}, `metadata: tokenizer.ggml.added_tokens names "<x>", not among the tokens`, ""},
		// conversations
		{wordVocabulary, []gguf.Pair{{Key: ggufChatTemplate, Value: "x"}, {Key: ggufChatTemplate + ".tool_use", Value: "y"}, {Key: ggufChatTemplate + "s", Value: []string{"tool_use"}}}, "metadata: chat templates of other uses are not read: tokenizer.chat_template.tool_use", ""},
		{wordVocabulary, []gguf.Pair{{Key: ggufChatTemplate + ".default", Value: "x"}}, "metadata: the chat template is that of tokenizer.chat_template.default", ""},
		{wordVocabulary, []gguf.Pair{{Key: ggufChatTemplate, Value: "x"}, {Key: ggufChatTemplate + ".default", Value: "y"}}, "metadata: chat templates of other uses are not read: tokenizer.chat_template.default", ""},
	} {
		name := filepath.Join(t.TempDir(), "x.gguf")
		if err := gguf.Write(name, withKeys(c.of, c.change...), nil); err != nil {
			t.Fatal(err)
		}
		tok, err := GGUFTokenizer(name)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%v: %v, expected %s", c.change, err, c.err)
		}
		if err == nil {
			wantNote(t, tok.Notes(), c.note)
		}
	}
}

// The template of a file that has only one by name is that one.
func TestGGUFTokenizerTemplates(t *testing.T) {
	for _, c := range []struct {
		change []gguf.Pair
		want   string
	}{
		{[]gguf.Pair{{Key: ggufChatTemplate + ".default", Value: "x"}, {Key: ggufChatTemplate + ".rag", Value: "y"}}, "x"},
		{[]gguf.Pair{{Key: ggufChatTemplate, Value: "z"}, {Key: ggufChatTemplate + ".default", Value: "x"}}, "z"},
		{[]gguf.Pair{{Key: ggufChatTemplate + ".rag", Value: "y"}}, ""},
	} {
		v, err := ggufVocabulary(withKeys(wordVocabulary, c.change...))
		if err != nil || v.ChatTemplate != c.want {
			t.Errorf("%v: found %q, %v, expected %q", c.change, v.ChatTemplate, err, c.want)
		}
	}
}

// Tokens that end a turn are found by their spelling where the file names none, with a note.
func TestGGUFEndsBySpelling(t *testing.T) {
	const g = ggufTokenizer
	tokens := gguf.Metadata{
		{Key: g + "model", Value: "gpt2"}, {Key: g + "tokens", Value: []string{"<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<|end|>", "a"}},
		{Key: g + "token_type", Value: []int32{3, 3, 3, 4, 1, 1}}, {Key: g + "eos_token_id", Value: uint32(0)},
	}
	for _, c := range []struct {
		change []gguf.Pair
		vocab  int
		want   []int
		note   string
	}{
		{nil, 6, []int{0, 2}, `by their spelling these tokens end a text too, as in llama.cpp: 2 ("<|im_end|>")`},
		{[]gguf.Pair{{Key: g + "eos_token_id", Value: uint32(2)}}, 6, []int{2, 0}, `: 0 ("<|endoftext|>")`},
		{[]gguf.Pair{{Key: g + "eos_token_id"}}, 6, []int{0, 2}, `: 0 ("<|endoftext|>"), 2 ("<|im_end|>")`},
		{[]gguf.Pair{{Key: g + "eot_token_id", Value: uint32(3)}}, 6, []int{0, 3}, ""},
		{[]gguf.Pair{{Key: g + "token_type"}}, 6, []int{0}, ""},
		{nil, 2, []int{0}, ""},
	} {
		k := &ggufKeys{metadata: withKeys(tokens, c.change...)}
		var n notes
		config := model.Config{Vocab: c.vocab}
		k.tokens(&config, &n)
		if k.err != nil || !slices.Equal(config.Ends(), c.want) {
			t.Errorf("%v: %v end a text (%v), expected %v", c.change, config.Ends(), k.err, c.want)
		}
		wantNote(t, n, c.note)
	}
}
