package tokenizer

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Load reads the tokenizer of a folder, as LoadFS does, or of one file: a tokenizer.json, a
// tokenizer.model, or a vocab.json with a merges.txt in its folder. What else the folder has, such
// as which tokens begin and end a text, is read in both cases.
func Load(name string) (*Tokenizer, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		t, err := LoadFS(os.DirFS(name), ".")
		if err != nil {
			return nil, fmt.Errorf("folder %s: %w", name, err)
		}
		return t, nil
	}
	dir, base := filepath.Split(name)
	t, err := loadFile(os.DirFS(cmp.Or(dir, ".")), ".", base)
	if err != nil {
		return nil, fmt.Errorf("file %s: %w", name, err)
	}
	return t, nil
}

// LoadFS reads the tokenizer of a Hugging Face folder: tokenizer.json, else tokenizer.model of
// SentencePiece or tiktoken, else vocab.json and merges.txt; and from tokenizer_config.json,
// special_tokens_map.json and chat_template.jinja, where they exist, which tokens have a role and
// how a conversation is written. The error of a folder without a tokenizer is fs.ErrNotExist.
func LoadFS(fsys fs.FS, dir string) (*Tokenizer, error) {
	for _, name := range []string{"tokenizer.json", "tokenizer.model", "vocab.json"} {
		if _, err := fs.Stat(fsys, path.Join(dir, name)); err == nil {
			return loadFile(fsys, dir, name)
		}
	}
	// The error names the file that every other kind may be converted to.
	_, err := fs.ReadFile(fsys, path.Join(dir, "tokenizer.json"))
	return nil, err
}

// configFile is what is read of a tokenizer_config.json.
type configFile struct {
	Class  string                `json:"tokenizer_class"`
	AddBOS *bool                 `json:"add_bos_token"`
	AddEOS *bool                 `json:"add_eos_token"`
	Added  map[string]addedToken `json:"added_tokens_decoder"` // by id
}

