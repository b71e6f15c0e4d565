package datafile

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzOpen: no content panics; a text that is read is UTF-8 without NUL, and every record is JSON
// unless the file is read a line at a time.
func FuzzOpen(f *testing.F) {
	for _, seed := range []string{
		"text\n", "{\"p\":1}\n{\"p\":2}\n", "[{\"p\":1},\n{\"p\":2}]", "{\"data\":[{\"p\":1}]}", "{\n\"p\":1}\n{\"p\":2}", "a,b\nprompt,c\n", zipped("[{}]"), "\ufeff{}",
		"\xff\xfe" + inUTF16("{\"p\":\"🙂\"}", binary.LittleEndian), "\x00\x00\xfe\xff" + inUTF32("[{}]", binary.BigEndian), "PAR1", "{\"a\":1", "[", "[[]]", "\n\n[ ]x",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := New(t.Context(), "data", bytes.NewReader(data))
		if err != nil {
			return
		}
		if text, err := file.Text(0); err == nil && (!utf8.ValidString(text) || strings.Contains(text, "\x00")) {
			t.Errorf("text %q", text)
		}
		if file, err = New(t.Context(), "data", bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		line := 0
		for r, err := range file.Records() {
			if err != nil {
				break
			}
			if r.Line < line || len(r.JSON) == 0 || file.Form() == Array && !json.Valid(r.JSON) {
				t.Errorf("record %q at line %d after line %d", r.JSON, r.Line, line)
			}
			line = r.Line
		}
		if sum, err := file.Sum(); err != nil || sum != sumOf(string(data)) {
			t.Errorf("sum %s, %v", sum, err)
		}
	})
}
