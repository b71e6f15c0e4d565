package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/text/unicode/norm"

	"slimlab/internal/jsonread"
)

// Vocabulary returns the tokenizer as a GGUF file holds it. Its error names what such a file cannot
// say. A tokenizer of characters is written by scores, which are less exact than merges; see
// checkScores.
func (t *Tokenizer) Vocabulary() (Vocabulary, error) {
	yes, no := new(bool), new(bool)
	*yes = true
	v := Vocabulary{Tokens: slices.Clone(t.tokens), Types: make([]int32, len(t.tokens)),
		BOS: int(t.bos), EOS: int(t.eos), Unknown: int(t.model.unknown), Padding: int(t.padding), AddBOS: no, AddEOS: no, ChatTemplate: t.ChatTemplate()}
	for id, token := range v.Tokens {
		v.Types[id] = TypeNormal
		if token == "" {
			v.Tokens[id], v.Types[id] = fmt.Sprintf("[PAD%d]", id), TypeUnused
			if _, taken := t.ids[v.Tokens[id]]; taken {
				return v, fmt.Errorf("vocabulary: id %d has no token, and %q is taken", id, v.Tokens[id])
			}
		}
	}
	switch {
	case len(t.before) == 1 && t.before[0] == t.bos:
		v.AddBOS = yes
	case len(t.before) > 0:
		return v, fmt.Errorf("vocabulary: %d tokens before a text cannot be written, expected the bos token or none", len(t.before))
	}
	switch {
	case len(t.after) == 1 && t.after[0] == t.eos:
		v.AddEOS = yes
	case len(t.after) > 0:
		return v, fmt.Errorf("vocabulary: %d tokens after a text cannot be written, expected the eos token or none", len(t.after))
	}
	for _, a := range t.file.AddedTokens {
		v.Types[a.ID] = TypeUserDefined
		if a.Special {
			v.Types[a.ID] = TypeControl
		}
	}
	if t.model.byteLevel {
		return v, t.writeMerged(&v)
	}
	return v, t.writeScored(&v)
}

func (t *Tokenizer) writeMerged(v *Vocabulary) error {
	v.Model = "gpt2"
	if t.lead != (lead{}) {
		return errors.New("vocabulary: add_prefix_space of a byte-level tokenizer cannot be written")
	}
	compose := len(t.normalizers) == 1 && t.normalizers[0] == normalizer(form(norm.NFC))
	patterns := patternsOf(t.file.PreTokenizer)
	for _, c := range wordSplits {
		// Qwen's composes; that of text which is not composed is read so, too.
		if slices.Equal(patterns, c.patterns) && (len(t.normalizers) == 0 || compose && c.compose) && c.ignoreMerges == t.model.ignoreMerges && v.Pre == "" {
			v.Pre = c.names[0]
		}
	}
	if v.Pre == "" {
		return fmt.Errorf("vocabulary: tokenizer.json: GGUF has no name for the pre_tokenizer %s with the normalizer %s and ignore_merges %t; a Hugging Face folder holds the tokenizer as it is",
			partText(t.file.PreTokenizer), partText(t.file.Normalizer), t.model.ignoreMerges)
	}
	for _, pair := range t.file.Model.Merges {
		v.Merges = append(v.Merges, pair[0]+" "+pair[1])
	}
	if token, needs := v.needsMerges(); needs {
		return fmt.Errorf("vocabulary: the tokenizer has no merges, so that no text becomes %q, and other engines would take the file for one that lost them: "+
			"if it is a special token, list it in added_tokens of tokenizer.json; a Hugging Face folder holds the tokenizer as it is", token)
	}
	return nil
}

// partText is a part of tokenizer.json for an error: one short line, null where the key is absent.
func partText(part json.RawMessage) string {
	if part == nil {
		return "null"
	}
	return jsonread.Clip(part)
}

