package jinja

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
	textToken             // text of the template, copied to the output
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

// lexer splits a template into tokens.
type lexer struct {
	source string
	at     int
	line   int
	tokens []token
}

func lex(source string) ([]token, error) {
	source = strings.ReplaceAll(strings.ReplaceAll(source, "\r\n", "\n"), "\r", "\n")
	l := &lexer{source: strings.TrimSuffix(source, "\n"), line: 1}
	for l.at < len(l.source) {
		open := l.nextTag()
		l.text(open)
		if open == len(l.source) {
			break
		}
		if err := l.tag(); err != nil {
			return nil, err
		}
	}
	l.add(endToken, "")
	return l.tokens, nil
}

// text reads the text before a tag, or before the end of the source, without the white space that
// the tag removes: all of it before "-", or that of a line which holds nothing else before a block
// or comment without "+".
func (l *lexer) text(open int) {
	text, startsLine := l.source[l.at:open], l.at == 0 || l.source[l.at-1] == '\n'
	tag, sign := "", byte(0)
	if open < len(l.source) {
		tag = l.source[open : open+2]
	}
	if open+2 < len(l.source) {
		sign = l.source[open+2]
	}
	switch {
	case tag != "" && sign == '-':
		text = strings.TrimRightFunc(text, unicode.IsSpace)
	case tag != "" && tag != "{{" && sign != '+':
		start := strings.LastIndexByte(text, '\n') + 1
		if (start > 0 || startsLine) && strings.TrimSpace(text[start:]) == "" {
			text = text[:start]
		}
	}
	if text != "" {
		l.add(textToken, text)
	}
	l.move(open)
}

// tag reads a comment, an output or a block.
func (l *lexer) tag() error {
	tag := l.source[l.at : l.at+2]
	l.move(l.at + 2)
	if tag == "{#" {
		return l.comment()
	}
	if l.at < len(l.source) && (l.source[l.at] == '-' || l.source[l.at] == '+') {
		l.move(l.at + 1)
	}
	if tag == "{{" {
		l.add(outputBegin, tag)
		return l.expression("}}", outputEnd)
	}
	l.add(blockBegin, tag)
	if err := l.expression("%}", blockEnd); err != nil || !l.isRaw() {
		return err
	}
	return l.raw()
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
	l.close("#}", l.source[l.at-1])
	return nil
}

// close reads the end of a tag and the white space that the tag removes after it: all of it after
// "-", or one line end after a block or comment without "+". sign is the byte before the end.
func (l *lexer) close(end string, sign byte) {
	to := l.at + len(end)
	switch {
	case sign == '-':
		to = len(l.source) - len(strings.TrimLeftFunc(l.source[to:], unicode.IsSpace))
	case end != "}}" && sign != '+' && to < len(l.source) && l.source[to] == '\n':
		to++
	}
	l.move(to)
}

// operators are matched in order: an operator precedes its own prefixes.
var operators = []string{
	"**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">", "=",
	"(", ")", "[", "]", "{", "}", ",", ":", ".", "|", ";",
}

// expression reads the tokens of a tag up to its end.
func (l *lexer) expression(end string, endKind tokenKind) error {
	brackets := 0 // open ones: a dict's end can look like the tag's
	for {
		rest := l.source[l.at:]
		trimmed := strings.TrimLeftFunc(rest, unicode.IsSpace)
		l.move(l.at + len(rest) - len(trimmed))
		if trimmed == "" {
			return l.fail("the tag does not end, expected %q", end)
		}
		if brackets == 0 && l.end(end, endKind) {
			return nil
		}
		switch c := trimmed[0]; {
		case c == '\'' || c == '"':
			if err := l.quoted(); err != nil {
				return err
			}
		case c >= '0' && c <= '9':
			l.number()
		case isNameStart(trimmed):
			l.name()
		default:
			op, err := l.operator()
			if err != nil {
				return err
			}
			switch op {
			case "(", "[", "{":
				brackets++
			case ")", "]", "}":
				brackets--
			}
		}
	}
}

// end reads the end of a tag where it follows, with its sign.
func (l *lexer) end(end string, kind tokenKind) bool {
	rest := l.source[l.at:]
	sign := rest[0]
	switch {
	case strings.HasPrefix(rest, end):
		sign = 0
		l.add(kind, end)
	case (sign == '-' || sign == '+') && strings.HasPrefix(rest[1:], end):
		l.add(kind, end)
		l.move(l.at + 1)
	default:
		return false
	}
	l.close(end, sign)
	return true
}

func (l *lexer) operator() (string, error) {
	rest := l.source[l.at:]
	for _, op := range operators {
		if strings.HasPrefix(rest, op) {
			l.add(operatorToken, op)
			l.move(l.at + len(op))
			return op, nil
		}
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return "", l.fail("unexpected character %q", r)
}

func (l *lexer) name() {
	rest := l.source[l.at:]
	n := strings.IndexFunc(rest, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if n < 0 {
		n = len(rest)
	}
	l.add(nameToken, rest[:n])
	l.move(l.at + n)
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

// escapes are the escapes of one character in Python's strings; escapeDigits are those of a code in
// hexadecimal digits.
var (
	escapes = map[byte]byte{
		'n': '\n', 't': '\t', 'r': '\r', '\\': '\\', '\'': '\'', '"': '"', 'a': 7, 'b': 8, 'f': 12, 'v': 11,
	}
	escapeDigits = map[byte]int{'x': 2, 'u': 4, 'U': 8}
)

// quoted reads a string. An escape that Python does not know stands for itself.
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
		n, err := l.escape(&b, s[i+1:])
		if err != nil {
			return err
		}
		i += 1 + n
	}
	l.add(stringToken, b.String())
	l.move(l.at + i + 1)
	return nil
}

// escape writes the character of the escape that s begins with, and returns the bytes that it took.
func (l *lexer) escape(b *strings.Builder, s string) (int, error) {
	if c, ok := escapes[s[0]]; ok {
		b.WriteByte(c)
		return 1, nil
	}
	if digits := escapeDigits[s[0]]; digits > 0 {
		if digits < len(s) {
			if code, err := strconv.ParseUint(s[1:1+digits], 16, 32); err == nil && code <= unicode.MaxRune {
				b.WriteRune(rune(code))
				return 1 + digits, nil
			}
		}
		return 0, l.fail("the string has a broken escape \\%c", s[0])
	}
	if s[0] == '\n' { // a line that continues
		return 1, nil
	}
	b.WriteByte('\\')
	return 0, nil
}

// isRaw reports whether the block just read is {% raw %}.
func (l *lexer) isRaw() bool {
	n := len(l.tokens)
	return n >= 3 && l.tokens[n-2] == token{nameToken, "raw", l.tokens[n-2].line} && l.tokens[n-3].kind == blockBegin
}

// raw reads the text up to {% endraw %} verbatim.
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
		l.close("%}", l.source[l.at-1])
		return nil
	}
}
