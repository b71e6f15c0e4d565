package tokenizer

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// combine gives a tokenizer that was read from the file named, and not built, the tokens that the
// files beside it add: the file's own ids count where they contradict it, and a note says so.
func (t *Tokenizer) combine(s *settings, name string) {
	t.config = s.config
	t.notes = append(t.notes, s.notes...)
	c := combiner{t: t, name: name, places: map[string]int{}, sources: map[string]string{}}
	for i, a := range t.file.AddedTokens {
		c.places[a.Content] = i
	}
	for _, entry := range s.added {
		if entry.guessed && slices.ContainsFunc(s.roles, func(r roleEntry) bool { return r.token.Content == entry.Content }) {
			entry.Special, entry.Normalized, entry.guessed = true, false, false
		}
		c.add(entry)
	}
	if len(c.guessed) > 0 {
		t.note("%s does not say which tokens are special: taken for special because of their spelling: %s", addedName, quoted(c.guessed))
	}
	for _, entry := range s.roles {
		c.addRole(entry)
	}
	slices.SortStableFunc(t.file.AddedTokens, func(a, b addedToken) int { return int(a.ID) - int(b.ID) })
}

// combiner adds tokens to a tokenizer's file.
type combiner struct {
	t       *Tokenizer
	name    string            // of the vocabulary's file
	places  map[string]int    // in AddedTokens, by content
	sources map[string]string // of the tokens that were added, by content
	tokens  map[int32]string  // by id; nil before the first look
	guessed []string
}

func (c *combiner) add(entry addedEntry) {
	f := &c.t.file
	if !strings.HasSuffix(c.name, ".json") {
		entry.Normalized = false // SentencePiece's are found in the text as it is
	}
	if at, ok := c.places[entry.Content]; ok {
		c.update(&f.AddedTokens[at], entry)
		return
	}
	if id, ok := f.Model.Vocab[entry.Content]; ok {
		if id != entry.ID {
			c.t.note("%s gives %q the id %d, %s the id %d: the latter is followed", entry.source, entry.Content, entry.ID, c.name, id)
			entry.ID = id
		}
	} else if other := c.token(entry.ID); other != "" {
		from := cmp.Or(c.sources[other], c.name)
		c.t.note("%s gives id %d to %q, %s to %q: the latter is followed, and %q is no token", entry.source, entry.ID, entry.Content, from, other, entry.Content)
		return
	}
	if entry.Content == "" {
		c.t.note("%s: id %d has no text and is no token", entry.source, entry.ID)
		return
	}
	if entry.guessed && entry.Special {
		c.guessed = append(c.guessed, entry.Content)
	}
	c.sources[entry.Content] = entry.source
	c.append(entry.addedToken)
}

// update compares a token that is already added with what another file says of it. Which flags it
// has is the latter's to say, as in transformers: added_tokens.json, which has none, changes
// nothing.
func (c *combiner) update(have *addedToken, entry addedEntry) {
	from := cmp.Or(c.sources[entry.Content], c.name)
	if have.ID != entry.ID {
		c.t.note("%s gives %q the id %d, %s the id %d: the latter is followed", entry.source, entry.Content, entry.ID, from, have.ID)
		entry.ID = have.ID
	}
	if entry.source == addedName || *have == entry.addedToken {
		return
	}
	if strings.HasSuffix(c.name, ".json") {
		c.t.note("%s says of %q: %s; %s says: %s: the former is followed", entry.source, entry.Content, flagsOf(entry.addedToken), from, flagsOf(*have))
	}
	*have = entry.addedToken
}

func flagsOf(a addedToken) string {
	return fmt.Sprintf("special %t, lstrip %t, rstrip %t, single_word %t, normalized %t", a.Special, a.LStrip, a.RStrip, a.SingleWord, a.Normalized)
}

// addRole makes a token with a role special. One that the vocabulary lacks is none: only a note.
func (c *combiner) addRole(entry roleEntry) {
	f := &c.t.file
	if at, ok := c.places[entry.token.Content]; ok {
		f.AddedTokens[at].Special = true
		return
	}
	id, ok := f.Model.Vocab[entry.token.Content]
	if !ok {
		c.t.note("%s: %s: %q is not a token of the vocabulary and is ignored", entry.source, entry.role, entry.token.Content)
		return
	}
	token := entry.token
	token.ID, token.Normalized = id, false
	c.append(token)
}

