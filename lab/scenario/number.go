package scenario

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
)

// Number is a key of a work that holds a number. Its methods read and change that work.
type Number struct {
	Key   string // "learning_rate", "samples.temperature"
	Whole bool   // it is an integer

	field reflect.StructField
	value reflect.Value
}

// Numbers lists the keys of a work that hold numbers, those of its sections too, in the order of
// the reference.
func Numbers(w Work) []Number { return numbersOf("", reflect.ValueOf(w).Elem()) }

func numbersOf(prefix string, v reflect.Value) []Number {
	var all []Number
	for _, f := range structFields(v.Type()) {
		key, value := prefix+f.Tag.Get("key"), v.FieldByIndex(f.Index)
		switch {
		case value.Kind() == reflect.Struct:
			all = append(all, numbersOf(key+".", value)...)
		case value.CanInt() || value.CanFloat():
			all = append(all, Number{Key: key, Whole: value.CanInt(), field: f, value: value})
		}
	}
	return all
}

// Value is the number that the work has.
func (n Number) Value() float64 {
	if n.Whole {
		return float64(n.value.Int())
	}
	return n.value.Float()
}

// Default reports whether the work has the number that files without the key give it.
func (n Number) Default() bool {
	usual, err := strconv.ParseFloat(n.field.Tag.Get("default"), 64)
	return err == nil && usual == n.Value()
}

// Set gives the work a number. One that the key cannot have is an error whose text goes on from the
// key, and changes nothing.
func (n Number) Set(x float64) error {
	next := reflect.New(n.value.Type()).Elem()
	switch {
	case !n.Whole:
		next.SetFloat(x)
	case x != math.Trunc(x) || math.Abs(x) > 1<<53:
		return fmt.Errorf("is %s, expected a whole number", formatNumber(x))
	default:
		next.SetInt(int64(x))
	}
	if err := checkTags(n.field, next, Vocabulary{}); err != nil {
		return err
	}
	n.value.Set(next)
	return nil
}

// Last reports whether a number is the smallest or largest that the key can have.
func (n Number) Last(x float64) bool {
	for _, bound := range []string{"min", "max"} {
		if b, err := strconv.ParseFloat(n.field.Tag.Get(bound), 64); err == nil && b == x {
			return true
		}
	}
	return false
}
