package tokenizer

import "strings"

// symbols splits given strings off a text: the leftmost first, of those the longest.
type symbols struct {
	texts   []string
	matcher matcher
}

func newSymbols(texts []string) *symbols {
	patterns := make([]pattern, len(texts))
	for i, text := range texts {
		patterns[i] = pattern{text, addedToken{ID: int32(i)}}
	}
	return &symbols{texts, newMatcher(patterns)}
}

func (s *symbols) split(text string, yield func(string)) {
	s.matcher.split(text, func(piece string, at int32) {
		if at >= 0 {
			piece = s.texts[at]
		}
		yield(piece)
	})
}

// literalPattern is an expression that matches the strings; literals reads it back.
func literalPattern(texts []string) string {
	parts := make([]string, len(texts))
	for i, text := range texts {
		var b strings.Builder
		for _, c := range []byte(text) {
			if strings.IndexByte(`\.+*?()|[]{}^$`, c) >= 0 {
				b.WriteByte('\\')
			}
			b.WriteByte(c)
		}
		parts[i] = b.String()
	}
	return strings.Join(parts, "|")
}

// literals returns the strings that an expression matches which consists of them alone, longest
// first: symbols splits by them as the expression does. It is nil for any other expression.
func literals(pattern string) []string {
	var texts []string
	var b []byte
	end := func() bool {
		ok := len(b) > 0 && (len(texts) == 0 || len(texts[len(texts)-1]) >= len(b))
		texts, b = append(texts, string(b)), nil
		return ok
	}
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '|':
			if !end() {
				return nil
			}
		case c == '\\':
			if i++; i == len(pattern) || strings.IndexByte(`\.+*?()|[]{}^$-/`, pattern[i]) < 0 {
				return nil
			}
			b = append(b, pattern[i])
		case strings.IndexByte(`.+*?()[]{}^$#`, c) >= 0:
			return nil
		default:
			b = append(b, c)
		}
	}
	if !end() {
		return nil
	}
	return texts
}

// symbolsOf returns the strings that splitters isolate before anything else cuts them.
func symbolsOf(splitters []splitter) []string {
	if len(splitters) == 1 {
		if s, ok := splitters[0].(*symbols); ok {
			return s.texts
		}
	}
	return nil
}
