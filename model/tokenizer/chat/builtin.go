package chat

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// arg returns an argument by place or by name; absent is what a missing one is.
func (a arguments) arg(i int, name string, absent value) value {
	if i < len(a.list) {
		return a.list[i]
	}
	if v, ok := a.named[name]; ok {
		return v
	}
	return absent
}

// only ends the rendering where there are more arguments than places, or ones of other names.
func (r *run) only(what string, a arguments, names ...string) {
	if len(a.list) > len(names) {
		r.fail("%s takes at most %d arguments, found %d", what, len(names), len(a.list))
	}
	for name := range a.named {
		if i := slices.Index(names, name); i < len(a.list) {
			r.fail("%s is given argument %q, expected %s", what, name, cmp.Or(strings.Join(names[len(a.list):], ", "), "none"))
		}
	}
}

func (r *run) argString(what string, a arguments, i int, name string, absent value) string {
	v := a.arg(i, name, absent)
	s, ok := v.(string)
	if !ok {
		r.fail("%s: argument %s is of type %s, expected str", what, name, typeName(v))
	}
	return s
}

func (r *run) str(what string, v value) string {
	s, ok := v.(string)
	if !ok {
		if u, ok := v.(undefined); ok {
			r.fail("%s: %s is undefined", what, u.what)
		}
		s = r.text(v)
	}
	r.spend(len(s))
	return s
}

var globals = map[string]func(r *run, a arguments) value{
	"range": func(r *run, a arguments) value {
		r.only("range", a, "start", "stop", "step")
		if len(a.list) == 0 {
			r.fail("range needs a stop")
		}
		start, stop, step := 0, r.integer(a.list[0], "range"), 1
		if len(a.list) > 1 {
			start, stop = stop, r.integer(a.list[1], "range")
		}
		if len(a.list) > 2 {
			step = r.integer(a.list[2], "range")
		}
		if step == 0 {
			r.fail("range: the step is 0")
		}
		count := 0
		if step > 0 && stop > start {
			count = (stop - start + step - 1) / step
		} else if step < 0 && stop < start {
			count = (start - stop - step - 1) / -step
		}
		if count > r.left/itemWork {
			panic(renderError{ErrWork})
		}
		r.spend(itemWork * count)
		l := &list{items: make([]value, count)}
		for i := range l.items {
			l.items[i] = int64(start + i*step)
		}
		return l
	},
	"namespace": func(r *run, a arguments) value {
		ns := &namespace{map[string]value{}}
		for _, v := range a.list {
			d, ok := v.(*dict)
			if !ok {
				r.fail("namespace: found a value of type %s, expected a dict", typeName(v))
			}
			for i, key := range d.keys {
				r.spend(itemWork)
				ns.attributes[r.text(key)] = d.values[i]
			}
		}
		for name, v := range a.named {
			ns.attributes[name] = v
		}
		return ns
	},
	"dict": func(r *run, a arguments) value {
		d := newDict()
		names := make([]string, 0, len(a.named))
		for name := range a.named {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			r.put(d, name, a.named[name])
		}
		return d
	},
	"raise_exception": func(r *run, a arguments) value {
		r.fail("the template refuses: %s", r.text(a.arg(0, "message", "")))
		return nil
	},
}

// strip takes characters from the ends of a string: those given, or white space where chars is nil.
func strip(s string, chars value, r *run, what string, left, right bool) string {
	in := unicode.IsSpace
	if chars != nil {
		set, ok := chars.(string)
		if !ok {
			r.fail("%s: the characters are of type %s, expected str", what, typeName(chars))
		}
		r.spend(len(set) + len(s))
		in = func(c rune) bool { return strings.ContainsRune(set, c) }
		if len(set) > 64 {
			members := map[rune]bool{}
			for _, c := range set {
				members[c] = true
			}
			in = func(c rune) bool { return members[c] }
		}
	}
	if left {
		s = strings.TrimLeftFunc(s, in)
	}
	if right {
		s = strings.TrimRightFunc(s, in)
	}
	return s
}

func (r *run) strings(parts []string) value {
	r.spend(itemWork * len(parts))
	l := &list{items: make([]value, len(parts))}
	for i, p := range parts {
		l.items[i] = p
	}
	return l
}

