package tokenizer

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// translate writes an expression in the syntax of Oniguruma, which the tokenizers library reads
// with, in the syntax of regexp2. What they write alike and mean differently is rewritten: classes
// with && and [:names:], \w, \h, \R, ^ and $ at line ends, possessive repetition, letters in
// another case. What has no counterpart is refused by name.
func translate(pattern string) (string, error) {
	p := &expressionParser{text: pattern}
	if err := p.alternatives(0); err != nil {
		return "", fmt.Errorf("character %d: %w", 1+utf8.RuneCountInString(pattern[:p.at]), err)
	}
	if p.at < len(p.text) {
		return "", fmt.Errorf("character %d: found a ) without its (", 1+utf8.RuneCountInString(pattern[:p.at]))
	}
	return p.out.String(), nil
}

// deepestGroup bounds groups within groups.
const deepestGroup = 64

type expressionParser struct {
	text string
	at   int // in text
	out  bytes.Buffer
	flags
}

type flags struct {
	anyCase  bool // (?i)
	newlines bool // (?m): . is a line end too
	extended bool // (?x): white space and comments are not part of the expression
}

func notSupported(what string) error { return fmt.Errorf("%s is not supported", what) }

// peek returns the next character, 0 at the end.
func (p *expressionParser) peek() rune {
	if p.at == len(p.text) {
		return 0
	}
	r, _ := utf8.DecodeRuneInString(p.text[p.at:])
	return r
}

func (p *expressionParser) next() rune {
	r, n := utf8.DecodeRuneInString(p.text[p.at:])
	p.at += n
	return r
}

func (p *expressionParser) accept(prefix string) bool {
	if strings.HasPrefix(p.text[p.at:], prefix) {
		p.at += len(prefix)
		return true
	}
	return false
}

// alternatives writes up to a ) or the end. Flags that are set within hold up to there.
func (p *expressionParser) alternatives(depth int) error {
	if depth > deepestGroup {
		return fmt.Errorf("groups nest deeper than %d", deepestGroup)
	}
	before := p.flags
	var run literalRun
	for p.at < len(p.text) && p.peek() != ')' {
		if p.accept("|") {
			run = literalRun{}
			p.out.WriteByte('|')
			continue
		}
		if err := p.item(depth, &run); err != nil {
			return err
		}
	}
	p.flags = before
	return nil
}

// item writes one atom and how often it is repeated.
func (p *expressionParser) item(depth int, run *literalRun) error {
	if p.extended && p.skipSpace() {
		return nil
	}
	start := p.out.Len()
	literal, kind, err := p.atom(depth)
	if err != nil || kind == nothing {
		return err
	}
	repeated, err := p.repetition(start, kind)
	if err != nil {
		return err
	}
	if !p.anyCase || repeated || literal == 0 {
		*run = literalRun{}
		return nil
	}
	return run.add(literal)
}

func (p *expressionParser) skipSpace() bool {
	if p.peek() == '#' {
		for p.at < len(p.text) && p.next() != '\n' {
		}
		return true
	}
	if strings.ContainsRune(" \t\r\n\v\f", p.peek()) && p.at < len(p.text) {
		p.at++
		return true
	}
	return false
}

// atomKind is whether an atom may be repeated.
type atomKind int

const (
	nothing  atomKind = iota // was written: a comment, a flag
	position                 // a place between characters
	text                     // characters
)

// atom writes one atom. A character that stands for itself is returned.
func (p *expressionParser) atom(depth int) (literal rune, kind atomKind, err error) {
	switch r := p.peek(); r {
	case '(':
		kind, err := p.group(depth)
		return 0, kind, err
	case '[':
		p.at++
		s, err := p.class(depth)
		if err != nil {
			return 0, text, err
		}
		return 0, text, p.set(s)
	case '.':
		p.at++
		s := runeSet{negated: true}
		if !p.newlines {
			s.ranges = []runeRange{{'\n', '\n'}}
		}
		s.write(&p.out)
		return 0, text, nil
	case '^':
		p.at++
		p.out.WriteString(`(?:\A|(?<=\n)(?!\z))`) // not behind the last line end
		return 0, position, nil
	case '$':
		p.at++
		p.out.WriteString(`(?=\n|\z)`)
		return 0, position, nil
	case '\\':
		p.at++
		return p.escape()
	case '*', '+', '?', '{':
		at := p.at
		if _, _, _, ok := p.count(); ok {
			p.at = at
			return 0, text, fmt.Errorf("found %c with nothing before it to repeat", r)
		}
		return p.literal(p.next())
	default:
		return p.literal(p.next())
	}
}

// literal writes a character that stands for itself, or for itself in any case.
func (p *expressionParser) literal(r rune) (rune, atomKind, error) {
	if r == utf8.RuneError {
		return 0, text, fmt.Errorf("found a byte that is not UTF-8")
	}
	if p.anyCase {
		return r, text, p.set(span(r, r))
	}
	writeRune(&p.out, r)
	return r, text, nil
}

// set writes a set, with the other cases of its members where cases do not count.
func (p *expressionParser) set(s runeSet) error {
	if p.anyCase {
		if !s.negated {
			for _, r := range s.explicit() {
				if first, ok := unfolds(r); ok {
					return notSupported(fmt.Sprintf("(?i) with %q, which is several letters in another case,", first))
				}
			}
			s = s.folded()
		} else {
			s.negated = false
			s = s.folded().not()
		}
	}
	s.write(&p.out)
	return nil
}

// lineEnd is \R.
const lineEnd = `(?>\r\n|[\n-\r\u0085\u2028\u2029])`

