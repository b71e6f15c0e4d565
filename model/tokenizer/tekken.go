package tokenizer

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"slimlab/internal/jsonread"
)

// tekkenFile is a tekken.json: Mistral's own form of a byte-level tokenizer.
type tekkenFile struct {
	Config struct {
		Pattern string `json:"pattern"`
		Vocab   int    `json:"default_vocab_size"`
		Special *int   `json:"default_num_special_tokens"`
	} `json:"config"`
	Tokens []struct {
		Rank  int    `json:"rank"`
		Bytes string `json:"token_bytes"`
	} `json:"vocab"`
	Special []struct {
		Rank int    `json:"rank"`
		Text string `json:"token_str"`
	} `json:"special_tokens"`
}

// tekkenSpecial are the special tokens of files that do not list them (mistral-common's).
var tekkenSpecial = []string{"<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]", "[TOOL_CALLS]",
	"[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]"}

// mostSpecial bounds the ids of special tokens. Real files have 1000.
const mostSpecial = 1 << 16

// readTekken reads a tekken.json; build is to follow. Special tokens have the ids from 0 on, those
// without a name included; the tokens of words follow in the order of their ranks, as many as the
// vocabulary has room for.
func readTekken(data []byte) (*Tokenizer, error) {
	t := newTokenizer()
	if err := t.checkTekkenKeys(data); err != nil {
		return nil, err
	}
	var f tekkenFile
	if err := jsonread.Decode(data, &f); err != nil {
		return nil, err
	}
	special, room, err := f.sizes()
	if err != nil {
		return nil, err
	}
	if err := t.tekkenSpecial(&f, special); err != nil {
		return nil, err
	}
	m := &t.file.Model
	m.Type, m.Vocab = "BPE", vocabulary{}
	if len(f.Tokens) > room {
		f.Tokens = f.Tokens[:room] // the file has more than the model
	}
	tokens := make([]rankedToken, len(f.Tokens))
	for i, token := range f.Tokens {
		raw, err := base64.StdEncoding.DecodeString(token.Bytes)
		if err != nil || len(raw) == 0 {
			return nil, fmt.Errorf("vocab[%d].token_bytes: found %.40q, expected base64 of at least a byte", i, token.Bytes)
		}
		if token.Rank != i {
			return nil, fmt.Errorf("vocab[%d].rank: found %d, expected %d", i, token.Rank, i)
		}
		text := spellBytes(string(raw))
		if other, ok := m.Vocab[text]; ok {
			return nil, fmt.Errorf("vocab[%d]: token %q also has rank %d", i, text, int(other)-special)
		}
		tokens[i] = rankedToken{text, int32(special + i), int32(i)}
		m.Vocab[text] = tokens[i].id
	}
	if err := m.mergeTo(tokens); err != nil {
		return nil, err
	}
	t.file.byteLevel(wordSplit{patterns: []string{f.Config.Pattern}, ignoreMerges: true})
	if t.bos >= 0 {
		begin := t.file.AddedTokens[t.bos].Content
		t.file.PostProcessor = templateOf(map[string]int32{begin: t.bos}, begin, "")
	}
	return t, nil
}

// sizes returns how many ids special tokens have, and how many are left for words.
func (f *tekkenFile) sizes() (special, words int, err error) {
	special, words = len(f.Special), len(f.Tokens)
	if len(f.Special) == 0 {
		special = len(tekkenSpecial)
	}
	if f.Config.Special != nil {
		special = *f.Config.Special
	}
	switch {
	case f.Config.Pattern == "":
		return 0, 0, fmt.Errorf("config.pattern: found none, expected how a text is split into words")
	case special < 0 || special > mostSpecial:
		return 0, 0, fmt.Errorf("config.default_num_special_tokens: found %d, expected 0 to %d", special, mostSpecial)
	case f.Config.Vocab != 0 && f.Config.Vocab < special:
		return 0, 0, fmt.Errorf("config.default_vocab_size: found %d, expected at least the %d of special tokens", f.Config.Vocab, special)
	case f.Config.Vocab != 0:
		words = f.Config.Vocab - special
	}
	return special, words, nil
}

// tekkenSpecial lists the special tokens by id: those that have no name are <SPECIAL_id>.
func (t *Tokenizer) tekkenSpecial(f *tekkenFile, n int) error {
	names := make([]string, n)
	if len(f.Special) == 0 && n > 0 {
		t.note("tekken.json lists no special_tokens: their names are mistral-common's, which was guessed")
		copy(names, tekkenSpecial)
	}
	for i, s := range f.Special {
		if s.Rank < 0 || s.Rank >= n {
			return fmt.Errorf("special_tokens[%d].rank: found %d, expected a rank below %d", i, s.Rank, n)
		}
		if names[s.Rank] != "" || s.Text == "" {
			return fmt.Errorf("special_tokens[%d]: found %q with rank %d, expected one token with a text for each rank", i, s.Text, s.Rank)
		}
		names[s.Rank] = s.Text
	}
	for id, name := range names {
		if name == "" {
			name = fmt.Sprintf("<SPECIAL_%d>", id)
		}
		t.file.AddedTokens = append(t.file.AddedTokens, addedToken{ID: int32(id), Content: name, Special: true})
		switch name {
		case "<s>":
			t.bos = int32(id)
		case "</s>":
			t.eos = int32(id)
		case "<pad>":
			t.padding = int32(id)
		}
	}
	return nil
}

// checkTekkenKeys compares the keys with the tables.
func (t *Tokenizer) checkTekkenKeys(data []byte) error {
	whole := jsonread.Members(data)
	for _, part := range []struct {
		path   string
		object map[string]json.RawMessage
		table  jsonread.Table
	}{{"", whole, tekkenTable}, {"config.", jsonread.Members(whole["config"]), tekkenConfigTable}} {
		if err := t.checkTableOf("tekken.json", part.path, part.object, part.table); err != nil {
			return err
		}
	}
	return nil
}
