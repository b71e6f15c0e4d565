package jsonread

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"slices"
)

// Repeat is a key that stands again in an object that has it.
type Repeat struct {
	Path   string
	Offset int                // of the later key
	Values [2]json.RawMessage // the earlier value and the later one
}

// RepeatError is a key that stands again with another value. Line and Column, in bytes, count from
// 1.
type RepeatError struct {
	Repeat
	Line, Column int
}

func (e *RepeatError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s stands twice, with the values %s and %s, expected it once: remove one of them",
		e.Line, e.Column, e.Path, Clip(e.Values[0]), Clip(e.Values[1]))
}

// Equal reports whether both values are the same but for white space.
func (r Repeat) Equal() bool {
	var a, b bytes.Buffer
	return json.Compact(&a, r.Values[0]) == nil && json.Compact(&b, r.Values[1]) == nil && bytes.Equal(a.Bytes(), b.Bytes())
}

// Repeats lists the keys of valid JSON that stand twice in one object, in the order of their ends.
// Of such keys readers take the first, the last, or none (RFC 8259, section 4).
func Repeats(data []byte) (list []Repeat) {
	var seen []map[string]json.RawMessage // by the number of steps: the keys of the object so far
	s := scan{data: data}
	s.skip("\xef\xbb\xbf")
	s.walk(nil, func(steps []step, at, begin, end int) {
		depth := len(steps)
		if depth+1 < len(seen) {
			seen[depth+1] = nil // whose object or array has ended
		}
		key := steps[depth-1].key
		if key == nil {
			return
		}
		for len(seen) <= depth {
			seen = append(seen, nil)
		}
		if seen[depth] == nil {
			seen[depth] = map[string]json.RawMessage{}
		}
		name := string(plain(key))
		if first, again := seen[depth][name]; again {
			list = append(list, Repeat{Path: pathOf(steps), Offset: at, Values: [2]json.RawMessage{first, data[begin:end]}})
			return
		}
		seen[depth][name] = data[begin:end]
	})
	return list
}

// DecodeNoting is Decode, and names the keys that stand twice in one object with equal values, for
// notes: "hidden_size stands twice, with equal values".
func DecodeNoting(data []byte, v any) (notes []string, err error) {
	data, err = text(data)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return nil, Explain(data, err)
	}
	if !mayRepeat(data) {
		return nil, nil
	}
	for _, r := range Repeats(data) {
		if !r.Equal() {
			line, column := place(data, int64(r.Offset)+1)
			return nil, &RepeatError{Repeat: r, Line: line, Column: column}
		}
		notes = append(notes, r.Path+" stands twice, with equal values")
	}
	return notes, nil
}

// mayRepeat reports whether an object of valid JSON may have a key twice. It is a look at hashes,
// which takes a fraction of the time of Decode: vocabularies have 100,000 keys and more.
func mayRepeat(data []byte) bool {
	seed := maphash.MakeSeed()
	var open []*hashes // by depth: of the object that is open there, or nil for an array
	isKey := false
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '{':
			open, isKey = append(open, new(hashes)), true
		case '[':
			open, isKey = append(open, nil), false
		case '}', ']':
			open, isKey = open[:max(0, len(open)-1)], false
		case ',':
			isKey = len(open) > 0 && open[len(open)-1] != nil
		case '"':
			s := scan{data: data, at: i}
			s.text()
			if isKey && !open[len(open)-1].add(maphash.Bytes(seed, plain(data[i:s.at]))) {
				return true
			}
			i, isKey = s.at-1, false
		}
	}
	return false
}

// hashes is a set that is small most of the time.
type hashes struct {
	few  []uint64
	many map[uint64]struct{}
}

// add reports whether h is new.
func (s *hashes) add(h uint64) bool {
	const most = 16
	if _, old := s.many[h]; old || slices.Contains(s.few, h) {
		return false
	}
	if len(s.few) < most {
		s.few = append(s.few, h)
		return true
	}
	if s.many == nil {
		s.many = map[uint64]struct{}{}
	}
	s.many[h] = struct{}{}
	return true
}

// plain is a string of JSON with its quotes and without escapes.
func plain(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted
	}
	var text string
	_ = json.Unmarshal(quoted, &text) // it is valid
	return []byte(`"` + text + `"`)
}