// split is Python's: at a separator, or at runs of white space; limit -1 is none.
func (r *run) split(s string, a arguments, fromRight bool) value {
	r.only("split", a, "sep", "maxsplit")
	r.spend(len(s))
	separator, limit := a.arg(0, "sep", nil), r.integer(a.arg(1, "maxsplit", int64(-1)), "split")
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
	if !fromRight {
		return r.strings(strings.SplitN(s, sep, limit+1))
	}
	var parts []string
	for ; limit > 0; limit-- {
		i := strings.LastIndex(s, sep)
		if i < 0 {
			break
		}
		parts = append(parts, s[i+len(sep):])
		s = s[:i]
	}
	parts = append(parts, s)
	slices.Reverse(parts)
	return r.strings(parts)
}

// replace pays for its result before it makes it.
func (r *run) replace(s string, a arguments) value {
	r.only("replace", a, "old", "new", "count")
	from, to := r.argString("replace", a, 0, "old", nil), r.argString("replace", a, 1, "new", nil)
	limit := r.integer(a.arg(2, "count", int64(-1)), "replace")
	r.spend(2*len(s) + len(from))
	count := strings.Count(s, from)
	if limit >= 0 {
		count = min(count, limit)
	}
	if len(to) > 0 {
		r.times(int64(count), len(to))
	}
	return strings.Replace(s, from, to, limit)
}

