package report

import (
	"fmt"
	"io"
	"strings"

	"slimlab/internal/texttable"
	"slimlab/internal/visible"
	"slimlab/lab"
	"slimlab/lab/sweep"
)

// Markdown writes a table of a run as a section, for a pull request or a job's summary. The best of
// a column is bold.
func Markdown(w io.Writer, of *sweep.Table) error { return markdownAgainst(w, of, nil) }

func markdownAgainst(w io.Writer, of *sweep.Table, against *Against) error {
	t, v := newTable(of, against), of.View
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n%s\n\n", texttable.Escape(title(v)), texttable.Escape(subtitle(v)))
	b.WriteString(t.markdown().Markdown())
	markdownList(&b, "", t.notes, func(i int, note string) string { return marks([]int{i + 1}) + " " + texttable.Escape(note) })
	markdownList(&b, "", append(against.lines(), hidden(of)...), func(_ int, line string) string { return texttable.Escape(line) })
	markdownList(&b, "### Chosen by searches", chosenLines(v), func(_ int, line string) string { return texttable.Escape(line) })
	markdownList(&b, "### Curves", curveLines(v), func(_ int, l curveLine) string {
		return texttable.Code(l.name) + " " + l.text()
	})
	markdownList(&b, "### Matrices", matrixLines(v), func(_ int, line string) string { return texttable.Escape(line) })
	markdownList(&b, "### Expectations", v.Verdicts, func(_ int, x lab.Verdict) string {
		held := x.Word()
		if !x.Held {
			held = "**" + held + "**"
		}
		return fmt.Sprintf("%s: %s (%s)", held, texttable.Code(x.Text), texttable.Escape(x.Grounds()))
	})
	markdownList(&b, "### Troubles", troubles(v), func(_ int, line string) string { return texttable.Escape(line) })
	_, err := io.WriteString(w, visible.Text(b.String()))
	return err
}

// markdown returns the table for Markdown, with the best values bold.
func (t *table) markdown() *texttable.Table {
	out := &texttable.Table{Rows: make([][]string, t.rows)}
	for _, c := range t.columns {
		out.Columns = append(out.Columns, texttable.Column{Head: texttable.Escape(c.title) + marks(c.notes), Right: !c.left})
		for row, one := range c.cells {
			text := texttable.Escape(one.value)
			if one.best {
				text = "**" + text + "**"
			}
			if one.interval != "" {
				text += " " + one.interval
			}
			out.Rows[row] = append(out.Rows[row], text+marks(one.notes))
		}
	}
	return out
}

func markdownList[T any](b *strings.Builder, head string, items []T, line func(i int, item T) string) {
	if len(items) == 0 {
		return
	}
	b.WriteString("\n")
	if head != "" {
		b.WriteString(head + "\n\n")
	}
	for i, item := range items {
		fmt.Fprintf(b, "- %s\n", line(i, item))
	}
}
