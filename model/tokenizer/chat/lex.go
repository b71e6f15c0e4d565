package chat

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind byte

const (
	endToken    tokenKind = iota
	textToken             // text of the template, as it is written out
	outputBegin           // {{
	outputEnd
	blockBegin // {%
	blockEnd
	nameToken
	stringToken
	integerToken
	floatToken
	operatorToken
)

type token struct {
	kind tokenKind
	text string
	line int
}

func (t token) String() string {
	switch t.kind {
	case endToken:
		return "the end of the template"
	case outputEnd, blockEnd:
		return "the end of the tag"
	}
	return strconv.Quote(t.text)
}

// lexer cuts a template into tokens.
type lexer struct {
	source string
	at     int
	line   int
	tokens []token
}

func lex(source string) ([]token, error) {
	source = strings.ReplaceAll(strings.ReplaceAll(source, "\r\n", "\n"), "\r", "\n")
	l := &lexer{source: strings.TrimSuffix(source, "\n"), line: 1}
	lineStart := true // the text that follows begins a line
	for l.at < len(l.source) {
		open := l.nextTag()
		text := l.source[l.at:open]
		tag := ""
		if open < len(l.source) {
			tag = l.source[open : open+2]
		}
		kept := text
		sign := byte(0)
		if open+2 < len(l.source) {
			sign = l.source[open+2]
		}
		switch {
		case tag != "" && sign == '-':
			kept = strings.TrimRightFunc(text, unicode.IsSpace)
		case tag != "" && tag != "{{" && sign != '+':
			start := strings.LastIndexByte(text, '\n') + 1
			if (start > 0 || lineStart) && strings.TrimSpace(text[start:]) == "" {
				kept = text[:start]
			}
		}
		if kept != "" {
			l.add(textToken, kept)
		}
		l.move(open)
		if tag == "" {
			break
		}
		l.move(open + 2)
		if tag != "{#" && (sign == '-' || sign == '+') {
			l.move(l.at + 1)
		}
		var err error
		switch tag {
		case "{#":
			err = l.comment()
		case "{{":
			l.add(outputBegin, tag)
			err = l.tag("}}", outputEnd)
		default:
			l.add(blockBegin, tag)
			err = l.tag("%}", blockEnd)
			if err == nil && l.isRaw() {
				err = l.raw()
			}
		}
		if err != nil {
			return nil, err
		}
		lineStart = l.source[l.at-1] == '\n'
	}
	l.add(endToken, "")
	return l.tokens, nil
}

// nextTag returns where the next tag begins, or the end of the source.
func (l *lexer) nextTag() int {
	for i := l.at; i+1 < len(l.source); i++ {
		if l.source[i] == '{' && strings.IndexByte("{%#", l.source[i+1]) >= 0 {
			return i
		}
	}
	return len(l.source)
}

func (l *lexer) add(kind tokenKind, text string) {
	l.tokens = append(l.tokens, token{kind, text, l.line})
}

func (l *lexer) move(to int) {
	l.line += strings.Count(l.source[l.at:to], "\n")
	l.at = to
}

func (l *lexer) fail(format string, args ...any) error {
	return fmt.Errorf("line %d: %s", l.line, fmt.Sprintf(format, args...))
}

func (l *lexer) comment() error {
	end := strings.Index(l.source[l.at:], "#}")
	if end < 0 {
		return l.fail("the comment does not end")
	}
	l.move(l.at + end)
	l.close("#}", l.at > 0 && l.source[l.at-1] == '-', l.source[l.at-1] == '+')
	return nil
}

// close passes over the end of a tag, and over the white space after it that the tag takes: all of
// it, or one line end of a block or comment.
func (l *lexer) close(end string, strip, keep bool) {
	to := l.at + len(end)
	switch {
	case strip:
		to = len(l.source) - len(strings.TrimLeftFunc(l.source[to:], unicode.IsSpace))
	case end != "}}" && !keep && to < len(l.source) && l.source[to] == '\n':
		to++
	}
	l.move(to)
}

