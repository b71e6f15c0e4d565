package pattern

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// MaxLength bounds an expression in bytes.
	MaxLength = 1 << 16
	// MaxDepth bounds the groups within groups.
	MaxDepth = 200
	// MaxCount bounds the numbers of x{n,m}.
	MaxCount = 1 << 30
)

// Error is why an expression cannot be read.
type Error struct {
	Expression string
	Offset     int // in bytes
	Problem    string
	Limit      bool // it passes a limit of this package
}

func (e *Error) Error() string {
	text := e.Expression
	if len(text) > 80 {
		text = text[:80] + "…"
	}
	return fmt.Sprintf("regular expression %q, byte %d: %s", text, e.Offset, e.Problem)
}

// Parse reads an expression. Its errors are of type *Error.
func Parse(expression string) (*Node, error) {
	p := &parser{text: expression}
	switch {
	case len(expression) > MaxLength:
		return nil, &Error{Expression: expression, Problem: fmt.Sprintf("it has %d bytes, expected at most %d", len(expression), MaxLength), Limit: true}
	case !utf8.ValidString(expression):
		return nil, &Error{Expression: expression, Problem: "it is not UTF-8"}
	}
	n := p.alternatives(0)
	if p.err == nil && p.at < len(p.text) {
		p.fail("found a ) without its (")
	}
	if p.err != nil {
		return nil, p.err
	}
	return n, nil
}

// MustParse is Parse for expressions of a program.
func MustParse(expression string) *Node {
	n, err := Parse(expression)
	if err != nil {
		panic(err)
	}
	return n
}

// parser reads at a place of the text. After its first error it is at the end.
type parser struct {
	text string
	at   int
	err  *Error
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = &Error{Expression: p.text, Offset: p.at, Problem: fmt.Sprintf(format, args...)}
	}
	p.at = len(p.text)
}

// overLimit fails where a limit of the package is passed.
func (p *parser) overLimit(format string, args ...any) {
	if p.err == nil {
		p.fail(format, args...)
		p.err.Limit = true
	}
}

// peek is the next character, 0 at the end, where done is true too.
func (p *parser) peek() rune {
	r, n := utf8.DecodeRuneInString(p.text[p.at:])
	if n == 0 {
		return 0
	}
	return r
}

func (p *parser) done() bool { return p.at >= len(p.text) }

func (p *parser) next() rune {
	r, n := utf8.DecodeRuneInString(p.text[p.at:])
	p.at += n
	return r
}

// take reads a text where it stands next.
func (p *parser) take(s string) bool {
	if strings.HasPrefix(p.text[p.at:], s) {
		p.at += len(s)
		return true
	}
	return false
}

func (p *parser) alternatives(depth int) *Node {
	if depth > MaxDepth {
		p.overLimit("groups are nested more than %d deep", MaxDepth)
	}
	subs := []*Node{p.concatenation(depth)}
	for p.take("|") {
		subs = append(subs, p.concatenation(depth))
	}
	if len(subs) == 1 {
		return subs[0]
	}
	return &Node{Op: Alternate, Subs: subs}
}

func (p *parser) concatenation(depth int) *Node {
	var subs []*Node
	for !p.done() && p.peek() != '|' && p.peek() != ')' {
		subs = append(subs, p.repetition(p.atom(depth)))
	}
	switch len(subs) {
	case 0:
		return &Node{Op: Empty}
	case 1:
		return subs[0]
	}
	return &Node{Op: Concat, Subs: subs}
}

func (p *parser) repetition(n *Node) *Node {
	lo, hi := 0, -1
	switch {
	case p.take("*"):
	case p.take("+"):
		lo = 1
	case p.take("?"):
		hi = 1
	case p.peek() == '{':
		lo, hi = p.counts()
	default:
		return n
	}
	p.take("?")
	if strings.ContainsRune("*+?{", p.peek()) && !p.done() {
		p.fail("found %q behind a repetition, expected what is repeated before it", p.peek())
	}
	if n.Op == Begin || n.Op == End {
		p.fail("^ and $ cannot be repeated")
	}
	return &Node{Op: Repeat, Subs: []*Node{n}, Min: lo, Max: hi}
}

// counts reads {n}, {n,} or {n,m}.
func (p *parser) counts() (lo, hi int) {
	inside, _, ok := strings.Cut(p.text[p.at+1:], "}")
	first, second, two := strings.Cut(inside, ",")
	lo, okLo := number(first)
	hi, okHi := lo, true
	switch {
	case two && second == "":
		hi = -1
	case two:
		hi, okHi = number(second)
	}
	switch {
	case !ok || !okLo || !okHi:
		p.fail(`found {, expected {n}, {n,} or {n,m} behind what is repeated (\{ is a bracket)`)
	case max(lo, hi) > MaxCount:
		p.overLimit("a repetition is over the limit of %d", MaxCount)
	case hi >= 0 && hi < lo:
		p.fail("found {%d,%d}, expected the lower number first", lo, hi)
	default:
		p.at += len(inside) + 2
	}
	return lo, hi
}

