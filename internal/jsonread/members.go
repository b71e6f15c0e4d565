package jsonread

import "encoding/json"

// Members returns the members of the object that data is, without copying the values: they are
// views of data. It looks no closer than it needs to, and is nil for what is no object; whether the
// values are JSON is Decode's to say.
func Members(data []byte) map[string]json.RawMessage {
	s := scan{data: data}
	if s.skip("\xef\xbb\xbf"); !s.skip("{") {
		return nil
	}
	members := map[string]json.RawMessage{}
	for first := true; ; first = false {
		if s.skip("}") {
			return members
		}
		if !first && !s.skip(",") {
			return nil
		}
		key := s.value()
		if !s.skip(":") {
			return nil
		}
		value := s.value()
		var name string
		if len(value) == 0 || json.Unmarshal(key, &name) != nil {
			return nil
		}
		members[name] = value
	}
}

// scan is a place in JSON.
type scan struct {
	data []byte
	at   int
}

func (s *scan) space() {
	for s.at < len(s.data) && (s.data[s.at] == ' ' || s.data[s.at] == '\n' || s.data[s.at] == '\r' || s.data[s.at] == '\t') {
		s.at++
	}
}

// skip goes past white space and token, if that is what comes.
func (s *scan) skip(token string) bool {
	s.space()
	if len(s.data)-s.at < len(token) || string(s.data[s.at:s.at+len(token)]) != token {
		return false
	}
	s.at += len(token)
	return true
}

// value goes past one value and returns it, empty where there is none.
func (s *scan) value() []byte {
	s.space()
	start, depth := s.at, 0
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case '"':
			s.text()
			if depth == 0 {
				return s.data[start:s.at]
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return s.data[start:s.at]
			}
			if depth--; depth == 0 {
				s.at++
				return s.data[start:s.at]
			}
		case ',', ':', ' ', '\n', '\r', '\t':
			if depth == 0 {
				return s.data[start:s.at]
			}
		}
		s.at++
	}
	return s.data[start:]
}

// text goes past a string.
func (s *scan) text() {
	for s.at++; s.at < len(s.data); s.at++ {
		switch s.data[s.at] {
		case '\\':
			s.at++
		case '"':
			s.at++
			return
		}
	}
	s.at = len(s.data)
}
