package scenario

import (
	"reflect"
	"strings"
)

// Section is a part of scenario files as a reference describes it: a top-level key or a kind of
// step, with its keys.
type Section struct {
	Name  string `json:"name"`
	About string `json:"about"`
	Keys  []Key  `json:"keys"`
}

// Key is one key of a section. A key of a key is written with a dot: calibration.samples.
type Key struct {
	Key      string `json:"key"`
	Type     string `json:"type"`    // "text", "integer", "number", "boolean", "number or text", "text or list"
	Default  string `json:"default"` // as YAML; empty where there is none
	Required bool   `json:"required"`
	Values   string `json:"values"` // the range of a number, the choices of a text, or "see NAMES"
	About    string `json:"about"`
}

// Steps describes the kinds of steps.
func (v Vocabulary) Steps() []Section {
	var all []Section
	for _, kind := range v.Kinds {
		head := keysOf(reflect.TypeFor[stepHead](), "")
		if kind.Loads || kind.Alone {
			head = head[:1] // the name
		}
		keys := append(head, keysOf(reflect.TypeOf(kind.New()).Elem(), "")...)
		all = append(all, Section{kind.Name, kind.About, keys})
	}
	return all
}

// Sections describes the top-level keys of a scenario, except for its steps.
func Sections() []Section {
	structs := map[string]reflect.Type{
		"tokenizer": reflect.TypeFor[Tokenizer](),
		"models":    reflect.TypeFor[Model](),
		"evaluate":  reflect.TypeFor[Evaluate](),
		"serve":     reflect.TypeFor[Serve](),
	}
	var all []Section
	for _, s := range sections {
		one := Section{s.key, s.doc, []Key{}}
		switch f, isHeader := headerField(s.key); {
		case s.key == "task":
			for _, kind := range []reflect.Type{reflect.TypeFor[Recsys](), reflect.TypeFor[Reasoning](), reflect.TypeFor[JSONL](), reflect.TypeFor[Ratings](), reflect.TypeFor[Passage]()} {
				one.Keys = append(one.Keys, keysOf(kind, "")...)
			}
		case structs[s.key] != nil:
			one.Keys = keysOf(structs[s.key], "")
		case isHeader:
			one.Keys = []Key{keyOf(f, "")}
		}
		all = append(all, one)
	}
	return all
}

func keysOf(t reflect.Type, prefix string) []Key {
	var keys []Key
	for _, f := range structFields(t) {
		if f.Type.Kind() == reflect.Struct {
			keys = append(keys, keysOf(f.Type, prefix+f.Tag.Get("key")+".")...)
			continue
		}
		keys = append(keys, keyOf(f, prefix))
	}
	return keys
}

func keyOf(f reflect.StructField, prefix string) Key {
	types := map[reflect.Kind]string{reflect.String: "text", reflect.Int: "integer", reflect.Float64: "number", reflect.Bool: "boolean"}
	k := Key{
		Key: prefix + f.Tag.Get("key"), Type: types[f.Type.Kind()], Default: f.Tag.Get("default"),
		Required: f.Tag.Get("required") == "true", About: f.Tag.Get("doc"),
	}
	if f.Tag.Get("amount") == "true" {
		k.Type = "number or text"
	}
	if _, ok := f.Tag.Lookup("list"); ok {
		k.Type = "text or list"
	}
	switch one, list := f.Tag.Get("one"), f.Tag.Get("names"); {
	case one != "":
		k.Values = strings.ReplaceAll(one, "|", ", ")
	case list != "":
		k.Values = "see " + list
	default:
		k.Values = strings.Join(bounds(f.Tag), ", ")
	}
	return k
}

// bounds describes the range of a number.
func bounds(tag reflect.StructTag) []string {
	var all []string
	for _, b := range []struct{ key, sign string }{{"min", "≥ "}, {"above", "> "}, {"max", "≤ "}, {"below", "< "}} {
		if text, ok := tag.Lookup(b.key); ok {
			all = append(all, b.sign+text)
		}
	}
	return all
}
