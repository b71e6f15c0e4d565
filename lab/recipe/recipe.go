package recipe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
)

// format is the version of the canonical text. Raising it renames every artifact.
const format = 1

// Recipe is all that decides the output of a stage. Fields that are zero are not part of the text.
type Recipe struct {
	Stage   string // such as "train" or "evaluate"
	Version int    // of the stage's code: raised when it computes something else from the same
	// The arithmetic; empty for a stage whose output does not depend on it.
	Kernels string // implementation
	Arch    string // of Arch
	// Inputs are keys of artifacts and names of content, by what the stage uses them as.
	Inputs     map[string]string
	Parameters Values
	Task       Values // the data: the world's parameters, or the file's content and how it is read
	Tokenizer  string // hash
	Seed       uint64
}

// Arch is the architecture that the program was built for. A build for a later level of amd64 fuses
// products and sums, and has other bits: its level follows, as in "amd64/v3".
func Arch() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return runtime.GOARCH
	}
	return archOf(runtime.GOARCH, info.Settings)
}

func archOf(arch string, settings []debug.BuildSetting) string {
	for _, s := range settings {
		if s.Key == "GO"+strings.ToUpper(arch) && s.Value != "v1" && strings.HasPrefix(s.Value, "v") {
			return arch + "/" + s.Value
		}
	}
	return arch
}

// Values are parameters by name. A value is a bool, an integer, a float64, a string, a list of
// strings or Values.
type Values map[string]any

// Key names the artifact: the hexadecimal SHA-256 of the canonical text.
func (r Recipe) Key() string { return Text(string(r.Canonical())) }

// Canonical is the text that Key is the hash of: one line of JSON.
func (r Recipe) Canonical() []byte {
	inputs := Values{}
	for role, key := range r.Inputs {
		inputs[role] = key
	}
	fields := Values{"recipe": format, "stage": r.Stage, "version": r.Version}
	for name, value := range map[string]any{
		"kernels": r.Kernels, "arch": r.Arch, "inputs": inputs, "parameters": r.Parameters, "task": r.Task, "tokenizer": r.Tokenizer, "seed": r.Seed,
	} {
		if v := reflect.ValueOf(value); !v.IsZero() && !(v.Kind() == reflect.Map && v.Len() == 0) {
			fields[name] = value
		}
	}
	var b bytes.Buffer
	write(&b, "", fields)
	return b.Bytes()
}

// write appends the canonical text of a value. A type that has none is a mistake of the program.
func write(b *bytes.Buffer, name string, value any) {
	switch v := reflect.ValueOf(value); v.Kind() {
	case reflect.Bool:
		b.WriteString(strconv.FormatBool(v.Bool()))
	case reflect.Int, reflect.Int64:
		b.WriteString(strconv.FormatInt(v.Int(), 10))
	case reflect.Uint64:
		b.WriteString(strconv.FormatUint(v.Uint(), 10))
	case reflect.Float64:
		b.WriteString(float(v.Float()))
	case reflect.String:
		writeText(b, v.String())
	case reflect.Slice:
		list, ok := value.([]string)
		if !ok {
			panic(fmt.Sprintf("recipe: value %q of type %T, expected []string", name, value))
		}
		for i, text := range list {
			b.WriteByte("[,"[min(i, 1)])
			writeText(b, text)
		}
		b.WriteString("[]"[min(len(list), 1):])
	case reflect.Map:
		values, ok := value.(Values)
		if !ok {
			panic(fmt.Sprintf("recipe: value %q of type %T, expected Values", name, value))
		}
		for i, key := range slices.Sorted(maps.Keys(values)) {
			b.WriteByte("{,"[min(i, 1)])
			writeText(b, key)
			b.WriteByte(':')
			write(b, name+"."+key, values[key])
		}
		b.WriteString("{}"[min(len(values), 1):])
	default:
		panic(fmt.Sprintf("recipe: value %q of type %T, expected a bool, an integer, a float64, a string, a list of strings or Values", name, value))
	}
}

// float writes the shortest decimal that reads back as the same bits, distinguished from an integer
// by a point or an exponent. JSON has no infinities and no NaN: they are texts in an object.
func float(x float64) string {
	text := strconv.FormatFloat(x, 'g', -1, 64)
	switch {
	case math.IsNaN(x) || math.IsInf(x, 0):
		return `{"float":"` + text + `"}`
	case !strings.ContainsAny(text, ".e"):
		return text + ".0"
	}
	return text
}

// writeText writes a JSON string. Bytes that are no UTF-8 become the replacement character, as in
// all JSON.
func writeText(b *bytes.Buffer, text string) {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a string into memory cannot fail
	b.Truncate(b.Len() - 1)
}

// Of returns a struct's exported fields as Values, by the names in their tags `key`. A field with
// the tag `key:"-"`, and one with a tag `ref`, which names another model, are left out. So is one
// with the tag `omit:"default"` where it has the value of its tag `default`, or is a struct of
// which nothing is left: the key came later, and artifacts that were made without it keep their
// names. Structs within it become Values too. A field without a tag `key` is a mistake of the
// program: left out unseen, it would give different artifacts one name.
func Of(of any) Values {
	v := reflect.Indirect(reflect.ValueOf(of))
	values := Values{}
	for _, f := range reflect.VisibleFields(v.Type()) {
		name := f.Tag.Get("key")
		_, isRef := f.Tag.Lookup("ref")
		embedded := f.Anonymous && f.Type.Kind() == reflect.Struct // its fields follow
		switch {
		case name == "" && embedded, name == "-", isRef, !f.IsExported():
			continue
		case name == "":
			panic(fmt.Sprintf("recipe: field %s of %s has no tag key, expected its name in the recipe, or \"-\" for none", f.Name, v.Type()))
		}
		field := v.FieldByIndex(f.Index)
		if f.Tag.Get("omit") == "default" && fmt.Sprint(field.Interface()) == f.Tag.Get("default") {
			continue
		}
		if field.Kind() == reflect.Struct {
			if within := Of(field.Interface()); len(within) > 0 || f.Tag.Get("omit") != "default" {
				values[name] = within
			}
		} else {
			values[name] = field.Interface()
		}
	}
	return values
}
