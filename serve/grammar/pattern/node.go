package pattern

import (
	"slices"
	"unicode/utf8"
)

// Op is the kind of a node.
type Op int

const (
	Empty     Op = iota // the empty text
	Class               // one character of Set
	Concat              // Subs in order
	Alternate           // one of Subs
	Repeat              // Subs[0], Min to Max times; Max is -1 for no bound
	Begin               // nothing, at the beginning of the text
	End                 // nothing, at its end
)

// Node is an expression.
type Node struct {
	Op       Op
	Set      []Range
	Subs     []*Node
	Min, Max int
}

// Range is the characters from Lo to Hi.
type Range struct{ Lo, Hi rune }

// Anchored says whether ^ or $ stand in the expression.
func (n *Node) Anchored() bool {
	return n.Op == Begin || n.Op == End || slices.ContainsFunc(n.Subs, (*Node).Anchored)
}

// Empties says whether the expression matches the empty text.
func (n *Node) Empties() bool {
	switch n.Op {
	case Class:
		return false
	case Alternate:
		return slices.ContainsFunc(n.Subs, (*Node).Empties)
	case Concat:
		return !slices.ContainsFunc(n.Subs, func(sub *Node) bool { return !sub.Empties() })
	case Repeat:
		return n.Min == 0 || n.Subs[0].Empties()
	}
	return true
}

// Normal sorts ranges, joins those that touch and drops surrogates, which are no characters.
func Normal(set []Range) []Range {
	set = slices.Clone(set)
	slices.SortFunc(set, func(a, b Range) int { return int(a.Lo) - int(b.Lo) })
	var out []Range
	add := func(r Range) {
		if last := len(out) - 1; last >= 0 && r.Lo <= out[last].Hi+1 {
			out[last].Hi = max(out[last].Hi, r.Hi)
		} else if r.Lo <= r.Hi {
			out = append(out, r)
		}
	}
	for _, r := range set {
		add(Range{r.Lo, min(r.Hi, 0xd7ff)})
		add(Range{max(r.Lo, 0xe000), r.Hi})
	}
	return slices.Clip(out)
}

// Complement is every character that is not in a set.
func Complement(set []Range) []Range {
	var out []Range
	next := rune(0)
	for _, r := range Normal(set) {
		if r.Lo > next {
			out = append(out, Range{next, r.Lo - 1})
		}
		next = r.Hi + 1
	}
	if next <= utf8.MaxRune {
		out = append(out, Range{next, utf8.MaxRune})
	}
	return Normal(out)
}
