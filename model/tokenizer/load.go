package tokenizer

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"slimlab/internal/jsonread"
	"slimlab/internal/wrongfile"
)

// Load reads the tokenizer of a folder, as LoadFS does, or of one file: a tokenizer.json, a
// tokenizer.model, a tekken.json, or a vocab.json with a merges.txt in its folder. What else the
// folder has, such as which tokens begin and end a text, is read in both cases.
func Load(name string) (*Tokenizer, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		t, err := LoadFS(wrongfile.Folder(name), ".")
		if err != nil {
			return nil, fmt.Errorf("folder %s: %w", name, err)
		}
		return t, nil
	}
	dir, base := filepath.Split(name)
	t, err := loadFile(wrongfile.Folder(cmp.Or(dir, ".")), ".", base)
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", name, err)
	}
	return t, nil
}

// LoadFS reads the tokenizer of a Hugging Face folder: tokenizer.json, else tokenizer.model of
// SentencePiece or tiktoken, else vocab.json and merges.txt, else tekken.json; and from
// tokenizer_config.json, special_tokens_map.json and chat_template.jinja, where they exist, which
// tokens have a role and how a conversation is written. The error of a folder without a tokenizer
// is fs.ErrNotExist.
func LoadFS(fsys fs.FS, dir string) (*Tokenizer, error) {
	for _, name := range []string{"tokenizer.json", "tokenizer.model", "vocab.json", "tekken.json"} {
		if _, err := fs.Stat(fsys, path.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return loadFile(fsys, dir, name)
		}
	}
	// The error names the file that every other kind may be converted to.
	_, err := fs.ReadFile(fsys, path.Join(dir, "tokenizer.json"))
	return nil, err
}

