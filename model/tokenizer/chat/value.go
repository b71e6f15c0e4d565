package chat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// value is a Python value: nil (None), undefined, bool, int64, float64, string, *list, *dict,
// *namespace or function.
type value any

// undefined is the value of a name that there is not; what names it for errors.
type undefined struct{ what string }

// list is a list or a tuple; it does not change.
type list struct {
	items []value
	tuple bool
}

// dict keeps the order in which its keys came, as Python's does; it does not change once it is
// made. Keys are strings, numbers, truth values or None; a float that is whole is the same key as
// the int.
type dict struct {
	keys   []value
	values []value
	places map[value]int
}

func newDict() *dict { return &dict{places: map[value]int{}} }

func (d *dict) set(key, v value) {
	if i, ok := d.places[key]; ok {
		d.values[i] = v
		return
	}
	d.places[key] = len(d.keys)
	d.keys, d.values = append(d.keys, key), append(d.values, v)
}

func (d *dict) get(key value) (value, bool) {
	if f, ok := key.(float64); ok && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		key = int64(f) // 1 and 1.0 are one key
	}
	switch key.(type) {
	case string, int64, float64, bool, nil:
		i, ok := d.places[key]
		if !ok {
			return nil, false
		}
		return d.values[i], true
	}
	return nil, false
}

// namespace is what a template may change from within a loop.
type namespace struct{ attributes map[string]value }

// function is a macro, a global or a method that is called.
type function struct {
	name string
	call func(r *run, args arguments) value
}

// arguments of a call, in order and by name.
type arguments struct {
	list  []value
	named map[string]value
}

// typeName is Python's name of a value's type.
func typeName(v value) string {
	switch v := v.(type) {
	case nil:
		return "NoneType"
	case undefined:
		return "undefined"
	case bool:
		return "bool"
	case int64:
		return "int"
	case float64:
		return "float"
	case string:
		return "str"
	case *list:
		if v.tuple {
			return "tuple"
		}
		return "list"
	case *dict:
		return "dict"
	case *namespace:
		return "namespace"
	}
	return "function"
}

func truth(v value) bool {
	switch v := v.(type) {
	case nil, undefined:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case string:
		return v != ""
	case *list:
		return len(v.items) > 0
	case *dict:
		return len(v.keys) > 0
	}
	return true
}

// number returns an int, a float or a bool as both numbers; whole says that it is not a float.
func number(v value) (i int64, f float64, whole, ok bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, 1, true, true
		}
		return 0, 0, true, true
	case int64:
		return v, float64(v), true, true
	case float64:
		return 0, v, false, true
	}
	return 0, 0, false, false
}

