package chat

import (
	"math"
	"slices"
	"strings"
)

func (r *run) eval(x expression) value {
	r.spend(nodeWork)
	if r.depth++; r.depth > maxNested {
		r.fail("more than %d expressions wait for one another", maxNested)
	}
	v := x.eval(r)
	r.depth--
	return v
}

// defined is eval of what must be there.
func (r *run) defined(x expression) value {
	v := r.eval(x)
	if u, ok := v.(undefined); ok {
		r.fail("%s is undefined", u.what)
	}
	return v
}

func (x constant) eval(*run) value { return x.v }

func (x nameExpr) eval(r *run) value {
	if v, ok := r.scope.get(x.name); ok {
		return v
	}
	return undefined{x.name}
}

func (x listExpr) eval(r *run) value {
	r.spend(itemWork * len(x.items))
	l := &list{make([]value, len(x.items)), x.tuple}
	for i, item := range x.items {
		l.items[i] = r.eval(item)
	}
	return l
}

func (x dictExpr) eval(r *run) value {
	d := newDict()
	for i, key := range x.keys {
		r.put(d, r.eval(key), r.eval(x.values[i]))
	}
	return d
}

func (r *run) put(d *dict, key, v value) {
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

func (x unary) eval(r *run) value {
	v := r.eval(x.x)
	if x.op == "not" {
		return !truth(v)
	}
	i, f, whole, ok := number(v)
	switch {
	case !ok:
		r.fail("%s is not for a value of type %s", x.op, typeName(v))
	case whole && x.op == "-":
		return -i
	case whole:
		return i
	case x.op == "-":
		return -f
	}
	return f
}

func (x conditional) eval(r *run) value {
	switch {
	case truth(r.eval(x.test)):
		return r.eval(x.then)
	case x.otherwise != nil:
		return r.eval(x.otherwise)
	}
	return undefined{"the value of an if without else"}
}

func (x binary) eval(r *run) value {
	switch x.op {
	case "and":
		if a := r.eval(x.a); !truth(a) {
			return a
		}
		return r.eval(x.b)
	case "or":
		if a := r.eval(x.a); truth(a) {
			return a
		}
		return r.eval(x.b)
	case "~":
		a, b := r.text(r.eval(x.a)), r.text(r.eval(x.b))
		r.spend(len(a) + len(b))
		return a + b
	}
	a, b := r.defined(x.a), r.defined(x.b)
	if ai, af, aw, ok := number(a); ok {
		if bi, bf, bw, ok := number(b); ok {
			if aw && bw {
				return r.wholes(x.op, ai, bi)
			}
			return r.floats(x.op, af, bf)
		}
		if x.op == "*" {
			a, b = b, a
		}
	}
	switch a := a.(type) {
	case string:
		if b, ok := b.(string); ok && x.op == "+" {
			r.spend(len(a) + len(b))
			return a + b
		}
		if n, _, whole, ok := number(b); ok && whole && x.op == "*" {
			return strings.Repeat(a, r.times(n, len(a)))
		}
	case *list:
		if b, ok := b.(*list); ok && x.op == "+" && a.tuple == b.tuple {
			r.spend(itemWork * (len(a.items) + len(b.items)))
			return &list{slices.Concat(a.items, b.items), a.tuple}
		}
		if n, _, whole, ok := number(b); ok && whole && x.op == "*" {
			return &list{slices.Repeat(a.items, r.times(n, itemWork*len(a.items))), a.tuple}
		}
	}
	r.fail("%s is not for values of types %s and %s", x.op, typeName(a), typeName(b))
	return nil
}

// times is how often something is repeated, once the work was paid.
func (r *run) times(n int64, work int) int {
	if n <= 0 || work == 0 {
		return 0
	}
	if n > int64(r.left/work) {
		panic(renderError{ErrWork})
	}
	r.spend(int(n) * work)
	return int(n)
}

func (r *run) wholes(op string, a, b int64) value {
	overflow := false
	var c int64
	switch op {
	case "+":
		c = a + b
		overflow = (c > a) != (b > 0) && b != 0
	case "-":
		c = a - b
		overflow = (c < a) != (b > 0) && b != 0
	case "*":
		c = a * b
		overflow = a != 0 && (c/a != b || a == -1 && b == math.MinInt64)
	case "/":
		return r.floats(op, float64(a), float64(b))
	case "//", "%":
		if b == 0 {
			r.fail("division by zero")
		}
		if b == -1 { // the one quotient that may be out of range
			return r.wholes("*", map[string]int64{"//": -1, "%": 0}[op], a)
		}
		quotient, rest := a/b, a%b
		if rest != 0 && (rest < 0) != (b < 0) { // Python rounds down
			quotient, rest = quotient-1, rest+b
		}
		if op == "//" {
			return quotient
		}
		return rest
	case "**":
		if b < 0 {
			return math.Pow(float64(a), float64(b))
		}
		f := math.Pow(float64(a), float64(b))
		if math.Abs(f) >= 1<<53 {
			r.fail("%d ** %d is out of range", a, b)
		}
		return int64(f)
	}
	if overflow {
		r.fail("%d %s %d is out of range", a, op, b)
	}
	return c
}

func (r *run) floats(op string, a, b float64) value {
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "**":
		return math.Pow(a, b)
	}
	if b == 0 {
		r.fail("division by zero")
	}
	switch op {
	case "//":
		return math.Floor(a / b)
	case "%":
		return a - b*math.Floor(a/b)
	}
	return a / b
}

