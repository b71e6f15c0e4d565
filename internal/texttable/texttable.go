// Package texttable writes tables of text for terminals and as Markdown.
//
// Columns are as wide as their widest cell, measured in terminal cells, and separated by two
// spaces. The package does not wrap, shorten or colour text, and knows nothing of what it writes.
package texttable

import (
	"fmt"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"slimlab/internal/visible"
)

// Table is a head and rows of cells. A row may have fewer cells than there are columns.
type Table struct {
	Columns []Column
	Rows    [][]string
	Indent  string // before every line of text
	NoHead  bool   // leaves the head out of the text
}

// Column is the head of a column. Numbers are aligned to the right.
type Column struct {
	Head  string
	Right bool
}

const gap = "  "

// New returns a table of which the first columns are aligned to the left and the others to the
// right.
func New(left int, heads ...string) *Table {
	t := &Table{}
	for i, head := range heads {
		t.Columns = append(t.Columns, Column{head, i >= left})
	}
	return t
}

// Add appends a row. What a terminal would act on becomes visible.
func (t *Table) Add(cells ...string) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = visible.Line(cell)
	}
	t.Rows = append(t.Rows, row)
}

// Width is the width of the text in terminal cells.
func (t *Table) Width() int {
	width := ansi.StringWidth(t.Indent)
	for i, w := range t.widths() {
		if i > 0 {
			width += len(gap)
		}
		width += w
	}
	return width
}

func (t *Table) widths() []int {
	widths := make([]int, len(t.Columns))
	for i, c := range t.Columns {
		if !t.NoHead {
			widths[i] = ansi.StringWidth(c.Head)
		}
		for _, row := range t.Rows {
			if i < len(row) {
				widths[i] = max(widths[i], ansi.StringWidth(row[i]))
			}
		}
	}
	return widths
}

// Text returns the table in lines, without spaces at their ends.
func (t *Table) Text() string {
	var b strings.Builder
	widths := t.widths()
	line := func(cells []string) {
		text := t.Indent
		for i, cell := range cells {
			if i > 0 {
				text += gap
			}
			if t.Columns[i].Right {
				text += PadLeft(cell, widths[i])
			} else {
				text += PadRight(cell, widths[i])
			}
		}
		b.WriteString(strings.TrimRight(text, " ") + "\n")
	}
	if !t.NoHead {
		line(t.heads())
	}
	for _, row := range t.Rows {
		line(row)
	}
	return b.String()
}

func (t *Table) heads() []string {
	heads := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		heads[i] = c.Head
	}
	return heads
}

// Markdown returns the table as Markdown. Cells are written as they are, so that they may hold
// markup: Escape those that must not.
func (t *Table) Markdown() string {
	var b strings.Builder
	line := func(cells []string) {
		b.WriteString("|")
		for _, cell := range cells {
			fmt.Fprintf(&b, " %s |", cell)
		}
		b.WriteString("\n")
	}
	line(t.heads())
	b.WriteString("|")
	for _, c := range t.Columns {
		if c.Right {
			b.WriteString(" ---: |")
		} else {
			b.WriteString(" --- |")
		}
	}
	b.WriteString("\n")
	for _, row := range t.Rows {
		line(row)
	}
	return b.String()
}

// PadLeft returns text with spaces before it, up to a width.
func PadLeft(text string, width int) string { return spaces(text, width) + text }

// PadRight returns text with spaces after it, up to a width.
func PadRight(text string, width int) string { return text + spaces(text, width) }

func spaces(text string, width int) string {
	return strings.Repeat(" ", max(0, width-ansi.StringWidth(text)))
}

// escapes leave a tilde before a space, which cannot begin a stroke through, and brackets that name
// no address.
var escapes = strings.NewReplacer("\\", `\\`, "|", `\|`, "*", `\*`, "_", `\_`, "`", "\\`", "](", `]\(`, "][", `]\[`, "]:", `]\:`,
	"~ ", "~ ", "~", `\~`, "&", "&amp;", "<", "&lt;", ">", "&gt;", "\n", " ")

// Escape returns text that Markdown shows as it is, on one line, also on a terminal.
func Escape(text string) string { return visible.Line(escapes.Replace(text)) }

// Code returns text as a code span of Markdown, on one line. Within one nothing is markup but the
// backtick, which becomes an apostrophe.
func Code(text string) string { return "`" + visible.Line(strings.ReplaceAll(text, "`", "'")) + "`" }
