package jinja

import "math"

// eval spends the work of an expression and bounds the nesting.
func (r *rendering) eval(x expression) value {
	r.spend(nodeWork)
	if r.depth++; r.depth > maxNested {
		r.fail("more than %d expressions are nested", maxNested)
	}
	v := x.eval(r)
	r.depth--
	return v
}

// known fails where a value is undefined.
func (r *rendering) known(v value) value {
	if u, ok := v.(undefined); ok {
		r.fail("%s is undefined", u.what)
	}
	return v
}

func (x constant) eval(*rendering) value { return x.v }

func (x nameExpr) eval(r *rendering) value {
	if v, ok := r.scope.get(x.name); ok {
		return v
	}
	return undefined{x.name}
}

func (x listExpr) eval(r *rendering) value {
	r.spend(itemWork * len(x.items))
	l := &list{make([]value, len(x.items)), x.tuple}
	for i, item := range x.items {
		l.items[i] = r.eval(item)
	}
	return l
}

func (x dictExpr) eval(r *rendering) value {
	d := newDict()
	for i, key := range x.keys {
		r.put(d, r.eval(key), r.eval(x.values[i]))
	}
	return d
}

// put adds an item to a dict that is being built.
func (r *rendering) put(d *dict, key, v value) {
	r.spend(4 * itemWork)
	switch k := key.(type) {
	case string:
		r.spend(len(k))
	case int64, bool, nil:
	case float64:
		if k == math.Trunc(k) && math.Abs(k) < 1<<53 {
			key = int64(k)
		}
	default:
		r.fail("a value of type %s cannot be a key", typeName(key))
	}
	d.set(key, v)
}

func (x conditional) eval(r *rendering) value {
	switch {
	case truth(r.eval(x.test)):
		return r.eval(x.then)
	case x.otherwise != nil:
		return r.eval(x.otherwise)
	}
	return undefined{"the value of an if without else"}
}

func (x attribute) eval(r *rendering) value {
	v := r.known(r.eval(x.x))
	switch v := v.(type) {
	case *namespace:
		if a, ok := v.attributes[x.name]; ok {
			return a
		}
	case *loopState:
		return v.attribute(x.name)
	}
	if m, ok := method(v, x.name); ok {
		return m
	}
	if d, ok := v.(*dict); ok {
		if item, ok := d.get(x.name); ok {
			return item
		}
	}
	return undefined{"attribute " + x.name + " of a value of type " + typeName(v)}
}

func (x subscript) eval(r *rendering) value {
	v := r.known(r.eval(x.x))
	return r.item(v, r.eval(x.index))
}

// item is v[index], or undefined.
func (r *rendering) item(v, index value) value {
	switch w := v.(type) {
	case *dict:
		if item, ok := w.get(index); ok {
			return item
		}
	case *list:
		if i, ok := place(index, len(w.items)); ok {
			return w.items[i]
		}
	case string:
		chars := r.runes(w)
		if i, ok := place(index, len(chars)); ok {
			return string(chars[i])
		}
	}
	if name, ok := index.(string); ok {
		switch w := v.(type) {
		case *namespace:
			if a, ok := w.attributes[name]; ok {
				return a
			}
		case *loopState:
			return w.attribute(name)
		}
		if m, ok := method(v, name); ok {
			return m
		}
	}
	return undefined{"an item of a value of type " + typeName(v)}
}

// place is the position among n that an index means; a negative one counts from the end.
func place(index value, n int) (position int, ok bool) {
	i, ok := number(index)
	if !ok || !i.whole {
		return 0, false
	}
	if i.int < 0 {
		i.int += int64(n)
	}
	return int(i.int), i.int >= 0 && i.int < int64(n)
}

func (x sliceExpr) eval(r *rendering) value {
	part := func(x expression) value {
		if x == nil {
			return nil
		}
		return r.eval(x)
	}
	v := r.known(r.eval(x.x))
	start, stop, step := part(x.start), part(x.stop), part(x.step)
	switch v := v.(type) {
	case string:
		chars := r.runes(v)
		p := r.slice(len(chars), start, stop, step)
		out := make([]rune, p.count)
		for i := range out {
			out[i] = chars[p.first+i*p.step]
		}
		return string(out)
	case *list:
		p := r.slice(len(v.items), start, stop, step)
		r.spend(itemWork * p.count)
		out := make([]value, p.count)
		for i := range out {
			out[i] = v.items[p.first+i*p.step]
		}
		return &list{out, v.tuple}
	}
	return undefined{"a slice of a value of type " + typeName(v)}
}

func (r *rendering) arguments(c callArguments) (a arguments) {
	for _, x := range c.list {
		r.spend(itemWork)
		a.list = append(a.list, r.eval(x))
	}
	if len(c.names) > 0 {
		a.named = make(map[string]value, len(c.names))
		for i, name := range c.names {
			r.spend(itemWork)
			a.named[name] = r.eval(c.named[i])
		}
	}
	return a
}

func (x callExpr) eval(r *rendering) value {
	v := r.known(r.eval(x.x))
	f, ok := v.(function)
	if !ok {
		r.fail("a value of type %s is called", typeName(v))
	}
	return f.call(r, r.arguments(x.args))
}

func (x filterExpr) eval(r *rendering) value {
	v := r.eval(x.x)
	return r.filters[x.name](r, v, r.arguments(x.args))
}

func (x testExpr) eval(r *rendering) value {
	v := r.eval(x.x)
	return r.tests[x.name](r, v, r.arguments(x.args)) != x.not
}