func formatFloat(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case math.IsNaN(f):
		return "nan"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// text is Python's str: what a value is written as.
func (r *run) text(v value) string {
	switch v := v.(type) {
	case string:
		return v
	case undefined:
		return ""
	}
	var b strings.Builder
	r.repr(&b, v, 0)
	return b.String()
}

func (r *run) repr(b *strings.Builder, v value, depth int) {
	r.spend(nodeWork)
	if depth > maxDepth {
		r.fail("a value nests deeper than %d", maxDepth)
	}
	before := b.Len()
	switch v := v.(type) {
	case nil:
		b.WriteString("None")
	case undefined:
		b.WriteString("Undefined")
	case bool:
		if v {
			b.WriteString("True")
		} else {
			b.WriteString("False")
		}
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		b.WriteString(formatFloat(v))
	case string:
		r.spend(len(v))
		quote := "'"
		if strings.Contains(v, "'") && !strings.Contains(v, `"`) {
			quote = `"`
		}
		b.WriteString(quote)
		b.WriteString(strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`, quote, `\`+quote).Replace(v))
		b.WriteString(quote)
	case *list:
		open, end := "[", "]"
		if v.tuple {
			open, end = "(", ")"
			if len(v.items) == 1 {
				end = ",)"
			}
		}
		b.WriteString(open)
		for i, item := range v.items {
			if i > 0 {
				b.WriteString(", ")
			}
			r.repr(b, item, depth+1)
		}
		b.WriteString(end)
	case *dict:
		b.WriteString("{")
		for i, key := range v.keys {
			if i > 0 {
				b.WriteString(", ")
			}
			r.repr(b, key, depth+1)
			b.WriteString(": ")
			r.repr(b, v.values[i], depth+1)
		}
		b.WriteString("}")
	case *namespace:
		b.WriteString("<Namespace>")
	default:
		b.WriteString("<function>")
	}
	if depth == 0 {
		r.spend(b.Len() - before)
	}
}

// equal compares as Python does: numbers by value, lists and dicts by what is in them.
func (r *run) equal(a, b value, depth int) bool {
	r.spend(nodeWork)
	if depth > maxDepth {
		r.fail("a value nests deeper than %d", maxDepth)
	}
	if ai, af, aw, ok := number(a); ok {
		bi, bf, bw, ok := number(b)
		return ok && (aw && bw && ai == bi || !(aw && bw) && af == bf)
	}
	switch a := a.(type) {
	case nil:
		return b == nil
	case undefined:
		_, ok := b.(undefined)
		return ok
	case string:
		b, ok := b.(string)
		if ok && len(a) == len(b) {
			r.spend(len(a))
		}
		return ok && a == b
	case *list:
		b, ok := b.(*list)
		if !ok || len(a.items) != len(b.items) || a.tuple != b.tuple {
			return false
		}
		for i := range a.items {
			if !r.equal(a.items[i], b.items[i], depth+1) {
				return false
			}
		}
		return true
	case *dict:
		b, ok := b.(*dict)
		if !ok || len(a.keys) != len(b.keys) {
			return false
		}
		for i, key := range a.keys {
			other, ok := b.get(key)
			if !ok || !r.equal(a.values[i], other, depth+1) {
				return false
			}
		}
		return true
	case *namespace:
		return a == b
	}
	return false
}

// toJSON writes a value as Python's json.dumps does with ensure_ascii false: ", " and ": " between,
// or lines with an indent.
func (r *run) toJSON(b *strings.Builder, v value, indent string, depth int) {
	r.spend(nodeWork + len(indent)*depth)
	if depth > maxDepth {
		r.fail("tojson: a value nests deeper than %d", maxDepth)
	}
	line := func(depth int) {
		if indent != "" {
			b.WriteByte('\n')
			for range depth {
				b.WriteString(indent)
			}
		}
	}
	between := ", "
	if indent != "" {
		between = ","
	}
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		switch {
		case math.IsNaN(v):
			b.WriteString("NaN")
		case math.IsInf(v, 0):
			b.WriteString(strings.Replace(formatFloat(v), "inf", "Infinity", 1))
		default:
			b.WriteString(formatFloat(v))
		}
	case string:
		r.spend(2 * len(v))
		quoteJSON(b, v)
	case *list:
		if len(v.items) == 0 {
			b.WriteString("[]")
			return
		}
		b.WriteByte('[')
		for i, item := range v.items {
			if i > 0 {
				b.WriteString(between)
			}
			line(depth + 1)
			r.toJSON(b, item, indent, depth+1)
		}
		line(depth)
		b.WriteByte(']')
	case *dict:
		if len(v.keys) == 0 {
			b.WriteString("{}")
			return
		}
		b.WriteByte('{')
		for i, key := range v.keys {
			if i > 0 {
				b.WriteString(between)
			}
			line(depth + 1)
			name, ok := key.(string)
			if !ok {
				var k strings.Builder
				r.toJSON(&k, key, "", maxDepth)
				name = k.String()
			}
			r.spend(2 * len(name))
			quoteJSON(b, name)
			b.WriteString(": ")
			r.toJSON(b, v.values[i], indent, depth+1)
		}
		line(depth)
		b.WriteByte('}')
	default:
		r.fail("tojson: a value of type %s has no JSON", typeName(v))
	}
}

func quoteJSON(b *strings.Builder, s string) {
	b.WriteByte('"')
	for _, c := range s {
		switch c {
		case '"':
			b.WriteString(`\"`)
		case '\\':
			b.WriteString(`\\`)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		case '\b':
			b.WriteString(`\b`)
		case '\f':
			b.WriteString(`\f`)
		default:
			if c < ' ' {
				fmt.Fprintf(b, `\u%04x`, c)
			} else {
				b.WriteRune(c)
			}
		}
	}
	b.WriteByte('"')
}

// fromJSON reads one JSON value, with the keys of objects in their order.
func fromJSON(raw json.RawMessage) (value, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	v, err := decodeJSON(d, 0)
	if err != nil {
		return nil, err
	}
	if d.More() {
		return nil, fmt.Errorf("found more than one JSON value")
	}
	return v, nil
}

func decodeJSON(d *json.Decoder, depth int) (value, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("a value nests deeper than %d", maxDepth)
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Number:
		if i, err := strconv.ParseInt(t.String(), 10, 64); err == nil {
			return i, nil
		}
		f, err := t.Float64()
		if err != nil || !strings.ContainsAny(t.String(), ".eE") {
			return nil, fmt.Errorf("number %s is out of range", t)
		}
		return f, nil
	case json.Delim:
		if t == '[' {
			l := &list{}
			for d.More() {
				item, err := decodeJSON(d, depth+1)
				if err != nil {
					return nil, err
				}
				l.items = append(l.items, item)
			}
			_, err := d.Token()
			return l, err
		}
		object := newDict()
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			item, err := decodeJSON(d, depth+1)
			if err != nil {
				return nil, err
			}
			object.set(key.(string), item)
		}
		_, err := d.Token()
		return object, err
	case nil, bool, string:
		return t, nil
	}
	return nil, fmt.Errorf("unexpected JSON token %v", t)
}

