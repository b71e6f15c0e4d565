package datafile

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"slices"
	"strings"
	"testing"
)

// rows reads two columns of a table.
func rows(content string) (all []string, err error) {
	t, err := NewTable(context.Background(), "t.csv", strings.NewReader(content), "id", "title")
	if err != nil {
		return nil, err
	}
	for {
		row, err := t.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		all = append(all, strings.Join(row, "|"))
	}
}

// TestTables: columns are found by name in any order, with any line ends, quotes, a byte order
// mark, and in gzip.
func TestTables(t *testing.T) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write([]byte("id,title\n1,a\n"))
	z.Close()
	for content, want := range map[string]string{
		"id,title\n1,a\n2,b":                         "1|a,2|b",
		"\ufeffid,title\r\n1,a\r\n":                  "1|a",
		"year,title , id\n1994,\"a, \"\"b\"\"\",7\n": "7|a, \"b\"",
		"id,title\n\n1,\"two\nlines\"\n":             "1|two\nlines",
		"id,title\n":                                 "",
		"\"id\",\"title\"\n3,\"\"\n":                 "3|",
		packed.String():                              "1|a",
		"\xff\xfei\x00d\x00,\x00t\x00i\x00t\x00l\x00e\x00\n\x001\x00,\x00a\x00": "1|a",
	} {
		if got, err := rows(content); err != nil || strings.Join(got, ",") != want {
			t.Errorf("%q: %q, %v; expected %q", content, got, err, want)
		}
	}
}

// TestNoTables: what is no such table is refused with its place, what was found and what was
// expected.
func TestNoTables(t *testing.T) {
	for content, want := range map[string]string{
		"":                             "t.csv: the file is empty",
		"\n\n":                         "t.csv: found no line, expected one with the columns id, title",
		"id;title\n1;a":                `t.csv:1: found the columns "id;title", expected id among them, separated by commas`,
		"ID,title\n1,a":                `t.csv:1: found the columns "ID", "title", expected id among them, separated by commas ("ID" is near)`,
		"id,title,id\n1,a,2":           "t.csv:1:10: found a second column id, expected one",
		"id,title\n1,a\n2,b,c\n":       "t.csv:3: found 3 fields, expected 2 as in the first line",
		"id,title\n1,a \"b\"\n":        "t.csv:2:5: found a quote within a field",
		"id,title\n1,\"a\" b\n":        "t.csv:2:5: found a quoted field that does not end",
		"id,title\n1,\"a\n2,b\n":       "t.csv:2:5: found a quoted field that does not end",
		"id,title\n1,a\xff\n":          "t.csv:2: ",
		"{\"id\": 1}\n":                "t.csv: found JSON, expected a table",
		"<!doctype html><html></html>": "t.csv: found a page of HTML, expected a table",
	} {
		if got, err := rows(content); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %q, %v; expected an error that begins with %q", content, got, err, want)
		}
	}
	if _, err := OpenTable(t.Context(), t.TempDir(), "id"); err == nil || !strings.Contains(err.Error(), "a directory, expected a table") {
		t.Errorf("a folder: %v", err)
	}
}

// FuzzTable: no content makes the reader panic or yield rows of another width, and an error names
// the file.
func FuzzTable(f *testing.F) {
	for _, seed := range []string{"id,title\n1,a\n", "id,title\n1,\"a\n", "title,id,id\n", "\ufeffid,title\r\n\"1\",\"a,\"\"b\"\"\"\r\n", "\x1f\x8b", "id,title\n1\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		all, err := rows(string(content))
		if err != nil && !strings.Contains(err.Error(), "t.csv") {
			t.Errorf("%q: the error %q does not name the file", content, err)
		}
		if slices.ContainsFunc(all, func(row string) bool { return !strings.Contains(row, "|") }) {
			t.Errorf("%q: rows %q", content, all)
		}
	})
}
