package tokenizer

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// scored reads a SentencePiece vocabulary.
func (f *file) scored(v Vocabulary, how spacing) error {
	m := &f.Model
	m.ByteFallback, m.FuseUnk = slices.Contains(v.Types, TypeByte), true
	if v.Unknown >= 0 {
		m.UnkToken = &v.Tokens[v.Unknown]
		m.Vocab[v.Tokens[v.Unknown]] = int32(v.Unknown)
	}
	var tokens []rankedToken
	for id, token := range v.Tokens {
		if math.IsNaN(float64(v.Scores[id])) {
			return fmt.Errorf("scores[%d] of %q: found NaN", id, token)
		}
		if v.Types[id] == TypeNormal {
			tokens = append(tokens, rankedToken{token, int32(id), 0})
		}
	}
	slices.SortStableFunc(tokens, func(a, b rankedToken) int { return cmp.Compare(v.Scores[b.id], v.Scores[a.id]) })
	for i := range tokens {
		tokens[i].rank = int32(i)
		if i > 0 && v.Scores[tokens[i].id] == v.Scores[tokens[i-1].id] {
			tokens[i].rank = tokens[i-1].rank
		}
	}
	if err := m.mergeTo(tokens); err != nil {
		return err
	}
	prefix := v.AddSpacePrefix == nil || *v.AddSpacePrefix
	replace := func(pattern string, from, to string) any {
		return map[string]any{"type": "Replace", "pattern": map[string]any{pattern: from}, "content": to}
	}
	var normalizers []any
	if how.squeeze {
		normalizers = append(normalizers, replace("Regex", `\A +| +\z`, ""), replace("Regex", ` {2,}`, " "))
	}
	if prefix && how.first {
		f.PreTokenizer = mustMarshal(map[string]any{"type": "Metaspace", "replacement": spaceMark, "prepend_scheme": "first", "split": false})
	} else {
		if prefix {
			normalizers = append(normalizers, map[string]any{"type": "Prepend", "prepend": spaceMark})
		}
		normalizers = append(normalizers, replace("String", " ", spaceMark))
	}
	decoders := []any{replace("String", spaceMark, " "), map[string]any{"type": "ByteFallback"}, map[string]any{"type": "Fuse"}}
	if prefix {
		decoders = append(decoders, map[string]any{"type": "Strip", "content": " ", "start": 1, "stop": 0})
	}
	if len(normalizers) > 0 {
		f.Normalizer = mustMarshal(map[string]any{"type": "Sequence", "normalizers": normalizers})
	}
	f.Decoder = mustMarshal(map[string]any{"type": "Sequence", "decoders": decoders})
	if how.sentencePiece {
		f.isolate(v)
	}
	return nil
}

// isolate makes the user-defined tokens of a vocabulary symbols of the normalized text: a text is
// split at them, and a piece that is a token stays whole.
func (f *file) isolate(v Vocabulary) {
	var texts []string
	for id, token := range v.Tokens {
		if v.Types[id] == TypeUserDefined && token != "" {
			texts = append(texts, token)
		}
	}
	if len(texts) == 0 {
		return
	}
	slices.SortStableFunc(texts, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	split := map[string]any{"type": "Split", "pattern": map[string]any{"Regex": literalPattern(texts)}, "behavior": "Isolated", "invert": false}
	parts := []any{split}
	if !isNull(f.PreTokenizer) {
		parts = []any{f.PreTokenizer, split}
	}
	f.PreTokenizer = mustMarshal(map[string]any{"type": "Sequence", "pretokenizers": parts})
	f.Model.IgnoreMerges = true
}

// rankedToken is a token of a format that scores tokens and not merges.
type rankedToken struct {
	token    string
	id, rank int32
}

// longestRanked bounds a token of such a format: every split of it in two is tried.
const longestRanked = 1 << 10

// mergeTo writes the merges that build tokens, by rank: all pairs of tokens that spell one.
func (m *modelFile) mergeTo(tokens []rankedToken) error {
	known := make(map[string]int32, len(tokens))
	for _, t := range tokens {
		known[t.token] = t.id
	}
	m.Merges, m.ranks = mergeList{}, []int32{}
	for _, t := range tokens {
		if len(t.token) > longestRanked {
			return fmt.Errorf("token %d: found %d bytes, expected at most %d", t.id, len(t.token), longestRanked)
		}
		start := len(m.Merges)
		for i := range t.token {
			if i == 0 {
				continue
			}
			if _, ok := known[t.token[:i]]; !ok {
				continue
			}
			if _, ok := known[t.token[i:]]; ok {
				m.Merges = append(m.Merges, [2]string{t.token[:i], t.token[i:]})
				m.ranks = append(m.ranks, t.rank)
			}
		}
		slices.SortFunc(m.Merges[start:], func(a, b [2]string) int {
			return cmp.Or(cmp.Compare(known[a[0]], known[b[0]]), cmp.Compare(known[a[1]], known[b[1]]))
		})
	}
	return nil
}