// slice is Python's slicing of n items: where it begins, its step, and how many it takes.
func (r *run) slice(n int, start, stop, step value) (from, by, count int) {
	by = 1
	if step != nil {
		by = r.integer(step, "a slice's step")
	}
	if by == 0 {
		r.fail("a slice's step is 0")
	}
	low, high := 0, n // bounds of a start and a stop that are given
	if by < 0 {
		low, high = -1, n-1
	}
	bound := func(v value, absent int) int {
		if v == nil {
			return absent
		}
		i := r.integer(v, "a slice's bound")
		if i < 0 {
			i += n
		}
		return min(max(i, low), high)
	}
	var to int
	if by > 0 {
		from, to = bound(start, 0), bound(stop, n)
		return from, by, max(0, (to-from+by-1)/by)
	}
	from, to = bound(start, n-1), bound(stop, -1)
	return from, by, max(0, (from-to-by-1)/-by)
}

// integer is an int or a bool; others end the rendering.
func (r *run) integer(v value, what string) int {
	i, _, whole, ok := number(v)
	if !ok || !whole {
		r.fail("%s is of type %s, expected int", what, typeName(v))
	}
	return int(min(max(i, -1<<40), 1<<40))
}

// runes gives a string's characters; Python counts and cuts strings by them.
func (r *run) runes(s string) []rune {
	r.spend(5 * len(s))
	return []rune(s)
}

func length(v value) (int, bool) {
	switch v := v.(type) {
	case string:
		return utf8.RuneCountInString(v), true
	case *list:
		return len(v.items), true
	case *dict:
		return len(v.keys), true
	case undefined:
		return 0, true
	}
	return 0, false
}

// items lists what a for loop goes through: items, keys, or characters.
func (r *run) items(v value, what string) []value {
	switch v := v.(type) {
	case *list:
		r.spend(len(v.items))
		return v.items
	case *dict:
		r.spend(len(v.keys))
		return v.keys
	case string:
		var out []value
		for _, c := range r.runes(v) {
			r.spend(itemWork)
			out = append(out, string(c))
		}
		return out
	case undefined:
		return nil
	}
	r.fail("%s: a value of type %s has no items", what, typeName(v))
	return nil
}
