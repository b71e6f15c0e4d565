package jinja

import (
	"slices"
	"strings"
	"unicode"
)

// filter is what follows "|" in an expression.
type filter func(r *rendering, v value, a arguments) value

// filters are all filters by name. The filter "map" finds others in the rendering, which avoids a
// cycle of initialization.
var filters = map[string]filter{
	// Any value.
	"default": defaultFilter,
	"d":       defaultFilter,
	"string":  func(r *rendering, v value, _ arguments) value { return r.text(v) },
	"safe":    func(_ *rendering, v value, _ arguments) value { return v },
	"tojson":  toJSONFilter,

	// Strings.
	"trim":       methodFilter("strip"),
	"upper":      methodFilter("upper"),
	"lower":      methodFilter("lower"),
	"title":      titleFilter,
	"capitalize": methodFilter("capitalize"),
	"replace":    methodFilter("replace"),
	"indent":     indentFilter,

	// Numbers.
	"int":   intFilter,
	"float": floatFilter,
	"abs":   absFilter,
	"round": roundFilter,

	// Lists and dicts.
	"length":     lengthFilter,
	"count":      lengthFilter,
	"first":      firstFilter,
	"last":       lastFilter,
	"min":        bestFilter("<"),
	"max":        bestFilter(">"),
	"sum":        sumFilter,
	"join":       joinFilter,
	"list":       listFilter,
	"items":      itemsFilter,
	"sort":       sortFilter,
	"dictsort":   dictSortFilter,
	"unique":     uniqueFilter,
	"reverse":    reverseFilter,
	"map":        mapFilter,
	"select":     selection{keep: true}.filter,
	"reject":     selection{}.filter,
	"selectattr": selection{byAttribute: true, keep: true}.filter,
	"rejectattr": selection{byAttribute: true}.filter,
}

// methodFilter is a method of strings as a filter, which takes any value as its text: an undefined
// one is empty, None is "None".
func methodFilter(name string) filter {
	return func(r *rendering, v value, a arguments) value {
		text := r.text(v)
		r.spend(len(text))
		return stringMethods[name](r, text, a)
	}
}

// titleFilter begins words with an upper-case letter. Words begin after white space and opening
// brackets, where the method title begins them after all that is no letter.
func titleFilter(r *rendering, v value, _ arguments) value {
	text := r.text(v)
	r.spend(len(text))
	begins := true
	return strings.Map(func(c rune) rune {
		upper := begins
		begins = unicode.IsSpace(c) || strings.ContainsRune("-({[<", c)
		if upper {
			return unicode.ToUpper(c)
		}
		return unicode.ToLower(c)
	}, text)
}

func defaultFilter(r *rendering, v value, a arguments) value {
	r.limit("default", a, "default_value", "boolean")
	if !isDefined(v) || truth(a.at(1, "boolean", false)) && !truth(v) {
		return a.at(0, "default_value", "")
	}
	return v
}

func toJSONFilter(r *rendering, v value, a arguments) value {
	r.limit("tojson", a, "ensure_ascii", "indent", "separators", "sort_keys")
	for _, name := range []string{"ensure_ascii", "separators", "sort_keys"} {
		if truth(a.named[name]) {
			r.fail("tojson: argument %s is not supported", name)
		}
	}
	if len(a.list) > 0 {
		r.fail("tojson: an argument without a name is not supported")
	}
	indent := ""
	if n := a.named["indent"]; n != nil {
		indent = strings.Repeat(" ", max(0, min(32, r.integer(n, "tojson: indent"))))
	}
	var b strings.Builder
	r.toJSON(&b, v, indent, 0)
	return b.String()
}

func indentFilter(r *rendering, v value, a arguments) value {
	r.limit("indent", a, "width", "first", "blank")
	s, isText := v.(string)
	if !isText {
		r.fail("indent: found a value of type %s, expected str", typeName(v))
	}
	r.spend(len(s))
	width := a.at(0, "width", int64(4))
	pad, ok := width.(string)
	if !ok {
		pad = strings.Repeat(" ", max(0, min(256, r.integer(width, "indent"))))
	}
	first, blank := truth(a.at(1, "first", false)), truth(a.at(2, "blank", false))
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		r.spend(len(pad) + len(line) + itemWork)
		if (i > 0 || first) && (line != "" || blank || i == 0) {
			lines[i] = pad + line
		}
	}
	return strings.Join(lines, "\n")
}

func lengthFilter(r *rendering, v value, _ arguments) value {
	n, ok := length(v)
	if !ok {
		r.fail("length: a value of type %s has none", typeName(v))
	}
	if s, ok := v.(string); ok {
		r.spend(len(s))
	}
	return int64(n)
}

func firstFilter(r *rendering, v value, _ arguments) value {
	items := r.items(v, "first")
	if len(items) == 0 {
		return undefined{"the first of no items"}
	}
	return items[0]
}

func lastFilter(r *rendering, v value, _ arguments) value {
	items := r.items(v, "last")
	if len(items) == 0 {
		return undefined{"the last of no items"}
	}
	return items[len(items)-1]
}

// bestFilter is min or max: the first item to which the operator's relation holds for all others.
func bestFilter(op string) filter {
	return func(r *rendering, v value, _ arguments) value {
		items := r.items(v, "min or max")
		if len(items) == 0 {
			return undefined{"the min or max of no items"}
		}
		best := items[0]
		for _, item := range items[1:] {
			if r.compare(op, item, best) {
				best = item
			}
		}
		return best
	}
}

func sumFilter(r *rendering, v value, a arguments) value {
	r.limit("sum", a, "attribute")
	path := a.at(0, "attribute", nil)
	var total value = int64(0)
	for _, item := range r.items(v, "sum") {
		if path != nil {
			item = r.lookup(item, path, nil)
		}
		total = r.operate("+", total, item)
	}
	return total
}

func joinFilter(r *rendering, v value, a arguments) value {
	r.limit("join", a, "d", "attribute")
	if path := a.at(1, "attribute", nil); path != nil {
		out := &list{}
		for _, item := range r.items(v, "join") {
			r.spend(itemWork)
			out.items = append(out.items, r.lookup(item, path, nil))
		}
		v = out
	}
	return r.join(v, r.text(a.at(0, "d", "")))
}

func listFilter(r *rendering, v value, _ arguments) value {
	return &list{items: slices.Clone(r.items(v, "list"))}
}

func itemsFilter(r *rendering, v value, _ arguments) value {
	switch v := v.(type) {
	case *dict:
		return r.pairs(v)
	case undefined:
		return &list{}
	}
	r.fail("items: found a value of type %s, expected a dict", typeName(v))
	return nil
}

func reverseFilter(r *rendering, v value, _ arguments) value {
	if s, ok := v.(string); ok {
		chars := r.runes(s)
		slices.Reverse(chars)
		return string(chars)
	}
	items := slices.Clone(r.items(v, "reverse"))
	r.spend(itemWork * len(items))
	slices.Reverse(items)
	return &list{items: items}
}

func uniqueFilter(r *rendering, v value, a arguments) value {
	r.limit("unique", a)
	out := &list{}
	for _, item := range r.items(v, "unique") {
		if !r.contains(out, item) {
			r.spend(itemWork)
			out.items = append(out.items, item)
		}
	}
	return out
}
