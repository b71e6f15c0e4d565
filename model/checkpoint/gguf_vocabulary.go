package checkpoint

import (
	"cmp"
	"fmt"
	"io/fs"

	"slimlab/internal/plural"
	"slimlab/model/checkpoint/gguf"
	"slimlab/model/tokenizer"
)

const (
	ggufTokenizer    = "tokenizer.ggml."
	ggufChatTemplate = "tokenizer.chat_template"
	ggufHuggingFace  = "tokenizer.huggingface.json"
)

// ggufVocabulary reads the tokenizer of a file's metadata; the error is fs.ErrNotExist where there
// is none.
func ggufVocabulary(m gguf.Metadata) (tokenizer.Vocabulary, error) {
	k := &ggufKeys{metadata: m}
	v := tokenizer.Vocabulary{Model: fetch(k, m.String, ggufTokenizer+"model", "none")}
	if k.err == nil && (v.Model == "none" || v.Model == "no_vocab") {
		if _, found := m.Get(ggufHuggingFace); found {
			k.fail(ggufHuggingFace, "a tokenizer in this key alone is not supported, expected tokenizer.ggml.model and its lists: write the text of the key to a tokenizer.json")
			return v, k.err
		}
		return v, fs.ErrNotExist
	}
	v.Pre = fetch(k, m.String, ggufTokenizer+"pre", "")
	v.Tokens = fetch(k, m.Strings, ggufTokenizer+"tokens", nil)
	v.Scores = fetch(k, m.Float32s, ggufTokenizer+"scores", nil)
	v.Merges = fetch(k, m.Strings, ggufTokenizer+"merges", nil)
	for _, n := range fetch(k, m.Ints, ggufTokenizer+"token_type", nil) {
		v.Types = append(v.Types, int32(n))
	}
	v.BOS, v.EOS = k.token("bos_token_id"), k.token("eos_token_id")
	v.Unknown, v.Padding = k.token("unknown_token_id"), k.token("padding_token_id")
	v.ChatTemplate = k.chatTemplate(&v)
	v.AddBOS, v.AddEOS, v.AddSpacePrefix = k.flag("add_bos_token"), k.flag("add_eos_token"), k.flag("add_space_prefix")
	if k.err == nil {
		v.Notes = append(v.Notes, k.checkTokenizer(v)...)
	}
	return v, k.err
}

// flag reads a truth value of the tokenizer, nil where there is none.
func (k *ggufKeys) flag(key string) *bool {
	key = ggufTokenizer + key
	if _, ok := k.metadata.Get(key); !ok {
		return nil
	}
	b := fetch(k, k.metadata.Bool, key, false)
	return &b
}

// ggufTokenizerKeys says what a vocabulary is in GGUF's keys, with as many tokens as the embedding
// has rows: llama.cpp wants no fewer.
func ggufTokenizerKeys(v tokenizer.Vocabulary, rows int) (gguf.Metadata, error) {
	if len(v.Tokens) > rows {
		return nil, fmt.Errorf("tokenizer does not fit the model: it has %s, expected at most %d: the embedding has %s", plural.Of(len(v.Tokens), "token"), rows, plural.Of(rows, "row"))
	}
	for _, list := range []struct {
		name string
		len  int
	}{{"types", len(v.Types)}, {"scores", len(v.Scores)}} {
		if list.len != 0 && list.len != len(v.Tokens) {
			return nil, fmt.Errorf("tokenizer: found %d %s for %d tokens", list.len, list.name, len(v.Tokens))
		}
	}
	m := gguf.Metadata{{Key: ggufTokenizer + "model", Value: v.Model}}
	if len(v.Tokens) > 0 {
		m = append(m, tokenLists(v, rows)...)
	}
	// without the key llama.cpp reads no such vocabulary
	if len(v.Merges) > 0 || v.Model == "gpt2" {
		m = append(m, gguf.Pair{Key: ggufTokenizer + "merges", Value: append([]string{}, v.Merges...)})
	}
	for _, token := range []struct {
		key string
		id  int
	}{{"bos_token_id", v.BOS}, {"eos_token_id", v.EOS}, {"unknown_token_id", v.Unknown}, {"padding_token_id", v.Padding}} {
		if token.id >= 0 {
			m = append(m, gguf.Pair{Key: ggufTokenizer + token.key, Value: uint32(token.id)})
		}
	}
	for _, flag := range []struct {
		key   string
		value *bool
	}{{"add_bos_token", v.AddBOS}, {"add_eos_token", v.AddEOS}, {"add_space_prefix", v.AddSpacePrefix}} {
		if flag.value != nil {
			m = append(m, gguf.Pair{Key: ggufTokenizer + flag.key, Value: *flag.value})
		}
	}
	if v.ChatTemplate != "" {
		m = append(m, gguf.Pair{Key: ggufChatTemplate, Value: v.ChatTemplate})
	}
	return m, nil
}

// tokenLists are the lists of a vocabulary, one entry for each row of the embedding.
func tokenLists(v tokenizer.Vocabulary, rows int) gguf.Metadata {
	const least = -1000 // a score below any that counts
	tokens, scores, types := make([]string, rows), make([]float32, rows), make([]int32, rows)
	copy(tokens, v.Tokens)
	copy(scores, v.Scores)
	copy(types, v.Types)
	for i := range tokens {
		switch {
		case i >= len(v.Tokens):
			tokens[i], scores[i], types[i] = fmt.Sprintf("[PAD%d]", i), least, tokenizer.TypeUnused
		case len(v.Types) == 0:
			types[i] = tokenizer.TypeNormal
		}
	}
	m := gguf.Metadata{{Key: ggufTokenizer + "pre", Value: cmp.Or(v.Pre, "default")}, {Key: ggufTokenizer + "tokens", Value: tokens}}
	if len(v.Scores) > 0 {
		m = append(m, gguf.Pair{Key: ggufTokenizer + "scores", Value: scores})
	}
	return append(m, gguf.Pair{Key: ggufTokenizer + "token_type", Value: types})
}
