package scenario

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"slimlab/internal/nearest"
)

// decoder fills structs from nodes by the tags of their fields. A struct within a struct is a
// mapping; where its tag short names one of its keys, a value in its place is that of the key.
type decoder struct {
	vocabulary Vocabulary
	bad        *problems
}

// into fills the struct that target points to and reports problems. The caller decodes the keys in
// also.
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
			err := nearest.Unknown("unknown key of "+what, key, names)
			if within := sectionWith(fields, key); within != "" {
				value := "…"
				if v := n.items[i]; v.shape == scalar {
					value = v.text
				}
				err = fmt.Errorf("unknown key of %s %q: it is a key of %s: expected %s: { %s: %s }", what, key, within, within, key, value)
			}
			d.bad.add(n.keyAt[i], "%v", err)
		}
	}
	for _, f := range fields {
		d.field(n, what, f, v.FieldByIndex(f.Index))
	}
	d.anyOf(n, what, fields)
}

// sectionWith is the first of the fields that is a mapping with the key; "" where none is.
func sectionWith(fields []reflect.StructField, key string) string {
	for _, f := range fields {
		if f.Type.Kind() != reflect.Struct {
			continue
		}
		for _, within := range structFields(f.Type) {
			if within.Tag.Get("key") == key {
				return f.Tag.Get("key")
			}
		}
	}
	return ""
}

// anyOf checks that the file has one field of each set with the same tag any.
func (d *decoder) anyOf(n *node, what string, fields []reflect.StructField) {
	var reasons []string
	had := map[string]bool{}
	for _, f := range fields {
		if reason := f.Tag.Get("any"); reason != "" {
			reasons = append(reasons, reason)
			had[reason] = had[reason] || n.get(f.Tag.Get("key")) != nil
		}
	}
	for _, reason := range reasons {
		if !had[reason] {
			d.bad.add(n.at, "%s %s", what, reason)
		}
	}
}

// Possessive is a name before what belongs to it.
func Possessive(name string) string {
	if strings.HasSuffix(name, "s") {
		return name + "'"
	}
	return name + "'s"
}

func (d *decoder) field(n *node, what string, f reflect.StructField, v reflect.Value) {
	key := f.Tag.Get("key")
	value := n.get(key)
	name := Possessive(what) + " " + key
	if v.Kind() == reflect.Struct {
		short := f.Tag.Get("short")
		switch {
		case value == nil:
			value = &node{at: n.at, shape: mapping}
		case value.shape == scalar && short != "":
			value = &node{at: value.at, shape: mapping, keys: []string{short}, keyAt: []place{value.at}, items: []*node{value}}
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
	if f.Tag.Get("ref") == refWeighted && value.shape == mapping {
		text, ok := d.weightings(value, name)
		if !ok {
			return
		}
		value = &node{at: value.at, shape: scalar, text: text, quoted: true}
	}
	if between, ok := f.Tag.Lookup("list"); ok && value.shape == list {
		if value, ok = d.joined(value, name, between); !ok {
			return
		}
	}
	if err := setScalar(v, value); err != nil {
		d.bad.add(value.at, "%s is %s, expected %v", name, value.describe(), err)
		return
	}
	if err := checkTags(f, v, d.vocabulary); err != nil {
		d.bad.add(value.at, "%s %v", name, err)
	}
}

// joined is a list as the text that its key takes too. A part that the text would divide is
// reported.
func (d *decoder) joined(n *node, name, between string) (*node, bool) {
	dividers := strings.TrimSpace(between)
	if dividers == "" {
		dividers = " ,"
	}
	parts := make([]string, len(n.items))
	for i, item := range n.items {
		parts[i] = strings.TrimSpace(item.text)
		switch {
		case item.shape != scalar || parts[i] == "":
			d.bad.add(item.at, "%s has %s at place %d, expected a value", name, item.describe(), i+1)
			return nil, false
		case strings.ContainsAny(parts[i], dividers):
			d.bad.add(item.at, "%s has %q at place %d, which is several: expected one value at each place of a list", name, parts[i], i+1)
			return nil, false
		}
	}
	return &node{at: n.at, shape: scalar, text: strings.Join(parts, between), quoted: true}, true
}

// setScalar stores a scalar in v. Its error is what was expected.
func setScalar(v reflect.Value, n *node) error {
	switch v.Kind() {
	case reflect.String:
		if n.shape != scalar {
			return fmt.Errorf("text")
		}
		v.SetString(n.text)
	case reflect.Int:
		x, err := strconv.ParseInt(strings.ReplaceAll(n.text, "_", ""), 10, 64)
		if n.shape == scalar && !n.quoted && errors.Is(err, strconv.ErrRange) {
			return fmt.Errorf("a whole number from %d to %d", math.MinInt, math.MaxInt)
		}
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

// checkTags checks a value against its range and its list of names. Its error continues a sentence
// that begins with the field's name.
func checkTags(f reflect.StructField, v reflect.Value, vocabulary Vocabulary) error {
	switch v.Kind() {
	case reflect.Int:
		return checkRange(f.Tag, float64(v.Int()), strconv.FormatInt(v.Int(), 10))
	case reflect.Float64:
		return checkRange(f.Tag, v.Float(), strconv.FormatFloat(v.Float(), 'g', -1, 64))
	case reflect.String:
		if one, ok := f.Tag.Lookup("one"); ok {
			if all := strings.Split(one, "|"); !slices.Contains(all, v.String()) {
				return nearest.Unknown("is", v.String(), all)
			}
		}
		if f.Tag.Get("ref") == refWeighted && v.String() != "" {
			_, err := ParseWeightings(v.String())
			return err
		}
		if list, ok := f.Tag.Lookup("names"); ok {
			return checkName(v.String(), vocabulary.Names[list])
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

// checkName looks up a name. A spelling that ends in ':' has a number after it; a whole number, or
// a word that stands for one, may follow an ending.
func checkName(name string, all []Name) error {
	var spellings []string
	for _, n := range all {
		known := n.spelling()
		spellings = append(spellings, known)
		if end, ok := strings.CutPrefix(name, known+n.Ending); ok && n.Ending != "" && end != "" && (strings.Trim(end, "0123456789") == "" || end == n.EndingWord) {
			return nil
		}
		if name == known && !strings.HasSuffix(known, ":") {
			return nil
		}
		if prefix, ok := strings.CutSuffix(known, ":"); ok && (name == prefix || strings.HasPrefix(name, known)) {
			x, err := strconv.ParseFloat(strings.TrimPrefix(name, known), 64)
			if n.Unbounded && (err != nil || !(x > 0) || math.IsInf(x, 0)) {
				return fmt.Errorf("is %q, expected %s and a number above 0, such as %q", name, known, known+"2")
			}
			if !n.Unbounded && (err != nil || !(x > 0 && x < 1)) {
				return fmt.Errorf("is %q, expected %s and a number between 0 and 1, such as %q", name, known, known+"0.5")
			}
			return nil
		}
	}
	return nearest.Unknown("is", name, spellings)
}

// structFields lists the fields that have a key, also those of embedded structs.
func structFields(t reflect.Type) []reflect.StructField {
	var out []reflect.StructField
	for _, f := range reflect.VisibleFields(t) {
		if key := f.Tag.Get("key"); key != "" && key != "-" {
			out = append(out, f)
		}
	}
	return out
}
