package scenario

import (
	"encoding/json"
	"reflect"
	"strings"

	"slimlab/lab"
)

// object is a JSON Schema, or part of one. encoding/json writes maps in order of their keys, so the
// text is stable.
type object = map[string]any

// Schema returns the JSON Schema (draft 2020-12) of scenario files, with which editors complete and
// check YAML. Every value can also be a text with ${…}.
func Schema(vocabulary Vocabulary) []byte {
	s := schemer{vocabulary}
	properties := object{}
	for _, section := range sections {
		part := s.section(section.key)
		part["description"] = section.doc
		properties[section.key] = part
	}
	quick := object{}
	for key, part := range properties {
		// the scenario is checked with its overrides applied
		if key != "quick" && key != "pipeline" {
			quick[key] = object{"description": part.(object)["description"]}
		}
	}
	quick["pipeline"] = object{"type": "object", "description": "overrides of steps, by name"}
	properties["quick"] = object{"type": "object", "description": sectionDoc("quick"), "properties": quick, "additionalProperties": false}
	text, err := json.MarshalIndent(object{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "slimlab scenario",
		"type": "object", "required": []string{"pipeline"}, "additionalProperties": false, "properties": properties,
	}, "", "  ")
	if err != nil {
		panic("scenario: " + err.Error()) // a tree of strings and numbers
	}
	return append(text, '\n')
}

func sectionDoc(key string) string {
	for _, s := range sections {
		if s.key == key {
			return s.doc
		}
	}
	return ""
}

type schemer struct{ vocabulary Vocabulary }

func (s schemer) section(key string) object {
	plain := object{"type": []string{"string", "number", "boolean"}}
	switch key {
	case "task":
		return object{"oneOf": []object{s.structure(Recsys{}), s.structure(Reasoning{}), s.structure(JSONL{}), s.structure(Ratings{}), s.structure(Passage{})}}
	case "tokenizer":
		return s.structure(Tokenizer{})
	case "models":
		return object{"type": "object", "additionalProperties": object{"oneOf": []object{{"type": "string"}, s.structure(Model{})}}}
	case "pipeline":
		return object{"type": "array", "minItems": 1, "items": s.steps()}
	case "evaluate":
		return s.structure(Evaluate{})
	case "serve":
		return s.structure(Serve{})
	case "sweep":
		return object{"type": "object", "minProperties": 1, "additionalProperties": object{"type": "array", "minItems": 1, "uniqueItems": true, "items": plain}}
	case "params":
		return object{"type": "object", "additionalProperties": plain}
	case "columns":
		return object{"type": "array", "uniqueItems": true, "items": s.metric()}
	case "expect":
		return object{"type": "array", "items": object{"type": "string"}}
	case "paper":
		return object{"type": "object", "additionalProperties": object{"type": "number"}}
	}
	if f, ok := headerField(key); ok {
		return s.field(f)
	}
	return object{}
}

