package scenario

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Setting is a key of a step with the value that it has, written or not.
type Setting struct {
	Key     string // as in the file; of a section "calibration.samples"
	Value   string
	Default bool // the value is that which the key has where the file does not write it
}

// Settings lists what a step is set to, in the order of the reference. Keys that are unset and have
// no default are left out.
func (s Step) Settings() []Setting {
	var out []Setting
	if s.From != "" {
		out = append(out, Setting{Key: "from", Value: s.From})
	}
	return append(out, settingsOf("", reflect.Indirect(reflect.ValueOf(s.Work)))...)
}

func settingsOf(prefix string, v reflect.Value) []Setting {
	if v.Kind() != reflect.Struct {
		return nil
	}
	var out []Setting
	for _, f := range structFields(v.Type()) {
		key, value := prefix+f.Tag.Get("key"), reflect.Indirect(v.FieldByIndex(f.Index))
		if !value.IsValid() { // a nil pointer
			continue
		}
		if value.Kind() == reflect.Struct && len(structFields(value.Type())) > 0 {
			out = append(out, settingsOf(key+".", value)...)
			continue
		}
		written, usual := settingText(value), f.Tag.Get("default")
		if x, err := strconv.ParseFloat(usual, 64); err == nil && value.CanFloat() {
			usual = formatNumber(x)
		}
		if written == "" && usual == "" {
			continue
		}
		out = append(out, Setting{key, written, usual != "" && written == usual})
	}
	return out
}

func settingText(v reflect.Value) string {
	switch {
	case v.CanFloat():
		return formatNumber(v.Float())
	case v.Kind() == reflect.Slice || v.Kind() == reflect.Array:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = settingText(reflect.Indirect(v.Index(i)))
		}
		return strings.Join(parts, ", ")
	}
	return fmt.Sprint(v)
}

func formatNumber(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
