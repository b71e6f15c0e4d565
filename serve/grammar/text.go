package grammar

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"slimlab/serve/grammar/pattern"
	"slimlab/serve/grammar/schema"
)

// alphabet writes characters as bytes: as UTF-8, or as in a JSON string, where some are escaped.
type alphabet struct {
	pool    *pool
	escaped bool
	classes map[string]id // terms by set of characters
	any     id            // one character, written in the one way that patterns and names know
}

func newAlphabet(p *pool, escaped bool) *alphabet {
	a := &alphabet{pool: p, escaped: escaped, classes: map[string]id{}}
	a.any = a.class(pattern.Complement(nil))
	if escaped {
		p.character = a.any
	}
	return a
}

// class is one character of a set.
func (a *alphabet) class(set []pattern.Range) id {
	if len(set) == 1 && set[0].Lo == set[0].Hi && (!a.escaped || schema.Escape(set[0].Lo) == "") {
		return a.pool.text(string(set[0].Lo))
	}
	key := fmt.Sprint(set)
	if known, ok := a.classes[key]; ok {
		return known
	}
	var parts []id
	if a.escaped {
		set, parts = a.escapes(set)
	}
	for _, r := range set {
		parts = append(parts, a.pool.characters(r.Lo, r.Hi))
	}
	t := a.pool.choice(parts...)
	a.classes[key] = t
	return t
}

// escapes takes the characters out of a set that a JSON string writes as escapes.
func (a *alphabet) escapes(set []pattern.Range) (raw []pattern.Range, parts []id) {
	for _, r := range set {
		lo := r.Lo
		for c := r.Lo; c <= min(r.Hi, '\\'); c++ {
			escape := schema.Escape(c)
			if escape == "" {
				continue
			}
			raw = append(raw, pattern.Range{Lo: lo, Hi: c - 1})
			lo = c + 1
			parts = append(parts, a.escape(escape))
		}
		raw = append(raw, pattern.Range{Lo: lo, Hi: r.Hi})
	}
	return pattern.Normal(raw), parts
}

// escape writes an escape, hexadecimal digits in either case.
func (a *alphabet) escape(text string) id {
	if last := text[len(text)-1]; len(text) == 6 && last >= 'a' {
		return a.pool.then(a.pool.text(text[:5]), a.pool.choice(a.pool.span(last, last), a.pool.span(last-'a'+'A', last-'a'+'A')))
	}
	return a.pool.text(text)
}

// characters is one character of a range, as UTF-8.
func (p *pool) characters(lo, hi rune) id {
	for _, last := range []rune{0x7f, 0x7ff, 0xffff} {
		if lo <= last && hi > last {
			return p.choice(p.characters(lo, last), p.characters(last+1, hi))
		}
	}
	size := utf8.RuneLen(lo)
	for i := 1; i < size; i++ {
		low := rune(1)<<(6*i) - 1 // the bits of the last i bytes
		switch {
		case lo&^low == hi&^low:
		case lo&low != 0:
			return p.choice(p.characters(lo, lo|low), p.characters(lo|low+1, hi))
		case hi&low != low:
			return p.choice(p.characters(lo, hi&^low-1), p.characters(hi&^low, hi))
		}
	}
	first, last := string(lo), string(hi)
	parts := make([]id, size)
	for i := range parts {
		parts[i] = p.span(first[i], last[i])
	}
	return p.sequence(parts...)
}

// side is what stands between an expression and an end of the text.
type side int

const (
	nothing side = iota
	something
	perhaps // nothing or something
)

var errAnchor = errors.New("^ or $ stands where it may be or not be at an end of the text")

// whole is the texts that an expression matches from end to end.
func (a *alphabet) whole(n *pattern.Node) (id, error) { return a.expression(n, nothing, nothing) }

// search is the texts in which an expression matches somewhere.
func (a *alphabet) search(n *pattern.Node) (id, error) {
	p := a.pool
	if !n.Anchored() {
		t, err := a.whole(n)
		around := p.repeat(a.any, 0, forever)
		return p.sequence(around, t, around), err
	}
	some := p.repeat(a.any, 1, forever)
	var parts []id
	for _, before := range []side{nothing, something} {
		for _, after := range []side{nothing, something} {
			t, err := a.expression(n, before, after)
			if err != nil {
				return none, err
			}
			if before == something {
				t = p.then(some, t)
			}
			if after == something {
				t = p.then(t, some)
			}
			parts = append(parts, t)
		}
	}
	return p.choice(parts...), nil
}

