package tokenizer

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"slimlab/internal/jsonread"
)

// The files beside a vocabulary.
const (
	configName  = "tokenizer_config.json"
	rolesName   = "special_tokens_map.json"
	addedName   = "added_tokens.json"
	decoderName = "added_tokens_decoder of " + configName
)

// settings are what the files beside a vocabulary say of it.
type settings struct {
	config   map[string]json.RawMessage // tokenizer_config.json; nil where there is none
	class    string                     // tokenizer_class without "Fast"; "" where there is none
	addBOS   *bool
	addEOS   *bool
	prefix   *bool // add_prefix_space
	legacy   *bool
	added    []addedEntry // in the order of ids
	roles    []roleEntry
	template string // the chat template of a file of its own; "" is none
	notes    []string
}

// addedEntry is a token that one of the files adds to the vocabulary.
type addedEntry struct {
	addedToken
	source  string
	guessed bool // the file does not say whether the token is special
}

// roleEntry is a token with a role: "bos_token".
type roleEntry struct {
	role   string
	token  addedToken // without an id
	source string
}

// configFile is what is read of a tokenizer_config.json besides the tokens' roles.
type configFile struct {
	Class  string                     `json:"tokenizer_class"`
	AddBOS *bool                      `json:"add_bos_token"`
	AddEOS *bool                      `json:"add_eos_token"`
	Prefix *bool                      `json:"add_prefix_space"`
	Legacy *bool                      `json:"legacy"`
	Added  map[string]json.RawMessage `json:"added_tokens_decoder"` // by id
}

func (s *settings) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// repeats notes keys of a file that stand twice with equal values.
func (s *settings) repeats(source string, repeats []string) {
	for _, repeat := range repeats {
		s.note("%s: %s", source, repeat)
	}
}

// quoted lists keys of a file for a note.
func quoted(keys []string) string { return strings.ReplaceAll(fmt.Sprintf("%q", keys), `" "`, `", "`) }

// readSettings reads the files beside a vocabulary, which may all be absent.
func readSettings(fsys fs.FS, dir string) (*settings, error) {
	s := &settings{}
	for _, file := range []struct {
		name string
		read func(data []byte) error
	}{
		{rolesName, func(data []byte) error { _, err := s.readRoles(data, rolesName, rolesTable); return err }},
		{configName, s.readConfig},
		{addedName, s.readAdded},
		{"chat_template.json", func(data []byte) error {
			var f struct {
				Template json.RawMessage `json:"chat_template"`
			}
			if err := jsonread.Decode(data, &f); err != nil {
				return err
			}
			template := ""
			if len(f.Template) == 0 {
				f.Template = json.RawMessage("null")
			}
			if isNull(f.Template) || jsonread.Decode(f.Template, &template) != nil {
				s.note("chat_template.json: chat_template: found %s, expected a Jinja template: the file is not used", jsonread.Clip(f.Template))
				return nil
			}
			return s.readTemplate("chat_template.json", template)
		}},
		{"chat_template.jinja", func(data []byte) error { return s.readTemplate("chat_template.jinja", string(data)) }},
	} {
		data, err := optional(fsys, path.Join(dir, file.name))
		if err != nil {
			return nil, err // which names the file
		}
		if data == nil {
			continue
		}
		if err := file.read(data); err != nil {
			return nil, fmt.Errorf("%s: %w", file.name, err)
		}
	}
	slices.SortStableFunc(s.added, func(a, b addedEntry) int { return cmp.Compare(a.ID, b.ID) })
	return s, nil
}

// readTemplate takes the template of a file of its own; an empty one is noted and not used.
func (s *settings) readTemplate(file, template string) error {
	switch {
	case !utf8.ValidString(template):
		return errors.New("found bytes that are no UTF-8, expected a Jinja template")
	case strings.TrimSpace(template) == "":
		s.note("%s: found an empty text, expected a Jinja template: the file is not used", file)
	default:
		s.template = strings.TrimPrefix(template, "\ufeff")
	}
	return nil
}

