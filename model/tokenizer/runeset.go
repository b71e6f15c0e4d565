package tokenizer

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// runeSet is a set of characters: the union of tables of package unicode and of ranges, or all
// others.
type runeSet struct {
	tables  []string // "L", "Han", "Other_Alphabetic"
	ranges  []runeRange
	negated bool
}

type runeRange struct{ first, last rune }

// add puts the members of other in s.
func (s *runeSet) add(other runeSet) {
	if s.negated || other.negated {
		all := append(s.explicit(), other.explicit()...)
		*s = runeSet{ranges: merged(all)}
		return
	}
	s.tables, s.ranges = append(s.tables, other.tables...), append(s.ranges, other.ranges...)
}

// intersect returns what is in both.
func (s runeSet) intersect(other runeSet) runeSet {
	// not (not a or not b)
	a, b := complement(s.explicit()), complement(other.explicit())
	return runeSet{ranges: complement(merged(append(a, b...)))}
}

// explicit returns the members as ranges in order, apart from each other.
func (s runeSet) explicit() []runeRange {
	all := slices.Clone(s.ranges)
	for _, name := range s.tables {
		all = append(all, tableRanges(unicodeTable(name))...)
	}
	if all = merged(all); s.negated {
		return complement(all)
	}
	return all
}

func unicodeTable(name string) *unicode.RangeTable {
	for _, tables := range []map[string]*unicode.RangeTable{unicode.Categories, unicode.Scripts, unicode.Properties} {
		if t, ok := tables[name]; ok {
			return t
		}
	}
	return nil
}

func tableRanges(t *unicode.RangeTable) []runeRange {
	var all []runeRange
	put := func(first, last, stride rune) {
		if stride == 1 {
			all = append(all, runeRange{first, last})
			return
		}
		for r := first; r <= last; r += stride {
			all = append(all, runeRange{r, r})
		}
	}
	for _, r := range t.R16 {
		put(rune(r.Lo), rune(r.Hi), rune(r.Stride))
	}
	for _, r := range t.R32 {
		put(rune(r.Lo), rune(r.Hi), rune(r.Stride))
	}
	return all
}

// merged sorts ranges and joins those that touch.
func merged(all []runeRange) []runeRange {
	slices.SortFunc(all, func(a, b runeRange) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.last, b.last)) })
	n := 0
	for _, r := range all {
		if n > 0 && r.first <= all[n-1].last+1 {
			all[n-1].last = max(all[n-1].last, r.last)
			continue
		}
		all[n] = r
		n++
	}
	return all[:n]
}

// complement returns what merged ranges leave out.
func complement(all []runeRange) []runeRange {
	var rest []runeRange
	next := rune(0)
	for _, r := range all {
		if next < r.first {
			rest = append(rest, runeRange{next, r.first - 1})
		}
		next = r.last + 1
	}
	if next <= unicode.MaxRune {
		rest = append(rest, runeRange{next, unicode.MaxRune})
	}
	return rest
}

// folded adds to a set the characters that are its members in another case.
func (s runeSet) folded() runeSet {
	var all []runeRange
	for _, r := range s.explicit() {
		all = append(all, r)
		for c := r.first; c <= r.last; c++ {
			for f := unicode.SimpleFold(c); f != c; f = unicode.SimpleFold(f) {
				all = append(all, runeRange{f, f})
			}
		}
	}
	return runeSet{ranges: merged(all)}
}

// write writes a set as regexp2 reads it.
func (s runeSet) write(b *bytes.Buffer) {
	if len(s.tables) == 0 && len(s.ranges) == 0 {
		b.WriteString(map[bool]string{false: `(?!)`, true: `[\s\S]`}[s.negated])
		return
	}
	b.WriteByte('[')
	if s.negated {
		b.WriteByte('^')
	}
	for _, name := range s.tables {
		fmt.Fprintf(b, `\p{%s}`, name)
	}
	for _, r := range s.ranges {
		writeRune(b, r.first)
		if r.first != r.last {
			b.WriteByte('-')
			writeRune(b, r.last)
		}
	}
	b.WriteByte(']')
}

// writeRune writes a character that stands for itself: by its number up to U+FFFF.
func writeRune(b *bytes.Buffer, r rune) {
	if r > 0xFFFF {
		b.WriteRune(r)
		return
	}
	fmt.Fprintf(b, `\u%04X`, r)
}

func runesOf(tables ...string) runeSet { return runeSet{tables: tables} }

func (s runeSet) not() runeSet {
	s.negated = !s.negated
	return s
}

