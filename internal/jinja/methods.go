package jinja

import "slices"

// method finds a method of a string, a list or a dict.
func method(v value, name string) (value, bool) {
	switch v := v.(type) {
	case string:
		if m, ok := stringMethods[name]; ok {
			return function{name, func(r *rendering, a arguments) value {
				r.spend(2 * len(v))
				return m(r, v, a)
			}}, true
		}
	case *dict:
		if m, ok := dictMethods[name]; ok {
			return function{name, func(r *rendering, a arguments) value { return m(r, v, a) }}, true
		}
	case *list:
		if m, ok := listMethods[name]; ok {
			return function{name, func(r *rendering, a arguments) value { return m(r, v, a) }}, true
		}
		if slices.Contains(listChanges, name) {
			return function{name, func(r *rendering, _ arguments) value {
				r.fail("%s: a list cannot be changed", name)
				return nil
			}}, true
		}
	}
	return nil, false
}

var dictMethods = map[string]func(r *rendering, d *dict, a arguments) value{
	"keys": func(r *rendering, d *dict, _ arguments) value {
		r.spend(itemWork * len(d.keys))
		return &list{items: d.keys}
	},
	"values": func(r *rendering, d *dict, _ arguments) value {
		r.spend(itemWork * len(d.keys))
		return &list{items: d.values}
	},
	"items": func(r *rendering, d *dict, _ arguments) value { return r.pairs(d) },
	"get": func(r *rendering, d *dict, a arguments) value {
		r.limit("get", a, "key", "default")
		if v, ok := d.get(a.at(0, "key", nil)); ok {
			return v
		}
		return a.at(1, "default", nil)
	},
}

var listMethods = map[string]func(r *rendering, l *list, a arguments) value{
	"index": func(r *rendering, l *list, a arguments) value {
		for i, item := range l.items {
			if r.equal(item, a.at(0, "value", nil)) {
				return int64(i)
			}
		}
		r.fail("index: the value is not in the list")
		return nil
	},
	"count": func(r *rendering, l *list, a arguments) value {
		n := int64(0)
		for _, item := range l.items {
			if r.equal(item, a.at(0, "value", nil)) {
				n++
			}
		}
		return n
	},
}

// listChanges are the methods of Python's lists that change them; they fail by name.
var listChanges = []string{"append", "extend", "insert", "pop", "remove", "reverse", "sort", "clear"}

// pairs lists a dict's keys with their values.
func (r *rendering) pairs(d *dict) *list {
	l := &list{}
	for i, key := range d.keys {
		r.spend(4 * itemWork)
		l.items = append(l.items, &list{[]value{key, d.values[i]}, true})
	}
	return l
}
