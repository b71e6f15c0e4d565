package pattern

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	digits = []Range{{'0', '9'}}
	words  = []Range{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}
	spaces = []Range{{'\t', '\r'}, {' ', ' '}, {0xa0, 0xa0}, {0x1680, 0x1680}, {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}, {0xfeff, 0xfeff}}
)

// controls are the letters of single control characters.
var controls = map[rune]rune{'n': '\n', 'r': '\r', 't': '\t', 'f': '\f', 'v': '\v', '0': 0}

// escape reads what stands behind a \.
func (p *parser) escape(bracket bool) []Range {
	if p.done() {
		p.fail(`found \ at the end (\\ is a backslash)`)
		return nil
	}
	start := p.at
	one := func(r rune) []Range { return []Range{{r, r}} }
	r := p.next()
	switch {
	case r == 'd':
		return digits
	case r == 'D':
		return Complement(digits)
	case r == 'w':
		return words
	case r == 'W':
		return Complement(words)
	case r == 's':
		return spaces
	case r == 'S':
		return Complement(spaces)
	case r == 'p':
		return p.property()
	case r == 'P':
		return Complement(p.property())
	case r == 'x' || r == 'u':
		return one(p.hex(r))
	case r == 'b' && bracket:
		return one('\b')
	case r == 'b' || r == 'B':
		p.at = start
		p.fail(`\%c, the edge of a word, is not supported`, r)
	case r == 'c' && unicode.IsLetter(p.peek()) && p.peek() < utf8.RuneSelf:
		return one(p.next() % 32)
	case r == 'k' || r >= '1' && r <= '9':
		p.at = start
		p.fail(`references back are not supported`)
	case controls[r] != 0, r == '0' && !(p.peek() >= '0' && p.peek() <= '9'):
		return one(controls[r])
	case r < utf8.RuneSelf && (unicode.IsPunct(r) || unicode.IsSymbol(r) || r == ' '):
		return one(r)
	default:
		p.at = start
		p.fail(`\%c is no known escape`, r)
	}
	return nil
}

// hex reads the digits of \xHH, \x{H…}, \uHHHH or \u{H…}. Two \u of a surrogate pair are one
// character.
func (p *parser) hex(kind rune) rune {
	size := 2
	if kind == 'u' {
		size = 4
	}
	digits := p.text[p.at:min(p.at+size, len(p.text))]
	if inside, _, ok := strings.Cut(p.text[p.at:], "}"); ok && strings.HasPrefix(inside, "{") {
		digits, size = inside[1:], len(inside)-1
		p.at += 2
	}
	n, err := strconv.ParseUint(digits, 16, 32)
	if err != nil || len(digits) != size || n > utf8.MaxRune {
		p.fail(`found \%c, expected \xHH, \x{H…}, \uHHHH or \u{H…} up to 10ffff`, kind)
		return 0
	}
	p.at += size
	if low := p.text[p.at:]; kind == 'u' && n >= 0xd800 && n < 0xdc00 && strings.HasPrefix(low, `\u`) && len(low) >= 6 {
		if second, err := strconv.ParseUint(low[2:6], 16, 32); err == nil && second >= 0xdc00 && second < 0xe000 {
			p.at += 6
			return rune((n-0xd800)<<10 + (second - 0xdc00) + 0x10000)
		}
	}
	return rune(n)
}

// longNames are the categories of Unicode by ECMAScript's longer names.
var longNames = map[string]string{
	"Letter": "L", "Lowercase_Letter": "Ll", "Uppercase_Letter": "Lu", "Titlecase_Letter": "Lt", "Modifier_Letter": "Lm", "Other_Letter": "Lo",
	"Mark": "M", "Number": "N", "Decimal_Number": "Nd", "digit": "Nd", "Letter_Number": "Nl", "Other_Number": "No",
	"Punctuation": "P", "punct": "P", "Symbol": "S", "Separator": "Z", "Space_Separator": "Zs", "Other": "C", "Control": "Cc",
}

// property reads the name of a class of Unicode behind \p.
func (p *parser) property() []Range {
	start := p.at
	name := string(p.next())
	if name == "{" {
		inside, _, ok := strings.Cut(p.text[p.at:], "}")
		if !ok {
			p.fail(`found \p{, expected a } for it`)
			return nil
		}
		p.at += len(inside) + 1
		name = inside
	}
	if key, value, ok := strings.Cut(name, "="); ok && (key == "Script" || key == "sc" || key == "General_Category" || key == "gc") {
		name = value
	}
	if short, ok := longNames[name]; ok {
		name = short
	}
	table := unicode.Categories[name]
	if table == nil {
		table = unicode.Scripts[name]
	}
	if table == nil {
		p.at = start
		p.fail(`\p{%s} names no general category and no script of Unicode`, name)
		return nil
	}
	var set []Range
	for _, r := range table.R16 {
		set = appendStride(set, rune(r.Lo), rune(r.Hi), rune(r.Stride))
	}
	for _, r := range table.R32 {
		set = appendStride(set, rune(r.Lo), rune(r.Hi), rune(r.Stride))
	}
	return Normal(set)
}

func appendStride(set []Range, lo, hi, stride rune) []Range {
	if stride == 1 {
		return append(set, Range{lo, hi})
	}
	for r := lo; r <= hi; r += stride {
		set = append(set, Range{r, r})
	}
	return set
}
