package jinja

import (
	"math"
	"strconv"
	"strings"
)

func formatFloat(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsInf(f, -1):
		return "-inf"
	case math.IsNaN(f):
		return "nan"
	}
	if a := math.Abs(f); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// text is Python's str: the text of a value.
func (r *rendering) text(v value) string {
	switch v := v.(type) {
	case string:
		return v
	case undefined:
		return ""
	}
	var b strings.Builder
	r.repr(&b, v, 0)
	return b.String()
}

// repr is Python's repr.
func (r *rendering) repr(b *strings.Builder, v value, depth int) {
	r.spend(nodeWork)
	if depth > maxDepth {
		r.fail("a value nests deeper than %d", maxDepth)
	}
	before := b.Len()
	switch v := v.(type) {
	case nil:
		b.WriteString("None")
	case undefined:
		b.WriteString("Undefined")
	case bool:
		if v {
			b.WriteString("True")
		} else {
			b.WriteString("False")
		}
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		b.WriteString(formatFloat(v))
	case string:
		r.spend(len(v))
		reprString(b, v)
	case *list:
		r.reprList(b, v, depth)
	case *dict:
		r.reprDict(b, v, depth)
	case *namespace:
		b.WriteString("<Namespace>")
	default:
		b.WriteString("<function>")
	}
	if depth == 0 {
		r.spend(b.Len() - before)
	}
}

func reprString(b *strings.Builder, s string) {
	quote := "'"
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = `"`
	}
	escapes := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`, quote, `\`+quote)
	b.WriteString(quote)
	b.WriteString(escapes.Replace(s))
	b.WriteString(quote)
}

func (r *rendering) reprList(b *strings.Builder, l *list, depth int) {
	open, end := "[", "]"
	switch {
	case l.tuple && len(l.items) == 1:
		open, end = "(", ",)"
	case l.tuple:
		open, end = "(", ")"
	}
	b.WriteString(open)
	for i, item := range l.items {
		if i > 0 {
			b.WriteString(", ")
		}
		r.repr(b, item, depth+1)
	}
	b.WriteString(end)
}

func (r *rendering) reprDict(b *strings.Builder, d *dict, depth int) {
	b.WriteString("{")
	for i, key := range d.keys {
		if i > 0 {
			b.WriteString(", ")
		}
		r.repr(b, key, depth+1)
		b.WriteString(": ")
		r.repr(b, d.values[i], depth+1)
	}
	b.WriteString("}")
}
