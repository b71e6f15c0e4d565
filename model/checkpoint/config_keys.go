package checkpoint

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
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
	n, err := whole(k.raw[key])
	if err != nil {
		k.fail(key, "%v", err)
	}
	return n
}

// whole reads an integer, also one that was written as a float (4096.0).
func whole(raw json.RawMessage) (int, error) {
	if n, err := strconv.Atoi(string(raw)); err == nil {
		return n, nil
	}
	var f float64
	if err := json.Unmarshal(raw, &f); err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<52 {
		return 0, fmt.Errorf("found %s, expected a whole number", clip(raw))
	}
	return int(f), nil
}

func (k *keys) number(key string, fallback float64) float64 {
	if !k.present(key) {
		return fallback
	}
	var f float64
	if err := json.Unmarshal(k.raw[key], &f); err != nil {
		k.fail(key, "found %s, expected a number", clip(k.raw[key]))
	}
	return f
}

func (k *keys) boolean(key string, fallback bool) bool {
	if !k.present(key) {
		return fallback
	}
	var b bool
	if err := json.Unmarshal(k.raw[key], &b); err != nil {
		k.fail(key, "found %s, expected true or false", clip(k.raw[key]))
	}
	return b
}

func (k *keys) text(key, fallback string) string {
	if !k.present(key) {
		return fallback
	}
	var s string
	if err := json.Unmarshal(k.raw[key], &s); err != nil {
		k.fail(key, "found %s, expected a string", clip(k.raw[key]))
	}
	return s
}

// refuse fails where a switch is not in the one position that the model has.
func (k *keys) refuse(key string, only bool) {
	if k.boolean(key, only) != only {
		k.fail(key, "%t is not supported, expected %t", !only, only)
	}
}

// clip quotes the beginning of data for an error.
func clip(data []byte) string {
	if len(data) > 40 {
		return fmt.Sprintf("%q…", data[:40])
	}
	return fmt.Sprintf("%q", data)
}
