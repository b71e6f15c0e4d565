package scenario

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Vocabulary lists the names that exist, for the fields that take one. A name that ends in ':'
// takes a number in (0, 1) after it: "jsd:" allows "jsd:0.5".
type Vocabulary struct {
	Losses     []string // divergences of a distil step
	Methods    []string // of a prune step
	Schemes    []string // of a quantize step
	Sources    []string // of calibration
	Workloads  []string // of serve
	Pretrained []string // models as pretrained:NAME, without the prefix
}

func (v Vocabulary) list(name string) []string {
	switch name {
	case "losses":
		return v.Losses
	case "methods":
		return v.Methods
	case "schemes":
		return v.Schemes
	case "sources":
		return v.Sources
	case "workloads":
		return v.Workloads
	}
	panic("scenario: no vocabulary " + name)
}

// decoder fills structs from nodes, guided by their tags.
type decoder struct {
	vocabulary Vocabulary
	bad        *problems
}

// into fills the struct that target points to. Keys in also are left to the caller. What is wrong
// is added to the decoder's problems.
func (d *decoder) into(n *node, what string, target any, also ...string) {
	v := reflect.ValueOf(target).Elem()
	fields := structFields(v.Type())
	names := append([]string{}, also...)
	for _, f := range fields {
		names = append(names, f.Tag.Get("key"))
	}
	if n.shape == null {
		n = &node{at: n.at, shape: mapping}
	}
	if n.shape != mapping {
		d.bad.add(n.at, "%s is %s, expected a mapping", what, n.describe())
		return
	}
	for i, key := range n.keys {
		if !slices.Contains(names, key) {
			d.bad.add(n.keyAt[i], "%s", unknown("key of "+what, key, names))
		}
	}
	for _, f := range fields {
		d.field(n, what, f, v.FieldByIndex(f.Index))
	}
}

func (d *decoder) field(n *node, what string, f reflect.StructField, v reflect.Value) {
	key := f.Tag.Get("key")
	value := n.get(key)
	name := what + "'s " + key
	if v.Kind() == reflect.Struct {
		if value == nil {
			value = &node{at: n.at, shape: mapping}
		}
		d.into(value, name, v.Addr().Interface())
		return
	}
	if value == nil {
		if f.Tag.Get("required") == "true" {
			d.bad.add(n.at, "%s lacks the key %q: %s", what, key, f.Tag.Get("doc"))
			return
		}
		text, ok := f.Tag.Lookup("default")
		if !ok {
			return
		}
		value = &node{at: n.at, shape: scalar, text: text}
	}
	if err := setScalar(v, value); err != nil {
		d.bad.add(value.at, "%s is %s, expected %v", name, value.describe(), err)
		return
	}
	if err := checkTags(f, v, d.vocabulary); err != nil {
		d.bad.add(value.at, "%s %v", name, err)
	}
}

// setScalar stores a scalar in v; the error says what was expected instead.
func setScalar(v reflect.Value, n *node) error {
	switch v.Kind() {
	case reflect.String:
		if n.shape != scalar {
			return fmt.Errorf("text")
		}
		v.SetString(n.text)
	case reflect.Int:
		x, err := strconv.ParseInt(strings.ReplaceAll(n.text, "_", ""), 10, 64)
		if n.shape != scalar || n.quoted || err != nil {
			return fmt.Errorf("a whole number")
		}
		v.SetInt(x)
	case reflect.Float64:
		x, err := number(n)
		if err != nil {
			return err
		}
		v.SetFloat(x)
	case reflect.Bool:
		if n.shape != scalar || n.quoted || n.text != "true" && n.text != "false" {
			return fmt.Errorf("true or false")
		}
		v.SetBool(n.text == "true")
	default:
		panic("scenario: no decoder for " + v.Kind().String())
	}
	return nil
}

func number(n *node) (float64, error) {
	x, err := strconv.ParseFloat(n.text, 64)
	if n.shape != scalar || n.quoted || err != nil || math.IsNaN(x) || math.IsInf(x, 0) || strings.ContainsAny(n.text, "xXpP_") {
		return 0, fmt.Errorf("a number")
	}
	return x, nil
}

// checkTags checks a value against its range and its list of names; the error reads after the
// field's name.
func checkTags(f reflect.StructField, v reflect.Value, vocabulary Vocabulary) error {
	switch v.Kind() {
	case reflect.Int:
		return checkRange(f.Tag, float64(v.Int()), strconv.FormatInt(v.Int(), 10))
	case reflect.Float64:
		return checkRange(f.Tag, v.Float(), strconv.FormatFloat(v.Float(), 'g', -1, 64))
	case reflect.String:
		if one, ok := f.Tag.Lookup("one"); ok {
			if all := strings.Split(one, "|"); !slices.Contains(all, v.String()) {
				return fmt.Errorf("is of an %s", unknown(f.Tag.Get("key"), v.String(), all))
			}
		}
		if list, ok := f.Tag.Lookup("names"); ok {
			return checkName(f.Tag.Get("key"), v.String(), vocabulary.list(list))
		}
	}
	return nil
}

func checkRange(tag reflect.StructTag, x float64, text string) error {
	bound := func(key string) (float64, bool) {
		s, ok := tag.Lookup(key)
		if !ok {
			return 0, false
		}
		b, err := strconv.ParseFloat(s, 64)
		if err != nil {
			panic("scenario: bound " + s)
		}
		return b, true
	}
	low, hasLow := bound("min")
	above, hasAbove := bound("above")
	high, hasHigh := bound("max")
	below, hasBelow := bound("below")
	if !(hasLow && x < low || hasAbove && x <= above || hasHigh && x > high || hasBelow && x >= below) {
		return nil
	}
	var want []string
	if hasLow {
		want = append(want, fmt.Sprintf("at least %v", tag.Get("min")))
	}
	if hasAbove {
		want = append(want, fmt.Sprintf("above %v", tag.Get("above")))
	}
	if hasHigh {
		want = append(want, fmt.Sprintf("at most %v", tag.Get("max")))
	}
	if hasBelow {
		want = append(want, fmt.Sprintf("below %v", tag.Get("below")))
	}
	return fmt.Errorf("is %s, expected %s", text, strings.Join(want, " and "))
}

// checkName looks a name up in a list in which a name that ends in ':' takes a number.
func checkName(what, name string, all []string) error {
	for _, known := range all {
		if name == known && !strings.HasSuffix(known, ":") {
			return nil
		}
		if prefix, ok := strings.CutSuffix(known, ":"); ok && (name == prefix || strings.HasPrefix(name, known)) {
			x, err := strconv.ParseFloat(strings.TrimPrefix(name, known), 64)
			if err != nil || !(x > 0 && x < 1) {
				return fmt.Errorf("is %q, expected %s and a number between 0 and 1, such as %q", name, known, known+"0.5")
			}
			return nil
		}
	}
	return fmt.Errorf("is of an %s", unknown(what, name, all))
}

// structFields lists the fields that have a key, those of embedded structs included.
func structFields(t reflect.Type) []reflect.StructField {
	var out []reflect.StructField
	for _, f := range reflect.VisibleFields(t) {
		if f.Tag.Get("key") != "" {
			out = append(out, f)
		}
	}
	return out
}
