package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"slimlab/internal/jsonread"
)

const (
	// MaxBytes bounds the text of a schema.
	MaxBytes = 4 << 20
	// MaxDepth bounds how deep its objects and arrays are nested.
	MaxDepth = 256
	// MaxExponent bounds the power of ten of a number, so that its digits can be written out.
	MaxExponent = 400
)

// LimitError is a limit of package grammar or of this one that a constraint would pass.
type LimitError struct {
	What  string
	Limit int
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("the constraint is too large: %s passed the limit of %d", e.What, e.Limit)
}

// Kind is the type of a JSON value.
type Kind int

const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
)

func (k Kind) String() string {
	return [...]string{"null", "a boolean", "a number", "a string", "an array", "an object"}[k]
}

// Value is a JSON value. The names of an object are in the order of the text.
type Value struct {
	Kind    Kind
	Bool    bool
	Number  *big.Rat
	Text    string
	Items   []*Value
	Names   []string
	Members map[string]*Value
}

// Parse reads one JSON value of a bounded size and depth.
func Parse(data []byte) (*Value, error) {
	switch {
	case len(data) > MaxBytes:
		return nil, &LimitError{"the bytes of the schema", MaxBytes}
	case !utf8.Valid(data):
		return nil, errors.New("the schema is not UTF-8")
	}
	r := reader{json.NewDecoder(bytes.NewReader(data))}
	r.d.UseNumber()
	v, err := r.value(0)
	if err == nil {
		if _, more := r.d.Token(); more != io.EOF {
			err = errors.New("something follows the JSON value")
		}
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = jsonread.Explain(data, err)
	}
	if err != nil {
		return nil, fmt.Errorf("the schema cannot be read: %w", err)
	}
	return v, nil
}

type reader struct{ d *json.Decoder }

func (r reader) value(depth int) (*Value, error) {
	token, err := r.d.Token()
	if err != nil {
		return nil, err
	}
	if depth > MaxDepth {
		return nil, &LimitError{"the depth of nested values", MaxDepth}
	}
	switch t := token.(type) {
	case bool:
		return &Value{Kind: Bool, Bool: t}, nil
	case json.Number:
		n, err := ParseNumber(string(t))
		return &Value{Kind: Number, Number: n}, err
	case string:
		return &Value{Kind: String, Text: t}, nil
	case json.Delim:
		if t == '[' {
			return r.array(depth)
		}
		return r.object(depth)
	}
	return &Value{Kind: Null}, nil
}

func (r reader) array(depth int) (*Value, error) {
	v := &Value{Kind: Array}
	for r.d.More() {
		item, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		v.Items = append(v.Items, item)
	}
	_, err := r.d.Token()
	return v, err
}

func (r reader) object(depth int) (*Value, error) {
	v := &Value{Kind: Object, Members: map[string]*Value{}}
	for r.d.More() {
		token, err := r.d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string)
		member, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if v.Members[name] != nil {
			return nil, fmt.Errorf("the name %q stands twice in one object", name)
		}
		v.Names = append(v.Names, name)
		v.Members[name] = member
	}
	_, err := r.d.Token()
	return v, err
}

// ParseNumber reads a JSON number exactly.
func ParseNumber(text string) (*big.Rat, error) {
	mantissa, power, _ := strings.Cut(strings.ToLower(text), "e")
	exponent, err := 0, error(nil)
	if power != "" {
		exponent, err = strconv.Atoi(power)
	}
	if err != nil || max(exponent, -exponent)+len(mantissa) > MaxExponent {
		return nil, &LimitError{fmt.Sprintf("the digits of the number %.20s when it is written out", text), MaxExponent}
	}
	n, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil, fmt.Errorf("found %.20q, expected a number", text)
	}
	return n, nil
}

// Canonical is the value as compact JSON: numbers without an exponent and without zeros at the end,
// strings with the escapes that must be, and the shortest of them. Equal values have equal texts,
// but for the order of names.
func (v *Value) Canonical() string {
	var b strings.Builder
	v.write(&b)
	return b.String()
}

func (v *Value) write(b *strings.Builder) {
	switch v.Kind {
	case Null:
		b.WriteString("null")
	case Bool:
		b.WriteString(strconv.FormatBool(v.Bool))
	case Number:
		b.WriteString(Decimal(v.Number))
	case String:
		b.WriteString(Quote(v.Text))
	case Array:
		b.WriteByte('[')
		for i, item := range v.Items {
			if i > 0 {
				b.WriteByte(',')
			}
			item.write(b)
		}
		b.WriteByte(']')
	case Object:
		b.WriteByte('{')
		for i, name := range v.Names {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(Quote(name))
			b.WriteByte(':')
			v.Members[name].write(b)
		}
		b.WriteByte('}')
	}
}

// Decimal writes a number that has finitely many decimals.
func Decimal(n *big.Rat) string {
	decimals, _ := n.FloatPrec()
	return n.FloatString(decimals)
}

// Escape is how JSON writes a character that may not stand in a string as it is; "" for others.
func Escape(r rune) string {
	switch r {
	case '"':
		return `\"`
	case '\\':
		return `\\`
	case '\b':
		return `\b`
	case '\f':
		return `\f`
	case '\n':
		return `\n`
	case '\r':
		return `\r`
	case '\t':
		return `\t`
	}
	if r < ' ' {
		return fmt.Sprintf(`\u%04x`, r)
	}
	return ""
}

// Quote writes a string as JSON.
func Quote(s string) string {
	b := []byte{'"'}
	for _, r := range s {
		if escape := Escape(r); escape != "" {
			b = append(b, escape...)
		} else {
			b = utf8.AppendRune(b, r)
		}
	}
	return string(append(b, '"'))
}

// Key is a text that two values share exactly where they are equal as JSON Schema compares them: 1
// is 1.0, and the order of names is nothing.
func (v *Value) Key() string { return v.sorted().Canonical() }

func (v *Value) sorted() *Value {
	if len(v.Items) == 0 && len(v.Names) == 0 {
		return v
	}
	s := &Value{Kind: v.Kind, Names: slices.Sorted(slices.Values(v.Names)), Members: map[string]*Value{}}
	for _, item := range v.Items {
		s.Items = append(s.Items, item.sorted())
	}
	for name, member := range v.Members {
		s.Members[name] = member.sorted()
	}
	return s
}
