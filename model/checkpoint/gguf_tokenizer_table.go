package checkpoint

import (
	"encoding/json"
	"fmt"
	"strings"

	"slimlab/internal/jsonread"
	"slimlab/model/tokenizer"
)

// ggufTokenizerTable is that of a GGUF file's keys of its tokenizer (llama.cpp, gguf-py's
// constants.py). Tokens for filling a gap, for two texts and for masks are no part of a text that
// goes on, and which there are changes none of its ids.
var ggufTokenizerTable = jsonread.Keys(jsonread.Read, "tokenizer.ggml.model", "tokenizer.ggml.pre", "tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.scores",
	"tokenizer.ggml.merges", "tokenizer.ggml.added_tokens", "tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id",
	"tokenizer.ggml.unknown_token_id", "tokenizer.ggml.padding_token_id", "tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_eos_token", "tokenizer.ggml.add_space_prefix",
	"tokenizer.ggml.remove_extra_whitespaces", "tokenizer.chat_template", "tokenizer.chat_templates").With(
	jsonread.Keys(jsonread.Harmless, "tokenizer.huggingface.json", "tokenizer.ggml.token_type_count", "tokenizer.ggml.add_sep_token", "tokenizer.ggml.seperator_token_id",
		"tokenizer.ggml.cls_token_id", "tokenizer.ggml.mask_token_id", "tokenizer.ggml.prefix_token_id", "tokenizer.ggml.suffix_token_id", "tokenizer.ggml.middle_token_id",
		"tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.fim_suf_token_id", "tokenizer.ggml.fim_mid_token_id", "tokenizer.ggml.fim_pad_token_id", "tokenizer.ggml.fim_rep_token_id",
		"tokenizer.ggml.fim_sep_token_id"),
	refused("text in lower case or without accents", "", "tokenizer.ggml.normalizer.lowercase", "tokenizer.ggml.normalizer.strip_accents"),
	refused("tokens that are never drawn", "", "tokenizer.ggml.suppress_tokens"),
	jsonread.Table{
		"tokenizer.ggml.precompiled_charsmap": {Use: jsonread.Refused, Reason: "text that a table of characters rewrites", Neutral: []string{`""`}},
		"tokenizer.rwkv.world":                {Use: jsonread.Refused, Reason: "a vocabulary of RWKV", Neutral: []string{`""`}},
	},
)

// checkTokenizer refuses the tokenizer's keys by ggufTokenizerTable, and returns notes on those
// that it does not have, that are not followed, or that contradict others.
func (k *ggufKeys) checkTokenizer(v tokenizer.Vocabulary) []string {
	var n notes
	object := map[string]json.RawMessage{}
	for _, pair := range k.metadata {
		if !strings.HasPrefix(pair.Key, "tokenizer.") || strings.HasPrefix(pair.Key, ggufChatTemplate+".") {
			continue
		}
		object[pair.Key] = nil // the lists of a vocabulary are long
		if ggufTokenizerTable[pair.Key].Use == jsonread.Refused {
			// which can be written, unless it is a NaN
			object[pair.Key], _ = json.Marshal(pair.Value)
		}
	}
	unknown, err := ggufTokenizerTable.Check(object)
	if err != nil {
		key, found, _ := strings.Cut(err.Error(), ": ")
		k.fail(key, "%s", found)
		return nil
	}
	n.unknown("metadata", unknown)
	if fetch(k, k.metadata.Bool, ggufTokenizer+"remove_extra_whitespaces", false) && v.Model == "llama" {
		n.add("metadata: %sremove_extra_whitespaces is true and is not followed: a vocabulary of the model llama keeps all spaces, in llama.cpp too", ggufTokenizer)
	}
	for _, role := range []string{"eot_token_id", "eom_token_id"} {
		if id := k.token(role); id >= 0 && id < len(v.Types) && v.Types[id] == tokenizer.TypeNormal {
			n.add("metadata: %s%s is %d (%q), which token_type says is text: it ends a text, and is text where it is written out", ggufTokenizer, role, id, v.Tokens[id])
		}
	}
	k.checkAdded(v, &n)
	return n
}

// checkAdded compares the list of added tokens with the types, which count.
func (k *ggufKeys) checkAdded(v tokenizer.Vocabulary, n *notes) {
	added := fetch(k, k.metadata.Strings, ggufTokenizer+"added_tokens", nil)
	if len(added) == 0 {
		return
	}
	ids := make(map[string]int, len(v.Tokens))
	for id, token := range v.Tokens {
		ids[token] = id
	}
	var missing, words []string
	for _, token := range added {
		switch id, ok := ids[token]; {
		case !ok:
			missing = append(missing, fmt.Sprintf("%q", token))
		case id >= len(v.Types) || v.Types[id] == tokenizer.TypeNormal || v.Types[id] == tokenizer.TypeUnused:
			words = append(words, fmt.Sprintf("%q", token))
		}
	}
	if len(missing) > 0 {
		n.add("metadata: %sadded_tokens names %s, not among the tokens: not read", ggufTokenizer, some(missing))
	}
	if len(words) > 0 {
		n.add("metadata: %sadded_tokens names %s, which token_type says are text: the latter counts, and a text that holds them is split like any other", ggufTokenizer, some(words))
	}
}

// chatTemplate reads the template of conversations: the one of no name, or the one named default.
// The vocabulary's notes say which others there are.
func (k *ggufKeys) chatTemplate(v *tokenizer.Vocabulary) string {
	var others []string
	usual := ""
	for _, pair := range k.metadata {
		name, ok := strings.CutPrefix(pair.Key, ggufChatTemplate+".")
		switch {
		case ok && name == "default":
			usual = fetch(k, k.metadata.String, pair.Key, "")
		case ok:
			others = append(others, pair.Key)
		}
	}
	template := fetch(k, k.metadata.String, ggufChatTemplate, "")
	if template == "" && usual != "" {
		template = usual
		v.Notes = append(v.Notes, fmt.Sprintf("metadata: the chat template is that of %s.default: %s has none", ggufChatTemplate, ggufChatTemplate))
	} else if usual != "" && usual != template {
		others = append(others, ggufChatTemplate+".default")
	}
	if len(others) > 0 {
		v.Notes = append(v.Notes, fmt.Sprintf("metadata: chat templates of other uses are not read: %s", some(others)))
	}
	return template
}