// optional reads a file; it is nil where there is none.
func optional(fsys fs.FS, name string) ([]byte, error) {
	data, err := fs.ReadFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

func (s *settings) readConfig(data []byte) (err error) {
	var c configFile
	if err := jsonread.Decode(data, &c); err != nil {
		return err
	}
	if s.config, err = s.readRoles(data, configName, configTable); err != nil {
		return err
	}
	s.class = strings.TrimSuffix(c.Class, "Fast")
	s.addBOS, s.addEOS, s.prefix, s.legacy = c.AddBOS, c.AddEOS, c.Prefix, c.Legacy
	for key, raw := range c.Added {
		token, err := s.readToken(raw, "added_tokens_decoder."+key, configName)
		if err != nil {
			return err
		}
		id, err := strconv.ParseInt(key, 10, 32)
		if err != nil {
			return fmt.Errorf("added_tokens_decoder: found id %q of %q, expected a number", key, token.Content)
		}
		token.ID = int32(id)
		s.added = append(s.added, addedEntry{addedToken: token, source: decoderName})
	}
	return nil
}

// readAdded reads added_tokens.json: ids by token. It says nothing of which are special: those that
// are written <|so|>, and those with a role, are taken for it.
func (s *settings) readAdded(data []byte) error {
	var ids map[string]int32
	repeats, err := jsonread.DecodeNoting(data, &ids)
	if err != nil {
		return err
	}
	s.repeats(addedName, repeats)
	tokens := map[int32]string{}
	for content, id := range ids {
		if other, ok := tokens[id]; ok {
			return fmt.Errorf("id %d: found two tokens, %q and %q", id, min(content, other), max(content, other))
		}
		tokens[id] = content
		special := strings.HasPrefix(content, "<|") && strings.HasSuffix(content, "|>")
		s.added = append(s.added, addedEntry{addedToken{ID: id, Content: content, Special: special, Normalized: !special}, addedName, true})
	}
	return nil
}

// tokenRoles are the keys of tokens with a role.
var tokenRoles = []string{"bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"}

// readRoles reads the tokens with a role of tokenizer_config.json or special_tokens_map.json, each
// a string or an object with content. What the former says counts.
func (s *settings) readRoles(data []byte, source string, table jsonread.Table) (map[string]json.RawMessage, error) {
	var object map[string]json.RawMessage
	repeats, err := jsonread.DecodeNoting(data, &object)
	if err != nil {
		return nil, err
	}
	s.repeats(source, repeats)
	unknown, err := table.Check(object)
	if err != nil {
		return nil, err
	}
	if len(unknown) > 0 {
		s.note("%s: ignored keys that are not known: %s", source, quoted(unknown))
	}
	for _, role := range tokenRoles {
		if raw := object[role]; !isNull(raw) && string(raw) != "false" {
			if err := s.readRole(raw, role, source); err != nil {
				return nil, err
			}
		}
	}
	for _, role := range []string{"additional_special_tokens", "extra_special_tokens"} {
		if err := s.readMore(object[role], role, source); err != nil {
			return nil, err
		}
	}
	return object, nil
}

// readMore reads special tokens without a role of ours: a list, or an object by names.
func (s *settings) readMore(raw json.RawMessage, role, source string) error {
	var list []json.RawMessage
	switch {
	case isNull(raw):
		return nil
	case bytes.HasPrefix(raw, []byte("{")):
		var named map[string]json.RawMessage
		if err := jsonread.Decode(raw, &named); err != nil {
			return jsonread.At(role, err)
		}
		for _, name := range slices.Sorted(maps.Keys(named)) {
			list = append(list, named[name])
		}
	default:
		if err := jsonread.Decode(raw, &list); err != nil {
			return jsonread.At(role, err)
		}
	}
	for _, item := range list {
		if err := s.readRole(item, role, source); err != nil {
			return err
		}
	}
	return nil
}

func (s *settings) readRole(raw json.RawMessage, role, source string) error {
	token, err := s.readToken(raw, role, source)
	if err != nil || token.Content == "" {
		return err
	}
	token.Special = true
	s.roles = append(s.roles, roleEntry{role, token, source})
	return nil
}

// readToken reads a token that is a string or an object. key names the place for errors.
func (s *settings) readToken(raw json.RawMessage, key, source string) (addedToken, error) {
	token := addedToken{Special: true}
	if bytes.HasPrefix(raw, []byte(`"`)) {
		err := jsonread.Decode(raw, &token.Content)
		return token, jsonread.At(key, err)
	}
	var entry struct {
		Content    string `json:"content"`
		SingleWord bool   `json:"single_word"`
		LStrip     bool   `json:"lstrip"`
		RStrip     bool   `json:"rstrip"`
		Normalized *bool  `json:"normalized"`
		Special    bool   `json:"special"`
	}
	var object map[string]json.RawMessage
	err := jsonread.Decode(raw, &entry)
	if err == nil {
		err = jsonread.Decode(raw, &object)
	}
	if err != nil {
		return token, jsonread.At(key, err)
	}
	unknown, err := tokenTable.Check(object)
	if err != nil {
		return token, fmt.Errorf("%s: %w", key, err)
	}
	if len(unknown) > 0 {
		s.note("%s: %s: ignored keys that are not known: %s", source, key, quoted(unknown))
	}
	token = addedToken{Content: entry.Content, SingleWord: entry.SingleWord, LStrip: entry.LStrip, RStrip: entry.RStrip, Normalized: !entry.Special, Special: entry.Special}
	if entry.Normalized != nil {
		token.Normalized = *entry.Normalized
	}
	return token, nil
}
