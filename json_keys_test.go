package main

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"slimlab/lab/convert"
	"slimlab/lab/doctor"
	"slimlab/lab/eval"
)

// Documents in JSON have keys in snake_case, those of the types within them too.
func TestDocumentsAreInSnakeCase(t *testing.T) {
	for _, document := range []any{searchResult{}, convert.Result{}, convert.Inspection{}, runList{}, plans{}, scenarioList{}, cleaning{}, doctor.Diagnosis{}, eval.Evaluation{}} {
		of := reflect.TypeOf(document)
		checkKeys(t, of.String(), of, map[reflect.Type]bool{})
	}
}

var snakeCase = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

func checkKeys(t *testing.T, place string, of reflect.Type, seen map[reflect.Type]bool) {
	t.Helper()
	if seen[of] {
		return
	}
	seen[of] = true
	switch of.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		checkKeys(t, place, of.Elem(), seen)
	case reflect.Struct:
		for f := range of.Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "-" || !f.IsExported() && !f.Anonymous {
				continue
			}
			if !f.Anonymous && !snakeCase.MatchString(name) {
				t.Errorf("%s.%s: key %q in JSON, expected one in snake_case", place, f.Name, name)
			}
			checkKeys(t, place+"."+f.Name, f.Type, seen)
		}
	}
}
