package jinja

import "math"

// test is what follows "is" in an expression.
type test func(r *rendering, v value, a arguments) bool

// tests are all tests by name. Filters find them in the rendering, which avoids a cycle of
// initialization.
var tests = map[string]test{
	"defined":     testOf(isDefined),
	"undefined":   testOf(func(v value) bool { return !isDefined(v) }),
	"none":        testOf(func(v value) bool { return v == nil }),
	"string":      testOf(func(v value) bool { _, ok := v.(string); return ok }),
	"mapping":     testOf(func(v value) bool { _, ok := v.(*dict); return ok }),
	"sequence":    testOf(func(v value) bool { _, ok := length(v); return ok }),
	"iterable":    testOf(func(v value) bool { _, ok := length(v); return ok }),
	"boolean":     testOf(func(v value) bool { _, ok := v.(bool); return ok }),
	"integer":     testOf(func(v value) bool { _, ok := v.(int64); return ok }),
	"float":       testOf(func(v value) bool { _, ok := v.(float64); return ok }),
	"number":      testOf(func(v value) bool { _, ok := number(v); return ok }),
	"true":        testOf(func(v value) bool { return v == true }),
	"false":       testOf(func(v value) bool { return v == false }),
	"callable":    testOf(isCallable),
	"equalto":     comparisonTest("=="),
	"eq":          comparisonTest("=="),
	"sameas":      comparisonTest("=="),
	"ne":          comparisonTest("!="),
	"lt":          comparisonTest("<"),
	"le":          comparisonTest("<="),
	"gt":          comparisonTest(">"),
	"ge":          comparisonTest(">="),
	"in":          comparisonTest("in"),
	"lower":       func(r *rendering, v value, _ arguments) bool { return isLower(r.str("lower", v)) },
	"upper":       func(r *rendering, v value, _ arguments) bool { return isUpper(r.str("upper", v)) },
	"even":        func(r *rendering, v value, _ arguments) bool { return math.Mod(r.real("even", v), 2) == 0 },
	"odd":         func(r *rendering, v value, _ arguments) bool { return math.Abs(math.Mod(r.real("odd", v), 2)) == 1 },
	"divisibleby": isDivisible,
}

// testOf is a test of a value alone.
func testOf(holds func(v value) bool) test {
	return func(_ *rendering, v value, _ arguments) bool { return holds(v) }
}

// comparisonTest is an operator as a test.
func comparisonTest(op string) test {
	return func(r *rendering, v value, a arguments) bool {
		return r.compare(op, v, a.at(0, "other", undefined{"a test's argument"}))
	}
}

func isDefined(v value) bool {
	_, ok := v.(undefined)
	return !ok
}

// isCallable holds for undefined values too: Jinja's can be called, and then fail.
func isCallable(v value) bool {
	_, ok := v.(function)
	return ok || !isDefined(v)
}

func isDivisible(r *rendering, v value, a arguments) bool {
	by := r.whole("divisibleby", a.at(0, "num", nil))
	if by == 0 {
		r.fail("divisibleby: division by zero")
	}
	return r.whole("divisibleby", v)%by == 0
}

// real returns the value of an int, a float or a bool.
func (r *rendering) real(callee string, v value) float64 {
	n, ok := number(v)
	if !ok {
		r.fail("%s: found a value of type %s, expected a number", callee, typeName(v))
	}
	return n.float
}

// whole returns the value of an int or a bool.
func (r *rendering) whole(callee string, v value) int64 {
	n, ok := number(v)
	if !ok || !n.whole {
		r.fail("%s: found a value of type %s, expected int", callee, typeName(v))
	}
	return n.int
}
