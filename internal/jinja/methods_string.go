package jinja

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

type stringMethod func(r *rendering, s string, a arguments) value

var stringMethods = map[string]stringMethod{
	"strip":      stripMethod("strip", strings.TrimFunc),
	"lstrip":     stripMethod("lstrip", strings.TrimLeftFunc),
	"rstrip":     stripMethod("rstrip", strings.TrimRightFunc),
	"split":      splitMethod(strings.SplitN),
	"rsplit":     splitMethod(splitFromRight),
	"splitlines": splitLines,
	"replace":    replace,
	"join":       func(r *rendering, s string, a arguments) value { return r.join(a.at(0, "iterable", nil), s) },

	"startswith":   affixMethod("startswith", strings.HasPrefix),
	"endswith":     affixMethod("endswith", strings.HasSuffix),
	"removeprefix": cutMethod("removeprefix", "prefix", strings.TrimPrefix),
	"removesuffix": cutMethod("removesuffix", "suffix", strings.TrimSuffix),
	"find":         find,
	"count": func(r *rendering, s string, a arguments) value {
		return int64(strings.Count(s, r.stringAt("count", a, 0, "sub")))
	},

	"upper":      mapMethod(strings.ToUpper),
	"lower":      mapMethod(strings.ToLower),
	"title":      mapMethod(title),
	"capitalize": mapMethod(capitalize),

	"isdigit": classMethod(every(unicode.IsDigit)),
	"isalpha": classMethod(every(unicode.IsLetter)),
	"isspace": classMethod(every(unicode.IsSpace)),
	"isupper": classMethod(isUpper),
	"islower": classMethod(isLower),
}

func mapMethod(f func(string) string) stringMethod {
	return func(_ *rendering, s string, _ arguments) value { return f(s) }
}

func classMethod(holds func(string) bool) stringMethod {
	return func(_ *rendering, s string, _ arguments) value { return holds(s) }
}

// cutMethod removes an affix.
func cutMethod(name, parameter string, cut func(s, affix string) string) stringMethod {
	return func(r *rendering, s string, a arguments) value {
		return cut(s, r.stringAt(name, a, 0, parameter))
	}
}

// stripMethod removes the given characters, or white space, from the ends that trim trims.
func stripMethod(name string, trim func(string, func(rune) bool) string) stringMethod {
	return func(r *rendering, s string, a arguments) value {
		chars := a.at(0, "chars", nil)
		if chars == nil {
			return trim(s, unicode.IsSpace)
		}
		set, ok := chars.(string)
		if !ok {
			r.fail("%s: the characters are of type %s, expected str", name, typeName(chars))
		}
		r.spend(len(set) + len(s))
		members := map[rune]bool{}
		for _, c := range set {
			members[c] = true
		}
		return trim(s, func(c rune) bool { return members[c] })
	}
}

// splitMethod is Python's split: at a separator, into as many parts as cut allows, or at runs of
// white space.
func splitMethod(cut func(s, separator string, parts int) []string) stringMethod {
	return func(r *rendering, s string, a arguments) value {
		r.limit("split", a, "sep", "maxsplit")
		r.spend(len(s))
		separator, limit := a.at(0, "sep", nil), r.integer(a.at(1, "maxsplit", int64(-1)), "split")
		if separator == nil {
			parts := strings.Fields(s)
			if limit >= 0 && len(parts) > limit+1 {
				r.fail("split at white space with maxsplit is not supported")
			}
			return r.strings(parts)
		}
		sep, ok := separator.(string)
		if !ok || sep == "" {
			r.fail("split: the separator is of type %s or empty", typeName(separator))
		}
		if limit < 0 {
			return r.strings(strings.Split(s, sep))
		}
		return r.strings(cut(s, sep, limit+1))
	}
}

// splitFromRight is strings.SplitN from the end of the string.
func splitFromRight(s, separator string, limit int) []string {
	var parts []string
	for len(parts) < limit-1 {
		i := strings.LastIndex(s, separator)
		if i < 0 {
			break
		}
		parts = append(parts, s[i+len(separator):])
		s = s[:i]
	}
	parts = append(parts, s)
	slices.Reverse(parts)
	return parts
}

func splitLines(r *rendering, s string, _ arguments) value {
	if s == "" {
		return &list{}
	}
	return r.strings(strings.Split(strings.TrimSuffix(s, "\n"), "\n"))
}

// strings makes a list of strings.
func (r *rendering) strings(parts []string) value {
	r.spend(itemWork * len(parts))
	l := &list{items: make([]value, len(parts))}
	for i, p := range parts {
		l.items[i] = p
	}
	return l
}

// replace spends the work of its result before it builds it.
func replace(r *rendering, s string, a arguments) value {
	r.limit("replace", a, "old", "new", "count")
	from, to := r.stringAt("replace", a, 0, "old"), r.stringAt("replace", a, 1, "new")
	limit := r.integer(a.at(2, "count", int64(-1)), "replace")
	r.spend(2*len(s) + len(from))
	count := strings.Count(s, from)
	if limit >= 0 {
		count = min(count, limit)
	}
	if len(to) > 0 {
		r.repeats(int64(count), len(to))
	}
	return strings.Replace(s, from, to, limit)
}

// join writes items with a separator between.
func (r *rendering) join(v value, separator string) value {
	var b strings.Builder
	for i, item := range r.items(v, "join") {
		s := r.text(item)
		r.spend(len(s) + len(separator) + nodeWork)
		if i > 0 {
			b.WriteString(separator)
		}
		b.WriteString(s)
	}
	return b.String()
}

// affixMethod reports whether a string has an affix, or any of a tuple of them.
func affixMethod(name string, has func(s, affix string) bool) stringMethod {
	return func(r *rendering, s string, a arguments) value {
		affix := a.at(0, "prefix", nil)
		choices := []value{affix}
		if l, ok := affix.(*list); ok && l.tuple {
			choices = l.items
		}
		for _, c := range choices {
			c, ok := c.(string)
			if !ok {
				r.fail("%s: found a value of type %s, expected a str or a tuple of them", name, typeName(affix))
			}
			r.spend(len(c))
			if has(s, c) {
				return true
			}
		}
		return false
	}
}

func find(r *rendering, s string, a arguments) value {
	i := strings.Index(s, r.stringAt("find", a, 0, "sub"))
	if i < 0 {
		return int64(-1)
	}
	return int64(utf8.RuneCountInString(s[:i]))
}

func capitalize(s string) string {
	c, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToUpper(c)) + strings.ToLower(s[n:])
}

func title(s string) string {
	word := false
	return strings.Map(func(c rune) rune {
		before := word
		word = unicode.IsLetter(c)
		if before {
			return unicode.ToLower(c)
		}
		return unicode.ToTitle(c)
	}, s)
}

// every reports whether a string has characters and all are of a class.
func every(in func(rune) bool) func(string) bool {
	return func(s string) bool {
		return s != "" && strings.IndexFunc(s, func(c rune) bool { return !in(c) }) < 0
	}
}

func isUpper(s string) bool { return s == strings.ToUpper(s) && s != strings.ToLower(s) }

func isLower(s string) bool { return s == strings.ToLower(s) && s != strings.ToUpper(s) }
