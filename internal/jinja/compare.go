package jinja

import (
	"cmp"
	"strings"
)

// equal compares as Python does: numbers by value, lists and dicts by their contents.
func (r *rendering) equal(a, b value) bool { return r.equalAt(a, b, 0) }

func (r *rendering) equalAt(a, b value, depth int) bool {
	r.spend(nodeWork)
	if depth > maxDepth {
		r.fail("a value nests deeper than %d", maxDepth)
	}
	if x, ok := number(a); ok {
		y, ok := number(b)
		return ok && x.compare(y) == 0
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
			if !r.equalAt(a.items[i], b.items[i], depth+1) {
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
			if !ok || !r.equalAt(a.values[i], other, depth+1) {
				return false
			}
		}
		return true
	case *namespace:
		return a == b
	}
	return false
}

func (x comparison) eval(r *rendering) value {
	a := r.eval(x.first)
	for i, op := range x.ops {
		b := r.eval(x.rest[i])
		if !r.compare(op, a, b) {
			return false
		}
		a = b
	}
	return true
}

// compare is an operator that compares, as written in a template.
func (r *rendering) compare(op string, a, b value) bool {
	switch op {
	case "==":
		return r.equal(a, b)
	case "!=":
		return !r.equal(a, b)
	case "in":
		return r.contains(b, a)
	case "not in":
		return !r.contains(b, a)
	}
	c := r.order(op, a, b)
	return op == "<" && c < 0 || op == "<=" && c <= 0 || op == ">" && c > 0 || op == ">=" && c >= 0
}

// compare returns -1, 0 or 1; it returns 1 where one of the numbers is NaN.
func (n numeric) compare(m numeric) int {
	switch {
	case n.whole && m.whole:
		return cmp.Compare(n.int, m.int)
	case n.float < m.float:
		return -1
	case n.float == m.float:
		return 0
	}
	return 1
}

// order compares two numbers or two strings.
func (r *rendering) order(op string, a, b value) int {
	if x, ok := number(a); ok {
		if y, ok := number(b); ok {
			return x.compare(y)
		}
	}
	sa, okA := a.(string)
	sb, okB := b.(string)
	if !okA || !okB {
		r.fail("%s is not for values of types %s and %s", op, typeName(a), typeName(b))
	}
	r.spend(min(len(sa), len(sb)))
	return strings.Compare(sa, sb)
}

// contains is the operator "in".
func (r *rendering) contains(within, v value) bool {
	switch w := within.(type) {
	case string:
		s, ok := v.(string)
		if !ok {
			r.fail("a string holds no value of type %s", typeName(v))
		}
		r.spend(len(w) + len(s))
		return strings.Contains(w, s)
	case *list:
		for _, item := range w.items {
			if r.equal(item, v) {
				return true
			}
		}
		return false
	case *dict:
		_, ok := w.get(v)
		return ok
	case undefined:
		return false
	}
	r.fail("a value of type %s holds nothing", typeName(within))
	return false
}