// number reads decimal digits, without zeros before them. Numbers over the limit may be any number
// over the limit.
func number(digits string) (n int, ok bool) {
	if digits == "" || len(digits) > 1 && digits[0] == '0' {
		return 0, false
	}
	for _, d := range []byte(digits) {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = min(n*10+int(d-'0'), MaxCount+1)
	}
	return n, true
}

func (p *parser) atom(depth int) *Node {
	switch start := p.at; p.next() {
	case '(':
		p.group()
		n := p.alternatives(depth + 1)
		if p.err == nil && !p.take(")") {
			p.at = start
			p.fail("expected a ) for this (")
		}
		return n
	case '[':
		return &Node{Op: Class, Set: p.brackets(start)}
	case '.':
		return &Node{Op: Class, Set: Complement([]Range{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}})}
	case '^':
		return &Node{Op: Begin}
	case '$':
		return &Node{Op: End}
	case '\\':
		return &Node{Op: Class, Set: p.escape(false)}
	case '*', '+', '?', '{':
		p.at = start
		p.fail("found %q, expected what is repeated before it", p.peek())
		return &Node{Op: Empty}
	default:
		r, _ := utf8.DecodeRuneInString(p.text[start:])
		return &Node{Op: Class, Set: []Range{{r, r}}}
	}
}

// group reads what stands behind the ( of a group.
func (p *parser) group() {
	if !p.take("?") || p.take(":") {
		return
	}
	for _, look := range []string{"=", "!", "<=", "<!"} {
		if strings.HasPrefix(p.text[p.at:], look) {
			p.fail("looks ahead and behind are not supported")
			return
		}
	}
	p.take("P")
	name, _, ok := strings.Cut(p.text[p.at:], ">")
	if !strings.HasPrefix(name, "<") || len(name) < 2 || !ok {
		p.fail("found (?, expected (?:…) or (?<name>…); flags are not supported")
		return
	}
	p.at += len(name) + 1
}

// brackets reads a class behind its [.
func (p *parser) brackets(start int) []Range {
	if name := posixClass(p.text[start:]); name != "" {
		p.at = start
		p.failPOSIX(name)
		return nil
	}
	negated := p.take("^")
	var set []Range
	for !p.take("]") {
		if p.done() {
			p.at = start
			p.fail("expected a ] for this [")
			return nil
		}
		lo := p.member()
		if p.peek() == '-' && !strings.HasPrefix(p.text[p.at:], "-]") {
			p.next()
			hi := p.member()
			switch {
			case p.err != nil:
			case len(lo) != 1 || len(hi) != 1 || lo[0].Lo != lo[0].Hi || hi[0].Lo != hi[0].Hi:
				p.fail("a range of characters begins or ends with a class")
			case lo[0].Lo > hi[0].Lo:
				p.fail("found the range %c-%c, expected the lower character first", lo[0].Lo, hi[0].Lo)
			default:
				lo = []Range{{lo[0].Lo, hi[0].Lo}}
			}
		}
		set = append(set, lo...)
	}
	if negated {
		return Complement(set)
	}
	return Normal(set)
}

func (p *parser) member() []Range {
	if p.take(`\`) {
		return p.escape(true)
	}
	if p.done() {
		return nil
	}
	if name := posixClass(p.text[p.at:]); name != "" {
		p.failPOSIX(name)
		return nil
	}
	r := p.next()
	return []Range{{r, r}}
}

// posixClass is the class of POSIX that a text begins with, such as [:alpha:], [=a=] or [.a.], or
// "". ECMAScript would read its characters as members of a set.
func posixClass(text string) string {
	if len(text) < 2 || !strings.ContainsRune(":=.", rune(text[1])) || text[0] != '[' {
		return ""
	}
	inside, _, ok := strings.Cut(text[2:], text[1:2]+"]")
	if !ok || inside == "" {
		return ""
	}
	switch text[1] {
	case ':':
		if !slices.Contains(posixClasses, strings.TrimPrefix(inside, "^")) {
			return ""
		}
	default:
		if utf8.RuneCountInString(inside) != 1 {
			return ""
		}
	}
	return text[:len(inside)+4]
}

var posixClasses = []string{"alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word", "xdigit"}

func (p *parser) failPOSIX(name string) {
	p.fail(`%s, a class of POSIX, is not supported, expected a class of ECMAScript such as [a-z], \d or \p{L}`, name)
}
