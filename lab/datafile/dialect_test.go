package datafile

import (
	"strings"
	"testing"
)

// TestFormsAlikeToJSONAreNamed: what is nearly JSON is no plain text, and the error of its records
// names the form and what to do.
func TestFormsAlikeToJSONAreNamed(t *testing.T) {
	const (
		python  = "as Python prints it"
		script  = "keys without quotes are JavaScript's or JSON5's"
		comment = "JSON has no comments"
		last    = "JSON has no comma before a closing bracket"
		comma   = "a comma stands behind the record"
		number  = "write null in its place"
		quotes  = "typographic quotes are no JSON"
	)
	const good = `{"prompt":"a","response":"b"}`
	for content, want := range map[string]string{
		"{'prompt': 'a', 'response': 'b'}":                     python,
		"{'prompt': 'a',\n 'response': 'b'}":                   python,
		"[{'id': 'a'},\n {'id': 'b'}]":                         python,
		`{"prompt":"a","response":None}`:                       python,
		`{"prompt":"a","more":[True],"response":"b"}`:          python,
		`{prompt: "a", response: "b"}`:                         script,
		"{\n  prompt: \"a\",\n  response: \"b\"\n}\n":          script,
		"[\n  {instruction: \"a\", output: \"b\"},\n]":         script,
		`{"prompt":"a", response: "b"}`:                        script,
		"// about\n" + good + "\n" + good:                      comment,
		"/* about\nit */\n" + good + "\n" + good:               comment,
		"{\n\"prompt\": \"a\", // the prompt\n\"response\":1}": comment,
		"{\"prompt\":\"a\",}":                                  last,
		"[" + good + ",\n]":                                    last,
		good + ",\n" + good + ",\n":                            comma,
		"{\n\"prompt\":\"a\"\n},\n{\n\"prompt\":\"b\"\n}\n":    comma,
		`{"prompt":"a","response":NaN}`:                        number,
		`{"prompt":"a","score":-Infinity}`:                     number,
		"{\n\"prompt\":\"a\",\n\"score\":Infinity}":            number,
		"{“prompt”: “a”, “response”: “b”}":                     quotes,
		`{"prompt":“a”}`:                                       quotes,
	} {
		f, err := New(t.Context(), "a", strings.NewReader(content))
		if err != nil || f.Form() == Text {
			t.Errorf("%s: the form %v, %v, expected records", content, f, err)
			continue
		}
		found := ""
		for r, err := range f.Records() {
			if err != nil {
				found = err.Error()
				break
			}
			if found = Dialect(r.JSON); found != "" {
				break
			}
		}
		if !strings.Contains(found, want) {
			t.Errorf("%s: found %q, expected %q", content, found, want)
		}
	}
	for _, content := range []string{"", " ", good, "{", "{#id}", "{a}", `{"a":nothing}`, `{"a" 1}`, `{"a":"None`, "'", "x", `{"a":1}}`, "[a b c]", "\x00"} {
		if found := Dialect([]byte(content)); found != "" {
			t.Errorf("%q: found %q, expected nothing", content, found)
		}
	}
}

// TestTextThatBeginsAsJSONDoesIsText: prose, code and markup that begin with a brace or a bracket
// are read as they are, with a note.
func TestTextThatBeginsAsJSONDoesIsText(t *testing.T) {
	for _, text := range []string{
		"{#id}\n# Title\nfoo\n", "{\n  int x = 1;\n  return x;\n}\n", "{ \"use strict\"; var a; }\nfoo();\n", "[x for x in y]\nprint(x)\n", "[a link](to.html)\ntext\n",
		"{\\bf bold}\nfoo\n", "{}\nis the empty set in mathematics\nand so on.\n", "[] is the empty list\nand so on.\n", "{\"quoted\"} is in braces\nand so on.\n",
		"[{x}] is a set in a list\nso.\n", "[\"a\"] is a list\nmore\n", "{{ x }}\n{% for y in z %}\n", "[[section]]\nname = 1\n", "[section]\nname = 1\n",
		"{\"a\": 1}\n\nis an object. Prose goes on.\nMore of it.\n", "{\n  \"a\": 1\n}\n\nis an object over lines. Prose goes on.\nMore of it.\n", "{ color: red; }\nbody { margin: 0; }\n",
	} {
		got, notes, err := readText(t, write(t, "a", text), 0)
		if err != nil || got != text || len(notes) != 1 || !strings.HasSuffix(notes[0], "and holds no records of JSON: read as plain text") {
			t.Errorf("%q: found %q, notes %q, %v", text, got, notes, err)
		}
		if f, err := Open(t.Context(), write(t, "a", text)); err != nil || f.Form() != Text {
			t.Errorf("%q: not read as text", text)
		}
	}
	for _, text := range []string{"version 2 of it\n", "404 is a number: Not Found stands beside it\n", "404: Not Found\nis what servers say.\n", "Entry not found in the book, he said.\n", "(lp is a word)\n", "#", "/", "//", "/*", "# \n#"} {
		if got, notes, err := readText(t, write(t, "a", text), 0); err != nil || got != text || len(notes) > 0 {
			t.Errorf("%q: found %q, notes %q, %v", text, got, notes, err)
		}
	}
}

func TestMessagesOfServersAreNoData(t *testing.T) {
	for _, text := range []string{"404: Not Found", "401 Unauthorized\n", "Entry not found", "Invalid username or password.", "Access denied", "Invalid credentials in Authorization header"} {
		if _, err := Open(t.Context(), write(t, "a", text)); err == nil || !strings.Contains(err.Error(), "a server's message in place of the file") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for content, want := range map[string]string{
		"\ufeffversion https://git-lfs.github.com/spec/v1\n": "Git LFS pointer", "version https://hawser.github.com/spec/v1\n": "Git LFS pointer",
		"(lp0\nS'a'\np1\na.": "pickle", "(dp0\nS'a'\n": "pickle", "LZIP\x01\x0c": "lzip", "\x5d\x00\x00\x80\x00": "LZMA", "\xff\x06\x00\x00sNaPpY": "Snappy",
	} {
		if _, err := Open(t.Context(), write(t, "a", content)); err == nil || !strings.Contains(err.Error(), "found the form "+want) {
			t.Errorf("%q: %v", content, err)
		}
	}
}
