package recipe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Diff compares a canonical text with that of another recipe, and lists each field that differs,
// with both values. found that is no canonical text is an error.
func Diff(found []byte, expected Recipe) ([]Difference, error) {
	a, err := decode(found)
	if err != nil {
		return nil, err
	}
	if a["recipe"] == nil || a["stage"] == nil {
		return nil, fmt.Errorf("recipe: found no stage, expected the canonical text of a recipe")
	}
	b, err := decode(expected.Canonical())
	if err != nil {
		return nil, err
	}
	return diff("", a, b), nil
}

// Difference is a field that two recipes have with different values.
type Difference struct {
	Field           string // with those that it lies in: "inputs.model"
	Found, Expected string // as people compare them; "" of a recipe that lacks the field
}

// decode keeps numbers as they are written: 1 and 1.0 are different values.
func decode(text []byte) (values map[string]any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&values); err != nil {
		return nil, fmt.Errorf("recipe: %w", err)
	}
	return values, nil
}

func diff(prefix string, a, b map[string]any) []Difference {
	names := map[string]bool{}
	for _, m := range []map[string]any{a, b} {
		for name := range m {
			names[name] = true
		}
	}
	var list []Difference
	for _, name := range slices.Sorted(maps.Keys(names)) {
		x, inA := a[name].(map[string]any)
		y, inB := b[name].(map[string]any)
		switch {
		case inA && inB:
			list = append(list, diff(prefix+name+".", x, y)...)
		case text(a[name]) != text(b[name]):
			list = append(list, Difference{prefix + name, text(a[name]), text(b[name])})
		}
	}
	return list
}

// text writes a value of decoded JSON as people compare it; long ones are cut.
func text(value any) string {
	if value == nil {
		return ""
	}
	data, _ := json.Marshal(value) // what was decoded can be encoded
	if len(data) > 40 {
		cut := string(data[:16]) + "…"
		if data[0] == '"' {
			cut += `"`
		}
		return cut
	}
	return string(data)
}
