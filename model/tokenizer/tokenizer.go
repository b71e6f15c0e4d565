package tokenizer

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Tokenizer encodes text to ids and decodes ids to text. It is safe for concurrent use after
// SetSpecial.
type Tokenizer struct {
	file file // the contents of tokenizer.json; the source of Save and Hash
	// tokenizer_config.json, kept for Save; nil where there was none
	config map[string]json.RawMessage

	tokens            []string         // by id, in the file's spelling; "" where the id is not used
	ids               map[string]int32 // of tokens
	special           []bool           // by id: an added token that is marked special
	bos, eos, padding int32
	notes             []string
	// added tokens that the normalizer changes before they are found
	moved []string

	raw, normalized matcher // added tokens matched before and after the normalizer
	normalizers     []normalizer
	lead            lead
	splitters       []splitter
	model           bpe
	cache           *cache
	before, after   []int32     // special tokens that the post-processor adds around a text
	expressions     []*matching // those of normalizers and splitters
	spelling
}

// Vocab returns the number of ids: one more than the highest.
func (t *Tokenizer) Vocab() int { return len(t.tokens) }

// ID returns the id of a token in the file's spelling, in which a byte-level token writes a space
// as "Ġ".
func (t *Tokenizer) ID(token string) (int32, bool) {
	id, ok := t.ids[token]
	return id, ok
}

// Token returns the file's spelling of an id, or "" where no token has it.
func (t *Tokenizer) Token(id int32) string {
	if id < 0 || int(id) >= len(t.tokens) {
		return ""
	}
	return t.tokens[id]
}

// Special reports whether an id is a special token, which has no text.
func (t *Tokenizer) Special(id int32) bool {
	return id >= 0 && int(id) < len(t.special) && t.special[id]
}

// BOS returns the id of the token that begins a text, or -1.
func (t *Tokenizer) BOS() int32 { return t.bos }

// EOS returns the id of the token that ends a text, or -1.
func (t *Tokenizer) EOS() int32 { return t.eos }

// Padding returns the id of the token that pads a batch, or -1.
func (t *Tokenizer) Padding() int32 { return t.padding }

// Notes say what the readers of the tokenizer's files left out, guessed, or found twice and
// different: one sentence each, naming the files. They are of the files, and Save writes none.
func (t *Tokenizer) Notes() []string { return slices.Clone(t.notes) }

func (t *Tokenizer) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

// Err returns why a text could not be encoded: one of the file's expressions was given up, since it
// goes back and forth in the text without end. What Encode returned from then on ends with −1,
// which is no token. Whoever encodes texts looks at Err afterwards; CheckIDs does.
func (t *Tokenizer) Err() error {
	for _, m := range t.expressions {
		if err := m.err(); err != nil {
			return err
		}
	}
	return nil
}

// Encode returns the ids of text. It finds added tokens that are spelled out in the text, and adds
// none. See Err for a text that has no ids.
func (t *Tokenizer) Encode(text string) []int32 {
	return t.encode(make([]int32, 0, len(text)/4+1), text)
}

// EncodeSpecial returns the ids of text with the special tokens of the post-processor's template
// around it, such as a BOS.
func (t *Tokenizer) EncodeSpecial(text string) []int32 {
	ids := make([]int32, 0, len(text)/4+1+len(t.before)+len(t.after))
	ids = append(ids, t.before...)
	ids = t.encode(ids, text)
	return append(ids, t.after...)
}

// Beginning is the tokens that EncodeSpecial puts before a text, such as a BOS. It is not to be
// written to.
func (t *Tokenizer) Beginning() []int32 { return t.before }

// noID ends the ids of a text that has none.
const noID = -1

func (t *Tokenizer) encode(ids []int32, text string) []int32 {
	t.pieces(text, func(id int32) { ids = append(ids, id) }, func(word string) { ids = t.encodeWord(ids, word) })
	if t.Err() != nil {
		ids = append(ids, noID)
	}
	return ids
}

// pieces cuts a text into its added tokens and normalized words, in their order.
func (t *Tokenizer) pieces(text string, added func(id int32), word func(string)) {
	first := true
	t.raw.split(text, func(piece string, id int32) {
		if id >= 0 {
			added(id)
			first = false
			return
		}
		for _, n := range t.normalizers {
			piece = n.normalize(piece)
		}
		t.normalized.split(piece, func(piece string, id int32) {
			if id >= 0 {
				added(id)
				first = false
				return
			}
			piece = t.lead.apply(piece, first)
			first = false
			splitAll(t.splitters, piece, word)
		})
	})
}

// encodeWord appends the ids of one pre-token, from the cache where possible.
func (t *Tokenizer) encodeWord(ids []int32, word string) []int32 {
	if len(word) > longestCached {
		return t.model.encode(ids, word)
	}
	if found, ok := t.cache.get(word); ok {
		return append(ids, found...)
	}
	start := len(ids)
	ids = t.model.encode(ids, word)
	t.cache.put(word, ids[start:])
	return ids
}

// SetSpecial names the tokens that begin and end a text; "" is none. EncodeSpecial then adds the
// first before every text. Call it before the tokenizer is shared.
func (t *Tokenizer) SetSpecial(bos, eos string) error {
	id := func(role, token string) (int32, error) {
		if token == "" {
			return -1, nil
		}
		id, ok := t.ids[token]
		if !ok || !t.special[id] {
			return -1, fmt.Errorf("%s token %q is not a special token of the tokenizer", role, token)
		}
		return id, nil
	}
	b, err := id("bos", bos)
	if err != nil {
		return err
	}
	e, err := id("eos", eos)
	if err != nil {
		return err
	}
	t.bos, t.eos = b, e
	t.before, t.after = nil, nil
	t.file.PostProcessor = nil
	t.config = maps.Clone(t.config)
	delete(t.config, "add_bos_token") // the template says it now
	delete(t.config, "add_eos_token")
	if b >= 0 {
		t.before = []int32{b}
		t.file.PostProcessor = templateOf(t.ids, bos, "")
	}
	return nil
}