func (r *run) affix(what string, s string, a arguments, has func(string, string) bool) value {
	choices := a.arg(0, "prefix", nil)
	if l, ok := choices.(*list); ok && l.tuple {
		for _, c := range l.items {
			c, ok := c.(string)
			if !ok {
				r.fail("%s takes a str or a tuple of them", what)
			}
			r.spend(len(c))
			if has(s, c) {
				return true
			}
		}
		return false
	}
	c, ok := choices.(string)
	if !ok {
		r.fail("%s: found a value of type %s, expected str", what, typeName(choices))
	}
	r.spend(len(c))
	return has(s, c)
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

func every(s string, in func(rune) bool) bool {
	return s != "" && strings.IndexFunc(s, func(c rune) bool { return !in(c) }) < 0
}

var stringMethods = map[string]func(r *run, s string, a arguments) value{
	"strip": func(r *run, s string, a arguments) value {
		return strip(s, a.arg(0, "chars", nil), r, "strip", true, true)
	},
	"lstrip": func(r *run, s string, a arguments) value {
		return strip(s, a.arg(0, "chars", nil), r, "lstrip", true, false)
	},
	"rstrip": func(r *run, s string, a arguments) value {
		return strip(s, a.arg(0, "chars", nil), r, "rstrip", false, true)
	},
	"split":      func(r *run, s string, a arguments) value { return r.split(s, a, false) },
	"rsplit":     func(r *run, s string, a arguments) value { return r.split(s, a, true) },
	"replace":    func(r *run, s string, a arguments) value { return r.replace(s, a) },
	"startswith": func(r *run, s string, a arguments) value { return r.affix("startswith", s, a, strings.HasPrefix) },
	"endswith":   func(r *run, s string, a arguments) value { return r.affix("endswith", s, a, strings.HasSuffix) },
	"upper":      func(_ *run, s string, _ arguments) value { return strings.ToUpper(s) },
	"lower":      func(_ *run, s string, _ arguments) value { return strings.ToLower(s) },
	"title":      func(_ *run, s string, _ arguments) value { return title(s) },
	"capitalize": func(_ *run, s string, _ arguments) value { return capitalize(s) },
	"isdigit":    func(_ *run, s string, _ arguments) value { return every(s, unicode.IsDigit) },
	"isalpha":    func(_ *run, s string, _ arguments) value { return every(s, unicode.IsLetter) },
	"isspace":    func(_ *run, s string, _ arguments) value { return every(s, unicode.IsSpace) },
	"isupper":    func(_ *run, s string, _ arguments) value { return s == strings.ToUpper(s) && s != strings.ToLower(s) },
	"islower":    func(_ *run, s string, _ arguments) value { return s == strings.ToLower(s) && s != strings.ToUpper(s) },
	"splitlines": func(r *run, s string, _ arguments) value {
		if s == "" {
			return &list{}
		}
		return r.strings(strings.Split(strings.TrimSuffix(s, "\n"), "\n"))
	},
	"join": func(r *run, s string, a arguments) value { return r.join(a.arg(0, "iterable", nil), s) },
	"find": func(r *run, s string, a arguments) value {
		i := strings.Index(s, r.argString("find", a, 0, "sub", nil))
		if i < 0 {
			return int64(-1)
		}
		return int64(utf8.RuneCountInString(s[:i]))
	},
	"count": func(r *run, s string, a arguments) value {
		return int64(strings.Count(s, r.argString("count", a, 0, "sub", nil)))
	},
	"removeprefix": func(r *run, s string, a arguments) value {
		return strings.TrimPrefix(s, r.argString("removeprefix", a, 0, "prefix", nil))
	},
	"removesuffix": func(r *run, s string, a arguments) value {
		return strings.TrimSuffix(s, r.argString("removesuffix", a, 0, "suffix", nil))
	},
}

var dictMethods = map[string]func(r *run, d *dict, a arguments) value{
	"keys": func(r *run, d *dict, _ arguments) value { r.spend(itemWork * len(d.keys)); return &list{items: d.keys} },
	"values": func(r *run, d *dict, _ arguments) value {
		r.spend(itemWork * len(d.keys))
		return &list{items: d.values}
	},
	"items": func(r *run, d *dict, _ arguments) value { return r.pairs(d) },
	"get": func(r *run, d *dict, a arguments) value {
		r.only("get", a, "key", "default")
		if v, ok := d.get(a.arg(0, "key", nil)); ok {
			return v
		}
		return a.arg(1, "default", nil)
	},
}

func (r *run) pairs(d *dict) value {
	l := &list{}
	for i, key := range d.keys {
		r.spend(4 * itemWork)
		l.items = append(l.items, &list{[]value{key, d.values[i]}, true})
	}
	return l
}

// method finds a method of a string, a list or a dict.
func method(v value, name string) (value, bool) {
	switch v := v.(type) {
	case string:
		if m, ok := stringMethods[name]; ok {
			return function{name, func(r *run, a arguments) value {
				r.spend(2 * len(v))
				return m(r, v, a)
			}}, true
		}
	case *dict:
		if m, ok := dictMethods[name]; ok {
			return function{name, func(r *run, a arguments) value { return m(r, v, a) }}, true
		}
	case *list:
		switch name {
		case "append", "extend", "insert", "pop", "remove", "reverse", "sort", "clear":
			return function{name, func(r *run, _ arguments) value {
				r.fail("%s: a list cannot be changed", name)
				return nil
			}}, true
		case "index", "count":
			return function{name, func(r *run, a arguments) value {
				n := int64(0)
				for i, item := range v.items {
					if r.equal(item, a.arg(0, "value", nil), 0) {
						if name == "index" {
							return int64(i)
						}
						n++
					}
				}
				if name == "index" {
					r.fail("index: the value is not in the list")
				}
				return n
			}}, true
		}
	}
	return nil, false
}

func (r *run) join(v value, separator string) value {
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

// lookup reads an attribute path such as "function.name" of an item, as map and selectattr do.
func (r *run) lookup(v value, path string) value {
	for part := range strings.SplitSeq(path, ".") {
		r.spend(nodeWork + len(part))
		var index value = part
		if n, err := strconv.ParseInt(part, 10, 64); err == nil {
			index = n
		}
		v = subscript{constant{v}, constant{index}}.eval(r)
	}
	return v
}

// choose is select, reject and those by attribute: the items for which a test holds, or does not.
func choose(byAttribute, hold bool) func(r *run, v value, a arguments) value {
	return func(r *run, v value, a arguments) value {
		out := &list{}
		args := a.list
		path := ""
		if byAttribute {
			path = r.argString("an attribute filter", a, 0, "attribute", nil)
			args = args[min(1, len(args)):]
		}
		test := func(_ *run, v value, _ arguments) bool { return truth(v) }
		if len(args) > 0 {
			name := r.str("a test's name", args[0])
			found, ok := r.tests[name]
			if !ok {
				r.fail("test %q is not supported", name)
			}
			test, args = found, args[1:]
		}
		for _, item := range r.items(v, "a filter of items") {
			r.spend(nodeWork + itemWork)
			x := item
			if byAttribute {
				x = r.lookup(item, path)
			}
			if test(r, x, arguments{list: args}) == hold {
				out.items = append(out.items, item)
			}
		}
		return out
	}
}

type filter func(r *run, v value, a arguments) value

// A run has the tables of filters and tests too, for filters that call others by name.
var filterTable = filters()

func filters() map[string]filter {
	method := func(name string) filter {
		return func(r *run, v value, a arguments) value { return stringMethods[name](r, r.str(name, v), a) }
	}
	size := func(r *run, v value, _ arguments) value {
		n, ok := length(v)
		if !ok {
			r.fail("length: a value of type %s has none", typeName(v))
		}
		if s, ok := v.(string); ok {
			r.spend(len(s))
		}
		return int64(n)
	}
	absent := func(r *run, v value, a arguments) value {
		r.only("default", a, "default_value", "boolean")
		if _, ok := v.(undefined); ok || truth(a.arg(1, "boolean", false)) && !truth(v) {
			return a.arg(0, "default_value", "")
		}
		return v
	}
	end := func(last bool) filter {
		return func(r *run, v value, _ arguments) value {
			items := r.items(v, "first or last")
			if len(items) == 0 {
				return undefined{"the first or last of nothing"}
			}
			if last {
				return items[len(items)-1]
			}
			return items[0]
		}
	}
	extreme := func(op string) filter {
		return func(r *run, v value, _ arguments) value {
			items := r.items(v, "min or max")
			if len(items) == 0 {
				return undefined{"the least or greatest of nothing"}
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
	return map[string]filter{
		"trim":       method("strip"),
		"upper":      method("upper"),
		"lower":      method("lower"),
		"title":      method("title"),
		"capitalize": method("capitalize"),
		"replace":    method("replace"),
		"length":     size,
		"count":      size,
		"default":    absent,
		"d":          absent,
		"first":      end(false),
		"last":       end(true),
		"min":        extreme("<"),
		"max":        extreme(">"),
		"string":     func(r *run, v value, _ arguments) value { return r.text(v) },
		"safe":       func(_ *run, v value, _ arguments) value { return v },
		"list": func(r *run, v value, _ arguments) value {
			return &list{items: slices.Clone(r.items(v, "list"))}
		},
		"items": func(r *run, v value, _ arguments) value {
			switch v := v.(type) {
			case *dict:
				return r.pairs(v)
			case undefined:
				return &list{}
			}
			r.fail("items: found a value of type %s, expected a dict", typeName(v))
			return nil
		},
		"dictsort": func(r *run, v value, a arguments) value {
			r.only("dictsort", a)
			d, ok := v.(*dict)
			if !ok {
				r.fail("dictsort: found a value of type %s, expected a dict", typeName(v))
			}
			l := r.pairs(d).(*list)
			r.sort(l.items, func(v value) value { return v.(*list).items[0] }, false)
			return l
		},
		"sort": func(r *run, v value, a arguments) value {
			r.only("sort", a, "reverse", "case_sensitive", "attribute")
			items := slices.Clone(r.items(v, "sort"))
			path, key := a.arg(2, "attribute", nil), func(v value) value { return v }
			if path != nil {
				key = func(v value) value { return r.lookup(v, r.str("sort", path)) }
			}
			sensitive := truth(a.arg(1, "case_sensitive", false))
			r.sort(items, func(v value) value {
				v = key(v)
				if s, ok := v.(string); ok && !sensitive {
					return strings.ToLower(s)
				}
				return v
			}, truth(a.arg(0, "reverse", false)))
			return &list{items: items}
		},
		"unique": func(r *run, v value, a arguments) value {
			r.only("unique", a)
			out := &list{}
			for _, item := range r.items(v, "unique") {
				if !r.contains(out, item) {
					r.spend(itemWork)
					out.items = append(out.items, item)
				}
			}
			return out
		},
		"reverse": func(r *run, v value, _ arguments) value {
			if s, ok := v.(string); ok {
				chars := r.runes(s)
				slices.Reverse(chars)
				return string(chars)
			}
			items := slices.Clone(r.items(v, "reverse"))
			r.spend(itemWork * len(items))
			slices.Reverse(items)
			return &list{items: items}
		},
		"join": func(r *run, v value, a arguments) value {
			r.only("join", a, "d", "attribute")
			if path := a.arg(1, "attribute", nil); path != nil {
				out := &list{}
				for _, item := range r.items(v, "join") {
					r.spend(itemWork)
					out.items = append(out.items, r.lookup(item, r.str("join", path)))
				}
				v = out
			}
			return r.join(v, r.text(a.arg(0, "d", "")))
		},
		"map": func(r *run, v value, a arguments) value {
			out := &list{}
			path, byAttribute := a.named["attribute"]
			for _, item := range r.items(v, "map") {
				r.spend(nodeWork + itemWork)
				if byAttribute {
					item = r.lookup(item, r.str("map", path))
					if _, ok := item.(undefined); ok {
						item = a.arg(1, "default", item)
					}
				} else {
					name := r.argString("map", a, 0, "filter", nil)
					f, ok := r.filters[name]
					if !ok || name == "map" {
						r.fail("map: filter %q is not supported", name)
					}
					item = f(r, item, arguments{list: a.list[1:], named: a.named})
				}
				out.items = append(out.items, item)
			}
			return out
		},
		"select":     choose(false, true),
		"reject":     choose(false, false),
		"selectattr": choose(true, true),
		"rejectattr": choose(true, false),
		"sum": func(r *run, v value, a arguments) value {
			r.only("sum", a, "attribute")
			path := a.arg(0, "attribute", nil)
			var total value = int64(0)
			for _, item := range r.items(v, "sum") {
				if path != nil {
					item = r.lookup(item, r.str("sum", path))
				}
				total = binary{"+", constant{total}, constant{item}}.eval(r)
			}
			return total
		},
		"int": func(r *run, v value, a arguments) value {
			if i, f, whole, ok := number(v); ok {
				if !whole && math.Abs(f) < 1<<53 {
					i = int64(f)
				}
				return i
			}
			if s, ok := v.(string); ok {
				if i, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64); err == nil {
					return i
				}
				if f, err := strconv.ParseFloat(strings.TrimSpace(s), 64); err == nil && math.Abs(f) < 1<<53 {
					return int64(f)
				}
			}
			return a.arg(0, "default", int64(0))
		},
		"float": func(r *run, v value, a arguments) value {
			if _, f, _, ok := number(v); ok {
				return f
			}
			if s, ok := v.(string); ok {
				if f, err := strconv.ParseFloat(strings.TrimSpace(s), 64); err == nil {
					return f
				}
			}
			return a.arg(0, "default", 0.0)
		},
		"abs": func(r *run, v value, _ arguments) value {
			i, f, whole, ok := number(v)
			switch {
			case !ok:
				r.fail("abs: found a value of type %s, expected a number", typeName(v))
			case whole && i < 0:
				return -i
			case whole:
				return i
			}
			return math.Abs(f)
		},
		"round": func(r *run, v value, a arguments) value {
			_, f, _, ok := number(v)
			if !ok || len(a.named) > 0 || len(a.list) > 1 {
				r.fail("round takes a number and a precision")
			}
			scale := math.Pow(10, float64(min(15, max(-15, r.integer(a.arg(0, "precision", int64(0)), "round")))))
			return math.RoundToEven(f*scale) / scale
		},
		"tojson": func(r *run, v value, a arguments) value {
			r.only("tojson", a, "ensure_ascii", "indent", "separators", "sort_keys")
			for _, name := range []string{"ensure_ascii", "separators", "sort_keys"} {
				if _, ok := a.named[name]; ok && truth(a.named[name]) {
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
		},
		"indent": func(r *run, v value, a arguments) value {
			r.only("indent", a, "width", "first", "blank")
			s, width := r.str("indent", v), a.arg(0, "width", int64(4))
			pad, ok := width.(string)
			if !ok {
				pad = strings.Repeat(" ", max(0, min(256, r.integer(width, "indent"))))
			}
			first, blank := truth(a.arg(1, "first", false)), truth(a.arg(2, "blank", false))
			lines := strings.Split(s, "\n")
			for i, line := range lines {
				r.spend(len(pad) + len(line) + itemWork)
				if (i > 0 || first) && (line != "" || blank || i == 0) {
					lines[i] = pad + line
				}
			}
			return strings.Join(lines, "\n")
		},
	}
}

// sort orders items by key, keeping the order of equals; it pays for each comparison.
func (r *run) sort(items []value, key func(value) value, reverse bool) {
	r.spend(itemWork * len(items))
	slices.SortStableFunc(items, func(a, b value) int {
		r.spend(2 * nodeWork)
		c := r.order("sort", key(a), key(b))
		if reverse {
			return -c
		}
		return c
	})
}

type test func(r *run, v value, a arguments) bool

var testTable = tests()

func tests() map[string]test {
	kind := func(is func(v value) bool) test { return func(_ *run, v value, _ arguments) bool { return is(v) } }
	compare := func(op string) test {
		return func(r *run, v value, a arguments) bool {
			return r.compare(op, v, a.arg(0, "other", undefined{"a test's argument"}))
		}
	}
	isDefined := kind(func(v value) bool { _, ok := v.(undefined); return !ok })
	sequence := kind(func(v value) bool { _, ok := length(v); return ok })
	whole := func(r *run, v value, what string) int64 {
		i, _, ok, isNumber := number(v)
		if !ok || !isNumber {
			r.fail("%s: found a value of type %s, expected int", what, typeName(v))
		}
		return i
	}
	return map[string]test{
		"defined":   isDefined,
		"undefined": func(r *run, v value, a arguments) bool { return !isDefined(r, v, a) },
		"none":      kind(func(v value) bool { return v == nil }),
		"string":    kind(func(v value) bool { _, ok := v.(string); return ok }),
		"mapping":   kind(func(v value) bool { _, ok := v.(*dict); return ok }),
		"sequence":  sequence,
		"iterable":  sequence,
		"boolean":   kind(func(v value) bool { _, ok := v.(bool); return ok }),
		"integer":   kind(func(v value) bool { _, ok := v.(int64); return ok }),
		"float":     kind(func(v value) bool { _, ok := v.(float64); return ok }),
		"number":    kind(func(v value) bool { _, _, _, ok := number(v); return ok }),
		"true":      kind(func(v value) bool { return v == true }),
		"false":     kind(func(v value) bool { return v == false }),
		"callable":  kind(func(v value) bool { _, ok := v.(function); return ok }),
		"equalto":   compare("=="),
		"eq":        compare("=="),
		"sameas":    compare("=="),
		"ne":        compare("!="),
		"lt":        compare("<"),
		"le":        compare("<="),
		"gt":        compare(">"),
		"ge":        compare(">="),
		"in":        compare("in"),
		"lower": func(r *run, v value, _ arguments) bool {
			return truth(stringMethods["islower"](r, r.str("lower", v), arguments{}))
		},
		"upper": func(r *run, v value, _ arguments) bool {
			return truth(stringMethods["isupper"](r, r.str("upper", v), arguments{}))
		},
		"even": func(r *run, v value, _ arguments) bool { return whole(r, v, "even")%2 == 0 },
		"odd":  func(r *run, v value, _ arguments) bool { return whole(r, v, "odd")%2 != 0 },
		"divisibleby": func(r *run, v value, a arguments) bool {
			by := whole(r, a.arg(0, "num", nil), "divisibleby")
			if by == 0 {
				r.fail("divisibleby: division by zero")
			}
			return whole(r, v, "divisibleby")%by == 0
		},
	}
}

// strftime writes a time as Python's does, for the directives that templates use.
func (r *run) strftime(now time.Time, format string) string {
	layouts := map[byte]string{'d': "02", 'b': "Jan", 'B': "January", 'm': "01", 'y': "06", 'Y': "2006", 'H': "15", 'I': "03", 'M': "04",
		'S': "05", 'p': "PM", 'a': "Mon", 'A': "Monday", 'j': "002", 'Z': "MST", 'z': "-0700", 'F': "2006-01-02", 'T': "15:04:05"}
	var b strings.Builder
	r.spend(8 * len(format))
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		layout, ok := layouts[format[i]]
		switch {
		case format[i] == '%':
			b.WriteByte('%')
		case ok:
			b.WriteString(now.Format(layout))
		default:
			r.fail("strftime_now: directive %%%c is not supported", format[i])
		}
	}
	return b.String()
}
