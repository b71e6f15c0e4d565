package tokenizer

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// class reads a class whose [ was read, up to its ].
func (p *expressionParser) class(depth int) (runeSet, error) {
	if depth > deepestGroup {
		return runeSet{}, fmt.Errorf("classes nest deeper than %d", deepestGroup)
	}
	var s, both runeSet
	intersected := false
	close := func(more runeSet) { // what && ends
		if intersected {
			more = both.intersect(more)
		}
		both, intersected = more, true
	}
	negated := p.accept("^")
	for first := true; ; first = false {
		switch {
		case p.at == len(p.text):
			return s, fmt.Errorf("found a [ without its ]")
		case !first && p.accept("]"):
			if intersected {
				close(s)
				s = both
			}
			if negated {
				s = s.not()
			}
			return s, nil
		case p.accept("&&"):
			close(s)
			s = runeSet{}
		default:
			if err := p.classItem(&s, depth); err != nil {
				return s, err
			}
		}
	}
}

// classItem reads a character, a range, an escape, a class or a name, and adds it to a set.
func (p *expressionParser) classItem(s *runeSet, depth int) error {
	switch {
	case strings.HasPrefix(p.text[p.at:], "[:"):
		if named, ok, err := p.posix(); ok || err != nil {
			s.add(named)
			return err
		}
		fallthrough
	case p.peek() == '[':
		p.at++
		inner, err := p.class(depth + 1)
		if inner.negated {
			inner = runeSet{ranges: inner.explicit()}
		}
		s.add(inner)
		return err
	}
	first, set, err := p.classChar()
	if err != nil {
		return err
	}
	if set != nil {
		s.add(*set)
		return nil
	}
	rest := p.text[p.at:]
	if len(rest) < 2 || rest[0] != '-' || rest[1] == ']' {
		s.add(span(first, first))
		return nil
	}
	if rest[1] == '[' || strings.HasPrefix(rest[1:], "&&") {
		return notSupported("a range whose end is a class")
	}
	p.at++
	last, set, err := p.classChar()
	switch {
	case err != nil:
		return err
	case set != nil:
		return notSupported("a range whose end is a class")
	case last < first:
		return fmt.Errorf("found a range from %q to %q", first, last)
	}
	s.add(span(first, last))
	return nil
}

// classChar reads a character in a class, or an escape that is a set.
func (p *expressionParser) classChar() (rune, *runeSet, error) {
	if !p.accept(`\`) {
		r := p.next()
		if r == utf8.RuneError {
			return 0, nil, fmt.Errorf("found a byte that is not UTF-8")
		}
		return r, nil, nil
	}
	if p.at == len(p.text) {
		return 0, nil, fmt.Errorf(`found \ at the end`)
	}
	if p.accept("b") {
		return '\b', nil, nil
	}
	if s, ok, err := p.classEscape(); ok || err != nil {
		return 0, &s, err
	}
	if strings.ContainsRune("RXNOKG123456789", p.peek()) {
		return 0, nil, notSupported(fmt.Sprintf(`\%c in a class`, p.peek()))
	}
	r, err := p.charEscape()
	return r, nil, err
}

// posix reads [:name:] or [:^name:]; ok is false where what follows is a class of these characters.
func (p *expressionParser) posix() (s runeSet, ok bool, err error) {
	name, _, ok := strings.Cut(p.text[p.at+2:], ":]")
	plain := strings.TrimPrefix(name, "^")
	if !ok || plain == "" || strings.Trim(plain, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return s, false, nil
	}
	switch plain {
	case "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "xdigit", "word":
	default:
		return s, true, notSupported(fmt.Sprintf("[:%.40s:]", name))
	}
	negated := plain != name
	if plain == "punct" {
		plain = "posixpunct"
	}
	if s, _ = properties(plain); negated {
		s = s.not()
	}
	p.at += len("[:") + len(name) + len(":]")
	return s, true, nil
}
