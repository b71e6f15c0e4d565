package jinja

import (
	"math"
	"strconv"
	"strings"
)

func intFilter(r *rendering, v value, a arguments) value {
	r.known(v)
	if n, ok := number(v); ok {
		if !n.whole && math.Abs(n.float) < 1<<53 {
			return int64(n.float)
		}
		return n.int
	}
	if s, ok := v.(string); ok {
		if i, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64); err == nil {
			return i
		}
		if f, err := strconv.ParseFloat(strings.TrimSpace(s), 64); err == nil && math.Abs(f) < 1<<53 {
			return int64(f)
		}
	}
	return a.at(0, "default", int64(0))
}

func floatFilter(r *rendering, v value, a arguments) value {
	r.known(v)
	if n, ok := number(v); ok {
		return n.float
	}
	if s, ok := v.(string); ok {
		if f, err := strconv.ParseFloat(strings.TrimSpace(s), 64); err == nil {
			return f
		}
	}
	return a.at(0, "default", 0.0)
}

func absFilter(r *rendering, v value, _ arguments) value {
	n, ok := number(v)
	switch {
	case !ok:
		r.fail("abs: found a value of type %s, expected a number", typeName(v))
	case n.whole && n.int < 0:
		return -n.int
	case n.whole:
		return n.int
	}
	return math.Abs(n.float)
}

func roundFilter(r *rendering, v value, a arguments) value {
	n, ok := number(v)
	if !ok || len(a.named) > 0 || len(a.list) > 1 {
		r.fail("round takes a number and a precision")
	}
	if n.whole && len(a.list) == 0 {
		return n.int
	}
	precision := min(15, max(-15, r.integer(a.at(0, "precision", int64(0)), "round")))
	scale := math.Pow(10, float64(precision))
	return math.RoundToEven(n.float*scale) / scale
}
