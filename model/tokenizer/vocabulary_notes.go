package tokenizer

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"
)

// defaultSplit is what llama.cpp's name default means, in words.
const defaultSplit = "runs of punctuation first, then GPT-2's words, then digits by threes"

// contradictions says in which keys of its file a vocabulary contradicts itself, or lacks what its
// model needs, and what was done.
func (v *Vocabulary) contradictions() (notes []string) {
	add := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	isSet := func(flag *bool) bool { return flag != nil && *flag }
	switch v.Model {
	case "gpt2":
		switch v.Pre {
		case "":
			add("tokenizer.ggml.pre is absent: texts are split as llama.cpp's default does (%s), which is seldom how the model was trained", defaultSplit)
		case "default":
			add("tokenizer.ggml.pre is %q: texts are split as llama.cpp's default does (%s), which is seldom how the model was trained", v.Pre, defaultSplit)
		}
		if len(v.Scores) > 0 {
			add("tokenizer.ggml.scores is not read: a vocabulary of the model gpt2 is merged by its merges")
		}
		if isSet(v.AddSpacePrefix) {
			add("tokenizer.ggml.add_space_prefix is true and is not followed: a vocabulary of the model gpt2 puts no space before a text, in llama.cpp too")
		}
	case "llama":
		if len(v.Merges) > 0 {
			add("tokenizer.ggml.merges is not read: a vocabulary of the model llama is merged by its scores")
		}
		if v.Pre != "" && v.Pre != "default" {
			add("tokenizer.ggml.pre is %q and is not read: a vocabulary of the model llama is not split into words", v.Pre)
		}
		if v.sameScores() {
			add("tokenizer.ggml.scores are all equal: which of two merges comes first is not in the file, and the leftmost was taken")
		}
	}
	if len(v.Types) == 0 {
		add("tokenizer.ggml.token_type is absent: every token is text, none is special, so one that is written out in a text is split like any word")
	}
	for _, role := range []struct {
		name string
		id   int
		add  *bool
	}{{"bos", v.BOS, v.AddBOS}, {"eos", v.EOS, v.AddEOS}} {
		switch {
		case role.id < 0 && isSet(role.add):
			add("tokenizer.ggml.add_%s_token is true and there is no %s_token_id: nothing is added", role.name, role.name)
		case role.id >= 0 && len(v.Types) > 0 && v.Types[role.id] == TypeNormal:
			add("tokenizer.ggml.%s_token_id is %d (%q), which token_type says is text: it keeps its role, and is text where it is written out or decoded", role.name, role.id, v.Tokens[role.id])
		case role.id >= 0 && len(v.Types) > 0 && v.Types[role.id] == TypeUnused:
			add("tokenizer.ggml.%s_token_id is %d (%q), which token_type says is unused: it keeps its role", role.name, role.id, v.Tokens[role.id])
		}
	}
	return notes
}

func (v *Vocabulary) sameScores() bool {
	normal, last := 0, float32(0)
	for id, kind := range v.Types {
		if kind != TypeNormal {
			continue
		}
		if score := v.Scores[id]; normal > 0 && score != last {
			return false
		}
		normal, last = normal+1, v.Scores[id]
	}
	return normal > 1
}

// needsMerges returns a token of words that only merges make, where there are none. Without types
// what is in brackets may be special.
func (v *Vocabulary) needsMerges() (token string, ok bool) {
	if len(v.Merges) > 0 {
		return "", false
	}
	for id, token := range v.Tokens {
		text := !strings.HasPrefix(token, "<") && !strings.HasPrefix(token, "[")
		if len(v.Types) > 0 {
			text = v.Types[id] == TypeNormal
		}
		if text && utf8.RuneCountInString(token) > 1 {
			return token, true
		}
	}
	return "", false
}

// pre is the split that a vocabulary of words is read by.
func (v *Vocabulary) pre() string { return cmp.Or(v.Pre, "default") }