func loadFile(fsys fs.FS, dir, name string) (*Tokenizer, error) {
	data, err := fs.ReadFile(fsys, path.Join(dir, name))
	if err != nil {
		return nil, err
	}
	if other := wrongfile.Name(data); other != "" {
		return nil, fmt.Errorf("%s: found %s", name, other)
	}
	s, err := readSettings(fsys, dir)
	if err != nil {
		return nil, err
	}
	var t *Tokenizer
	switch {
	case name == "vocab.json":
		t, err = readPairs(fsys, dir, data, s)
	case name == "tekken.json":
		t, err = readTekken(data)
	case isTiktoken(data):
		t, err = readTiktoken(data, s)
	case strings.HasSuffix(name, ".json"):
		t, err = readFile(data)
	default:
		t, err = readSentencePiece(data, s)
	}
	if err == nil {
		t.combine(s, name)
		err = t.build()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	t.setRoles(s.roles)
	if err := t.surround(s, name); err != nil {
		return nil, err
	}
	if s.template != "" {
		if !isNull(t.config["chat_template"]) && t.ChatTemplate() != s.template {
			t.note("chat_template: the file of its own is followed, not the other one in %s", configName)
		}
		t.SetChatTemplate(s.template)
	}
	if problem := t.ChatTemplateProblem(); problem != "" {
		t.note("%s: %s: the tokenizer has no chat template", configName, problem)
	}
	return t, nil
}

// ChatTemplate returns the Jinja template of conversations, or "" where the tokenizer has none. Of
// several it is the one named default.
func (t *Tokenizer) ChatTemplate() string {
	template, _ := t.chatTemplate()
	return template
}

// ChatTemplateProblem says why a chat_template that is there is not one, and what was expected; ""
// where it is one, or there is none.
func (t *Tokenizer) ChatTemplateProblem() string {
	_, problem := t.chatTemplate()
	return problem
}

func (t *Tokenizer) chatTemplate() (template, problem string) {
	raw := t.config["chat_template"]
	if isNull(raw) {
		return "", ""
	}
	if jsonread.Decode(raw, &template) == nil {
		if strings.TrimSpace(template) == "" {
			return "", "chat_template is an empty text, expected a Jinja template"
		}
		return template, ""
	}
	var several []struct{ Name, Template string }
	if jsonread.Decode(raw, &several) != nil {
		return "", fmt.Sprintf("chat_template: found %s, expected a Jinja template, or a list of objects with name and template", jsonread.Clip(raw))
	}
	var names []string
	for _, s := range several {
		if s.Name == "default" && strings.TrimSpace(s.Template) != "" {
			return s.Template, ""
		}
		names = append(names, strconv.Quote(s.Name))
	}
	return "", fmt.Sprintf("chat_template lists templates of the names %s, expected one that is named \"default\" and not empty", cmp.Or(strings.Join(names, ", "), "(none)"))
}

// SetChatTemplate gives the tokenizer a template of conversations. It is part of making a
// tokenizer: call it before the tokenizer is shared.
func (t *Tokenizer) SetChatTemplate(template string) {
	if t.config == nil {
		t.config = newConfig()
	}
	t.config["chat_template"] = mustMarshal(template)
}

// Parse reads the content of a tokenizer.json. BOS is taken from its template; EOS is not in that
// file.
func Parse(data []byte) (*Tokenizer, error) {
	t, err := readFile(data)
	if err == nil {
		err = t.build()
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// readFile reads a tokenizer.json; build is to follow.
func readFile(data []byte) (*Tokenizer, error) {
	t := newTokenizer()
	if err := t.checkKeys(data); err != nil {
		return nil, err
	}
	repeats, err := jsonread.DecodeNoting(data, &t.file)
	if err != nil {
		return nil, err
	}
	for _, repeat := range repeats {
		t.note("tokenizer.json: %s", repeat)
	}
	return t, nil
}

func newTokenizer() *Tokenizer {
	return &Tokenizer{bos: -1, eos: -1, padding: -1, cache: newCache()}
}

// build makes everything that encoding and decoding need from t.file.
func (t *Tokenizer) build() error {
	f := &t.file
	if err := f.Model.check(); err != nil {
		return err
	}
	if err := t.index(); err != nil {
		return err
	}
	words, err := parsePreTokenizer(f.PreTokenizer)
	if err != nil {
		return err
	}
	t.lead, t.splitters = words.lead, words.splitters
	if t.normalizers, err = parseNormalizers(f.Normalizer); err != nil {
		return err
	}
	if err := checkGrowth(t.normalizers); err != nil {
		return err
	}
	if t.model, err = newBPE(&f.Model, f.Model.Vocab, words.byteLevel); err != nil {
		return err
	}
	if !words.byteLevel {
		t.splitters = append(t.splitters, newSeams(&t.model, symbolsOf(t.splitters)))
	}
	if t.before, t.after, err = parseTemplate(f.PostProcessor, len(t.tokens)); err != nil {
		return err
	}
	d, err := parseDecoder(f.Decoder)
	if err != nil {
		return err
	}
	if d.byteLevel != words.byteLevel {
		return fmt.Errorf("decoder: found byte-level %t, but the pre_tokenizer is byte-level %t", d.byteLevel, words.byteLevel)
	}
	t.indexText(d)
	t.expressions = expressionsOf(t.normalizers, t.splitters)
	t.indexAdded()
	t.noteMissingMerges()
	if err := t.Err(); err != nil {
		return fmt.Errorf("added_tokens: %w", err)
	}
	if t.bos < 0 && len(t.before) == 1 {
		t.bos = t.before[0]
	}
	return nil
}

// noteMissingMerges says that words stay characters where no merges make them, and no whole word is
// looked for.
func (t *Tokenizer) noteMissingMerges() {
	m := &t.file.Model
	if len(m.Merges) > 0 || t.model.ignoreMerges {
		return
	}
	for id, token := range t.tokens {
		_, word := m.Vocab[token]
		isAdded := slices.ContainsFunc(t.file.AddedTokens, func(a addedToken) bool { return int(a.ID) == id })
		if word && !isAdded && int32(id) != t.model.unknown && utf8.RuneCountInString(token) > 1 {
			t.note("the tokenizer has no merges: no text has %q or another token of several characters", token)
			return
		}
	}
}

// check refuses what the encoder does not do.
func (m *modelFile) check() error {
	switch {
	case m.Dropout != nil && *m.Dropout != 0:
		return fmt.Errorf("model.dropout: %g is not supported, expected null", *m.Dropout)
	case m.ContinuingSubwordPrefix != nil && *m.ContinuingSubwordPrefix != "":
		return fmt.Errorf("model.continuing_subword_prefix: %q is not supported, expected null", *m.ContinuingSubwordPrefix)
	case m.EndOfWordSuffix != nil && *m.EndOfWordSuffix != "":
		return fmt.Errorf("model.end_of_word_suffix: %q is not supported, expected null", *m.EndOfWordSuffix)
	case len(m.Vocab) == 0:
		return fmt.Errorf("model.vocab: found no tokens")
	}
	return nil
}

// index lists tokens by id.
func (t *Tokenizer) index() error {
	vocab, added := t.file.Model.Vocab, t.file.AddedTokens
	// Ids may have gaps, but a file of a few tokens must not ask for a table of billions.
	limit := len(vocab) + len(added) + 1<<16
	highest := int32(-1)
	check := func(token string, id int32) error {
		if id < 0 || int(id) >= limit {
			return fmt.Errorf("token %q: found id %d, expected an id below %d in a vocabulary of %d tokens", token, id, limit, len(vocab)+len(added))
		}
		highest = max(highest, id)
		return nil
	}
	for token, id := range vocab {
		if err := check(token, id); err != nil {
			return err
		}
	}
	for _, a := range added {
		if err := check(a.Content, a.ID); err != nil {
			return err
		}
	}
	t.tokens = make([]string, highest+1)
	t.special = make([]bool, highest+1)
	t.ids = make(map[string]int32, len(vocab)+len(added))
	put := func(token string, id int32) error {
		if token == "" {
			return fmt.Errorf("id %d: the token is empty", id)
		}
		if other := t.tokens[id]; other != "" && other != token {
			return fmt.Errorf("id %d: found two tokens, %q and %q", id, min(token, other), max(token, other))
		}
		if old, ok := t.ids[token]; ok && old != id {
			return fmt.Errorf("token %q: found two ids, %d and %d", token, min(old, id), max(old, id))
		}
		t.tokens[id], t.ids[token] = token, id
		return nil
	}
	for token, id := range vocab {
		if err := put(token, id); err != nil {
			return err
		}
	}
	for _, a := range added {
		if err := put(a.Content, a.ID); err != nil {
			return err
		}
		t.special[a.ID] = a.Special
	}
	return nil
}

// AfterSpaces lists the added tokens that are found in a text only as the normalizer would write
// them, such as "▁<unk>": after a space or at the beginning. Other forms of a vocabulary, and
// llama.cpp, find them anywhere, before spaces are marked.
func (t *Tokenizer) AfterSpaces() []string { return t.moved }

func (t *Tokenizer) indexAdded() {
	t.moved = nil
	var raw, normalized []pattern
	for _, a := range t.file.AddedTokens {
		text := a.Content
		if !a.Normalized {
			raw = append(raw, pattern{text, a})
			continue
		}
		for _, n := range t.normalizers {
			text = n.normalize(text)
		}
		if text != a.Content && strings.HasSuffix(text, a.Content) {
			t.moved = append(t.moved, a.Content)
		}
		if text != "" {
			normalized = append(normalized, pattern{text, a})
		}
	}
	t.raw, t.normalized = newMatcher(raw), newMatcher(normalized)
}
