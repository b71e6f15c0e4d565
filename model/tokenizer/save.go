package tokenizer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"strconv"

	"slimlab/internal/atomicfile"
)

// Hash returns a hexadecimal SHA-256 of all that decides ids and text: two tokenizers of one hash
// encode alike.
func (t *Tokenizer) Hash() string {
	data, err := marshal(t.canonical())
	if err != nil {
		panic(err) // the file's parts were parsed before
	}
	h := sha256.New()
	h.Write(data)
	fmt.Fprintf(h, "\nbos %d eos %d\n", t.bos, t.eos)
	return hex.EncodeToString(h.Sum(nil))
}

// canonical is the file as Save writes it.
func (t *Tokenizer) canonical() file {
	f := t.file
	f.Version = "1.0"
	f.Truncation, f.Padding = nil, nil // settings of a call, not of the vocabulary
	f.Model.Type = "BPE"
	if f.AddedTokens == nil {
		f.AddedTokens = []addedToken{}
	}
	if f.Model.Merges == nil {
		f.Model.Merges = mergeList{}
	}
	f.Model.Vocab = numbered(f.Model.Vocab, f.AddedTokens)
	return f
}

// numbered returns a vocabulary with the added tokens in it, unless they get their ids without: the
// tokenizers library passes over an added token's id and counts on from the highest.
func numbered(vocab vocabulary, added []addedToken) vocabulary {
	highest := int32(len(vocab)) - 1
	for _, a := range added {
		id, ok := vocab[a.Content]
		if !ok {
			id = highest + 1
		}
		if id != a.ID {
			complete := maps.Clone(vocab)
			for _, a := range added {
				complete[a.Content] = a.ID
			}
			return complete
		}
		highest = max(highest, id)
	}
	return vocab
}

// Save writes tokenizer.json, tokenizer_config.json and special_tokens_map.json into a folder that
// exists. Each file is replaced in one step.
func (t *Tokenizer) Save(dir string) error {
	config := maps.Clone(t.config)
	if config == nil {
		config = newConfig()
	}
	if _, ok := config["added_tokens_decoder"]; ok { // as tokenizer.json has them
		decoder := map[string]addedToken{}
		for _, a := range t.file.AddedTokens {
			decoder[strconv.Itoa(int(a.ID))] = a
		}
		config["added_tokens_decoder"] = mustMarshal(decoder)
	}
	roles := map[string]json.RawMessage{}
	for key, id := range map[string]int32{"bos_token": t.bos, "eos_token": t.eos} {
		if id < 0 {
			delete(config, key)
			continue
		}
		name, err := marshal(t.tokens[id])
		if err != nil {
			return err
		}
		config[key], roles[key] = name, name
	}
	for _, out := range []struct {
		name    string
		content any
	}{{"tokenizer.json", t.canonical()}, {"tokenizer_config.json", config}, {"special_tokens_map.json", roles}} {
		if err := writeJSON(filepath.Join(dir, out.name), out.content); err != nil {
			return fmt.Errorf("save tokenizer: %w", err)
		}
	}
	return nil
}

// newConfig is a tokenizer_config.json for a tokenizer that came without one.
func newConfig() map[string]json.RawMessage {
	return map[string]json.RawMessage{
		"tokenizer_class":              json.RawMessage(`"PreTrainedTokenizerFast"`),
		"clean_up_tokenization_spaces": json.RawMessage(`false`),
	}
}

func writeJSON(name string, v any) error {
	compact, err := marshal(v)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, compact, "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	return atomicfile.Write(name, func(w io.Writer) error {
		_, err := b.WriteTo(w)
		return err
	})
}
