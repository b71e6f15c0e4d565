package jsonread

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// TypeError says where JSON has a value of another type than its reader expects. Path names the
// value from the root of what was decoded, such as "added_tokens[0].id", and is "" for the root.
type TypeError struct{ Path, Problem string }

func (e *TypeError) Error() string {
	if e.Path == "" {
		return e.Problem
	}
	return e.Path + ": " + e.Problem
}

// At names the place, a path too, of data that is a part of a file in an error of Decode about it.
func At(place string, err error) error {
	var kind *TypeError
	if err == nil {
		return nil
	}
	if errors.As(err, &kind) {
		return &TypeError{Path: place + dotted(kind.Path), Problem: kind.Problem}
	}
	return fmt.Errorf("%s: %w", place, err)
}

// dotted is a path as it stands behind another one.
func dotted(path string) string {
	if path == "" || path[0] == '[' {
		return path
	}
	return "." + path
}

// step is a key of an object or, where it has none, the index of an array.
type step struct {
	key   []byte // as it is written
	index int
}

// pathOf spells steps: keys behind a dot or, where they are no names, in brackets.
func pathOf(steps []step) string {
	var b strings.Builder
	for _, s := range steps {
		name := bytes.Trim(s.key, `"`)
		switch {
		case s.key == nil:
			fmt.Fprintf(&b, "[%d]", s.index)
		case len(name) == 0 || !isName(name):
			fmt.Fprintf(&b, "[%s]", Clip(s.key))
		case b.Len() > 0:
			b.WriteByte('.')
			fallthrough
		default:
			b.Write(name)
		}
	}
	return b.String()
}

// Member is the path of a member of the object at a path, "" for the root.
func Member(path, key string) string {
	name := key
	if key == "" || !isName([]byte(key)) {
		quoted, _ := json.Marshal(key) // a string has always JSON
		name = "[" + Clip(quoted) + "]"
	}
	if path == "" {
		return name
	}
	return path + dotted(name)
}

func isName(key []byte) bool {
	for _, c := range key {
		if !letter(c) && c != '-' {
			return false
		}
	}
	return len(key) <= 60
}

// pathAt is the path of the innermost value of valid JSON that has the byte at an offset.
func pathAt(data []byte, at int) string {
	var path []step
	s := scan{data: data}
	s.walk(nil, func(steps []step, _, begin, end int) {
		if begin <= at && at < end && len(steps) > len(path) {
			path = append([]step(nil), steps...)
		}
	})
	return pathOf(path)
}

// walk goes past one value of valid JSON. Of each value in it, from the innermost on, visit gets
// the path, the offset of its key or of itself, and those of its beginning and end.
func (s *scan) walk(steps []step, visit func(steps []step, key, begin, end int)) {
	s.space()
	if s.at == len(s.data) || s.data[s.at] != '{' && s.data[s.at] != '[' {
		s.value()
		return
	}
	object := s.data[s.at] == '{'
	s.at++
	for i := 0; s.at < len(s.data) && !s.skip("}") && !s.skip("]"); i++ {
		s.skip(",")
		s.space()
		place, one := s.at, step{index: i}
		if object {
			one.key = s.value()
			s.skip(":")
			s.space()
		}
		begin := s.at
		within := append(steps, one)
		if s.walk(within, visit); s.at == begin {
			return // no valid JSON
		}
		if !object {
			place = begin
		}
		visit(within, place, begin, s.at)
	}
}
