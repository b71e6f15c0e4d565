package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
)

// Load reads the tokenizer of a Hugging Face folder: tokenizer.json, and from tokenizer_config.json or special_tokens_map.json,
// where they exist, which tokens begin and end a text.
func Load(dir string) (*Tokenizer, error) {
	t, err := LoadFS(os.DirFS(dir), ".")
	if err != nil {
		return nil, fmt.Errorf("folder %s: %w", dir, err)
	}
	return t, nil
}

// LoadFS is Load from a file system. The error of a folder without a tokenizer.json is fs.ErrNotExist.
func LoadFS(fsys fs.FS, dir string) (*Tokenizer, error) {
	data, err := fs.ReadFile(fsys, path.Join(dir, "tokenizer.json"))
	if err != nil {
		return nil, err
	}
	t, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	for _, name := range []string{"special_tokens_map.json", "tokenizer_config.json"} {
		data, err := fs.ReadFile(fsys, path.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		config, err := t.readRoles(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if name == "tokenizer_config.json" {
			t.config = config
		}
	}
	return t, nil
}

// readRoles takes bos_token and eos_token, each a string or an object with content.
func (t *Tokenizer) readRoles(data []byte) (map[string]json.RawMessage, error) {
	var config map[string]json.RawMessage
	if err := json.Unmarshal(data, &config); err != nil {
		return nil, err
	}
	for key, id := range map[string]*int32{"bos_token": &t.bos, "eos_token": &t.eos} {
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
			return nil, fmt.Errorf("%s: %q is not a token of tokenizer.json", key, token.Content)
		}
		*id = found
	}
	return config, nil
}

// Parse reads the content of a tokenizer.json. BOS is taken from its template; EOS is not in that file.
func Parse(data []byte) (*Tokenizer, error) {
	t := &Tokenizer{bos: -1, eos: -1, words: newCache()}
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

// build makes everything that encoding and decoding need from t.file.
func (t *Tokenizer) build() error {
	f := &t.file
	if err := f.Model.check(); err != nil {
		return err
	}
	if err := t.index(); err != nil {
		return err
	}
	pre, err := parsePreTokenizer(f.PreTokenizer)
	if err != nil {
		return err
	}
	t.splitters, t.prefixSpace = pre.splitters, pre.prefixSpace
	if t.normalizers, err = parseNormalizers(f.Normalizer); err != nil {
		return err
	}
	if t.model, err = newBPE(&f.Model, f.Model.Vocab, pre.byteLevel); err != nil {
		return err
	}
	if t.before, t.after, err = parseTemplate(f.PostProcessor, len(t.tokens)); err != nil {
		return err
	}
	steps, byteLevel, err := parseDecoder(f.Decoder)
	if err != nil {
		return err
	}
	if byteLevel != pre.byteLevel {
		return fmt.Errorf("decoder: found byte-level %t, but the pre_tokenizer is byte-level %t", byteLevel, pre.byteLevel)
	}
	t.decoders = steps
	if byteLevel {
		t.indexText()
	}
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

// index lays out tokens by id.
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

// indexText decodes every token of a byte-level vocabulary once. Added tokens are text as they stand.
func (t *Tokenizer) indexText() {
	t.text = make([]string, len(t.tokens))
	for id, token := range t.tokens {
		raw, ok := bytesOf(token)
		if !ok {
			raw = token
		}
		t.text[id] = raw
	}
	for _, a := range t.file.AddedTokens {
		t.text[a.ID] = a.Content
	}
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