func (t *Tokenizer) writeScored(v *Vocabulary) error {
	v.Model = "llama"
	prefix, err := t.spaces()
	if err != nil {
		return err
	}
	v.AddSpacePrefix = &prefix
	m := &t.file.Model
	apart := symbolsOf(t.splitters[:len(t.splitters)-1])
	if m.IgnoreMerges && !t.model.makesAll(apart) {
		return errors.New("vocabulary: ignore_merges of a tokenizer of characters cannot be written")
	}
	for _, text := range apart {
		id, ok := t.ids[text]
		if !ok || !m.IgnoreMerges {
			return fmt.Errorf("vocabulary: pre_tokenizer %s cannot be written, expected a text that is not split", partText(t.file.PreTokenizer))
		}
		v.Types[id] = TypeUserDefined
	}
	if t.model.unknown >= 0 {
		v.Types[t.model.unknown] = TypeUnknown
	}
	if m.ByteFallback {
		for _, id := range t.model.byteID {
			if id >= 0 {
				v.Types[id] = TypeByte
			}
		}
	}
	// A score belongs to a token, a rank to a merge: they agree where the merges of each token
	// follow one another.
	v.Scores = make([]float32, len(v.Tokens))
	for id := range v.Scores {
		v.Scores[id] = -float32(len(m.Merges) + id)
	}
	last, made, score := int32(-1), make([]bool, len(v.Tokens)), 0
	for i, pair := range m.Merges {
		id := t.ids[pair[0]+pair[1]]
		switch {
		case id == last && m.ranks == nil, m.ranks != nil && i > 0 && m.ranks[i] == m.ranks[i-1]:
		case made[id]:
			return fmt.Errorf("vocabulary: merges[%d] %q makes a token that earlier merges make, with others between: it cannot be written as a score", i, pair)
		default:
			score--
		}
		v.Scores[id], made[id], last = float32(score), true, id
	}
	return t.checkScores(*v)
}

// checkScores checks that scores encode as the merges that they replace. Scores merge any two
// tokens that spell a third; a trained list of merges has fewer pairs. The other pairs are rarely
// adjacent, since their parts have been merged into other tokens before. So checkScores encodes
// every token that such a pair spells both ways.
func (t *Tokenizer) checkScores(v Vocabulary) error {
	scored, err := FromVocabulary(v)
	if err != nil {
		return err
	}
	for id, token := range v.Tokens {
		if v.Types[id] != TypeNormal {
			continue
		}
		for i := range token {
			a, okA := t.ids[token[:i]]
			b, okB := t.ids[token[i:]]
			if !okA || !okB || v.Types[a] != TypeNormal || v.Types[b] != TypeNormal {
				continue
			}
			if _, ok := t.model.merges.get(a, b); ok {
				continue
			}
			if !slices.Equal(t.model.encode(nil, token), scored.model.encode(nil, token)) {
				return fmt.Errorf("vocabulary: token %q would be made of %q and %q, which no merge does: it cannot be written as a score", token, token[:i], token[i:])
			}
			break
		}
	}
	return nil
}

// spaces reports whether a tokenizer that treats spaces as SentencePiece does adds one before a
// text.
func (t *Tokenizer) spaces() (prefix bool, err error) {
	mark := normalizer(replace{" ", spaceMark})
	switch n, l := t.normalizers, t.lead; {
	case len(n) == 0 && l.from == " " && l.to == spaceMark:
		prefix = l.prefix != ""
	case len(n) == 2 && n[0] == normalizer(prepend(spaceMark)) && n[1] == mark && l == lead{}:
		prefix = true
	case len(n) == 1 && n[0] == mark && l == lead{}:
	default:
		return false, fmt.Errorf("vocabulary: normalizer %s cannot be written, expected spaces to become %s", partText(t.file.Normalizer), spaceMark)
	}
	for _, s := range t.splitters {
		_, isSeams := s.(*seams)
		if _, isSymbols := s.(*symbols); !isSeams && !isSymbols {
			return false, fmt.Errorf("vocabulary: pre_tokenizer %s cannot be written, expected a text that is not split", partText(t.file.PreTokenizer))
		}
	}
	return prefix, nil
}
