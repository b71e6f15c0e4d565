package jinja

import (
	"math"
	"slices"
	"strings"
)

func (x unary) eval(r *rendering) value {
	v := r.eval(x.x)
	if x.op == "not" {
		return !truth(v)
	}
	n, ok := number(v)
	switch {
	case !ok:
		r.fail("%s is not for a value of type %s", x.op, typeName(v))
	case n.whole && x.op == "-":
		return -n.int
	case n.whole:
		return n.int
	case x.op == "-":
		return -n.float
	}
	return n.float
}

func (x binary) eval(r *rendering) value {
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
	a := r.known(r.eval(x.a))
	return r.operate(x.op, a, r.known(r.eval(x.b)))
}

// operate is an arithmetic operator: of numbers, or + and * of strings and lists.
func (r *rendering) operate(op string, a, b value) value {
	x, aNumber := number(a)
	y, bNumber := number(b)
	switch {
	case aNumber && bNumber && x.whole && y.whole:
		return r.wholes(op, x.int, y.int)
	case aNumber && bNumber:
		return r.floats(op, x.float, y.float)
	case op == "*" && bNumber && y.whole:
		if v, ok := r.repeat(a, y.int); ok {
			return v
		}
	case op == "*" && aNumber && x.whole:
		if v, ok := r.repeat(b, x.int); ok {
			return v
		}
	case op == "+":
		if v, ok := r.concat(a, b); ok {
			return v
		}
	}
	r.fail("%s is not for values of types %s and %s", op, typeName(a), typeName(b))
	return nil
}

func (r *rendering) concat(a, b value) (v value, ok bool) {
	switch a := a.(type) {
	case string:
		if b, ok := b.(string); ok {
			r.spend(len(a) + len(b))
			return a + b, true
		}
	case *list:
		if b, ok := b.(*list); ok && a.tuple == b.tuple {
			r.spend(itemWork * (len(a.items) + len(b.items)))
			return &list{slices.Concat(a.items, b.items), a.tuple}, true
		}
	}
	return nil, false
}

func (r *rendering) repeat(v value, n int64) (repeated value, ok bool) {
	switch v := v.(type) {
	case string:
		return strings.Repeat(v, r.repeats(n, len(v))), true
	case *list:
		return &list{slices.Repeat(v.items, r.repeats(n, itemWork*len(v.items))), v.tuple}, true
	}
	return nil, false
}

// repeats returns how often to repeat something that costs work each time, and spends that work.
func (r *rendering) repeats(n int64, work int) int {
	if n <= 0 || work == 0 {
		return 0
	}
	if n > int64(r.budget/work) {
		panic(renderError{ErrWork})
	}
	r.spend(int(n) * work)
	return int(n)
}

// wholes is an operator of two ints; a result out of range fails.
func (r *rendering) wholes(op string, a, b int64) value {
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
		if b == -1 { // the only quotient that can be out of range
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

func (r *rendering) floats(op string, a, b float64) value {
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