func span(pairs ...rune) runeSet {
	var s runeSet
	for i := 0; i < len(pairs); i += 2 {
		s.ranges = append(s.ranges, runeRange{pairs[i], pairs[i+1]})
	}
	return s
}

// properties are the sets of Oniguruma 6.9.8 that have a name besides the categories and scripts of
// Unicode, by their names without spaces, - and _ and in lower case (its doc/RE and
// doc/UNICODE_PROPERTIES; the definitions agree with it for every character of Unicode 14), and the
// one that 6.9.9 changed: [:punct:] is all of P and S, no longer P alone (its HISTORY, 2022-08-28).
// The tokenizers library takes its commit 94877ac, near 6.9.10, by onig 6.5 (since May 2025).
func properties(name string) (runeSet, bool) {
	alphabetic := runesOf("L", "Nl", "Other_Alphabetic")
	with := func(s runeSet, more ...string) runeSet { s.add(runesOf(more...)); return s }
	assigned := runesOf("L", "M", "N", "P", "S", "Z", "Cc", "Cf", "Co")
	switch name {
	case "alpha", "alphabetic":
		return alphabetic, true
	case "alnum":
		return with(alphabetic, "Nd"), true
	case "word":
		return with(alphabetic, "M", "Nd", "Pc"), true
	case "digit":
		return runesOf("Nd"), true
	case "xdigit", "asciihexdigit", "ahex":
		return span('0', '9', 'A', 'F', 'a', 'f'), true
	case "space", "whitespace", "wspace":
		return runesOf("White_Space"), true
	case "blank":
		s := runesOf("Zs")
		s.add(span('\t', '\t'))
		return s, true
	case "cntrl":
		return runesOf("Cc"), true
	case "punct": // \p{Punct}; in brackets it is PosixPunct
		return runesOf("P"), true
	case "posixpunct":
		return runesOf("P", "S"), true
	case "lower", "lowercase":
		return runesOf("Ll", "Other_Lowercase"), true
	case "upper", "uppercase":
		return runesOf("Lu", "Other_Uppercase"), true
	case "graph":
		return runesOf("L", "M", "N", "P", "S", "Cf", "Co"), true
	case "print":
		return runesOf("L", "M", "N", "P", "S", "Cf", "Co", "Zs"), true
	case "ascii":
		return span(0, 0x7F), true
	case "any":
		return runeSet{negated: true}, true
	case "assigned":
		return assigned, true
	case "cn", "unassigned":
		return assigned.not(), true
	case "c", "other":
		return runesOf("L", "M", "N", "P", "S", "Z").not(), true
	case "lc", "casedletter":
		return runesOf("Lu", "Ll", "Lt"), true
	}
	return runeSet{}, false
}

// categoryNames are the long names of Unicode's general categories.
var categoryNames = map[string]string{
	"letter": "L", "uppercaseletter": "Lu", "lowercaseletter": "Ll", "titlecaseletter": "Lt", "modifierletter": "Lm", "otherletter": "Lo",
	"mark": "M", "combiningmark": "M", "nonspacingmark": "Mn", "spacingmark": "Mc", "enclosingmark": "Me",
	"number": "N", "decimalnumber": "Nd", "letternumber": "Nl", "othernumber": "No",
	"punctuation": "P", "connectorpunctuation": "Pc", "dashpunctuation": "Pd", "openpunctuation": "Ps", "closepunctuation": "Pe",
	"initialpunctuation": "Pi", "finalpunctuation": "Pf", "otherpunctuation": "Po",
	"symbol": "S", "mathsymbol": "Sm", "currencysymbol": "Sc", "modifiersymbol": "Sk", "othersymbol": "So",
	"separator": "Z", "spaceseparator": "Zs", "lineseparator": "Zl", "paragraphseparator": "Zp",
	"control": "Cc", "format": "Cf", "privateuse": "Co",
}

// property returns the set that a name in \p{} means.
func property(name string) (runeSet, bool) {
	plain := strings.ToLower(strings.NewReplacer(" ", "", "-", "", "_", "").Replace(name))
	if s, ok := properties(plain); ok {
		return s, true
	}
	if short, ok := categoryNames[plain]; ok {
		return runesOf(short), true
	}
	for _, tables := range []map[string]*unicode.RangeTable{unicode.Categories, unicode.Scripts} {
		for known := range tables {
			if strings.ToLower(strings.ReplaceAll(known, "_", "")) == plain {
				return runesOf(known), true
			}
		}
	}
	return runeSet{}, false
}
