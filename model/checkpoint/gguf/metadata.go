package gguf

import (
	"fmt"
	"math"
	"reflect"
)

// Metadata is the keys and values of a file, in its order. Keys are unique.
type Metadata []Pair

// Pair is a key and its value: uint8, int8, uint16, int16, uint32, int32, uint64, int64, float32,
// float64, bool, string, a slice of one of them, or, for an array of arrays, []any of slices.
type Pair struct {
	Key   string
	Value any
}

// Get returns the value of a key.
func (m Metadata) Get(key string) (any, bool) {
	for _, p := range m {
		if p.Key == key {
			return p.Value, true
		}
	}
	return nil, false
}

// get finds a key whose value convert can take as a T; found is false, without an error, where
// there is no such key.
func get[T any](m Metadata, key, kind string, convert func(any) (T, bool)) (value T, found bool, err error) {
	v, found := m.Get(key)
	if !found {
		return value, false, nil
	}
	value, ok := convert(v)
	if !ok {
		return value, true, fmt.Errorf("metadata key %q: found %s, expected %s", key, Describe(v), kind)
	}
	return value, true, nil
}

// Int returns a whole number of any width.
func (m Metadata) Int(key string) (int, bool, error) {
	kind := "a whole number"
	v, _ := m.Get(key)
	if _, wide := v.(uint64); wide {
		kind = fmt.Sprintf("a whole number of at most %d", math.MaxInt)
	}
	return get(m, key, kind, toInt)
}

// Ints returns an array of whole numbers of any width.
func (m Metadata) Ints(key string) ([]int, bool, error) {
	return get(m, key, "an array of whole numbers", toInts)
}

// Float returns a number.
func (m Metadata) Float(key string) (float64, bool, error) {
	return get(m, key, "a number", func(v any) (float64, bool) {
		switch v := v.(type) {
		case float32:
			return float64(v), true
		case float64:
			return v, true
		}
		n, ok := toInt(v)
		return float64(n), ok
	})
}

// Bool returns a truth value.
func (m Metadata) Bool(key string) (bool, bool, error) {
	return get(m, key, "true or false", as[bool])
}

// String returns a text.
func (m Metadata) String(key string) (string, bool, error) {
	return get(m, key, "a text", as[string])
}

// Strings returns an array of texts.
func (m Metadata) Strings(key string) ([]string, bool, error) {
	return get(m, key, "an array of texts", as[[]string])
}

// Float32s returns an array of float32.
func (m Metadata) Float32s(key string) ([]float32, bool, error) {
	return get(m, key, "an array of float32", as[[]float32])
}

func as[T any](v any) (T, bool) {
	t, ok := v.(T)
	return t, ok
}

func toInt(v any) (int, bool) {
	switch v := v.(type) {
	case uint8:
		return int(v), true
	case int8:
		return int(v), true
	case uint16:
		return int(v), true
	case int16:
		return int(v), true
	case uint32:
		return int(v), true
	case int32:
		return int(v), true
	case uint64:
		return int(v), v <= math.MaxInt
	case int64:
		return int(v), true
	}
	return 0, false
}

func toInts(v any) ([]int, bool) {
	switch v := v.(type) {
	case []uint8:
		return widen(v), true
	case []int8:
		return widen(v), true
	case []uint16:
		return widen(v), true
	case []int16:
		return widen(v), true
	case []uint32:
		return widen(v), true
	case []int32:
		return widen(v), true
	case []int64:
		return widen(v), true
	}
	return nil, false
}

func widen[T uint8 | int8 | uint16 | int16 | uint32 | int32 | int64](v []T) []int {
	w := make([]int, len(v))
	for i, n := range v {
		w[i] = int(n)
	}
	return w
}

// Describe names a value and its type for an error: "the float32 4", "an array of 3 strings".
func Describe(v any) string {
	switch v := v.(type) {
	case string:
		if len(v) > 40 {
			return fmt.Sprintf("the text %q…", v[:40])
		}
		return fmt.Sprintf("the text %q", v)
	case bool:
		return fmt.Sprint(v)
	case float32, float64, uint8, int8, uint16, int16, uint32, int32, uint64, int64:
		return fmt.Sprintf("the %T %v", v, v)
	}
	list := reflect.ValueOf(v)
	kind := list.Type().Elem().String()
	if list.Type().Elem().Kind() == reflect.Interface {
		kind = "array"
	}
	if list.Len() != 1 {
		kind += "s"
	}
	return fmt.Sprintf("an array of %d %s", list.Len(), kind)
}
