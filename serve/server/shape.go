package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"slimlab/internal/jsonread"
)

// shape is what a value within a body may have in it. It finds what encoding/json passes over: null
// in a list, which it reads as a zero value, and keys that nobody reads, at every depth. An empty
// shape looks at nothing, as in a JSON Schema.
type shape struct {
	words   string // what is expected, for errors: "a whole number"
	kinds   string // first characters of the values that are taken, of "0t[{; "" leaves that to their readers
	among   []string
	each    *shape // of a list's elements
	alike   bool   // and they are all of the first one's kind
	values  *shape // of the members of an object that has any keys
	bounds  *memberBounds
	keys    jsonread.Table
	members map[string]*shape                               // of an object with keys
	choose  func(members map[string]json.RawMessage) *shape // the shape of an object by what is in it
}

// memberBounds bound the members of an object that has any keys, whose values are strings.
type memberBounds struct{ members, key, value int } // how many, and the characters of each

// check refuses what is beyond them.
func (b *memberBounds) check(path string, members map[string]json.RawMessage) error {
	if b == nil {
		return nil
	}
	if n := len(members); n > b.members {
		return overLimit(path, "pairs", n, b.members)
	}
	for _, key := range slices.Sorted(maps.Keys(members)) {
		var value string
		if err := jsonread.Decode(members[key], &value); err != nil {
			return unreadable(jsonread.Member(path, key), err)
		}
		if n := utf8.RuneCountInString(key); n > b.key {
			return refuse(path, "found %d characters in the key %s, expected at most %d", n, jsonread.Clip([]byte(strconv.Quote(key))), b.key).coded("limit_exceeded")
		}
		if n := utf8.RuneCountInString(value); n > b.value {
			return overLimit(jsonread.Member(path, key), "characters", n, b.value)
		}
	}
	return nil
}

var (
	aText   = &shape{words: "a string", kinds: `"`}
	aWhole  = &shape{words: "a whole number"}
	aNumber = &shape{words: "a number"}
	tokens  = listOf(aWhole)

	// oneOrMore is a text or tokens, or a list of either.
	oneOrMore = &shape{each: &shape{words: "a string, a whole number or a list of tokens", each: aWhole}, alike: true}
)

func listOf(each *shape) *shape { return &shape{words: "a list", each: each} }

// objectOf is an object of some keys.
func objectOf(keys jsonread.Table, members map[string]*shape) *shape {
	return &shape{words: "an object", keys: keys, members: members}
}

// with is the shape with more members.
func (s *shape) with(keys jsonread.Table, members map[string]*shape) *shape {
	all := maps.Clone(s.members)
	maps.Copy(all, members)
	return objectOf(s.keys.With(keys), all)
}

// not refuses a key whose value asks for something that the server does not do; the values that ask
// for nothing are null and the neutral ones.
func not(reason string, neutral ...string) jsonread.Rule {
	return jsonread.Rule{Use: jsonread.Refused, Reason: reason, Neutral: neutral, Exact: true}
}

// ignored lists the paths of keys that nobody reads, as far as anybody wants to read them.
type ignored struct {
	paths []string
	more  int
}

func (i *ignored) add(path string) {
	const most = 100
	if len(i.paths) == most {
		i.more++
		return
	}
	i.paths = append(i.paths, path)
}

// look refuses what a value must not have in it. path is "" for the body.
func (i *ignored) look(path string, raw json.RawMessage, s *shape) error {
	kind := kindOf(raw)
	switch {
	case s.kinds != "" && !strings.ContainsRune(s.kinds, kind):
		return refuse(path, "found %s, expected %s", foundKinds[kind], s.words)
	case s.among != nil && !slices.Contains(s.among, string(raw)):
		return refuse(path, "found %s, expected %s", jsonread.Clip(raw), strings.Join(s.among, " or "))
	case kind == '[' && s.each != nil:
		return i.list(path, raw, s)
	case kind == '{' && (s.keys != nil || s.values != nil || s.choose != nil):
		return i.object(path, raw, s)
	}
	return nil
}

// list looks at the elements of a list.
func (i *ignored) list(path string, raw json.RawMessage, s *shape) error {
	if s.each.plain() && !bytes.Contains(raw, []byte("null")) {
		return nil // as most are, which may be long
	}
	var elements []json.RawMessage
	if err := json.Unmarshal(raw, &elements); err != nil {
		return unreadable(path, err)
	}
	for n, element := range elements {
		if kindOf(element) == 'n' {
			words := s.each.words
			if s.alike && n > 0 {
				words = map[rune]string{'"': "a string", '0': "a whole number", '[': "a list of tokens"}[kindOf(elements[0])]
			}
			return refuse(at(path, n), "found null, expected %s", words)
		}
		if err := i.look(at(path, n), element, s.each); err != nil {
			return err
		}
	}
	return nil
}

// plain reports whether a shape has no keys in it, so that null is all that can be wrong.
func (s *shape) plain() bool {
	return s == nil || s.keys == nil && s.values == nil && s.choose == nil && s.each.plain()
}

// object looks at the members of an object.
func (i *ignored) object(path string, raw json.RawMessage, s *shape) error {
	members := jsonread.Members(raw)
	if s.choose != nil {
		s = s.choose(members)
	}
	if s.values != nil {
		for _, key := range slices.Sorted(maps.Keys(members)) {
			within, value := jsonread.Member(path, key), members[key]
			if kindOf(value) == 'n' {
				return refuse(within, "found null, expected %s", s.values.words)
			}
			if err := i.look(within, value, s.values); err != nil {
				return err
			}
		}
		return s.bounds.check(path, members)
	}
	unknown, err := []string(nil), error(nil)
	if s.keys != nil {
		unknown, err = s.keys.Check(members)
	}
	if err != nil {
		key, message, _ := strings.Cut(err.Error(), ": ")
		return refuse(jsonread.Member(path, key), "%s", message).coded("unsupported_parameter")
	}
	for _, key := range unknown {
		// encoding/json reads it as the key that is meant, beside which it may stand.
		for known := range s.keys {
			if strings.EqualFold(known, key) {
				return refuse(jsonread.Member(path, key), "found another spelling of %s, expected that", known)
			}
		}
		i.add(jsonread.Member(path, key))
	}
	for _, key := range slices.Sorted(maps.Keys(s.members)) {
		if value := members[key]; !isNull(value) {
			if err := i.look(jsonread.Member(path, key), value, s.members[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

// kindOf is the first character of a value, of its kind: 0 for numbers, t for true and false, n for
// null and for nothing.
func kindOf(raw json.RawMessage) rune {
	text := bytes.TrimSpace(raw)
	if len(text) == 0 {
		return 'n'
	}
	switch c := text[0]; c {
	case 'f':
		return 't'
	case '"', 't', '[', '{', 'n':
		return rune(c)
	}
	return '0'
}

var foundKinds = map[rune]string{'"': "a string", '0': "a number", 't': "true or false", '[': "a list", '{': "an object", 'n': "null"}

// header lists the paths for a header: with what a header can hold, and not without end.
func (i *ignored) header() string {
	const most = 1024
	var b strings.Builder
	for n, path := range i.paths {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		if b.Len()+len(path) > most {
			fmt.Fprintf(&b, "and %d more", len(i.paths)-n+i.more)
			return b.String()
		}
		b.WriteString(strings.Map(func(r rune) rune {
			if r < ' ' || r >= 0x7f || r == ',' {
				return '?'
			}
			return r
		}, path))
	}
	if i.more > 0 {
		fmt.Fprintf(&b, ", and %d more", i.more)
	}
	return b.String()
}