func loadFile(fsys fs.FS, dir, name string) (*Tokenizer, error) {
	data, err := fs.ReadFile(fsys, path.Join(dir, name))
	if err != nil {
		return nil, err
	}
	var config configFile
	configData, err := optional(fsys, path.Join(dir, "tokenizer_config.json"))
	if err != nil {
		return nil, err
	}
	if configData != nil {
		if err := json.Unmarshal(configData, &config); err != nil {
			return nil, fmt.Errorf("tokenizer_config.json: %w", err)
		}
	}
	var t *Tokenizer
	switch {
	case name == "vocab.json":
		t, err = loadPairs(fsys, dir, data, config)
	case isTiktoken(data):
		t, err = parseTiktoken(data)
	case strings.HasSuffix(name, ".json"):
		t, err = Parse(data)
	default:
		t, err = parseSentencePiece(data)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	roles, err := optional(fsys, path.Join(dir, "special_tokens_map.json"))
	if err != nil {
		return nil, err
	}
	if roles != nil {
		if _, err := t.readRoles(roles); err != nil {
			return nil, fmt.Errorf("special_tokens_map.json: %w", err)
		}
	}
	if configData != nil {
		if t.config, err = t.readRoles(configData); err != nil {
			return nil, fmt.Errorf("tokenizer_config.json: %w", err)
		}
	}
	if !strings.HasSuffix(name, ".json") && (config.AddBOS != nil || config.AddEOS != nil) {
		if err := t.surround(config); err != nil {
			return nil, fmt.Errorf("tokenizer_config.json: %w", err)
		}
	}
	template, err := optional(fsys, path.Join(dir, "chat_template.jinja"))
	if err != nil {
		return nil, err
	}
	if template != nil {
		t.SetChatTemplate(string(template))
	}
	return t, nil
}

// optional reads a file; it is nil where there is none.
func optional(fsys fs.FS, name string) ([]byte, error) {
	data, err := fs.ReadFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// surround puts the tokens around a text that tokenizer_config.json asks for, where the
// vocabulary's file cannot say so.
func (t *Tokenizer) surround(config configFile) error {
	before, after := "", ""
	if config.AddBOS != nil && *config.AddBOS || config.AddBOS == nil && len(t.before) > 0 {
		before = t.Token(t.bos)
	}
	if config.AddEOS != nil && *config.AddEOS {
		after = t.Token(t.eos)
	}
	t.file.PostProcessor, t.before, t.after = nil, nil, nil
	if before == "" && after == "" {
		return nil
	}
	t.file.PostProcessor = templateOf(t.ids, before, after)
	var err error
	t.before, t.after, err = parseTemplate(t.file.PostProcessor, len(t.tokens))
	return err
}

// loadPairs reads the folder form of GPT-2: vocab.json, merges.txt, and added tokens in
// added_tokens.json or tokenizer_config.json. The class of the tokenizer says how a text is split;
// without one it is GPT-2's.
func loadPairs(fsys fs.FS, dir string, vocab []byte, config configFile) (*Tokenizer, error) {
	t := newTokenizer()
	f := &t.file
	f.Model = modelFile{Type: "BPE"}
	if err := json.Unmarshal(vocab, &f.Model.Vocab); err != nil {
		return nil, err
	}
	c := wordSplits[0]
	switch class := strings.TrimSuffix(config.Class, "Fast"); class {
	case "GPT2Tokenizer", "":
	case "Qwen2Tokenizer":
		c = wordSplits[slices.IndexFunc(wordSplits, func(c wordSplit) bool { return c.pattern == qwen2Pattern })]
	default:
		return nil, fmt.Errorf("tokenizer_class %q of tokenizer_config.json is not supported with vocab.json, expected GPT2Tokenizer or Qwen2Tokenizer", config.Class)
	}
	f.byteLevel(c)
	lines, err := fs.ReadFile(fsys, path.Join(dir, "merges.txt"))
	if err != nil {
		return nil, err
	}
	number := 0
	for line := range bytes.Lines(lines) {
		number++
		text := string(bytes.TrimRight(line, "\r\n"))
		if number == 1 && strings.HasPrefix(text, "#version") || text == "" {
			continue
		}
		a, b, ok := strings.Cut(text, " ")
		if !ok || a == "" || b == "" || strings.Contains(b, " ") {
			return nil, fmt.Errorf("merges.txt line %d: found %q, expected two parts with a space between", number, text)
		}
		f.Model.Merges = append(f.Model.Merges, [2]string{a, b})
	}
	added := config.Added
	if added == nil {
		if added, err = readAdded(fsys, dir); err != nil {
			return nil, err
		}
	}
	for id, token := range added {
		n, err := strconv.ParseInt(id, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("added token %q: found id %q, expected a number", token.Content, id)
		}
		token.ID = int32(n)
		f.AddedTokens = append(f.AddedTokens, token)
	}
	// GPT-2's only special token is in its vocabulary.
	if id, ok := f.Model.Vocab[endOfText]; ok && len(added) == 0 {
		f.AddedTokens = append(f.AddedTokens, addedToken{ID: id, Content: endOfText, Special: true})
		t.bos, t.eos = id, id
	}
	slices.SortFunc(f.AddedTokens, func(a, b addedToken) int { return cmp.Compare(a.ID, b.ID) })
	return t, t.build()
}

// endOfText is the special token of GPT-2 and of what followed it.
const endOfText = "<|endoftext|>"

// readAdded reads added_tokens.json: ids by token. It says nothing of which are special: those that
// are written <|so|> are taken for it.
func readAdded(fsys fs.FS, dir string) (map[string]addedToken, error) {
	data, err := optional(fsys, path.Join(dir, "added_tokens.json"))
	if err != nil || data == nil {
		return nil, err
	}
	var ids map[string]int32
	if err := json.Unmarshal(data, &ids); err != nil {
		return nil, fmt.Errorf("added_tokens.json: %w", err)
	}
	added := make(map[string]addedToken, len(ids))
	for token, id := range ids {
		key := strconv.Itoa(int(id))
		if other, ok := added[key]; ok {
			return nil, fmt.Errorf("added_tokens.json: id %d: found two tokens, %q and %q", id, min(token, other.Content), max(token, other.Content))
		}
		special := strings.HasPrefix(token, "<|") && strings.HasSuffix(token, "|>")
		added[key] = addedToken{ID: id, Content: token, Special: special}
	}
	return added, nil
}

// readRoles takes bos_token, eos_token and pad_token, each a string or an object with content.
func (t *Tokenizer) readRoles(data []byte) (map[string]json.RawMessage, error) {
	var config map[string]json.RawMessage
	if err := json.Unmarshal(data, &config); err != nil {
		return nil, err
	}
	for key, id := range map[string]*int32{"bos_token": &t.bos, "eos_token": &t.eos, "pad_token": &t.padding} {
		raw := config[key]
		if isNull(raw) {
			continue
		}
		var token struct {
			Content string `json:"content"`
		}
		if json.Unmarshal(raw, &token.Content) != nil {
			if err := json.Unmarshal(raw, &token); err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
		}
		found, ok := t.ids[token.Content]
		if !ok {
			return nil, fmt.Errorf("%s: %q is not a token of the vocabulary", key, token.Content)
		}
		*id = found
	}
	return config, nil
}

// ChatTemplate returns the Jinja template of conversations, or "" where the tokenizer has none. Of
// several it is the one named default.
func (t *Tokenizer) ChatTemplate() string {
	raw := t.config["chat_template"]
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return one
	}
	var several []struct{ Name, Template string }
	if json.Unmarshal(raw, &several) == nil {
		for _, s := range several {
			if s.Name == "default" {
				return s.Template
			}
		}
	}
	return ""
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
	t := newTokenizer()
	if err := json.Unmarshal(data, &t.file); err != nil {
		return nil, err
	}
	if err := t.build(); err != nil {
		return nil, err
	}
	if len(t.before) == 1 {
		t.bos = t.before[0]
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
		t.splitters = append(t.splitters, newSeams(&t.model))
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
	t.indexAdded()
	return nil
}

// check refuses what the encoder does not do.
func (m *modelFile) check() error {
	switch {
	case m.Type != "BPE" && m.Type != "": // early files leave it out
		return unsupported("model", m.Type, "BPE")
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

func (t *Tokenizer) indexAdded() {
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
		if text != "" {
			normalized = append(normalized, pattern{text, a})
		}
	}
	t.raw, t.normalized = newMatcher(raw), newMatcher(normalized)
}