func (a *alphabet) expression(n *pattern.Node, before, after side) (id, error) {
	p := a.pool
	switch n.Op {
	case pattern.Class:
		return a.class(n.Set), p.err
	case pattern.Begin, pattern.End:
		at := before
		if n.Op == pattern.End {
			at = after
		}
		switch at {
		case nothing:
			return empty, nil
		case something:
			return none, nil
		}
		return none, errAnchor
	case pattern.Alternate:
		parts := make([]id, len(n.Subs))
		for i, sub := range n.Subs {
			var err error
			if parts[i], err = a.expression(sub, before, after); err != nil {
				return none, err
			}
		}
		return p.choice(parts...), p.err
	case pattern.Concat:
		return a.concatenation(n.Subs, before, after)
	case pattern.Repeat:
		sub := n.Subs[0]
		if sub.Anchored() && n.Max != 1 {
			return none, errAnchor
		}
		t, err := a.expression(sub, before, after)
		return p.repeat(t, int64(n.Min), int64(n.Max)), err
	}
	return empty, p.err
}

func (a *alphabet) concatenation(subs []*pattern.Node, before, after side) (id, error) {
	afters := make([]side, len(subs))
	for i := len(subs) - 1; i >= 0; i-- {
		afters[i] = after
		after = beyond(after, subs[i])
	}
	parts := make([]id, len(subs))
	for i, sub := range subs {
		var err error
		if parts[i], err = a.expression(sub, before, afters[i]); err != nil {
			return none, err
		}
		before = beyond(before, sub)
	}
	return a.pool.sequence(parts...), a.pool.err
}

// beyond is what stands between an end of the text and the far side of a part of an expression.
func beyond(near side, n *pattern.Node) side {
	switch {
	case near == something || !n.Empties():
		return something
	case n.Op == pattern.Begin || n.Op == pattern.End || n.Op == pattern.Empty:
		return near
	}
	return perhaps
}

// strings are the JSON strings of a shape, without the quotes. Where nothing but the length is
// asked for, every escape of JSON is allowed; else each character is written in one way.
func (b *builder) strings(s *shape) (id, error) {
	p := b.pool
	lo, hi := s.minLength, s.maxLength
	if len(s.patterns) == 0 && len(s.formats) == 0 {
		return p.repeat(b.character, lo, hi), p.err
	}
	if len(s.patterns) == 1 && len(s.formats) == 0 {
		if n, ok := repeatedClass(s.patterns[0]); ok {
			hi = smaller(hi, int64(n.Max))
			return p.repeat(b.json.class(n.Subs[0].Set), max(lo, int64(n.Min)), hi), p.err
		}
	}
	var parts []id
	for _, n := range s.patterns {
		t, err := b.json.search(n)
		if err != nil {
			return none, &Unsupported{s.path, "pattern", err.Error()}
		}
		parts = append(parts, t)
	}
	for _, name := range s.formats {
		t, err := b.format(name)
		if err != nil {
			return none, err
		}
		parts = append(parts, t)
	}
	if lo > 0 || hi != forever {
		parts = append(parts, p.repeat(b.json.any, lo, hi))
	}
	return p.both(parts...), p.err
}

// repeatedClass finds ^[class]{n,m}$, the commonest pattern, whose counts and those of the length
// are one count.
func repeatedClass(n *pattern.Node) (repeat *pattern.Node, ok bool) {
	if n.Op != pattern.Concat || len(n.Subs) != 3 || n.Subs[0].Op != pattern.Begin || n.Subs[2].Op != pattern.End {
		return nil, false
	}
	repeat = n.Subs[1]
	return repeat, repeat.Op == pattern.Repeat && repeat.Subs[0].Op == pattern.Class
}

// smaller is the lower of two upper bounds.
func smaller(a, b int64) int64 {
	if a == forever || b != forever && b < a {
		return b
	}
	return a
}

// anyCharacter is one character of a JSON string in any way that JSON can write it. Surrogates
// stand only in pairs.
func (b *builder) anyCharacter() id {
	p := b.pool
	var hex, notD, escape byteSet
	hex.add('0', '9')
	hex.add('a', 'f')
	hex.add('A', 'F')
	notD = hex
	notD[1] &^= 1<<('d'-64) | 1<<('D'-64)
	for _, c := range []byte(`"\/bfnrt`) {
		escape.add(c, c)
	}
	digit := p.set(hex)
	d := p.choice(p.span('d', 'd'), p.span('D', 'D'))
	high := p.choice(p.span('8', '9'), p.span('a', 'b'), p.span('A', 'B'))
	low := p.choice(p.span('c', 'f'), p.span('C', 'F'))
	code := p.choice(
		p.sequence(p.set(notD), digit, digit, digit),
		p.sequence(d, p.span('0', '7'), digit, digit),
		p.sequence(d, high, digit, digit, p.text(`\u`), d, low, digit, digit),
	)
	return p.choice(
		p.characters(' ', '!'), p.characters('#', '['), p.characters(']', 0xd7ff), p.characters(0xe000, utf8.MaxRune),
		p.then(p.text(`\`), p.choice(p.set(escape), p.then(p.text("u"), code))),
	)
}
