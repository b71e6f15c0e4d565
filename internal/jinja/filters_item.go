package jinja

import (
	"slices"
	"strconv"
	"strings"
)

// lookup returns the value at an attribute path such as "function.name", or at an index, as map and
// selectattr read it. missing, where there is one, stands for what is absent at any part of a path.
func (r *rendering) lookup(v, path, missing value) value {
	text, ok := path.(string)
	if !ok {
		return r.part(v, r.known(path), missing)
	}
	for name := range strings.SplitSeq(text, ".") {
		r.spend(len(name))
		v = r.part(v, partOf(name), missing)
	}
	return v
}

// partOf is an index where a part of a path is all digits, else a name.
func partOf(name string) value {
	if n, err := strconv.ParseUint(name, 10, 63); err == nil {
		return int64(n)
	}
	return name
}

func (r *rendering) part(v, index, missing value) value {
	r.spend(3 * nodeWork)
	v = r.item(r.known(v), index)
	if missing != nil && !isDefined(v) {
		return missing
	}
	return v
}

func mapFilter(r *rendering, v value, a arguments) value {
	out := &list{}
	path, byAttribute := a.named["attribute"]
	byAttribute = byAttribute && len(a.list) == 0
	if byAttribute {
		r.limit("map", a, "attribute", "default")
	}
	if !truth(v) { // None and numbers that are 0 too
		return out
	}
	for _, item := range r.items(v, "map") {
		r.spend(nodeWork + itemWork)
		if byAttribute {
			item = r.lookup(item, path, a.named["default"])
		} else {
			name := r.stringAt("map", arguments{list: a.list}, 0, "filter")
			f, ok := r.filters[name]
			if !ok || name == "map" {
				r.fail("map: filter %q is not supported", name)
			}
			item = f(r, item, arguments{list: a.list[1:], named: a.named})
		}
		out.items = append(out.items, item)
	}
	return out
}

// selection is the filter select, reject, selectattr or rejectattr: it keeps the items for which a
// test holds, or for which it does not.
type selection struct {
	byAttribute bool // the test is of an attribute of the item
	keep        bool // the result of the test for items to keep
}

func (s selection) filter(r *rendering, v value, a arguments) value {
	args := a.list
	var path value
	if s.byAttribute {
		if len(args) == 0 {
			r.fail("an attribute filter needs an attribute")
		}
		path, args = args[0], args[1:]
	}
	holds := func(_ *rendering, v value, _ arguments) bool { return truth(v) }
	if len(args) > 0 {
		name := r.str("a test's name", args[0])
		found, ok := r.tests[name]
		if !ok {
			r.fail("test %q is not supported", name)
		}
		holds, args = found, args[1:]
	}
	out := &list{}
	if !truth(v) { // None and numbers that are 0 too
		return out
	}
	for _, item := range r.items(v, "a filter of items") {
		r.spend(nodeWork + itemWork)
		x := item
		if s.byAttribute {
			x = r.lookup(item, path, nil)
		}
		if holds(r, x, arguments{list: args}) == s.keep {
			out.items = append(out.items, item)
		}
	}
	return out
}

func sortFilter(r *rendering, v value, a arguments) value {
	r.limit("sort", a, "reverse", "case_sensitive", "attribute")
	items := slices.Clone(r.items(v, "sort"))
	path := a.at(2, "attribute", nil)
	sensitive := truth(a.at(1, "case_sensitive", false))
	key := func(v value) value {
		if path != nil {
			v = r.lookup(v, path, nil)
		}
		if s, ok := v.(string); ok && !sensitive {
			return strings.ToLower(s)
		}
		return v
	}
	order := ascending
	if truth(a.at(0, "reverse", false)) {
		order = descending
	}
	r.sort(items, key, order)
	return &list{items: items}
}

func dictSortFilter(r *rendering, v value, a arguments) value {
	r.limit("dictsort", a)
	d, ok := v.(*dict)
	if !ok {
		r.fail("dictsort: found a value of type %s, expected a dict", typeName(v))
	}
	pairs := r.pairs(d)
	r.sort(pairs.items, func(v value) value { return v.(*list).items[0] }, ascending)
	return pairs
}

// The orders of a sort, as factors of a comparison's sign.
const (
	ascending  = 1
	descending = -1
)

// sort orders items by key and keeps the order of equal ones; every comparison costs work.
func (r *rendering) sort(items []value, key func(value) value, order int) {
	r.spend(itemWork * len(items))
	slices.SortStableFunc(items, func(a, b value) int {
		r.spend(2 * nodeWork)
		return order * r.order("sort", key(a), key(b))
	})
}
