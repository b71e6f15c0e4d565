// Package jsondoc writes documents as JSON for programs to read.
//
// A document is an object whose first key, schema, names its shape: "slimlab.report/3". The number
// is raised when a change could break a reader. Keys are in snake_case and text is written as it
// is, without escapes for HTML. The package leaves out streams of objects and reading.
package jsondoc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// Write writes v, which encodes as an object, with its schema as the first key.
func Write(w io.Writer, schema string, v any) error {
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	object := bytes.TrimSpace(body.Bytes())
	if len(object) == 0 || object[0] != '{' {
		return fmt.Errorf("JSON document %s: found %.20s, expected an object", schema, object)
	}
	head := fmt.Sprintf(`{"schema":%q`, schema)
	if rest := bytes.TrimSpace(object[1:]); rest[0] != '}' {
		head += ","
	}
	var out bytes.Buffer
	if err := json.Indent(&out, append([]byte(head), object[1:]...), "", "  "); err != nil {
		return err
	}
	out.WriteByte('\n')
	_, err := w.Write(out.Bytes())
	return err
}