// operators are tried in order: the longer of two that begin alike stands first.
var operators = []string{"**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">", "=", "(", ")", "[", "]", "{", "}", ",", ":", ".", "|", ";"}

// tag reads the expression part of a tag up to its end.
func (l *lexer) tag(end string, endKind tokenKind) error {
	depth := 0 // of brackets: a dict may end where the tag seems to
	for {
		rest := l.source[l.at:]
		trimmed := strings.TrimLeftFunc(rest, unicode.IsSpace)
		l.move(l.at + len(rest) - len(trimmed))
		if trimmed == "" {
			return l.fail("the tag does not end, expected %q", end)
		}
		if depth == 0 {
			sign := trimmed[0] == '-' || trimmed[0] == '+'
			if strings.HasPrefix(trimmed, end) || sign && strings.HasPrefix(trimmed[1:], end) {
				l.add(endKind, end)
				if sign {
					l.move(l.at + 1)
				}
				l.close(end, trimmed[0] == '-', trimmed[0] == '+')
				return nil
			}
		}
		c := trimmed[0]
		switch {
		case c == '\'' || c == '"':
			if err := l.quoted(); err != nil {
				return err
			}
		case c >= '0' && c <= '9':
			l.number()
		case isNameStart(trimmed):
			n := strings.IndexFunc(trimmed, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
			if n < 0 {
				n = len(trimmed)
			}
			l.add(nameToken, trimmed[:n])
			l.move(l.at + n)
		default:
			op := ""
			for _, o := range operators {
				if strings.HasPrefix(trimmed, o) {
					op = o
					break
				}
			}
			switch op {
			case "":
				r, _ := utf8.DecodeRuneInString(trimmed)
				return l.fail("unexpected character %q", r)
			case "(", "[", "{":
				depth++
			case ")", "]", "}":
				depth--
			}
			l.add(operatorToken, op)
			l.move(l.at + len(op))
		}
	}
}

func isNameStart(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return r == '_' || unicode.IsLetter(r)
}

func (l *lexer) number() {
	s := l.source[l.at:]
	digits := func(i int) int {
		for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == '_' && i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '9') {
			i++
		}
		return i
	}
	n, kind := digits(0), integerToken
	if n+1 < len(s) && s[n] == '.' && s[n+1] >= '0' && s[n+1] <= '9' {
		n, kind = digits(n+1), floatToken
	}
	if n < len(s) && (s[n] == 'e' || s[n] == 'E') {
		e := n + 1
		if e < len(s) && (s[e] == '+' || s[e] == '-') {
			e++
		}
		if end := digits(e); end > e {
			n, kind = end, floatToken
		}
	}
	l.add(kind, strings.ReplaceAll(s[:n], "_", ""))
	l.move(l.at + n)
}

// quoted reads a string with Python's escapes; an escape that Python does not know stands for
// itself.
func (l *lexer) quoted() error {
	s := l.source[l.at:]
	quote := s[0]
	var b strings.Builder
	i := 1
	for {
		if i >= len(s) {
			return l.fail("the string does not end, expected %c", quote)
		}
		if s[i] == quote {
			break
		}
		if s[i] != '\\' || i+1 >= len(s) {
			b.WriteByte(s[i])
			i++
			continue
		}
		i++
		if c, ok := map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', '\\': '\\', '\'': '\'', '"': '"', 'a': 7, 'b': 8, 'f': 12, 'v': 11}[s[i]]; ok {
			b.WriteByte(c)
			i++
			continue
		}
		if width := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[i]]; width > 0 {
			if i+width < len(s) {
				if code, err := strconv.ParseUint(s[i+1:i+1+width], 16, 32); err == nil && code <= unicode.MaxRune {
					b.WriteRune(rune(code))
					i += 1 + width
					continue
				}
			}
			return l.fail("the string has a broken escape \\%c", s[i])
		}
		if s[i] == '\n' {
			i++
			continue
		}
		b.WriteByte('\\')
	}
	l.add(stringToken, b.String())
	l.move(l.at + i + 1)
	return nil
}

// isRaw reports whether the block just read is {% raw %}.
func (l *lexer) isRaw() bool {
	n := len(l.tokens)
	return n >= 3 && l.tokens[n-2] == token{nameToken, "raw", l.tokens[n-2].line} && l.tokens[n-3].kind == blockBegin
}

// raw takes the text up to {% endraw %} as it stands.
func (l *lexer) raw() error {
	l.tokens = l.tokens[:len(l.tokens)-3]
	for i := l.at; ; i++ {
		next := strings.Index(l.source[i:], "{%")
		if next < 0 {
			return l.fail("the raw block does not end, expected endraw")
		}
		i += next
		inner := strings.TrimLeft(l.source[i+2:], "-+ \t\n")
		if !strings.HasPrefix(inner, "endraw") {
			continue
		}
		end := strings.Index(l.source[i:], "%}")
		if end < 0 {
			return l.fail("the tag does not end, expected %q", "%}")
		}
		text := l.source[l.at:i]
		if l.source[i+2] == '-' {
			text = strings.TrimRightFunc(text, unicode.IsSpace)
		}
		l.add(textToken, text)
		l.move(i + end)
		l.close("%}", l.source[l.at-1] == '-', l.source[l.at-1] == '+')
		return nil
	}
}