func headerField(key string) (reflect.StructField, bool) {
	for _, f := range structFields(reflect.TypeFor[header]()) {
		if f.Tag.Get("key") == key {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

func (s schemer) metric() object {
	var all []object
	for _, m := range lab.Metrics() {
		all = append(all, object{"const": m.Key, "description": m.About})
	}
	return object{"oneOf": all}
}

func (s schemer) steps() object {
	var kinds []object
	for _, kind := range s.vocabulary.Kinds {
		work := s.structure(kind.New())
		work["description"] = kind.About
		head := s.structure(stepHead{})["properties"].(object)
		for key, part := range head {
			if !kind.Loads && !kind.Alone || key != "from" {
				work["properties"].(object)[key] = part
			}
		}
		kinds = append(kinds, object{
			"type": "object", "required": []string{kind.Name}, "additionalProperties": false, "properties": object{kind.Name: work},
		})
	}
	return object{"oneOf": kinds}
}

// structure describes a struct by its tags.
func (s schemer) structure(of any) object {
	t := reflect.TypeOf(of)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	properties, required := object{}, []string{}
	for _, f := range structFields(t) {
		key := f.Tag.Get("key")
		if f.Type.Kind() == reflect.Struct {
			part := s.structure(reflect.Zero(f.Type).Interface())
			if f.Tag.Get("short") != "" {
				part = object{"oneOf": []object{{"type": "string"}, part}}
			}
			part["description"] = f.Tag.Get("doc")
			properties[key] = part
			continue
		}
		properties[key] = s.field(f)
		if f.Tag.Get("required") == "true" {
			required = append(required, key)
		}
	}
	out := object{"type": "object", "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		out["required"] = required
	}
	return out
}

// field describes one field; a text with ${…} can replace any type.
func (s schemer) field(f reflect.StructField) object {
	own := object{}
	switch f.Type.Kind() {
	case reflect.String:
		own["type"] = "string"
	case reflect.Int:
		own["type"] = "integer"
	case reflect.Float64:
		own["type"] = "number"
	case reflect.Bool:
		own["type"] = "boolean"
	}
	for tag, key := range map[string]string{"min": "minimum", "max": "maximum", "above": "exclusiveMinimum", "below": "exclusiveMaximum"} {
		if text, ok := f.Tag.Lookup(tag); ok {
			own[key] = json.Number(text)
		}
	}
	if f.Tag.Get("amount") == "true" { // a number, a share or a word
		own["type"] = []string{"string", "number"}
	}
	if one, ok := f.Tag.Lookup("one"); ok {
		own["enum"] = strings.Split(one, "|")
	}
	if list, ok := f.Tag.Lookup("names"); ok {
		own = names(s.vocabulary.Names[list])
	}
	out := object{"description": f.Tag.Get("doc")}
	if f.Tag.Get("ref") == refWeighted { // for all tasks, or for each
		own = object{"anyOf": []object{own, {"type": "array", "minItems": 1, "items": own}}}
		out["oneOf"] = []object{own, {"type": "object", "minProperties": 1, "additionalProperties": own}}
		return out
	}
	if _, ok := f.Tag.Lookup("list"); ok {
		if f.Tag.Get("default") != "" {
			out["default"] = f.Tag.Get("default")
		}
		out["anyOf"] = []object{{"type": []string{"string", "number"}}, {"type": "array", "items": object{"type": []string{"string", "number"}}}}
		return out
	}
	if text, ok := f.Tag.Lookup("default"); ok {
		out["default"] = defaultValue(f, text)
	}
	if _, isEnum := own["enum"]; own["type"] == "string" && !isEnum {
		out["type"] = "string" // ${…} is a text too
		if also := f.Tag.Get("also"); also != "" {
			out["type"] = []string{"string", also}
		}
		return out
	}
	out["anyOf"] = []object{own, {"type": "string", "pattern": `\$\{`}}
	return out
}

func defaultValue(f reflect.StructField, text string) any {
	switch f.Type.Kind() {
	case reflect.String:
		return text
	case reflect.Bool:
		return text == "true"
	}
	return json.Number(text)
}

// names describes a list of names.
func names(all []Name) object {
	plain, parts := []string{}, []object{}
	type ending struct{ text, word string }
	endings, distinct := map[ending][]string{}, []ending(nil)
	for _, n := range all {
		if end := (ending{n.Ending, n.EndingWord}); n.Ending != "" {
			if endings[end] == nil {
				distinct = append(distinct, end)
			}
			endings[end] = append(endings[end], n.Name)
		}
		if n.Parameter == "" {
			plain = append(plain, n.Name)
			continue
		}
		pattern, example := `0?\.[0-9]+$`, "0.5"
		if n.Unbounded {
			pattern, example = `[0-9]*\.?[0-9]+$`, "2"
		}
		parts = append(parts, object{"type": "string", "pattern": "^" + n.spelling() + pattern, "examples": []string{n.spelling() + example}})
	}
	for _, end := range distinct {
		names, number := endings[end], "[0-9]+"
		if end.word != "" {
			number = "([0-9]+|" + end.word + ")"
		}
		parts = append(parts, object{"type": "string", "pattern": "^(" + strings.Join(names, "|") + ")" + end.text + number + "$", "examples": []string{names[0] + end.text + "64"}})
	}
	return object{"anyOf": append([]object{{"enum": plain}}, parts...)}
}
