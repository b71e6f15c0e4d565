package tokenizer

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"slimlab/internal/nearest"

	"golang.org/x/text/unicode/norm"
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
// tokenizer.
func FromVocabulary(v Vocabulary) (*Tokenizer, error) {
	t, err := readVocabulary(v, spacing{})
	if err == nil {
		err = t.build()
	}
	if err != nil {
		return nil, fmt.Errorf("vocabulary: %w", err)
	}
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
	split, ok := splitNamed(v.Pre)
	if !ok {
		return wordSplit{}, nearest.Unknown("pre", v.Pre, splitNames())
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
		return fmt.Errorf("vocabulary: pre_tokenizer %s with normalizer %s and ignore_merges %t has no name, expected a split that GGUF has a name for",
			t.file.PreTokenizer, cmp.Or(string(t.file.Normalizer), "null"), t.model.ignoreMerges)
	}
	for _, pair := range t.file.Model.Merges {
		v.Merges = append(v.Merges, pair[0]+" "+pair[1])
	}
	return nil
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
			return fmt.Errorf("vocabulary: pre_tokenizer %s cannot be written, expected a text that is not split", t.file.PreTokenizer)
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
		return false, fmt.Errorf("vocabulary: normalizer %s cannot be written, expected spaces to become %s", cmp.Or(string(t.file.Normalizer), "null"), spaceMark)
	}
	for _, s := range t.splitters {
		_, isSeams := s.(*seams)
		if _, isSymbols := s.(*symbols); !isSeams && !isSymbols {
			return false, fmt.Errorf("vocabulary: pre_tokenizer %s cannot be written, expected a text that is not split", t.file.PreTokenizer)
		}
	}
	return prefix, nil
}
