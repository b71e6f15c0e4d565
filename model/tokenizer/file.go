package tokenizer

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"slimlab/internal/jsonread"
)

// file is a tokenizer.json. Components stay as they were written; component.go reads them.
type file struct {
	Version       string          `json:"version"`
	Truncation    json.RawMessage `json:"truncation"`
	Padding       json.RawMessage `json:"padding"`
	AddedTokens   []addedToken    `json:"added_tokens"`
	Normalizer    json.RawMessage `json:"normalizer"`
	PreTokenizer  json.RawMessage `json:"pre_tokenizer"`
	PostProcessor json.RawMessage `json:"post_processor"`
	Decoder       json.RawMessage `json:"decoder"`
	Model         modelFile       `json:"model"`
}

type modelFile struct {
	Type                    string     `json:"type"`
	Dropout                 *float64   `json:"dropout"`
	UnkToken                *string    `json:"unk_token"`
	ContinuingSubwordPrefix *string    `json:"continuing_subword_prefix"`
	EndOfWordSuffix         *string    `json:"end_of_word_suffix"`
	FuseUnk                 bool       `json:"fuse_unk"`
	ByteFallback            bool       `json:"byte_fallback"`
	IgnoreMerges            bool       `json:"ignore_merges"`
	Vocab                   vocabulary `json:"vocab"`
	Merges                  mergeList  `json:"merges"`

	// ranks, where it is not nil, are the merges' ranks instead of their places in the list.
	// Formats that score tokens and not merges give all merges that make one token one rank, and
	// the leftmost goes first; a tokenizer.json cannot say so.
	ranks []int32
}

// vocabulary is written in the order of ids, as people read it.
type vocabulary map[string]int32

func (v vocabulary) MarshalJSON() ([]byte, error) {
	tokens := make([]string, 0, len(v))
	for token := range v {
		tokens = append(tokens, token)
	}
	slices.SortFunc(tokens, func(a, b string) int { return cmp.Or(cmp.Compare(v[a], v[b]), cmp.Compare(a, b)) })
	var b bytes.Buffer
	b.WriteByte('{')
	for i, token := range tokens {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := marshal(token)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%s:%d", key, v[token])
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// mergeList has two spellings: "a b", which every version of the format reads, and ["a","b"],
// needed for tokens with spaces.
type mergeList [][2]string

func (m *mergeList) UnmarshalJSON(data []byte) error {
	if inner := bytes.TrimLeft(bytes.TrimPrefix(data, []byte("[")), " \t\r\n"); len(inner) > 0 && inner[0] == '[' {
		var pairs [][]string
		if err := jsonread.Decode(data, &pairs); err != nil {
			return jsonread.At("model.merges", err)
		}
		return m.fill(pairs)
	}
	var lines []string
	if err := jsonread.Decode(data, &lines); err != nil {
		return jsonread.At("model.merges", err)
	}
	*m = make(mergeList, len(lines))
	for i, line := range lines {
		a, b, ok := strings.Cut(line, " ")
		if !ok || strings.Contains(b, " ") {
			return fmt.Errorf("model.merges[%d] %q: found %d parts, expected 2", i, line, strings.Count(line, " ")+1)
		}
		(*m)[i] = [2]string{a, b}
	}
	return nil
}

func (m *mergeList) fill(pairs [][]string) error {
	*m = make(mergeList, len(pairs))
	for i, pair := range pairs {
		if len(pair) != 2 {
			return fmt.Errorf("model.merges[%d] %q: found %d parts, expected 2", i, pair, len(pair))
		}
		(*m)[i] = [2]string{pair[0], pair[1]}
	}
	return nil
}

func (m mergeList) MarshalJSON() ([]byte, error) {
	for _, pair := range m {
		if strings.Contains(pair[0]+pair[1], " ") {
			return marshal([][2]string(m))
		}
	}
	lines := make([]string, len(m))
	for i, pair := range m {
		lines[i] = pair[0] + " " + pair[1]
	}
	return marshal(lines)
}

// marshal is json.Marshal without HTML escapes: "<|end|>" stays readable.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

func isNull(raw json.RawMessage) bool {
	return len(raw) == 0 || string(raw) == "null"
}

// checkKeys compares the keys of a tokenizer.json with the tables and notes those that these lack.
// A model of another type than BPE is refused here, before its values are looked at.
func (t *Tokenizer) checkKeys(data []byte) error {
	whole := jsonread.Members(data)
	model := jsonread.Members(whole["model"])
	if kind := modelType(model); kind != "BPE" {
		return unsupported("model", kind, "BPE")
	}
	if err := t.checkTable("", whole, fileTable); err != nil {
		return err
	}
	if err := t.checkTable("model.", model, modelTable); err != nil {
		return err
	}
	for _, key := range []string{"truncation", "padding"} {
		if !isNull(whole[key]) {
			t.note("tokenizer.json: %s is ignored: no text is cut or filled up", key)
		}
	}
	for _, kind := range []string{"normalizer", "pre_tokenizer", "post_processor", "decoder"} {
		if err := t.checkComponent(kind, whole[kind], 0); err != nil {
			return err
		}
	}
	var added []json.RawMessage
	if json.Unmarshal(whole["added_tokens"], &added) == nil {
		for i, token := range added {
			if err := t.checkTable(fmt.Sprintf("added_tokens[%d].", i), jsonread.Members(token), addedTable); err != nil {
				return err
			}
		}
	}
	return nil
}

// modelType is what a model calls itself. Early files leave the type out: then what it holds says
// it.
func modelType(model map[string]json.RawMessage) string {
	var kind string
	if json.Unmarshal(model["type"], &kind) == nil && kind != "" {
		return kind
	}
	_, wordPiece := model["max_input_chars_per_word"]
	switch {
	case bytes.HasPrefix(model["vocab"], []byte("[")):
		return "Unigram"
	case wordPiece:
		return "WordPiece"
	}
	return "BPE"
}

func (t *Tokenizer) checkTable(path string, object map[string]json.RawMessage, table jsonread.Table) error {
	return t.checkTableOf("tokenizer.json", path, object, table)
}

func (t *Tokenizer) checkTableOf(name, path string, object map[string]json.RawMessage, table jsonread.Table) error {
	unknown, err := table.Check(object)
	if err != nil {
		return fmt.Errorf("%s%w", path, err)
	}
	if len(unknown) > 0 {
		where := ""
		if path != "" {
			where = strings.TrimSuffix(path, ".") + ": "
		}
		t.note("%s: %signored keys that are not known: %s", name, where, quoted(unknown))
	}
	return nil
}

// checkComponent compares the keys of a component, and of those in it, with the tables. Of a type
// that is not known nothing is said: what reads the component refuses it.
func (t *Tokenizer) checkComponent(path string, raw json.RawMessage, depth int) error {
	object := jsonread.Members(raw)
	var kind string
	if json.Unmarshal(object["type"], &kind) != nil || depth > deepestSequence {
		return nil
	}
	table, ok := componentTables[kind]
	if !ok {
		return nil
	}
	if err := t.checkTable(path+".", object, table); err != nil {
		return err
	}
	for _, key := range []string{"normalizers", "pretokenizers", "processors", "decoders"} {
		var parts []json.RawMessage
		if json.Unmarshal(object[key], &parts) != nil {
			continue
		}
		for i, part := range parts[:min(len(parts), longestSequence)] {
			if err := t.checkComponent(fmt.Sprintf("%s.%s[%d]", path, key, i), part, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}
