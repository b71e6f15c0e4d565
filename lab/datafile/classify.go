package datafile

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// classify finds the form of the text that follows. The name has no part in it; where the name's
// ending promises another form, a note says so.
func (f *File) classify() error {
	head, err := f.text.Peek(headBytes) // an error comes again when it is read
	whole := err == io.EOF
	start := bytes.TrimLeft(head, "\ufeff \t\r\n")
	switch form, found := jsonForm(start, head, whole); {
	case found:
		f.form = form // what reads the records says what is wrong with them
	case markup(start) != "":
		return fmt.Errorf("found a page of %s, not read: it may be a server's message in place of the file; take its text out first, or download the file again", markup(start))
	case whole && serverMessage.Match(bytes.TrimSpace(head)):
		return fmt.Errorf("found only %q, a server's message in place of the file: download it again, with the rights that it asks for", bytes.TrimSpace(head))
	case yamlItem.Match(start):
		return errors.New("found a list of YAML, not read: " + toLines)
	case looksDelimited(head, whole):
		return fmt.Errorf("found a table of comma- or tab-separated values (CSV, TSV), not read: %s (in Python: pandas.read_csv(FILE).to_json(OUT, orient=\"records\", lines=True))", toLines)
	case len(start) > 0 && (start[0] == '{' || start[0] == '['):
		f.note("it begins with %q and holds no records of JSON: read as plain text", start[:1])
	case isFieldLines(head):
		f.notes = append(f.notes, f.name+": its lines begin with names of fields, and are no JSON: read as plain text, the names included")
	}
	f.noteEnding()
	return nil
}

var (
	comment  = regexp.MustCompile(`^(?s:\s*<!--.*?-->)+\s*`)
	htmlPage = regexp.MustCompile(`^(?i:<!doctype\s+html|<(html|head|body|title|meta|script|style)[\s>/])`)
	xmlPage  = regexp.MustCompile(`^(?i:<\?xml[\s?]|<!doctype\s)`)
	// serverMessage is all of a file that a server gave in place of another.
	serverMessage = regexp.MustCompile(`^([45]\d\d:? [A-Z][A-Za-z ]{2,40}|Entry not found|Not Found|Unauthorized|Forbidden|Access [Dd]enied\.?|Invalid username or password\.|Invalid credentials in Authorization header)$`)
	htmlTag       = regexp.MustCompile(`(?i:<html[\s>])`)
)

// markup names the form of a page of HTML or XML, "" for other text. A text may hold tags: a page
// begins with those that only a page has.
func markup(text []byte) string {
	text = text[len(comment.Find(text)):]
	switch {
	case htmlPage.Match(text), xmlPage.Match(text) && htmlTag.Match(text):
		return "HTML"
	case xmlPage.Match(text):
		return "XML"
	}
	return ""
}

// headings are names of columns that tables of texts have.
var headings = []string{
	"prompt", "response", "completion", "question", "answer", "instruction", "input", "output", "query", "text", "label", "target", "context", "messages",
	"conversations", "choices", "endings", "option1", "option2", "sentence", "problem", "solution",
}

var (
	fieldLine = regexp.MustCompile(`(?m)^[ \t]*"?(` + strings.Join(headings, "|") + `)"?[ \t]*:`)
	yamlItem  = regexp.MustCompile(`^(---[ \t]*\r?\n\s*)?-[ \t]+"?(` + strings.Join(headings, "|") + `)"?[ \t]*:(\s|$)`)
)

// isFieldLines reports text that has two lines or more, half of them or more the name of a field
// and a colon.
func isFieldLines(head []byte) bool {
	lines := 0
	for line := range bytes.Lines(head) {
		if len(bytes.TrimSpace(line)) > 0 {
			lines++
		}
	}
	found := len(fieldLine.FindAll(head, -1))
	return found >= 2 && found*2 >= lines
}

// looksDelimited reports a table of CSV or TSV: its first line is a list of short names, and the
// lines that follow have as many fields. One of the names is usual for data; or no space stands
// beside a separator, as it does in prose, and two lines or more follow.
func looksDelimited(head []byte, whole bool) bool {
	for _, comma := range []rune{',', '\t', ';'} {
		r := csv.NewReader(bytes.NewReader(head))
		r.Comma, r.LazyQuotes, r.FieldsPerRecord = comma, true, -1
		first, err := r.Read()
		if err != nil || len(first) < 2 || !areHeadings(first, true) {
			continue
		}
		known, tight := areHeadings(first, false), true
		for _, cell := range first {
			tight = tight && cell == strings.TrimSpace(cell)
		}
		rows, even := 0, true
		for {
			row, err := r.Read()
			if err != nil || !whole && r.InputOffset() == int64(len(head)) {
				break // the last row may be cut off
			}
			rows++
			even = even && len(row) == len(first)
		}
		if even && (known && (rows > 0 || !whole) || tight && rows >= 2) {
			return true
		}
	}
	return false
}

// areHeadings reports short names, one of them usual for data unless any will do.
func areHeadings(row []string, any bool) bool {
	known := any
	for _, cell := range row {
		cell = strings.ToLower(strings.TrimSpace(cell))
		if cell == "" || len(cell) > 40 || strings.Count(cell, " ") > 2 {
			return false
		}
		known = known || slices.Contains(headings, cell)
	}
	return known
}

// noteEnding says where the ending of the file's name promises another form than was found.
func (f *File) noteEnding() {
	name := strings.TrimSuffix(strings.ToLower(f.name), ".gz")
	ending := name[strings.LastIndexByte(name, '.')+1:]
	read := "records of JSON"
	if f.form == Text {
		read = "plain text"
	}
	var other bool
	switch ending {
	case "json", "jsonl", "ndjson":
		other = f.form == Text
	case "txt", "text", "md":
		other = f.form != Text
	case "csv", "tsv", "html", "htm", "xml", "yaml", "yml", "parquet":
		other = true
	}
	if other && ending != name {
		f.notes = append(f.notes, fmt.Sprintf("%s: the name ends in .%s and the file holds %s: read as %s", f.name, ending, read, read))
	}
}
