package tokenizer

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"slimlab/internal/nearest"
)

// Vocabulary is a tokenizer as a GGUF file holds it.
type Vocabulary struct {
	// tokenizer.ggml.model: "gpt2" is byte-level BPE by merges, "llama" is SentencePiece BPE by
	// scores
	Model  string
	Pre    string    // tokenizer.ggml.pre, for gpt2: how a text is split into words
	Tokens []string  // by id
	Scores []float32 // by id, for llama
	Types  []int32   // by id, of the constants below
	Merges []string  // "a b", for gpt2

	BOS, EOS, Unknown, Padding int // ids; -1 is none

	// Nil is absent: the default of the model.
	AddBOS, AddEOS, AddSpacePrefix *bool

	ChatTemplate string // tokenizer.chat_template, in Jinja; "" is none

	Notes []string // of the file's reader, for Tokenizer.Notes
}

// Types of tokens in a Vocabulary and in a SentencePiece file.
const (
	TypeNormal      = 1
	TypeUnknown     = 2
	TypeControl     = 3 // special: without text
	TypeUserDefined = 4 // text that is always one token
	TypeUnused      = 5
	TypeByte        = 6
)

// FromVocabulary makes a tokenizer from the vocabulary of a GGUF file. For gpt2, Pre names a known
// split of a text into words; the text of Qwen 2, 2.5 and 3 is normalized to form C, as by its own
// tokenizer. Notes of the tokenizer say where the vocabulary contradicts itself.
func FromVocabulary(v Vocabulary) (*Tokenizer, error) {
	t, err := readVocabulary(v, spacing{})
	if err == nil {
		err = t.build()
	}
	if err != nil {
		return nil, fmt.Errorf("vocabulary: %w", err)
	}
	t.notes = append(slices.Clone(v.Notes), v.contradictions()...)
	return t, nil
}

// spacing is what a GGUF file does not say of a SentencePiece vocabulary.
type spacing struct {
	squeeze bool // superfluous spaces of a text are removed first
	// the space before a text comes at its beginning only, not after each special token too:
	// transformers' legacy false
	first bool
	// tokens of type user-defined are symbols of the normalized text, as SentencePiece has it, not
	// added tokens, as llama.cpp has it
	sentencePiece bool
}

// readVocabulary is FromVocabulary without build.
func readVocabulary(v Vocabulary, how spacing) (*Tokenizer, error) {
	if err := v.check(); err != nil {
		return nil, err
	}
	t := newTokenizer()
	if err := t.file.addTokens(v, how); err != nil {
		return nil, err
	}
	addBOS := true
	switch v.Model {
	case "llama":
		if err := t.file.scored(v, how); err != nil {
			return nil, err
		}
	case "gpt2":
		split, err := t.file.merged(v)
		if err != nil {
			return nil, err
		}
		addBOS = split.addBOS
	default:
		return nil, fmt.Errorf("model %q is not supported, expected gpt2 or llama", v.Model)
	}
	t.bos, t.eos, t.padding = int32(v.BOS), int32(v.EOS), int32(v.Padding)
	if v.ChatTemplate != "" {
		t.config = newConfig()
		t.config["chat_template"] = mustMarshal(v.ChatTemplate)
	}
	if v.AddBOS != nil {
		addBOS = *v.AddBOS
	}
	before, after := "", ""
	if addBOS && v.BOS >= 0 {
		before = v.Tokens[v.BOS]
	}
	if v.AddEOS != nil && *v.AddEOS && v.EOS >= 0 {
		after = v.Tokens[v.EOS]
	}
	if before != "" || after != "" {
		t.file.PostProcessor = templateOf(map[string]int32{before: int32(v.BOS), after: int32(v.EOS)}, before, after)
	}
	return t, nil
}

// check reports lists of different lengths and ids out of range.
func (v *Vocabulary) check() error {
	n := len(v.Tokens)
	switch {
	case n == 0:
		return errors.New("tokens: found none")
	case len(v.Types) != n && (len(v.Types) > 0 || v.Model == "llama"):
		return fmt.Errorf("types: found %d for %d tokens", len(v.Types), n)
	case v.Model == "llama" && len(v.Scores) == 0:
		return errors.New("scores: found none, expected one for each token: they say in which order the model llama merges")
	case v.Model == "llama" && len(v.Scores) != n:
		return fmt.Errorf("scores: found %d for %d tokens", len(v.Scores), n)
	}
	for _, role := range []struct {
		name string
		id   int
	}{{"bos", v.BOS}, {"eos", v.EOS}, {"unknown", v.Unknown}, {"padding", v.Padding}} {
		if role.id < -1 || role.id >= n {
			return fmt.Errorf("%s token: found id %d, expected -1 or an id below %d", role.name, role.id, n)
		}
	}
	return nil
}

// addTokens writes the tokens of a vocabulary by their types.
func (f *file) addTokens(v Vocabulary, how spacing) error {
	f.Model = modelFile{Type: "BPE", Vocab: make(vocabulary, len(v.Tokens))}
	for id, token := range v.Tokens {
		kind := int32(TypeNormal)
		if len(v.Types) > 0 {
			kind = v.Types[id]
		}
		switch kind {
		case TypeControl, TypeUnknown:
			f.AddedTokens = append(f.AddedTokens, addedToken{ID: int32(id), Content: token, Special: true})
			continue
		case TypeUserDefined:
			if how.sentencePiece && token != "" {
				break
			}
			if v.Model == "llama" {
				token = strings.ReplaceAll(token, spaceMark, " ")
			}
			f.AddedTokens = append(f.AddedTokens, addedToken{ID: int32(id), Content: token})
			continue
		case TypeUnused:
			if token == "" {
				continue
			}
		case TypeNormal, TypeByte:
		default:
			return fmt.Errorf("token %d: found type %d, expected 1 to 6", id, kind)
		}
		if other, ok := f.Model.Vocab[token]; ok {
			return fmt.Errorf("token %q: found two ids, %d and %d", token, other, id)
		}
		f.Model.Vocab[token] = int32(id)
	}
	return nil
}

// merged reads a byte-level vocabulary.
func (f *file) merged(v Vocabulary) (wordSplit, error) {
	split, ok := splitNamed(v.pre())
	if !ok {
		return wordSplit{}, nearest.Unknown("pre", v.Pre, splitNames())
	}
	if token, needs := v.needsMerges(); needs {
		return wordSplit{}, fmt.Errorf("merges: found none, expected those that make %q and the other tokens of the model gpt2", token)
	}
	f.byteLevel(split)
	f.Model.Merges = make(mergeList, len(v.Merges))
	added := map[string]int32{}
	for _, a := range f.AddedTokens {
		added[a.Content] = a.ID
	}
	for i, line := range v.Merges {
		// A part may itself begin with a space.
		at := strings.Index(line[min(1, len(line)):], " ") + 1
		if at < 1 || at+1 >= len(line) {
			return wordSplit{}, fmt.Errorf("merges[%d] %q: expected two parts with a space between", i, line)
		}
		f.Model.Merges[i] = [2]string{line[:at], line[at+1:]}
		// A special token may be one of words, too.
		for _, token := range []string{line[:at], line[at+1:], line[:at] + line[at+1:]} {
			if id, ok := added[token]; ok {
				f.Model.Vocab[token] = id
			}
		}
	}
	return split, nil
}
