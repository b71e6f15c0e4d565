// Package jsonread reads JSON files that others have written.
//
// Decode is encoding/json's Unmarshal with errors in the words of the file: the line or the key,
// what was found, what was expected. Table says of every key of a kind of file whether the program
// reads it, ignores it because it changes no result, or refuses it; Table.Check finds the keys that
// the table does not have, so that no setting is dropped silently. The package leaves out writing,
// which is jsondoc's, and what the values mean.
package jsonread

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"reflect"

	"slimlab/internal/wrongfile"
)

// MaxFile bounds a file of settings, in bytes: the largest known ones have a few megabytes.
const MaxFile = 64 << 20

// ReadFile reads a file of settings of at most MaxFile bytes. Its errors, but for that of an absent
// file, begin with the file's name without its folder.
func ReadFile(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path.Base(name), err)
	case len(data) > MaxFile:
		return nil, fmt.Errorf("%s: the file has more than %d MiB, expected at most so many of a file of settings", path.Base(name), MaxFile>>20)
	}
	return data, nil
}

// Decode stores the one JSON value of data in v, as json.Unmarshal does. An error names the place
// and what was found and expected: a line and column where data is no JSON, a key where a value has
// another type. A byte order mark at the beginning is ignored.
func Decode(data []byte, v any) error {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if len(bytes.TrimSpace(data)) == 0 {
		return errors.New("found nothing, expected JSON")
	}
	if other := wrongfile.Name(data); other != "" {
		return fmt.Errorf("found %s", other)
	}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return errors.New("found text in UTF-16, expected UTF-8: save it anew")
	}
	return explain(data, json.Unmarshal(data, v))
}

// explain puts an error of encoding/json in the words of the data.
func explain(data []byte, err error) error {
	var broken *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &broken):
		return fmt.Errorf("%s: not JSON: %s", place(data, broken.Offset), syntax(data, broken.Offset, broken.Error()))
	case errors.As(err, &kind):
		found := fmt.Sprintf("found %s, expected %s", article(kind.Value), bounded(kind.Type, kind.Value))
		if kind.Field != "" {
			return fmt.Errorf("%s: %s", kind.Field, found)
		}
		return fmt.Errorf("%s: %s", place(data, kind.Offset), found)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("%s: not JSON: the text ends within %s: it was cut off", place(data, int64(len(data))), unclosed(data))
	}
	return err
}

// place names the line and the column, in bytes, of the last byte before offset, both from 1.
func place(data []byte, offset int64) string {
	before := data[:max(0, min(offset, int64(len(data)))-1)]
	line := 1 + bytes.Count(before, []byte("\n"))
	return fmt.Sprintf("line %d, column %d", line, len(before)-bytes.LastIndexByte(before, '\n'))
}

// article gives encoding/json's name of a value its article: "a string", "the number 1.5".
func article(value string) string {
	switch value {
	case "array":
		return "a list"
	case "object":
		return "an object"
	case "bool":
		return "true or false"
	case "string", "number":
		return "a " + value
	}
	return "the " + value
}

// expected names the JSON value that a Go type is read from.
func expected(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return expected(t.Elem())
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return "a whole number"
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number from 0"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	}
	return "an object"
}
