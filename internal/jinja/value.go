package jinja

import (
	"math"
	"unicode/utf8"
)

// value is a Python value: nil (None), undefined, bool, int64, float64, string, *list, *dict,
// *namespace or function.
type value any

// undefined is the value of a missing name or item; what describes it in errors.
type undefined struct{ what string }

// list is an immutable list or tuple.
type list struct {
	items []value
	tuple bool
}

// dict keeps its keys in the order of insertion, as Python's does; it is immutable once built. Keys
// are strings, numbers, booleans or None; a whole float is the same key as the int.
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

// namespace is the only value that a template can change, also from within a loop.
type namespace struct{ attributes map[string]value }

// function is a macro, a global function or a bound method.
type function struct {
	name string
	call func(r *rendering, args arguments) value
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

// numeric is an int or a bool, where whole is true, or a float. The field float always holds the
// value, the field int only a whole one.
type numeric struct {
	int   int64
	float float64
	whole bool
}

// number returns the value of an int, a float or a bool.
func number(v value) (n numeric, ok bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return numeric{1, 1, true}, true
		}
		return numeric{0, 0, true}, true
	case int64:
		return numeric{v, float64(v), true}, true
	case float64:
		return numeric{0, v, false}, true
	}
	return numeric{}, false
}

// places are the positions that a slice takes: the first, the step and their number.
type places struct{ first, step, count int }

// slice is Python's slicing of n items.
func (r *rendering) slice(n int, start, stop, step value) places {
	by := 1
	if step != nil {
		by = r.integer(step, "a slice's step")
	}
	if by == 0 {
		r.fail("a slice's step is 0")
	}
	low, high := 0, n // the range of explicit bounds
	if by < 0 {
		low, high = -1, n-1
	}
	bound := func(v value, missing int) int {
		if v == nil {
			return missing
		}
		i := r.integer(v, "a slice's bound")
		if i < 0 {
			i += n
		}
		return min(max(i, low), high)
	}
	if by > 0 {
		from, to := bound(start, 0), bound(stop, n)
		return places{from, by, max(0, (to-from+by-1)/by)}
	}
	from, to := bound(start, n-1), bound(stop, -1)
	return places{from, by, max(0, (from-to-by-1)/-by)}
}

// integer returns the value of an int or a bool and fails for others.
func (r *rendering) integer(v value, what string) int {
	n, ok := number(v)
	if !ok || !n.whole {
		r.fail("%s is of type %s, expected int", what, typeName(v))
	}
	return int(min(max(n.int, -1<<40), 1<<40))
}

// runes returns a string's characters, which are the units of Python's lengths and slices.
func (r *rendering) runes(s string) []rune {
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

// items returns what a for loop iterates over: items, keys or characters.
func (r *rendering) items(v value, what string) []value {
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