// escape writes what a backslash begins.
func (p *expressionParser) escape() (rune, atomKind, error) {
	if p.at == len(p.text) {
		return 0, text, fmt.Errorf(`found \ at the end`)
	}
	switch r := p.peek(); r {
	case 'A', 'z':
		p.at++
		p.out.WriteString(`\` + string(r))
		return 0, position, nil
	case 'Z':
		p.at++
		p.out.WriteString(`(?=\n?\z)`)
		return 0, position, nil
	case 'b', 'B':
		p.at++
		p.boundary(r == 'B')
		return 0, position, nil
	case 'R':
		p.at++
		p.out.WriteString(lineEnd)
		return 0, text, nil
	case 'N':
		p.at++
		span('\n', '\n').not().write(&p.out)
		return 0, text, nil
	case 'O':
		p.at++
		p.out.WriteString(`[\s\S]`)
		return 0, text, nil
	case 'X', 'K', 'G', 'y', 'Y':
		names := map[rune]string{'X': "a grapheme", 'K': "what to keep", 'G': "where the search began", 'y': "a boundary of segments", 'Y': "no boundary of segments"}
		return 0, text, notSupported(fmt.Sprintf(`\%c, %s,`, r, names[r]))
	case 'k', 'g', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return 0, text, notSupported(fmt.Sprintf(`\%c, which refers to a group,`, r))
	}
	word := p.peek() == 'w' || p.peek() == 'W'
	if s, ok, err := p.classEscape(); ok || err != nil {
		if word {
			s.ranges = append(s.ranges, latinWord...)
		}
		s.write(&p.out) // (?i) does not change it
		return 0, text, err
	}
	r, err := p.charEscape()
	if err != nil {
		return 0, text, err
	}
	return p.literal(r)
}

// latinWord are the fractions and powers of Latin-1, which Oniguruma takes for characters of a word
// in \w and \b, not in classes.
var latinWord = span(0xB2, 0xB3, 0xB9, 0xB9, 0xBC, 0xBE).ranges

// boundary writes the places between a word's characters and others, or all other places.
func (p *expressionParser) boundary(not bool) {
	word, _ := properties("word")
	word.ranges = append(word.ranges, latinWord...)
	var b bytes.Buffer
	word.write(&b)
	w := b.String()
	if not {
		fmt.Fprintf(&p.out, `(?:(?<=%s)(?=%s)|(?<!%s)(?!%s))`, w, w, w, w)
		return
	}
	fmt.Fprintf(&p.out, `(?:(?<=%s)(?!%s)|(?<!%s)(?=%s))`, w, w, w, w)
}

// charEscape reads an escape that stands for one character.
func (p *expressionParser) charEscape() (rune, error) {
	switch r := p.next(); r {
	case 't':
		return '\t', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 'v':
		return '\v', nil
	case 'f':
		return '\f', nil
	case 'a':
		return '\a', nil
	case 'e':
		return 0x1B, nil
	case 'x':
		if p.accept("{") {
			return p.hexadecimal(1, 8, "}")
		}
		r, err := p.hexadecimal(1, 2, "")
		if err == nil && r > 0x7F {
			err = fmt.Errorf(`found \x%02X, a byte above 7F, expected \x{…} or \u…`, r)
		}
		return r, err
	case 'u':
		return p.hexadecimal(4, 4, "")
	case '0':
		if c := p.peek(); c >= '0' && c <= '9' {
			return 0, notSupported("an octal number")
		}
		return 0, nil
	default:
		if r < utf8.RuneSelf && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9') {
			return 0, notSupported(fmt.Sprintf(`\%c`, r))
		}
		return r, nil
	}
}

func (p *expressionParser) hexadecimal(least, most int, end string) (rune, error) {
	n := 0
	for n < most && p.at+n < len(p.text) && strings.IndexByte("0123456789abcdefABCDEF", p.text[p.at+n]) >= 0 {
		n++
	}
	x, err := strconv.ParseUint("0"+p.text[p.at:p.at+n], 16, 32)
	if p.at += n; n < least || err != nil || !p.accept(end) || !utf8.ValidRune(rune(x)) {
		return 0, fmt.Errorf("expected %d to %d hexadecimal digits of a character", least, most)
	}
	return rune(x), nil
}

// classEscape reads an escape that stands for a set of characters; ok is false for any other.
func (p *expressionParser) classEscape() (s runeSet, ok bool, err error) {
	switch r := p.peek(); r {
	case 'w', 'W':
		s, _ = properties("word")
		s.negated = r == 'W'
	case 'd', 'D':
		s = runesOf("Nd")
		s.negated = r == 'D'
	case 's', 'S':
		s = runesOf("White_Space")
		s.negated = r == 'S'
	case 'h', 'H':
		s, _ = properties("xdigit")
		s.negated = r == 'H'
	case 'p', 'P':
		p.at++
		s, err := p.property(r == 'P')
		return s, true, err
	default:
		return s, false, nil
	}
	p.at++
	return s, true, nil
}

// property reads the rest of \p{name} or \p{^name}.
func (p *expressionParser) property(not bool) (runeSet, error) {
	if !p.accept("{") {
		return runeSet{}, fmt.Errorf(`found \p without {, expected the name of a property in braces`)
	}
	if p.accept("^") {
		not = !not
	}
	name, _, ok := strings.Cut(p.text[p.at:], "}")
	s, known := property(name)
	if !ok || !known {
		return s, notSupported(fmt.Sprintf(`\p{%.40s}`, name))
	}
	p.at += len(name) + 1
	if not {
		s = s.not()
	}
	return s, nil
}
