package checkpoint

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"slimlab/internal/jsonread"
)

// required is the fallback of a key that must be there.
const required = math.MinInt

// keys reads values by key and keeps the first error.
type keys struct {
	raw map[string]json.RawMessage
	err error
}

func (k *keys) fail(key, format string, args ...any) {
	if k.err == nil {
		k.err = fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...))
	}
}

// check refuses and notes keys by a table of where, the file or section.
func (k *keys) check(table jsonread.Table, n *notes, where string) {
	unknown, err := table.Check(k.raw)
	if err != nil && k.err == nil {
		k.err = err
	}
	n.unknown(where, unknown)
}

// present reports whether a key is there and not null.
func (k *keys) present(key string) bool {
	raw := k.raw[key]
	return len(raw) > 0 && string(raw) != "null"
}

func (k *keys) integer(key string, fallback int) int {
	if !k.present(key) {
		if fallback == required {
			k.fail(key, "the key is missing")
			return 0
		}
		return fallback
	}
	within, ok := configBounds[key]
	if !ok {
		within = widest
	}
	n, err := within.whole(k.raw[key])
	if err != nil {
		k.fail(key, "%v", err)
	}
	return n
}

func (k *keys) number(key string, fallback float64) float64 {
	expected, raw := "a number", k.raw[key]
	if k.present(key) && (raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9') {
		expected = fmt.Sprintf("a number from %.2g to %.2g", -math.MaxFloat64, math.MaxFloat64)
	}
	x := value(k, key, fallback, expected)
	least, ok := lowest[key]
	switch {
	case !k.present(key) || !ok || x >= least || k.err != nil:
	case least == smallest:
		k.fail(key, "found %s, expected a number above 0", jsonread.Clip(raw))
	default:
		k.fail(key, "found %s, expected a number of at least %g", jsonread.Clip(raw), least)
	}
	return x
}

func (k *keys) boolean(key string, fallback bool) bool {
	return value(k, key, fallback, "true or false")
}

func (k *keys) text(key, fallback string) string {
	return value(k, key, fallback, "a string")
}

func (k *keys) strings(key string) []string {
	return value(k, key, []string(nil), "a list of strings")
}

// value reads a key whose value is what expected says; null is no value.
func value[T any](k *keys, key string, fallback T, expected string) T {
	if !k.present(key) {
		return fallback
	}
	var v T
	if err := jsonread.Decode(k.raw[key], &v); err != nil {
		k.fail(key, "found %s, expected %s", jsonread.Clip(k.raw[key]), expected)
	}
	return v
}

// object reads the keys of an object; its errors are to be handed on by inside. A missing key and
// null are an object without keys.
func (k *keys) object(key string) *keys {
	in := new(keys)
	in.raw = value(k, key, map[string]json.RawMessage(nil), "an object")
	return in
}

// inside hands on the first error of an object's keys.
func (k *keys) inside(key string, in *keys) {
	if in.err != nil && k.err == nil {
		k.err = fmt.Errorf("%s.%w", key, in.err)
	}
}

// choice reads a string that must be one of a few; fallback stands for a missing key.
func (k *keys) choice(key, fallback string, valid ...string) string {
	s := k.text(key, fallback)
	if !slices.Contains(valid, s) {
		k.fail(key, "%q is not supported, expected %s", s, alternatives(valid))
	}
	return s
}

// alternatives lists values in words: "a, b or c".
func alternatives(list []string) string {
	text := list[0]
	for i, s := range list[1:] {
		if i == len(list)-2 {
			text += " or " + s
		} else {
			text += ", " + s
		}
	}
	return text
}

// refuse fails where a switch is not in the one position that the model has.
func (k *keys) refuse(key string, only bool) {
	if k.boolean(key, only) != only {
		k.fail(key, "%t is not supported, expected %t", !only, only)
	}
}

// same reports whether two values are equal but for spaces.
func same(a, b json.RawMessage) bool {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return false
	}
	p, _ := json.Marshal(x)
	q, _ := json.Marshal(y)
	return string(p) == string(q)
}