func (c *combiner) append(token addedToken) {
	c.places[token.Content] = len(c.t.file.AddedTokens)
	c.t.file.AddedTokens = append(c.t.file.AddedTokens, token)
	if c.tokens != nil {
		c.tokens[token.ID] = token.Content
	}
}

// token returns the token that an id has already.
func (c *combiner) token(id int32) string {
	if c.tokens == nil {
		f := &c.t.file
		c.tokens = make(map[int32]string, len(f.Model.Vocab)+len(f.AddedTokens))
		for content, id := range f.Model.Vocab {
			c.tokens[id] = content
		}
		for _, a := range f.AddedTokens {
			c.tokens[a.ID] = a.Content
		}
	}
	return c.tokens[id]
}

// setRoles takes the tokens that begin, end and pad a text. Of two files tokenizer_config.json
// counts, which comes last.
func (t *Tokenizer) setRoles(roles []roleEntry) {
	for _, r := range []struct {
		role string
		id   *int32
	}{{"bos_token", &t.bos}, {"eos_token", &t.eos}, {"pad_token", &t.padding}} {
		var before *roleEntry
		for i, entry := range roles {
			if entry.role != r.role {
				continue
			}
			if before != nil && before.token.Content != entry.token.Content {
				t.note("%s: found %q in %s, %q in %s: the latter is followed", r.role, before.token.Content, before.source, entry.token.Content, entry.source)
			}
			before = &roles[i]
			if id, ok := t.ids[entry.token.Content]; ok {
				*r.id = id
			}
		}
	}
}

// llamaClasses are the classes of transformers whose add_bos_token and add_eos_token count beside a
// tokenizer.json: they write its post_processor anew.
var llamaClasses = []string{"LlamaTokenizer", "CodeLlamaTokenizer", "GemmaTokenizer", "CohereTokenizer"}

// surround puts the tokens around a text that tokenizer_config.json asks for. Where the
// vocabulary's file says so itself, only some classes have that power; for the others a
// contradiction is a note.
func (t *Tokenizer) surround(s *settings, name string) error {
	if s.addBOS == nil && s.addEOS == nil {
		return nil
	}
	hasBOS, hasEOS := len(t.before) > 0, len(t.after) > 0
	wantBOS, wantEOS := hasBOS, hasEOS
	if s.addBOS != nil {
		wantBOS = *s.addBOS
	}
	if s.addEOS != nil {
		wantEOS = *s.addEOS
	}
	same := wantBOS == hasBOS && wantEOS == hasEOS && (!hasBOS || len(t.before) == 1 && t.before[0] == t.bos) && (!hasEOS || len(t.after) == 1 && t.after[0] == t.eos)
	if same {
		return nil
	}
	if name == "tokenizer.json" && !slices.Contains(llamaClasses, s.class) {
		if wantBOS != hasBOS || wantEOS != hasEOS {
			t.note("%s asks for a bos token %t and an eos token %t around a text, the post_processor of %s has %t and %t: the latter is followed, as by tokenizer_class %q",
				configName, wantBOS, wantEOS, name, hasBOS, hasEOS, s.class)
		}
		return nil
	}
	before, after, err := "", "", error(nil)
	if wantBOS {
		if before, err = t.named("add_bos_token", "bos_token", t.bos); err != nil {
			return err
		}
	}
	if wantEOS {
		if after, err = t.named("add_eos_token", "eos_token", t.eos); err != nil {
			return err
		}
	}
	t.file.PostProcessor, t.before, t.after = nil, nil, nil
	if before == "" && after == "" {
		return nil
	}
	t.file.PostProcessor = templateOf(t.ids, before, after)
	t.before, t.after, err = parseTemplate(t.file.PostProcessor, len(t.tokens))
	return err
}

// named returns the token of a role that a flag needs.
func (t *Tokenizer) named(flag, role string, id int32) (string, error) {
	if token := t.Token(id); token != "" {
		return token, nil
	}
	return "", fmt.Errorf("%s: %s is true, but no %s of the vocabulary is named: expected one, or false", configName, flag, role)
}
