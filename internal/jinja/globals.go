package jinja

import "slices"

// globals are the functions that every template can call.
var globals = map[string]func(r *rendering, a arguments) value{
	"range":           rangeOf,
	"namespace":       namespaceOf,
	"dict":            dictOf,
	"raise_exception": raiseException,
}

func rangeOf(r *rendering, a arguments) value {
	r.limit("range", a, "start", "stop", "step")
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
	if count > r.budget/itemWork {
		panic(renderError{ErrWork})
	}
	r.spend(itemWork * count)
	l := &list{items: make([]value, count)}
	for i := range l.items {
		l.items[i] = int64(start + i*step)
	}
	return l
}

func namespaceOf(r *rendering, a arguments) value {
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
}

func dictOf(r *rendering, a arguments) value {
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
}

func raiseException(r *rendering, a arguments) value {
	r.fail("the template refuses: %s", r.text(a.at(0, "message", "")))
	return nil
}
