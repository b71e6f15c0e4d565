package jsonread

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Use is what the program does with a key.
type Use int

const (
	Read Use = iota + 1 // its value is used, or checked
	// it changes no result of ours: a note of another program, a switch of training
	Harmless
	Refused // it changes results, and the program does not do what it asks for
)

// Rule is what the program does with one key. A refused key may have a value that asks for nothing:
// Neutral are such values besides null, false, an empty list and an empty object, as JSON text;
// with Exact they are such values besides null alone.
type Rule struct {
	Use     Use
	Reason  string // for Refused: what the key asks for, "attention within a window"
	Neutral []string
	Exact   bool
}

// Table is the rule of every known key of one kind of file.
type Table map[string]Rule

// Keys returns a table in which all keys have one use.
func Keys(use Use, keys ...string) Table {
	t := Table{}
	for _, key := range keys {
		t[key] = Rule{Use: use}
	}
	return t
}

// With returns the entries of t and of the others; where several have a key, the last counts.
func (t Table) With(others ...Table) Table {
	all := Table{}
	for _, each := range append([]Table{t}, others...) {
		for key, rule := range each {
			all[key] = rule
		}
	}
	return all
}

// Check returns the keys of an object that the table does not have, sorted, or an error for a
// refused key whose value asks for something. Of several refused keys the first in sorted order is
// named.
func (t Table) Check(object map[string]json.RawMessage) (unknown []string, err error) {
	keys := make([]string, 0, len(object))
	for key := range object {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		rule, ok := t[key]
		switch {
		case !ok:
			unknown = append(unknown, key)
		case rule.Use == Refused && !rule.neutral(object[key]):
			return nil, fmt.Errorf("%s: found %s: %s is not supported, expected %s", key, Clip(object[key]), rule.Reason, strings.Join(rule.expected(object[key]), " or "))
		}
	}
	return unknown, nil
}

// expected are the values that ask for nothing, as an error names them in place of one: the empty
// one of its kind too.
func (r Rule) expected(value json.RawMessage) []string {
	list := []string{"no such key", "null"}
	if r.Exact {
		return append(list, r.Neutral...)
	}
	switch first := bytes.TrimSpace(value)[:1]; string(first) {
	case "t":
		list = append(list, "false")
	case "[":
		list = append(list, "[]")
	case "{":
		list = append(list, "{}")
	}
	return append(list, r.Neutral...)
}

func (r Rule) neutral(value json.RawMessage) bool {
	var compact bytes.Buffer
	if json.Compact(&compact, value) != nil {
		return len(value) == 0
	}
	switch text := compact.String(); text {
	case "null":
		return true
	case "false", "[]", "{}":
		return !r.Exact || slices.Contains(r.Neutral, text)
	default:
		return slices.Contains(r.Neutral, text)
	}
}

// Clip is the beginning of a JSON value for an error or a note, as the file has it but for white
// space. A text has the quotes of JSON, so that none are put around the result.
func Clip(value []byte) string {
	const most = 40
	var compact bytes.Buffer
	if json.Compact(&compact, value) != nil {
		return fmt.Sprintf("%.*q", most, value)
	}
	if text := compact.String(); len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return compact.String()
}
