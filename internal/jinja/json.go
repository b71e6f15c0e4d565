package jinja

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// toJSON writes a value as Python's json.dumps does with ensure_ascii=False: on one line, with ", "
// and ": " as separators, or on lines with an indent.
func (r *rendering) toJSON(b *strings.Builder, v value, indent string, depth int) {
	r.spend(nodeWork + len(indent)*depth)
	if depth > maxDepth {
		r.fail("tojson: a value nests deeper than %d", maxDepth)
	}
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		if math.IsNaN(v) {
			b.WriteString("NaN")
		} else {
			b.WriteString(strings.Replace(formatFloat(v), "inf", "Infinity", 1))
		}
	case string:
		r.spend(2 * len(v))
		quoteJSON(b, v)
	case *list:
		r.collectionJSON(b, "[]", len(v.items), indent, depth, func(i int) {
			r.toJSON(b, v.items[i], indent, depth+1)
		})
	case *dict:
		r.collectionJSON(b, "{}", len(v.keys), indent, depth, func(i int) {
			r.keyJSON(b, v.keys[i])
			b.WriteString(": ")
			r.toJSON(b, v.values[i], indent, depth+1)
		})
	default:
		r.fail("tojson: a value of type %s has no JSON", typeName(v))
	}
}

// collectionJSON writes n members between two brackets.
func (r *rendering) collectionJSON(
	b *strings.Builder, brackets string, n int, indent string, depth int, member func(i int),
) {
	if n == 0 {
		b.WriteString(brackets)
		return
	}
	line := func(depth int) {
		if indent != "" {
			b.WriteByte('\n')
			b.WriteString(strings.Repeat(indent, depth))
		}
	}
	separator := ", "
	if indent != "" {
		separator = ","
	}
	b.WriteByte(brackets[0])
	for i := range n {
		if i > 0 {
			b.WriteString(separator)
		}
		line(depth + 1)
		member(i)
	}
	line(depth)
	b.WriteByte(brackets[1])
}

// keyJSON writes a dict's key; json.dumps converts one that is not a string to one.
func (r *rendering) keyJSON(b *strings.Builder, key value) {
	name, ok := key.(string)
	if !ok {
		var k strings.Builder
		r.toJSON(&k, key, "", maxDepth)
		name = k.String()
	}
	r.spend(2 * len(name))
	quoteJSON(b, name)
}

func quoteJSON(b *strings.Builder, s string) {
	b.WriteByte('"')
	for _, c := range s {
		switch c {
		case '"':
			b.WriteString(`\"`)
		case '\\':
			b.WriteString(`\\`)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		case '\b':
			b.WriteString(`\b`)
		case '\f':
			b.WriteString(`\f`)
		default:
			if c < ' ' {
				fmt.Fprintf(b, `\u%04x`, c)
			} else {
				b.WriteRune(c)
			}
		}
	}
	b.WriteByte('"')
}

// fromJSON reads one JSON value and keeps the order of keys.
func fromJSON(raw json.RawMessage) (value, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	v, err := decodeJSON(d, 0)
	if err != nil {
		return nil, err
	}
	if d.More() {
		return nil, fmt.Errorf("found more than one JSON value")
	}
	return v, nil
}

func decodeJSON(d *json.Decoder, depth int) (value, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("a value nests deeper than %d", maxDepth)
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Number:
		if i, err := strconv.ParseInt(t.String(), 10, 64); err == nil {
			return i, nil
		}
		f, err := t.Float64()
		if err != nil || !strings.ContainsAny(t.String(), ".eE") {
			return nil, fmt.Errorf("number %s is out of range", t)
		}
		return f, nil
	case json.Delim:
		if t == '[' {
			return decodeArray(d, depth)
		}
		return decodeObject(d, depth)
	case nil, bool, string:
		return t, nil
	}
	return nil, fmt.Errorf("unexpected JSON token %v", t)
}

func decodeArray(d *json.Decoder, depth int) (value, error) {
	l := &list{}
	for d.More() {
		item, err := decodeJSON(d, depth+1)
		if err != nil {
			return nil, err
		}
		l.items = append(l.items, item)
	}
	_, err := d.Token()
	return l, err
}

func decodeObject(d *json.Decoder, depth int) (value, error) {
	object := newDict()
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		item, err := decodeJSON(d, depth+1)
		if err != nil {
			return nil, err
		}
		object.set(key.(string), item)
	}
	_, err := d.Token()
	return object, err
}
