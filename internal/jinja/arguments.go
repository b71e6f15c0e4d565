package jinja

import (
	"cmp"
	"slices"
	"strings"
)

// arguments are the values of a call, in order and by name.
type arguments struct {
	list  []value
	named map[string]value
}

// at returns the argument in place i or with the name, or the default of a missing one.
func (a arguments) at(i int, name string, missing value) value {
	if i < len(a.list) {
		return a.list[i]
	}
	if v, ok := a.named[name]; ok {
		return v
	}
	return missing
}

// limit fails where there are more arguments than names, or arguments of other names.
func (r *rendering) limit(callee string, a arguments, names ...string) {
	if len(a.list) > len(names) {
		r.fail("%s takes at most %d arguments, found %d", callee, len(names), len(a.list))
	}
	for name := range a.named {
		if i := slices.Index(names, name); i < len(a.list) {
			expected := cmp.Or(strings.Join(names[len(a.list):], ", "), "none")
			r.fail("%s is given argument %q, expected %s", callee, name, expected)
		}
	}
}

// stringAt returns a required argument that must be a string.
func (r *rendering) stringAt(callee string, a arguments, i int, name string) string {
	v := a.at(i, name, nil)
	s, ok := v.(string)
	if !ok {
		r.fail("%s: argument %s is of type %s, expected str", callee, name, typeName(v))
	}
	return s
}

// str converts the input of a filter of strings to a string.
func (r *rendering) str(callee string, v value) string {
	s, ok := v.(string)
	if !ok {
		if u, ok := v.(undefined); ok {
			r.fail("%s: %s is undefined", callee, u.what)
		}
		s = r.text(v)
	}
	r.spend(len(s))
	return s
}
