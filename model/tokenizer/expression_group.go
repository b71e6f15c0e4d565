package tokenizer

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// group writes a group, or takes flags for the rest of the group that it is in.
func (p *expressionParser) group(depth int) (atomKind, error) {
	p.at++ // the (
	if !p.accept("?") {
		p.out.WriteString("(?:") // what a group has matched is not asked for
		return text, p.rest(depth)
	}
	for _, g := range []struct {
		from, to string
		kind     atomKind
	}{{":", "(?:", text}, {"=", "(?=", position}, {"!", "(?!", position}, {">", "(?>", text}, {"<=", "(?<=", position}, {"<!", "(?<!", position}} {
		if p.accept(g.from) {
			p.out.WriteString(g.to)
			return g.kind, p.rest(depth)
		}
	}
	switch r := p.peek(); {
	case r == '#':
		end := strings.IndexByte(p.text[p.at:], ')')
		if end < 0 {
			return nothing, fmt.Errorf("found (?# without its )")
		}
		p.at += end + 1
		return nothing, nil
	case r == '<' || r == '\'':
		end := strings.IndexAny(p.text[p.at+1:], ">'")
		if end < 0 {
			return nothing, fmt.Errorf("found the name of a group without its end")
		}
		p.at += 1 + end + 1
		p.out.WriteString("(?:")
		return text, p.rest(depth)
	case r == '~':
		return nothing, notSupported("(?~, what is absent,")
	case r == '(':
		return nothing, notSupported("(?(, a condition,")
	case r == '{':
		return nothing, notSupported("(?{, a call,")
	}
	return p.flagGroup(depth)
}

// rest writes a group whose beginning is written.
func (p *expressionParser) rest(depth int) error {
	if err := p.alternatives(depth + 1); err != nil {
		return err
	}
	if !p.accept(")") {
		return fmt.Errorf("found a ( without its )")
	}
	p.out.WriteByte(')')
	return nil
}

// flagGroup reads (?i-mx:…), or (?i-mx), which holds up to the end of the group around it: what
// follows there is one group with all its alternatives.
func (p *expressionParser) flagGroup(depth int) (atomKind, error) {
	set, on := p.flags, true
	for {
		switch r := p.peek(); r {
		case '-':
			on = false
		case 'i':
			set.anyCase = on
		case 'm':
			set.newlines = on
		case 'x':
			set.extended = on
		case ':', ')':
			p.at++
			before := p.flags
			p.flags = set
			p.out.WriteString("(?:")
			err := p.alternatives(depth + 1)
			p.flags = before
			if err == nil && r == ':' && !p.accept(")") {
				err = fmt.Errorf("found a ( without its )")
			}
			p.out.WriteByte(')')
			return text, err
		case 0:
			return nothing, fmt.Errorf("found a ( without its )")
		default:
			return nothing, notSupported(fmt.Sprintf("(?%c", r))
		}
		p.at++
	}
}

// longestRepetition bounds {n,m}.
const longestRepetition = 1000

// count reads how often an atom is repeated, greedy, lazy or not said yet: most is "" without
// bound. It reads nothing where ok is false.
func (p *expressionParser) count() (least int, most string, interval, ok bool) {
	switch {
	case p.accept("*"):
		return 0, "", false, true
	case p.accept("+"):
		return 1, "", false, true
	case p.accept("?"):
		return 0, "1", false, true
	}
	inner, _, closed := strings.Cut(p.text[p.at:], "}")
	if !closed || !strings.HasPrefix(inner, "{") {
		return 0, "", false, false
	}
	low, most, two := strings.Cut(inner[1:], ",")
	if !two {
		most = low
	}
	if strings.Trim(low+most, "0123456789") != "" || low+most == "" || low == "" && !two {
		return 0, "", false, false
	}
	least, _ = strconv.Atoi(low)
	p.at += len(inner) + 1
	return least, strings.TrimLeft(most, "0") + map[bool]string{true: "0"}[most != "" && strings.Trim(most, "0") == ""], true, true
}

// repetition writes how often the atom that was written from start on is repeated, if it is.
func (p *expressionParser) repetition(start int, kind atomKind) (repeated bool, err error) {
	for ; ; repeated = true {
		least, most, interval, ok := p.count()
		if !ok {
			return repeated, nil
		}
		bound, _ := strconv.Atoi(most)
		switch {
		case kind == position:
			return true, notSupported("the repetition of a place between characters")
		case most == "" && bytes.Contains(p.out.Bytes()[start:], []byte(lineEnd)):
			// Oniguruma 6.9.8 then finds no \n alone
			return true, notSupported(`the repetition of \R without bound`)
		case least > longestRepetition || bound > longestRepetition:
			return true, fmt.Errorf("found a repetition of %d, expected at most %d", max(least, bound), longestRepetition)
		case most != "" && bound < least:
			return true, fmt.Errorf("found a repetition of %d to %d", least, bound)
		}
		atom := fmt.Sprintf("(?:%s){%d,%s}", p.out.Bytes()[start:], least, most)
		switch lazy := p.accept("?"); {
		case lazy && interval && bound == least && most != "":
			atom = "(?:" + atom + ")?" // so Oniguruma reads a{2}?
		case lazy:
			atom += "?"
		case !interval && p.accept("+"):
			atom = "(?>" + atom + ")"
		}
		p.out.Truncate(start)
		p.out.WriteString(atom)
	}
}

// literalRun are neighbouring characters that are matched in any case.
type literalRun struct{ letters []rune }

// add refuses letters that together are another character in another case: ss is ß.
func (l *literalRun) add(r rune) error {
	r = unicode.ToLower(r)
	if r == 'ſ' {
		r = 's'
	}
	if l.letters = append(l.letters, r); len(l.letters) < 2 {
		return nil
	}
	before := l.letters[len(l.letters)-2]
	switch pair := string([]rune{before, r}); {
	case strings.Contains(" ss st ff fi fl ", " "+pair+" "), before == 'ʼ' && r == 'n', r == 'ʾ', unicode.In(r, unicode.M, unicode.Greek, unicode.Armenian):
		return notSupported(fmt.Sprintf("(?i) with %q, which may be one letter in another case,", pair))
	}
	return nil
}

// unfolding are the characters that are several in another case (Unicode's CaseFolding.txt, status
// F).
var unfolding = span(0xDF, 0xDF, 0x130, 0x130, 0x149, 0x149, 0x1F0, 0x1F0, 0x390, 0x390, 0x3B0, 0x3B0, 0x587, 0x587, 0x1E96, 0x1E9A, 0x1E9E, 0x1E9E,
	0x1F50, 0x1F50, 0x1F52, 0x1F52, 0x1F54, 0x1F54, 0x1F56, 0x1F56, 0x1F80, 0x1FAF, 0x1FB2, 0x1FB4, 0x1FB6, 0x1FB7, 0x1FBC, 0x1FBC, 0x1FC2, 0x1FC4, 0x1FC6, 0x1FC7,
	0x1FCC, 0x1FCC, 0x1FD2, 0x1FD3, 0x1FD6, 0x1FD7, 0x1FE2, 0x1FE4, 0x1FE6, 0x1FE7, 0x1FF2, 0x1FF4, 0x1FF6, 0x1FF7, 0x1FFC, 0x1FFC, 0xFB00, 0xFB06, 0xFB13, 0xFB17).ranges

// unfolds returns a character of a range that is several in another case.
func unfolds(r runeRange) (rune, bool) {
	for _, u := range unfolding {
		if u.first <= r.last && r.first <= u.last {
			return max(u.first, r.first), true
		}
	}
	return 0, false
}
