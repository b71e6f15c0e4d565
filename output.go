package main

import (
	"io"
	"os"

	"golang.org/x/term"

	"slimlab/internal/jsondoc"
	"slimlab/internal/nearest"
	"slimlab/internal/texttable"
	"slimlab/internal/visible"
	"slimlab/lab"
	"slimlab/lab/report"
)

// standardOutput remembers the first write that failed, so that no verb can overlook it. On a
// terminal, what the terminal would act on becomes visible: a file or a pipe gets all bytes as they
// are.
type standardOutput struct {
	w   io.Writer
	err error
}

func newStandardOutput(w io.Writer) *standardOutput {
	if f, ok := w.(*os.File); ok && isTerminal(f) {
		w = visible.NewWriter(f)
	}
	return &standardOutput{w: w}
}

// terminal reports whether a terminal shows it.
func (o *standardOutput) terminal() bool {
	_, ok := o.w.(*visible.Writer)
	return ok
}

// flush writes what a terminal still lacks: a character that never became whole.
func (o *standardOutput) flush() {
	if w, ok := o.w.(*visible.Writer); ok {
		if err := w.Flush(); o.err == nil {
			o.err = err
		}
	}
}

func (o *standardOutput) Write(b []byte) (int, error) {
	n, err := o.w.Write(b)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// formats are what --format of a verb takes that prints a text or a document.
var formats = []string{"table", "json"}

// product is the result of a verb: a document for programs, and a text for people.
type product struct {
	schema   string
	document any
	text     func() string
}

// write writes the product in one of formats, or an error where the format is another.
func (p product) write(w io.Writer, format string) error {
	if err := nearest.Check("--format", format, formats); err != nil {
		return usage(err)
	}
	if format == "json" {
		return broke(jsondoc.Write(w, p.schema, p.document))
	}
	_, err := io.WriteString(w, visible.Text(p.text()))
	return broke(err)
}

// plainTable returns a table without a head, its columns aligned to the left.
func plainTable(columns int) *texttable.Table {
	t := texttable.New(columns, make([]string, columns)...)
	t.NoHead = true
	return t
}

// tableWidth is the width of tables: the terminal's, or none where stdout is not one.
func tableWidth() int {
	if w, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil {
		return w
	}
	return 0
}

// stderrWidth is the width of lines that come while work goes on: the terminal's, or 0.
func stderrWidth() int {
	if w, _, err := term.GetSize(int(os.Stderr.Fd())); err == nil {
		return w
	}
	return 0
}

// bytesText and countText write a size for people.
func bytesText(n int64) string { return report.Format(lab.Bytes, float64(n)) }
func countText(n int) string   { return report.Format(lab.Count, float64(n)) }
