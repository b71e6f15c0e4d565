package datafile

import (
	"slices"
	"strings"
	"testing"
)

// TestFormIsDecidedByContent: under every ending of a name, the same content gives the same form
// and the same error, and a note where the ending promises another form.
func TestFormIsDecidedByContent(t *testing.T) {
	const (
		row    = `{"prompt":"a","response":"b"}` + "\n"
		prose  = "\"Hello,\" he said, [aside] and left.\nThe end of it.\n"
		html   = "a page of HTML, not read"
		table  = "a table of comma- or tab-separated values"
		inText = "plain text"
	)
	endings := []string{".json", ".jsonl", ".ndjson", ".txt", ".md", ".csv", ".tsv", ".html", ".bin", "", ".JSONL", ".txt.gz"}
	for name, c := range map[string]struct {
		content string
		form    Form
		want    string // of the error
		note    string // under .bin, where the ending promises nothing
	}{
		"records":               {row + row, Lines, "", ""},
		"array":                 {"[" + strings.TrimSpace(row) + "]", Array, "", ""},
		"comment, records":      {"// comment\n" + row + row, Lines, "", ""},
		"comment, one record":   {"# exported\n\n" + row, Lines, "", ""},
		"comment, object":       {"// comment\n{\n\"prompt\": \"a\"\n}\n", Lines, "", ""},
		"comment, long record":  {"// comment\n" + `{"prompt":"` + strings.Repeat("a", 2*headBytes) + "\"}\n", Lines, "", ""},
		"damaged first line":    {`prompt":"a"}` + "\n" + row + row, Lines, "", ""},
		"records of Python":     {"{'prompt': 'a'}\n{'prompt': 'b'}\n", Lines, "", ""},
		"strings":               {"\"a\"\n\"b\"\n", Lines, "", ""},
		"strings with commas":   {"\"a\",\n\"b\",\n", Lines, "", ""},
		"arrays":                {"[\"a\",\"b\"]\n[\"c\",\"d\"]\n", Lines, "", ""},
		"array of strings":      {"[\n\"a\",\n\"b\"\n]\n", Lines, "", ""},
		"HTML":                  {"<!DOCTYPE html>\n<html><body>404</body></html>\n", 0, html, ""},
		"HTML in capitals":      {"\n <HTML>\r\n<HEAD><TITLE>404 Not Found</TITLE></HEAD></HTML>", 0, html, ""},
		"HTML behind a comment": {"<!-- saved\nfrom -->\n<html lang=\"en\">", 0, html, ""},
		"XHTML":                 {"<?xml version=\"1.0\"?>\n<html xmlns=\"x\">", 0, html, ""},
		"XML":                   {"<?xml version=\"1.0\"?>\n<Error><Code>NoSuchKey</Code></Error>", 0, "a page of XML, not read", ""},
		"YAML":                  {"- prompt: a\n  response: b\n- prompt: c\n  response: d\n", 0, "a list of YAML, not read", ""},
		"YAML document":         {"---\n- question: a\n  answer: b\n", 0, "a list of YAML, not read", ""},
		"CSV":                   {"prompt,response\na,b\nc,d\n", 0, table, ""},
		"TSV":                   {"prompt\tresponse\na\tb\nc\td\n", 0, table, ""},
		"CSV of other names":    {"one,two\n1,2\n3,4\n", 0, table, ""},
		"fields":                {"prompt: a\nresponse: b\n\nprompt: c\nresponse: d\n", Text, "", "begin with names of fields"},
		"prose":                 {prose, Text, "", ""},
		"prose with JSON":       {"An example of a record:\n" + row + "has two fields.\nMore of it.\n", Text, "", ""},
		"Markdown":              {"# Title\n\n- item: text\n- <html> is a tag\n", Text, "", ""},
		"wiki":                  {"[[Category]] of text\n[1] a note\n", Text, "", ""},
		"a centred heading":     {"<h1 align=\"center\">Project</h1>\nIt does things.\n", Text, "", ""},
	} {
		for _, ending := range endings {
			path := write(t, "a"+ending, c.content)
			f, err := Open(t.Context(), path)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%s under %q: error %v, expected %q", name, ending, err, c.want)
				}
				continue
			}
			if err != nil || f.Form() != c.form {
				t.Errorf("%s under %q: found the form %v, %v, expected %v", name, ending, f, err, c.form)
				continue
			}
			promisesText := slices.Contains([]string{".txt", ".md", ".txt.gz"}, ending)
			promisesJSON := slices.Contains([]string{".json", ".jsonl", ".ndjson", ".JSONL"}, ending)
			contradicts := promisesText && c.form != Text || promisesJSON && c.form == Text || slices.Contains([]string{".csv", ".tsv", ".html"}, ending)
			notes := strings.Join(f.Notes(), "\n")
			if strings.Contains(notes, "the name ends in") != contradicts || c.form == Text && contradicts && !strings.Contains(notes, inText) {
				t.Errorf("%s under %q: notes %q", name, ending, notes)
			}
			if !strings.Contains(notes, c.note) {
				t.Errorf("%s under %q: notes %q, expected %q", name, ending, notes, c.note)
			}
		}
	}
}

// TestFormsAtTheirBounds: what is just enough for a form, and what is just too little.
func TestFormsAtTheirBounds(t *testing.T) {
	for _, c := range []struct {
		text        string
		whole       bool
		lines       bool // isJSONLines
		fields      bool // isFieldLines
		isDelimited bool
	}{
		{"prompt: a\nb\nanswer: c\nd\n", true, false, true, false},
		{"prompt: a\nb\nanswer: c\nd\ne\n", true, false, false, false},
		{"prompt: a\n", true, false, false, false},
		{"x,y\n1,2\n3,4\n", true, false, false, true},
		{"x,y\n1,2\n", true, false, false, false},
		{"prompt,y\n1,2\n", true, false, false, true},
		{"{\"a\":1}\n[\"b", false, true, false, false},
		{"{\"a\":1}\nb", true, false, false, false},
		{"{\"a\":1}\n{\"a\":2}\nb", true, true, false, false},
	} {
		text := []byte(c.text)
		if lines, fields, delimited := isJSONLines(text, c.whole), isFieldLines(text), looksDelimited(text, c.whole); lines != c.lines || fields != c.fields || delimited != c.isDelimited {
			t.Errorf("%q: JSON lines %t, lines of fields %t, delimited %t; expected %t, %t, %t", c.text, lines, fields, delimited, c.lines, c.fields, c.isDelimited)
		}
	}
}

// TestNamesWithoutEndingPromiseNothing: a file whose whole name is that of a form.
func TestNamesWithoutEndingPromiseNothing(t *testing.T) {
	for name, notes := range map[string]int{"csv": 0, "json": 0, "JSON.gz": 0, "a.json": 1, "a.json.gz": 1, "a.csv": 1, ".json": 1} {
		f := &File{name: name, form: Text}
		if f.noteEnding(); len(f.notes) != notes {
			t.Errorf("%s, plain text: notes %q, expected %d", name, f.notes, notes)
		}
	}
}
