package datafile

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"slimlab/internal/nearest"
	"slimlab/internal/plural"
)

// Table is an open file of comma-separated values (RFC 4180) whose first line names the columns. It
// is read as other files are: UTF-8 or UTF-16 with a byte order mark, gzip, any line ends.
type Table struct {
	file    *File
	csv     *csv.Reader
	columns []string // that are read
	places  []int    // of these in a row
	width   int      // fields of a row
	values  []string
}

// OpenTable opens a table and checks that its first line names the columns, each once and in any
// order. Its errors begin with the file's name, and where they are of a place with line and column.
func OpenTable(ctx context.Context, path string, columns ...string) (*Table, error) {
	in, err := open(ctx, path)
	if err != nil {
		return nil, err
	}
	if info, err := in.Stat(); err == nil && info.IsDir() {
		return nil, errors.Join(fmt.Errorf("%s: a directory, expected a table of comma-separated values", Name(path)), in.Close())
	}
	t, err := NewTable(ctx, Name(path), in, columns...)
	if err != nil {
		return nil, errors.Join(err, closeFile(in))
	}
	return t, nil
}

// NewTable begins to read a table that is open, under a name for messages. What it reads from is
// closed by Close where it is an os.File.
func NewTable(ctx context.Context, name string, in io.Reader, columns ...string) (*Table, error) {
	f, err := newFile(ctx, name, in, (*File).table)
	if err != nil {
		return nil, err
	}
	t := &Table{file: f, csv: csv.NewReader(f.text), columns: columns, values: make([]string, len(columns))}
	t.csv.FieldsPerRecord, t.csv.ReuseRecord = -1, true
	head, err := t.csv.Read()
	if err != nil {
		return nil, t.broken(err)
	}
	if t.places, err = t.heading(head); err != nil {
		return nil, err
	}
	t.width = len(head)
	return t, nil
}

// table refuses what is no table, as far as its beginning shows it.
func (f *File) table() error {
	head, _ := f.text.Peek(headBytes) // an error comes again when it is read
	start := []byte(strings.TrimLeft(string(head), " \t\r\n"))
	if kind := markup(start); kind != "" {
		return fmt.Errorf("found a page of %s, expected a table of comma-separated values: download the file again", kind)
	}
	if beginsObject(start) || beginsArray(start) {
		return errors.New("found JSON, expected a table of comma-separated values")
	}
	return nil
}

// heading finds the columns in the first line.
func (t *Table) heading(head []string) ([]int, error) {
	names := make([]string, len(head))
	for i, name := range head {
		names[i] = strings.TrimSpace(name)
	}
	places := make([]int, len(t.columns))
	for k, column := range t.columns {
		at := slices.Index(names, column)
		if at < 0 {
			hint := ""
			if near := nearest.Name(column, names); near != "" {
				hint = fmt.Sprintf(" (%q is near)", near)
			}
			return nil, fmt.Errorf("%s:1: found the columns %s, expected %s among them, separated by commas%s", t.file.name, clipped(names), column, hint)
		}
		if again := slices.Index(names[at+1:], column); again >= 0 {
			line, col := t.csv.FieldPos(at + 1 + again)
			return nil, fmt.Errorf("%s:%d:%d: found a second column %s, expected one", t.file.name, line, col, column)
		}
		places[k] = at
	}
	return places, nil
}

// clipped writes names for a message, the first few.
func clipped(names []string) string {
	const most = 8
	text := ""
	for i, name := range names[:min(len(names), most)] {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%.40q", name)
	}
	if len(names) > most {
		text += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return text
}

// Next returns the values of the columns in the next row, in the order in which they were asked
// for, valid until the next call; io.EOF after the last one. Empty lines are no rows.
func (t *Table) Next() ([]string, error) {
	row, err := t.csv.Read()
	if err == io.EOF {
		return nil, err
	}
	if err != nil {
		return nil, t.broken(err)
	}
	if len(row) != t.width {
		line, _ := t.csv.FieldPos(0)
		return nil, fmt.Errorf("%s:%d: found %s, expected %d as in the first line; a field with a comma stands between quotes", t.file.name, line, plural.Of(len(row), "field"), t.width)
	}
	for k, at := range t.places {
		t.values[k] = row[at]
	}
	return t.values, nil
}

// At puts the place of a column's value in the last row before an error: "ratings.csv:7:12: …".
func (t *Table) At(column int, err error) error {
	line, col := t.csv.FieldPos(t.places[column])
	return fmt.Errorf("%s:%d:%d: %s: %w", t.file.name, line, col, t.columns[column], err)
}

// Line is the line at which the last row begins.
func (t *Table) Line() int {
	line, _ := t.csv.FieldPos(0)
	return line
}

// broken puts an error of reading in words.
func (t *Table) broken(err error) error {
	var of *csv.ParseError
	switch {
	case err == io.EOF:
		return fmt.Errorf("%s: found no line, expected one with the columns %s", t.file.name, strings.Join(t.columns, ", "))
	case !errors.As(err, &of):
		return t.file.describe(err)
	case errors.Is(of.Err, csv.ErrBareQuote):
		return fmt.Errorf("%s:%d:%d: found a quote within a field that does not begin with one, expected the whole field between quotes, and quotes in it doubled", t.file.name, of.Line, of.Column)
	case errors.Is(of.Err, csv.ErrQuote):
		return fmt.Errorf("%s:%d:%d: found a quoted field that does not end, or text behind its end, expected a comma or the line's end behind the closing quote", t.file.name, of.StartLine, of.Column)
	}
	return fmt.Errorf("%s:%d:%d: %w", t.file.name, of.Line, of.Column, of.Err)
}

// Name is the file's name in messages.
func (t *Table) Name() string { return t.file.name }

// Notes say what was decoded.
func (t *Table) Notes() []string { return t.file.notes }

// Sum reads what is left of the file and returns the hexadecimal SHA-256 of all its bytes as they
// are stored.
func (t *Table) Sum() (string, error) { return t.file.Sum() }

// Close closes the file.
func (t *Table) Close() error { return t.file.Close() }
