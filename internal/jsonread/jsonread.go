// Package jsonread reads JSON files that others have written.
//
// Decode is encoding/json's Unmarshal with errors in the words of the file: the line or the key,
// what was found, what was expected. Table says of every key of a kind of file whether the program
// reads it, ignores it because it changes no result, or refuses it; Table.Check finds the keys that
// the table does not have, so that no setting is dropped silently. A key that stands twice in one
// object is an error, or, with equal values, a note of DecodeNoting. The package leaves out
// writing, which is jsondoc's, and what the values mean.
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
// and what was found and expected: a line and column where data is no JSON, a path where a value
// has another type; At puts the place of a part of a file before it. A key that stands in one
// object twice with two values is an error, though v has the last. A byte order mark at the
// beginning is ignored.
func Decode(data []byte, v any) error {
	_, err := DecodeNoting(data, v)
	return err
}

// text returns data without a byte order mark, and refuses what is another kind of file.
func text(data []byte) ([]byte, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New("found nothing, expected JSON")
	}
	if other := wrongfile.Name(data); other != "" {
		return nil, fmt.Errorf("found %s", other)
	}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return nil, errors.New("found text in UTF-16, expected UTF-8: save it anew")
	}
	return data, nil
}

// SyntaxError says where a text is no JSON, and what is wrong there. Line and Column, in bytes,
// count from 1.
type SyntaxError struct {
	Line, Column int
	Problem      string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d, column %d: not JSON: %s", e.Line, e.Column, e.Problem)
}

// Explain puts an error of encoding/json about data in the words of data. Where data is no JSON,
// the result is a *SyntaxError, and where a value has another type a *TypeError. Other errors stay
// as they are.
func Explain(data []byte, err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &syntax):
		return broken(data, syntax.Offset, problem(data, syntax.Offset, syntax.Error()))
	case errors.As(err, &kind):
		return &TypeError{
			Path:    pathAt(data, int(kind.Offset)-1),
			Problem: fmt.Sprintf("found %s, expected %s", article(kind.Value), bounded(kind.Type, kind.Value)),
		}
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return broken(data, int64(len(data)), cutOff(data))
	}
	return err
}

func broken(data []byte, offset int64, problem string) error {
	line, column := place(data, offset)
	return &SyntaxError{Line: line, Column: column, Problem: problem}
}

// place is the line and the column, in bytes, of the last byte before offset, both from 1.
func place(data []byte, offset int64) (line, column int) {
	before := data[:max(0, min(offset, int64(len(data)))-1)]
	return 1 + bytes.Count(before, []byte("\n")), len(before) - bytes.LastIndexByte(before, '\n')
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