func (x comparison) eval(r *run) value {
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

func (r *run) compare(op string, a, b value) bool {
	switch op {
	case "==":
		return r.equal(a, b, 0)
	case "!=":
		return !r.equal(a, b, 0)
	case "in":
		return r.contains(b, a)
	case "not in":
		return !r.contains(b, a)
	}
	c := r.order(op, a, b)
	return op == "<" && c < 0 || op == "<=" && c <= 0 || op == ">" && c > 0 || op == ">=" && c >= 0
}

// order compares two numbers or two strings.
func (r *run) order(op string, a, b value) int {
	if ai, af, aw, ok := number(a); ok {
		if bi, bf, bw, ok := number(b); ok {
			switch {
			case aw && bw && ai < bi, !(aw && bw) && af < bf:
				return -1
			case aw && bw && ai == bi, !(aw && bw) && af == bf:
				return 0
			}
			return 1
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

func (r *run) contains(within, v value) bool {
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
			if r.equal(item, v, 0) {
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

func (x attribute) eval(r *run) value {
	v := r.defined(x.x)
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

func (x subscript) eval(r *run) value {
	v, index := r.defined(x.x), r.eval(x.index)
	n := 0
	var chars []rune
	switch w := v.(type) {
	case *dict:
		if item, ok := w.get(index); ok {
			return item
		}
	case *namespace:
		if name, ok := index.(string); ok {
			if a, ok := w.attributes[name]; ok {
				return a
			}
		}
	case *list:
		n = len(w.items)
	case string:
		chars = r.runes(w)
		n = len(chars)
	}
	if i, _, whole, ok := number(index); ok && whole {
		if i < 0 {
			i += int64(n)
		}
		if i >= 0 && i < int64(n) {
			if chars != nil {
				return string(chars[i])
			}
			return v.(*list).items[i]
		}
	}
	if name, ok := index.(string); ok {
		if l, ok := v.(*loopState); ok {
			return l.attribute(name)
		}
		if m, ok := method(v, name); ok {
			return m
		}
	}
	return undefined{"an item of a value of type " + typeName(v)}
}

func (x sliceExpr) eval(r *run) value {
	part := func(x expression) value {
		if x == nil {
			return nil
		}
		return r.eval(x)
	}
	v := r.defined(x.x)
	start, stop, step := part(x.start), part(x.stop), part(x.step)
	switch v := v.(type) {
	case string:
		chars := r.runes(v)
		from, by, count := r.slice(len(chars), start, stop, step)
		out := make([]rune, count)
		for i := range out {
			out[i] = chars[from+i*by]
		}
		return string(out)
	case *list:
		from, by, count := r.slice(len(v.items), start, stop, step)
		r.spend(itemWork * count)
		out := make([]value, count)
		for i := range out {
			out[i] = v.items[from+i*by]
		}
		return &list{out, v.tuple}
	}
	r.fail("a value of type %s has no slices", typeName(v))
	return nil
}

func (r *run) arguments(first []value, c callArguments) arguments {
	a := arguments{list: first}
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

func (x callExpr) eval(r *run) value {
	f, ok := r.defined(x.x).(function)
	if !ok {
		r.fail("a value of type %s is called", typeName(r.eval(x.x)))
	}
	return f.call(r, r.arguments(nil, x.args))
}

func (x filterExpr) eval(r *run) value {
	v := r.eval(x.x)
	return r.filters[x.name](r, v, r.arguments(nil, x.args))
}

func (x testExpr) eval(r *run) value {
	v := r.eval(x.x)
	return r.tests[x.name](r, v, r.arguments(nil, x.args)) != x.not
}
